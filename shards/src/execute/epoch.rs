//! One shard's walk through an epoch: the steps, the markers between them, and the gap after it.
//!
//! `Gap -> Starting -> Routing -> Voting -> (Gathering -> Scattering) -> Gap`. A step ends when every shard's marker
//! for it is there; no clock and no arrival order decides anything. Only in the gap is the state 'after epoch E' on this
//! shard: look-ups, digests and checkpoints happen there.

use super::mail::{Mail, Sorter};
use super::message::{Amount, Closing, Lane, Message, Special, Vote};
use super::outcome::Outcomes;
use super::register::Register;
use super::route::{Desk, Router};
use super::serial::Serial;
use super::solve::{Decision, Solver};
use super::verdicts::{Told, Verdicts};
use super::vote::{Booth, Voter};
use crate::chunk::{Chunk, Kind};
use crate::ledger::Ledger;
use crate::ledger::terms::Terms;
use crate::log::block::Block;
use crate::log::cut::Cut;
use crate::pacer::LogEnd;
use crate::place::{Placement, ShardId, StreamId};

/// What an epoch is, as its cut says.
#[derive(Debug, Default)]
pub struct Plan {
    /// The epoch's number.
    pub number: u64,
    /// Timestamp of its first unit, nanoseconds.
    pub time: u64,
    /// Units of all its blocks.
    pub units: usize,
    /// Pending transfers with a deadline up to this time expire at the end, nanoseconds.
    pub expire_through: u64,
    /// What its cut says of ids and limits.
    pub terms: Terms,
    /// Nothing happens in it: no block, and nothing may expire or be forgotten.
    pub is_idle: bool,
    /// By block: the first index, and the shard that it arrived at.
    arrivals: Vec<(u32, ShardId)>,
    shard: Option<ShardId>,
}

impl Plan {
    fn set(&mut self, cut: &Cut, placement: &Placement, shard: ShardId) {
        self.number = cut.epoch;
        self.time = cut.time;
        self.units = cut.units();
        let before = (self.expire_through, self.terms.ids_from_ms);
        self.expire_through = cut.expire_through;
        self.terms = cut.terms();
        self.is_idle = cut.blocks.is_empty() && before == (self.expire_through, self.terms.ids_from_ms);
        self.shard = Some(shard);
        self.arrivals.clear();
        self.arrivals
            .extend(cut.bases().map(|(base, block)| (base, placement.stream_owner(StreamId(block.stream)))));
    }

    /// The shard at which the event with this index arrived.
    pub fn arrival(&self, index: u16) -> ShardId {
        let after = self.arrivals.partition_point(|(base, _)| *base <= u32::from(index));
        self.arrivals[after - 1].1
    }

    /// Whether the event with this index arrived at this shard.
    pub fn is_own(&self, index: u16) -> bool {
        Some(self.arrival(index)) == self.shard
    }
}

/// A block of the epoch that arrived at this shard, and its first index.
#[derive(Debug)]
pub struct OwnBlock {
    /// The block's first index in the epoch.
    pub base: u16,
    /// The block.
    pub block: Block,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Gap,
    Starting,
    Routing { source: ShardId },
    Voting,
    Gathering,
    Scattering,
}

/// One shard's part in executing epochs.
#[derive(Debug)]
pub struct Execution {
    shard: ShardId,
    /// This shard's accounts and ids.
    pub ledger: Ledger,
    /// What it sends.
    pub mail: Mail,
    /// Results of the requests that arrived here, in the gap after their epoch.
    pub outcomes: Outcomes,
    plan: Plan,
    own: Vec<OwnBlock>,
    phase: Phase,
    /// By shard: its `Start` for the next epoch is there.
    started: Vec<bool>,
    /// What they say is special in it.
    started_special: Special,
    voted: u16,
    held_in_all: u32,
    /// Hops of the last epoch: 0 serial, 2 or 4.
    hops: u8,
    router: Router,
    verdicts: Verdicts,
    voter: Voter,
    register: Register,
    solver: Solver,
    decisions: Sorter<Vote>,
    amounts: Sorter<Amount>,
    closings: Sorter<Closing>,
    serial: Serial,
}

