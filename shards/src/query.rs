//! Look-ups: the messages between the shard where one arrived and the shards that answer it.
//!
//! A look-up takes the number of the newest epoch that its arrival shard knows to be closed. Every shard answers it in
//! the gap after that epoch: so it sees every acknowledged write, and one moment on all shards. The question travels
//! on the route lane ahead of the next epoch's `Start`, so it can't come too late.

use crate::chunk::{Item, Kind};
use crate::execute::message::{Lane, Message};
use crate::ledger::ids::Done;
use crate::ledger::rules::ended;
use crate::place::Position;
use auriga_wire::{Account, Transfer};
use bytemuck::{Pod, Zeroable};

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Accounts by id.
    Accounts,
    /// Transfers by id: where they lie in the log.
    Transfers,
    /// The shard's counters, and the digest of its state if asked for.
    Counters {
        /// Whether to compute the digest.
        digest: bool,
    },
    /// The shard's histograms.
    Histograms,
}

/// A shard's part of the status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Accounts of the shard.
    pub accounts: u64,
    /// Remembered ids of the shard.
    pub ids: u64,
    /// Pending transfers of the shard.
    pub pendings: u64,
    /// Accounts that arrived here and were created; not a part of the status.
    pub accounts_created: u64,
    /// Transfers that arrived here and were created.
    pub transfers_created: u64,
    /// Transfers that arrived here and were refused.
    pub transfers_refused: u64,
    /// Bytes of blocks and cuts that it wrote.
    pub bytes_logged: u64,
    /// Epochs flushed (counted by the pacer's shard).
    pub flushes: u64,
    /// Digest of the shard's state.
    pub digest: u128,
}

/// A question or an answer.
#[derive(Debug)]
pub enum QueryMessage {
    /// So many chunks of [`Wanted`] follow; to be answered in the gap after `epoch`.
    Ask {
        /// The look-up's number at its arrival shard.
        query: u32,
        /// What is asked.
        what: What,
        /// The epoch.
        epoch: u64,
        /// Chunks that follow.
        chunks: u32,
    },
    /// All that was found was sent.
    Answered {
        /// The look-up's number.
        query: u32,
    },
    /// The answer to [`What::Counters`].
    Counters(u32, Box<Counters>),
    /// The answer to [`What::Histograms`]: an encoded `ShardHistograms`.
    Histograms(u32, Vec<u8>),
}

impl QueryMessage {
    /// The lane that the message takes: questions must not be overtaken by the next epoch.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Ask { .. } => Lane::Route,
            _ => Lane::Control,
        }
    }
}

impl From<QueryMessage> for Message {
    fn from(message: QueryMessage) -> Self {
        Self::Query(message)
    }
}

/// An id that is looked up: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Wanted {
    /// The id.
    pub id: u128,
    /// Its index in the request.
    pub index: u64,
    /// Padding.
    pub pad: u64,
}

/// An account that was found: 144 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Found {
    /// The account with its balances.
    pub account: Account,
    /// Its index in the request.
    pub index: u64,
    /// Padding.
    pub pad: u64,
}

/// Where a transfer lies in the log, and what was executed of it: 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Located {
    /// What it moved, if it isn't as it was sent.
    pub amount: u128,
    /// [`crate::place::Position`]
    pub position: u64,
    /// Of a post or void: the same of the pending transfer.
    pub pending: u64,
    /// [`crate::ledger::ids::check_of`] its content, to know it again.
    pub check: u32,
    /// Of a post or void: the same of the pending transfer.
    pub pending_check: u32,
    /// Its index in the request.
    pub index: u32,
    /// [`As`]
    pub executed: u32,
}

/// How a transfer was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum As {
    /// As it was sent.
    Sent = 0,
    /// With another amount, maybe.
    Balanced = 1,
    /// With the fields of a pending transfer, too.
    Resolved = 2,
}

impl Located {
    /// A transfer as it was sent.
    pub fn sent(position: u64, check: u32, index: u32) -> Self {
        Self { position, check, index, ..Self::zeroed() }
    }

    /// A transfer that moved this, and maybe ended a pending one.
    pub fn executed(self, done: &Done) -> Self {
        let (amount, executed) = (done.amount, As::Balanced as u32);
        match done.pending {
            None => Self { amount, executed, ..self },
            Some((pending, pending_check)) => {
                let executed = As::Resolved as u32;
                Self { amount, executed, pending: pending.0, pending_check, ..self }
            }
        }
    }

    /// Whether it is a post or void of a pending transfer that lies before this epoch.
    pub fn ended_before(&self, epoch: u64) -> bool {
        self.executed == As::Resolved as u32 && Position(self.pending).epoch() < epoch
    }

    /// What was executed of the transfer that was sent; `pending` is what it ended.
    pub fn complete(&self, sent: &Transfer, pending: Option<&Transfer>) -> Transfer {
        let amount = if self.executed == As::Sent as u32 { sent.amount } else { self.amount };
        match pending {
            None => Transfer { amount, ..*sent },
            Some(pending) => ended(sent, pending, amount),
        }
    }
}

const _: () = assert!(size_of::<Located>() == 48);

impl Item for Wanted {
    const KIND: Kind = Kind::Wanted;
}
impl Item for Found {
    const KIND: Kind = Kind::Found;
}
impl Item for Located {
    const KIND: Kind = Kind::Located;
}
