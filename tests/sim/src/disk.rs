//! The drive under the log: it keeps what it has reported durable, and of the rest what chance decides.
//!
//! There are two kinds. One writes through: a write is durable when it ends. The other one has a cache: a write lands there,
//! where every read sees it, and becomes durable with a flush that begins later; one that was under way when the write landed
//! doesn't count. The server's durable write is then both, and the shard hears of it at the end.

mod old;
mod rot;

use crate::slots::Slots;
use auriga_shards::limits::{CUT_SEGMENT_SLOTS, SECTOR_SIZE, STREAM_SEGMENT_SIZE};
use auriga_shards::log::cut::Cut;
use auriga_shards::log::segment::{cut_place, stream_place};
use auriga_shards::log::{File, IdMode, Identity};
use fastrand::Rng;
pub(crate) use rot::Rot;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use xxhash_rust::xxh3::xxh3_128;

const CLUSTER: u64 = 7;
/// What a torn write consists of: a drive's sectors, or less.
const PARTS: [usize; 2] = [64, 512];
/// The larger of them.
pub(crate) const SECTOR_PARTS: usize = PARTS[1];
/// Most slots that one read of the cut log brings.
const SLOTS_READ_MAX: u64 = 256;
/// Former contents of a sector that are kept, to be served again.
const OLDER_MAX: usize = 3;
/// Sectors of removed blocks that lie about in what is prepared later.
const SPARE_MAX: usize = 64;

/// A sector: its file and offset.
pub(crate) type Place = (File, u64);
type Bytes = Box<[u8; SECTOR_SIZE]>;

/// How a write ended that was under way when the process died or the power went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Done,
    Torn,
}

impl Fate {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        [Self::Lost, Self::Done, Self::Torn][rng.usize(..3)]
    }
}

/// A write in the drive's cache.
#[derive(Debug)]
struct Cached {
    file: File,
    offset: u64,
    before: Vec<u8>,
}

/// Sectors by file and offset; what is not there is zero.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) identity: Identity,
    sectors: HashMap<Place, Bytes>,
    older: HashMap<Place, Vec<Bytes>>,
    spare: Vec<Bytes>,
    /// Hashes of all that was ever to be written at a place.
    asked: HashMap<Place, Vec<(usize, u128)>>,
    /// What is not as it was written.
    damaged: BTreeMap<Place, rot::Damaged>,
    /// Sectors of the committed log: never to be written again.
    committed: BTreeSet<Place>,
    /// Whether the drive has a cache, and what is in it, in the order in which it landed.
    pub(crate) has_cache: bool,
    cache: BTreeMap<u64, Cached>,
    landed: u64,
    /// The cut log is prepared through this epoch's slot.
    pub(crate) cuts_through: u64,
    /// By stream: prepared up to this offset.
    pub(crate) streams_through: BTreeMap<u16, u64>,
    /// The first epoch that is there.
    pub(crate) log_from: u64,
    pub(crate) slots: Slots,
}

impl Disk {
    /// A disk that was just formatted.
    pub(crate) fn new(id_mode: IdMode, has_cache: bool) -> Self {
        Self {
            identity: Identity { cluster: CLUSTER, id_mode },
            sectors: HashMap::new(),
            older: HashMap::new(),
            spare: Vec::new(),
            asked: HashMap::new(),
            damaged: BTreeMap::new(),
            committed: BTreeSet::new(),
            has_cache,
            cache: BTreeMap::new(),
            landed: 0,
            cuts_through: 0,
            streams_through: BTreeMap::new(),
            log_from: 1,
            slots: Slots::default(),
        }
    }

    pub(crate) fn read(&self, file: File, offset: u64, bytes: &mut [u8]) {
        assert!(offset.is_multiple_of(SECTOR_SIZE as u64), "reads begin at sectors");
        for (sector, at) in bytes.chunks_mut(SECTOR_SIZE).zip((offset..).step_by(SECTOR_SIZE)) {
            match self.sectors.get(&(file, at)) {
                Some(found) => sector.copy_from_slice(&found[..sector.len()]),
                None => sector.fill(0),
            }
        }
    }