impl Execution {
    /// An empty ledger's shard.
    pub fn new(shard: ShardId, placement: Placement) -> Self {
        let shards = placement.shards();
        Self {
            shard,
            ledger: Ledger::new(placement),
            mail: Mail::new(shard, shards),
            outcomes: Outcomes::new(),
            plan: Plan::default(),
            own: Vec::new(),
            phase: Phase::Gap,
            started: vec![false; usize::from(shards)],
            started_special: Special::default(),
            voted: 0,
            held_in_all: 0,
            hops: 0,
            router: Router::new(placement),
            verdicts: Verdicts::new(shards),
            voter: Voter::new(shards),
            register: Register::new(placement),
            solver: Solver::new(shards),
            decisions: Sorter::new(shards),
            amounts: Sorter::new(shards),
            closings: Sorter::new(shards),
            serial: Serial::default(),
        }
    }

    /// The ledger holds the state of a checkpoint: the next epoch is the one behind it.
    pub fn go_on_from(&mut self, end: &LogEnd) {
        self.plan.number = end.epoch;
        self.plan.expire_through = end.expired_through;
        self.plan.terms.ids_from_ms = end.ids_from_ms();
    }

    /// Forgets the state that was loaded.
    pub fn unload(&mut self) {
        let shards = self.ledger.placement.shards();
        let mail = std::mem::replace(&mut self.mail, Mail::new(self.shard, shards));
        *self = Self { mail, ..Self::new(self.shard, self.ledger.placement) };
    }

    /// The account is closed in the state of a checkpoint; to be said of all shards' accounts.
    pub fn note_closed(&mut self, account: u128) {
        self.register.take_closings(&[Closing { account, closed: 1, pad: [0; 15] }]);
    }

    /// The newest epoch that was begun (and, in the gap, executed).
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether this shard is between epochs.
    pub fn in_gap(&self) -> bool {
        self.phase == Phase::Gap
    }

    /// The epoch after which the state is, if it is after a whole epoch: in the gap, and until the first leg of the next
    /// epoch is taken.
    pub fn state_epoch(&self) -> Option<u64> {
        match self.phase {
            Phase::Gap => Some(self.plan.number),
            Phase::Starting => Some(self.plan.number - 1),
            _ => None,
        }
    }

    /// Hops that the last epoch took: 0 with one shard, 2 if nothing was held, else 4.
    pub fn hops(&self) -> u8 {
        self.hops
    }

    /// Blocks of the last epoch that arrived here. Taken in the gap, for the replies and to be filled again.
    pub fn take_own(&mut self) -> Vec<OwnBlock> {
        assert!(self.in_gap(), "an epoch's blocks are needed until it is executed");
        std::mem::take(&mut self.own)
    }

    /// Begins a committed epoch. `own` are its blocks that arrived here (or are replayed here), in stream order.
    /// An epoch without blocks in which nothing expires is executed at once. Panics out of order or outside of the gap.
    pub fn begin(&mut self, cut: &Cut, own: Vec<OwnBlock>) {
        assert!(
            self.in_gap() && cut.epoch == self.plan.number + 1,
            "epochs are executed one by one, in order"
        );
        self.plan.set(cut, &self.ledger.placement, self.shard);
        self.own = own;
        if self.plan.is_idle {
            return;
        }
        self.outcomes.clear(self.plan.units);
        if self.ledger.placement.shards() == 1 {
            self.hops = 0;
            self.serial.run(&self.own, &self.plan, &mut self.ledger, &mut self.outcomes);
            return;
        }
        self.verdicts.clear(self.plan.units);
        self.voter.clear(self.ledger.accounts.len());
        self.register.clear();
        (self.voted, self.held_in_all) = (0, 0);
        self.route();
        self.phase = Phase::Starting;
        self.started[self.shard.index()] = true;
        self.start_when_all_have();
    }

    /// Sends what this shard's blocks ask for, and what is left to tell of the epoch before.
    fn route(&mut self) {
        let epoch = self.plan.number;
        let start = self.mail.outgoing.len();
        self.mail.broadcast(|| Message::Start { epoch, special: Special::default() });
        let starts = start..self.mail.outgoing.len();
        for closing in self.voter.take_closings() {
            for to in self.ledger.placement.all() {
                self.closings.push(&mut self.mail, epoch, to, closing);
            }
        }
        self.closings.flush(&mut self.mail);
        let Plan { time, terms, .. } = self.plan;
        let mut desk = Desk { epoch, time, terms, outcomes: &mut self.outcomes, mail: &mut self.mail };
        for own in &self.own {
            self.router.route(&own.block, own.base, &mut desk);
        }
        let special = self.router.flush(&mut self.mail);
        self.voter.add_special(special);
        for outgoing in &mut self.mail.outgoing[starts] {
            outgoing.message = Message::Start { epoch, special };
        }
        self.register.send_releases(self.plan.expire_through, epoch, &self.ledger, &mut self.mail);
        self.mail.broadcast(|| Message::Routed { epoch });
    }

