//! The whole shard against the reference model: arrival, pacer, log, commit, execution, replies, look-ups and replay,
//! with power failures between and within.
//!
//! All shards run in one thread, on a fake disk, rings and clock, in randomly chosen legal steps. Which request comes
//! before which is theirs to decide, so the truth is read from the log: after each life of the server the model executes
//! what lies on the disk, and every reply that a client had must be what the model says. A life ends when all is done, or
//! when the power goes; the next one goes on with the same disk and another number of shards.

mod check;
mod choice;
mod clients;
mod disk;
mod keeper;
mod machine;
mod operations;
mod slots;
mod truth;

use crate::random_log::RandomLog;
use crate::seeds::Count;
use auriga_shards::checkpoint::plan::Policy;
use auriga_shards::limits::Limits;
use auriga_shards::log::IdMode;
use clients::Clients;
use disk::Disk;
use fastrand::Rng;
use machine::{Fortune, Machine};
use std::collections::BTreeMap;
use std::fmt;
use truth::Truth;

/// The numbers of shards that a server is started with.
pub const SHARDS: [u16; 4] = [1, 2, 3, 8];
/// Most lives of a server.
const LIVES_MAX: u32 = 8;
/// One in so many disks is old: its segments end soon.
const OLD_ONE_IN: u64 = 100;
/// To one in so many servers requests come that are as large as can be.
const HEAVY_ONE_IN: u64 = 100;
/// When the first server is started.
const WALL_NS: u64 = 1_700_000_000_000_000_000;
/// How far the clock is set back, or the server rests, between two lives, nanoseconds.
const STEP_BACK_MAX: u64 = 10_000_000_000;
const REST_MAX: u64 = 3_600 * SECOND;
const SECOND: u64 = 1_000_000_000;

/// What the engine did otherwise than it must.
#[derive(Debug)]
pub struct Mismatch {
    /// Number of shards.
    pub shards: u16,
    /// Number of the server's life, from 0.
    pub life: u32,
    /// Steps of that life.
    pub step: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shards, life, step, what } = self;
        write!(f, "mismatch on {shards} shards, life {life}, step {step}: {what}")
    }
}

impl std::error::Error for Mismatch {}

/// What was compared, and what occurred while it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Steps of all machines.
    pub steps: u64,
    /// Starts that came to serve.
    pub starts: u64,
    /// Replies to creations compared.
    pub requests: u64,
    /// Events of those requests.
    pub events: u64,
    /// Look-ups compared.
    pub look_ups: u64,
    /// Of these, answered with a state newer than they had to be.
    pub look_ups_behind: u64,
    /// Power failures.
    pub crashes: u64,
    /// Of these, before any shard served.
    pub crashes_in_replay: u64,
    /// Writes under way then: lost, done, torn.
    pub fates: [u64; 3],
    /// Epochs that a replay dropped.
    pub dropped: u64,
    /// Creations that were not answered when the power went.
    pub unknown: u64,
    /// Requests that were deferred.
    pub deferred: u64,
    /// Reads for a request that failed or brought other bytes.
    pub bad_reads: u64,
    /// Of these, noticed.
    pub damage_found: u64,
    /// Checkpoints that became whole.
    pub checkpoints: u64,
    /// Starts that took their state from one, after every epoch or after one that was not the newest slot's.
    pub loads: u64,
    /// Checkpoints that were damaged, and noticed.
    pub checkpoints_damaged: u64,
    /// Epochs that were removed from the log.
    pub recycled: u64,
    /// Requests refused as a whole, by the fault.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Count for Tally {
    fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.starts += other.starts;
        self.requests += other.requests;
        self.events += other.events;
        self.look_ups += other.look_ups;
        self.look_ups_behind += other.look_ups_behind;
        self.crashes += other.crashes;
        self.crashes_in_replay += other.crashes_in_replay;
        for (sum, fate) in self.fates.iter_mut().zip(other.fates) {
            *sum += fate;
        }
        self.dropped += other.dropped;
        self.unknown += other.unknown;
        self.deferred += other.deferred;
        self.bad_reads += other.bad_reads;
        self.damage_found += other.damage_found;
        self.checkpoints += other.checkpoints;
        self.loads += other.loads;
        self.checkpoints_damaged += other.checkpoints_damaged;
        self.recycled += other.recycled;
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
    }
}

