//! The side that is asked: questions of all shards, answered in the gap after their epoch from what this shard owns.

use super::{Answers, Desk, Work};
use crate::chunk::Chunk;
use crate::execute::Execution;
use crate::execute::mail::Sorter;
use crate::ledger::Ledger;
use crate::place::ShardId;
use crate::query::{Found, Located, QueryMessage, Wanted, What};

/// A question of another shard (or of this one) that waits for the gap after its epoch.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) from: ShardId,
    pub(super) query: u32,
    pub(super) what: What,
    pub(super) epoch: u64,
    pub(super) chunks_missing: u32,
    pub(super) wanted: Vec<Chunk>,
}

enum Answer {
    Account(Found),
    Transfer(Located),
}

impl Answers {
    /// Takes ids that another shard looks up.
    pub fn take_wanted(&mut self, from: ShardId, chunk: Chunk, desk: &mut Desk<'_>) {
        let query = chunk.step();
        let asked = self.asked.iter_mut().find(|a| a.from == from && u64::from(a.query) == query);
        let asked = asked.expect("ids follow their question");
        asked.wanted.push(chunk);
        asked.chunks_missing -= 1;
        self.answer_ready(desk);
    }

    /// Whether [`Answers::answer_ready`] has something to do.
    pub fn is_ready(&self, execution: &Execution) -> bool {
        let state = execution.state_epoch();
        state.is_some_and(|state| {
            self.asked.iter().any(|asked| asked.epoch <= state && asked.chunks_missing == 0)
        })
    }

    /// Answers every question whose epoch the state has reached. To be called in every gap, before the next epoch begins.
    pub fn answer_ready(&mut self, desk: &mut Desk<'_>) {
        let Some(state) = desk.execution.state_epoch() else {
            return;
        };
        while let Some(ready) = self.asked.iter().position(|a| a.epoch <= state && a.chunks_missing == 0) {
            let asked = self.asked.swap_remove(ready);
            match asked.what {
                What::Accounts | What::Transfers => self.answer_ids(asked, desk),
                What::Counters { digest } => self.answer_counters(&asked, digest, desk),
                What::Histograms => {
                    let bytes = (desk.histograms)();
                    if asked.from == desk.execution.mail.shard() {
                        self.take_histograms(asked.query, &bytes, desk);
                    } else {
                        desk.execution
                            .mail
                            .send(asked.from, QueryMessage::Histograms(asked.query, bytes).into());
                    }
                }
            }
        }
    }

    fn answer_ids(&mut self, asked: Asked, desk: &mut Desk<'_>) {
        let execution = &mut *desk.execution;
        let shards = execution.ledger.placement.shards();
        let own = asked.from == execution.mail.shard();
        let (mut accounts, mut transfers) = (Sorter::new(shards), Sorter::new(shards));
        for wanted in asked.wanted.iter().flat_map(|chunk| chunk.items::<Wanted>()) {
            let found = find(wanted, asked.what, &execution.ledger);
            let step = u64::from(asked.query);
            match found {
                None => {}
                Some(Answer::Account(found)) if own => self.own_job(&asked).add_account(found),
                Some(Answer::Transfer(located)) if own => self.own_job(&asked).add_transfer(located),
                Some(Answer::Account(found)) => accounts.push(&mut execution.mail, step, asked.from, found),
                Some(Answer::Transfer(located)) => {
                    transfers.push(&mut execution.mail, step, asked.from, located);
                }
            }
        }
        accounts.flush(&mut execution.mail);
        transfers.flush(&mut execution.mail);
        for chunk in asked.wanted {
            execution.mail.recycle(chunk);
        }
        if own {
            self.shard_answered(asked.query, desk);
        } else {
            execution.mail.send(asked.from, QueryMessage::Answered { query: asked.query }.into());
        }
    }

    fn own_job(&mut self, asked: &Asked) -> &mut Work {
        &mut self.jobs[asked.query as usize]
            .as_mut()
            .expect("a question's job is there until it is answered")
            .work
    }

    fn answer_counters(&mut self, asked: &Asked, digest: bool, desk: &mut Desk<'_>) {
        let mut counters = desk.counters;
        if digest {
            counters.digest = desk.execution.ledger.digest();
        }
        if asked.from == desk.execution.mail.shard() {
            self.add_counters(asked.query, &counters, desk);
        } else {
            desk.execution
                .mail
                .send(asked.from, QueryMessage::Counters(asked.query, Box::new(counters)).into());
        }
    }
}

fn find(wanted: &Wanted, what: What, ledger: &Ledger) -> Option<Answer> {
    let hash = ledger.placement.hash(wanted.id);
    let index = wanted.index;
    if what == What::Accounts {
        let slot = ledger.accounts.find(hash, wanted.id)?;
        return Some(Answer::Account(Found { account: ledger.accounts.record(slot), index, pad: 0 }));
    }
    let (position, check, done) = ledger.ids.created(hash, wanted.id)?;
    let located = Located::sent(position.0, check, index as u32);
    Some(Answer::Transfer(done.map_or(located, |done| located.executed(&done))))
}

impl Work {
    fn add_account(&mut self, found: Found) {
        let Self::Accounts(all) = self else { unreachable!("accounts answer a look-up of accounts") };
        all.push(found);
    }

    fn add_transfer(&mut self, located: Located) {
        let Self::Transfers(all) = self else { unreachable!("places answer a look-up of transfers") };
        all.push(located);
    }
}
