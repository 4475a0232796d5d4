//! Budgets: what a run, or a comparison of runs, must reach (`--require 'p99<10ms'`). One that is missed gives exit code 1.

use auriga_plots::number::{amount, time};
use serde::Serialize;

/// What a measure's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds; a budget says us, ms or s.
    Time,
    /// A number without a unit.
    Number,
}

/// Something that can be asked for, and what its values are.
pub type Measure = (&'static str, Unit);

/// What a run can be held to.
pub const OF_A_RUN: [Measure; 12] = [
    ("p50", Unit::Time),
    ("p90", Unit::Time),
    ("p99", Unit::Time),
    ("p999", Unit::Time),
    ("max", Unit::Time),
    ("transfers_per_second", Unit::Number),
    ("transfers", Unit::Number),
    ("refused", Unit::Number),
    ("errors", Unit::Number),
    ("unsent", Unit::Number),
    ("unanswered", Unit::Number),
    ("generator_busy", Unit::Number),
];

/// What a comparison can be held to: each of the others in terms of the first.
pub const OF_A_COMPARISON: [Measure; 6] = [
    ("ratio", Unit::Number),
    ("p50_ratio", Unit::Number),
    ("p90_ratio", Unit::Number),
    ("p99_ratio", Unit::Number),
    ("p999_ratio", Unit::Number),
    ("max_ratio", Unit::Number),
];

/// Units of time, and nanoseconds in each.
const UNITS: [(&str, f64); 3] = [("us", 1e3), ("ms", 1e6), ("s", 1e9)];

/// Comparisons, the longer ones first, and their words.
const COMPARISONS: [(&str, &str, Holds); 4] = [
    ("<=", "at most", |found, limit| found <= limit),
    (">=", "at least", |found, limit| found >= limit),
    ("<", "less than", |found, limit| found < limit),
    (">", "more than", |found, limit| found > limit),
];

type Holds = fn(f64, f64) -> bool;

/// A budget.
#[derive(Clone, Debug)]
pub struct Budget {
    text: String,
    /// The measure's name.
    pub measure: &'static str,
    unit: Unit,
    words: &'static str,
    holds: Holds,
    limit: f64,
}

/// What became of a budget.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The budget as it was asked for.
    pub require: String,
    /// What was found: microseconds of times; `null` if nothing was measured.
    pub found: Option<f64>,
    /// Whether it was kept.
    pub met: bool,
    /// Found and expected in words.
    #[serde(skip)]
    pub words: String,
}

/// Reads a budget of a run.
pub fn of_a_run(text: &str) -> Result<Budget, String> {
    Budget::parse(text, &OF_A_RUN)
}

/// Reads a budget of a comparison.
pub fn of_a_comparison(text: &str) -> Result<Budget, String> {
    Budget::parse(text, &OF_A_COMPARISON)
}

impl Budget {
    fn parse(text: &str, known: &[Measure]) -> Result<Self, String> {
        let form = "expected MEASURE, then <, <=, > or >=, then a value, as in";
        let example = if known[0].1 == Unit::Time { "p99<10ms" } else { "ratio>=0.95" };
        let place = text.find(['<', '>']).ok_or_else(|| format!("found no comparison, {form} {example}"))?;
        let (name, rest) = (text[..place].trim(), &text[place..]);
        let (_, (sign, words, holds)) = COMPARISONS
            .iter()
            .filter(|(sign, ..)| rest.starts_with(sign))
            .enumerate()
            .next()
            .expect("every comparison begins with one of these characters");
        let Some((measure, unit)) = known.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return Err(format!("found the unknown measure `{name}`, expected one of {}", known.join(", ")));
        };
        let limit = value(rest[sign.len()..].trim(), name, *unit)?;
        Ok(Self { text: text.trim().into(), measure, unit: *unit, words, holds: *holds, limit })
    }

    /// Holds it against what was found: nanoseconds of times; nothing if nothing was measured, which keeps no budget.
    pub fn judge(&self, found: Option<f64>) -> Judged {
        let shown = |value: f64| match self.unit {
            Unit::Time => time(value),
            Unit::Number if value.fract() == 0.0 && value < 1e4 => format!("{value}"),
            Unit::Number if value < 1e4 => format!("{value:.3}"),
            Unit::Number => amount(value),
        };
        let met = found.is_some_and(|found| (self.holds)(found, self.limit));
        let found_words = found.map_or_else(|| "nothing, because nothing was measured".into(), shown);
        let in_json = |found: f64| if self.unit == Unit::Time { found / 1e3 } else { found };
        Judged {
            require: self.text.clone(),
            found: found.map(in_json),
            met,
            words: format!("found {found_words}, expected {} {}", self.words, shown(self.limit)),
        }
    }
}

