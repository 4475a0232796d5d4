//! The latency histograms of one shard: one per stage, recorded on its own core, without a lock.

use crate::buckets::Buckets;
use auriga_wire::report::{ShardHistograms, StageHistogram};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};

/// A stage of a request's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Whole in memory until its epoch is closed.
    Arrive,
    /// Until the epoch is committed.
    Flush,
    /// Until the epoch is executed.
    Execute,
    /// Until the reply is handed to the socket.
    Reply,
    /// From arrival to reply.
    Total,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 5] = [Self::Arrive, Self::Flush, Self::Execute, Self::Reply, Self::Total];

    /// The stage's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arrive => "arrive",
            Self::Flush => "flush",
            Self::Execute => "execute",
            Self::Reply => "reply",
            Self::Total => "total",
        }
    }
}

/// Values are nanoseconds from 1 us to 60 s, with 3 significant digits; what lies outside is recorded at the end.
#[derive(Debug)]
pub struct Histograms {
    stages: [Histogram<u64>; 5],
}

/// What a shard records: the intervals that were taken, and the one since.
#[derive(Debug, Default)]
pub struct Recorder {
    taken: Histograms,
    interval: Histograms,
    /// Since the start, by request: from the closing of its epoch to the commit.
    pub commits: Buckets,
    /// Since the start, by request: from arrival to reply.
    pub requests: Buckets,
}

impl Recorder {
    /// Records a duration in nanoseconds.
    #[inline]
    pub fn record(&mut self, stage: Stage, ns: u64) {
        self.interval.record(stage, ns);
        match stage {
            Stage::Flush => self.commits.record(ns),
            Stage::Total => self.requests.record(ns),
            _ => {}
        }
    }

    /// Takes the interval since the last call, in exchange for empty histograms.
    pub fn take_interval(&mut self, empty: &mut Histograms) {
        self.taken.add(&self.interval);
        std::mem::swap(&mut self.interval, empty);
    }

    /// Everything since the start.
    pub fn whole(&self) -> Histograms {
        let mut whole = Histograms::new();
        whole.add(&self.taken);
        whole.add(&self.interval);
        whole
    }
}

impl Histograms {
    /// Empty histograms.
    pub fn new() -> Self {
        let new =
            |_| Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("constant bounds are valid");
        Self { stages: Stage::ALL.map(new) }
    }

    /// Records a duration in nanoseconds.
    #[inline]
    pub fn record(&mut self, stage: Stage, ns: u64) {
        self.stages[stage as usize].saturating_record(ns);
    }

    /// One stage's histogram.
    pub fn stage(&self, stage: Stage) -> &Histogram<u64> {
        &self.stages[stage as usize]
    }

    fn add(&mut self, other: &Self) {
        for (sum, stage) in self.stages.iter_mut().zip(&other.stages) {
            sum.add(stage).expect("all histograms have the same bounds");
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.stages.iter_mut().for_each(Histogram::reset);
    }

    /// All stages, encoded for the wire.
    pub fn report(&self, shard: u32, cpu: u32, shards: u32) -> ShardHistograms {
        let encode = |stage: Stage| {
            let mut v2 = Vec::new();
            V2Serializer::new()
                .serialize(self.stage(stage), &mut v2)
                .expect("a histogram is serialised into memory");
            StageHistogram { stage: stage.name().into(), v2 }
        };
        ShardHistograms { shard, cpu, shards, stages: Stage::ALL.map(encode).into() }
    }
}

impl Default for Histograms {
    fn default() -> Self {
        Self::new()
    }
}
