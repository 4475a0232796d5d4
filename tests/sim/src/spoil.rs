//! Reads that fail, or bring other bytes than there are.

use crate::World;
use crate::disk::{Place, Rot};
use crate::weather::Weather;
use auriga_shards::checkpoint::sheet::SHEET_SIZE;
use auriga_shards::checkpoint::{File, SLOTS};
use auriga_shards::fetch::Read;
use auriga_shards::limits::{SECTOR_SIZE, UNIT_SIZE};
use auriga_shards::log::block::Block;
use fastrand::Rng;
use std::collections::BTreeSet;

/// What a read says that fails.
const FAILURE: &str = "the drive says no";
/// A start reads something wrong at one of so many reads.
const READS_MAX: u32 = 12;

/// What the reads of a start bring that is not on the disk: one of them, at most.
#[derive(Debug, Default)]
pub(crate) struct Misread {
    /// Before the wrong read come so many of its kind.
    sheets: Option<u32>,
    blocks: Option<u32>,
    /// By slot: something of its checkpoint was wrong.
    pub(crate) slots: [bool; SLOTS],
    /// Something of these epochs' blocks was wrong.
    pub(crate) epochs: BTreeSet<u64>,
}

impl Misread {
    /// What a start is going to read wrong. Nothing if something is damaged: there is one copy of the log's end.
    pub(crate) fn plan(weather: Weather, has_damage: bool, rng: &mut Rng) -> Self {
        let mut plan = Self::default();
        if rng.u8(..100) < weather.bad_starts_percent && !has_damage {
            let at = Some(rng.u32(..READS_MAX));
            if rng.bool() { plan.sheets = at } else { plan.blocks = at }
        }
        plan
    }

    /// Whether anything was read wrong.
    pub(crate) fn is_any(&self) -> bool {
        self.slots.contains(&true) || !self.epochs.is_empty()
    }

    /// A block was read. The failure, if there is one.
    pub(crate) fn block(
        &mut self,
        (file, offset): Place,
        epoch: u64,
        matters: usize,
        block: &mut Block,
        world: &mut World,
    ) -> Option<String> {
        if !is_due(&mut self.blocks) {
            return None;
        }
        world.tally.bad_start_reads += 1;
        let World { rng, disk, tally, .. } = world;
        let memory = block.memory_mut();
        let kind = Rot::draw(rng);
        if rng.u8(..4) == 0 {
            self.epochs.insert(epoch);
            *tally.damage.entry(("failure", "reads of starts")).or_default() += 1;
            return Some(FAILURE.into());
        }
        let sector = SECTOR_SIZE * rng.usize(..memory.len() / SECTOR_SIZE);
        let byte = rng.usize(..SECTOR_SIZE.min(matters - sector.min(matters - 1)));
        let wrong = disk.wrong((file, offset + sector as u64), kind, byte, rng);
        let end = matters.min(sector + SECTOR_SIZE);
        if memory[sector..end] != wrong[..end - sector] {
            self.epochs.insert(epoch);
            *tally.damage.entry((kind.name(), "reads of starts")).or_default() += 1;
        }
        memory[sector..sector + SECTOR_SIZE].copy_from_slice(&wrong);
        None
    }

    /// Sheets of a checkpoint were read.
    pub(crate) fn sheets(&mut self, file: File, bytes: &mut Result<Vec<u8>, String>, world: &mut World) {
        let File::Part { slot, .. } = file else { unreachable!("sheets lie in parts") };
        if !is_due(&mut self.sheets) {
            return;
        }
        let World { rng, tally, .. } = world;
        tally.bad_start_reads += 1;
        self.slots[usize::from(slot)] = true;
        match bytes {
            Ok(bytes) if rng.bool() => {
                let sheet = SHEET_SIZE * rng.usize(..bytes.len() / SHEET_SIZE);
                // All of the header matters.
                bytes[sheet + rng.usize(..64)] ^= 1 << rng.u32(..8);
            }
            _ => *bytes = Err(FAILURE.into()),
        }
    }
}

/// Counts a read; whether it is the one.
fn is_due(left: &mut Option<u32>) -> bool {
    let is_due = *left == Some(0);
    *left = left.and_then(|left| left.checked_sub(1));
    is_due
}

/// A part of the log was read for a request. The failure, if there is one.
pub(crate) fn read_for_request(
    read: &Read,
    bytes: &mut [u8],
    weather: Weather,
    world: &mut World,
) -> Option<String> {
    let World { rng, disk, tally, .. } = world;
    if rng.u8(..100) >= weather.bad_reads_percent {
        return None;
    }
    tally.bad_reads += 1;
    let mut count = |kind| *tally.damage.entry((kind, "reads for requests")).or_default() += 1;
    if rng.u8(..4) == 0 {
        count("failure");
        return Some(FAILURE.into());
    }
    let sector = SECTOR_SIZE * rng.usize(..read.size / SECTOR_SIZE);
    // Anywhere, or in what would be an id.
    let unit = UNIT_SIZE * rng.usize(..SECTOR_SIZE / UNIT_SIZE);
    let bytes_hit = if rng.bool() { UNIT_SIZE } else { size_of::<u128>() };
    let byte = unit + rng.usize(..bytes_hit);
    let kind = Rot::draw(rng);
    count(kind.name());
    let wrong = disk.wrong((read.file, read.offset + sector as u64), kind, byte, rng);
    bytes[sector..sector + SECTOR_SIZE].copy_from_slice(&wrong);
    None
}
