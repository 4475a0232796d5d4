//! Whether groups of runs differ, by more than runs of one group differ among themselves.
//!
//! Of each measure a group has a median, its least and its largest value, and the median distance from the median (MAD), which one odd
//! run doesn't move. Two groups differ if no run of one lies among the other's, and their medians are further apart than
//! [`DEVIATIONS`] times the larger MAD; else the difference is within the spread. Single runs have no spread: of two of them nothing
//! is said.

use super::Group;
use super::file::RunFile;
use crate::report::count;
use auriga_plots::number::time;
use auriga_plots::table::Table;
use auriga_plots::views::median;
use serde::Serialize;

/// How many times the larger MAD medians must be apart.
const DEVIATIONS: f64 = 3.0;

/// Something that is compared.
#[derive(Debug)]
pub struct Measure {
    /// Its name in JSON.
    pub key: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Whether its values are nanoseconds.
    is_time: bool,
    more_is_better: bool,
    /// Whether it is in the sentence about a group, too.
    pub is_told: bool,
    /// The budget's name for its ratio.
    pub budget: Option<&'static str>,
    of: fn(&RunFile) -> f64,
}

/// A latency that is compared.
const fn latency(
    key: &'static str,
    name: &'static str,
    budget: Option<&'static str>,
    of: fn(&RunFile) -> f64,
) -> Measure {
    Measure { key, name, is_time: true, more_is_better: false, is_told: budget.is_some(), budget, of }
}

/// All that is compared.
pub const MEASURES: [Measure; 10] = [
    Measure {
        key: "transfers_per_second",
        name: "transfers/s",
        is_time: false,
        more_is_better: true,
        is_told: true,
        budget: Some("ratio"),
        of: |run| run.transfers_per_second,
    },
    latency("p50_ns", "p50", Some("p50_ratio"), |run| run.latency.value_at_quantile(0.5) as f64),
    latency("p90_ns", "p90", Some("p90_ratio"), |run| run.latency.value_at_quantile(0.9) as f64),
    latency("p99_ns", "p99", Some("p99_ratio"), |run| run.latency.value_at_quantile(0.99) as f64),
    latency("p999_ns", "p99.9", Some("p999_ratio"), |run| run.latency.value_at_quantile(0.999) as f64),
    latency("max_ns", "max", Some("max_ratio"), |run| run.latency.max() as f64),
    latency("raw_p50_ns", "raw p50", None, |run| run.raw_latency.value_at_quantile(0.5) as f64),
    latency("raw_p99_ns", "raw p99", None, |run| run.raw_latency.value_at_quantile(0.99) as f64),
    number("refused", |run| run.refused),
    number("unsent", |run| run.unsent),
];

/// A number of things that should not be.
const fn number(key: &'static str, of: fn(&RunFile) -> f64) -> Measure {
    Measure { key, name: key, is_time: false, more_is_better: false, is_told: false, budget: None, of }
}

/// Repeated values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The one in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The median distance from the median.
    pub mad: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = median(&values);
        let mut distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
        distances.sort_by(f64::total_cmp);
        Self { median: middle, min: values[0], max: values[values.len() - 1], mad: median(&distances) }
    }
}

/// What is said of a group's measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is of the group that others are compared with.
    First,
    /// Its median is the first one's.
    Same,
    /// The difference is no larger than those within a group.
    WithinSpread,
    /// It is, in the right direction.
    Better,
    /// It is, in the wrong direction.
    Worse,
    /// Both are single runs.
    NoSpread,
}

impl Verdict {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::First => "",
            Self::Same => "the same",
            Self::WithinSpread => "within the spread",
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NoSpread => "no spread known",
        }
    }
}

/// A measure of a group.
#[derive(Debug)]
pub struct Compared {
    /// Its values.
    pub spread: Spread,
    /// The median in terms of the first group's; nothing if that is 0.
    pub ratio: Option<f64>,
    /// Whether it differs.
    pub verdict: Verdict,
}

/// A measure of all groups.
#[derive(Debug)]
pub struct Measured {
    /// Which one.
    pub measure: &'static Measure,
    /// Of each group.
    pub groups: Vec<Compared>,
}

impl Measured {
    /// Compares the groups.
    pub fn of(measure: &'static Measure, groups: &[Group]) -> Self {
        let spreads: Vec<(Spread, usize)> = groups
            .iter()
            .map(|group| (Spread::of(group.runs.iter().map(measure.of).collect()), group.runs.len()))
            .collect();
        let first = spreads[0];
        let compared = |(number, other): (usize, &(Spread, usize))| Compared {
            spread: other.0,
            ratio: (first.0.median > 0.0).then(|| other.0.median / first.0.median),
            verdict: if number == 0 { Verdict::First } else { measure.judge(first, *other) },
        };
        Self { measure, groups: spreads.iter().enumerate().map(compared).collect() }
    }
}

