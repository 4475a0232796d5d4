//! The shards of one run, the rings between them, and the random choice of the next step.

use super::expected::Expected;
use super::gap;
use super::logged::Logged;
use super::{Mismatch, Tally};
use auriga_shards::execute::Execution;
use auriga_shards::execute::message::{Lane, Message};
use auriga_shards::limits::{CONTROL_RING_SLOTS, ROUTE_RING_SLOTS};
use auriga_shards::place::{Placement, ShardId};
use fastrand::Rng;
use std::collections::VecDeque;

/// After at most so many steps, other rings and shards are the slow ones.
const MOOD_STEPS_MAX: u32 = 200;

/// Something that may happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A shard begins its next epoch.
    Begin(ShardId),
    /// The message at the head of a ring is received.
    Receive { ring: usize },
}

/// Messages on their way from one shard to another, on one lane.
#[derive(Debug)]
struct Ring {
    from: ShardId,
    to: ShardId,
    messages: VecDeque<Message>,
    lane: Lane,
    slow: bool,
}

/// What was seen of an epoch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) hops: Option<u8>,
    /// Legs and ids held, on all shards.
    pub(crate) held: u64,
    /// Sum of the shards' digests after it.
    pub(crate) digest: u128,
}

/// What a run came to.
pub(crate) struct Run {
    pub(crate) tally: Tally,
    /// By epoch: the digest after it.
    pub(crate) digests: Vec<u128>,
}

/// All shards in one thread.
pub(crate) struct Shards<'a> {
    pub(crate) logged: &'a Logged,
    pub(crate) expected: &'a Expected,
    pub(crate) placement: Placement,
    pub(crate) executions: Vec<Execution>,
    /// By epoch.
    pub(crate) seen: Vec<Seen>,
    pub(crate) tally: Tally,
    rng: Rng,
    rings: Vec<Ring>,
    /// By shard.
    slow: Vec<bool>,
    /// By epoch: no shard begins it before all are done with the one before.
    together: Vec<bool>,
    mood_steps: u32,
    legal: Vec<Step>,
}

impl<'a> Shards<'a> {
    /// Empty shards in front of a log.
    pub(crate) fn new(shards: u16, logged: &'a Logged, expected: &'a Expected, mut rng: Rng) -> Self {
        let placement = Placement::new(shards, rng.u64(..));
        let pairs = || placement.all().flat_map(|from| placement.all().map(move |to| (from, to)));
        let rings = [Lane::Route, Lane::Control].into_iter().flat_map(|lane| {
            pairs().filter(|(from, to)| from != to).map(move |(from, to)| Ring {
                from,
                to,
                messages: VecDeque::new(),
                lane,
                slow: false,
            })
        });
        Self {
            logged,
            expected,
            placement,
            executions: placement.all().map(|shard| Execution::new(shard, placement)).collect(),
            seen: vec![Seen::default(); logged.epochs.len()],
            tally: Tally::default(),
            rings: rings.collect(),
            slow: vec![false; usize::from(shards)],
            together: logged.epochs.iter().map(|_| rng.bool()).collect(),
            rng,
            mood_steps: 0,
            legal: Vec::new(),
        }
    }

    /// Executes the whole log and compares everything.
    pub(crate) fn run(mut self) -> Result<Run, Mismatch> {
        while let Some(step) = self.choose() {
            match step {
                Step::Begin(shard) => self.begin(shard)?,
                Step::Receive { ring } => self.receive(ring),
            }
        }
        self.check_end()?;
        let digests = self.seen.iter().map(|seen| seen.digest).collect();
        Ok(Run { tally: self.tally, digests })
    }

    pub(crate) fn shards(&self) -> u16 {
        self.placement.shards()
    }

    /// A legal step, and often not one of a slow ring or a slow shard.
    fn choose(&mut self) -> Option<Step> {
        if self.mood_steps == 0 {
            self.mood_steps = self.rng.u32(1..=MOOD_STEPS_MAX);
            let slow_percent = [0, 20, 50, 90][self.rng.usize(..4)];
            for slow in self.slow.iter_mut().chain(self.rings.iter_mut().map(|ring| &mut ring.slow)) {
                *slow = self.rng.u8(..100) < slow_percent;
            }
        }
        self.mood_steps -= 1;
        let mut legal = std::mem::take(&mut self.legal);
        for slow in [false, true] {
            legal.clear();
            self.legal_steps(slow, &mut legal);
            if !legal.is_empty() {
                break;
            }
        }
        let step = (!legal.is_empty()).then(|| legal[self.rng.usize(..legal.len())]);
        self.legal = legal;
        step
    }

