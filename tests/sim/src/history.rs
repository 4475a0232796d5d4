//! History as the server's threads keep it, without a store: it takes what the shards tell of each epoch, compares it with the
//! truth, and answers from that, as far as it has got.

use crate::disk::Fate;
use crate::invariants::{Broken, Invariant, broken, compare};
use crate::truth::{Outcomes, Truth};
use auriga_shards::past::{Answer, Asked, Facts, Page, Question, Records};
use auriga_shards::place::ShardId;
use auriga_wire::{Account, Command, Fault, FaultCode, Filter, FilterFlags, Transfer};
use fastrand::Rng;
use std::collections::VecDeque;

/// What history has and what waits for it.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// By shard: facts that are not put together yet.
    told: Vec<VecDeque<Box<Facts>>>,
    /// By shard: facts that were taken, on their way back.
    taken: Vec<VecDeque<Box<Facts>>>,
    questions: Vec<(ShardId, Question)>,
    /// Every epoch through this one is taken, and the time of the last event.
    epoch: u64,
    time: u64,
    /// And through this one it would not be lost with the power.
    durable: (u64, u64),
}

impl History {
    /// A server starts: what is not durable may be gone.
    pub(crate) fn start(&mut self, shards: u16) {
        let (epoch, time) = (self.epoch, self.time);
        let queues = || (0..shards).map(|_| VecDeque::new()).collect();
        *self =
            Self { told: queues(), taken: queues(), epoch, time, durable: self.durable, ..Self::default() };
    }

    /// The server has died, or the power has gone.
    pub(crate) fn stop(&mut self, power: bool, rng: &mut Rng) {
        if power || Fate::draw(rng) == Fate::Lost {
            (self.epoch, self.time) = self.durable;
        }
    }