    /// Slots of the cut log from this epoch on, and whether there are no more.
    pub(crate) fn read_cuts(&self, first: u64, rng: &mut Rng) -> (Vec<u8>, bool) {
        let left_of_file = CUT_SEGMENT_SLOTS - (first - 1) % CUT_SEGMENT_SLOTS;
        let left = (self.cuts_through + 1).saturating_sub(first).min(left_of_file);
        let slots = left.min(rng.u64(1..=SLOTS_READ_MAX));
        let mut bytes = vec![0; slots as usize * SECTOR_SIZE];
        let (file, offset) = cut_place(first);
        self.read(file, offset, &mut bytes);
        (bytes, first + slots > self.cuts_through)
    }

    /// Removes the epochs through this one. None of them if one can't be read: nobody knows then where its blocks are.
    pub(crate) fn remove_log(&mut self, through: u64) -> u64 {
        let mut removed = 0;
        let mut sector = [0; SECTOR_SIZE];
        if (self.log_from..=through).any(|epoch| self.is_damaged(cut_place(epoch), SECTOR_SIZE)) {
            return removed;
        }
        for epoch in self.log_from..=through {
            let (file, at) = cut_place(epoch);
            self.read(file, at, &mut sector);
            let (cut, _) = Cut::decode(&self.identity, &sector).expect("what is recycled is committed");
            self.remove((file, at), SECTOR_SIZE);
            for block in &cut.blocks {
                self.remove(stream_place(block.stream, block.offset), block.size());
            }
            removed += 1;
        }
        self.log_from = self.log_from.max(through + 1);
        removed
    }

    fn remove(&mut self, (file, offset): Place, size: usize) {
        for at in sectors(offset, size) {
            let removed = self.sectors.remove(&(file, at));
            if matches!(file, File::Stream { .. }) && self.spare.len() < SPARE_MAX {
                self.spare.extend(removed);
            }
            self.older.remove(&(file, at));
            self.damaged.remove(&(file, at));
        }
    }

    /// Prepares a stream up to this offset, of what may be a segment that was used before.
    pub(crate) fn prepare(&mut self, stream: u16, through: u64, rng: &mut Rng) {
        let from = self.streams_through.insert(stream, through).unwrap_or(0);
        if self.spare.is_empty() || from == through {
            return;
        }
        for _ in 0..rng.usize(..8) {
            let at = from + rng.u64(..(through - from) / SECTOR_SIZE as u64) * SECTOR_SIZE as u64;
            let spare = self.spare[rng.usize(..self.spare.len())].clone();
            self.sectors.insert(stream_place(stream, at), spare);
        }
    }

    /// Whether the place may be written: prepared, and nothing committed there.
    pub(crate) fn check_write(&self, file: File, offset: u64, size: usize) -> Result<(), String> {
        let end = offset + size as u64 - SECTOR_SIZE as u64;
        let (found, prepared) = match file {
            File::Cuts { segment } => {
                let epoch = u64::from(segment) * CUT_SEGMENT_SLOTS + end / SECTOR_SIZE as u64;
                (epoch, self.cuts_through)
            }
            File::Stream { stream, segment } => {
                let end = u64::from(segment) * STREAM_SEGMENT_SIZE + end;
                (end, self.streams_through.get(&stream).copied().unwrap_or(0))
            }
        };
        if found > prepared || offset + size as u64 > file.size() {
            return Err(format!("a write to {file} through {found}, prepared through {prepared}"));
        }
        match sectors(offset, size).find(|at| self.committed.contains(&(file, *at))) {
            Some(at) => Err(format!("a write to {file} at byte {at}, where committed bytes are")),
            None => Ok(()),
        }
    }

    /// Notes what is to be written; of the last sector only what matters.
    pub(crate) fn ask(&mut self, place: Place, bytes: &[u8]) {
        self.asked.entry(place).or_default().push((bytes.len(), xxh3_128(bytes)));
    }

    /// Whether these bytes were ever to be written at this place, as a whole. No checksum of the engine is asked.
    pub(crate) fn was_asked(&self, place: Place, bytes: &[u8]) -> bool {
        let hash = xxh3_128(bytes);
        self.asked.get(&place).is_some_and(|asked| asked.contains(&(bytes.len(), hash)))
    }

    /// A write lands in the cache.
    pub(crate) fn land(&mut self, file: File, offset: u64, bytes: &[u8]) {
        let mut before = vec![0; bytes.len()];
        self.read(file, offset, &mut before);
        self.landed += 1;
        self.cache.insert(self.landed, Cached { file, offset, before });
        self.put(file, offset, bytes, |_| true);
    }

