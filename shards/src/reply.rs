//! Replies to creations: what the epoch's outcomes say of each request that arrived here. No further hop.

use crate::arrival::Batch;
use crate::execute::outcome::Outcomes;
use crate::ledger::rules::Rank;
use crate::log::block::Block;
use crate::query::Located;
use auriga_wire::frame::Command;
use auriga_wire::record::TransferFlags;
use auriga_wire::{EventResult, Transfer, TransferCode};

/// What became of a request's events.
#[derive(Debug, Default)]
pub struct Results {
    /// Events that were not created as they were sent, by index.
    pub events: Vec<EventResult>,
    /// Retries with another content: the place of the original, and the retry. Their code has to be read from the log.
    pub duplicates: Vec<(Located, Transfer)>,
}

impl Results {
    /// Forgets the request before.
    pub fn clear(&mut self) {
        self.events.clear();
        self.duplicates.clear();
    }

    /// How many events were refused.
    pub fn refused(&self) -> u64 {
        let refused = self.events.iter().filter(|event| event.is_refused()).count();
        (refused + self.duplicates.len()) as u64
    }

    /// Collects the results of a batch whose block's first index in the epoch is `base`.
    pub fn collect(&mut self, batch: &Batch, base: u16, block: &Block, outcomes: &Outcomes) {
        let first = base + batch.first_unit;
        let accounts = batch.header.command == Command::CreateAccounts as u16;
        for (i, rank) in outcomes.ranks(first, batch.count).iter().enumerate() {
            if *rank == Rank::CREATED {
                continue;
            }
            let index = i as u32;
            let code = if accounts {
                rank.account_code().expect("a refusal has a code").number()
            } else if *rank == Rank::EXISTS {
                let original = outcomes.original(first + i as u16);
                if !original.same {
                    let retry = block.transfer(usize::from(batch.first_unit) + i);
                    let located = Located::sent(original.position.0, original.check, index);
                    self.duplicates.push((located, retry));
                    continue;
                }
                TransferCode::Exists.number()
            } else {
                rank.transfer_code().expect("a refusal has a code").number()
            };
            self.events.push(EventResult::refused(index, code));
        }
        let refused = self.events.len();
        for (index, amount) in outcomes.amounts(first, batch.count) {
            let sent = block.transfer(usize::from(index - base));
            if sent.flags & TransferFlags::BALANCING != 0 && sent.amount != amount {
                self.events.push(EventResult::created(u32::from(index - first), amount));
            }
        }
        if self.events.len() > refused {
            self.events.sort_unstable_by_key(|event| event.index);
        }
    }
}
