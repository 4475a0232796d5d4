//! Answers that need history: questions about the past, and look-ups of transfers whose ids the shards have forgotten.

use super::{Answers, Desk, Job, Work};
use crate::arrival::ConnectionId;
use crate::ledger::terms::Terms;
use crate::past::{self, Question, Records};
use crate::query::{Located, What};
use crate::step::Output;
use auriga_wire::frame::{Command, Header};
use auriga_wire::{Fault, FaultCode, Filter, FilterFlags, Transfer};

/// What an answer takes from history.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Of a look-up of transfers, if there is a history: the ids.
    pub(super) ids: Vec<u128>,
    /// What history is asked for, by index: ids that the shards have forgotten, and transfers that the log doesn't have whole.
    pub(super) asked: Vec<(u32, u128)>,
    /// What it has found of them.
    pub(super) found: Vec<Transfer>,
    pub(super) is_asked: bool,
    /// Of a question about the past: where the next page begins, and through which time history is complete.
    pub(super) cursor: u64,
    pub(super) time: Option<u64>,
}

impl Answers {
    /// Starts a question about the past.
    pub(super) fn ask_history(
        &mut self,
        caller: ConnectionId,
        command: Command,
        header: Header,
        body: &[u8],
        epoch: u64,
        desk: &mut Desk<'_>,
    ) {
        let cluster = self.identity.cluster;
        let filter: Filter = bytemuck::pod_read_unaligned(body);
        let fault = if self.history {
            filter.check(command).err()
        } else {
            let text = "this server was started with --history off: ask one that keeps a history";
            Some(Fault::new(FaultCode::HistoryOff, text))
        };
        if let Some(fault) = fault {
            return desk.out.refuse(caller, &header, cluster, &fault);
        }
        let job = self.add(Job::new(caller, header, epoch, Work::Past));
        self.queries += 1;
        let after = if filter.is(FilterFlags::ACKNOWLEDGED) { epoch } else { 0 };
        let asked = past::Asked::Filter(command, filter);
        desk.out.push(Output::AskHistory(Box::new(Question { job, asked, after })));
    }

    /// Takes what history has answered; `epoch` is the newest that is closed.
    pub fn take_history(&mut self, number: usize, answer: &past::Answer, epoch: u64, desk: &mut Desk<'_>) {
        let job = self.jobs[number].as_mut().expect("answers come to their question");
        let page = match answer {
            Ok(page) => page,
            Err(fault) => {
                job.fault = Some(fault.clone());
                job.past.is_asked = false;
                let Some(fetch) = &mut job.fetch else { return self.complete(number, desk) };
                fetch.stop();
                return self.go_on(number, desk);
            }
        };
        if let (Work::Transfers(_) | Work::Creation { .. }, Records::Transfers(found)) =
            (&job.work, &page.records)
        {
            // What the shards have found is complete up to another time than history is.
            job.past.found.clone_from(found);
            job.past.is_asked = false;
            return self.go_on(number, desk);
        }
        (job.past.cursor, job.past.time) = (page.cursor, Some(page.time));
        match &page.records {
            Records::Transfers(found) => self.reply_page(number, bytemuck::cast_slice(found), desk),
            Records::Balances(found) => self.reply_page(number, bytemuck::cast_slice(found), desk),
            Records::Accounts(created) => {
                // Their present balances are the shards'.
                (job.work, job.epoch) = (Work::Accounts(Vec::new()), epoch);
                let ids: Vec<u128> = created.iter().map(|account| account.id).collect();
                if ids.is_empty() {
                    return self.complete(number, desk);
                }
                self.look_up(number as u32, What::Accounts, bytemuck::cast_slice(&ids), 0, desk);
            }
        }
    }

    fn reply_page(&mut self, number: usize, bytes: &[u8], desk: &mut Desk<'_>) {
        let job = self.finish(number);
        self.reply(&job, 0, bytes, desk);
    }
}

impl Past {
    /// The ids of a look-up that no shard has located because they are forgotten.
    pub(super) fn forgotten(&self, located: &[Located], terms: &Terms) -> Vec<(u32, u128)> {
        let mut known: Vec<u32> = located.iter().map(|located| located.index).collect();
        known.sort_unstable();
        let old = (0..).zip(&self.ids).filter(|(_, id)| terms.is_forgotten(**id));
        let missing = old.filter(|(index, _)| known.binary_search(index).is_err());
        missing.map(|(index, id)| (index, *id)).collect()
    }

    /// The question for these transfers, if there are any.
    pub(super) fn ask(&mut self, job: usize, after: u64, mut wanted: Vec<(u32, u128)>) -> Option<Question> {
        wanted.sort_unstable();
        let ids: Vec<u128> = wanted.iter().map(|(_, id)| *id).collect();
        self.asked = wanted;
        self.is_asked = !ids.is_empty();
        self.is_asked.then_some(Question { job, asked: past::Asked::Transfers(ids), after })
    }

    /// What the shards have found and what history has, in the order of the request.
    pub(super) fn merge(&mut self, fetched: Vec<(u32, Transfer)>) -> Vec<(u32, Transfer)> {
        // History leaves out what it doesn't have, and nobody else has it.
        let found = std::mem::take(&mut self.found).into_iter();
        let mut all = fetched;
        let mut asked = self.asked.iter();
        for transfer in found {
            let (index, _) =
                asked.find(|(_, id)| *id == transfer.id).expect("history answers in the order of the ids");
            all.push((*index, transfer));
        }
        all.sort_unstable_by_key(|(index, _)| *index);
        all
    }
}
