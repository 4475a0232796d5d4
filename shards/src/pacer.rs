//! The pacer: closes epochs, numbers and times them, and says when they are committed. It runs on shard 0.
//!
//! It closes an epoch when there is something to commit and the flush before it is done, so batches grow by themselves
//! under load. When nothing follows a commit, an empty seal cut proves it. The pacer reads no clock: the time comes with
//! each call.

use crate::execute::message::Message;
use crate::ledger::Ledger;
use crate::limits::{
    BLOCK_UNITS_MAX, EPOCH_BLOCKS_MAX, EPOCH_UNITS_MAX, EPOCHS_AHEAD_MAX, EXPIRE_MAX, SEAL_DELAY_NS,
};
use crate::log::Identity;
use crate::log::cut::{BlockEntry, Cut, CutImage, CutSector};
use crate::place::ShardId;
use std::collections::VecDeque;

/// Time between two looks at the first deadline of a pending transfer, at least, nanoseconds.
const EXPIRY_LOOK_MIN_NS: u64 = 1_000_000;

/// The shortest timeout of a pending transfer, nanoseconds.
const TIMEOUT_MIN_NS: u64 = 1_000_000_000;

/// What a shard and the pacer tell each other.
#[derive(Clone, Debug)]
pub enum Pace {
    /// To the pacer: a block waits, with so many units.
    Pending {
        /// Units of the front block.
        units: u32,
    },
    /// To a shard: seal your front block, if it has at most `grant` units, for this epoch.
    Close {
        /// The epoch.
        epoch: u64,
        /// Most units that the block may have; 0: none.
        grant: u32,
    },
    /// To the pacer: sealed (the block's entry came before, if there is one), and so many units wait in the next block.
    Sealed {
        /// The epoch.
        epoch: u64,
        /// Units of the next front block; 0 if there is none.
        pending: u32,
    },
    /// To the pacer: every block of the epoch at this shard is durable (in a replay: read and good).
    Durable {
        /// The epoch.
        epoch: u64,
    },
    /// To the pacer, in a replay: a block of the epoch is not what its cut says.
    Damaged(Box<crate::log::recover::BlockDamage>),
    /// To a shard: the epoch is committed.
    Commit {
        /// The epoch.
        epoch: u64,
        /// Accounts of all shards when it was closed.
        accounts: u64,
        /// Remembered ids of all shards when it was closed.
        ids: u64,
    },
    /// To the pacer: executed.
    Executed {
        /// The epoch.
        epoch: u64,
        /// What the shard holds after it.
        holdings: Holdings,
    },
    /// To a shard, in a replay: forget what was announced and not committed.
    Discard,
    /// To a shard: the log is replayed, this incarnation's opening cuts are durable, requests may come.
    Serve {
        /// This start's number.
        incarnation: u64,
    },
    /// To a shard: whether the cut log has no room for more than what is accepted.
    LogFull(bool),
}

/// What a shard holds, as far as the pacer has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Accounts.
    pub accounts: u64,
    /// Remembered ids.
    pub ids: u64,
    /// The first deadline of a pending transfer, nanoseconds of epoch time; `u64::MAX` if there is none.
    pub first_due: u64,
    /// Up to this time no more than the shard's share of [`EXPIRE_MAX`] are due.
    pub due_through: u64,
}

impl Default for Holdings {
    fn default() -> Self {
        Self { accounts: 0, ids: 0, first_due: u64::MAX, due_through: u64::MAX }
    }
}

impl Holdings {
    /// What this ledger holds.
    pub fn of(ledger: &Ledger) -> Self {
        let share = EXPIRE_MAX / usize::from(ledger.placement.shards());
        let (first_due, due_through) = ledger.pendings.due_bounds(share);
        Self { accounts: ledger.accounts.len() as u64, ids: ledger.ids.len() as u64, first_due, due_through }
    }
}

impl Pace {
    /// Whether this is said to the pacer (or by it).
    pub fn is_for_pacer(&self) -> bool {
        matches!(
            self,
            Self::Pending { .. }
                | Self::Sealed { .. }
                | Self::Durable { .. }
                | Self::Damaged(_)
                | Self::Executed { .. }
        )
    }
}

impl From<Pace> for Message {
    fn from(pace: Pace) -> Self {
        Self::Pace(pace)
    }
}

/// The time that comes with every step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Monotonic, nanoseconds.
    pub monotonic_ns: u64,
    /// Since the Unix epoch, nanoseconds.
    pub wall_ns: u64,
}

