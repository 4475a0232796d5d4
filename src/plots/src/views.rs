//! The charts and tables that people ask for of one recording, and of several that are compared.

use crate::axis::{Axis, Unit};
use crate::chart::{Chart, Curve, latency_axis};
use crate::figures::{Figures, curve};
use crate::number::{grouped, microseconds};
use crate::recording::{Core, Interval, Recording, Row};
use crate::table::{Table, ratio};
use hdrhistogram::Histogram;

/// A recording with the name that it has in charts and tables.
pub type Named<'a> = (&'a str, &'a Recording);

/// Latency by percentile, a curve for each row of the stages. With several recordings each curve says which it is of.
pub fn latency_by_percentile(title: &str, of: &[Named<'_>], stages: &[&str], logarithmic: bool) -> Chart {
    let mut curves = Vec::new();
    for (name, recording) in of {
        for row in recording.rows.iter().filter(|row| stages.contains(&row.stage.as_str())) {
            curves.push(Curve::new(curve_name(name, row, of.len(), stages.len()), curve(&row.histogram)));
        }
    }
    Chart::percentiles(title, curves, logarithmic)
}

/// Latency by percentile of repeated runs whose cores are merged: their median, and the area between the least and the largest.
pub fn spread_by_percentile(title: &str, of: &[Named<'_>], stage: &str, logarithmic: bool) -> Chart {
    let rows = of.iter().filter_map(|(_, recording)| recording.of_stage(stage).next());
    let histograms: Vec<&Histogram<u64>> = rows.map(|row| &row.histogram).collect();
    let name = format!("median of {}", histograms.len());
    Chart::percentiles(title, vec![spread_curve(name, &histograms)], logarithmic)
}

/// The median of repeated runs at each percentile, with the least and the largest.
pub fn spread_curve(name: impl Into<String>, histograms: &[&Histogram<u64>]) -> Curve {
    let mut median_of_all = Curve::new(name, Vec::new());
    // Percentiles that the run with the fewest values has, too.
    let fewest = histograms.iter().min_by_key(|histogram| histogram.len());
    for (inverse, _) in fewest.map(|histogram| curve(histogram)).unwrap_or_default() {
        let at = |histogram: &&Histogram<u64>| histogram.value_at_quantile(1.0 - 1.0 / inverse) as f64;
        let mut values: Vec<f64> = histograms.iter().map(at).collect();
        values.sort_by(f64::total_cmp);
        median_of_all.points.push((inverse, median(&values)));
        if values.len() > 1 {
            median_of_all.spread.push((values[0], values[values.len() - 1]));
        }
    }
    median_of_all
}

/// No more than what tells curves apart.
fn curve_name(name: &str, row: &Row, recordings: usize, stages: usize) -> String {
    let core = match row.core {
        Core::One(core) => format!("core {core}"),
        Core::All if recordings > 1 || stages > 1 => String::new(),
        Core::All => "all cores".into(),
        Core::Client => "client".into(),
    };
    let stage = if stages > 1 { row.stage.as_str() } else { "" };
    let name = if recordings > 1 { name } else { "" };
    let words: Vec<&str> = [name, core.as_str(), stage].into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Requests a second over time: how many ended a stage in each interval.
pub fn throughput(of: &[Named<'_>], stage: &str) -> Chart {
    let rate = |interval: &Interval| interval.figures.count as f64 / interval.seconds.max(1e-9);
    let curves = over_time(of, stage, |_| true, rate);
    let values = curves.iter().flat_map(|curve| &curve.points).map(|(_, rate)| *rate);
    let y = Axis::linear("requests a second", Unit::Amount, values);
    Chart::over_time("Throughput over time", y, curves)
}

/// A figure of a stage over time, a curve for each row.
pub fn latency_over_time(
    title: &str,
    of: &[Named<'_>],
    stage: &str,
    logarithmic: bool,
    figure: impl Fn(&Figures) -> u64,
) -> Chart {
    // An interval without a value has no latency.
    let curves = over_time(
        of,
        stage,
        |interval| interval.figures.count > 0,
        |interval| figure(&interval.figures) as f64,
    );
    chart_of_latencies(title, curves, logarithmic)
}

/// Several figures of one row over time.
pub fn figures_over_time(title: &str, row: &Row, logarithmic: bool) -> Chart {
    let curve = |name: &str, figure: fn(&Figures) -> u64| {
        let is_counted = |interval: &Interval| interval.figures.count > 0;
        steps(name.into(), row, is_counted, |interval| figure(&interval.figures) as f64)
    };
    let curves = vec![
        curve("p50", |figures| figures.p50),
        curve("p99", |figures| figures.p99),
        curve("p99.9", |figures| figures.p999),
        curve("max", |figures| figures.max),
    ];
    chart_of_latencies(title, curves, logarithmic)
}

fn chart_of_latencies(title: &str, curves: Vec<Curve>, logarithmic: bool) -> Chart {
    let values = curves.iter().flat_map(|curve| &curve.points).map(|(_, value)| *value);
    let y = latency_axis(values, logarithmic);
    Chart::over_time(title, y, curves)
}

fn over_time(
    of: &[Named<'_>],
    stage: &str,
    is_counted: impl Fn(&Interval) -> bool + Copy,
    value: impl Fn(&Interval) -> f64,
) -> Vec<Curve> {
    let mut curves = Vec::new();
    for (name, recording) in of {
        for row in recording.of_stage(stage) {
            curves.push(steps(curve_name(name, row, of.len(), 1), row, is_counted, &value));
        }
    }
    curves
}

/// The value of an interval holds from its start to its end.
fn steps(
    name: String,
    row: &Row,
    is_counted: impl Fn(&Interval) -> bool,
    value: impl Fn(&Interval) -> f64,
) -> Curve {
    let counted = || row.intervals.iter().filter(|interval| is_counted(interval));
    let mut points: Vec<(f64, f64)> = counted().map(|interval| (interval.start, value(interval))).collect();
    points.extend(counted().last().map(|last| (last.start + last.seconds, value(last))));
    Curve { steps: true, ..Curve::new(name, points) }
}

/// Whether there is anything to be seen over time.
pub fn has_times(recording: &Recording) -> bool {
    recording.rows.iter().any(|row| row.intervals.len() > 1)
}

/// The figures of recordings whose cores are merged, and each one's in terms of the first.
pub fn comparison(of: &[Named<'_>]) -> Table {
    let times = Figures::TIMES.map(|name| format!("{name} us"));
    let mut table = Table::new(2, ["stage", "of", "count"].map(String::from).into_iter().chain(times));
    let Some((_, first)) = of.first() else { return table };
    for stage in first.stages() {
        let mut base: Option<Figures> = None;
        for (name, figures) in figures_of(of, stage) {
            let cells = [stage.into(), name.into(), grouped(figures.count)];
            table.rows.push(cells.into_iter().chain(figures.times().map(microseconds)).collect());
            let Some(base) = &base else {
                base = Some(figures);
                continue;
            };
            let ratios =
                base.times().into_iter().zip(figures.times()).map(|(a, b)| format!("× {}", ratio(a, b)));
            let count = format!("× {}", ratio(base.count as f64, figures.count as f64));
            table.rows.push([String::new(), String::new(), count].into_iter().chain(ratios).collect());
        }
    }
    table
}

/// What repeated runs have in common, and how far they are apart: the least, the middle and the largest of each figure, and the
/// distance of the outer ones in percent of the middle.
pub fn spread(of: &[Named<'_>]) -> Table {
    let times = Figures::TIMES.map(|name| format!("{name} us"));
    let mut table =
        Table::new(2, ["stage", "of all runs", "count"].map(String::from).into_iter().chain(times));
    let Some((_, first)) = of.first() else { return table };
    for stage in first.stages() {
        let figures: Vec<Figures> = figures_of(of, stage).map(|(_, figures)| figures).collect();
        let column = |value: &dyn Fn(&Figures) -> f64| {
            let mut values: Vec<f64> = figures.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            [values[0], median(&values), values[values.len() - 1]]
        };
        let counts = column(&|figures| figures.count as f64);
        let times: Vec<[f64; 3]> =
            (0..Figures::TIMES.len()).map(|at| column(&|figures| figures.times()[at])).collect();
        for (place, name) in ["least", "median", "largest"].into_iter().enumerate() {
            let cells = [stage.into(), name.into(), grouped(counts[place] as u64)];
            table
                .rows
                .push(cells.into_iter().chain(times.iter().map(|time| microseconds(time[place]))).collect());
        }
        let distance = |values: &[f64; 3]| match values[1] {
            0.0 => "-".into(),
            middle => format!("{:.1}%", (values[2] - values[0]) / middle * 100.0),
        };
        let cells = [stage.into(), "spread".into(), distance(&counts)];
        table.rows.push(cells.into_iter().chain(times.iter().map(distance)).collect());
    }
    table
}

/// The one in the middle, or the mean of both that are; there must be one.
pub fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => sorted[middle - 1].midpoint(sorted[middle]),
        _ => sorted[middle],
    }
}

fn figures_of<'a>(of: &'a [Named<'a>], stage: &'a str) -> impl Iterator<Item = (&'a str, Figures)> {
    of.iter().filter_map(move |(name, recording)| {
        recording.of_stage(stage).next().map(|row| (*name, Figures::of(&row.histogram)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Choice;

    fn run(values: &[u64], merge: bool) -> Recording {
        let mut histogram =
            Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are good");
        values.iter().for_each(|value| histogram.saturating_record(*value));
        let rows = (0..2)
            .flat_map(|core| ["flush", "total"].map(|stage| (core, stage.to_string(), histogram.clone())));
        Recording::of(rows, 2.0, &Choice { merge, ..Choice::default() }).expect("there are rows")
    }

    fn names(chart: &Chart) -> Vec<&str> {
        chart.curves.iter().map(|curve| curve.name.as_str()).collect()
    }

    #[test]
    fn curves_are_called_what_tells_them_apart() {
        let (apart, merged) = (run(&[1_000_000], false), run(&[1_000_000], true));
        let one = latency_by_percentile("", &[("a", &apart)], &["total"], false);
        assert_eq!(names(&one), ["core 0", "core 1"]);
        let stages = latency_by_percentile("", &[("a", &merged)], &["flush", "total"], false);
        assert_eq!(names(&stages), ["flush", "total"]);
        let two = latency_by_percentile("", &[("a", &merged), ("b", &merged)], &["total"], false);
        assert_eq!(names(&two), ["a", "b"]);
        assert_eq!(names(&throughput(&[("a", &merged)], "total")), ["all cores"]);
    }

    #[test]
    fn throughput_is_what_ended_in_the_time_it_took() {
        let merged = run(&[1_000_000; 5], true);
        let chart = throughput(&[("a", &merged)], "total");
        assert_eq!(
            chart.curves[0].points,
            [(0.0, 5.0), (2.0, 5.0)],
            "two cores, five requests each, in two seconds"
        );
        assert!(!has_times(&merged), "one interval is no course of time");
    }

    #[test]
    fn runs_are_compared_with_the_first_and_their_spread_is_told() {
        let runs = [run(&[1_000_000], true), run(&[2_000_000; 2], true), run(&[4_000_000; 3], true)];
        let named: Vec<Named<'_>> = ["a", "b", "c"].into_iter().zip(&runs).collect();
        let compared = comparison(&named);
        assert_eq!(compared.rows.len(), 10, "{compared:?}");
        assert_eq!(compared.rows[4][2], "× 3.000");
        let spread = spread(&named);
        let counts: Vec<&str> = spread.rows[..4].iter().map(|row| row[2].as_str()).collect();
        assert_eq!(counts, ["2", "4", "6", "100.0%"]);
        assert_eq!(median(&[1.0, 3.0]), 2.0);
        let chart = spread_by_percentile("", &named, "total", false);
        let [curve] = &chart.curves[..] else { panic!("{chart:?}") };
        assert!(curve.points.len() >= 2 && curve.points.len() == curve.spread.len(), "{curve:?}");
        for ((_, middle), (least, largest)) in curve.points.iter().zip(&curve.spread) {
            let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.01;
            assert!(near(*least, 1e6) && near(*middle, 2e6) && near(*largest, 4e6), "{curve:?}");
        }
    }
}