    /// Whether a message from `from` on the route lane can be taken now; if not, it has to wait in its ring.
    pub fn wants_route(&self, from: ShardId) -> bool {
        match self.phase {
            Phase::Gap | Phase::Starting => !self.started[from.index()],
            Phase::Routing { source } => source == from,
            Phase::Voting | Phase::Gathering | Phase::Scattering => false,
        }
    }

    /// Takes a message of the execution. Panics if it is not wanted, or of another step: a mistake of the driver.
    pub fn receive(&mut self, from: ShardId, message: Message) {
        if message.lane() == Lane::Route {
            assert!(
                self.wants_route(from),
                "{message:?} from shard {from} is not wanted in {:?}",
                self.phase
            );
        }
        match message {
            Message::Start { epoch, special } => {
                let next = self.plan.number + u64::from(self.in_gap());
                assert!(epoch >= next, "shard {from} starts epoch {epoch}, expected {next} or a later one");
                self.started[from.index()] = true;
                self.started_special.add(special);
                self.start_when_all_have();
            }
            Message::Routed { epoch } => {
                self.assert_epoch(epoch);
                self.route_from(ShardId(from.0 + 1));
            }
            Message::Chunk(chunk) => self.take_chunk(from, chunk),
            Message::Return(chunk) => self.mail.came_home(chunk),
            Message::Voted { epoch, held } => {
                self.assert_epoch(epoch);
                self.count_votes(held);
            }
            Message::Gathered { epoch } => {
                self.assert_epoch(epoch);
                self.count_gathered();
            }
            Message::Scattered { epoch } => {
                self.assert_epoch(epoch);
                assert_eq!(
                    self.phase,
                    Phase::Scattering,
                    "the coordinator waits for every shard's open legs"
                );
                self.finish(4);
            }
            Message::Pace(_) | Message::Query(_) => unreachable!("not a message of the execution"),
        }
    }

    fn assert_epoch(&self, epoch: u64) {
        assert_eq!(epoch, self.plan.number, "a marker belongs to the running epoch");
    }

    fn start_when_all_have(&mut self) {
        if self.phase == Phase::Starting && self.started.iter().all(|s| *s) {
            self.started.fill(false);
            self.voter.add_special(std::mem::take(&mut self.started_special));
            self.route_from(ShardId(0));
        }
    }

    /// Goes on with the legs of `source`; this shard's own are here already.
    fn route_from(&mut self, mut source: ShardId) {
        if source == self.shard {
            self.take_local();
            source.0 += 1;
        }
        if source.0 < self.ledger.placement.shards() {
            self.phase = Phase::Routing { source };
            return;
        }
        self.phase = Phase::Voting;
        let may_close = self.voter.tracks_all();
        let mut booth = Booth {
            ledger: &mut self.ledger,
            mail: &mut self.mail,
            outcomes: &mut self.outcomes,
            verdicts: &mut self.verdicts,
            epoch: &self.plan,
        };
        self.register.judge_claims(may_close, &mut booth);
        self.take_local();
        self.verdicts.flush(&mut self.mail);
        let (epoch, held) = (self.plan.number, self.verdicts.held());
        self.mail.broadcast(|| Message::Voted { epoch, held });
        self.count_votes(held);
    }

    /// Takes what this shard has sent to itself.
    fn take_local(&mut self) {
        let mut local = std::mem::take(&mut self.mail.local);
        for chunk in local.drain(..) {
            self.take_chunk(self.shard, chunk);
        }
        self.mail.local = local;
    }