/// What the pacer wants done.
#[derive(Debug)]
pub enum Act {
    /// Tell a shard.
    Tell(ShardId, Pace),
    /// Tell every shard.
    TellAll(Pace),
    /// Announce this cut to every shard (its blocks are being written) and write it.
    Cut(Cut),
    /// Announce a cut that was read, for the replay of its blocks.
    Replay(Box<CutImage>),
}

#[derive(Debug)]
struct Flight {
    epoch: u64,
    time: u64,
    /// Shards that have sealed or had nothing to.
    sealed: u16,
    blocks: usize,
    durable: usize,
    cut_is_durable: bool,
}

/// The state of pacing, after recovery.
#[derive(Debug)]
pub struct Pacer {
    identity: Identity,
    incarnation: u64,
    /// Number of the next epoch to close.
    next: u64,
    previous: u128,
    /// Epochs through this one are committed.
    committed: u64,
    /// The next epoch's time is at least this.
    time_min: u64,
    /// The monotonic clock when the last epoch's time was set, and that time.
    time_set: (u64, u64),
    pending: Vec<u32>,
    executed: Vec<u64>,
    holdings: Vec<Holdings>,
    /// Number and time of the newest epochs that not every shard has executed.
    running: VecDeque<(u64, u64)>,
    /// What the last cut says of expired pending transfers.
    expired_through: u64,
    /// When to look again whether something expires, in monotonic nanoseconds.
    look_again: Option<u64>,
    /// The opening cuts are durable.
    serves: bool,
    /// The shard that is served first in the next epoch.
    first: usize,
    flight: Option<Flight>,
    /// The last commit is not proven by a later cut, and since when nothing followed it.
    unsealed_since: Option<u64>,
    /// Newest epoch whose slot in the cut log is prepared.
    slots_through: u64,
    blocks: Vec<BlockEntry>,
}

/// Where a recovered log ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// The last epoch that is committed; 0 if there is none.
    pub epoch: u64,
    /// Checksum of its cut.
    pub checksum: u128,
    /// Its time plus its units.
    pub time_end: u64,
    /// The highest incarnation seen in any good cut.
    pub incarnation: u64,
    /// What its cut says of expired pending transfers.
    pub expired_through: u64,
}

impl Pacer {
    /// A pacer that goes on behind `end`; `holdings` are each shard's. The clock's time is taken over if it is later than the
    /// log's.
    pub fn new(identity: Identity, end: &LogEnd, holdings: Vec<Holdings>, clock: Clock) -> Self {
        let shards = holdings.len();
        let time = end.time_end.max(clock.wall_ns);
        Self {
            identity,
            incarnation: end.incarnation + 1,
            next: end.epoch + 1,
            previous: end.checksum,
            committed: end.epoch,
            time_min: end.time_end,
            time_set: (clock.monotonic_ns, time),
            pending: vec![0; shards],
            executed: vec![end.epoch; shards],
            holdings,
            running: VecDeque::new(),
            expired_through: end.expired_through,
            look_again: None,
            serves: false,
            first: 0,
            flight: None,
            unsealed_since: None,
            slots_through: end.epoch,
            blocks: Vec::with_capacity(EPOCH_BLOCKS_MAX),
        }
    }

    /// The opening cuts are durable: from now on requests come, and pending transfers expire. Returns this start's number.
    pub fn serve(&mut self) -> u64 {
        self.serves = true;
        self.incarnation
    }

    /// Number of the next epoch to close.
    pub fn next_epoch(&self) -> u64 {
        self.next
    }

    /// Slots of the cut log are prepared through this epoch.
    pub fn prepared(&mut self, epoch: u64) {
        self.slots_through = self.slots_through.max(epoch);
    }

    /// Cut slots that are left.
    pub fn slots_left(&self) -> u64 {
        (self.slots_through + 1).saturating_sub(self.next)
    }

    /// Writes an opening cut of this incarnation: empty, so that whatever lay behind the log's end can never come back.
    pub fn open(&mut self, clock: Clock, act: &mut VecDeque<Act>) {
        if self.flight.is_none() && self.slots_left() > 0 {
            self.close_empty(clock, act);
        }
    }

    /// Whether no flush is in flight and the last commit is sealed.
    pub fn is_idle(&self) -> bool {
        self.flight.is_none() && self.unsealed_since.is_none()
    }

