//! The ledger as checkpoints keep it: one record for each account, remembered id and pending transfer, the same for any number
//! of shards. An account is its record on the wire, with its balances.

use super::Ledger;
use super::ids::{Done, IdNumber, TakenIds};
use super::pendings::Pending;
use crate::pacer::Counts;
use crate::place::{Position, ShardId};
use auriga_wire::Account;
use bytemuck::{Pod, Zeroable};

/// What a record of a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum SavedKind {
    /// [`Account`].
    Account = 1,
    /// [`SavedId`].
    Id = 2,
    /// [`SavedDone`].
    Done = 3,
    /// [`SavedPending`].
    Pending = 4,
}

impl SavedKind {
    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Account, Self::Id, Self::Done, Self::Pending].into_iter().find(|kind| *kind as u8 == number)
    }

    /// Bytes of a record.
    pub fn size(self) -> usize {
        match self {
            Self::Account => size_of::<Account>(),
            Self::Id => size_of::<SavedId>(),
            Self::Done => size_of::<SavedDone>(),
            Self::Pending => size_of::<SavedPending>(),
        }
    }

    /// What a record adds to the digest of the state.
    pub fn hash(self, record: &[u8]) -> u128 {
        xxhash_rust::xxh3::xxh3_128_with_seed(record, self as u64)
    }
}

/// Bytes that a checkpoint of so much has at most; half of all ids may be those of posts and voids.
pub fn bytes_max(held: &Counts) -> u64 {
    let ids = size_of::<SavedId>() + size_of::<SavedDone>() / 2;
    held.accounts * size_of::<Account>() as u64
        + held.ids * ids as u64
        + held.pendings * size_of::<SavedPending>() as u64
}

/// A remembered id: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct SavedId {
    /// The id.
    pub id: u128,
    /// Where the transfer that consumed it lies.
    pub position: u64,
    /// A hash of the compared fields, and what became of the transfer.
    pub content: u64,
}

/// What a post, void or balancing transfer did: 64 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct SavedDone {
    /// Its id.
    pub id: u128,
    /// What it moved.
    pub amount: u128,
    /// Of a post or void: where the pending transfer lies; 0 otherwise, as no transfer lies there.
    pub pending: u64,
    /// And what its record is known by.
    pub check: u32,
    reserved: [u32; 5],
}

/// A pending transfer: 96 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct SavedPending {
    /// The transfer's id.
    pub id: u128,
    /// Its debit account.
    pub debit_account_id: u128,
    /// Its credit account.
    pub credit_account_id: u128,
    /// What is reserved.
    pub amount: u128,
    /// When it expires, nanoseconds; 0 for never.
    pub deadline: u64,
    /// Where it lies.
    pub position: u64,
    /// What its record is known by.
    pub check: u32,
    /// Its ledger.
    pub ledger: u32,
    /// Its code.
    pub code: u16,
    /// Its flags.
    pub flags: u16,
    reserved: u32,
}

impl SavedDone {
    /// What the transfer with this id did.
    pub fn new(id: u128, done: &Done) -> Self {
        let (pending, check) = done.pending.unwrap_or((Position(0), 0));
        Self { id, amount: done.amount, pending: pending.0, check, reserved: [0; 5] }
    }

    /// What it did.
    pub fn done(&self) -> Done {
        let pending = (self.pending != 0).then_some((Position(self.pending), self.check));
        Done { amount: self.amount, pending }
    }
}

impl SavedPending {
    /// A pending transfer.
    pub fn new(pending: &Pending) -> Self {
        Self {
            id: pending.id,
            debit_account_id: pending.debit_account_id,
            credit_account_id: pending.credit_account_id,
            amount: pending.amount,
            deadline: pending.deadline.unwrap_or(0),
            position: pending.position.0,
            check: pending.check,
            ledger: pending.ledger,
            code: pending.code,
            flags: pending.flags,
            reserved: 0,
        }
    }

    /// The pending transfer; `number` is that of its id.
    pub fn pending(&self, number: IdNumber) -> Pending {
        Pending {
            id: self.id,
            debit_account_id: self.debit_account_id,
            credit_account_id: self.credit_account_id,
            amount: self.amount,
            deadline: (self.deadline != 0).then_some(self.deadline),
            position: Position(self.position),
            number,
            check: self.check,
            ledger: self.ledger,
            code: self.code,
            flags: self.flags,
        }
    }
}

impl Ledger {
    /// Freezes the state until [`Ledger::take`] has taken it all.
    pub fn freeze(&mut self) {
        self.accounts.freeze();
        self.ids.freeze();
        self.pendings.freeze();
    }

    /// Nothing is frozen any more.
    pub fn melt(&mut self) {
        self.accounts.melt();
        self.ids.melt();
        self.pendings.melt();
    }

    /// Bytes that are in use because the state is frozen.
    pub fn kept_bytes(&self) -> usize {
        self.accounts.kept_bytes() + self.ids.kept_bytes() + self.pendings.kept_bytes()
    }

    /// Takes some of what was frozen, as it was then: records of one kind, appended to `records`. Accounts come first, then ids
    /// and what they did, then pending transfers. `None` if all is taken.
    pub fn take(&mut self, records: &mut Vec<u8>) -> Option<SavedKind> {
        if self.accounts.take(|account| records.extend_from_slice(bytemuck::bytes_of(account))) {
            return Some(SavedKind::Account);
        }
        match self.ids.take() {
            Some(TakenIds::Ids(ids)) => {
                records.extend_from_slice(bytemuck::cast_slice(ids));
                return Some(SavedKind::Id);
            }
            Some(TakenIds::Done(done)) => {
                records.extend_from_slice(bytemuck::cast_slice(&done));
                return Some(SavedKind::Done);
            }
            None => {}
        }
        let taken = self.pendings.take(|pending| {
            records.extend_from_slice(bytemuck::bytes_of(&SavedPending::new(pending)));
        });
        taken.then_some(SavedKind::Pending)
    }

    /// Puts a record back that a checkpoint holds, if it belongs to this shard: what it had taken, in its order. Says
    /// what is wrong if that can't be.
    pub fn restore(&mut self, shard: ShardId, kind: SavedKind, record: &[u8]) -> Result<(), String> {
        let id: u128 = bytemuck::pod_read_unaligned(&record[..16]);
        let hash = self.placement.hash(id);
        if self.placement.owner(hash) != shard {
            return Ok(());
        }
        match kind {
            SavedKind::Account => self.accounts.restore(hash, &bytemuck::pod_read_unaligned(record))?,
            SavedKind::Id => self.ids.restore(hash, &bytemuck::pod_read_unaligned(record))?,
            SavedKind::Done => self.ids.restore_done(hash, &bytemuck::pod_read_unaligned(record))?,
            SavedKind::Pending => {
                let saved: SavedPending = bytemuck::pod_read_unaligned(record);
                // A forgotten id has no number, and nobody asks for it.
                let number = self.ids.number(hash, id).unwrap_or_default();
                self.pendings.insert(hash, saved.pending(number));
            }
        }
        Ok(())
    }
}
