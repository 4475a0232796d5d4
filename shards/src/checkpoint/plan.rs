//! When a checkpoint is taken, and what makes it whole: shard 0's part.

use super::manifest::Manifest;
use super::take::{PartReport, Taken};
use super::{Errand, ErrandDone, ErrandEnd, SLOTS};
use crate::limits::{SECTOR_SIZE, STREAMS};
use crate::log::Identity;
use crate::log::cut::Cut;
use crate::pacer::{Counts, LogEnd};
use crate::place::ShardId;
use crate::step::{Output, Outputs};

/// Time after which a checkpoint that failed is tried again, nanoseconds.
const RETRY_NS: u64 = 5_000_000_000;

/// How checkpoints are taken. None of it changes a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A checkpoint is taken when the log has grown by so many bytes; 0: never.
    pub every: u64,
    /// And by so many times as many as the one before has. Each writes the whole state, so with many ids a server would do little else; and
    /// a start replays a transfer, of 128 bytes, in less time than it loads an id, of 32.
    pub times: u64,
    /// But by no more than so many for the sake of its size.
    pub every_max: u64,
    /// Bytes of memory that a shard uses at most for what changes while it is taken; then the execution waits.
    pub kept_max: usize,
    /// The log of pending transfers may go: what a post or void of one needs is found elsewhere.
    pub pendings_may_go: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { every: 4 << 30, times: 2, every_max: u64::MAX, kept_max: 128 << 20, pendings_may_go: false }
    }
}

impl Policy {
    /// Bytes by which the log grows until the next checkpoint, if the newest one has so many.
    pub fn interval(&self, newest: u64) -> u64 {
        newest.saturating_mul(self.times).min(self.every_max).max(self.every)
    }
}

/// A checkpoint in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whole {
    epoch: u64,
    /// Older epochs hold nothing that is looked up.
    needed_from: u64,
    bytes: u64,
}

/// The checkpoint that is being taken.
#[derive(Debug)]
struct Point {
    slot: u8,
    end: LogEnd,
    stream_ends: Box<[u64; STREAMS]>,
    /// By shard.
    parts: Vec<Option<Taken>>,
}

impl Point {
    fn fails(&self) -> bool {
        self.parts.iter().flatten().any(Result::is_err)
    }
}

#[derive(Debug)]
enum Stage {
    /// Until the log has grown; and not before this time.
    Resting {
        from_ns: u64,
    },
    /// The slot's old checkpoint is being removed.
    Clearing {
        slot: u8,
    },
    /// The next cut is that of the checkpoint.
    Ready {
        slot: u8,
    },
    Taking(Box<Point>),
    Sealing {
        slot: u8,
        whole: Whole,
    },
    Recycling,
}

/// What shard 0 knows of checkpoints.
#[derive(Debug)]
pub struct Plan {
    identity: Identity,
    policy: Policy,
    shards: usize,
    slots: [Option<Whole>; SLOTS],
    /// Bytes logged since the newest checkpoint.
    logged: u64,
    stream_ends: Box<[u64; STREAMS]>,
    stage: Stage,
    /// The shards read nothing of the log before this epoch.
    log_from: u64,
    log_from_is_new: bool,
    /// The log waits for room.
    is_full: bool,
    /// No more checkpoints are taken.
    is_stopped: bool,
}

impl Plan {
    /// With what the slots hold, and the first epoch that the log has.
    pub fn new(
        identity: Identity,
        policy: Policy,
        shards: usize,
        slots: &[Option<Manifest>; SLOTS],
        log_from: u64,
    ) -> Self {
        let whole =
            |manifest: &Option<Manifest>| manifest.as_ref().map(|manifest| Whole::of(manifest, &policy));
        Self {
            identity,
            policy,
            shards,
            slots: [whole(&slots[0]), whole(&slots[1])],
            logged: 0,
            stream_ends: Box::new([0; STREAMS]),
            stage: Stage::Resting { from_ns: 0 },
            log_from,
            log_from_is_new: false,
            is_full: false,
            is_stopped: false,
        }
    }

