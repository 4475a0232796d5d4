//! The whole execution of one epoch, full or nearly empty, on any number of shards.

use crate::log::{self, BATCH, Epoch, Log, Requests};
use crate::shards::{Shards, own_blocks, placement};
use auriga_shards::execute::epoch::OwnBlock;
use auriga_shards::log::cut::Cut;
use auriga_shards::place::StreamId;
use auriga_wire::RequestFrame;

/// Transfers that arrive at each shard in an epoch of few: so many that most shards have a leg and a note for each of a dozen.
pub const FEW: u32 = 24;

/// All shards before an epoch of the largest size whose requests arrive evenly at them.
#[derive(Debug)]
pub struct Whole {
    shards: Shards,
    cut: Cut,
    own: Vec<Vec<OwnBlock>>,
}

impl Whole {
    /// With so many shards, behind a few epochs.
    pub fn before(shards: u16) -> Self {
        let (streams, transfers) = log::even_epoch(&placement(shards));
        Self::with(shards, &streams, transfers)
    }

    /// The same before an epoch of [`FEW`] transfers a shard: what it takes is mostly what any epoch takes.
    pub fn before_few(shards: u16) -> Self {
        let placement = placement(shards);
        let streams: Vec<_> = placement.all().map(|shard| placement.first_stream(shard)).collect();
        Self::with(shards, &streams, FEW)
    }

    /// One shard before a part of a full epoch: so many of its blocks.
    pub fn before_blocks(blocks: u16) -> Self {
        let streams: Vec<_> = (0..blocks).map(StreamId).collect();
        Self::with(1, &streams, BATCH)
    }

    fn with(shards: u16, streams: &[StreamId], transfers: u32) -> Self {
        let mut executing = Shards::new(shards);
        let mut log = Log::new();
        let accounts = log::accounts(log::account_ids(), 0);
        let opening: Vec<_> = accounts.chunks(BATCH as usize).map(log::create_accounts).collect();
        executing.execute(log.write(&streams.iter().copied().zip(&opening).collect::<Vec<_>>()));
        let mut requests = Requests::new(transfers);
        let mut next = || {
            let mut frames: Vec<_> = streams.iter().map(|_| RequestFrame::default()).collect();
            frames.iter_mut().for_each(|frame| requests.make(frame));
            log.write(&streams.iter().copied().zip(&frames).collect::<Vec<_>>())
        };
        executing.execute(next());
        executing.execute(next());
        executing.take_blocks();
        let Epoch { cut, blocks, .. } = next();
        let own = own_blocks(&cut, blocks, &executing.placement);
        Self { shards: executing, cut, own }
    }

    /// What is measured: the epoch's whole execution, on all shards.
    #[must_use]
    pub fn run(mut self) -> Self {
        let own = std::mem::take(&mut self.own);
        self.shards.run(&self.cut, own);
        self
    }

    /// Transfers of the epoch.
    pub fn transfers(shards: u16) -> u64 {
        let (streams, transfers) = log::even_epoch(&placement(shards));
        streams.len() as u64 * u64::from(transfers)
    }

    /// Transfers of an epoch of few.
    pub fn few_transfers(shards: u16) -> u64 {
        u64::from(shards) * u64::from(FEW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_epoch_is_executed_on_any_number_of_shards() {
        for shards in [1, 2, 16] {
            let whole = Whole::before(shards).run();
            let ids: usize = whole.shards.executions.iter().map(|execution| execution.ledger.ids.len()).sum();
            assert_eq!(ids as u64, 3 * Whole::transfers(shards), "{shards}");
            let created = |execution: &auriga_shards::execute::Execution| {
                execution.outcomes.memory().iter().all(|byte| *byte == execution.outcomes.memory()[0])
            };
            assert!(whole.shards.executions.iter().all(created), "{shards}: a transfer was refused");
        }
    }
}
