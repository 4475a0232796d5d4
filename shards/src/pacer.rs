//! The pacer: closes epochs, numbers and times them, and says when they are committed. It runs on shard 0.
//!
//! It closes an epoch when there is something to commit and the flush before it is done, so batches grow by themselves
//! under load. When nothing follows a commit, an empty seal cut proves it. The pacer reads no clock: the time comes with
//! each call.

mod pace;

use crate::ledger::terms::{Limited, Terms};
use crate::limits::{
    BLOCK_UNITS_MAX, EPOCH_BLOCKS_MAX, EPOCH_UNITS_MAX, EPOCHS_AHEAD_MAX, IDS_AHEAD_NS, IDS_KEPT_NS,
    IDS_RESERVE, Limits, SEAL_DELAY_NS,
};
use crate::log::cut::{BlockEntry, Cut, CutImage, CutSector};
use crate::log::{IdMode, Identity};
use crate::place::ShardId;
pub use pace::{Counts, Holdings, Pace};
use std::collections::VecDeque;

/// Time between two looks at the first deadline of a pending transfer, at least, nanoseconds.
const EXPIRY_LOOK_MIN_NS: u64 = 1_000_000;

/// The shortest timeout of a pending transfer, nanoseconds.
const TIMEOUT_MIN_NS: u64 = 1_000_000_000;

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
    /// When it was closed, by the wall clock, nanoseconds.
    wall: u64,
    /// What its blocks ask for.
    asked: Counts,
    /// Shards that have sealed or had nothing to.
    sealed: u16,
    blocks: usize,
    durable: usize,
    cut_is_durable: bool,
    /// Something happens in it: if no epoch follows, a seal has to prove it.
    is_to_be_sealed: bool,
}

/// The state of pacing, after recovery.
#[derive(Debug)]
pub struct Pacer {
    identity: Identity,
    limits: Limits,
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
    /// The newest epochs, which not every shard has executed.
    running: VecDeque<Running>,
    /// Ids older than this are forgotten, as the last cut says, nanoseconds.
    horizon: u64,
    /// What the last cut says of expired pending transfers.
    expired_through: u64,
    /// When to look again whether something expires, in monotonic nanoseconds.
    look_again: Option<u64>,
    /// The opening cuts are durable.
    serves: bool,
    is_cut_wanted: bool,
    /// The shard that is served first in the next epoch.
    first: usize,
    flight: Option<Flight>,
    /// The last commit is not proven by a later cut, and since when nothing followed it.
    unsealed_since: Option<u64>,
    /// Newest epoch whose slot in the cut log is prepared.
    slots_through: u64,
    blocks: Vec<BlockEntry>,
}

/// An epoch that not every shard has executed.
#[derive(Debug)]
struct Running {
    epoch: u64,
    time: u64,
    asked: Counts,
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
    /// What its cut says of forgotten ids.
    pub horizon: u64,
}

impl LogEnd {
    /// Ids older than this are forgotten, milliseconds.
    pub fn ids_from_ms(&self) -> u64 {
        Terms::new(self.horizon, u64::MAX, Limited::default()).ids_from_ms
    }
}