    fn take_chunk(&mut self, from: ShardId, chunk: Chunk) {
        self.assert_epoch(chunk.step());
        let mut booth = Booth {
            ledger: &mut self.ledger,
            mail: &mut self.mail,
            outcomes: &mut self.outcomes,
            verdicts: &mut self.verdicts,
            epoch: &self.plan,
        };
        match chunk.kind() {
            Kind::Legs => self.voter.take_legs(chunk.items(), &mut booth),
            Kind::Notes => self.register.take_notes(chunk.items(), &mut booth),
            Kind::Accounts => self.voter.take_accounts(chunk.items(), &mut booth),
            Kind::Reserves => self.register.take_reserves(chunk.items()),
            Kind::Claims => self.register.take_claims(chunk.items()),
            Kind::Releases => self.voter.take_releases(chunk.items()),
            Kind::Closings => self.register.take_closings(chunk.items()),
            Kind::Endings => self.register.take_endings(chunk.items()),
            Kind::ClaimLegs => self.voter.take_claim_legs(chunk.items(), booth.ledger),
            Kind::Votes => {
                for vote in chunk.items::<Vote>() {
                    self.verdicts.take(vote, &mut self.outcomes, &self.plan);
                }
            }
            Kind::OpenLegs => self.solver.take_legs(from, chunk.items()),
            Kind::OpenNotes => self.solver.take_notes(chunk.items()),
            Kind::OpenClaims => self.solver.take_claims(from, chunk.items()),
            Kind::OpenAccounts => self.solver.take_accounts(from, chunk.items()),
            Kind::Amounts => self.verdicts.take_amounts(chunk.items()),
            kind => unreachable!("{kind:?} is not a message of the execution"),
        }
        self.mail.recycle(chunk);
    }

    fn coordinator(&self) -> ShardId {
        ShardId((self.plan.number % u64::from(self.ledger.placement.shards())) as u16)
    }

    /// One more shard, maybe this one, has sent all its votes.
    fn count_votes(&mut self, held: u32) {
        self.voted += 1;
        self.held_in_all += held;
        if self.voted < self.ledger.placement.shards() {
            return;
        }
        if self.held_in_all == 0 {
            self.finish(2);
            return;
        }
        let coordinator = self.coordinator();
        let mut booth = Booth {
            ledger: &mut self.ledger,
            mail: &mut self.mail,
            outcomes: &mut self.outcomes,
            verdicts: &mut self.verdicts,
            epoch: &self.plan,
        };
        self.voter.send_open(coordinator, &mut booth);
        self.register.send_open(coordinator, &mut booth);
        if coordinator != self.shard {
            self.phase = Phase::Scattering;
            self.mail.send(coordinator, Message::Gathered { epoch: self.plan.number });
            return;
        }
        self.phase = Phase::Gathering;
        self.take_local();
        self.count_gathered();
    }

    /// One more shard has sent all that is open there. The coordinator may hear so before its own votes are counted.
    fn count_gathered(&mut self) {
        assert_eq!(self.coordinator(), self.shard, "open legs go to the coordinator");
        if !self.solver.shard_is_done() {
            return;
        }
        assert_eq!(self.phase, Phase::Gathering, "the coordinator's own open legs are the last or not");
        let Self { shard, mail, outcomes, plan, verdicts, solver, decisions, amounts, .. } = self;
        solver.solve(plan.units, |decision| {
            for to in mail.others() {
                if concerns(&decision, to, plan) {
                    decisions.push(mail, plan.number, to, decision.vote);
                }
            }
            if concerns(&decision, *shard, plan) {
                verdicts.take(&decision.vote, outcomes, plan);
            }
        });
        decisions.flush(mail);
        let variable = solver.take_amounts();
        for amount in &variable {
            for to in mail.others() {
                amounts.push(mail, plan.number, to, *amount);
            }
        }
        amounts.flush(mail);
        verdicts.take_amounts(&variable);
        let epoch = plan.number;
        mail.broadcast(|| Message::Scattered { epoch });
        self.finish(4);
    }

    fn finish(&mut self, hops: u8) {
        self.voter.settle(&mut self.ledger, &self.verdicts, &self.plan);
        self.register.settle(&mut self.ledger, &self.verdicts, &self.plan);
        for amount in self.verdicts.amounts().iter().filter(|amount| self.plan.is_own(amount.index)) {
            self.outcomes.moves(amount.index, amount.amount);
        }
        self.outcomes.finish();
        self.hops = hops;
        self.phase = Phase::Gap;
    }
}

/// Whether a decision has to reach this shard.
fn concerns(decision: &Decision, shard: ShardId, plan: &Plan) -> bool {
    match decision.told {
        Some(Told::All) => true,
        Some(Told::Some(shards)) if shards.contains(&shard) => true,
        _ => plan.arrival(decision.vote.index) == shard,
    }
}
