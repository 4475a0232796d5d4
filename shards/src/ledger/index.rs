//! From the hash of an id to its number in a dense array: open addressing over entries of 8 bytes.
//!
//! An entry is a 32-bit tag of the hash and the number. The table is cut into segments that grow one by one, so no
//! single insertion has to move more than a segment: a millisecond's work with ten million entries. A tag says only 'likely': the
//! caller compares the id itself.

use super::pages::Fresh;
use std::hint::select_unpredictable;

/// Few enough that what leads to their entries stays in the nearest cache.
const SEGMENTS: usize = 64;
const SEGMENT_START: usize = 16;
/// What fresh memory holds: nothing has to be written before it is used.
const EMPTY: u64 = 0;

/// The index of one shard's accounts or ids.
#[derive(Debug)]
pub struct Index {
    /// The entries of all segments that have not grown, one segment after the other.
    entries: Vec<u64>,
    /// Entries of a segment there.
    start: usize,
    segments: Vec<Segment>,
}

#[derive(Debug)]
struct Segment {
    /// Its entries, if it has grown.
    grown: Vec<u64>,
    /// So many entries may be added before it has to grow.
    left: usize,
}

impl Index {
    /// An empty index.
    pub fn new() -> Self {
        Self::for_entries(0)
    }

    /// An empty index that so many entries, more or less, fill by two thirds. A fifth more, and segments have to grow.
    pub fn for_entries(count: usize) -> Self {
        // Segments fill unevenly, and the more so the smaller they are.
        let start = (count / SEGMENTS + count.isqrt() / 2) * 3 / 2;
        let segments = (0..SEGMENTS).map(|_| Segment { grown: Vec::new(), left: room(start) }).collect();
        Self { entries: vec![EMPTY; SEGMENTS * start], start, segments }
    }

    /// The memory of an index that was just made, if it is much.
    pub fn fresh(&self) -> Option<Fresh> {
        Fresh::of(&self.entries)
    }

    /// The entries of the segment with this number.
    #[inline]
    fn segment(&self, number: usize) -> &[u64] {
        let grown = &self.segments[number].grown;
        if grown.is_empty() { &self.entries[number * self.start..][..self.start] } else { grown }
    }

    #[inline]
    fn segment_mut(&mut self, number: usize) -> &mut [u64] {
        let grown = &mut self.segments[number].grown;
        if grown.is_empty() { &mut self.entries[number * self.start..][..self.start] } else { grown }
    }

