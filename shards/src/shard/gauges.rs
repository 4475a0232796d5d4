//! What a shard shows of itself to whoever watches it: counts and sizes as they are now, copied out a few times a second.

use super::Shard;
use crate::limits::BLOCK_BUFFERS;
use crate::log::IdMode;
use crate::query::Counters;

/// A shard's counts and sizes.
#[derive(Clone, Copy, Debug)]
pub struct Gauges {
    /// What it has counted, and how much it holds; without a digest.
    pub counters: Counters,
    /// Start number while it serves; 0 while the log is replayed.
    pub incarnation: u64,
    /// Number and time of the newest executed epoch in which anything happened.
    pub newest: (u64, u64),
    /// Ids that are older than this are forgotten, milliseconds; `None` if none is ever forgotten, or no epoch has said yet.
    pub ids_from_ms: Option<u64>,
    /// Chunks that it has made, and those of them that are free.
    pub chunks: (usize, usize),
    /// Block buffers that it has, and those of them that are free.
    pub blocks: (usize, usize),
    /// Bytes of facts that history has not taken.
    pub untold: u64,
    /// Requests that write are refused because the log or the disk is full.
    pub is_full: bool,
}

impl Shard {
    /// What the shard shows of itself.
    pub fn gauges(&self) -> Gauges {
        let ledger = &self.execution.ledger;
        let counters = Counters {
            accounts: ledger.accounts.len() as u64,
            ids: ledger.ids.len() as u64,
            pendings: ledger.pendings.len() as u64,
            ..self.counters
        };
        let horizon = self.execution.plan().terms.ids_from_ms;
        Gauges {
            counters,
            incarnation: self.incarnation,
            newest: self.newest,
            ids_from_ms: (self.config.identity.id_mode == IdMode::Time && horizon > 0).then_some(horizon),
            chunks: self.execution.mail.pool_counts(),
            blocks: (BLOCK_BUFFERS, self.arrivals.free()),
            untold: self.facts,
            is_full: self.log_full || self.storage_full,
        }
    }
}