fn value(text: &str, name: &str, unit: Unit) -> Result<f64, String> {
    let digits = text.trim_end_matches(|character: char| character.is_alphabetic() || character == '%');
    let suffix = text[digits.len()..].trim();
    let number = digits.trim().replace('_', "").parse::<f64>();
    let number = number.ok().filter(|number| number.is_finite() && *number >= 0.0);
    let number = number.ok_or_else(|| format!("found the value `{text}`, expected a number, 0 or more"))?;
    match unit {
        Unit::Number if suffix.is_empty() => Ok(number),
        Unit::Number => Err(format!("found the unit `{suffix}`, expected none: {name} is a number")),
        Unit::Time => {
            let size = UNITS.iter().find(|(known, _)| *known == suffix).map(|(_, size)| size);
            let size = size.ok_or_else(|| {
                let known: Vec<&str> = UNITS.iter().map(|(known, _)| *known).collect();
                format!("found the unit `{suffix}`, expected one of {}: {name} is a time", known.join(", "))
            })?;
            Ok(number * size)
        }
    }
}

/// A line for each budget that was missed, or one for all; nothing if there are none.
pub fn words(judged: &[Judged]) -> String {
    let missed: Vec<String> = judged
        .iter()
        .filter(|judged| !judged.met)
        .map(|judged| format!("budget missed: {}: {}", judged.require, judged.words))
        .collect();
    match (judged.len(), missed.len()) {
        (0, _) => String::new(),
        (all, 0) => format!("budgets: all {all} met"),
        _ => missed.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_held_against_what_was_found() {
        let cases = [
            ("p99<10ms", 9_999_999.0, true),
            ("p99<10ms", 10_000_000.0, false),
            ("p99<=10ms", 10_000_000.0, true),
            (" max <= 1.5 s ", 1_500_000_001.0, false),
            ("p50 > 250us", 250_001.0, true),
            ("transfers_per_second>=3_750_000", 3_750_000.0, true),
            ("transfers_per_second>=3.75e6", 3_749_999.0, false),
            ("refused<=0", 0.0, true),
            ("refused<=0", 1.0, false),
        ];
        for (text, found, met) in cases {
            let budget = of_a_run(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(budget.judge(Some(found)).met, met, "{text} {found}");
            assert!(!budget.judge(None).met, "{text}: what was not measured is not kept");
        }
        let missed = of_a_run("p99<10ms").expect("it is good").judge(Some(12_345_678.0));
        assert_eq!(
            words(std::slice::from_ref(&missed)),
            "budget missed: p99<10ms: found 12.3 ms, expected less than 10 ms"
        );
        assert!((missed.found.expect("found") - 12_345.678).abs() < 1e-6);
        let met = of_a_comparison("ratio>=0.95").expect("it is good").judge(Some(0.951));
        assert_eq!(words(&[met.clone(), met]), "budgets: all 2 met");
        assert_eq!(words(&[]), "");
    }

    #[test]
    fn mistakes_name_what_is_known() {
        let cases = [
            ("p99", "found no comparison"),
            ("p99=10ms", "found no comparison"),
            (
                "p98<10ms",
                "unknown measure `p98`, expected one of p50, p90, p99, p999, max, transfers_per_second",
            ),
            ("ratio>=1", "unknown measure `ratio`"),
            ("<10ms", "unknown measure ``"),
            ("p99<10", "found the unit ``, expected one of us, ms, s"),
            ("p99<10ns", "found the unit `ns`"),
            ("p99<ten ms", "found the value `ten ms`"),
            ("p99<-1ms", "found the value `-1ms`"),
            ("p99<1e999s", "found the value `1e999s`"),
            ("p99<", "found the value ``"),
            ("refused<=1%", "found the unit `%`, expected none"),
            ("refused<<1", "found the value `<1`"),
        ];
        for (text, words) in cases {
            let why = of_a_run(text).expect_err(text);
            assert!(why.contains(words), "{text}: {why}, expected {words}");
        }
        assert!(of_a_comparison("p99<1ms").expect_err("of a run").contains("ratio, p50_ratio"));
    }
}
