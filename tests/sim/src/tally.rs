//! What was compared in the runs, and what occurred while it was.

use auriga_tests::seeds::Count;
use std::collections::BTreeMap;
use std::fmt;

macro_rules! tally {
    ($($(#[$doc:meta])* $name:ident: $text:literal,)*) => {
        /// What was compared, and what occurred while it was.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Tally {
            $($(#[$doc])* pub $name: u64,)*
            /// Requests refused as a whole, by the fault.
            pub faults: BTreeMap<&'static str, u64>,
            /// Damage by its kind and by what it was to.
            pub damage: BTreeMap<(&'static str, &'static str), u64>,
            /// The sum of the runs' traces, each with its seed.
            pub trace: u128,
        }

        impl Tally {
            /// Each count with what it counts.
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$(($text, self.$name)),*]
            }
        }

        impl Count for Tally {
            fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
                for (name, count) in &other.faults {
                    *self.faults.entry(name).or_default() += count;
                }
                for (name, count) in &other.damage {
                    *self.damage.entry(*name).or_default() += count;
                }
                self.trace = self.trace.wrapping_add(other.trace);
            }
        }
    };
}

tally! {
    /// Steps of all machines.
    steps: "steps",
    /// Starts that came to serve.
    starts: "starts that came to serve",
    /// Replies to creations compared.
    requests: "replies to creations",
    /// Events of those requests.
    events: "events of these",
    /// Look-ups compared.
    look_ups: "look-ups",
    /// Of these, answered with a state newer than they had to be.
    look_ups_behind: "look-ups that saw more than they had to",
    /// Statuses of a server that does not serve yet.
    early_statuses: "statuses before serving",
    /// Questions about the past compared.
    questions: "questions about the past",
    /// States compared with the model's, of all shards after the same epoch.
    cuts: "states after a cut, of all shards",
    /// Of these, after an epoch that was compared in another life, too.
    cuts_again: "states after a cut that an earlier life has seen",
    /// Epochs that history was told of.
    told: "epochs told to history",
    /// Power failures.
    power_failures: "power failures",
    /// The process died, and the disk went on.
    kills: "kills",
    /// The process died because a write failed.
    failed_writes: "failed writes",
    /// Of all these, before any shard served.
    deaths_in_replay: "deaths before serving",
    /// Of all these, while a checkpoint was loaded.
    deaths_in_load: "deaths while a checkpoint is loaded",
    /// Writes under way then that are lost.
    lost: "writes lost",
    /// That are done all the same.
    done: "writes done, and not reported",
    /// That are there in parts.
    torn: "writes torn",
    /// Deaths that a later write outlived, and not an earlier one.
    reordered: "writes that outlived an earlier one",
    /// Writes that ended while a flush was under way that didn't make them durable.
    flushed_past: "writes that another shard's flush has missed",
    /// Epochs that a replay dropped.
    dropped: "epochs dropped",
    /// Of these, that were the newest and had rotted, or could not be read.
    dropped_by_damage: "newest epochs dropped because of damage",
    /// Creations that were not answered when the server died.
    unknown: "creations left open",
    /// Requests that were deferred.
    deferred: "requests deferred",
    /// Reads for a request that failed or brought other bytes.
    bad_reads: "bad reads for requests",
    /// Of these, noticed.
    damage_found: "bad reads noticed",
    /// Reads of a start that failed or brought other bytes.
    bad_start_reads: "bad reads of starts",
    /// Starts that were refused because of damage.
    refused: "starts refused because of damage",
    /// Of these, because of what only a checkpoint knew.
    refused_by_checkpoint: "starts refused because a checkpoint knew of more",
    /// Starts refused because no checkpoint was left.
    no_checkpoint: "starts refused without a checkpoint",
    /// Starts that damage at rest didn't matter to.
    harmless: "starts past damage that doesn't matter",
    /// Starts refused because of the clock.
    clock_away: "starts refused because of the clock",
    /// The wall clock was set forwards, or backwards, while a server ran.
    jumps_ahead: "jumps of the clock ahead",
    /// Backwards.
    jumps_back: "jumps of the clock back",
    /// A shard, or a disk, stood still for long.
    stalls: "stalls",
    /// The server was told to stop while it worked.
    stops: "stops",
    /// The disk was full for a while.
    full: "full disks",
    /// Errands that failed.
    errands_failed: "errands failed",
    /// Checkpoints that became whole.
    checkpoints: "checkpoints",
    /// Starts that took their state from one.
    loads: "checkpoints loaded",
    /// Checkpoints that were damaged, and noticed.
    checkpoints_damaged: "checkpoints damaged, and noticed",
    /// Epochs that were removed from the log.
    recycled: "epochs recycled",
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.counts() {
            writeln!(f, "{count:>12} {name}")?;
        }
        for ((kind, of), count) in &self.damage {
            writeln!(f, "{count:>12} {kind} in {of}")?;
        }
        for (name, count) in &self.faults {
            writeln!(f, "{count:>12} requests refused: {name}")?;
        }
        write!(f, "trace {:032x}", self.trace)
    }
}
