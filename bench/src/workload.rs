//! What is sent: transfers that follow from (run, worker, batch, index) alone.
//!
//! So nothing about a transfer is kept: the model, the verification and a look-up make it again. A batch keeps 16
//! bytes (when it was made, and what became of it); refused events are kept one by one.

use auriga_wire::{Transfer, ids};

/// The ledger of every account and transfer.
pub const LEDGER: u32 = 1;
/// The code of every account and transfer.
pub const CODE: u16 = 1;
/// Largest amount of a generated transfer.
const AMOUNT_MAX: u64 = 1024;
/// Bits of an id that number the transfer within its worker, below 8 bits of worker and 32 of run.
const SEQUENCE_BITS: u32 = 40;
/// Most worker threads: what 8 bits of an id tell apart.
pub const WORKERS_MAX: u8 = u8::MAX;

/// The rules by which a run's transfers are made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Accounts 1 to this.
    pub accounts: u32,
    /// Transfers in a request.
    pub batch: u32,
    /// Share of transfers that touch account 1, in parts of 2^32.
    pub hot: u64,
    /// What accounts and amounts are drawn from.
    pub seed: u64,
    /// What keeps this run's ids apart from those of other runs in the same millisecond.
    pub run: u32,
    /// Unix milliseconds at the start.
    pub started_ms: u64,
}

/// The part of a transfer that is drawn: accounts by index from 0, and amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Index of the account debited.
    pub debit: u32,
    /// Index of the account credited; another one.
    pub credit: u32,
    /// From 1 on.
    pub amount: u64,
}

/// Draws of one batch, one after the other.
#[derive(Debug)]
pub struct Draws {
    random: fastrand::Rng,
    accounts: u64,
    hot: u64,
}

impl Iterator for Draws {
    type Item = Draw;

    #[inline]
    fn next(&mut self) -> Option<Draw> {
        let (places, rest) = (self.random.u64(..), self.random.u64(..));
        let scale = |bits: u64, count: u64| ((bits & 0xffff_ffff) * count) >> 32;
        let first = if (rest >> 32) < self.hot { 0 } else { scale(places, self.accounts) };
        let other = scale(places >> 32, self.accounts - 1);
        let other = other + u64::from(other >= first);
        let (debit, credit) = if rest & (1 << 31) == 0 { (first, other) } else { (other, first) };
        Some(Draw { debit: debit as u32, credit: credit as u32, amount: 1 + rest % AMOUNT_MAX })
    }
}

impl Plan {
    /// What the transfers of a batch are made of.
    pub fn draws(&self, worker: u8, batch: u64) -> Draws {
        let place = (u64::from(worker) << 56) ^ batch;
        let seed = (self.seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(place);
        let random = fastrand::Rng::with_seed(seed);
        Draws { random, accounts: u64::from(self.accounts), hot: self.hot }
    }

    /// Id of the first transfer of a batch that was made `ms` after the start; the others count up from it.
    pub fn first_id(&self, worker: u8, batch: u64, ms: u32) -> u128 {
        let sequence = batch * u64::from(self.batch);
        assert!(sequence >> SEQUENCE_BITS == 0, "a worker numbers at most 2^40 transfers");
        ids::time_part(self.started_ms + u64::from(ms))
            | u128::from(self.run) << (SEQUENCE_BITS + 8)
            | u128::from(worker) << SEQUENCE_BITS
            | u128::from(sequence)
    }

    /// Writes a batch.
    pub fn write(&self, worker: u8, batch: u64, ms: u32, out: &mut [Transfer]) {
        let first_id = self.first_id(worker, batch, ms);
        for ((index, transfer), draw) in out.iter_mut().enumerate().zip(self.draws(worker, batch)) {
            *transfer = Self::transfer(first_id + index as u128, draw);
        }
    }

    /// The transfer with this id and content, as it is sent.
    #[inline]
    pub fn transfer(id: u128, draw: Draw) -> Transfer {
        Transfer {
            id,
            debit_account_id: account_id(draw.debit),
            credit_account_id: account_id(draw.credit),
            amount: u128::from(draw.amount),
            ledger: LEDGER,
            code: CODE,
            ..Transfer::default()
        }
    }
}

/// Id of the account with this index.
pub fn account_id(index: u32) -> u128 {
    u128::from(index) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn plan(accounts: u32, hot: f64) -> Plan {
        let hot = (hot * f64::from(u32::MAX)) as u64 + u64::from(hot == 1.0);
        Plan { accounts, batch: 100, hot, seed: 3, run: 9, started_ms: 1_790_000_000_000 }
    }

    #[test]
    fn batches_are_repeatable_and_differ() {
        let plan = plan(50, 0.0);
        let batch = |worker, number| plan.draws(worker, number).take(100).collect::<Vec<_>>();
        assert_eq!(batch(1, 7), batch(1, 7));
        assert_ne!(batch(1, 7), batch(1, 8));
        assert_ne!(batch(1, 7), batch(2, 7));
    }

    #[test]
    fn accounts_differ_lie_in_range_and_all_occur() {
        for accounts in [2, 3, 50] {
            let mut seen = BTreeSet::new();
            for draw in plan(accounts, 0.0).draws(0, 0).take(2_000) {
                assert_ne!(draw.debit, draw.credit);
                assert!(draw.debit < accounts && draw.credit < accounts);
                assert!((1..=AMOUNT_MAX).contains(&draw.amount));
                seen.extend([draw.debit, draw.credit]);
            }
            assert_eq!(seen.len(), accounts as usize);
        }
    }

    #[test]
    fn the_hot_share_is_met() {
        let hot = |share| {
            let draws = plan(1_000_000, share).draws(0, 0).take(10_000);
            draws.filter(|draw| draw.debit == 0 || draw.credit == 0).count()
        };
        assert!(hot(0.0) < 10);
        assert!((2_700..3_300).contains(&hot(0.3)), "{}", hot(0.3));
        assert_eq!(hot(1.0), 10_000);
    }

    #[test]
    fn ids_are_unique_and_grow() {
        let plan = plan(2, 0.0);
        let mut transfers = [Transfer::default(); 100];
        let mut last = 0;
        for (batch, ms) in [(0, 5), (1, 5), (2, 6)] {
            plan.write(4, batch, ms, &mut transfers);
            for transfer in &transfers {
                assert!(transfer.id > last);
                last = transfer.id;
            }
            assert_eq!(ids::unix_ms(last), plan.started_ms + u64::from(ms));
        }
        assert!(plan.first_id(5, 0, 5) > plan.first_id(4, 1 << 20, 5), "workers have ranges of their own");
    }
}
