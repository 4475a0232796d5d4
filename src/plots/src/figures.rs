//! The numbers of a histogram: quantiles, the curve over percentiles, the text that other tools plot.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt::Write as _;

/// Points of a curve in each half of the distance to 100 %, as other plots of HdrHistogram have.
const TICKS_A_HALF: u32 = 5;

/// What a table shows of a histogram; times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// How many values there are.
    pub count: u64,
    /// Median.
    #[serde(rename = "p50_ns")]
    pub p50: u64,
    /// 90 %.
    #[serde(rename = "p90_ns")]
    pub p90: u64,
    /// 99 %.
    #[serde(rename = "p99_ns")]
    pub p99: u64,
    /// 99.9 %.
    #[serde(rename = "p999_ns")]
    pub p999: u64,
    /// 99.99 %.
    #[serde(rename = "p9999_ns")]
    pub p9999: u64,
    /// The largest.
    #[serde(rename = "max_ns")]
    pub max: u64,
    /// The mean.
    #[serde(rename = "mean_ns")]
    pub mean: f64,
}

impl Figures {
    /// Names of the times, as columns have them.
    pub const TIMES: [&str; 7] = ["p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"];

    /// Those of a histogram of nanoseconds; zeros if it is empty.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: histogram.max(),
            mean: histogram.mean(),
        }
    }

    /// The times in the order of [`Figures::TIMES`].
    pub fn times(&self) -> [f64; 7] {
        let Self { p50, p90, p99, p999, p9999, max, mean, .. } = *self;
        [p50 as f64, p90 as f64, p99 as f64, p999 as f64, p9999 as f64, max as f64, mean]
    }
}

/// The curve of a histogram: 1 / (1 - percentile), and the value there in nanoseconds. It ends where one value of all is left.
pub fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let last = histogram.len() as f64;
    let points = histogram.iter_quantiles(TICKS_A_HALF);
    let mut curve: Vec<(f64, f64)> = points
        .map(|point| {
            ((1.0 / (1.0 - point.quantile_iterated_to())).min(last), point.value_iterated_to() as f64)
        })
        .collect();
    curve.dedup_by_key(|(inverse, _)| *inverse);
    curve
}

/// The percentile distribution in the text that HdrHistogram's own tools write (`.hgrm`), values in microseconds.
pub fn distribution(histogram: &Histogram<u64>) -> String {
    const NANOSECONDS: f64 = 1e3;
    let mut text =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for point in histogram.iter_quantiles(TICKS_A_HALF) {
        count += point.count_since_last_iteration();
        let (value, quantile) =
            (point.value_iterated_to() as f64 / NANOSECONDS, point.quantile_iterated_to());
        // Writing to a string can't fail.
        let _ = write!(text, "{value:>12.3} {quantile:.12} {count:>10}");
        let _ = match quantile < 1.0 {
            true => writeln!(text, " {:>14.2}", 1.0 / (1.0 - quantile)),
            false => writeln!(text),
        };
    }
    let (mean, deviation) = (histogram.mean() / NANOSECONDS, histogram.stdev() / NANOSECONDS);
    let (max, total) = (histogram.max() as f64 / NANOSECONDS, histogram.len());
    let half_digits = 10u64.pow(u32::from(histogram.sigfig()));
    let (buckets, parts) = (histogram.buckets(), (2 * half_digits).next_power_of_two());
    let _ = writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let _ = writeln!(text, "#[Max     = {max:>12.3}, Total count    = {total:>12}]");
    let _ = writeln!(text, "#[Buckets = {buckets:>12}, SubBuckets     = {parts:>12}]");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thousand() -> Histogram<u64> {
        let mut histogram =
            Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are good");
        (1..=1_000).for_each(|value| histogram.saturating_record(value * 1_000));
        histogram
    }

    /// Whether a value is the other one, or the next that was recorded, as far as three digits go.
    fn is_near(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= expected / 500.0 + 1_000.0
    }

    #[test]
    fn figures_are_those_of_the_values() {
        let figures = Figures::of(&thousand());
        assert_eq!(figures.count, 1_000);
        let expected = [500e3, 900e3, 990e3, 999e3, 1_000e3, 1_000e3, 500.5e3];
        for (found, expected) in figures.times().into_iter().zip(expected) {
            assert!(is_near(found, expected), "{found}, expected {expected}");
        }
        let empty = Histogram::<u64>::new(3).expect("three digits");
        assert_eq!(Figures::of(&empty), Figures::default());
    }

    #[test]
    fn a_curve_rises_to_the_last_value() {
        let curve = curve(&thousand());
        assert!(curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{curve:?}");
        assert!(curve.iter().all(|(inverse, _)| (1.0..=1_000.0).contains(inverse)), "{curve:?}");
        let at_ninety = curve.iter().find(|(inverse, _)| *inverse >= 10.0).expect("it gets there");
        assert!((899e3..=920e3).contains(&at_ninety.1), "{at_ninety:?}");
        assert!(is_near(curve.last().expect("points").1, 1_000e3));
    }

    #[test]
    fn the_distribution_is_laid_out_as_other_tools_read_it() {
        let text = distribution(&thousand());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
        assert_eq!(lines[1], "");
        let rows: Vec<Vec<f64>> = lines[2..]
            .iter()
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|word| word.parse().expect("a number")).collect())
            .collect();
        assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2]), "{text}");
        let median = rows.iter().find(|row| row[1] == 0.5).expect("the median has a row");
        assert!(
            is_near(median[0] * 1e3, 500e3) && median[3] == 2.0 && is_near(median[2], 500.0),
            "{median:?}"
        );
        let last = rows.last().expect("rows");
        assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 1_000.0));
        assert!(text.contains("Total count    =         1000]\n"), "{text}");
        assert!(text.ends_with(", SubBuckets     =         2048]\n"), "{text}");
    }
}
