//! What is sent: transfers and look-ups that follow from (run, worker, batch, index) alone.
//!
//! So nothing about a transfer is kept: the model, the verification and a look-up make it again. A batch keeps 16
//! bytes (when it was made, and what became of it); refused events are kept one by one.
//!
//! A pending transfer is resolved by the transfer at the same index [`Plan::lag`] batches later. That one is sent only
//! when the pending one's batch is answered, so it finds it whatever overtakes what. At each index that takes part,
//! batches `lag` apart take turns: pending, resolution, pending, ... Neighbours are in opposite turns, so a request
//! holds as many of both; before the first turn is over, what has nothing to resolve is plain.

use crate::draw::{AMOUNT_MAX, Among, Draw, Draws};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Transfer, ids};
use std::ops::Range;

/// The ledger of every account and transfer.
pub const LEDGER: u32 = 1;
/// The code of every account and transfer.
pub const CODE: u16 = 1;
/// Seconds until a pending transfer expires: a year, so none does while it matters.
pub const TIMEOUT_SECONDS: u32 = 365 * 24 * 3_600;
/// Transfers of a linked chain.
pub const CHAIN: u32 = 4;
/// Of the mixed workload, after so many transfers the kinds repeat.
const MIX: u32 = 16;
/// Of the mixed workload, one creating request in so many is followed by a look-up.
pub const LOOKUP_EVERY: u64 = 8;
/// Resolutions are dealt out in parts of this many: one posts a part, one voids, the others post in full.
const RESOLUTION_PARTS: u64 = 8;
/// Bits of an id that number the transfer within its worker, below 8 bits of worker and 32 of run.
const SEQUENCE_BITS: u32 = 40;
/// Most worker threads: what 8 bits of an id tell apart.
pub const WORKERS_MAX: u8 = u8::MAX;

const _: () = assert!(MIX.is_multiple_of(CHAIN), "a chain ends where the mix repeats");

/// Kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Plain transfers between accounts drawn at random.
    Plain,
    /// Half pending transfers, half posts and voids of earlier ones.
    TwoPhase,
    /// Chains of four linked transfers.
    Linked,
    /// Half plain, a quarter two-phase, a quarter linked; and look-ups in between.
    Mixed,
    /// Plain transfers between accounts that all have a limit and little to spare.
    Limited,
}

impl Workload {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::TwoPhase => "two-phase",
            Self::Linked => "linked",
            Self::Mixed => "mixed",
            Self::Limited => "limited",
        }
    }

    /// What it consists of, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Plain => "plain transfers",
            Self::TwoPhase => "two-phase transfers",
            Self::Linked => "linked transfers in chains of 4",
            Self::Mixed => "mixed transfers (half plain, a quarter two-phase, a quarter linked) and look-ups",
            Self::Limited => "plain transfers between limited accounts",
        }
    }

    /// Requests sent for each one that creates transfers, on average.
    pub const fn requests_per_batch(self) -> f64 {
        match self {
            Self::Mixed => 1.0 + 1.0 / LOOKUP_EVERY as f64,
            _ => 1.0,
        }
    }

    /// What the transfer at an index of its request takes part in.
    #[inline]
    const fn part(self, index: u32) -> Part {
        match (self, index % MIX) {
            (Self::Plain | Self::Limited, _) => Part::Plain,
            (Self::TwoPhase, _) => Part::TwoPhase,
            (Self::Linked, _) | (Self::Mixed, 12..) => Part::Chain,
            (Self::Mixed, place) if place % 3 == 2 => Part::TwoPhase,
            (Self::Mixed, _) => Part::Plain,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Plain,
    TwoPhase,
    Chain,
}

/// The rules by which a run's transfers are made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The kind of work.
    pub workload: Workload,
    /// Accounts 1 to this.
    pub accounts: u32,
    /// Transfers in a request.
    pub batch: u32,
    /// Batches of a worker between a pending transfer and what resolves it. More than it has in flight, so that it
    /// seldom has to wait for an answer.
    pub lag: u64,
    /// Share of transfers that touch account 1, in parts of 2^32.
    pub hot: u64,
    /// Share of transfers that must be refused, because their credit account is not there, in parts of 2^32.
    pub failing: u64,
    /// What accounts and amounts are drawn from.
    pub seed: u64,
    /// What keeps this run's ids apart from those of other runs in the same millisecond.
    pub run: u32,
    /// Unix milliseconds at the start.
    pub started_ms: u64,
}

