//! One worker's load: makes requests, measures their answers and tells the model of them.

use crate::differences::Differences;
use crate::drive::{Sent, Work};
use crate::failure::Failure;
use crate::figures::{Figures, latency_histogram};
use crate::model::Model;
use crate::workload::{CODE, LEDGER, LookUp, Plan};
use auriga_signals::Glance;
use auriga_wire::frame::Command;
use auriga_wire::{Account, Reply, ReplyBody, RequestFrame, Transfer};
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// How often a worker says what its p99 was.
const GLANCE: Duration = Duration::from_millis(500);
/// The bit of a tag that says: the look-up after this batch, not the batch.
const LOOKUP: u64 = 1 << 63;

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
    /// The batch after which a look-up is due.
    lookup_due: Option<u64>,
    figures: Figures,
    recent: Histogram<u64>,
    recent_until: Instant,
    started: Instant,
    glance: &'a Glance,
}

impl<'a> Load<'a> {
    /// A load that has sent nothing. `started` is the instant of the plan's `started_ms`. With a list of all requests, or without.
    pub fn new(plan: Plan, worker: u8, started: Instant, lists: bool, glance: &'a Glance) -> Self {
        Self {
            model: Model::new(plan, worker),
            stopped: None,
            looked_up: 0,
            lookup_differences: Differences::default(),
            lookup_due: None,
            figures: Figures::new(lists),
            recent: latency_histogram(),
            recent_until: started + GLANCE,
            started,
            glance,
        }
    }

    /// Ends a phase: hands out its figures and starts new ones.
    pub fn take_figures(&mut self) -> Figures {
        self.glance.show(0, 0);
        let lists = self.figures.requests.is_some();
        std::mem::replace(&mut self.figures, Figures::new(lists))
    }

    fn lookup_after(&self, batch: u64) -> Option<LookUp> {
        self.model.plan.lookup_after(self.model.worker, batch)
    }

    fn write_lookup(&self, lookup: LookUp, frame: &mut RequestFrame) {
        let plan = &self.model.plan;
        let size = plan.batch as usize;
        match lookup {
            LookUp::Accounts(random) => {
                frame.begin(Command::LookupAccounts, size);
                for (place, id) in frame.records_mut::<u128>().iter_mut().zip(plan.lookup_accounts(random)) {
                    *place = id;
                }
            }
            LookUp::Transfers(batch) => {
                frame.begin(Command::LookupTransfers, size);
                let first_id = self.model.first_id(batch);
                for (place, id) in frame.records_mut::<u128>().iter_mut().zip(first_id..) {
                    *place = id;
                }
            }
        }
    }

    /// Every account is there, whatever it holds by now.
    fn found_accounts(&mut self, found: &[Account], random: fastrand::Rng) {
        let mut found = found.iter().peekable();
        for id in self.model.plan.lookup_accounts(random) {
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

    /// The batch is there as it was acknowledged.
    fn found_transfers(&mut self, found: &[Transfer], batch: u64) {
        let mut found = found.iter().peekable();
        let (right, _) = self.model.compare(batch, &mut found, &mut self.lookup_differences);
        self.looked_up += right;
        if let Some(stray) = found.next() {
            self.lookup_differences
                .note(|| format!("a look-up answered transfer {:032x} out of order", stray.id));
        }
    }

    fn record(&mut self, sent: Sent, now: Instant) {
        let since = sent.intended;
        let latency = nanoseconds(since, now);
        self.figures.latency.saturating_record(latency);
        self.figures.raw_latency.saturating_record(nanoseconds(sent.actual, now));
        if let Some(lateness) = sent.lateness {
            self.figures.lateness.saturating_record(lateness.as_nanos() as u64);
        }
        if let Some(requests) = &mut self.figures.requests {
            requests.push((since, latency));
        }
        let first = self.figures.first_send.get_or_insert(since);
        *first = since.min(*first);
        self.figures.last_reply = Some(now);
        self.recent.saturating_record(latency);
        self.glance.show(self.figures.counts.created, self.figures.counts.refused);
        if now >= self.recent_until {
            self.glance.show_p99(self.recent.value_at_quantile(0.99));
            self.recent.reset();
            self.recent_until = now + GLANCE;
        }
    }
}

fn nanoseconds(since: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(since).as_nanos() as u64
}

impl Work for Load<'_> {
    fn may_send(&self) -> bool {
        self.lookup_due.is_some() || self.model.may_send()
    }

    fn next(&mut self, now: Instant, frame: &mut RequestFrame) -> Option<u64> {
        if self.stopped.is_some() {
            return None;
        }
        if let Some(batch) = self.lookup_due.take() {
            let lookup = self.lookup_after(batch).expect("one is due only if one was drawn");
            self.write_lookup(lookup, frame);
            return Some(LOOKUP | batch);
        }
        let ms = (now - self.started).as_millis() as u32;
        frame.begin(Command::CreateTransfers, self.model.plan.batch as usize);
        let number = self.model.send(ms, frame.records_mut());
        self.lookup_due = self.lookup_after(number).map(|_| number);
        Some(number)
    }

    fn answered(&mut self, tag: u64, reply: &Reply<'_>, sent: Sent, now: Instant) -> Result<bool, Failure> {
        let batch = tag & !LOOKUP;
        let lookup = if tag == batch { None } else { self.lookup_after(batch) };
        match (&reply.body, lookup) {
            (ReplyBody::CreatedTransfers(results), None) => {
                self.figures.counts.add(&self.model.executed(batch, reply.timestamp, results));
                self.record(sent, now);
            }
            (ReplyBody::Accounts(found), Some(LookUp::Accounts(random))) => {
                self.figures.lookups.saturating_record(nanoseconds(sent.intended, now));
                self.found_accounts(found, random);
            }
            (ReplyBody::Transfers(found), Some(LookUp::Transfers(batch))) => {
                self.figures.lookups.saturating_record(nanoseconds(sent.intended, now));
                self.found_transfers(found, batch);
            }
            (ReplyBody::Refused(fault), lookup) => {
                if lookup.is_none() {
                    self.figures.counts.add(&self.model.turned_away(batch));
                    self.record(sent, now);
                }
                self.stopped.get_or_insert_with(|| fault.to_string());
            }
            (other, _) => {
                return Err(Failure::Failed(format!("found {other:?}, expected an answer to what was sent")));
            }
        }
        Ok(self.stopped.is_none())
    }
}
