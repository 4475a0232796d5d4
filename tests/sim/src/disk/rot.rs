//! Damage at rest: sectors that are not as they were written.

use super::{Bytes, Disk, Place, sectors};
use auriga_shards::limits::SECTOR_SIZE;
use fastrand::Rng;

/// How a sector is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rot {
    /// A bit of it is another.
    Flipped,
    /// It is empty.
    Zeros,
    /// It is as it was before it was last written.
    Stale,
    /// It is another sector's.
    Misplaced,
}

impl Rot {
    pub(crate) const ALL: [Self; 4] = [Self::Flipped, Self::Zeros, Self::Stale, Self::Misplaced];

    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self::ALL[rng.usize(..Self::ALL.len())]
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flipped => "flipped bit",
            Self::Zeros => "zeros",
            Self::Stale => "stale sector",
            Self::Misplaced => "misplaced sector",
        }
    }
}

/// A sector as it was written.
#[derive(Debug)]
pub(super) struct Damaged {
    was: Bytes,
    /// It is read well again after this life.
    heals: bool,
}

impl Disk {
    /// The sector as it would be read if it were wrong like this; `byte` is what a flipped bit is in.
    pub(crate) fn wrong(&self, place: Place, rot: Rot, byte: usize, rng: &mut Rng) -> [u8; SECTOR_SIZE] {
        let mut bytes = [0; SECTOR_SIZE];
        match rot {
            Rot::Flipped => {
                self.read(place.0, place.1, &mut bytes);
                bytes[byte] ^= 1 << rng.u32(..8);
            }
            Rot::Zeros => {}
            Rot::Stale => {
                let older = self.older.get(&place).map_or(&[][..], Vec::as_slice);
                if !older.is_empty() {
                    bytes = *older[rng.usize(..older.len())];
                }
            }
            Rot::Misplaced => {
                let (file, at) = self.another(place, rng);
                self.read(file, at, &mut bytes);
            }
        }
        bytes
    }

    /// A sector of the log that is not this one: near it, in the same file or anywhere.
    fn another(&self, (file, at): Place, rng: &mut Rng) -> Place {
        let near = at.saturating_sub(rng.u64(..4) * SECTOR_SIZE as u64).max(SECTOR_SIZE as u64);
        let same_file = self.committed.range((file, 0)..=(file, u64::MAX));
        match rng.u8(..3) {
            0 => (file, near),
            1 => pick(same_file, rng).unwrap_or((file, near)),
            _ => pick(self.committed.iter(), rng).unwrap_or((file, near)),
        }
    }

    /// Damages a sector. Returns whether anything in it is another.
    pub(crate) fn damage(&mut self, place: Place, rot: Rot, byte: usize, heals: bool, rng: &mut Rng) -> bool {
        let wrong = self.wrong(place, rot, byte, rng);
        let sector = self.sectors.entry(place).or_insert_with(|| Box::new([0; SECTOR_SIZE]));
        if **sector == wrong {
            return false;
        }
        let was = std::mem::replace(sector, Box::new(wrong));
        self.damaged.entry(place).or_insert(Damaged { was, heals });
        true
    }

    /// Restores what is damaged: all, or only what heals by itself.
    pub(crate) fn restore(&mut self, all: bool) {
        for (place, Damaged { was, .. }) in self.damaged.extract_if(.., |_, damaged| all || damaged.heals) {
            self.sectors.insert(place, was);
        }
    }

    /// Whether any of these bytes is damaged.
    pub(crate) fn is_damaged(&self, (file, offset): Place, size: usize) -> bool {
        sectors(offset, size).any(|at| {
            let matters = size.min((at - offset) as usize + SECTOR_SIZE) - (at - offset) as usize;
            self.damaged.get(&(file, at)).is_some_and(|damaged| {
                let found = self.sectors.get(&(file, at)).expect("what is damaged is there");
                found[..matters] != damaged.was[..matters]
            })
        })
    }

    /// Whether anything is damaged, of the log or of checkpoints.
    pub(crate) fn has_damage(&self) -> bool {
        !self.damaged.is_empty() || self.slots.has_damage()
    }

    /// Whether the place has held something else before that `wanted` knows.
    pub(crate) fn has_held(&self, place: Place, wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.older.get(&place).is_some_and(|older| older.iter().any(|bytes| wanted(&bytes[..])))
    }
}

fn pick<'a>(places: impl Iterator<Item = &'a Place> + Clone, rng: &mut Rng) -> Option<Place> {
    let count = places.clone().count();
    if count == 0 { None } else { places.copied().nth(rng.usize(..count)) }
}
