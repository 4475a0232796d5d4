//! The figure in the middle of several.

use std::time::Duration;

/// The one in the middle; of an even count the mean of the two there. Panics if there is none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let count = figures.len();
    (figures[(count - 1) / 2] + figures[count / 2]) / 2.0
}

/// The same of times.
pub fn median_time(times: &[Duration]) -> Duration {
    Duration::from_secs_f64(median(times.iter().map(Duration::as_secs_f64).collect()))
}
