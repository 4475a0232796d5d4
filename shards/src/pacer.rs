//! The pacer: closes epochs, numbers and times them, and says when they are committed. It runs on shard 0.
//!
//! It closes an epoch when there is something to commit and the flush before it is done, so batches grow by themselves
//! under load. When nothing follows a commit, an empty seal cut proves it. The pacer reads no clock: the time comes with
//! each call.

use crate::execute::message::Message;
use crate::limits::{BLOCK_UNITS_MAX, EPOCH_BLOCKS_MAX, EPOCH_UNITS_MAX, EPOCHS_AHEAD_MAX, SEAL_DELAY_NS};
use crate::log::Identity;
use crate::log::cut::{BlockEntry, Cut, CutImage, CutSector};
use crate::place::ShardId;
use std::collections::VecDeque;

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
        /// Accounts of the shard.
        accounts: u64,
        /// Remembered ids of the shard.
        ids: u64,
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
    counts: Vec<(u64, u64)>,
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
}

impl Pacer {
    /// A pacer that goes on behind `end`; `counts` are each shard's accounts and ids. The clock's time is taken over if it is later than the log's.
    pub fn new(identity: Identity, end: &LogEnd, counts: Vec<(u64, u64)>, clock: Clock) -> Self {
        let shards = counts.len();
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
            counts,
            first: 0,
            flight: None,
            unsealed_since: None,
            slots_through: end.epoch,
            blocks: Vec::with_capacity(EPOCH_BLOCKS_MAX),
        }
    }

    /// This start's number.
    pub fn incarnation(&self) -> u64 {
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
        self.unsealed_since.map(|since| since + SEAL_DELAY_NS)
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
        } else if self.unsealed_since.is_some_and(|since| clock.monotonic_ns >= since + SEAL_DELAY_NS) {
            self.close_empty(clock, act);
        }
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
            Pace::Executed { epoch, accounts, ids } => {
                self.executed[from.index()] = epoch;
                self.counts[from.index()] = (accounts, ids);
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
    fn epoch_time(&mut self, clock: Clock) -> u64 {
        let (since, at) = self.time_set;
        let elapsed = clock.monotonic_ns.saturating_sub(since);
        let steady = at + elapsed;
        let slew = elapsed / 16;
        let time = clock.wall_ns.clamp(steady - slew, steady + slew).max(self.time_min);
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
        let cut = Cut {
            epoch: flight.epoch,
            time: flight.time,
            incarnation: self.incarnation,
            previous: self.previous,
            committed_through: self.committed,
            horizon: 0,
            blocks: std::mem::take(&mut self.blocks),
        };
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
        let (accounts, ids) = self.counts.iter().fold((0, 0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
        act.push_back(Act::TellAll(Pace::Commit { epoch: flight.epoch, accounts, ids }));
    }
}