impl Pacer {
    /// A pacer that goes on behind `end`; `holdings` are each shard's. The clock's time is taken over if it is later than the
    /// log's.
    pub fn new(
        identity: Identity,
        limits: Limits,
        end: &LogEnd,
        holdings: Vec<Holdings>,
        clock: Clock,
    ) -> Self {
        let shards = holdings.len();
        let time = end.time_end.max(clock.wall_ns);
        Self {
            identity,
            limits,
            horizon: end.horizon,
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
            is_cut_wanted: false,
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

    /// Somebody waits for the next cut: it is made as soon as it can be, though empty.
    pub fn want_cut(&mut self, clock: Clock, act: &mut VecDeque<Act>) {
        self.is_cut_wanted = true;
        self.tick(clock, act);
    }

    /// Whether no more epochs than may be are closed and not executed.
    fn may_close(&self) -> bool {
        let slowest = self.executed.iter().min().copied().unwrap_or(0);
        self.next <= slowest + EPOCHS_AHEAD_MAX
    }

    /// If no epoch follows the one that is being cut, a seal is to prove it, even if nothing happens in it.
    pub fn seal_behind(&mut self) {
        self.flight.as_mut().expect("a cut belongs to a flight").is_to_be_sealed = true;
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
        let known = self.running.front().map_or(time, |first| first.time + TIMEOUT_MIN_NS - 1);
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
        if self.pending.iter().any(|units| *units > 0) {
            if self.may_close() {
                self.close(clock, act);
            }
        } else {
            let seals = self.unsealed_since.is_some_and(|since| clock.monotonic_ns >= since + SEAL_DELAY_NS);
            let expires = self.may_close() && self.first_due().is_some_and(|due| due <= self.time_at(clock));
            if seals || expires || self.is_cut_wanted && self.may_close() {
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
            Pace::Sealed { epoch, pending, asked } => {
                self.pending[from.index()] = pending;
                self.sealed(epoch, asked, act);
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
                self.running.retain(|running| running.epoch > slowest);
            }
            Pace::Damaged(_) => unreachable!("blocks are read in a replay only"),
            Pace::Part(_) | Pace::Loaded(_) => unreachable!("checkpoints are not the pacer's"),
            Pace::Close { .. }
            | Pace::Checkpoint { .. }
            | Pace::GiveUp
            | Pace::Load(_)
            | Pace::LogFrom(_)
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

    /// Encodes a cut; its checksum is what the next one names. Returns the log's end behind it.
    pub fn encode(&mut self, cut: Cut, sector: &mut CutSector) -> LogEnd {
        self.previous = cut.encode(&self.identity, sector);
        let end = LogEnd {
            epoch: cut.epoch,
            checksum: self.previous,
            time_end: self.time_min,
            incarnation: self.incarnation,
            expired_through: cut.expire_through,
            horizon: cut.horizon,
        };
        self.blocks = cut.blocks;
        end
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
        self.start_flight(clock);
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
        self.start_flight(clock);
        self.flight.as_mut().expect("just started").sealed = self.pending.len() as u16;
        self.cut(act);
    }

    fn start_flight(&mut self, clock: Clock) {
        self.blocks.clear();
        self.unsealed_since = None;
        self.flight = Some(Flight {
            epoch: self.next,
            time: self.epoch_time(clock),
            wall: clock.wall_ns,
            asked: Counts::default(),
            sealed: 0,
            blocks: 0,
            durable: 0,
            cut_is_durable: false,
            is_to_be_sealed: false,
        });
    }

    fn sealed(&mut self, epoch: u64, asked: Counts, act: &mut VecDeque<Act>) {
        let flight = self.flight.as_mut().expect("shards seal because the pacer said so");
        assert_eq!(flight.epoch, epoch, "one flush is in flight");
        flight.sealed += 1;
        flight.asked = flight.asked + asked;
        if usize::from(flight.sealed) == self.pending.len() {
            self.blocks.sort_unstable_by_key(|block| block.stream);
            self.cut(act);
        }
    }

    fn cut(&mut self, act: &mut VecDeque<Act>) {
        let flight = self.flight.as_mut().expect("a cut ends a flight's sealing");
        flight.blocks = self.blocks.len();
        let Flight { epoch, time, wall, asked, .. } = *flight;
        let coming = self.held() + self.running.iter().fold(asked, |sum, running| sum + running.asked);
        if !self.blocks.is_empty() {
            self.horizon = self.horizon(time, wall, coming.ids);
        }
        let has_time = self.identity.id_mode == IdMode::Time;
        let cut = Cut {
            epoch,
            time,
            incarnation: self.incarnation,
            previous: self.previous,
            committed_through: self.committed,
            horizon: self.horizon,
            ids_through: if has_time { time.max(wall) + IDS_AHEAD_NS } else { u64::MAX },
            limited: self.limited(asked, coming),
            expire_through: self.expire_through(time),
            blocks: std::mem::take(&mut self.blocks),
        };
        let expires = cut.expire_through > self.expired_through;
        let flight = self.flight.as_mut().expect("a cut ends a flight's sealing");
        flight.is_to_be_sealed = !cut.blocks.is_empty() || expires;
        self.expired_through = cut.expire_through;
        self.is_cut_wanted = false;
        self.running.push_back(Running { epoch, time, asked });
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
        self.unsealed_since = flight.is_to_be_sealed.then_some(clock.monotonic_ns);
        act.push_back(Act::TellAll(Pace::Commit { epoch: flight.epoch, held: self.held() }));
    }

    /// What all shards hold, as far as it is known.
    fn held(&self) -> Counts {
        self.holdings.iter().fold(Counts::default(), |sum, shard| sum + shard.held)
    }

    /// Up to which time ids are forgotten: the window's end, or what keeps their number within its bound; never back. `ids` is the
    /// most that there can be after the epoch.
    fn horizon(&self, time: u64, wall: u64, ids: u64) -> u64 {
        let Limits { ids_max, window_ns, .. } = self.limits;
        if self.identity.id_mode == IdMode::Any {
            return 0;
        }
        let by_window = time.saturating_sub(window_ns);
        let is_tight = ids > ids_max - IDS_RESERVE.min(ids_max / 8);
        let for_room = self.holdings.iter().map(|shard| shard.horizon_for_room).max().unwrap_or(0);
        let young = time.min(wall).saturating_sub(IDS_KEPT_NS);
        let by_count = if is_tight { for_room.min(young) } else { 0 };
        self.horizon.max(by_window).max(by_count)
    }

    /// Which creations an epoch has to refuse that asks for so much: those of a kind of which there could be more than its bound
    /// after it, `coming` at most.
    fn limited(&self, asked: Counts, coming: Counts) -> Limited {
        let Limits { accounts_max, ids_max, pendings_max, .. } = self.limits;
        let kinds = [
            (Limited::ACCOUNTS, asked.accounts, coming.accounts, accounts_max),
            (Limited::IDS, asked.ids, coming.ids, ids_max),
            (Limited::PENDINGS, asked.pendings, coming.pendings, pendings_max),
        ];
        let reached = kinds.into_iter().filter(|(_, asked, coming, max)| *asked > 0 && coming > max);
        Limited(reached.fold(0, |bits, (bit, ..)| bits | bit))
    }
}