    /// The number whose entry has this hash's tag and for which `is_it` holds.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let entries = self.segment(segment_of(hash));
        if entries.is_empty() {
            return None;
        }
        let tag = tag_of(hash);
        let mut place = first_place(tag, entries.len());
        loop {
            let entry = entries[place];
            if entry == EMPTY {
                return None;
            }
            if tag_in(entry) == tag && is_it(number_in(entry)) {
                return Some(number_in(entry));
            }
            place = next_place(place, entries.len());
        }
    }

    /// The number of the first entry with this hash's tag: likely the one that [`Index::find`] will look at.
    #[inline]
    pub fn likely(&self, hash: u64) -> Option<u32> {
        let (entries, tag) = (self.segment(segment_of(hash)), tag_of(hash));
        let near = entries.get(first_place(tag, entries.len())..).and_then(|near| near.first_chunk());
        // Which of the first it is cannot be foretold: chosen without a branch.
        if let Some([first, second, third]) = near {
            let entry = select_unpredictable(tag_in(*second) == tag, *second, *third);
            let entry = select_unpredictable(tag_in(*first) == tag, *first, entry);
            if tag_in(entry) == tag && entry != EMPTY {
                return Some(number_in(entry));
            }
        }
        self.find(hash, |_| true)
    }

    /// The number whose entry has this hash's tag and for which `is_it` holds; if there is none, an entry for `number` is added.
    /// Panics if `number` is the largest that there is.
    #[inline]
    pub fn find_or_insert(
        &mut self,
        hash: u64,
        number: u32,
        mut is_it: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        let (segment, tag) = (segment_of(hash), tag_of(hash));
        if self.segments[segment].left == 0 {
            self.grow(segment);
        }
        let entries = self.segment_mut(segment);
        let mut place = first_place(tag, entries.len());
        loop {
            let entry = entries[place];
            if entry == EMPTY {
                entries[place] = entry_of(tag, number);
                self.segments[segment].left -= 1;
                return None;
            }
            if tag_in(entry) == tag && is_it(number_in(entry)) {
                return Some(number_in(entry));
            }
            place = next_place(place, entries.len());
        }
    }

    /// Adds an entry; the caller knows that the id is not there yet.
    pub fn insert(&mut self, hash: u64, number: u32) {
        self.find_or_insert(hash, number, |_| false);
    }

    /// Removes the entry with this hash's tag and this number, and closes the gap. Panics if it isn't there.
    pub fn remove(&mut self, hash: u64, number: u32) {
        let (segment, tag) = (segment_of(hash), tag_of(hash));
        let entries = self.segment_mut(segment);
        let wanted = entry_of(tag, number);
        let mut gap = first_place(tag, entries.len());
        while entries[gap] != wanted {
            assert_ne!(entries[gap], EMPTY, "only what was inserted is removed");
            gap = next_place(gap, entries.len());
        }
        let size = entries.len();
        let distance = |from: usize, to: usize| if to >= from { to - from } else { to + size - from };
        let mut next = next_place(gap, entries.len());
        while entries[next] != EMPTY {
            // An entry may move into the gap if that isn't before its first place.
            let first = first_place(tag_in(entries[next]), entries.len());
            if distance(first, next) >= distance(gap, next) {
                entries[gap] = entries[next];
                gap = next;
            }
            next = next_place(next, entries.len());
        }
        entries[gap] = EMPTY;
        self.segments[segment].left += 1;
    }

    /// Asks for the cache line that [`Index::find`] will read first.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let entries = self.segment(segment_of(hash));
        if let Some(entry) = entries.get(first_place(tag_of(hash), entries.len())) {
            super::prefetch(entry);
        }
    }

    #[cold]
    fn grow(&mut self, segment: usize) {
        let old = self.segment(segment);
        let size = (2 * old.len()).max(SEGMENT_START);
        let mut grown = vec![EMPTY; size];
        for entry in old.iter().filter(|entry| **entry != EMPTY) {
            let mut place = first_place(tag_in(*entry), size);
            while grown[place] != EMPTY {
                place = next_place(place, size);
            }
            grown[place] = *entry;
        }
        self.segments[segment] = Segment { left: room(size) - room(old.len()), grown };
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

/// Entries of a segment of this size before it has to grow: four fifths.
fn room(size: usize) -> usize {
    size * 4 / 5
}

/// Tag in the upper half; in the lower one the number plus 1, so that no entry is empty.
#[inline]
fn entry_of(tag: u32, number: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(number.checked_add(1).expect("the largest number is not used"))
}

#[inline]
fn tag_in(entry: u64) -> u32 {
    (entry >> 32) as u32
}

#[inline]
fn number_in(entry: u64) -> u32 {
    (entry as u32).wrapping_sub(1)
}

/// Where an entry with this tag is looked for first: as far into the segment as the tag is into all tags.
#[inline]
fn first_place(tag: u32, size: usize) -> usize {
    ((u64::from(tag) * size as u64) >> 32) as usize
}

#[inline]
fn next_place(place: usize, size: usize) -> usize {
    if place + 1 == size { 0 } else { place + 1 }
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
        for expected in [0, 1_000, 100_000, 300_000] {
            let mut index = Index::for_entries(expected);
            for id in 0..100_000 {
                index.insert(hash(id), id);
            }
            let grown = index.segments.iter().filter(|segment| !segment.grown.is_empty()).count();
            assert_eq!(grown, if expected < 100_000 { SEGMENTS } else { 0 }, "room for {expected}");
            for id in (0..100_000).filter(|id| id % 3 != 0) {
                index.remove(hash(id), id);
            }
            for id in 0..100_000 {
                assert_eq!(index.find(hash(id), |n| n == id), (id % 3 == 0).then_some(id));
            }
        }
    }

    /// Entries about the end of a segment go on at its beginning, and close gaps there.
    #[test]
    fn what_goes_round_the_end_of_a_segment_is_found_and_removed() {
        let hash = |tag: u32| u64::from(tag & 0x003f_ffff) | u64::from(tag >> 22) << 32;
        let tags = [u32::MAX, u32::MAX - 1, u32::MAX - 2, 0, 1, u32::MAX / 2];
        for removed in 0..tags.len() {
            let mut index = Index::new();
            for (number, tag) in (0..).zip(tags) {
                assert_eq!(tag_of(hash(tag)), tag);
                index.insert(hash(tag), number);
            }
            index.remove(hash(tags[removed]), removed as u32);
            for (number, tag) in (0..).zip(tags) {
                let found = index.find(hash(tag), |found| found == number);
                assert_eq!(found, (number != removed as u32).then_some(number));
            }
        }
    }
}
