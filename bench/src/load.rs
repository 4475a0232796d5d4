//! One worker's load: makes batches, keeps what became of each, and the balances that must follow.

use crate::drive::Work;
use crate::failure::Failure;
use crate::workload::Plan;
use auriga_wire::frame::Command;
use auriga_wire::{EventResult, Reply, ReplyBody, RequestFrame, TransferCode};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often a worker says what its p99 was.
const GLANCE: Duration = Duration::from_millis(500);

/// What is known of a batch: 16 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The server's timestamp of the first transfer.
    pub first_timestamp: u64,
    /// Milliseconds from the run's start to the making of it, which its ids carry.
    pub ms: u32,
    /// What became of it.
    pub state: BatchState,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    /// No answer yet.
    Sent,
    /// Executed: every transfer was created, except the refused events.
    Executed,
    /// Refused as a whole.
    Refused,
}

/// A transfer that was not created although its batch was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedEvent {
    /// The batch.
    pub batch: u64,
    /// Its index there.
    pub index: u32,
    /// The code's number.
    pub code: u32,
}

/// An account's sums of acknowledged transfers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Of debits.
    pub debits: u64,
    /// Of credits.
    pub credits: u64,
}

/// What a worker shows while it works. Written by it alone, read by the progress bar.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Glance {
    /// Transfers created in this phase.
    pub created: AtomicU64,
    /// Transfers refused in this phase.
    pub refused: AtomicU64,
    /// p99 latency of the last half second.
    pub p99_ns: AtomicU64,
}

/// What a phase measured.
#[derive(Debug)]
pub struct Figures {
    /// Transfers acknowledged as created.
    pub created: u64,
    /// Transfers refused, by code or with their request.
    pub refused: u64,
    /// Requests refused as a whole.
    pub requests_refused: u64,
    /// Latency of each request.
    pub latency: Histogram<u64>,
    /// Time of the first send (or intended send).
    pub first_send: Option<Instant>,
    /// Time of the last acknowledgement.
    pub last_reply: Option<Instant>,
}

impl Figures {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            created: 0,
            refused: 0,
            requests_refused: 0,
            latency: latency_histogram(),
            first_send: None,
            last_reply: None,
        }
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.refused += other.refused;
        self.requests_refused += other.requests_refused;
        self.latency.add(&other.latency).expect("both have the same bounds");
        self.first_send = [self.first_send, other.first_send].into_iter().flatten().min();
        self.last_reply = self.last_reply.max(other.last_reply);
    }

    /// Seconds from the first send to the last acknowledgement.
    pub fn seconds(&self) -> f64 {
        match (self.first_send, self.last_reply) {
            (Some(first), Some(last)) => (last - first).as_secs_f64(),
            _ => 0.0,
        }
    }
}

/// 1 microsecond to 1 hour, three digits.
pub fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3).expect("the bounds are good")
}

/// One worker's load.
#[derive(Debug)]
pub struct Load<'a> {
    /// How transfers are made.
    pub plan: Plan,
    /// The worker's number, in its ids.
    pub worker: u8,
    /// Every batch sent, by number.
    pub batches: Vec<Batch>,
    /// Refused events; in order of batch and index only after [`Self::sort_refused`].
    pub refused: Vec<RefusedEvent>,
    /// Refused events by code.
    pub codes: BTreeMap<u32, u64>,
    /// The accounts' sums, by index.
    pub sums: Vec<Sums>,
    /// Why the server wants no more, if it does.
    pub stopped: Option<String>,
    figures: Figures,
    recent: Histogram<u64>,
    recent_until: Instant,
    started: Instant,
    glance: &'a Glance,
}

impl<'a> Load<'a> {
    /// A load that has sent nothing. `started` is the instant of the plan's `started_ms`.
    pub fn new(plan: Plan, worker: u8, started: Instant, glance: &'a Glance) -> Self {
        Self {
            plan,
            worker,
            batches: Vec::new(),
            refused: Vec::new(),
            codes: BTreeMap::new(),
            sums: vec![Sums::default(); plan.accounts as usize],
            stopped: None,
            figures: Figures::new(),
            recent: latency_histogram(),
            recent_until: started + GLANCE,
            started,
            glance,
        }
    }

