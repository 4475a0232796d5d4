//! What is sent: transfers and look-ups that follow from (run, worker, batch, index) alone.
//!
//! So nothing about a transfer is kept: the model, the verification and a look-up make it again. A batch keeps 16
//! bytes (when it was made, and what became of it); refused events are kept one by one.
//!
//! A pending transfer is resolved by the transfer at the same index [`Plan::lag`] batches later. That one is sent only
//! when the pending one's batch is answered, so it finds it whatever overtakes what. At each index that takes part,
//! batches `lag` apart take turns: pending, resolution, pending, ... Neighbours are in opposite turns, so a request
//! holds as many of both; before the first turn is over, what has nothing to resolve is plain.

use crate::draw::{Among, Drawn, Draws, NOBODY};
pub use crate::event::{Event, Events, Kind, TIMEOUT_SECONDS};
use crate::mix::Part;
pub use crate::mix::{CHAIN, Mix, Workload};
use crate::sizes::Sizes;
use auriga_wire::record::AccountFlags;
use auriga_wire::{Account, Transfer, ids};
use std::ops::Range;

/// The ledger of every account and transfer.
pub const LEDGER: u32 = 1;
/// The code of every account and transfer.
pub const CODE: u16 = 1;
/// Bits of an id that number the transfer within its worker, below 8 bits of worker and 32 of run.
const SEQUENCE_BITS: u32 = 40;
/// Most worker threads: what 8 bits of an id tell apart.
pub const WORKERS_MAX: u8 = u8::MAX;

/// What else is drawn for a batch than its transfers, from sources of their own: bits above those of its number.
const OF_SIZE: u64 = 1 << 54;
const OF_READS: u64 = 1 << 55;
/// Batches that have as many transfers, of those that are `lag` apart and resolve what the one before has reserved.
const SAME_SIZES: u64 = 16;
/// Bits of a batch's number.
pub const NUMBER_BITS: u32 = 40;

/// The rules by which a run's transfers are made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The kinds of work, and their shares.
    pub mix: Mix,
    /// Whether all accounts have a limit and little to spare.
    pub limited: bool,
    /// Accounts 1 to this.
    pub accounts: u32,
    /// How accounts are drawn.
    pub drawn: Drawn,
    /// Transfers in a request.
    pub sizes: Sizes,
    /// Batches of a worker between a pending transfer and what resolves it. More than it has in flight, so that it
    /// seldom has to wait for an answer.
    pub lag: u64,
    /// Share of transfers that touch a hot account, in parts of 2^32.
    pub hot: u64,
    /// The hot accounts: 1 to this.
    pub hot_accounts: u32,
    /// Share of transfers that must be refused, because their credit account is not there, in parts of 2^32.
    pub failing: u64,
    /// Accounts that are created after each batch, on average: later transfers move money between these, too.
    pub new_accounts: f64,
    /// What accounts and amounts are drawn from.
    pub seed: u64,
    /// What keeps this run's ids apart from those of other runs in the same millisecond.
    pub run: u32,
    /// Unix milliseconds at the start.
    pub started_ms: u64,
}

/// What is read in between.
#[derive(Debug)]
pub enum Read {
    /// Accounts drawn at random, as many as the batch before has transfers.
    Accounts(fastrand::Rng, u32),
    /// The transfers of this batch, which was answered.
    Transfers(u64),
    /// The newest transfers of the account with this index, at most as many as the batch before has.
    Newest(u32, u32),
}

impl Plan {
    /// Plain transfers, always the same, of so many a request between accounts that are drawn uniformly.
    pub fn plain(accounts: u32, batch: u32) -> Self {
        Self {
            mix: Workload::Plain.mix(),
            limited: false,
            accounts,
            drawn: Drawn::Uniform,
            sizes: Sizes::Fixed(batch),
            lag: 1,
            hot: 0,
            hot_accounts: 1,
            failing: 0,
            new_accounts: 0.0,
            seed: 1,
            run: 1,
            started_ms: 1_790_000_000_000,
        }
    }

