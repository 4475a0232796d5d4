//! The transfer ids that one shard remembers: where each transfer lies in the log, what it said, how it ended.

use super::index::Index;
use super::pages::Pages;
use crate::place::Position;
use auriga_wire::Transfer;

/// Hash of the compared fields, with the lowest bit left for the outcome.
const REFUSED: u64 = 1;

/// A remembered id: 32 bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u128,
    position: Position,
    /// 63 bits of the hash of the compared fields; the lowest bit is set if the transfer was refused.
    content: u64,
}

/// What is known of an id that was consumed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// The number that [`Ids::consume`] gave it.
    pub number: u32,
    /// Where the transfer that consumed it lies.
    pub position: Position,
    /// Whether that transfer was refused.
    pub refused: bool,
    /// Whether the compared fields are the same.
    pub same: bool,
    /// [`check_of`] what was logged.
    pub check: u32,
}

/// The ids of one shard.
#[derive(Debug, Default)]
pub struct Ids {
    index: Index,
    entries: Pages<Entry>,
}

/// The hash of what makes a retry the same transfer (63 bits; xxh3 of all fields but id and timestamp).
#[inline]
pub fn content_hash(transfer: &Transfer) -> u64 {
    xxhash_rust::xxh3::xxh3_64(auriga_wire::record::compared_bytes(transfer)) & !REFUSED
}

/// What a logged transfer is known by when it is read back, so that damage is noticed: half of its content's hash, which
/// doesn't cover the id, and the id.
#[inline]
pub fn check_of(id: u128, content: u64) -> u32 {
    let id = id as u64 ^ (id >> 64) as u64;
    (content >> 32) as u32 ^ id as u32 ^ (id >> 32) as u32
}

impl Ids {
    /// Number of remembered ids.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Asks for the line of the index that a look-up will read.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    /// What is known of an id.
    #[inline]
    pub fn find(&self, hash: u64, id: u128, content: u64) -> Option<Consumed> {
        let number = self.index.find(hash, |number| self.entries[number].id == id)?;
        let entry = &self.entries[number];
        Some(Consumed {
            number,
            position: entry.position,
            refused: entry.content & REFUSED != 0,
            same: entry.content & !REFUSED == content,
            check: check_of(id, entry.content),
        })
    }

    /// Where the transfer with this id lies and [`check_of`] its content, if it was created.
    pub fn created(&self, hash: u64, id: u128) -> Option<(Position, u32)> {
        let number = self.index.find(hash, |number| self.entries[number].id == id)?;
        let entry = &self.entries[number];
        (entry.content & REFUSED == 0).then_some((entry.position, check_of(id, entry.content)))
    }

    /// Remembers a new id as that of a created transfer; returns its number.
    #[inline]
    pub fn consume(&mut self, hash: u64, id: u128, position: Position, content: u64) -> u32 {
        let number = self.entries.push(Entry { id, position, content });
        self.index.insert(hash, number);
        number
    }

    /// Notes that the transfer was refused after all.
    pub fn refuse(&mut self, number: u32) {
        self.entries[number].content |= REFUSED;
    }

    /// Every id with the position of its transfer and whether that was created.
    pub fn iter(&self) -> impl Iterator<Item = (u128, Position, bool)> {
        self.entries.iter().map(|e| (e.id, e.position, e.content & REFUSED == 0))
    }

    /// The bytes of every entry that belong to the state, for the digest.
    pub(crate) fn canonical(&self) -> impl Iterator<Item = [u8; 32]> {
        self.entries.iter().map(|e| {
            let mut bytes = [0; 32];
            bytes[..16].copy_from_slice(&e.id.to_le_bytes());
            bytes[16..24].copy_from_slice(&e.position.0.to_le_bytes());
            bytes[24..].copy_from_slice(&e.content.to_le_bytes());
            bytes
        })
    }
}