    /// Ends a phase: hands out its figures and starts new ones.
    pub fn take_figures(&mut self) -> Figures {
        self.glance.created.store(0, Relaxed);
        self.glance.refused.store(0, Relaxed);
        std::mem::replace(&mut self.figures, Figures::new())
    }

    /// Puts the refused events in order, for [`Self::refused_of`].
    pub fn sort_refused(&mut self) {
        self.refused.sort_unstable();
    }

    /// The refused events of a batch, in order.
    pub fn refused_of(&self, batch: u64) -> &[RefusedEvent] {
        let start = self.refused.partition_point(|event| event.batch < batch);
        let end = self.refused.partition_point(|event| event.batch <= batch);
        &self.refused[start..end]
    }

    fn executed(&mut self, number: u64, first_timestamp: u64, results: &[EventResult]) {
        let batch = &mut self.batches[number as usize];
        assert_eq!(batch.state, BatchState::Sent, "a batch is answered once");
        batch.state = BatchState::Executed;
        batch.first_timestamp = first_timestamp;
        let refusals = results.iter().filter(|result| result.is_refused());
        for refusal in refusals.clone() {
            self.refused.push(RefusedEvent { batch: number, index: refusal.index, code: refusal.code });
            *self.codes.entry(refusal.code).or_default() += 1;
        }
        let mut refused = refusals.clone().map(|refusal| refusal.index).peekable();
        let draws = self.plan.draws(self.worker, number);
        for (index, draw) in (0..self.plan.batch).zip(draws) {
            if refused.next_if_eq(&index).is_some() {
                continue;
            }
            self.sums[draw.debit as usize].debits += draw.amount;
            self.sums[draw.credit as usize].credits += draw.amount;
        }
        let refused = refusals.count() as u64;
        self.figures.created += u64::from(self.plan.batch) - refused;
        self.figures.refused += refused;
    }

    fn record(&mut self, since: Instant, now: Instant) {
        let latency = now.saturating_duration_since(since).as_nanos() as u64;
        self.figures.latency.saturating_record(latency);
        let first = self.figures.first_send.get_or_insert(since);
        *first = since.min(*first);
        self.figures.last_reply = Some(now);
        self.recent.saturating_record(latency);
        self.glance.created.store(self.figures.created, Relaxed);
        self.glance.refused.store(self.figures.refused, Relaxed);
        if now >= self.recent_until {
            self.glance.p99_ns.store(self.recent.value_at_quantile(0.99), Relaxed);
            self.recent.reset();
            self.recent_until = now + GLANCE;
        }
    }
}

impl Work for Load<'_> {
    fn next(&mut self, now: Instant, frame: &mut RequestFrame) -> Option<u64> {
        if self.stopped.is_some() {
            return None;
        }
        let number = self.batches.len() as u64;
        let ms = (now - self.started).as_millis() as u32;
        frame.begin(Command::CreateTransfers, self.plan.batch as usize);
        self.plan.write(self.worker, number, ms, frame.records_mut());
        self.batches.push(Batch { first_timestamp: 0, ms, state: BatchState::Sent });
        Some(number)
    }

    fn answered(
        &mut self,
        tag: u64,
        reply: &Reply<'_>,
        since: Instant,
        now: Instant,
    ) -> Result<bool, Failure> {
        match &reply.body {
            ReplyBody::CreatedTransfers(refusals) => self.executed(tag, reply.timestamp, refusals),
            ReplyBody::Refused(fault) => {
                self.batches[tag as usize].state = BatchState::Refused;
                self.figures.refused += u64::from(self.plan.batch);
                self.figures.requests_refused += 1;
                self.stopped.get_or_insert_with(|| fault.to_string());
            }
            other => {
                return Err(Failure::Failed(format!("expected an answer to transfers, found {other:?}")));
            }
        }
        self.record(since, now);
        Ok(self.stopped.is_none())
    }
}

/// A transfer code's name for people, known or not.
pub fn code_name(code: u32) -> String {
    TransferCode::from_number(code).map_or_else(|| format!("code {code}"), |code| code.name().into())
}