    /// A flush begins: what it will make durable.
    pub(crate) fn begin_flush(&self) -> u64 {
        self.landed
    }

    /// A flush ends. Returns how many writes landed while it was under way, which it doesn't make durable.
    pub(crate) fn end_flush(&mut self, through: u64) -> u64 {
        self.cache.retain(|number, _| *number > through);
        self.cache.len() as u64
    }

    /// Whether nothing of this is in the cache alone.
    pub(crate) fn is_durable(&self, (file, offset): Place, size: usize) -> bool {
        let is_there = |cached: &Cached| {
            let end = cached.offset + cached.before.len() as u64;
            cached.file == file && cached.offset < offset + size as u64 && offset < end
        };
        !self.cache.values().any(is_there)
    }

    /// A durable write that ended.
    pub(crate) fn write(&mut self, file: File, offset: u64, bytes: &[u8]) {
        self.put(file, offset, bytes, |_| true);
    }

    /// A write that was interrupted.
    pub(crate) fn end_write(&mut self, file: File, offset: u64, bytes: &[u8], fate: Fate, rng: &mut Rng) {
        match fate {
            Fate::Lost => {}
            Fate::Done => self.write(file, offset, bytes),
            Fate::Torn => {
                let there = tear(bytes.len(), rng);
                self.put(file, offset, bytes, there);
            }
        }
    }

    /// The power goes: of what is in the cache, chance decides. Returns each write's fate, in the order in which they landed.
    pub(crate) fn lose_power(&mut self, rng: &mut Rng) -> Vec<Fate> {
        let mut fates = Vec::new();
        for Cached { file, offset, before } in std::mem::take(&mut self.cache).into_values().rev() {
            let fate = Fate::draw(rng);
            fates.push(fate);
            match fate {
                Fate::Done => {}
                Fate::Lost => self.put(file, offset, &before, |_| true),
                Fate::Torn => {
                    let there = tear(before.len(), rng);
                    self.put(file, offset, &before, |at| !there(at));
                }
            }
        }
        fates.reverse();
        fates
    }

    /// Puts those bytes whose place in the write is wanted.
    fn put(&mut self, file: File, offset: u64, bytes: &[u8], wanted: impl Fn(usize) -> bool) {
        const PART: usize = PARTS[0];
        for (number, at) in sectors(offset, bytes.len()).enumerate() {
            let first = number * SECTOR_SIZE;
            let bytes = &bytes[first..bytes.len().min(first + SECTOR_SIZE)];
            let sector = self.sectors.entry((file, at)).or_insert_with(|| Box::new([0; SECTOR_SIZE]));
            let before = sector.clone();
            for (part, bytes) in bytes.chunks(PART).enumerate() {
                let start = part * PART;
                if wanted(first + start) {
                    sector[start..start + bytes.len()].copy_from_slice(bytes);
                }
            }
            if before != *sector {
                let older = self.older.entry((file, at)).or_default();
                if older.len() == OLDER_MAX {
                    older.remove(0);
                }
                older.push(before);
                self.damaged.remove(&(file, at));
            }
        }
    }

    /// From now on these bytes are part of the log.
    pub(crate) fn commit(&mut self, (file, offset): Place, size: usize) {
        self.committed.extend(sectors(offset, size).map(|at| (file, at)));
    }

    /// These bytes are not part of the log any more.
    pub(crate) fn uncommit(&mut self, (file, offset): Place, size: usize) {
        for at in sectors(offset, size) {
            self.committed.remove(&(file, at));
        }
    }
}

/// The offsets of the sectors of a write.
fn sectors(offset: u64, size: usize) -> impl Iterator<Item = u64> {
    (offset..offset + size as u64).step_by(SECTOR_SIZE)
}

/// Which bytes of a torn write are there: any of its parts, or the first ones.
fn tear(bytes: usize, rng: &mut Rng) -> impl Fn(usize) -> bool {
    let size = PARTS[rng.usize(..PARTS.len())];
    let parts = bytes.div_ceil(size);
    let mut there = vec![false; parts];
    if rng.bool() {
        there.fill_with(|| rng.bool());
    } else {
        there[..rng.usize(..=parts)].fill(true);
    }
    move |at| there[at / size]
}
