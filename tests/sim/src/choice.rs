//! The random choice of what happens next.

use crate::machine::Machine;
use crate::operations::{Operation, WORK_KINDS};
use auriga_shards::execute::message::Lane;
use auriga_shards::place::ShardId;

/// After at most so many steps, others are the slow ones.
pub(crate) const MOOD_STEPS_MAX: u64 = 200;
/// Steps of a stall, at most.
const STALL_STEPS_MAX: u64 = 5_000;
/// Nanoseconds that a step takes at most while something has stalled.
const STALL_STEP_NS: u64 = 1_000_000_000;
/// At one in so many steps a client is there before the server is, or the pacer looks at the clock before it has to.
const EARLY_ONE_IN: u64 = 64;
/// How far the wall clock jumps, at most, nanoseconds: seconds, an hour, or years.
const JUMPS_NS: [u64; 3] = [10_000_000_000, 3_600_000_000_000, 100_000_000_000_000_000];

/// Something that may happen next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The message at the head of a ring is received.
    Receive { ring: usize },
    /// A read, a write or an errand goes on, or ends.
    Complete { operation: usize },
    /// A shard hears of the keeper.
    Hear(ShardId),
    /// The keeper does something for a wish.
    Keep { wish: usize },
    /// A request is offered.
    Offer { connection: usize },
    /// Time passes: the pacer's deadline is over, or not.
    Tick,
    /// A shard begins an epoch.
    Begin(ShardId),
    /// The server is told to stop.
    Stop,
    /// History takes an epoch.
    Remember,
    /// It gives facts back to a shard.
    GiveBack(ShardId),
    /// It answers a question.
    Answer { question: usize },
}

impl Step {
    /// A number that tells it from others.
    pub(crate) fn number(self) -> u64 {
        let (kind, which) = match self {
            Self::Receive { ring } => (0, ring),
            Self::Complete { operation } => (1, operation),
            Self::Hear(shard) => (2, shard.index()),
            Self::Keep { wish } => (3, wish),
            Self::Offer { connection } => (4, connection),
            Self::Tick => (5, 0),
            Self::Remember => (6, 0),
            Self::GiveBack(shard) => (7, shard.index()),
            Self::Answer { question } => (8, question),
            Self::Begin(shard) => (9, shard.index()),
            Self::Stop => (10, 0),
        };
        kind << 32 | which as u64
    }
}

/// What is slow for a while.
#[derive(Default)]
pub(crate) struct Mood {
    steps: u64,
    rings: Vec<bool>,
    disks: Vec<[bool; WORK_KINDS]>,
    /// Nothing comes to these.
    shards: Vec<bool>,
    clients: bool,
    keeper: bool,
    history: bool,
    /// Most nanoseconds that a step takes.
    pub(crate) step_ns_max: u64,
}

impl Mood {
    pub(crate) fn new(rings: usize, shards: usize) -> Self {
        Self {
            rings: vec![false; rings],
            disks: vec![[false; WORK_KINDS]; shards],
            shards: vec![false; shards],
            ..Self::default()
        }
    }
}