/// What a transfer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Moves the amount.
    Plain,
    /// Reserves the amount.
    Pending,
    /// Moves the amount, of what an earlier one has reserved.
    Post {
        /// What was reserved.
        reserved: u64,
    },
    /// Gives the amount back that an earlier one has reserved.
    Void,
}

/// A transfer without its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its accounts and amount.
    pub draw: Draw,
    /// What it does.
    pub kind: Kind,
    /// Whether the next one belongs to the same chain.
    pub linked: bool,
}

/// The events of one batch, one after the other.
#[derive(Debug)]
pub struct Events {
    workload: Workload,
    draws: Draws,
    /// Draws of the batch whose pending transfers are resolved.
    resolved: Option<Draws>,
    /// Whether it is the turn of even indexes to reserve and of odd ones to resolve.
    even_reserves: bool,
    indexes: Range<u32>,
}

impl Iterator for Events {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        let index = self.indexes.next()?;
        let draw = self.draws.draw();
        let reserved = self.resolved.as_mut().map(Draws::draw);
        Some(match self.workload.part(index) {
            Part::Plain => Event { draw, kind: Kind::Plain, linked: false },
            Part::Chain => {
                let linked = index % CHAIN != CHAIN - 1 && !self.indexes.is_empty();
                Event { draw, kind: Kind::Plain, linked }
            }
            Part::TwoPhase if index.is_multiple_of(2) == self.even_reserves => {
                Event { draw, kind: Kind::Pending, linked: false }
            }
            Part::TwoPhase => match reserved {
                Some(reserved) => resolution(reserved, draw.amount),
                None => Event { draw, kind: Kind::Plain, linked: false },
            },
        })
    }
}

/// What becomes of a pending transfer; `chance` is from 1 to `AMOUNT_MAX`.
fn resolution(reserved: Draw, chance: u64) -> Event {
    let (part, share) = ((chance - 1) % RESOLUTION_PARTS, (chance - 1) / RESOLUTION_PARTS);
    let post = |amount| (Draw { amount, ..reserved }, Kind::Post { reserved: reserved.amount });
    let (draw, kind) = match part {
        0 => (reserved, Kind::Void),
        1 => post(1 + (reserved.amount - 1) * share / (AMOUNT_MAX / RESOLUTION_PARTS)),
        _ => post(reserved.amount),
    };
    Event { draw, kind, linked: false }
}

/// What is looked up in between.
#[derive(Debug)]
pub enum LookUp {
    /// Accounts drawn at random, as many as a batch has transfers.
    Accounts(fastrand::Rng),
    /// The transfers of this batch, which was answered.
    Transfers(u64),
}

