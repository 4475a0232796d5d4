//! Damage is detected, and never served: a start past damage either refuses, names the place and changes nothing, or it can do
//! without what is damaged and comes to exactly the right state. What a running server reads wrong it says.
//!
//! What must become of a start is foretold from what the disk was asked to write and from where it was damaged since; none of the
//! engine's checksums is asked.
//!
//! * Of a checkpoint, anything that matters: the other one is taken, or the log from its beginning. If the log doesn't reach back
//!   to it, the start is refused.
//! * Of the log that the checkpoint taken makes needless: nothing; whoever needs it later is told.
//! * Of an epoch that a later cut proves, or a checkpoint whose manifest is good: the start is refused, with the epoch, its file and
//!   offset.
//! * A checkpoint of an epoch that a start has dropped, and that then served, is none.
//! * Of the newest epoch, which nothing proves: there is one copy, so it looks like an epoch that was never finished, and is
//!   dropped, though it may have been acknowledged. The design's window: it ends with the next cut.
//! * Behind the log's end, and in what pads a block to the end of its sector: nothing.

use super::{Broken, Invariant, broken, compare};
use crate::World;
use crate::machine::Machine;
use crate::spoil::Misread;
use auriga_shards::limits::SECTOR_SIZE;
use auriga_shards::log::File;
use auriga_shards::log::cut::Cut;
use auriga_shards::log::recover::Hole;
use auriga_shards::log::segment::{cut_place, stream_place};
use auriga_shards::pacer::LogEnd;

/// What must become of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forecast {
    /// It takes the checkpoint of epoch `from` (0: none) and replays the log to `end`. `says` that it drops something.
    Serves { from: u64, end: LogEnd, says: bool },
    /// The newest epoch was dropped by a start that did not serve, and a checkpoint has its state.
    Returns { from: u64 },
    /// The hole at this epoch is proven to have been whole.
    Refused { from: u64, epoch: u64 },
    /// The log has no beginning.
    NoCheckpoint,
}

impl Forecast {
    /// Of the world as it is, of what was read of it otherwise, and of how far history had got.
    pub(crate) fn new(world: &World, misread: &Misread, history_through: u64) -> Self {
        let World { disk, truth, .. } = world;
        let may_be = |(epoch, cut): &(u64, u128)| {
            let is_ours = truth.has(*epoch, *cut) || truth.has_lost(*epoch, *cut);
            is_ours && epoch + 1 >= disk.log_from && *epoch <= history_through
        };
        let good = disk.slots.good().into_iter().zip(misread.slots);
        let from = good.filter_map(|(good, misread)| good.filter(|_| !misread)).filter(may_be).max();
        if from.is_none() && disk.log_from > 1 {
            return Self::NoCheckpoint;
        }
        let (from, _) = from.unwrap_or_default();
        let has_cut =
            |epoch: u64| epoch <= truth.end.epoch && !disk.is_damaged(cut_place(epoch), SECTOR_SIZE);
        if from >= disk.log_from && !has_cut(from) && !has_cut(from + 1) {
            return Self::Refused { from, epoch: from };
        }
        if from > truth.end.epoch {
            return Self::Returns { from };
        }
        let is_bad = |epoch: &u64| misread.epochs.contains(epoch) || truth.is_damaged(*epoch, disk);
        let hole = (from + 1..=truth.end.epoch).find(is_bad);
        let (proven, incarnation) = read_cuts(world, from);
        let proven = disk.slots.sealed().into_iter().flatten().fold(proven, u64::max);
        let hole = hole.or((proven > truth.end.epoch).then_some(truth.end.epoch + 1));
        match hole {
            Some(epoch) if epoch <= proven => Self::Refused { from, epoch },
            _ => {
                let end = truth.end_of(hole.map_or(truth.end.epoch, |hole| hole - 1));
                let incarnation = incarnation.max(truth.end_of(from).incarnation);
                let mut sector = [0; SECTOR_SIZE];
                let (file, at) = cut_place(end.epoch + 1);
                disk.read(file, at, &mut sector);
                let says = sector.iter().any(|byte| *byte != 0);
                Self::Serves { from, end: LogEnd { incarnation, ..end }, says }
            }
        }
    }
}

