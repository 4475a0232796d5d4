//! What outlives a server, and who looks on.

use crate::clients::Clients;
use crate::disk::Disk;
use crate::history::History;
use crate::invariants::{Broken, Memory, read};
use crate::tally::Tally;
use crate::trace::Trace;
use crate::truth::Truth;
use crate::weather::Weather;
use crate::{SECOND_NS, WALL_NS};
use auriga_shards::checkpoint::plan::Policy;
use auriga_shards::limits::Limits;
use auriga_shards::log::IdMode;
use auriga_tests::random_log::RandomLog;
use fastrand::Rng;

/// One in so many disks is old: its segments end soon.
const OLD_ONE_IN: u64 = 100;
/// To one in so many servers requests come that are as large as can be.
const HEAVY_ONE_IN: u64 = 100;
/// How far the clock is set back, or the server rests, between two lives, nanoseconds.
const STEP_BACK_MAX_NS: u64 = 10 * SECOND_NS;
const REST_MAX_NS: u64 = 3_600 * SECOND_NS;
/// Further ahead than a start takes for granted.
const AWAY_NS: u64 = 91 * 86_400 * SECOND_NS;

/// What outlives a server, and who looks on.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
    pub(crate) disk: Disk,
    pub(crate) truth: Truth,
    pub(crate) clients: Clients,
    pub(crate) history: Option<History>,
    pub(crate) memory: Memory,
    pub(crate) limits: Limits,
    pub(crate) checkpoints: Policy,
    pub(crate) weather: Weather,
    /// Epochs that were on the disk before the first life.
    pub(crate) epochs_given: usize,
    wall_ns: u64,
    /// The newest incarnation that served.
    pub(crate) incarnation: u64,
    pub(crate) tally: Tally,
}

impl World {
    /// The world of a seed.
    pub(crate) fn new(seed: u64) -> Result<Self, Broken> {
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
        let windows = [limits.window_ns, REST_MAX_NS, SECOND_NS, rng.u64(..2 * SECOND_NS)];
        let limits = Limits { window_ns: windows[rng.usize(..4)], ..limits };
        let has_history = rng.bool();
        let checkpoints = Policy {
            every: [0, 20_000, 100_000, 500_000][rng.usize(..4)],
            // Often, whatever there is.
            times: 1,
            every_max: u64::MAX,
            kept_max: [0, 1_000, usize::MAX][rng.usize(..3)],
            pendings_may_go: has_history && rng.bool(),
        };
        let has_cache = rng.bool();
        let disk = if old { Disk::old(id_mode, has_cache, &mut rng) } else { Disk::new(id_mode, has_cache) };
        let mut world = Self {
            disk,
            trace: Trace::default(),
            truth: Truth::new(),
            clients: Clients::new(&log, heavy, &mut rng),
            history: has_history.then(History::default),
            memory: Memory::default(),
            limits,
            checkpoints,
            weather: Weather::draw(&mut rng),
            epochs_given: 0,
            wall_ns: WALL_NS,
            incarnation: u64::from(old),
            tally: Tally::default(),
            rng,
        };
        read(&mut world)?;
        world.epochs_given = world.truth.epochs.len();
        Ok(world)
    }

    /// The wall clock at a start, and whether it is taken as it is. Sometimes it is further from the log's time than a start
    /// takes for granted.
    pub(crate) fn start_clock(&mut self, calm: bool) -> (u64, bool) {
        self.wall_ns = self.wall_ns.max(self.truth.end.time_end);
        self.wall_ns = if self.rng.bool() {
            self.wall_ns + self.rng.u64(..REST_MAX_NS)
        } else {
            self.wall_ns - self.rng.u64(..STEP_BACK_MAX_NS)
        };
        if calm || self.truth.end.epoch == 0 || self.rng.u8(..8) > 0 {
            return (self.wall_ns, false);
        }
        let away = if self.rng.bool() {
            self.wall_ns / 2
        } else {
            self.wall_ns + self.rng.u64(AWAY_NS..2 * AWAY_NS)
        };
        (away, self.rng.u8(..4) > 0)
    }
}
