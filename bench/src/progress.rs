//! The progress bar: on a terminal only, to stderr.

use auriga_plots::number::{grouped as count, milliseconds};
use auriga_signals::Glance;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// How often the bar is drawn.
pub const REFRESH: Duration = Duration::from_millis(200);

/// The bar of one phase.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    start: Instant,
    last: (Instant, u64),
}

impl Progress {
    /// A bar that is full after `length`.
    pub fn start(what: &str, length: Duration) -> Self {
        let bar = ProgressBar::new(length.as_millis() as u64);
        if let Ok(style) = ProgressStyle::with_template("{prefix:9} {bar:16} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_string());
        let start = Instant::now();
        Self { bar, start, last: (start, 0) }
    }

    /// Draws what the workers show.
    pub fn draw<'a>(&mut self, glances: impl Iterator<Item = &'a Glance>) {
        let (mut created, mut refused, mut errors, mut p99) = (0, 0, 0, 0);
        for glance in glances {
            created += glance.created();
            refused += glance.refused();
            errors += glance.errors();
            p99 = p99.max(glance.p99_ns());
        }
        let now = Instant::now();
        let seconds = (now - self.last.0).as_secs_f64().max(0.001);
        let rate = (created.saturating_sub(self.last.1) as f64 / seconds) as u64;
        self.last = (now, created);
        self.bar.set_position((now - self.start).as_millis() as u64);
        self.bar.set_message(format!(
            "{}/s, p99 {} ms, {} refused, {} errors",
            count(rate),
            milliseconds(p99 as f64),
            count(refused),
            count(errors)
        ));
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
