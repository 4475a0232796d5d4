//! One worker's load: makes requests, measures their answers and tells the model of them.

use crate::ask;
use crate::differences::Differences;
use crate::drive::{Sent, Work};
use crate::failure::Failure;
use crate::figures::{Figures, nanoseconds};
use crate::model::Model;
use crate::series::{Recorder, Series};
use crate::workload::{CODE, LEDGER, NUMBER_BITS, Read, account_id};
use auriga_signals::Glance;
use auriga_wire::frame::Command;
use auriga_wire::{Account, AccountCode, Filter, Reply, ReplyBody, RequestFrame, Transfer};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

/// Transfers whose ids were made in the last so many milliseconds are looked up under load: a server forgets none in 10 seconds.
const YOUNG_MS: u32 = 5_000;
/// The bit of a tag that says: a read after this batch, not the batch. Which one stands above the batch's number.
const READ: u64 = 1 << 63;
/// The one that says: the accounts after this batch.
const ACCOUNTS: u64 = 1 << 62;

/// One worker's load.
#[derive(Debug)]
pub struct Load<'a> {
    /// What was sent, and what must follow.
    pub model: Model,
    /// Why the server wants no more, if it does.
    pub stopped: Option<String>,
    /// Records that look-ups meanwhile found as they must be.
    pub looked_up: u64,
    /// What look-ups meanwhile found, and should not have.
    pub lookup_differences: Differences,
    /// The batch after which accounts are due.
    accounts_due: Option<u64>,
    /// The batch after which reads are due, and which ones.
    reads_due: (u64, Range<u32>),
    /// Reads that are under way, by tag.
    reads: BTreeMap<u64, Read>,
    figures: Figures,
    recorder: Recorder,
    started: Instant,
    glance: &'a Glance,
}

impl<'a> Load<'a> {
    /// A load that has sent nothing. `started` is the instant of the plan's `started_ms`. With a list of all requests, or without.
    pub fn new(model: Model, started: Instant, lists: bool, glance: &'a Glance) -> Self {
        Self {
            model,
            stopped: None,
            looked_up: 0,
            lookup_differences: Differences::default(),
            accounts_due: None,
            reads_due: (0, 0..0),
            reads: BTreeMap::new(),
            figures: Figures::new(lists),
            recorder: Recorder::new(started),
            started,
            glance,
        }
    }

    /// Begins a phase.
    pub fn begin(&mut self, start: Instant) {
        self.recorder.begin(start);
    }

    /// Ends a phase in which so many requests were not sent: hands out its figures and its course, and starts new ones.
    pub fn take_figures(&mut self, unsent: u64) -> (Figures, Series) {
        self.close(Instant::now(), unsent);
        self.glance.show(0, 0);
        self.glance.show_errors(0);
        let lists = self.figures.requests.is_some();
        (std::mem::replace(&mut self.figures, Figures::new(lists)), self.recorder.take())
    }

    /// A request was refused as a whole.
    fn note_error(&mut self) {
        self.recorder.error();
        self.figures.errors += 1;
        self.glance.show_errors(self.figures.errors);
    }

    /// Closes a point of the phase's course.
    fn close(&mut self, now: Instant, unsent: u64) {
        let p99 = self.recorder.close(now, &self.figures.counts, unsent);
        self.glance.show_p99(p99);
    }

    /// A read after this batch. Of transfers, of such as the server remembers for sure, and this worker, too.
    fn read_after(&self, batch: u64, number: u32) -> Read {
        let Model { plan, worker, kept, .. } = &self.model;
        let made = kept.ms(batch, batch).expect("it was sent just now");
        let oldest = made.saturating_sub(YOUNG_MS);
        let place = kept.place_from(|batch| kept.ms(batch, batch).is_some_and(|ms| ms >= oldest));
        plan.read_after(*worker, batch, number, kept.number_at(place).max(kept.whole_from()))
    }

    fn write_read(&self, read: &Read, frame: &mut RequestFrame) {
        let plan = &self.model.plan;
        match *read {
            Read::Accounts(ref random, size) => {
                frame.begin(Command::LookupAccounts, size as usize);
                for (place, id) in
                    frame.records_mut::<u128>().iter_mut().zip(plan.lookup_accounts(random.clone(), size))
                {
                    *place = id;
                }
            }
            Read::Transfers(batch) => {
                frame.begin(Command::LookupTransfers, self.model.size(batch) as usize);
                let first_id = self.model.first_id(batch);
                for (place, id) in frame.records_mut::<u128>().iter_mut().zip(first_id..) {
                    *place = id;
                }
            }
            Read::Newest(account, limit) => {
                frame.begin(Command::AccountTransfers, 1);
                frame.records_mut::<Filter>()[0] = Filter::newest_of(account_id(account), limit);
            }
        }
    }

    /// Every account is there, whatever it holds by now.
    fn found_accounts(&mut self, found: &[Account], random: fastrand::Rng, size: u32) {
        let mut found = found.iter().peekable();
        for id in self.model.plan.lookup_accounts(random, size) {
            match found.next_if(|account| account.id == id) {
                Some(Account { ledger: LEDGER, code: CODE, flags: 0, .. }) => self.looked_up += 1,
                Some(account) => {
                    self.lookup_differences.note(|| format!("a look-up under load found {account:?}"));
                }
                None => {
                    self.lookup_differences
                        .note(|| format!("a look-up under load did not find account {id}"));
                }
            }
        }
        if let Some(stray) = found.next() {
            self.lookup_differences.note(|| format!("a look-up answered account {} out of order", stray.id));
        }
    }

