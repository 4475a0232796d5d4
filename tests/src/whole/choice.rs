//! The random choice of what happens next.

use super::machine::Machine;
use super::operations::{Operation, WORK_KINDS};
use auriga_shards::execute::message::Lane;
use auriga_shards::place::ShardId;

/// After at most so many steps, others are the slow ones.
pub(crate) const MOOD_STEPS_MAX: u64 = 200;
/// At one in so many steps a client is there before the server is, or the pacer looks at the clock before it has to.
const EARLY_ONE_IN: u64 = 64;

/// Something that may happen next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The message at the head of a ring is received.
    Receive { ring: usize },
    /// A read or a write ends.
    Complete { operation: usize },
    /// A shard hears of the keeper.
    Hear(ShardId),
    /// The keeper does something for a wish.
    Keep { wish: usize },
    /// A request is offered.
    Offer { connection: usize },
    /// Time passes: the pacer's deadline is over, or not.
    Tick,
}

/// What is slow for a while.
#[derive(Default)]
pub(crate) struct Mood {
    pub(crate) steps: u64,
    pub(crate) rings: Vec<bool>,
    pub(crate) disks: Vec<[bool; WORK_KINDS]>,
    pub(crate) clients: bool,
    pub(crate) keeper: bool,
    /// Most nanoseconds that a step takes.
    pub(crate) step_ns_max: u64,
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
        let rng = &mut self.world.rng;
        let slow_percent = [0, 20, 50, 90][rng.usize(..4)];
        let mut slow = || rng.u8(..100) < slow_percent;
        self.mood.rings.fill_with(&mut slow);
        self.mood.disks.fill_with(|| std::array::from_fn(|_| slow()));
        (self.mood.clients, self.mood.keeper) = (slow(), slow());
        self.mood.steps = rng.u64(1..=MOOD_STEPS_MAX);
        self.mood.step_ns_max = [10, 1_000, 100_000, 10_000_000][rng.usize(..4)];
        let full = self.fortune.full && rng.u8(..4) == 0;
        if full != self.keeper.full {
            self.keeper.set_full(full);
        }
    }

    fn legal_steps(&self, slow: bool, legal: &mut Vec<Step>) {
        for (number, ring) in self.rings.iter().enumerate() {
            let wanted = || ring.lane == Lane::Control || self.shards[ring.to.index()].wants_route(ring.from);
            if self.mood.rings[number] == slow && !ring.messages.is_empty() && wanted() {
                legal.push(Step::Receive { ring: number });
            }
        }
        for (number, Operation { shard, work }) in self.operations.iter().enumerate() {
            if self.mood.disks[shard.index()][work.kind()] == slow {
                legal.push(Step::Complete { operation: number });
            }
        }
        if self.mood.keeper == slow {
            let told = self.placement.all().filter(|shard| !self.keeper.news[shard.index()].is_empty());
            legal.extend(told.map(Step::Hear));
            let open = 0..self.keeper.wishes.len();
            let open = open.filter(|wish| self.keeper.may_work(*wish, &self.world.disk));
            legal.extend(open.map(|wish| Step::Keep { wish }));
        }
        if self.mood.clients == slow && (self.fortune.early || self.serves()) {
            let clients = &self.world.clients;
            // Before its time a request is refused: few are offered then.
            let early = self.steps.is_multiple_of(EARLY_ONE_IN);
            let serves = |shard: ShardId| self.serving[shard.index()].is_some() || early;
            let ready = (0..clients.connections.len())
                .filter(|c| serves(clients.connections[*c].shard) && clients.may_offer(*c));
            legal.extend(ready.map(|connection| Step::Offer { connection }));
        }
        let due = self.shards[0].deadline().is_some_and(|deadline| deadline <= self.clock.monotonic_ns);
        let early = self.steps.is_multiple_of(EARLY_ONE_IN) && !legal.is_empty();
        if (due || early) && !slow {
            legal.push(Step::Tick);
        }
    }
}