    fn random(&self, worker: u8, number: u64) -> fastrand::Rng {
        let place = (u64::from(worker) << 56) ^ number;
        let seed = (self.seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(place);
        fastrand::Rng::with_seed(seed)
    }

    fn draws(&self, worker: u8, batch: u64) -> Draws {
        let Self { drawn, hot, hot_accounts, failing, limited, .. } = *self;
        let accounts = self.accounts + self.created_before(batch.saturating_sub(self.lag));
        let among = Among { accounts, drawn, hot, hot_accounts, failing, sides: limited };
        Draws::new(self.random(worker, batch), among)
    }

    /// How many transfers a batch has. Where batches resolve what others have reserved, some in a row that do so of each other have as many,
    /// so that there is place for all of it.
    #[inline]
    pub fn size(&self, worker: u8, batch: u64) -> u32 {
        let drawn_for = match self.mix.resolves() {
            true => batch - batch / self.lag % SAME_SIZES * self.lag,
            false => batch,
        };
        self.sizes.draw(|| self.random(worker, OF_SIZE | drawn_for).u64(..))
    }

    /// How many accounts a worker creates before a batch is sent. A batch draws from those that were before the one `lag` before it: so they
    /// are there whatever overtakes what, and it follows from the batch's number which these are.
    pub fn created_before(&self, batch: u64) -> u32 {
        (batch as f64 * self.new_accounts) as u32
    }

    /// The accounts that a worker creates after a batch, by index: behind those that were there before.
    pub fn created_after(&self, batch: u64) -> Range<u32> {
        self.accounts + self.created_before(batch)..self.accounts + self.created_before(batch + 1)
    }

    /// The ids of a worker's accounts.
    pub fn names(&self, worker: u8) -> Names {
        Names { accounts: self.accounts, created: self.own_id(worker, 0) }
    }

    /// An account as a worker creates it. Limits bind those of even indexes on one side and the others on the other, so that nothing has to
    /// be paid in first: a transfer from an odd to an even index always passes, and one back passes as far as there was one before.
    pub fn account(&self, worker: u8, index: u32) -> Account {
        let flags = match (self.limited, index % 2) {
            (true, 0) => AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS,
            (true, _) => AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS,
            _ => 0,
        };
        Account { id: self.names(worker).id(index), ledger: LEDGER, code: CODE, flags, ..Account::default() }
    }

    /// The events of a batch.
    pub fn events(&self, worker: u8, batch: u64) -> Events {
        let resolved = |earlier| self.draws(worker, earlier).take(self.size(worker, earlier) as usize);
        Events {
            mix: self.mix,
            draws: self.draws(worker, batch),
            resolved: self.resolves(batch).map(resolved),
            even_reserves: (batch / self.lag).is_multiple_of(2),
            indexes: 0..self.size(worker, batch),
        }
    }

    /// Whether every transfer is for itself: neither pending, nor a resolution, nor one of a chain.
    pub fn is_plain(&self) -> bool {
        self.mix.is_plain()
    }

    /// The batch whose pending transfers this one resolves: it must be answered before this one is sent.
    pub fn resolves(&self, batch: u64) -> Option<u64> {
        if self.mix.resolves() { batch.checked_sub(self.lag) } else { None }
    }

    /// The indexes of the chain that this index of a request of so many transfers belongs to, if it belongs to one.
    pub fn chain(&self, size: u32, index: u32) -> Option<Range<u32>> {
        let first = index - index % CHAIN;
        let chain = first..(first + CHAIN).min(size);
        (self.mix.part(index) == Part::Chain && chain.len() > 1).then_some(chain)
    }

    /// How many reads come after this batch was sent.
    pub fn reads_after(&self, worker: u8, batch: u64) -> u32 {
        let (lookups, queries) = self.mix.reads();
        let reads = lookups + queries;
        let chance = || self.random(worker, OF_READS | batch).f64() < reads.fract();
        reads as u32 + u32::from(reads.fract() > 0.0 && chance())
    }

    /// One of these reads, numbered from 0. A batch that is asked for was answered: by the rule of [`Self::resolves`], all up to that
    /// one are. It is not older than `oldest`.
    pub fn read_after(&self, worker: u8, batch: u64, number: u32, oldest: u64) -> Read {
        let (lookups, queries) = self.mix.reads();
        let place = u64::from(number + 1) << NUMBER_BITS;
        let (mut random, size) = (self.random(worker, OF_READS | place | batch), self.size(worker, batch));
        if random.f64() * (lookups + queries) >= lookups {
            return Read::Newest(random.u32(..self.accounts), size);
        }
        match self.resolves(batch) {
            Some(newest) if random.bool() && oldest <= newest => Read::Transfers(random.u64(oldest..=newest)),
            _ => Read::Accounts(random, size),
        }
    }

    /// The accounts' ids that such a read asks for.
    pub fn lookup_accounts(
        &self,
        mut random: fastrand::Rng,
        size: u32,
    ) -> impl Iterator<Item = u128> + use<> {
        let accounts = self.accounts;
        (0..size).map(move |_| account_id(random.u32(..accounts)))
    }

    /// Id of the first transfer of a batch that was made `ms` after the start; the others count up from it.
    pub fn first_id(&self, worker: u8, batch: u64, ms: u32) -> u128 {
        let sequence = batch * u64::from(self.sizes.max());
        assert!(sequence >> SEQUENCE_BITS == 0, "a worker numbers at most 2^40 transfers");
        self.own_id(worker, ms) | u128::from(sequence)
    }

    /// The first id of this run, of a worker and of a millisecond since the start.
    fn own_id(&self, worker: u8, ms: u32) -> u128 {
        ids::time_part(self.started_ms + u64::from(ms))
            | u128::from(self.run) << (SEQUENCE_BITS + 8)
            | u128::from(worker) << SEQUENCE_BITS
    }

    /// The transfers of a batch, as they are sent. `ms` tells when a batch was made.
    pub fn transfers(
        &self,
        worker: u8,
        batch: u64,
        ms: &dyn Fn(u64) -> u32,
    ) -> impl Iterator<Item = Transfer> + use<> {
        let first_id = |batch| self.first_id(worker, batch, ms(batch));
        let (first, resolved) = (first_id(batch), self.resolves(batch).map_or(0, first_id));
        let names = self.names(worker);
        self.events(worker, batch)
            .zip(0_u128..)
            .map(move |(event, index)| event.transfer(first + index, resolved + index, names))
    }
}

/// The ids of the accounts that a worker knows, by their indexes.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Accounts that every worker knows.
    accounts: u32,
    /// Id of the first one that it has created.
    created: u128,
}

