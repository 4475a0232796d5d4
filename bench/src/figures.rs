//! What a phase of the load measures.

use crate::drive::Sent;
use crate::generator::Spent;
use hdrhistogram::Histogram;
use std::time::Instant;

/// How many transfers of each kind there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transfers acknowledged as created, of every kind.
    pub created: u64,
    /// Transfers refused, by code or with their request.
    pub refused: u64,
    /// Pending transfers created.
    pub pendings: u64,
    /// Posts created, in full or in part.
    pub posts: u64,
    /// Voids created.
    pub voids: u64,
    /// Linked chains created.
    pub chains: u64,
    /// Accounts created meanwhile.
    pub accounts: u64,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.refused += other.refused;
        self.pendings += other.pendings;
        self.posts += other.posts;
        self.voids += other.voids;
        self.chains += other.chains;
        self.accounts += other.accounts;
    }
}

/// What a phase measured.
#[derive(Debug)]
pub struct Figures {
    /// Transfers.
    pub counts: Counts,
    /// Latency of each request that creates transfers, from the time at which it should have been sent.
    pub latency: Histogram<u64>,
    /// The same from the time at which it was sent.
    pub raw_latency: Histogram<u64>,
    /// Of an open loop: how late the generator itself was with each of them.
    pub lateness: Histogram<u64>,
    /// Requests that were due and were not sent, because all in flight were unanswered.
    pub unsent: u64,
    /// Requests that were sent and are not answered, because something failed.
    pub unanswered: u64,
    /// Requests that the server refused as a whole.
    pub errors: u64,
    /// What the generator's threads spent.
    pub spent: Spent,
    /// When each of these was sent, or should have been, and its latency in nanoseconds; only if that was asked for.
    pub requests: Option<Vec<(Instant, u64)>>,
    /// Latency of each look-up.
    pub lookups: Histogram<u64>,
    /// Latency of each request that creates accounts.
    pub new_accounts: Histogram<u64>,
    /// Time of the first send (or intended send).
    pub first_send: Option<Instant>,
    /// Time of the last acknowledgement.
    pub last_reply: Option<Instant>,
}

impl Figures {
    /// Nothing yet. With a list of all requests, or without.
    pub fn new(lists: bool) -> Self {
        Self {
            counts: Counts::default(),
            latency: latency_histogram(),
            raw_latency: latency_histogram(),
            lateness: latency_histogram(),
            unsent: 0,
            unanswered: 0,
            errors: 0,
            spent: Spent::default(),
            requests: lists.then(Vec::new),
            lookups: latency_histogram(),
            new_accounts: latency_histogram(),
            first_send: None,
            last_reply: None,
        }
    }

    /// A request that creates transfers was answered, which should have been sent at this time.
    pub fn record(&mut self, sent: &Sent, intended: Instant, now: Instant) {
        self.latency.saturating_record(nanoseconds(intended, now));
        self.raw_latency.saturating_record(nanoseconds(sent.actual, now));
        if let Some(lateness) = sent.lateness {
            self.lateness.saturating_record(lateness.as_nanos() as u64);
        }
        if let Some(requests) = &mut self.requests {
            requests.push((intended, nanoseconds(intended, now)));
        }
        let first = self.first_send.get_or_insert(intended);
        *first = intended.min(*first);
        self.last_reply = Some(now);
    }

    /// Adds another worker's, or another phase's.
    pub fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        for (all, part) in [
            (&mut self.latency, &other.latency),
            (&mut self.raw_latency, &other.raw_latency),
            (&mut self.lateness, &other.lateness),
            (&mut self.lookups, &other.lookups),
            (&mut self.new_accounts, &other.new_accounts),
        ] {
            all.add(part).expect("both have the same bounds");
        }
        self.unsent += other.unsent;
        self.unanswered += other.unanswered;
        self.errors += other.errors;
        self.spent.add(&other.spent);
        if let (Some(all), Some(others)) = (&mut self.requests, &other.requests) {
            all.extend(others);
        }
        self.first_send = [self.first_send, other.first_send].into_iter().flatten().min();
        self.last_reply = self.last_reply.max(other.last_reply);
    }

    /// Transfers acknowledged as created a second.
    pub fn rate(&self) -> f64 {
        self.counts.created as f64 / self.seconds().max(1e-9)
    }

    /// Seconds from the first send to the last acknowledgement.
    pub fn seconds(&self) -> f64 {
        match (self.first_send, self.last_reply) {
            (Some(first), Some(last)) => (last - first).as_secs_f64(),
            _ => 0.0,
        }
    }
}

/// Nanoseconds from one time to another.
pub fn nanoseconds(since: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(since).as_nanos() as u64
}

/// 1 microsecond to 1 hour, three digits.
pub fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3).expect("the bounds are good")
}
