//! The page: figures in, Prometheus' text format (version 0.0.4) out. No I/O, no clock.
//!
//! Names follow the conventions of the field: base units (seconds, bytes) last in a name, `_total` for what only grows, one meaning to a
//! name, labels for what can be added up.

use super::figures::{Durations, Figures};
use super::list::METRICS;
use super::machine::{CoreTimes, Process};
use auriga_shards::buckets::BOUNDS_NS;
use auriga_shards::checkpoint::plan::Policy;
use auriga_wire::report::Status;
use std::fmt::Write;

/// Everything that a page is made of.
pub struct Snapshot<'a> {
    /// What is one for the whole server.
    pub whole: Whole,
    /// By shard.
    pub figures: Vec<Figures>,
    /// By shard.
    pub cores: &'a [CoreTimes],
    /// The process.
    pub process: Process,
}

/// What is one for the whole server.
#[derive(Default)]
pub struct Whole {
    /// What only the server knows of its status; what the shards know is in their figures.
    pub status: Status,
    /// Bound on accounts.
    pub accounts_max: u64,
    /// Bound on remembered ids.
    pub ids_max: u64,
    /// Bound on pending transfers.
    pub pendings_max: u64,
    /// How long time-ordered ids are remembered, nanoseconds.
    pub window_ns: u64,
    /// Bound on connections.
    pub connections_max: u64,
    /// How checkpoints are taken.
    pub checkpoints: Policy,
    /// Large receive buffers of a core.
    pub buffers_max: u64,
    /// Bytes of replies not taken from which a core's look-ups wait.
    pub unsent_max: u64,
    /// Open connections, by shard.
    pub connections: Vec<u64>,
}

impl Snapshot<'_> {
    /// The newest executed epoch in which anything happened, and its time. In the gap of an epoch one shard may be ahead of another.
    pub fn newest(&self) -> (u64, u64) {
        let newest = self.figures.iter().map(|shard| (shard.epoch, shard.epoch_time_ns));
        newest.max().unwrap_or_default()
    }
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until a restart.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by bucket.
    Histogram,
}

impl Kind {
    /// Its name in the format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// What it says, in a line without line breaks, quotation marks or backslashes.
    pub help: &'static str,
    /// Writes its samples.
    pub samples: fn(&Snapshot<'_>, &mut Samples<'_>),
}

/// Where the samples of one metric are written.
pub struct Samples<'a> {
    metric: &'a Metric,
    page: &'a mut String,
}

impl Samples<'_> {
    /// A sample without labels.
    pub fn one(&mut self, value: impl Into<Value>) {
        self.add(&[], value);
    }

    /// A sample without labels, if it is known.
    pub fn known(&mut self, value: Option<impl Into<Value>>) {
        value.into_iter().for_each(|value| self.one(value));
    }

    /// A sample with these values of the labels, which need no escape.
    pub fn add(&mut self, labels: &[&dyn std::fmt::Display], value: impl Into<Value>) {
        self.line("", labels, None, &value.into());
    }

    /// The samples of a histogram.
    pub fn durations(&mut self, labels: &[&dyn std::fmt::Display], durations: &Durations) {
        let (sum_ns, counts) = durations.split_last().expect("there is a sum");
        let mut sum = 0;
        for (place, count) in counts.iter().enumerate() {
            sum += count;
            let bound = BOUNDS_NS.get(place).map_or(f64::INFINITY, |bound| seconds(*bound));
            self.line("_bucket", labels, Some(bound), &sum.into());
        }
        self.line("_sum", labels, None, &seconds(*sum_ns).into());
        self.line("_count", labels, None, &sum.into());
    }

    fn line(&mut self, suffix: &str, labels: &[&dyn std::fmt::Display], bound: Option<f64>, value: &Value) {
        let Metric { name, labels: names, .. } = self.metric;
        assert_eq!(labels.len(), names.len(), "{name} has these labels: {names:?}");
        let page = &mut *self.page;
        page.push_str(name);
        page.push_str(suffix);
        let mut separator = '{';
        for (name, value) in names.iter().zip(labels) {
            write!(page, "{separator}{name}=\"{value}\"").expect("text is written into memory");
            separator = ',';
        }
        if let Some(bound) = bound {
            let bound = if bound.is_infinite() { "+Inf".into() } else { bound.to_string() };
            write!(page, "{separator}le=\"{bound}\"").expect("text is written into memory");
            separator = ',';
        }
        if separator == ',' {
            page.push('}');
        }
        match value {
            Value::Whole(number) => writeln!(page, " {number}"),
            Value::Real(number) => writeln!(page, " {number}"),
        }
        .expect("text is written into memory");
    }
}

/// A sample's value.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// A count, or bytes.
    Whole(u64),
    /// Seconds.
    Real(f64),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

/// Seconds of nanoseconds.
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// Appends the page. A metric of which nothing is known is left out.
pub fn write(snapshot: &Snapshot<'_>, page: &mut String) {
    for metric in METRICS {
        let Metric { name, kind, help, samples, .. } = metric;
        let begin = page.len();
        writeln!(page, "# HELP {name} {help}\n# TYPE {name} {}", kind.name())
            .expect("text is written into memory");
        let empty = page.len();
        samples(snapshot, &mut Samples { metric, page });
        if page.len() == empty {
            page.truncate(begin);
        }
    }
}