impl Names {
    /// Id of the account with this index.
    #[inline]
    pub fn id(&self, index: u32) -> u128 {
        match index.checked_sub(self.accounts) {
            None => account_id(index),
            Some(_) if index == NOBODY => NOBODY_ID,
            Some(place) => self.created + u128::from(place),
        }
    }
}

/// The id of an account that is never there.
const NOBODY_ID: u128 = u128::MAX - 1;

/// Id of the account with this index, of those that every worker knows.
pub fn account_id(index: u32) -> u128 {
    u128::from(index) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use auriga_wire::record::TransferFlags;
    use std::collections::{BTreeMap, BTreeSet};

    const ALL: [Workload; 5] =
        [Workload::Plain, Workload::TwoPhase, Workload::Linked, Workload::Mixed, Workload::Limited];

    fn plan(workload: Workload, batch: u32) -> Plan {
        let limited = workload == Workload::Limited;
        Plan { mix: workload.mix(), limited, lag: 3, seed: 3, run: 9, ..Plan::plain(50, batch) }
    }

    fn transfers(plan: &Plan, batch: u64) -> Vec<Transfer> {
        plan.transfers(4, batch, &|number| 5 + number as u32).collect()
    }

    #[test]
    fn batches_are_repeatable_and_differ() {
        for workload in ALL {
            let plan = plan(workload, 100);
            let batch = |worker, number| plan.events(worker, number).collect::<Vec<_>>();
            assert_eq!(batch(1, 7), batch(1, 7));
            assert_ne!(batch(1, 7), batch(1, 8));
            assert_ne!(batch(1, 7), batch(2, 7));
        }
    }

    #[test]
    fn every_pending_transfer_is_resolved_once_except_those_of_the_last_batches() {
        for workload in [Workload::TwoPhase, Workload::Mixed] {
            for (batch, batches) in [(1, 20), (2, 20), (3, 20), (99, 20), (100, 21), (100, 2)] {
                let plan = plan(workload, batch);
                let mut open = BTreeMap::new();
                for number in 0..batches {
                    for transfer in transfers(&plan, number) {
                        if transfer.flags & TransferFlags::PENDING != 0 {
                            open.insert(transfer.id, (number, transfer));
                        }
                        if transfer.flags & TransferFlags::RESOLVING == 0 {
                            assert_eq!(transfer.pending_id, 0);
                            continue;
                        }
                        let (made, pending) = open.remove(&transfer.pending_id).expect("it is open");
                        assert_eq!(made, number - plan.lag, "it was answered before");
                        let accounts =
                            |transfer: &Transfer| (transfer.debit_account_id, transfer.credit_account_id);
                        assert_eq!(accounts(&transfer), accounts(&pending));
                        assert!((1..=pending.amount).contains(&transfer.amount));
                    }
                }
                for (made, _) in open.values() {
                    assert!(
                        made + plan.lag >= batches,
                        "{workload:?} {batch}: left open by {made} of {batches}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_kinds_have_their_shares() {
        let shares = |workload: Workload| {
            let plan = plan(workload, 1_600);
            let mut counts = [0; 6];
            for number in plan.lag..plan.lag + 20 {
                for event in plan.events(0, number) {
                    let (amount, chained) = (event.draw.amount, event.linked);
                    counts[match event.kind {
                        Kind::Plain => usize::from(chained),
                        Kind::Pending => 2,
                        Kind::Post { reserved } => 3 + usize::from(amount < reserved),
                        Kind::Void => 5,
                    }] += 1;
                }
            }
            counts.map(|count| (f64::from(count) / 320.0).round() as u32)
        };
        // Percent of: plain or last of a chain, linked, pending, posted in full, in part, voided.
        assert_eq!(shares(Workload::Plain), [100, 0, 0, 0, 0, 0]);
        assert_eq!(shares(Workload::Linked), [25, 75, 0, 0, 0, 0]);
        assert_eq!(shares(Workload::TwoPhase), [0, 0, 50, 38, 6, 6]);
        assert_eq!(shares(Workload::Mixed), [56, 19, 13, 9, 2, 2]);
    }

    #[test]
    fn a_request_mixes_pending_transfers_and_resolutions() {
        let plan = plan(Workload::TwoPhase, 100);
        for number in plan.lag..20 {
            let pending = plan.events(0, number).filter(|event| event.kind == Kind::Pending).count();
            assert_eq!(pending, 50);
        }
        assert!(plan.events(0, 0).all(|event| matches!(event.kind, Kind::Pending | Kind::Plain)));
    }

    #[test]
    fn chains_are_of_four_and_never_open_at_the_end() {
        for workload in ALL {
            for batch in [1, 2, 4, 13, 14, 15, 16, 17, 99, 100, 8_190] {
                let plan = plan(workload, batch);
                let linked: Vec<bool> = plan.events(0, 7).map(|event| event.linked).collect();
                let mut index = 0;
                while index < batch {
                    let links = linked[index as usize..].iter().take_while(|linked| **linked).count() as u32;
                    let chain = index..index + links + 1;
                    assert!(chain.end <= batch, "{workload:?} {batch}: a chain is open");
                    let told = plan.chain(batch, index);
                    assert_eq!(told, (links > 0).then_some(chain.clone()), "{workload:?} {batch} {index}");
                    assert!(links < CHAIN && (links == 0 || links == CHAIN - 1 || chain.end == batch));
                    assert!(chain.clone().all(|member| plan.chain(batch, member) == told));
                    index = chain.end;
                }
            }
        }
    }

    #[test]
    fn reads_ask_for_batches_that_are_answered_and_have_their_share() {
        let mixes = [("plain=1", [0, 0, 0]), ("plain=8,two-phase=4,linked=4,lookup=2", [500, 500, 0])];
        let more = [
            ("two-phase=1,lookup=2,query=1", [8_000, 8_000, 8_000]),
            ("plain=2,lookup=1,query=3", [4_000, 0, 12_000]),
        ];
        for (text, expected) in mixes.into_iter().chain(more) {
            let plan = Plan { mix: text.parse().expect("it is good"), ..plan(Workload::Plain, 100) };
            let mut found = [0_u32; 3];
            for number in 0..8_000 {
                for read in 0..plan.reads_after(1, number) {
                    match plan.read_after(1, number, read, 0) {
                        Read::Accounts(random, size) => {
                            assert_eq!(
                                plan.lookup_accounts(random, size).filter(|id| (1..=50).contains(id)).count(),
                                100
                            );
                            found[0] += 1;
                        }
                        Read::Transfers(batch) => {
                            assert!(batch + plan.lag <= number);
                            found[1] += 1;
                        }
                        Read::Newest(account, limit) => {
                            assert!(account < 50 && limit == 100);
                            found[2] += 1;
                        }
                    }
                }
            }
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.abs_diff(expected) <= expected / 5, "{text}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn sizes_vary_and_what_follows_from_them_is_made_again() {
        let plan = Plan { sizes: Sizes::Uniform(1, 100), ..plan(Workload::Mixed, 1) };
        let mut ids = BTreeSet::new();
        let (mut pending, mut sizes) = (BTreeMap::new(), BTreeSet::new());
        let batches = 40 * SAME_SIZES;
        let (mut reserved, mut left) = (0, 0);
        for number in 0..batches {
            let batch = transfers(&plan, number);
            assert_eq!((batch.len() as u32, &batch), (plan.size(4, number), &transfers(&plan, number)));
            sizes.insert(batch.len());
            let mut resolves = 0;
            for (index, transfer) in (0..).zip(&batch) {
                assert!(ids.insert(transfer.id), "{index} of {number}: an id is used once");
                if transfer.flags & TransferFlags::PENDING != 0 {
                    pending.insert(transfer.id, *transfer);
                    (reserved, left) = (reserved + 1, left + u32::from(number >= batches - plan.lag));
                }
                if transfer.flags & TransferFlags::RESOLVING != 0 {
                    let reserved = pending.remove(&transfer.pending_id).expect("it is open");
                    assert_eq!(reserved.debit_account_id, transfer.debit_account_id);
                    resolves += 1;
                }
            }
            assert_eq!(
                batch.last().expect("one or more").flags & TransferFlags::LINKED,
                0,
                "no chain stays open"
            );
            assert!(
                number < plan.lag || resolves > 0 || batch.len() < 12 || plan.size(4, number - plan.lag) < 12
            );
        }
        assert!(sizes.len() > 30 && sizes.last() <= Some(&100), "{sizes:?}");
        // Sizes change once in so many batches: what half of those reserve may then be more than has place, a third of it on average.
        let open = pending.len() as u32 - left;
        assert!(open > 0 && open < reserved / 25, "{open} of {reserved} stay open");
    }

    /// What a batch names was created after a batch more than `lag` before it; every account that is created gets to be used, and its id is
    /// the worker's own.
    #[test]
    fn later_batches_draw_from_the_accounts_of_earlier_ones() {
        for new_accounts in [0.3, 1.0, 7.5] {
            let plan = Plan { new_accounts, ..plan(Workload::Mixed, 100) };
            let mut there: BTreeSet<u128> = (0..50).map(account_id).collect();
            let (mut created, mut used) = (Vec::new(), BTreeSet::new());
            for number in 0..200_u64 {
                if let Some(earlier) = number.checked_sub(plan.lag + 1) {
                    let ids = plan.created_after(earlier).map(|index| plan.account(4, index).id);
                    there.extend(ids.inspect(|id| created.push(*id)));
                }
                for transfer in transfers(&plan, number) {
                    for id in [transfer.debit_account_id, transfer.credit_account_id] {
                        assert!(there.contains(&id), "{id:032x} in {number} with {new_accounts}");
                        used.insert(id);
                    }
                }
            }
            let expected = 50 + (196.0 * new_accounts) as usize;
            assert_eq!((there.len(), created.len()), (expected, expected - 50), "each is another one");
            assert!(created.iter().take(created.len() / 2).all(|id| used.contains(id)));
            assert!(
                created.iter().all(|id| plan.account(5, 50).id > *id),
                "workers have ranges of their own"
            );
        }
    }

    #[test]
    fn ids_are_unique_and_grow() {
        let plan = plan(Workload::Mixed, 100);
        let mut seen = BTreeSet::new();
        for (batch, ms) in [(0, 5), (1, 5), (2, 6)] {
            for transfer in plan.transfers(4, batch, &|_| ms) {
                assert!(seen.last().is_none_or(|last| transfer.id > *last));
                assert_eq!(ids::unix_ms(transfer.id), plan.started_ms + u64::from(ms));
                seen.insert(transfer.id);
            }
        }
        assert_eq!(seen.len(), 300);
        assert!(plan.first_id(5, 0, 5) > plan.first_id(4, 1 << 20, 5), "workers have ranges of their own");
    }
}
