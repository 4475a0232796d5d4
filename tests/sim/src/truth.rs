//! What the log on the disk says: read back without the engine's recovery, and executed on the reference model.
//!
//! Whether a cut or a block is there is not the engine's checksums' to say: the disk knows what it was asked to write.

mod read;

use crate::disk::Disk;
use auriga_shards::execute::Execution;
use auriga_shards::limits::{SECTOR_SIZE, UNIT_SIZE};
use auriga_shards::log::cut::{BlockEntry, Cut};
use auriga_shards::log::segment::{cut_place, stream_place};
use auriga_shards::pacer::LogEnd;
use auriga_shards::place::{Placement, Position, ShardId};
use auriga_tests::model::{Model, Terms};
use auriga_wire::{Account, EventResult, Transfer};
pub(crate) use read::Coming;
use std::collections::{BTreeMap, HashMap};

/// An epoch of the log and what it leads to.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) cut: Cut,
    /// The log's end behind it.
    pub(crate) end: LogEnd,
    /// Bytes of its blocks, to execute them again.
    blocks: Vec<Vec<u8>>,
    pub(crate) accounts: u64,
    /// Remembered ids.
    pub(crate) ids: u64,
    pub(crate) pendings: u64,
    pub(crate) terms: Terms,
    /// Of the records alone, and with the newest epoch.
    pub(crate) state_digest: u128,
    pub(crate) digest: u128,
    /// By block: what history is told.
    pub(crate) outcomes: Vec<Outcomes>,
}

/// What became of a block's events, by their units.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    pub(crate) refused: Vec<u16>,
    /// What balancing transfers moved.
    pub(crate) amounts: Vec<(u16, u128)>,
    /// What posts and voids moved. It may be told, too: where the pending transfer is a balancing one of the same epoch.
    pub(crate) ended: Vec<(u16, u128)>,
}

impl Epoch {
    pub(crate) fn units(&self) -> u64 {
        self.cut.units() as u64
    }

    pub(crate) fn entries(&self) -> &[BlockEntry] {
        &self.cut.blocks
    }
}

/// A request of the log, and what the model says to it.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) position: Position,
    pub(crate) timestamp: u64,
    /// Of the events that were not created as they were sent.
    pub(crate) results: Vec<EventResult>,
}

/// The log and the states that it leads to.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) model: Model,
    /// Every consumed id: where.
    pub(crate) ids: BTreeMap<u128, Position>,
    /// Epoch 1 and those that follow.
    pub(crate) epochs: Vec<Epoch>,
    /// By the client's number.
    pub(crate) requests: HashMap<u64, Logged>,
    pub(crate) end: LogEnd,
    /// The last epoch that it ever had.
    reached: u64,
    /// The epoch behind the end that a start has dropped which has not served: its cut with the checksum, and its blocks.
    lost: Option<(Cut, u128, Vec<Vec<u8>>)>,
    /// The start that dropped it lives: for that one it is not there.
    pub(crate) hides_lost: bool,
    /// Something that is not the log's continuation lies in the slot behind its end.
    pub(crate) tail: bool,
    /// By stream: where its last block ends.
    pub(crate) stream_ends: BTreeMap<u16, u64>,
    accounts: HashMap<u128, Vec<(u64, Account)>>,
    transfers: HashMap<u128, (u64, Transfer)>,
    /// Accounts and transfers as they were created, by their timestamps.
    pub(crate) created_accounts: Vec<Account>,
    pub(crate) created_transfers: Vec<Transfer>,
    /// One shard, for the digest.
    reference: Execution,
    newest: (u64, u64),
}

impl Truth {
    pub(crate) fn new() -> Self {
        Self {
            model: Model::default(),
            ids: BTreeMap::new(),
            epochs: Vec::new(),
            requests: HashMap::new(),
            end: LogEnd::default(),
            reached: 0,
            lost: None,
            hides_lost: false,
            tail: false,
            stream_ends: BTreeMap::new(),
            accounts: HashMap::new(),
            transfers: HashMap::new(),
            created_accounts: Vec::new(),
            created_transfers: Vec::new(),
            reference: Execution::new(ShardId(0), Placement::new(1, 0)),
            newest: (0, 0),
        }
    }

    /// Whether the epoch with this cut is in the log.
    pub(crate) fn has(&self, epoch: u64, checksum: u128) -> bool {
        self.epoch(epoch).is_some_and(|epoch| epoch.end.checksum == checksum)
    }

    /// Whether the epoch with this cut is the one behind the end that was dropped.
    pub(crate) fn has_lost(&self, epoch: u64, checksum: u128) -> bool {
        let lost = self.lost.as_ref();
        epoch == self.end.epoch + 1
            && lost.is_some_and(|(cut, lost, _)| (cut.epoch, *lost) == (epoch, checksum))
    }

    /// A start serves: what was dropped is gone.
    pub(crate) fn forget_lost(&mut self) {
        self.lost = None;
    }

    /// Digest of all records.
    pub(crate) fn state_digest(&self) -> u128 {
        self.epochs.last().map_or(0, |epoch| epoch.state_digest)
    }

    /// The epoch with this number.
    pub(crate) fn epoch(&self, number: u64) -> Option<&Epoch> {
        self.epochs.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// Whether anything that matters of an epoch of the log is damaged.
    pub(crate) fn is_damaged(&self, number: u64, disk: &Disk) -> bool {
        let mut blocks = self.epoch(number).map_or(&[][..], Epoch::entries).iter();
        disk.is_damaged(cut_place(number), SECTOR_SIZE)
            || blocks.any(|entry| {
                let place = stream_place(entry.stream, entry.offset);
                disk.is_damaged(place, entry.units as usize * UNIT_SIZE)
            })
    }

    /// The log's end behind an epoch.
    pub(crate) fn end_of(&self, number: u64) -> LogEnd {
        self.epoch(number).map_or_else(LogEnd::default, |epoch| epoch.end)
    }

    /// The newest epoch that has a record with a timestamp not above this one.
    pub(crate) fn epoch_through(&self, timestamp: u64) -> u64 {
        // Units 0 and 1 are headers.
        let after = self.epochs.partition_point(|epoch| epoch.cut.time + 2 <= timestamp);
        self.with_blocks(after as u64)
    }

    /// The newest epoch with blocks up to this one.
    pub(crate) fn with_blocks(&self, epoch: u64) -> u64 {
        let newest = self.epochs[..epoch as usize].iter().rposition(|epoch| epoch.units() > 0);
        newest.map_or(0, |index| index as u64 + 1)
    }

    /// The account as it was after an epoch.
    pub(crate) fn account(&self, id: u128, epoch: u64) -> Option<&Account> {
        let history = self.accounts.get(&id)?;
        let after = history.partition_point(|(changed, _)| *changed <= epoch);
        Some(&history[after.checked_sub(1)?].1)
    }

    /// The transfer, if it was created by the end of an epoch.
    pub(crate) fn transfer(&self, id: u128, epoch: u64) -> Option<&Transfer> {
        self.transfers.get(&id).filter(|(created, _)| *created <= epoch).map(|(_, transfer)| transfer)
    }

    /// Whether an id is forgotten after an epoch.
    pub(crate) fn is_forgotten(&self, id: u128, epoch: u64) -> bool {
        self.epoch(epoch).is_some_and(|epoch| epoch.terms.is_forgotten(id))
    }
}