    /// The log goes on behind a checkpoint.
    pub fn go_on_from(&mut self, manifest: &Manifest) {
        self.stream_ends = manifest.stream_ends.clone();
    }

    /// The slot's checkpoint is damaged.
    pub fn forget(&mut self, slot: u8) {
        self.slots[usize::from(slot)] = None;
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Resting { .. })
    }

    /// An epoch was cut, or replayed. One without blocks counts nothing: a checkpoint makes one, which must not make another.
    pub fn count(&mut self, cut: &Cut) {
        if !cut.blocks.is_empty() {
            self.logged += SECTOR_SIZE as u64;
        }
        for block in &cut.blocks {
            let (size, end) = (block.size() as u64, &mut self.stream_ends[usize::from(block.stream)]);
            self.logged += size;
            *end = (*end).max(block.offset + size);
        }
    }

    /// Nothing more can be prepared, or something can again.
    pub fn storage_full(&mut self, full: bool) {
        self.is_full = full;
    }

    /// No checkpoint is begun any more. Whether the shards are to give up the one that they take.
    pub fn stop(&mut self) -> bool {
        self.is_stopped = true;
        match &self.stage {
            Stage::Taking(point) => !point.fails(),
            Stage::Ready { .. } => {
                self.stage = Stage::Resting { from_ns: 0 };
                false
            }
            _ => false,
        }
    }

    /// When [`Plan::tick`] is due at the latest, monotonic nanoseconds.
    pub fn deadline(&self) -> Option<u64> {
        match self.stage {
            Stage::Resting { from_ns } if self.is_due() => Some(from_ns),
            _ => None,
        }
    }

    fn newest(&self) -> Option<(u8, Whole)> {
        let slots = (0..).zip(self.slots).filter_map(|(slot, whole)| Some((slot, whole?)));
        slots.max_by_key(|(_, whole)| whole.epoch)
    }

    /// Bytes by which the log grows until the next checkpoint.
    fn interval(&self) -> u64 {
        self.policy.interval(self.newest().map_or(0, |(_, newest)| newest.bytes))
    }

    fn is_due(&self) -> bool {
        self.policy.every > 0
            && !self.is_stopped
            && (self.logged >= self.interval() || self.is_full && self.logged > SECTOR_SIZE as u64 * 16)
    }

    /// Begins a checkpoint if it is time for one.
    pub fn tick(&mut self, now_ns: u64, out: &mut Outputs) {
        let Stage::Resting { from_ns } = self.stage else { return };
        if now_ns < from_ns || !self.is_due() {
            return;
        }
        let newest = self.newest();
        let slot = newest.map_or(0, |(slot, _)| (slot + 1) % SLOTS as u8);
        self.stage = Stage::Clearing { slot };
        self.slots[usize::from(slot)] = None;
        let history_through = newest.map_or(0, |(_, newest)| newest.epoch);
        out.push(Output::Errand(Errand::Clear { slot, history_through }));
    }

    /// Whether the next cut is waited for.
    pub fn wants_cut(&self) -> bool {
        matches!(self.stage, Stage::Ready { .. })
    }

    /// A cut was made: the log's end behind it. The slot, if the checkpoint is to show the state after it.
    pub fn cut(&mut self, end: LogEnd) -> Option<u8> {
        let Stage::Ready { slot } = self.stage else { return None };
        let parts = (0..self.shards).map(|_| None).collect();
        let stream_ends = self.stream_ends.clone();
        self.stage = Stage::Taking(Box::new(Point { slot, end, stream_ends, parts }));
        self.logged = 0;
        Some(slot)
    }

    /// A shard's part is there, or can't be. Whether the other shards' are to be given up.
    pub fn take_part(&mut self, from: ShardId, taken: Taken, now_ns: u64, out: &mut Outputs) -> bool {
        let Stage::Taking(point) = &mut self.stage else { unreachable!("parts belong to a checkpoint") };
        let failed_before = point.fails() || self.is_stopped;
        point.parts[from.index()] = Some(taken);
        let fails = point.fails();
        if point.parts.iter().all(Option::is_some) {
            self.finish(now_ns, out);
        }
        fails && !failed_before
    }

    fn finish(&mut self, now_ns: u64, out: &mut Outputs) {
        let Stage::Taking(point) = std::mem::replace(&mut self.stage, Stage::Recycling) else { return };
        let Point { slot, end, stream_ends, parts } = *point;
        let parts: Result<Vec<PartReport>, String> = parts.into_iter().flatten().collect();
        let parts = match parts {
            Ok(parts) => parts,
            Err(why) => return self.fail(why, now_ns, out),
        };
        let manifest = Manifest {
            end,
            newest: parts[0].newest,
            digest: parts.iter().fold(0, |sum, part| sum.wrapping_add(part.digest)),
            held: parts.iter().fold(Counts::default(), |sum, part| sum + part.held),
            ids_from: parts.iter().map(|part| part.ids_from).min().unwrap_or(u64::MAX),
            pendings_from: parts.iter().map(|part| part.pendings_from).min().unwrap_or(u64::MAX),
            parts: parts.iter().map(|part| part.part).collect(),
            stream_ends,
        };
        self.stage = Stage::Sealing { slot, whole: Whole::of(&manifest, &self.policy) };
        let (epoch, manifest) = (manifest.end.epoch, manifest.encode(&self.identity));
        out.push(Output::Errand(Errand::Seal { slot, epoch, manifest }));
    }

    /// An errand of the plan has ended.
    pub fn errand_ended(&mut self, end: ErrandEnd, now_ns: u64, out: &mut Outputs) {
        match (&self.stage, end) {
            (_, Err(why)) => self.fail(why, now_ns, out),
            (Stage::Clearing { .. }, Ok(ErrandDone::Cleared)) if self.is_stopped => {
                self.stage = Stage::Resting { from_ns: 0 };
            }
            (Stage::Clearing { slot }, Ok(ErrandDone::Cleared)) => self.stage = Stage::Ready { slot: *slot },
            (Stage::Sealing { slot, whole }, Ok(ErrandDone::Sealed)) => {
                let (slot, whole) = (*slot, *whole);
                self.slots[usize::from(slot)] = Some(whole);
                out.push(Output::Checkpointed { epoch: whole.epoch, bytes: whole.bytes });
                self.recycle(out);
            }
            (Stage::Recycling, Ok(ErrandDone::Recycled)) => self.stage = Stage::Resting { from_ns: 0 },
            (stage, Ok(done)) => unreachable!("{done:?} in {stage:?}"),
        }
    }

    /// Lets the log go that neither a start nor a look-up needs: what the shards were told the last time, which nobody reads
    /// any more; and tells them of what will go the next time.
    pub fn recycle(&mut self, out: &mut Outputs) {
        self.stage = Stage::Resting { from_ns: 0 };
        let [Some(one), Some(other)] = self.slots else { return };
        let (newer, older) = if one.epoch > other.epoch { (one, other) } else { (other, one) };
        let log_from = newer.needed_from.min(older.epoch + 1);
        if self.log_from > 1 {
            self.stage = Stage::Recycling;
            out.push(Output::Errand(Errand::Recycle { through: self.log_from - 1 }));
        }
        if log_from > self.log_from {
            self.log_from = log_from;
            self.log_from_is_new = true;
        }
    }

    /// The first epoch that the log will have, if that is new.
    pub fn take_log_from(&mut self) -> Option<u64> {
        std::mem::take(&mut self.log_from_is_new).then_some(self.log_from)
    }

    fn fail(&mut self, why: String, now_ns: u64, out: &mut Outputs) {
        self.stage = Stage::Resting { from_ns: now_ns + RETRY_NS };
        // It was due, and is.
        self.logged = self.logged.max(self.interval());
        if !self.is_stopped {
            out.push(Output::CheckpointFailed(why));
        }
    }
}

impl Whole {
    fn of(manifest: &Manifest, policy: &Policy) -> Self {
        let pendings_from = if policy.pendings_may_go { u64::MAX } else { manifest.pendings_from };
        Self {
            epoch: manifest.end.epoch,
            needed_from: manifest.ids_from.min(pendings_from),
            bytes: manifest.parts.iter().map(|part| part.bytes).sum(),
        }
    }
}