/// What outlives a power failure, and who looks on.
struct World {
    rng: Rng,
    disk: Disk,
    truth: Truth,
    clients: Clients,
    limits: Limits,
    checkpoints: Policy,
    /// Epochs that were on the disk before the first life.
    epochs_given: usize,
    /// Of the reads for requests, fail or bring other bytes.
    bad_reads_percent: u8,
    wall_ns: u64,
    /// The newest incarnation that served.
    incarnation: u64,
    tally: Tally,
}

impl World {
    /// The wall clock at a start. If `away`, further from the log's time than a start takes for granted.
    fn start_clock(&mut self, away: bool) -> u64 {
        self.wall_ns = self.wall_ns.max(self.truth.end.time_end);
        self.wall_ns = if self.rng.bool() {
            self.wall_ns + self.rng.u64(..REST_MAX)
        } else {
            self.wall_ns - self.rng.u64(..STEP_BACK_MAX)
        };
        if away { self.wall_ns / 2 } else { self.wall_ns }
    }
}

/// Runs one server through all its lives.
pub fn run(seed: u64) -> Result<Tally, Mismatch> {
    let mut rng = Rng::with_seed(seed);
    let log = RandomLog::new(seed);
    let one_in = |n: u64, rng: &mut Rng| rng.u64(..n) == 0;
    let old = one_in(OLD_ONE_IN, &mut rng);
    let heavy = one_in(HEAVY_ONE_IN, &mut rng);
    let limits = match one_in(16, &mut rng) {
        true => Limits {
            accounts_max: rng.u64(1..20),
            ids_max: rng.u64(1..500),
            pendings_max: rng.u64(1..20),
            ..Limits::default()
        },
        false => Limits::default(),
    };
    let id_mode = if log.has_time() { IdMode::Time } else { IdMode::Any };
    let window_ns = [limits.window_ns, REST_MAX, SECOND, rng.u64(..2 * SECOND)][rng.usize(..4)];
    let limits = Limits { window_ns, ..limits };
    let checkpoints = Policy {
        every: [0, 20_000, 100_000, 500_000][rng.usize(..4)],
        kept_max: [0, 1_000, usize::MAX][rng.usize(..3)],
        pendings_may_go: false,
    };
    let mut world = World {
        disk: if old { Disk::old(id_mode, &mut rng) } else { Disk::new(id_mode) },
        truth: Truth::new(),
        clients: Clients::new(&log, heavy, &mut rng),
        limits,
        checkpoints,
        epochs_given: 0,
        bad_reads_percent: if one_in(4, &mut rng) { 20 } else { 0 },
        wall_ns: WALL_NS,
        incarnation: u64::from(old),
        tally: Tally::default(),
        rng,
    };
    let shards = |rng: &mut Rng| SHARDS[rng.usize(..SHARDS.len())];
    let start = |what| Mismatch { shards: 0, life: 0, step: 0, what };
    world.truth.read(&mut world.disk, |_| true).map_err(start)?;
    world.epochs_given = world.truth.epochs.len();
    let lives = world.rng.u32(1..=LIVES_MAX);
    for life in 0..lives {
        let rng = &mut world.rng;
        let steps_max = [20, 100, 500, 3_000][rng.usize(..4)];
        let crash = (life + 1 < lives).then(|| rng.u64(1..steps_max));
        let full = one_in(4, rng);
        let fortune = Fortune {
            life,
            shards: shards(rng),
            crash,
            crash_later: rng.u8(..5) > 0,
            early: rng.bool(),
            full,
        };
        Machine::new(&mut world, fortune).run()?;
    }
    Ok(world.tally)
}