    /// When [`Pacer::tick`] should be called at the latest, in monotonic nanoseconds.
    pub fn deadline(&self) -> Option<u64> {
        let nothing_waits = self.pending.iter().all(|units| *units == 0);
        if self.flight.is_some() || !nothing_waits || self.slots_left() == 0 {
            return None;
        }
        let seal = self.unsealed_since.map(|since| since + SEAL_DELAY_NS);
        [seal, self.look_again].into_iter().flatten().min()
    }

    /// The first deadline of a pending transfer that no cut has let expire yet. Opening cuts let nothing expire.
    fn first_due(&self) -> Option<u64> {
        let first = self.holdings.iter().map(|held| held.first_due).min()?;
        (self.serves && first != u64::MAX && first > self.expired_through).then_some(first)
    }

    /// Through which deadline pending transfers expire in an epoch of this time: not too many at once, also of those in epochs
    /// that not every shard has executed. Those have a second left at least.
    fn expire_through(&self, time: u64) -> u64 {
        let known = self.running.front().map_or(time, |(_, begun)| begun + TIMEOUT_MIN_NS - 1);
        let few = self.holdings.iter().map(|held| held.due_through).min().unwrap_or(time);
        let through = time.min(known).min(few);
        let is_any = self.first_due().is_some_and(|due| due <= through);
        if is_any { through } else { self.expired_through }
    }

    /// Closes an epoch if it is time for one.
    pub fn tick(&mut self, clock: Clock, act: &mut VecDeque<Act>) {
        if self.flight.is_some() || self.slots_left() == 0 {
            return;
        }
        let slowest = self.executed.iter().min().copied().unwrap_or(0);
        if self.pending.iter().any(|units| *units > 0) {
            if self.next <= slowest + EPOCHS_AHEAD_MAX {
                self.close(clock, act);
            }
        } else {
            let seals = self.unsealed_since.is_some_and(|since| clock.monotonic_ns >= since + SEAL_DELAY_NS);
            let expires = self.next <= slowest + EPOCHS_AHEAD_MAX
                && self.first_due().is_some_and(|due| due <= self.time_at(clock));
            if seals || expires {
                self.close_empty(clock, act);
            } else {
                self.look_again_for_expiry(clock);
            }
        }
    }

    /// Plans the next look at the first deadline. The epochs' time may run a sixteenth faster than the monotonic clock: never
    /// too late, then, and nearer with each look.
    fn look_again_for_expiry(&mut self, clock: Clock) {
        let time = self.time_at(clock);
        let left = self.first_due().and_then(|due| due.checked_sub(time)).filter(|left| *left > 0);
        self.look_again = left.map(|left| clock.monotonic_ns + (left / 17 * 16).max(EXPIRY_LOOK_MIN_NS));
    }

    /// Takes what a shard says.
    pub fn take(&mut self, from: ShardId, pace: &Pace, clock: Clock, act: &mut VecDeque<Act>) {
        match *pace {
            Pace::Pending { units } => self.pending[from.index()] = units,
            Pace::Sealed { epoch, pending } => {
                self.pending[from.index()] = pending;
                self.sealed(epoch, act);
            }
            Pace::Durable { epoch } => {
                let flight = self.flight.as_mut().expect("durable blocks belong to the flight");
                assert_eq!(flight.epoch, epoch, "one flush is in flight");
                flight.durable += 1;
                self.commit_if_durable(clock, act);
            }
            Pace::Executed { epoch, holdings } => {
                self.executed[from.index()] = epoch;
                self.holdings[from.index()] = holdings;
                let slowest = self.executed.iter().min().copied().unwrap_or(0);
                self.running.retain(|(epoch, _)| *epoch > slowest);
            }
            Pace::Damaged(_) => unreachable!("blocks are read in a replay only"),
            Pace::Close { .. }
            | Pace::Commit { .. }
            | Pace::Discard
            | Pace::Serve { .. }
            | Pace::LogFull(_) => {
                unreachable!("the pacer tells this, and is not told")
            }
        }
        self.tick(clock, act);
    }

    /// Takes the entry of a block that a shard has sealed.
    pub fn take_entry(&mut self, entry: BlockEntry) {
        assert!(self.flight.is_some(), "a block is sealed because the pacer said so");
        self.blocks.push(entry);
    }

    /// The cut of the flight is durable.
    pub fn cut_is_durable(&mut self, clock: Clock, act: &mut VecDeque<Act>) {
        self.flight.as_mut().expect("the cut that was written belongs to the flight").cut_is_durable = true;
        self.commit_if_durable(clock, act);
        self.tick(clock, act);
    }

