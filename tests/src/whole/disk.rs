//! A disk that keeps what was reported written, and of the rest what chance decides.

use super::slots::Slots;
use auriga_shards::ledger::terms::Limited;
use auriga_shards::limits::{CUT_SEGMENT_SLOTS, SECTOR_SIZE, STREAM_SEGMENT_SIZE};
use auriga_shards::log::block::{Block, Place};
use auriga_shards::log::cut::{BlockEntry, Cut, CutSector};
use auriga_shards::log::segment::{cut_place, stream_place};
use auriga_shards::log::{File, IdMode, Identity};
use auriga_wire::{Account, RequestFrame};
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const CLUSTER: u64 = 7;
/// What a torn write consists of: a drive's sectors, or less.
const PARTS: [usize; 2] = [64, 512];
/// The larger of them.
pub(crate) const SECTOR_PARTS: usize = PARTS[1];
/// The smallest of them.
const PART: usize = PARTS[0];
/// Most slots that one read of the cut log brings.
const SLOTS_READ_MAX: u64 = 256;
/// Streams that servers with 1, 2, 3 or 8 shards write.
const STREAMS_WRITTEN: [u16; 10] = [0, 16, 32, 42, 48, 64, 80, 85, 96, 112];
/// When the log of an old disk was begun.
const OLD_TIME: u64 = super::WALL_NS - 1_000_000_000;

/// How a write ended that was under way when the power went.
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

/// Sectors by file and offset; what is not there is zero.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) identity: Identity,
    sectors: HashMap<(File, u64), Box<[u8; SECTOR_SIZE]>>,
    /// Sectors of the committed log: never to be written again.
    committed: BTreeSet<(File, u64)>,
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
    pub(crate) fn new(id_mode: IdMode) -> Self {
        Self {
            identity: Identity { cluster: CLUSTER, id_mode },
            sectors: HashMap::new(),
            committed: BTreeSet::new(),
            cuts_through: 0,
            streams_through: BTreeMap::new(),
            log_from: 1,
            slots: Slots::default(),
        }
    }

    /// A disk with a log whose next cuts and blocks pass the end of their segments.
    pub(crate) fn old(id_mode: IdMode, rng: &mut Rng) -> Self {
        let mut disk = Self::new(id_mode);
        let epochs = CUT_SEGMENT_SLOTS - rng.u64(0..20);
        let mut cut = Cut {
            epoch: 1,
            time: OLD_TIME,
            incarnation: 1,
            previous: 0,
            committed_through: 0,
            horizon: 0,
            ids_through: if id_mode == IdMode::Time { OLD_TIME } else { u64::MAX },
            limited: Limited::default(),
            expire_through: 0,
            blocks: Vec::new(),
        };
        let mut sector = CutSector::new();
        while cut.epoch <= epochs {
            if cut.epoch == 2 {
                cut.blocks = disk.old_blocks(rng);
            }
            let previous = cut.encode(&disk.identity, &mut sector);
            let (file, at) = cut_place(cut.epoch);
            disk.put(file, at, &sector.0, |_| true);
            let time = cut.time + cut.units() as u64 + 1;
            let (epoch, committed_through) = (cut.epoch + 1, cut.epoch);
            cut = Cut { epoch, time, previous, committed_through, blocks: Vec::new(), ..cut };
        }
        disk.cuts_through = epochs;
        disk
    }

    /// Blocks of epoch 2, near the ends of their segments.
    fn old_blocks(&mut self, rng: &mut Rng) -> Vec<BlockEntry> {
        let mut entries = Vec::new();
        for stream in STREAMS_WRITTEN {
            let left = SECTOR_SIZE as u64 * rng.u64(1..20);
            let offset = STREAM_SEGMENT_SIZE - left;
            let (mut block, mut frame) = (Block::with_size(SECTOR_SIZE), RequestFrame::default());
            frame.begin(auriga_wire::Command::CreateAccounts, 1);
            let id = 1 << 127 | u128::from(stream);
            frame.records_mut().copy_from_slice(&[Account { id, ledger: 1, code: 1, ..Account::default() }]);
            frame.seal(u64::MAX - u64::from(stream), 0);
            block.push(frame.bytes());
            let place = Place { cluster: CLUSTER, incarnation: 1, epoch: 2, stream, offset };
            entries.push(block.seal(&place));
            let (file, at) = stream_place(stream, offset);
            self.put(file, at, block.bytes(), |_| true);
            self.streams_through.insert(stream, STREAM_SEGMENT_SIZE);
        }
        entries
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

    /// Removes the epochs through this one.
    pub(crate) fn remove_log(&mut self, through: u64) {
        let mut sector = [0; SECTOR_SIZE];
        for epoch in self.log_from..=through {
            let (file, at) = cut_place(epoch);
            self.read(file, at, &mut sector);
            let (cut, _) = Cut::decode(&self.identity, &sector).expect("what is recycled is committed");
            self.sectors.remove(&(file, at));
            for block in &cut.blocks {
                let (file, at) = stream_place(block.stream, block.offset);
                for at in (at..at + block.size() as u64).step_by(SECTOR_SIZE) {
                    self.sectors.remove(&(file, at));
                }
            }
        }
        self.log_from = self.log_from.max(through + 1);
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
        let sectors = (offset..offset + size as u64).step_by(SECTOR_SIZE);
        for at in sectors {
            if self.committed.contains(&(file, at)) {
                return Err(format!("a write to {file} at byte {at}, where committed bytes are"));
            }
        }
        Ok(())
    }

    /// A write that was reported done, or that the power failure let through.
    pub(crate) fn write(&mut self, file: File, offset: u64, bytes: &[u8]) {
        self.put(file, offset, bytes, |_| true);
    }

    /// A write that the power failure interrupted.
    pub(crate) fn end_write(&mut self, file: File, offset: u64, bytes: &[u8], fate: Fate, rng: &mut Rng) {
        match fate {
            Fate::Lost => {}
            Fate::Done => self.write(file, offset, bytes),
            Fate::Torn => {
                let size = PARTS[rng.usize(..PARTS.len())];
                let parts = bytes.len() / size;
                let mut there = vec![false; parts];
                if rng.bool() {
                    there.fill_with(|| rng.bool());
                } else {
                    there[..rng.usize(..=parts)].fill(true);
                }
                self.put(file, offset, bytes, |part| there[part * PART / size]);
            }
        }
    }

    fn put(&mut self, file: File, offset: u64, bytes: &[u8], wanted: impl Fn(usize) -> bool) {
        for (part, bytes) in bytes.chunks(PART).enumerate() {
            if wanted(part) {
                let at = offset + (part * PART) as u64;
                let start = at % SECTOR_SIZE as u64;
                let sector = self.sectors.entry((file, at - start));
                let sector = sector.or_insert_with(|| Box::new([0; SECTOR_SIZE]));
                sector[start as usize..start as usize + bytes.len()].copy_from_slice(bytes);
            }
        }
    }

    /// From now on these bytes are part of the log.
    pub(crate) fn commit(&mut self, file: File, offset: u64, size: usize) {
        self.committed.extend((offset..offset + size as u64).step_by(SECTOR_SIZE).map(|at| (file, at)));
    }
}
