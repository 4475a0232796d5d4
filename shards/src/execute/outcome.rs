//! The results of a shard's own requests: what the other shards' refusals add up to.

use super::message::{Ballot, Detail, Original, Vote};
use crate::ledger::rules::Rank;
use crate::limits::EPOCH_UNITS_MAX;
use auriga_wire::TransferCode;

/// The lowest rank of refusal for each event of the epoch that arrived here.
#[derive(Debug)]
pub struct Outcomes {
    ranks: Vec<Rank>,
    /// Duplicates of a created transfer: index and detail of the vote.
    exists: Vec<(u16, Detail)>,
    /// Legs that found their account on another ledger: index and that ledger.
    ledgers: Vec<(u16, u32)>,
    /// Linked chains: first and last index.
    chains: Vec<(u16, u16)>,
    /// What variable transfers move that may have been created, by index.
    amounts: Vec<(u16, u128)>,
}

impl Outcomes {
    /// No results.
    pub fn new() -> Self {
        Self {
            ranks: vec![Rank::CREATED; EPOCH_UNITS_MAX],
            exists: Vec::new(),
            ledgers: Vec::new(),
            chains: Vec::new(),
            amounts: Vec::new(),
        }
    }

    /// Forgets the epoch before.
    pub fn clear(&mut self, units: usize) {
        self.ranks[..units].fill(Rank::CREATED);
        self.exists.clear();
        self.ledgers.clear();
        self.chains.clear();
        self.amounts.clear();
    }

    /// Notes a linked chain: its events are created together or not at all.
    pub fn chain(&mut self, first: u16, last: u16) {
        self.chains.push((first, last));
    }

    /// Notes what a variable transfer moves, if it is created; in the order of the indexes.
    pub fn moves(&mut self, index: u16, amount: u128) {
        self.amounts.push((index, amount));
    }

    /// Notes a refusal; the lowest rank stays.
    pub fn refuse(&mut self, index: u16, rank: Rank, detail: Detail) {
        let place = &mut self.ranks[usize::from(index)];
        *place = rank.min(*place);
        if detail == Detail::NONE {
            return;
        }
        if rank == Rank::EXISTS {
            self.exists.push((index, detail));
        } else if rank == Rank::of(TransferCode::AccountsMustHaveTheSameLedger) {
            self.ledgers.push((index, detail.as_ledger()));
        }
    }

    /// Notes a vote on an event that arrived here. Holds don't concern the arrival shard.
    pub fn take(&mut self, vote: &Vote) {
        match vote.ballot() {
            Ballot::Refused => self.refuse(vote.index, Rank(vote.rank), vote.detail()),
            Ballot::OriginalRefused => self.ranks[usize::from(vote.index)] = Rank(vote.rank),
            Ballot::Held => {}
        }
    }

    /// All votes are in. Of a chain the first refusal counts; the other events only failed with it. Two legs that both found
    /// another ledger than the transfer's, and the same one: then it is the transfer's that is wrong.
    pub fn finish(&mut self) {
        let accounts_differ = Rank::of(TransferCode::AccountsMustHaveTheSameLedger);
        self.ledgers.sort_unstable();
        for pair in self.ledgers.windows(2) {
            let rank = &mut self.ranks[usize::from(pair[0].0)];
            if pair[0] == pair[1] && *rank == accounts_differ {
                *rank = Rank::of(TransferCode::TransferMustHaveTheSameLedgerAsAccounts);
            }
        }
        self.exists.sort_unstable_by_key(|(index, _)| *index);
        for (first, last) in self.chains.drain(..) {
            let members = &mut self.ranks[usize::from(first)..=usize::from(last)];
            if let Some(failed) = members.iter().position(|rank| *rank != Rank::CREATED) {
                let rank = members[failed];
                members.fill(Rank::LINKED_EVENT_FAILED);
                members[failed] = rank;
            }
        }
    }

    /// The bytes of all outcomes.
    pub fn memory(&self) -> &[u8] {
        bytemuck::cast_slice(&self.ranks)
    }

    /// The outcome of the event at `index`.
    pub fn rank(&self, index: u16) -> Rank {
        self.ranks[usize::from(index)]
    }

    /// The outcomes of `count` events from `first` on.
    pub fn ranks(&self, first: u16, count: u16) -> &[Rank] {
        &self.ranks[usize::from(first)..usize::from(first) + usize::from(count)]
    }

    /// What the variable transfers among `count` events from `first` on move that were created, by index.
    pub fn amounts(&self, first: u16, count: u16) -> impl Iterator<Item = (u16, u128)> {
        let start = self.amounts.partition_point(|(index, _)| *index < first);
        let within = self.amounts[start..].iter().take_while(move |(index, _)| index - first < count);
        within.copied().filter(|(index, _)| self.rank(*index) == Rank::CREATED)
    }

    /// For an event whose outcome is [`Rank::EXISTS`]: the transfer that it repeats.
    pub fn original(&self, index: u16) -> Original {
        let found = self.exists.binary_search_by_key(&index, |(index, _)| *index);
        self.exists[found.expect("an outcome `exists` names its original")].1.as_original()
    }
}

impl Default for Outcomes {
    fn default() -> Self {
        Self::new()
    }
}
