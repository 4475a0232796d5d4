//! From the hash of an id to its number in a dense array: open addressing over entries of 8 bytes.
//!
//! An entry is a 32-bit tag of the hash and the number. The table is cut into segments that grow one by one, so no
//! single insertion has to move more than a segment: a millisecond's work with ten million entries. A tag says only 'likely': the
//! caller compares the id itself.

/// Few enough that what leads to their entries stays in the nearest cache.
const SEGMENTS: usize = 64;
const SEGMENT_START: usize = 16;
const EMPTY: u64 = u64::MAX;

/// The index of one shard's accounts or ids.
#[derive(Debug)]
pub struct Index {
    segments: Vec<Segment>,
    /// Entries that a segment begins with: a power of two.
    start: usize,
}

#[derive(Debug)]
struct Segment {
    /// Tag in the upper half, number in the lower; a power of two of them, or none yet.
    entries: Vec<u64>,
    used: usize,
}

impl Index {
    /// An empty index.
    pub fn new() -> Self {
        Self::for_entries(0)
    }

    /// An empty index that has room for so many entries, more or less, before a segment has to grow.
    pub fn for_entries(count: usize) -> Self {
        // Segments fill unevenly, and the more so the smaller they are.
        let of_segment = (count / SEGMENTS + count.isqrt() / 2) * 3 / 2;
        let segments = (0..SEGMENTS).map(|_| Segment { entries: Vec::new(), used: 0 }).collect();
        Self { segments, start: of_segment.next_power_of_two().max(SEGMENT_START) }
    }

    /// The number whose entry has this hash's tag and for which `is_it` holds.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let segment = &self.segments[segment_of(hash)];
        let mask = segment.entries.len().wrapping_sub(1);
        let tag = tag_of(hash);
        let mut place = tag as usize;
        if segment.entries.is_empty() {
            return None;
        }
        loop {
            let entry = segment.entries[place & mask];
            if entry == EMPTY {
                return None;
            }
            if (entry >> 32) as u32 == tag && is_it(entry as u32) {
                return Some(entry as u32);
            }
            place += 1;
        }
    }

    /// The number of the first entry with this hash's tag: likely the one that [`Index::find`] will look at.
    #[inline]
    pub fn likely(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// The number whose entry has this hash's tag and for which `is_it` holds; if there is none, an entry for `number` is added.
    #[inline]
    pub fn find_or_insert(
        &mut self,
        hash: u64,
        number: u32,
        mut is_it: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        let segment = &mut self.segments[segment_of(hash)];
        segment.make_room(self.start);
        let mask = segment.entries.len() - 1;
        let tag = tag_of(hash);
        let mut place = tag as usize;
        loop {
            let entry = &mut segment.entries[place & mask];
            if *entry == EMPTY {
                *entry = entry_of(tag, number);
                segment.used += 1;
                return None;
            }
            if (*entry >> 32) as u32 == tag && is_it(*entry as u32) {
                return Some(*entry as u32);
            }
            place += 1;
        }
    }

    /// Adds an entry; the caller knows that the id is not there yet.
    pub fn insert(&mut self, hash: u64, number: u32) {
        self.find_or_insert(hash, number, |_| false);
    }

    /// Removes the entry with this hash's tag and this number, and closes the gap. Panics if it isn't there.
    pub fn remove(&mut self, hash: u64, number: u32) {
        let segment = &mut self.segments[segment_of(hash)];
        let mask = segment.entries.len() - 1;
        let wanted = entry_of(tag_of(hash), number);
        let mut gap = tag_of(hash) as usize & mask;
        while segment.entries[gap] != wanted {
            assert_ne!(segment.entries[gap], EMPTY, "only what was inserted is removed");
            gap = (gap + 1) & mask;
        }
        let mut next = gap;
        loop {
            next = (next + 1) & mask;
            let entry = segment.entries[next];
            if entry == EMPTY {
                break;
            }
            // An entry may move into the gap if that isn't before its first place.
            let first = (entry >> 32) as usize & mask;
            if next.wrapping_sub(first) & mask >= next.wrapping_sub(gap) & mask {
                segment.entries[gap] = entry;
                gap = next;
            }
        }
        segment.entries[gap] = EMPTY;
        segment.used -= 1;
    }

    /// Asks for the cache line that [`Index::find`] will read first.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let entries = &self.segments[segment_of(hash)].entries;
        if let Some(entry) = entries.get(tag_of(hash) as usize & entries.len().wrapping_sub(1)) {
            super::prefetch(entry);
        }
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Segment {
    fn place(&mut self, entry: u64) {
        let mask = self.entries.len() - 1;
        let mut place = (entry >> 32) as usize;
        while self.entries[place & mask] != EMPTY {
            place += 1;
        }
        self.entries[place & mask] = entry;
    }

    /// Grows if one entry more would fill it by more than two thirds.
    #[inline]
    fn make_room(&mut self, start: usize) {
        if (self.used + 1) * 3 > self.entries.len() * 2 {
            self.grow(start);
        }
    }

    #[cold]
    fn grow(&mut self, start: usize) {
        let size = (2 * self.entries.len()).max(start);
        let old = std::mem::replace(&mut self.entries, vec![EMPTY; size]);
        for entry in old.into_iter().filter(|e| *e != EMPTY) {
            self.place(entry);
        }
    }
}

fn entry_of(tag: u32, number: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(number)
}

/// Bits 22 to 27. The shard is chosen by the top bits of the hash, so those are alike for a whole index.
fn segment_of(hash: u64) -> usize {
    (hash >> 22) as usize % SEGMENTS
}

/// Bits 0 to 21 and 32 to 41.
fn tag_of(hash: u64) -> u32 {
    (hash as u32 & 0x003f_ffff) | ((hash >> 32) as u32) << 22
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Placement;

    #[test]
    fn what_was_inserted_is_found_and_nothing_else() {
        let placement = Placement::new(1, 99);
        let mut index = Index::new();
        for id in 0..200_000u32 {
            let hash = placement.hash(u128::from(id) * 3);
            assert_eq!(index.find(hash, |n| n == id), None);
            if id % 2 == 0 {
                index.insert(hash, id);
            } else {
                assert_eq!(index.find_or_insert(hash, id, |n| n == id), None);
            }
            assert_eq!(index.find_or_insert(hash, u32::MAX, |n| n == id), Some(id));
        }
        for id in 0..200_000u32 {
            assert_eq!(index.find(placement.hash(u128::from(id) * 3), |n| n == id), Some(id));
        }
    }

    #[test]
    fn what_was_removed_is_gone_and_all_else_stays() {
        let placement = Placement::new(1, 99);
        let hash = |id: u32| placement.hash(u128::from(id));
        let mut index = Index::new();
        for id in 0..100_000 {
            index.insert(hash(id), id);
        }
        for id in (0..100_000).filter(|id| id % 3 != 0) {
            index.remove(hash(id), id);
        }
        for id in 0..100_000 {
            assert_eq!(index.find(hash(id), |n| n == id), (id % 3 == 0).then_some(id));
        }
    }
}
