//! A disk that has been in use: its segments end soon.

use super::{CLUSTER, Disk};
use crate::WALL_NS;
use auriga_shards::ledger::terms::Limited;
use auriga_shards::limits::{CUT_SEGMENT_SLOTS, SECTOR_SIZE, STREAM_SEGMENT_SIZE, UNIT_SIZE};
use auriga_shards::log::IdMode;
use auriga_shards::log::block::{Block, Place};
use auriga_shards::log::cut::{BlockEntry, Cut, CutSector};
use auriga_shards::log::segment::{cut_place, stream_place};
use auriga_wire::{Account, Command, RequestFrame};
use fastrand::Rng;

/// Streams that servers with 1, 2, 3 or 8 shards write.
const STREAMS_WRITTEN: [u16; 10] = [0, 16, 32, 42, 48, 64, 80, 85, 96, 112];
/// When the log was begun.
const BEGUN_NS: u64 = WALL_NS - 1_000_000_000;

impl Disk {
    /// A disk with a log whose next cuts and blocks pass the end of their segments.
    pub(crate) fn old(id_mode: IdMode, has_cache: bool, rng: &mut Rng) -> Self {
        let mut disk = Self::new(id_mode, has_cache);
        let epochs = CUT_SEGMENT_SLOTS - rng.u64(0..20);
        let mut cut = Cut {
            epoch: 1,
            time: BEGUN_NS,
            incarnation: 1,
            previous: 0,
            committed_through: 0,
            horizon: 0,
            ids_through: if id_mode == IdMode::Time { BEGUN_NS } else { u64::MAX },
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
            disk.ask((file, at), &sector.0);
            disk.write(file, at, &sector.0);
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
            frame.begin(Command::CreateAccounts, 1);
            let id = 1 << 127 | u128::from(stream);
            frame.records_mut().copy_from_slice(&[Account { id, ledger: 1, code: 1, ..Account::default() }]);
            frame.seal(u64::MAX - u64::from(stream), 0);
            block.push(frame.bytes());
            let place = Place { cluster: CLUSTER, incarnation: 1, epoch: 2, stream, offset };
            entries.push(block.seal(&place));
            let (file, at) = stream_place(stream, offset);
            self.ask((file, at), &block.bytes()[..block.units() * UNIT_SIZE]);
            self.write(file, at, block.bytes());
            self.streams_through.insert(stream, STREAM_SEGMENT_SIZE);
        }
        entries
    }
}