    fn legal_steps(&self, slow: bool, legal: &mut Vec<Step>) {
        for shard in self.placement.all() {
            if self.slow[shard.index()] == slow && self.may_begin(shard) {
                legal.push(Step::Begin(shard));
            }
        }
        for (number, ring) in self.rings.iter().enumerate() {
            let receiver = &self.executions[ring.to.index()];
            let wanted = ring.lane == Lane::Control || receiver.wants_route(ring.from);
            if ring.slow == slow && !ring.messages.is_empty() && wanted {
                legal.push(Step::Receive { ring: number });
            }
        }
    }

    fn may_begin(&self, shard: ShardId) -> bool {
        let execution = &self.executions[shard.index()];
        let done = execution.plan().number;
        let Some(together) = self.together.get(done as usize) else {
            return false;
        };
        let is_behind = |other: &Execution| is_behind(other, done);
        execution.in_gap() && !(*together && self.executions.iter().any(is_behind))
    }

    fn begin(&mut self, shard: ShardId) -> Result<(), Mismatch> {
        gap::check(self, shard)?;
        let logged = self.logged;
        let done = self.executions[shard.index()].plan().number;
        let epoch = &logged.epochs[done as usize];
        let own = logged.own_blocks(&epoch.cut, &self.placement, shard);
        let ahead = self.executions.iter().any(|other| is_behind(other, done));
        self.tally.begun_ahead += u64::from(ahead);
        self.executions[shard.index()].begin(&epoch.cut, own);
        self.post(shard);
        Ok(())
    }

    fn receive(&mut self, ring: usize) {
        let ring = &mut self.rings[ring];
        let (from, to) = (ring.from, ring.to);
        let message = ring.messages.pop_front().expect("a legal step has a message");
        message.assert_lane(ring.lane);
        // One of the sender's equal markers is counted.
        if let Message::Voted { epoch, held } = message
            && to.0 == (from.0 + 1) % self.placement.shards()
        {
            self.seen[epoch as usize - 1].held += u64::from(held);
            self.tally.held += u64::from(held);
        }
        self.executions[to.index()].receive(from, message);
        self.post(to);
    }

    /// Puts what a shard sends into the rings.
    fn post(&mut self, from: ShardId) {
        for outgoing in self.executions[from.index()].mail.outgoing.drain(..) {
            let lane = outgoing.message.lane();
            let ring =
                self.rings.iter_mut().find(|r| r.from == from && r.to == outgoing.to && r.lane == lane);
            let ring = ring.expect("a message goes to another shard");
            ring.messages.push_back(outgoing.message);
            let (slots, most) = match lane {
                Lane::Route => (ROUTE_RING_SLOTS, &mut self.tally.route_slots),
                Lane::Control => (CONTROL_RING_SLOTS, &mut self.tally.control_slots),
            };
            *most = ring.messages.len().max(*most);
            assert!(*most <= slots, "more than the {slots} slots of a ring on the {lane:?} lane");
        }
    }

    fn check_end(&mut self) -> Result<(), Mismatch> {
        let epochs = self.logged.epochs.len() as u64;
        for shard in self.placement.all() {
            let execution = &self.executions[shard.index()];
            let (number, in_gap) = (execution.plan().number, execution.in_gap());
            self.compare(
                number,
                format_args!("end of the log on shard {shard}"),
                &(epochs, true),
                &(number, in_gap),
            )?;
        }
        for ring in &self.rings {
            let left: Vec<_> = ring.messages.iter().map(kind).collect();
            self.compare(epochs, format_args!("ring from {} to {}", ring.from, ring.to), &Vec::new(), &left)?;
        }
        for shard in self.placement.all() {
            gap::check(self, shard)?;
            let (made, free) = self.executions[shard.index()].mail.pool_counts();
            self.compare(epochs, format_args!("free chunks of shard {shard}"), &made, &free)?;
        }
        for (epoch, seen) in (1..).zip(&self.seen) {
            let Some(hops) = seen.hops else { continue };
            *self.tally.epochs_by_hops.entry(hops).or_default() += 1;
            let expected = match self.shards() {
                1 => 0,
                _ if seen.held == 0 => 2,
                _ => 4,
            };
            self.compare(epoch, format_args!("hops with {} held", seen.held), &expected, &hops)?;
        }
        gap::check_sums(self)
    }

    /// The mismatch, if the two differ.
    pub(crate) fn compare<T: PartialEq + std::fmt::Debug>(
        &self,
        epoch: u64,
        what: impl std::fmt::Display,
        expected: &T,
        found: &T,
    ) -> Result<(), Mismatch> {
        if expected == found {
            return Ok(());
        }
        Err(Mismatch {
            shards: self.shards(),
            epoch,
            what: what.to_string(),
            expected: format!("{expected:?}"),
            found: format!("{found:?}"),
        })
    }
}

/// Whether the shard is not done with this epoch.
fn is_behind(execution: &Execution, epoch: u64) -> bool {
    let running = execution.plan().number;
    running < epoch || running == epoch && !execution.in_gap()
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Chunk(_) => "chunk",
        Message::Return(_) => "returned chunk",
        _ => "marker",
    }
}