impl Machine<'_> {
    /// A legal step, and often not one of what is slow.
    pub(crate) fn choose(&mut self) -> Option<Step> {
        if self.mood.steps == 0 {
            self.change_mood();
        }
        self.mood.steps -= 1;
        self.steps += 1;
        self.steps_before_serving += u64::from(!self.serves());
        let mut legal = std::mem::take(&mut self.legal);
        for slow in [false, true] {
            legal.clear();
            self.legal_steps(slow, &mut legal);
            if !legal.is_empty() {
                break;
            }
        }
        let step = (!legal.is_empty()).then(|| legal[self.world.rng.usize(..legal.len())]);
        self.legal = legal;
        step
    }

    fn change_mood(&mut self) {
        let weather = self.fortune.weather;
        let rng = &mut self.world.rng;
        let slow_percent = [0, 20, 50, 90][rng.usize(..4)];
        let mut slow = || rng.u8(..100) < slow_percent;
        self.mood.rings.fill_with(&mut slow);
        self.mood.disks.fill_with(|| std::array::from_fn(|_| slow()));
        self.mood.shards.fill(false);
        (self.mood.clients, self.mood.keeper, self.mood.history) = (slow(), slow(), slow());
        self.mood.steps = rng.u64(1..=MOOD_STEPS_MAX);
        self.mood.step_ns_max = [10, 1_000, 100_000, 10_000_000][rng.usize(..4)];
        if weather.stalls && rng.u8(..8) == 0 {
            self.stall();
        }
        if weather.jumps && self.world.rng.u8(..8) == 0 {
            self.jump();
        }
        let full = weather.fills && self.world.rng.u8(..4) == 0;
        if full != self.keeper.full {
            self.world.tally.full += u64::from(full);
            self.keeper.set_full(full);
        }
    }

    /// A shard stands still, or its disk, for long.
    fn stall(&mut self) {
        let rng = &mut self.world.rng;
        let shard = rng.usize(..self.shards.len());
        if rng.bool() {
            self.mood.shards[shard] = true;
        } else {
            self.mood.disks[shard] = [true; WORK_KINDS];
        }
        self.mood.steps = rng.u64(MOOD_STEPS_MAX..STALL_STEPS_MAX);
        self.mood.step_ns_max = STALL_STEP_NS;
        self.world.tally.stalls += 1;
    }

    /// The wall clock is set.
    fn jump(&mut self) {
        let rng = &mut self.world.rng;
        let most = JUMPS_NS[rng.usize(..JUMPS_NS.len())];
        let by = rng.u64(1..most);
        let wall_ns = &mut self.clock.wall_ns;
        if rng.bool() {
            *wall_ns += by;
            self.world.tally.jumps_ahead += 1;
        } else {
            *wall_ns = wall_ns.saturating_sub(by);
            self.world.tally.jumps_back += 1;
        }
    }

    fn legal_steps(&self, slow: bool, legal: &mut Vec<Step>) {
        let mood = &self.mood;
        let sleeps = |shard: ShardId| mood.shards[shard.index()];
        for (number, ring) in self.rings.iter().enumerate() {
            let wanted = || ring.lane == Lane::Control || self.shards[ring.to.index()].wants_route(ring.from);
            if (mood.rings[number] || sleeps(ring.to)) == slow && !ring.messages.is_empty() && wanted() {
                legal.push(Step::Receive { ring: number });
            }
        }
        for (number, Operation { shard, work, .. }) in self.operations.iter().enumerate() {
            if (mood.disks[shard.index()][work.kind()] || sleeps(*shard)) == slow {
                legal.push(Step::Complete { operation: number });
            }
        }
        let hears = |shard: &ShardId| (mood.keeper || sleeps(*shard)) == slow;
        let told = self.placement.all().filter(|shard| !self.keeper.news[shard.index()].is_empty());
        legal.extend(told.filter(hears).map(Step::Hear));
        if mood.keeper == slow {
            let open = 0..self.keeper.wishes.len();
            let open = open.filter(|wish| self.keeper.may_work(*wish, &self.world.disk));
            legal.extend(open.map(|wish| Step::Keep { wish }));
        }
        self.offers(slow, legal);
        if mood.history == slow {
            self.history_steps(legal);
        }
        let can_begin = self.placement.all().filter(|shard| self.shards[shard.index()].can_begin());
        legal.extend(can_begin.filter(|shard| sleeps(*shard) == slow).map(Step::Begin));
        let due = self.shards[0].deadline().is_some_and(|deadline| deadline <= self.clock.monotonic_ns);
        let early = self.steps.is_multiple_of(EARLY_ONE_IN) && !legal.is_empty();
        if (due || early) && sleeps(ShardId(0)) == slow {
            legal.push(Step::Tick);
        }
        if early && self.fortune.stops && !self.is_stopping && sleeps(ShardId(0)) == slow {
            legal.push(Step::Stop);
        }
    }

    fn offers(&self, slow: bool, legal: &mut Vec<Step>) {
        if !self.fortune.early && !self.serves() {
            return;
        }
        let clients = &self.world.clients;
        // Before its time a request is refused: few are offered then.
        let early = self.steps.is_multiple_of(EARLY_ONE_IN);
        for (number, connection) in clients.connections.iter().enumerate() {
            let shard = connection.shard.index();
            let may_come = self.serving[shard].is_some() || early;
            if may_come && (self.mood.clients || self.mood.shards[shard]) == slow && clients.may_offer(number)
            {
                legal.push(Step::Offer { connection: number });
            }
        }
    }

    fn history_steps(&self, legal: &mut Vec<Step>) {
        let (Some(history), truth) = (&self.world.history, &self.world.truth) else { return };
        if history.may_take() {
            legal.push(Step::Remember);
        }
        legal.extend(self.placement.all().filter(|shard| history.gives_back(*shard)).map(Step::GiveBack));
        // After a while it says that it is too far behind.
        let late = self.fortune.weather.stalls && self.steps.is_multiple_of(EARLY_ONE_IN);
        legal.extend(history.answerable(late, truth).map(|question| Step::Answer { question }));
    }
}
