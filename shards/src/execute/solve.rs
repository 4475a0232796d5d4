//! Solve: the coordinator's serial run over what the vote left open, and over nothing else.

use super::message::{Detail, OpenLeg, OpenNote, Vote};
use crate::ledger::rules::{Balance, Rank};
use crate::limits::EPOCH_UNITS_MAX;
use crate::place::ShardId;

/// What was gathered of one epoch.
#[derive(Debug)]
pub struct Solver {
    legs: Vec<(ShardId, OpenLeg)>,
    notes: Vec<OpenNote>,
    /// Shards that have sent all.
    gathered: u16,
    /// By shard: the first of its tracked accounts among all.
    first_account: Vec<usize>,
    /// By account: what the solved transfers add to what its shard knows.
    added: Vec<Balance>,
    refused: Vec<bool>,
}

/// A decision of the coordinator and the shards that it concerns.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// The refusal.
    pub vote: Vote,
    /// Shards of the legs and of the id; the arrival shard is told in any case.
    pub concerned: Option<[ShardId; 3]>,
}

impl Solver {
    /// Nothing gathered, of so many shards.
    pub fn new(shards: u16) -> Self {
        Self {
            legs: Vec::new(),
            notes: Vec::new(),
            gathered: 0,
            first_account: vec![0; usize::from(shards) + 1],
            added: Vec::new(),
            refused: vec![false; EPOCH_UNITS_MAX],
        }
    }

    /// Takes a shard's open legs.
    pub fn take_legs(&mut self, from: ShardId, legs: &[OpenLeg]) {
        self.legs.extend(legs.iter().map(|leg| (from, *leg)));
    }

    /// Takes a shard's open notes.
    pub fn take_notes(&mut self, notes: &[OpenNote]) {
        self.notes.extend_from_slice(notes);
    }

    /// A shard has sent all; `true` when it was the last.
    pub fn shard_is_done(&mut self) -> bool {
        self.gathered += 1;
        usize::from(self.gathered) == self.first_account.len() - 1
    }

    /// Runs the rules over the open legs in position order, and hands out every refusal. Then forgets everything.
    pub fn solve(&mut self, units: usize, mut decide: impl FnMut(Decision)) {
        self.refused[..units].fill(false);
        self.legs.sort_unstable_by_key(|(_, leg)| (leg.index, leg.side));
        self.number_accounts();
        let legs = std::mem::take(&mut self.legs);
        for transfer in legs.chunk_by(|(_, a), (_, b)| a.index == b.index) {
            if let Some(decision) = self.solve_transfer(transfer) {
                decide(decision);
            }
        }
        for note in &self.notes {
            if note.original_refused != 0 || self.refused[usize::from(note.original)] {
                decide(Decision { vote: Vote::original_refused(note.index), concerned: None });
            }
        }
        self.legs = legs;
        self.legs.clear();
        self.notes.clear();
        self.gathered = 0;
    }

    fn solve_transfer(&mut self, legs: &[(ShardId, OpenLeg)]) -> Option<Decision> {
        let (shard, first) = legs[0];
        let refused_before = legs.iter().any(|(_, leg)| leg.refused != 0);
        let rank = legs.iter().filter_map(|(shard, leg)| self.refuse(*shard, leg)).min();
        match rank {
            Some(rank) => {
                self.refused[usize::from(first.index)] = true;
                let concerned = [shard, ShardId(first.peer), ShardId(first.id_shard)];
                let concerned = (!refused_before).then_some(concerned);
                Some(Decision { vote: Vote::refuse(first.index, rank, Detail::NONE), concerned })
            }
            None => {
                if !refused_before {
                    for (shard, leg) in legs {
                        let account = self.account(*shard, leg);
                        self.added[account].apply(leg.side(), leg.amount);
                    }
                }
                None
            }
        }
    }

    fn refuse(&self, shard: ShardId, leg: &OpenLeg) -> Option<Rank> {
        if leg.held == 0 {
            return None;
        }
        let added = self.added[self.account(shard, leg)];
        // Sums of accepted legs only: the account's real balance, which fits.
        let balance = Balance { debits: leg.debits + added.debits, credits: leg.credits + added.credits };
        balance.refuse(leg.flags, leg.side(), leg.amount).map(Rank::of)
    }

    /// Lays all shards' tracked accounts out in one array.
    fn number_accounts(&mut self) {
        self.first_account.fill(0);
        for (shard, leg) in &self.legs {
            let count = &mut self.first_account[shard.index() + 1];
            *count = (*count).max(leg.account as usize + 1);
        }
        for shard in 1..self.first_account.len() {
            self.first_account[shard] += self.first_account[shard - 1];
        }
        let accounts = self.first_account[self.first_account.len() - 1];
        self.added.clear();
        self.added.resize(accounts, Balance::default());
    }

    fn account(&self, shard: ShardId, leg: &OpenLeg) -> usize {
        self.first_account[shard.index()] + leg.account as usize
    }
}