    /// Every epoch through this one is taken.
    pub(crate) fn through(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn tell(&mut self, shard: ShardId, facts: Box<Facts>) {
        self.told[shard.index()].push_back(facts);
    }

    pub(crate) fn ask(&mut self, shard: ShardId, question: Question) {
        self.questions.push((shard, question));
    }

    /// Makes what there is durable; fails if that is not enough.
    pub(crate) fn make_durable(&mut self, through: u64) -> Result<(), String> {
        self.durable = (self.epoch, self.time);
        if self.epoch >= through {
            return Ok(());
        }
        Err(format!("history has durably got to epoch {}, epoch {through} is needed", self.epoch))
    }

    /// Whether all shards have told of the next epoch, and one of the epoch behind it.
    pub(crate) fn may_take(&self) -> bool {
        let (Some(first), true) = (self.told[0].front(), self.told[0].len() > 1) else { return false };
        let of_it = self.told.iter().filter_map(VecDeque::front).filter(|facts| facts.epoch == first.epoch);
        of_it.map(|facts| facts.blocks.len()).sum::<usize>() == first.blocks_in_all
    }

    /// Takes the next epoch. Returns whether anything happened in it.
    pub(crate) fn take(&mut self, truth: &Truth) -> Result<u64, Broken> {
        let (epoch, previous) = (self.told[0][0].epoch, self.told[0][1].previous);
        let mut all: Vec<(usize, Box<Facts>)> = Vec::new();
        for (shard, told) in self.told.iter_mut().enumerate() {
            if told.front().is_some_and(|facts| facts.epoch == epoch) {
                all.extend(told.pop_front().map(|facts| (shard, facts)));
            }
        }
        check(&all, previous, truth)?;
        let known = epoch <= self.epoch;
        if !known {
            compare(Invariant::Contract, "the next epoch for history", &(self.epoch + 1), &epoch)?;
            let cut = &truth.epoch(epoch).expect("it was compared").cut;
            self.epoch = epoch;
            self.time = cut.time + (cut.units() as u64).saturating_sub(1);
        }
        for (shard, facts) in all {
            self.taken[shard].push_back(facts);
        }
        Ok(u64::from(!known))
    }

    /// By shard: whether facts are on their way back.
    pub(crate) fn gives_back(&self, shard: ShardId) -> bool {
        !self.taken[shard.index()].is_empty()
    }

    pub(crate) fn give_back(&mut self, shard: ShardId) -> Box<Facts> {
        self.taken[shard.index()].pop_front().expect("there is something to give back")
    }

    /// What can be asked about: what is taken, and epochs behind it in which nothing has happened.
    fn reached(&self, truth: &Truth) -> u64 {
        let expired_through = truth.epoch(self.epoch).map_or(0, |taken| taken.cut.expire_through);
        let idle = self
            .told
            .first()
            .into_iter()
            .flatten()
            .take_while(|facts| facts.blocks_in_all == 0 && facts.expire_through <= expired_through);
        idle.last().map_or(self.epoch, |facts| facts.epoch.max(self.epoch))
    }

    /// Questions that can be answered; if `late`, also with the answer that it would take too long.
    pub(crate) fn answerable(&self, late: bool, truth: &Truth) -> impl Iterator<Item = usize> {
        let reached = self.reached(truth);
        let ready = move |(_, (_, question)): &(usize, &(ShardId, Question))| question.after <= reached;
        self.questions
            .iter()
            .enumerate()
            .filter(move |question| late || ready(question))
            .map(|(number, _)| number)
    }

    /// Answers a question.
    pub(crate) fn answer(&mut self, number: usize, truth: &Truth) -> (ShardId, usize, Answer) {
        let reached = self.reached(truth);
        let (shard, Question { job, asked, after }) = self.questions.swap_remove(number);
        if after > reached {
            let text = format!("history has got to epoch {reached}, the answer needs epoch {after}");
            return (shard, job, Err(Fault::new(FaultCode::HistoryBehind, text)));
        }
        let records = match asked {
            Asked::Transfers(ids) => {
                let found = ids.iter().filter_map(|id| truth.transfer(*id, self.epoch));
                Records::Transfers(found.copied().collect())
            }
            Asked::Filter(Command::QueryAccounts, filter) => {
                Records::Accounts(accounts(truth, &filter, self.time))
            }
            Asked::Filter(command, filter) => {
                Records::Transfers(transfers(truth, command, &filter, self.time))
            }
        };
        (shard, job, Ok(Page { records, cursor: 0, time: self.time }))
    }

    /// For a failure's message.
    pub(crate) fn dump(&self) -> String {
        let waiting: Vec<_> = self.told.iter().map(|told| told.len()).collect();
        format!("history through {}, waiting {waiting:?}, asked {:?}", self.epoch, self.questions)
    }
}

/// What the shards tell of an epoch must be what the model says.
fn check(all: &[(usize, Box<Facts>)], checksum: u128, truth: &Truth) -> Result<(), Broken> {
    let epoch = all[0].1.epoch;
    let Some(expected) = truth.epoch(epoch) else {
        let what = format!("history was told of epoch {epoch}, which the disk doesn't have durably");
        return broken(Invariant::Acknowledged, what);
    };
    let cut = &expected.cut;
    let what = format_args!("checksum of epoch {epoch} as history knows it");
    compare(Invariant::Model, what, &expected.end.checksum, &checksum)?;
    for (shard, facts) in all {
        let head = (facts.time, facts.incarnation, facts.previous, facts.expire_through, facts.blocks_in_all);
        let wanted = (cut.time, cut.incarnation, cut.previous, cut.expire_through, cut.blocks.len());
        compare(Invariant::Model, format_args!("what shard {shard} tells of epoch {epoch}"), &wanted, &head)?;
    }
    let mut blocks: Vec<_> = all.iter().flat_map(|(_, facts)| &facts.blocks).collect();
    blocks.sort_unstable_by_key(|block| block.base);
    let found: Vec<_> = blocks.iter().map(|block| (u32::from(block.base), block.entry)).collect();
    let wanted: Vec<_> = cut.bases().map(|(base, entry)| (base, *entry)).collect();
    compare(Invariant::Model, format_args!("blocks that are told of epoch {epoch}"), &wanted, &found)?;
    for (block, outcomes) in blocks.into_iter().zip(&expected.outcomes) {
        let Outcomes { refused, amounts, ended } = outcomes;
        let is_more = |told: &&(u16, u128)| !ended.contains(told);
        let told = (block.refused.clone(), block.amounts.iter().filter(is_more).copied().collect());
        let what = format_args!("outcomes that are told of a block of epoch {epoch}");
        compare(Invariant::Model, what, &(refused.clone(), amounts.clone()), &told)?;
    }
    Ok(())
}

/// Transfers that fit a filter, of those that there were at a time.
pub(crate) fn transfers(truth: &Truth, command: Command, filter: &Filter, now: u64) -> Vec<Transfer> {
    let of_account = |transfer: &Transfer| {
        command != Command::AccountTransfers
            || filter.is(FilterFlags::DEBITS) && transfer.debit_account_id == filter.account_id
            || filter.is(FilterFlags::CREDITS) && transfer.credit_account_id == filter.account_id
    };
    let fits = |transfer: &&Transfer| transfer.timestamp <= now && of_account(transfer);
    page(filter, truth.created_transfers.iter().filter(fits).copied().collect())
}

/// Accounts that fit a filter as they were created, of those that there were at a time.
pub(crate) fn accounts(truth: &Truth, filter: &Filter, now: u64) -> Vec<Account> {
    let fits = |account: &&Account| {
        account.timestamp <= now && (filter.ledger == 0 || account.ledger == filter.ledger)
    };
    page(filter, truth.created_accounts.iter().filter(fits).copied().collect())
}

fn page<T>(filter: &Filter, mut records: Vec<T>) -> Vec<T> {
    if filter.is(FilterFlags::REVERSED) {
        records.reverse();
    }
    records.truncate(filter.limit as usize);
    records
}