    /// Encodes a cut; its checksum is what the next one names.
    pub fn encode(&mut self, cut: Cut, sector: &mut CutSector) {
        self.previous = cut.encode(&self.identity, sector);
        self.blocks = cut.blocks;
    }

    /// The time of the next epoch: the monotonic clock from the last one, slewed by at most a sixteenth towards the wall
    /// clock, and at least one nanosecond a unit ahead.
    fn time_at(&self, clock: Clock) -> u64 {
        let (since, at) = self.time_set;
        let elapsed = clock.monotonic_ns.saturating_sub(since);
        let steady = at + elapsed;
        let slew = elapsed / 16;
        clock.wall_ns.clamp(steady - slew, steady + slew).max(self.time_min)
    }

    fn epoch_time(&mut self, clock: Clock) -> u64 {
        let time = self.time_at(clock);
        self.time_set = (clock.monotonic_ns, time);
        time
    }

    fn close(&mut self, clock: Clock, act: &mut VecDeque<Act>) {
        let time = self.epoch_time(clock);
        self.start_flight(time);
        let shards = self.pending.len();
        let waiting = self.pending.iter().filter(|units| **units > 0).count().min(EPOCH_BLOCKS_MAX);
        let fair = (EPOCH_UNITS_MAX / waiting.max(1)).min(BLOCK_UNITS_MAX);
        let (mut left, mut blocks) = (EPOCH_UNITS_MAX, EPOCH_BLOCKS_MAX);
        for turn in 0..shards {
            let shard = (self.first + turn) % shards;
            let wanted = self.pending[shard] as usize;
            let grant = wanted.max(fair).min(BLOCK_UNITS_MAX);
            let granted = if wanted > 0 && grant <= left && blocks > 0 { grant } else { 0 };
            left -= granted;
            blocks -= usize::from(granted > 0);
            let close = Pace::Close { epoch: self.next, grant: granted as u32 };
            act.push_back(Act::Tell(ShardId(shard as u16), close));
        }
        self.first = (self.first + 1) % shards;
    }

    fn close_empty(&mut self, clock: Clock, act: &mut VecDeque<Act>) {
        let time = self.epoch_time(clock);
        self.start_flight(time);
        self.flight.as_mut().expect("just started").sealed = self.pending.len() as u16;
        self.cut(act);
    }

    fn start_flight(&mut self, time: u64) {
        self.blocks.clear();
        self.unsealed_since = None;
        let epoch = self.next;
        self.flight = Some(Flight { epoch, time, sealed: 0, blocks: 0, durable: 0, cut_is_durable: false });
    }

    fn sealed(&mut self, epoch: u64, act: &mut VecDeque<Act>) {
        let flight = self.flight.as_mut().expect("shards seal because the pacer said so");
        assert_eq!(flight.epoch, epoch, "one flush is in flight");
        flight.sealed += 1;
        if usize::from(flight.sealed) == self.pending.len() {
            self.blocks.sort_unstable_by_key(|block| block.stream);
            self.cut(act);
        }
    }

    fn cut(&mut self, act: &mut VecDeque<Act>) {
        let flight = self.flight.as_mut().expect("a cut ends a flight's sealing");
        flight.blocks = self.blocks.len();
        let (epoch, time) = (flight.epoch, flight.time);
        let cut = Cut {
            epoch,
            time,
            incarnation: self.incarnation,
            previous: self.previous,
            committed_through: self.committed,
            horizon: 0,
            expire_through: self.expire_through(time),
            blocks: std::mem::take(&mut self.blocks),
        };
        self.expired_through = cut.expire_through;
        self.running.push_back((cut.epoch, cut.time));
        self.time_min = cut.time + cut.units() as u64 + 1;
        self.next = cut.epoch + 1;
        act.push_back(Act::Cut(cut));
    }

    fn commit_if_durable(&mut self, clock: Clock, act: &mut VecDeque<Act>) {
        let Some(flight) = &self.flight else { return };
        let all_sealed = usize::from(flight.sealed) == self.pending.len();
        if !all_sealed || !flight.cut_is_durable || flight.durable < flight.blocks {
            return;
        }
        let flight = self.flight.take().expect("looked at above");
        self.committed = flight.epoch;
        self.unsealed_since = (flight.blocks > 0).then_some(clock.monotonic_ns);
        let (accounts, ids) =
            self.holdings.iter().fold((0, 0), |sum, held| (sum.0 + held.accounts, sum.1 + held.ids));
        act.push_back(Act::TellAll(Pace::Commit { epoch: flight.epoch, accounts, ids }));
    }
}
