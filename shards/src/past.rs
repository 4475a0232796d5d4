//! Between a shard and history, which is kept elsewhere: what it is told of executed epochs beside what lies in the log, what
//! it is asked, and what it answers.

use crate::execute::outcome::Outcomes;
use crate::ledger::rules::Rank;
use crate::log::cut::{BlockEntry, Cut};
use auriga_wire::frame::Command;
use auriga_wire::{Account, AccountBalance, Fault, Filter, Transfer};

/// What one shard tells of an executed epoch. Shard 0 tells of every epoch, the others of those with blocks of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The epoch.
    pub epoch: u64,
    /// Timestamp of its first unit, nanoseconds.
    pub time: u64,
    /// The start that logged it.
    pub incarnation: u64,
    /// Checksum of the cut before its own.
    pub previous: u128,
    /// Pending transfers with a deadline up to this time have expired at its end, nanoseconds.
    pub expire_through: u64,
    /// Blocks of the epoch, of all shards.
    pub blocks_in_all: usize,
    /// Those of this shard, by stream.
    pub blocks: Vec<BlockFacts>,
}

/// What became of a block's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockFacts {
    /// Where it lies.
    pub entry: BlockEntry,
    /// Its first unit's index in the epoch.
    pub base: u16,
    /// Units of the events that were refused, ascending.
    pub refused: Vec<u16>,
    /// What variable transfers moved that were created, by unit.
    pub amounts: Vec<(u16, u128)>,
}

impl Facts {
    /// Of an epoch, without blocks so far.
    pub fn new(cut: &Cut) -> Self {
        Self {
            epoch: cut.epoch,
            time: cut.time,
            incarnation: cut.incarnation,
            previous: cut.previous,
            expire_through: cut.expire_through,
            blocks_in_all: cut.blocks.len(),
            blocks: Vec::new(),
        }
    }

    /// Adds what became of a block.
    pub fn add(&mut self, entry: BlockEntry, base: u16, outcomes: &Outcomes) {
        let units = entry.units as u16;
        let ranks = outcomes.ranks(base, units).iter().zip(0..);
        self.blocks.push(BlockFacts {
            entry,
            base,
            refused: ranks.filter(|(rank, _)| **rank != Rank::CREATED).map(|(_, unit)| unit).collect(),
            amounts: outcomes.amounts(base, units).map(|(index, amount)| (index - base, amount)).collect(),
        });
    }

    /// Memory that it takes, bytes.
    pub fn size(&self) -> u64 {
        let lists = |block: &BlockFacts| {
            size_of_val(block) + size_of_val(&block.refused[..]) + size_of_val(&block.amounts[..])
        };
        (size_of_val(self) + self.blocks.iter().map(lists).sum::<usize>()) as u64
    }
}

/// What history is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A question of a client.
    Filter(Command, Filter),
    /// Transfers whose ids the shards have forgotten.
    Transfers(Vec<u128>),
}

/// A question, to be answered once history has every epoch through `after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The shard's number for it.
    pub job: usize,
    /// What is asked.
    pub asked: Asked,
    /// The epoch; 0: whatever there is.
    pub after: u64,
}

/// Records of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// As they were executed. To [`Asked::Transfers`]: those that were found, in the order of the ids.
    Transfers(Vec<Transfer>),
    /// An account's sums.
    Balances(Vec<AccountBalance>),
    /// As they were created.
    Accounts(Vec<Account>),
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub records: Records,
    /// Where the next page begins; 0: there is none.
    pub cursor: u64,
    /// History is complete up to this time, nanoseconds.
    pub time: u64,
}

/// An answer, or why there is none.
pub type Answer = Result<Page, Fault>;
