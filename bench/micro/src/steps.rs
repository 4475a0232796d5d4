//! What each step of an epoch costs on this machine, measured: the inputs of [`crate::model`], and the times that its
//! predictions are held against.
//!
//! Figures are medians of rounds, and within a round each is measured once, so that a change of the machine's pace meets all alike.

mod pacing;
mod rings;

use crate::parts::{self, CpuTime};
use crate::stage::{Ready, Stage, TRANSFERS, Work};
use crate::whole::Whole;
use crate::{disk, median};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Rounds: each figure is the median of so many.
const ROUNDS: usize = 11;
/// Blocks of the epoch of which the serial loop's cost is taken: a quarter of a full one.
const SERIAL_BLOCKS: u16 = 2;
/// Shards of which the cost of a pair is taken.
const MANY: u16 = 64;

/// Every step, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// For a transfer: the server's half of the copies over loopback TCP.
    pub receive: f64,
    /// For a transfer: [`Stage::Parse`].
    pub parse: f64,
    /// For a transfer: [`Stage::Append`].
    pub append: f64,
    /// For a transfer: [`Stage::Route`].
    pub route: f64,
    /// For a transfer: [`Stage::Hop`].
    pub hop: f64,
    /// For a transfer: [`Stage::Legs`].
    pub legs: f64,
    /// For a transfer: [`Stage::Ids`].
    pub ids: f64,
    /// For a transfer: [`Stage::Vote`].
    pub vote: f64,
    /// For a transfer: [`Stage::Apply`].
    pub apply: f64,
    /// For a transfer: [`Stage::Reply`].
    pub reply: f64,
    /// For a transfer: the serial loop of one shard, in an epoch of a quarter of the largest size.
    pub serial: f64,
    /// For a shard that has no block in it: [`Stage::Begin`] of an epoch of the largest size.
    pub begin: f64,
    /// For a shard and each other one: what a full epoch takes more than the stages and the beginnings, on 64 shards in one thread. An
    /// upper bound for shards that have a core each: 64 leave each other nothing in its caches.
    pub pair: f64,
    /// For a message: into a ring and out of it, both sides, within one thread.
    pub message: f64,
    /// The same from one core to another.
    pub message_across: f64,
    /// Until a message that is waited for is there, from one core to another.
    pub hop_latency: f64,
    /// For a ring that is empty: the look at it.
    pub poll: f64,
    /// For an epoch: the pacer, the cut and its copies for the shards, with one shard.
    pub pacer_1: f64,
    /// The same with 16.
    pub pacer_16: f64,
    /// The same with 64.
    pub pacer_64: f64,
    /// The same with 128.
    pub pacer_128: f64,
    /// Until a cut alone is durable on this machine's disk.
    pub cut_write: f64,
    /// For a transfer of a full epoch: its execution on one shard. Held against what is predicted of it.
    pub whole_on_1: f64,
    /// The same on two, both in one thread.
    pub whole_on_2: f64,
}

const TITLE: &str = "# What each step costs, nanoseconds: medians, measured by bench/model --measure, which writes this file.\n\
                     # bench/micro/src/steps.rs tells what each one is. whole_on_N are no inputs: predictions are held against them.\n";