impl Measure {
    fn judge(&self, (first, runs): (Spread, usize), (other, others): (Spread, usize)) -> Verdict {
        let distance = (other.median - first.median).abs();
        if distance == 0.0 {
            return Verdict::Same;
        }
        if runs + others == 2 {
            return Verdict::NoSpread;
        }
        let overlap = first.min <= other.max && other.min <= first.max;
        if overlap || distance <= DEVIATIONS * first.mad.max(other.mad) {
            return Verdict::WithinSpread;
        }
        match (other.median > first.median) == self.more_is_better {
            true => Verdict::Better,
            false => Verdict::Worse,
        }
    }

    fn show(&self, value: f64) -> String {
        if self.is_time { time(value) } else { count(value.round() as u64) }
    }
}

/// A row for each measure and group.
pub fn table(groups: &[Group], measured: &[Measured]) -> Table {
    let head = ["measure", "of", "runs", "median", "least", "largest", "MAD", "ratio", "difference"];
    let mut table = Table::new(2, head.map(String::from));
    for Measured { measure, groups: compared } in measured {
        for (number, (group, Compared { spread, ratio, verdict })) in groups.iter().zip(compared).enumerate()
        {
            let ratio = match (number, ratio) {
                (0, _) => String::new(),
                (_, Some(ratio)) => format!("{ratio:.3}"),
                (_, None) => "-".into(),
            };
            // A single run has no spread.
            let apart = |value| if group.runs.len() > 1 { measure.show(value) } else { "-".into() };
            table.rows.push(vec![
                if number == 0 { measure.name.into() } else { String::new() },
                group.name.clone(),
                group.runs.len().to_string(),
                measure.show(spread.median),
                apart(spread.min),
                apart(spread.max),
                apart(spread.mad),
                ratio,
                verdict.words().into(),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, rates: &[f64]) -> Group {
        let run = |rate: &f64| RunFile::sample(name, *rate, &[1_000_000, (1e15 / rate) as u64]);
        Group { name: name.into(), runs: rates.iter().map(run).collect() }
    }

    fn verdict(first: &[f64], other: &[f64]) -> (Verdict, Verdict) {
        let groups = [group("a", first), group("b", other)];
        let of = |key: &str| {
            let measure = MEASURES.iter().find(|measure| measure.key == key).expect("it is known");
            Measured::of(measure, &groups).groups[1].verdict
        };
        (of("transfers_per_second"), of("max_ns"))
    }

    #[test]
    fn a_difference_must_be_larger_than_the_spread() {
        use Verdict::{Better, NoSpread, Same, WithinSpread, Worse};
        let before = [100e6, 102e6, 104e6];
        let cases = [
            (&before[..], &[120e6, 121e6, 124e6][..], (Better, Better)),
            (&before, &[80e6, 81e6, 82e6], (Worse, Worse)),
            (&before, &[103e6, 106e6, 107e6], (WithinSpread, WithinSpread)),
            // No run among the others, and the medians no more than three deviations apart.
            (&before, &[104.5e6, 105e6, 105.5e6], (WithinSpread, WithinSpread)),
            (&before, &[90e6], (Worse, Worse)),
            (&before, &[102e6, 102e6], (Same, Same)),
            (&[100e6], &[200e6], (NoSpread, NoSpread)),
        ];
        for (first, other, expected) in cases {
            assert_eq!(verdict(first, other), expected, "{first:?} {other:?}");
        }
    }

    #[test]
    fn a_spread_has_robust_figures() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0, 100.0, 4.0]);
        assert_eq!(spread, Spread { median: 4.0, min: 1.0, max: 100.0, mad: 1.0 });
        assert_eq!(Spread::of(vec![2.0]), Spread { median: 2.0, min: 2.0, max: 2.0, mad: 0.0 });
    }

    #[test]
    fn ratios_are_those_of_medians_and_nothing_of_zero() {
        let groups = [group("before", &[100e6, 200e6, 300e6]), group("after", &[100e6, 100e6])];
        let measured: Vec<Measured> = MEASURES.iter().map(|measure| Measured::of(measure, &groups)).collect();
        assert_eq!(measured[0].groups[1].ratio, Some(0.5));
        assert_eq!(measured[9].groups[1].ratio, None);
        let table = table(&groups, &measured);
        assert_eq!(table.rows.len(), 20);
        assert_eq!(
            table.rows[1][..8],
            ["", "after", "2", "100,000,000", "100,000,000", "100,000,000", "0", "0.500"]
        );
        for (budget, _) in crate::budget::OF_A_COMPARISON {
            assert!(MEASURES.iter().any(|measure| measure.budget == Some(budget)), "{budget}");
        }
    }
}
