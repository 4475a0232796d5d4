//! The pending transfers that one shard holds: what it takes to post, void or expire them.

use super::index::Index;
use crate::place::{Placement, Position};
use std::collections::BTreeSet;

/// A pending transfer that is neither posted nor voided nor expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The transfer's id.
    pub id: u128,
    /// The account in whose debits the amount is reserved.
    pub debit_account_id: u128,
    /// The account in whose credits the amount is reserved.
    pub credit_account_id: u128,
    /// What is reserved.
    pub amount: u128,
    /// When it expires, nanoseconds of epoch time.
    pub deadline: Option<u64>,
    /// Where the transfer lies in the log.
    pub position: Position,
    /// [`super::ids::check_of`] what was logged there.
    pub check: u32,
    /// The transfer's ledger.
    pub ledger: u32,
    /// The transfer's code.
    pub code: u16,
    /// The transfer's flags.
    pub flags: u16,
}

impl Pending {
    /// Its bytes, for the digest.
    pub(crate) fn canonical(&self) -> [u8; 88] {
        let mut bytes = [0; 88];
        let amounts = [self.id, self.debit_account_id, self.credit_account_id, self.amount];
        bytes[..64].copy_from_slice(bytemuck::bytes_of(&amounts));
        bytes[64..72].copy_from_slice(&self.deadline.unwrap_or(0).to_le_bytes());
        bytes[72..80].copy_from_slice(&self.position.0.to_le_bytes());
        bytes[80..84].copy_from_slice(&self.ledger.to_le_bytes());
        bytes[84..86].copy_from_slice(&self.code.to_le_bytes());
        bytes[86..].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }
}

/// The pending transfers of one shard.
#[derive(Debug, Default)]
pub struct Pendings {
    index: Index,
    entries: Vec<Option<Pending>>,
    free: Vec<u32>,
    /// Deadline and number of those that expire.
    due: BTreeSet<(u64, u32)>,
}

impl Pendings {
    /// Number of pending transfers.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of a pending transfer.
    pub fn find(&self, hash: u64, id: u128) -> Option<u32> {
        self.index.find(hash, |number| self.entries[number as usize].is_some_and(|pending| pending.id == id))
    }

    /// The pending transfer with this number.
    pub fn get(&self, number: u32) -> &Pending {
        self.entries[number as usize]
            .as_ref()
            .expect("a pending transfer's number is used while it is pending")
    }

    /// Adds a pending transfer.
    pub fn insert(&mut self, hash: u64, pending: Pending) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).expect("the limits keep pending transfers below 2^32")
        });
        self.entries[number as usize] = Some(pending);
        self.index.insert(hash, number);
        self.due.extend(pending.deadline.map(|deadline| (deadline, number)));
        number
    }

    /// Removes a pending transfer: it was posted or voided, or has expired.
    pub fn remove(&mut self, hash: u64, number: u32) -> Pending {
        let pending = self.entries[number as usize].take().expect("a pending transfer is removed once");
        self.index.remove(hash, number);
        self.free.push(number);
        if let Some(deadline) = pending.deadline {
            self.due.remove(&(deadline, number));
        }
        pending
    }

    /// Those that expire up to this moment.
    pub fn due(&self, through: u64) -> impl Iterator<Item = &Pending> {
        self.due
            .iter()
            .take_while(move |(deadline, _)| *deadline <= through)
            .map(|(_, number)| self.get(*number))
    }

    /// The first deadline, and a time through which no more than `count` are due; `u64::MAX` for never.
    pub fn due_bounds(&self, count: usize) -> (u64, u64) {
        let first = self.due.first().map_or(u64::MAX, |(deadline, _)| *deadline);
        let through = if self.due.len() > count {
            self.due.iter().nth(count).map_or(u64::MAX, |(deadline, _)| deadline - 1)
        } else {
            u64::MAX
        };
        // Should so many have the very same deadline, they expire together.
        (first, through.max(first))
    }

    /// Removes one that expires up to this moment, if there is one left.
    pub fn expire(&mut self, placement: &Placement, through: u64) -> Option<Pending> {
        let (deadline, number) = *self.due.first()?;
        (deadline <= through).then(|| {
            let hash = placement.hash(self.get(number).id);
            self.remove(hash, number)
        })
    }

    /// Every pending transfer.
    pub fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.entries.iter().flatten()
    }
}
