//! The transfer ids that one shard remembers: where each transfer lies in the log, what it said, how it ended.

use super::index::Index;
use super::pages::Pages;
use crate::place::Position;
use auriga_wire::{Transfer, TransferCode};

/// The lowest bits of the hash of the compared fields are left for the status.
const STATUS: u64 = 7;

/// What became of the transfer that consumed an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u64)]
pub enum Status {
    /// Created; not a pending one.
    Created = 0,
    /// Refused.
    Refused = 1,
    /// A pending transfer, neither posted nor voided nor expired.
    Pending = 2,
    /// A pending transfer that was posted.
    Posted = 3,
    /// A pending transfer that was voided.
    Voided = 4,
    /// A pending transfer whose time ran out.
    Expired = 5,
}

impl Status {
    /// Why a transfer that is not held as a pending one can't be posted or voided.
    pub fn refuses_claim(self) -> TransferCode {
        match self {
            Self::Refused => TransferCode::PendingTransferNotFound,
            Self::Created => TransferCode::PendingTransferNotPending,
            Self::Posted => TransferCode::PendingTransferAlreadyPosted,
            Self::Voided => TransferCode::PendingTransferAlreadyVoided,
            Self::Expired => TransferCode::PendingTransferExpired,
            Self::Pending => unreachable!("what is pending is held by the shard of its id"),
        }
    }

    fn of(content: u64) -> Self {
        match content & STATUS {
            0 => Self::Created,
            1 => Self::Refused,
            2 => Self::Pending,
            3 => Self::Posted,
            4 => Self::Voided,
            _ => Self::Expired,
        }
    }
}

/// A remembered id: 32 bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u128,
    position: Position,
    /// 61 bits of the hash of the compared fields, and the [`Status`].
    content: u64,
}

/// What is known of an id that was consumed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// The number that [`Ids::consume`] gave it.
    pub number: u32,
    /// Where the transfer that consumed it lies.
    pub position: Position,
    /// What became of that transfer.
    pub status: Status,
    /// Whether the compared fields are the same.
    pub same: bool,
    /// [`check_of`] what was logged.
    pub check: u32,
}

/// What a transfer did that its record doesn't say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// What it moved.
    pub amount: u128,
    /// Of a post or void: where the pending transfer lies, and [`check_of`] its content.
    pub pending: Option<(Position, u32)>,
}

/// The ids of one shard.
#[derive(Debug, Default)]
pub struct Ids {
    index: Index,
    entries: Pages<Entry>,
    /// What posts, voids and balancing transfers did, by number, ascending.
    done: Vec<(u32, Done)>,
}

/// The hash of what makes a retry the same transfer (61 bits; xxh3 of all fields but id and timestamp).
#[inline]
pub fn content_hash(transfer: &Transfer) -> u64 {
    xxhash_rust::xxh3::xxh3_64(auriga_wire::record::compared_bytes(transfer)) & !STATUS
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
            status: Status::of(entry.content),
            same: entry.content & !STATUS == content,
            check: check_of(id, entry.content),
        })
    }

    /// Where the transfer with this id lies, [`check_of`] its content, and what it did if that isn't what it says; if it was
    /// created.
    pub fn created(&self, hash: u64, id: u128) -> Option<(Position, u32, Option<Done>)> {
        let number = self.number(hash, id)?;
        let entry = &self.entries[number];
        let created = (entry.position, check_of(id, entry.content), self.done(number));
        (Status::of(entry.content) != Status::Refused).then_some(created)
    }

    /// Where the transfer lies that consumed the id with this number.
    pub fn position(&self, number: u32) -> Position {
        self.entries[number].position
    }

    /// [`check_of`] the transfer that consumed the id with this number.
    pub fn check(&self, number: u32) -> u32 {
        let entry = &self.entries[number];
        check_of(entry.id, entry.content)
    }

    /// Remembers a new id as that of a created transfer; returns its number.
    #[inline]
    pub fn consume(&mut self, hash: u64, id: u128, position: Position, content: u64) -> u32 {
        let number = self.entries.push(Entry { id, position, content });
        self.index.insert(hash, number);
        number
    }

    /// The number of a consumed id.
    pub fn number(&self, hash: u64, id: u128) -> Option<u32> {
        self.index.find(hash, |number| self.entries[number].id == id)
    }

    /// The id with this number.
    pub fn id(&self, number: u32) -> u128 {
        self.entries[number].id
    }

    /// What became of the transfer that consumed an id.
    pub fn status(&self, number: u32) -> Status {
        Status::of(self.entries[number].content)
    }

    /// Notes what became of the transfer.
    pub fn set_status(&mut self, number: u32, status: Status) {
        let content = &mut self.entries[number].content;
        *content = *content & !STATUS | status as u64;
    }

    /// Notes what a post, void or balancing transfer did. Numbers have to grow.
    pub fn set_done(&mut self, number: u32, done: Done) {
        assert!(self.done.last().is_none_or(|(last, _)| *last < number), "what was done is noted in order");
        self.done.push((number, done));
    }

    /// Forgets what transfers of this number and later ones did: their chain failed.
    pub fn forget_done(&mut self, number: u32) {
        let kept = self.done.partition_point(|(of, _)| *of < number);
        self.done.truncate(kept);
    }

    /// What the transfer did, if that isn't what its record says.
    pub fn done(&self, number: u32) -> Option<Done> {
        let found = self.done.binary_search_by_key(&number, |(of, _)| *of).ok()?;
        Some(self.done[found].1)
    }

    /// The ids of posts, voids and balancing transfers with what they moved.
    pub fn amounts(&self) -> impl Iterator<Item = (u128, u128)> {
        self.done.iter().map(|(number, done)| (self.id(*number), done.amount))
    }

    /// Every id with the position of its transfer and what became of that.
    pub fn iter(&self) -> impl Iterator<Item = (u128, Position, Status)> {
        self.entries.iter().map(|e| (e.id, e.position, Status::of(e.content)))
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
