//! What rots between two lives, and what is restored.

use crate::World;
use crate::disk::{Disk, Rot};
use crate::invariants::{Broken, read};
use auriga_shards::checkpoint::SLOTS;
use auriga_shards::limits::{SECTOR_SIZE, UNIT_SIZE};
use auriga_shards::log::cut::Cut;
use auriga_shards::log::segment::{cut_place, stream_place};

impl World {
    /// Between two lives something rots.
    pub(crate) fn rot(&mut self) -> Result<(), Broken> {
        if self.rng.u8(..100) >= self.weather.rot_percent {
            return Ok(());
        }
        let (kind, heals) = (Rot::draw(&mut self.rng), self.rng.bool());
        let of = match self.rng.u8(..4) {
            0 => self.rot_checkpoint(kind),
            1 => self.rot_tail(kind, heals),
            _ => self.rot_log(kind, heals),
        };
        if let Some(of) = of {
            *self.tally.damage.entry((kind.name(), of)).or_default() += 1;
        }
        // Something that lay behind the log's end may go on with it, now that it is read again.
        read(self)
    }

    fn rot_checkpoint(&mut self, kind: Rot) -> Option<&'static str> {
        let Self { rng, disk, .. } = self;
        let slot = rng.u8(..SLOTS as u8);
        disk.slots.damage(slot, kind, rng).then_some("checkpoints")
    }

    /// Behind the log's end.
    fn rot_tail(&mut self, kind: Rot, heals: bool) -> Option<&'static str> {
        let Self { rng, disk, truth, .. } = self;
        let place = if rng.bool() {
            let epoch = truth.end.epoch + rng.u64(1..4);
            if epoch > disk.cuts_through {
                return None;
            }
            cut_place(epoch)
        } else {
            let ends: Vec<_> = truth.stream_ends.iter().collect();
            let (stream, end) = if ends.is_empty() { return None } else { ends[rng.usize(..ends.len())] };
            stream_place(*stream, end + SECTOR_SIZE as u64 * rng.u64(..4))
        };
        let byte = rng.usize(..SECTOR_SIZE);
        disk.damage(place, kind, byte, heals, rng).then_some("what lies behind the log")
    }

    /// In the log, often near its end. One place at a time: there is one copy.
    fn rot_log(&mut self, kind: Rot, heals: bool) -> Option<&'static str> {
        let Self { rng, disk, truth, .. } = self;
        let end = truth.end.epoch;
        let held: Vec<u64> = match kind {
            Rot::Stale => (1..=end).filter(|epoch| has_held_another(disk, *epoch)).collect(),
            _ => Vec::new(),
        };
        // Where another epoch of that number was once, or anywhere.
        let is_cut = !held.is_empty() && rng.bool();
        let epoch = if is_cut {
            held[rng.usize(..held.len())]
        } else {
            let back = [2, 8, end][rng.usize(..3)];
            end.checked_sub(rng.u64(..back.clamp(1, end.max(1))))?
        };
        let of_log = truth.epoch(epoch)?;
        let entries = of_log.entries();
        let (place, matters, of) = if is_cut || entries.is_empty() || rng.bool() {
            (cut_place(epoch), SECTOR_SIZE, "cuts")
        } else {
            let entry = entries[rng.usize(..entries.len())];
            let sector = SECTOR_SIZE as u64 * rng.u64(..(entry.size() / SECTOR_SIZE) as u64);
            let matters = (entry.units as usize * UNIT_SIZE - sector as usize).min(SECTOR_SIZE);
            (stream_place(entry.stream, entry.offset + sector), matters, "blocks")
        };
        // The newest epoch as it was dropped once, brought back before anything proves the one in its place: nobody can tell.
        let may_be_newest = !disk.has_damage() && !has_held_another(disk, epoch);
        if epoch == end && !may_be_newest || truth.is_damaged(end, disk) {
            return None;
        }
        let byte = if rng.u8(..8) > 0 { rng.usize(..matters) } else { rng.usize(..SECTOR_SIZE) };
        disk.damage(place, kind, byte, heals, rng).then_some(of)
    }

    /// What heals by itself does; if `all`, everything is restored from a copy. What was dropped may be there again.
    pub(crate) fn restore(&mut self, all: bool) -> Result<(), Broken> {
        self.disk.restore(all);
        if all {
            self.disk.slots.restore();
        }
        read(self)
    }
}

/// Whether the slot of an epoch's cut has held another whole cut of that epoch.
fn has_held_another(disk: &Disk, epoch: u64) -> bool {
    let identity = disk.identity;
    disk.has_held(cut_place(epoch), |bytes| {
        Cut::decode(&identity, bytes).is_ok_and(|(cut, _)| cut.epoch == epoch)
    })
}