impl Plan {
    fn random(&self, worker: u8, number: u64) -> fastrand::Rng {
        let place = (u64::from(worker) << 56) ^ number;
        let seed = (self.seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(place);
        fastrand::Rng::with_seed(seed)
    }

    fn draws(&self, worker: u8, batch: u64) -> Draws {
        let Self { workload, accounts, hot, failing, .. } = *self;
        let among = Among { accounts, hot, failing, sides: workload == Workload::Limited };
        Draws::new(self.random(worker, batch), among)
    }

    /// The account with this index, as it is created. Limits bind those of even indexes on one side and the others on the other, so
    /// that nothing has to be paid in first: a transfer from an odd to an even index always passes, and one back passes as far as
    /// there was one before.
    pub fn account(&self, index: u32) -> Account {
        let flags = match (self.workload, index % 2) {
            (Workload::Limited, 0) => AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS,
            (Workload::Limited, _) => AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS,
            _ => 0,
        };
        Account { id: account_id(index), ledger: LEDGER, code: CODE, flags, ..Account::default() }
    }

    /// The events of a batch.
    pub fn events(&self, worker: u8, batch: u64) -> Events {
        Events {
            workload: self.workload,
            draws: self.draws(worker, batch),
            resolved: self.resolves(batch).map(|earlier| self.draws(worker, earlier)),
            even_reserves: (batch / self.lag).is_multiple_of(2),
            indexes: 0..self.batch,
        }
    }

    /// Whether every transfer is for itself: neither pending, nor a resolution, nor one of a chain.
    pub fn is_plain(&self) -> bool {
        matches!(self.workload, Workload::Plain | Workload::Limited)
    }

    /// The batch whose pending transfers this one resolves: it must be answered before this one is sent.
    pub fn resolves(&self, batch: u64) -> Option<u64> {
        match self.workload {
            Workload::Plain | Workload::Linked | Workload::Limited => None,
            Workload::TwoPhase | Workload::Mixed => batch.checked_sub(self.lag),
        }
    }

    /// The indexes of the chain that this index of a request belongs to, if it belongs to one.
    pub fn chain(&self, index: u32) -> Option<Range<u32>> {
        let first = index - index % CHAIN;
        let chain = first..(first + CHAIN).min(self.batch);
        (self.workload.part(index) == Part::Chain && chain.len() > 1).then_some(chain)
    }

    /// What is to be looked up after this batch was sent, if anything. With a batch that is safe to ask for: by the
    /// rule of [`Self::resolves`], all up to that one are answered.
    pub fn lookup_after(&self, worker: u8, batch: u64) -> Option<LookUp> {
        if self.workload != Workload::Mixed {
            return None;
        }
        let mut random = self.random(worker, 1 << 55 | batch);
        if random.u64(..LOOKUP_EVERY) != 0 {
            return None;
        }
        Some(match self.resolves(batch) {
            Some(newest) if random.bool() => LookUp::Transfers(random.u64(..=newest)),
            _ => LookUp::Accounts(random),
        })
    }

    /// The accounts' ids that this look-up asks for.
    pub fn lookup_accounts(&self, mut random: fastrand::Rng) -> impl Iterator<Item = u128> + use<> {
        let accounts = self.accounts;
        (0..self.batch).map(move |_| account_id(random.u32(..accounts)))
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

    /// The transfers of a batch, as they are sent. `ms` tells when a batch was made.
    pub fn transfers(
        &self,
        worker: u8,
        batch: u64,
        ms: &dyn Fn(u64) -> u32,
    ) -> impl Iterator<Item = Transfer> + use<> {
        let first_id = |batch| self.first_id(worker, batch, ms(batch));
        let (first, resolved) = (first_id(batch), self.resolves(batch).map_or(0, first_id));
        self.events(worker, batch)
            .zip(0_u128..)
            .map(move |(event, index)| event.transfer(first + index, resolved + index))
    }
}

impl Event {
    /// The event as a transfer. Posts and voids name everything that they may leave out, so that they are found again
    /// as they were sent.
    #[inline]
    fn transfer(&self, id: u128, resolved_id: u128) -> Transfer {
        let Self { draw: Draw { debit, credit, amount }, kind, linked } = *self;
        let (flags, pending_id, timeout) = match kind {
            Kind::Plain if linked => (TransferFlags::LINKED, 0, 0),
            Kind::Plain => (0, 0, 0),
            Kind::Pending => (TransferFlags::PENDING, 0, TIMEOUT_SECONDS),
            Kind::Post { .. } => (TransferFlags::POST_PENDING_TRANSFER, resolved_id, 0),
            Kind::Void => (TransferFlags::VOID_PENDING_TRANSFER, resolved_id, 0),
        };
        Transfer {
            id,
            debit_account_id: account_id(debit),
            credit_account_id: account_id(credit),
            amount: u128::from(amount),
            pending_id,
            timeout,
            ledger: LEDGER,
            code: CODE,
            flags,
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
    use std::collections::{BTreeMap, BTreeSet};

    const ALL: [Workload; 5] =
        [Workload::Plain, Workload::TwoPhase, Workload::Linked, Workload::Mixed, Workload::Limited];

    fn plan(workload: Workload, batch: u32) -> Plan {
        let started_ms = 1_790_000_000_000;
        Plan { workload, accounts: 50, batch, lag: 3, hot: 0, failing: 0, seed: 3, run: 9, started_ms }
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
        let shares = |workload| {
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
                    let told = plan.chain(index);
                    assert_eq!(told, (links > 0).then_some(chain.clone()), "{workload:?} {batch} {index}");
                    assert!(links < CHAIN && (links == 0 || links == CHAIN - 1 || chain.end == batch));
                    assert!(chain.clone().all(|member| plan.chain(member) == told));
                    index = chain.end;
                }
            }
        }
    }

    #[test]
    fn lookups_ask_for_batches_that_are_answered_and_have_their_share() {
        for workload in ALL {
            let plan = plan(workload, 100);
            let (mut accounts, mut batches) = (0, 0);
            for number in 0..8_000 {
                match plan.lookup_after(1, number) {
                    Some(LookUp::Accounts(random)) => {
                        assert!(plan.lookup_accounts(random).all(|id| (1..=50).contains(&id)));
                        accounts += 1;
                    }
                    Some(LookUp::Transfers(batch)) => {
                        assert!(batch + plan.lag <= number);
                        batches += 1;
                    }
                    None => {}
                }
            }
            let expected = if workload == Workload::Mixed { 400..600 } else { 0..1 };
            assert!(expected.contains(&accounts) && expected.contains(&batches), "{accounts} {batches}");
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