    /// The batch is there as it was acknowledged, if that is still remembered here.
    fn found_transfers(&mut self, found: &[Transfer], batch: u64) {
        if self.model.kept.get(batch).is_none() {
            return;
        }
        let mut found = found.iter().peekable();
        let (right, _) = self.model.compare(batch, &mut found, &mut self.lookup_differences);
        self.looked_up += right;
        if let Some(stray) = found.next() {
            self.lookup_differences
                .note(|| format!("a look-up answered transfer {:032x} out of order", stray.id));
        }
    }

    /// These can be the newest transfers of the account.
    fn found_newest(&mut self, found: &[Transfer], account: u32, limit: u32) {
        let id = account_id(account);
        match ask::is_right(found, id, limit) {
            true => self.looked_up += found.len() as u64,
            false => self.lookup_differences.note(|| {
                format!("a query answered {} transfers that are not the newest of account {id}", found.len())
            }),
        }
    }

    /// Accounts were created, or the server wants no more of them.
    fn accounts_answered(
        &mut self,
        batch: u64,
        reply: &Reply<'_>,
        sent: Sent,
        now: Instant,
    ) -> Result<bool, Failure> {
        self.figures.new_accounts.saturating_record(nanoseconds(sent.intended, now));
        let (created, refusal) = match &reply.body {
            ReplyBody::CreatedAccounts(results) => {
                let refusal = results.iter().find(|result| result.is_refused());
                let name =
                    |code| AccountCode::from_number(code).map_or("an unknown code", |code| code.name());
                let refusal = refusal.map(|refusal| format!("a new account: {}", name(refusal.code)));
                (self.model.accounts_created(batch, Some(results)), refusal)
            }
            ReplyBody::Refused(fault) => (self.model.accounts_created(batch, None), Some(fault.to_string())),
            other => {
                return Err(Failure::Failed(format!("found {other:?}, expected an answer to what was sent")));
            }
        };
        self.figures.counts.accounts += created;
        if let Some(refusal) = refusal {
            self.note_error();
            self.stopped.get_or_insert(refusal);
        }
        Ok(self.stopped.is_none())
    }

    fn record(&mut self, sent: Sent, now: Instant) {
        self.figures.record(&sent, sent.intended, now);
        self.recorder.record(nanoseconds(sent.intended, now), nanoseconds(sent.actual, now));
        self.glance.show(self.figures.counts.created, self.figures.counts.refused);
    }
}

impl Work for Load<'_> {
    fn may_send(&self) -> bool {
        self.accounts_due.is_some() || !self.reads_due.1.is_empty() || self.model.may_send()
    }

    fn tick(&mut self, now: Instant, unsent: impl FnOnce() -> u64) {
        if self.recorder.is_over(now) {
            self.close(now, unsent());
        }
    }

    fn next(&mut self, now: Instant, frame: &mut RequestFrame) -> Option<u64> {
        if self.stopped.is_some() {
            return None;
        }
        if let Some(batch) = self.accounts_due.take() {
            let indexes = self.model.create_accounts(batch);
            if !indexes.is_empty() {
                let Model { plan, worker, .. } = &self.model;
                frame.begin(Command::CreateAccounts, indexes.len());
                for (place, index) in frame.records_mut::<Account>().iter_mut().zip(indexes) {
                    *place = plan.account(*worker, index);
                }
                return Some(ACCOUNTS | batch);
            }
        }
        let (batch, reads) = &mut self.reads_due;
        if let Some(number) = reads.next() {
            let batch = *batch;
            let read = self.read_after(batch, number);
            self.write_read(&read, frame);
            let tag = READ | u64::from(number) << NUMBER_BITS | batch;
            self.reads.insert(tag, read);
            return Some(tag);
        }
        let ms = (now - self.started).as_millis() as u32;
        frame.begin(Command::CreateTransfers, self.model.next_size() as usize);
        let number = self.model.send(ms, frame.records_mut());
        self.accounts_due = (!self.model.plan.created_after(number).is_empty()).then_some(number);
        self.reads_due = (number, 0..self.model.plan.reads_after(self.model.worker, number));
        Some(number)
    }

    fn answered(&mut self, tag: u64, reply: &Reply<'_>, sent: Sent, now: Instant) -> Result<bool, Failure> {
        let batch = tag & ((1 << NUMBER_BITS) - 1);
        let read = self.reads.remove(&tag);
        if read.is_some() {
            self.figures.lookups.saturating_record(nanoseconds(sent.intended, now));
        }
        if tag & ACCOUNTS != 0 {
            return self.accounts_answered(batch, reply, sent, now);
        }
        match (&reply.body, read) {
            (ReplyBody::CreatedTransfers(results), None) => {
                self.figures.counts.add(&self.model.executed(batch, reply.timestamp, results));
                self.record(sent, now);
            }
            (ReplyBody::Accounts(found), Some(Read::Accounts(random, size))) => {
                self.found_accounts(found, random, size);
            }
            (ReplyBody::Transfers(found), Some(Read::Transfers(batch))) => {
                self.found_transfers(found, batch);
            }
            (ReplyBody::AccountTransfers(found), Some(Read::Newest(account, limit))) => {
                self.found_newest(found, account, limit);
            }
            (ReplyBody::Refused(fault), read) => {
                if read.is_none() {
                    self.figures.counts.add(&self.model.turned_away(batch));
                    self.record(sent, now);
                }
                self.note_error();
                self.stopped.get_or_insert_with(|| fault.to_string());
            }
            (other, _) => {
                return Err(Failure::Failed(format!("found {other:?}, expected an answer to what was sent")));
            }
        }
        Ok(self.stopped.is_none())
    }
}