impl Steps {
    /// Measures all of them; cuts are written to this directory.
    pub fn measure(directory: &Path) -> std::io::Result<Self> {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(Self::measure_once(directory)?.figures());
        }
        let median =
            |name: &String| (name.clone(), median::median(rounds.iter().map(|round| round[name]).collect()));
        Self::of(rounds[0].keys().map(median).collect()).map_err(std::io::Error::other)
    }

    fn measure_once(directory: &Path) -> std::io::Result<Self> {
        let rings = rings::measure();
        let mut steps = Self {
            receive: parts::receive()?,
            parse: stage(Stage::Parse),
            append: stage(Stage::Append),
            route: stage(Stage::Route),
            hop: stage(Stage::Hop),
            whole_on_1: whole(Whole::before(1), Whole::transfers(1)),
            whole_on_2: whole(Whole::before(2), Whole::transfers(2)),
            legs: stage(Stage::Legs),
            ids: stage(Stage::Ids),
            vote: stage(Stage::Vote),
            apply: stage(Stage::Apply),
            reply: stage(Stage::Reply),
            serial: whole(Whole::before_blocks(SERIAL_BLOCKS), u64::from(SERIAL_BLOCKS) * TRANSFERS / 8),
            begin: stage(Stage::Begin) * TRANSFERS as f64,
            message: rings.message,
            message_across: rings.message_across,
            hop_latency: rings.hop_latency,
            poll: rings.poll,
            pacer_1: pacing::epoch(1),
            pacer_16: pacing::epoch(16),
            pacer_64: pacing::epoch(64),
            pacer_128: pacing::epoch(128),
            cut_write: disk::cut(directory)?.as_nanos() as f64,
            ..Self::default()
        };
        steps.pair = steps.pair_of(MANY, whole(Whole::before(MANY), Whole::transfers(MANY)));
        Ok(steps)
    }

    /// What is left for each pair of so many shards of what a transfer takes on them.
    fn pair_of(&self, shards: u16, transfer: f64) -> f64 {
        let (transfers, shards) = (Whole::transfers(shards) as f64, f64::from(shards));
        let surplus = (transfer - self.stages()) * transfers - (shards - 1.0) * self.begin;
        surplus / (shards * (shards - 1.0))
    }

    /// For a transfer: all stages of its execution.
    pub fn stages(&self) -> f64 {
        self.route + self.voting()
    }

    /// For a transfer: those of them where accounts and id are.
    pub fn voting(&self) -> f64 {
        self.hop + self.legs + self.ids + self.vote + self.apply
    }

    fn figures(&self) -> BTreeMap<String, f64> {
        let value = serde_json::to_value(self).expect("fields are numbers");
        serde_json::from_value(value).expect("an object of numbers")
    }

    fn of(figures: BTreeMap<String, f64>) -> Result<Self, String> {
        if let Some((name, bad)) = figures.iter().find(|(_, ns)| !(ns.is_finite() && **ns > 0.0)) {
            return Err(format!("found {name} {bad}, expected nanoseconds above 0"));
        }
        serde_json::to_value(figures).and_then(serde_json::from_value).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TITLE)?;
        self.figures().iter().try_for_each(|(name, ns)| writeln!(f, "{name:<16}{ns:>12.2}"))
    }
}

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let figure = |line: &str| {
            let read =
                line.split_once(' ').and_then(|(name, ns)| Some((name.into(), ns.trim().parse().ok()?)));
            read.ok_or_else(|| format!("found `{line}`, expected a step and nanoseconds"))
        };
        Self::of(lines.map(figure).collect::<Result<_, String>>()?)
    }
}

/// Nanoseconds a transfer.
fn stage(stage: Stage) -> f64 {
    let ready = Ready::before(Work::Plain, stage);
    time(|| ready.run()) / TRANSFERS as f64
}

/// Nanoseconds a transfer.
fn whole(before: Whole, transfers: u64) -> f64 {
    time(|| before.run()) / transfers as f64
}

/// CPU time of this thread, nanoseconds, without that of the result's end.
fn time<T>(work: impl FnOnce() -> T) -> f64 {
    let begun = CpuTime::of_this_thread();
    let result = work();
    let time = begun.elapsed();
    drop(result);
    time.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_steps_can_be_read_as_they_were_written() {
        let text = include_str!("../model.txt");
        let steps: Steps = text.parse().expect("as it was written");
        assert_eq!(steps.to_string(), text);
    }

    #[test]
    fn what_is_missing_or_unknown_or_nothing_is_told() {
        let text = include_str!("../model.txt");
        let cases = [
            (text.replace("route ", "rout "), "rout"),
            (text.replace("parse ", "# parse "), "parse"),
            (text.replace("parse ", "parse x"), "expected a step and nanoseconds"),
            (format!("{text}vote 0\n"), "found vote 0"),
        ];
        for (text, words) in cases {
            assert!(text.parse::<Steps>().is_err_and(|why| why.contains(words)), "{words}");
        }
    }
}