/// What the cuts behind an epoch prove, and their highest incarnation.
fn read_cuts(world: &World, from: u64) -> (u64, u64) {
    let disk = &world.disk;
    let (mut proven, mut incarnation) = (from, 0);
    let mut sector = [0; SECTOR_SIZE];
    for epoch in from + 1..=disk.cuts_through {
        let (file, at) = cut_place(epoch);
        disk.read(file, at, &mut sector);
        if let Ok((cut, _)) = Cut::decode(&disk.identity, &sector) {
            proven = proven.max(cut.committed_through);
            incarnation = incarnation.max(cut.incarnation);
        }
    }
    (proven, incarnation)
}

/// A start has replayed the log.
pub(crate) fn recovered(machine: &mut Machine<'_>, end: &LogEnd, says: bool) -> Result<(), Broken> {
    if let Forecast::Returns { .. } = machine.forecast() {
        let World { truth, disk, .. } = &mut *machine.world;
        truth.find_lost(disk)?;
    }
    let expected = machine.forecast();
    let from = machine.loaded.unwrap_or(0);
    let found = Forecast::Serves { from, end: *end, says };
    compare(Invariant::Damage, "the start", &expected, &found)?;
    let World { truth, disk, tally, memory, clients, incarnation, .. } = &mut *machine.world;
    tally.dropped += u64::from(says);
    tally.harmless += u64::from(disk.has_damage());
    if end.epoch < truth.end.epoch {
        // The newest epoch, or the design promised to keep it.
        compare(Invariant::Damage, "epochs that are lost", &(truth.end.epoch - 1), &end.epoch)?;
        tally.dropped_by_damage += 1;
        let cut = truth.end.checksum;
        let requests = truth.roll_back(disk, end.epoch)?;
        memory.dropped.drop_epochs([cut].into_iter(), requests);
        memory.promised.roll_back(end.epoch);
        memory.digests.roll_back(end.epoch);
        clients.roll_back(truth.end.time_end);
        // A start whose cuts are all lost has acknowledged nothing, and its number may be taken again: each cut names the one
        // before by its checksum, so none of that start's fits behind one of another with the same number.
        *incarnation = end.incarnation.min(*incarnation);
    }
    truth.end.incarnation = end.incarnation;
    truth.tail = says;
    Ok(())
}

/// A start is refused because of a hole.
pub(crate) fn refused(machine: &mut Machine<'_>, hole: &Hole) -> Result<(), Broken> {
    let expected = machine.forecast();
    let from = machine.loaded.unwrap_or(0);
    let found = Forecast::Refused { from, epoch: hole.epoch };
    compare(Invariant::Damage, format_args!("the start, refused: {hole}"), &expected, &found)?;
    let text = hole.to_string();
    let names = text.contains(&hole.file.to_string()) && text.contains(&format!("byte {}", hole.offset));
    let is_place = match hole.file {
        File::Cuts { .. } => (hole.file, hole.offset) == cut_place(hole.epoch),
        File::Stream { .. } => machine.world.truth.epoch(hole.epoch).is_some_and(|epoch| {
            let mut places = epoch.entries().iter().map(|entry| stream_place(entry.stream, entry.offset));
            places.any(|place| place == (hole.file, hole.offset))
        }),
    };
    // A stale cut that continues the log has blocks of its own.
    let is_stale = machine.world.disk.is_damaged(cut_place(hole.epoch), SECTOR_SIZE);
    if !names || !is_place && !is_stale {
        return broken(Invariant::Damage, format!("a message that doesn't name the place: {text}"));
    }
    let (proven, _) = read_cuts(machine.world, from);
    machine.world.tally.refused += 1;
    machine.world.tally.refused_by_checkpoint += u64::from(hole.epoch == from || hole.epoch > proven);
    Ok(())
}

/// A start is refused because no checkpoint is left.
pub(crate) fn no_checkpoint(machine: &mut Machine<'_>) -> Result<(), Broken> {
    let expected = machine.forecast();
    compare(Invariant::Damage, "the start", &expected, &Forecast::NoCheckpoint)?;
    machine.world.tally.no_checkpoint += 1;
    Ok(())
}

/// A request was told that bytes of the log are damaged. It must name them.
pub(crate) fn found(machine: &mut Machine<'_>, what: &str) -> Result<(), Broken> {
    if !what.contains(".log, read at byte ") {
        return broken(Invariant::Damage, format!("damage that names no place: {what}"));
    }
    machine.world.tally.damage_found += 1;
    Ok(())
}
