//! What must follow from the replies: one worker's batches, what became of each, and the sums of the accounts.
//!
//! Also the first half of the verification: what a reply may not say, given the replies before it.

use crate::differences::Differences;
use crate::draw::{Draw, NOBODY};
use crate::figures::Counts;
use crate::kept::Kept;
use crate::workload::{Event, Kind, Plan};
use auriga_wire::{EventResult, Transfer, TransferCode};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::ops::Range;
use std::slice::Iter;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedEvent {
    /// Its index in the batch.
    pub index: u32,
    /// The code's number.
    pub code: u32,
}

/// What acknowledged transfers change in an account's sums. Signed: what a worker's posts take out of the pending sums may
/// have been reserved in another phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Of pending debits.
    pub debits_pending: i64,
    /// Of posted debits.
    pub debits_posted: i64,
    /// Of pending credits.
    pub credits_pending: i64,
    /// Of posted credits.
    pub credits_posted: i64,
}

impl Sums {
    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        self.debits_pending += other.debits_pending;
        self.debits_posted += other.debits_posted;
        self.credits_pending += other.credits_pending;
        self.credits_posted += other.credits_posted;
    }
}

/// What one worker has sent, and what must follow from the answers.
#[derive(Debug)]
pub struct Model {
    /// How transfers are made.
    pub plan: Plan,
    /// The worker's number, in its ids.
    pub worker: u8,
    /// The batches that were sent, as far as they are remembered.
    pub kept: Kept,
    /// Batches that were executed.
    pub executed: u64,
    /// Refused events by code.
    pub codes: BTreeMap<u32, u64>,
    /// The accounts' sums, by index.
    pub sums: Vec<Sums>,
    /// Batches after which accounts were asked for that are not acknowledged yet.
    creating: BTreeSet<u64>,
    /// How many accounts were asked for, those included.
    pub created_accounts: u32,
    /// Those of them that were refused, by index.
    pub refused_accounts: BTreeSet<u32>,
    /// So many batches are in the sums, if they are of plain transfers.
    summed: u64,
    /// Replies that contradict others, or the rules.
    pub contradictions: Differences,
}

impl Model {
    /// Nothing was sent, and all of it will be remembered.
    pub fn new(plan: Plan, worker: u8) -> Self {
        Self::bounded(plan, worker, usize::MAX)
    }

    /// Nothing was sent; what is remembered of what will be takes at most so many bytes, beside the accounts' sums and what is under way.
    pub fn bounded(plan: Plan, worker: u8, bytes_max: usize) -> Self {
        Self {
            plan,
            worker,
            kept: Kept::new(bytes_max, plan.lag),
            executed: 0,
            codes: BTreeMap::new(),
            sums: vec![Sums::default(); plan.accounts as usize],
            creating: BTreeSet::new(),
            created_accounts: 0,
            refused_accounts: BTreeSet::new(),
            summed: 0,
            contradictions: Differences::default(),
        }
    }

    /// How many transfers a batch has.
    pub fn size(&self, number: u64) -> u32 {
        self.plan.size(self.worker, number)
    }

    /// How many the next batch has.
    pub fn next_size(&self) -> u32 {
        self.size(self.kept.sent())
    }

    /// Whether the next batch may be sent: what it resolves was answered, and the accounts that it draws from are there.
    pub fn may_send(&self) -> bool {
        let next = self.kept.sent();
        let are_there = self.creating.first().is_none_or(|unanswered| unanswered + self.plan.lag >= next);
        are_there && self.plan.resolves(next).is_none_or(|earlier| self.is_answered(earlier))
    }

    /// The accounts that are asked for after a batch; none, if there are none.
    pub fn create_accounts(&mut self, batch: u64) -> Range<u32> {
        let indexes = self.plan.created_after(batch);
        if !indexes.is_empty() {
            self.creating.insert(batch);
            self.created_accounts = indexes.end - self.plan.accounts;
        }
        indexes
    }

    /// They were created, but for what was refused; `None`: all of them were. Returns how many there are now that were not before.
    pub fn accounts_created(&mut self, batch: u64, results: Option<&[EventResult]>) -> u64 {
        let indexes = self.plan.created_after(batch);
        self.creating.remove(&batch);
        if self.sums.len() < indexes.end as usize {
            self.sums.resize(indexes.end as usize, Sums::default());
        }
        let count = indexes.len() as u64;
        let before = self.refused_accounts.len() as u64;
        match results {
            None => self.refused_accounts.extend(indexes),
            Some(results) => {
                let refused = results.iter().filter(|result| result.is_refused());
                self.refused_accounts.extend(refused.map(|refusal| indexes.start + refusal.index));
            }
        }
        count - (self.refused_accounts.len() as u64 - before)
    }

    /// Whether a batch was answered. What is not remembered was.
    fn is_answered(&self, number: u64) -> bool {
        self.kept.get(number).is_none_or(|batch| batch.state != BatchState::Sent)
    }

    /// Makes the next batch; returns its number.
    pub fn send(&mut self, ms: u32, out: &mut [Transfer]) -> u64 {
        let number = self.kept.sent();
        self.kept.push(Batch { first_timestamp: 0, ms, state: BatchState::Sent });
        for (place, transfer) in out.iter_mut().zip(self.transfers(number)) {
            *place = transfer;
        }
        number
    }

    /// The transfers of a batch that is remembered.
    pub fn transfers(&self, number: u64) -> impl Iterator<Item = Transfer> + use<> {
        self.plan.transfers(self.worker, number, &|batch| self.ms(batch, number))
    }

    /// When a batch was made, in milliseconds from the run's start: one that is remembered, or what such a one resolves.
    fn ms(&self, number: u64, of: u64) -> u32 {
        self.kept.ms(number, of).expect("it is remembered")
    }

    /// Id of the first transfer of a batch that is remembered; the others count up from it.
    pub fn first_id(&self, number: u64) -> u128 {
        self.plan.first_id(self.worker, number, self.ms(number, number))
    }

    /// Unix milliseconds of the ids of a batch that is remembered, or of what it resolves, whichever are older.
    pub fn oldest_ms(&self, number: u64) -> u64 {
        let resolved = self.plan.resolves(number).unwrap_or(number);
        self.plan.started_ms + u64::from(self.ms(resolved, number).min(self.ms(number, number)))
    }

    /// A batch was refused as a whole.
    pub fn turned_away(&mut self, number: u64) -> Counts {
        self.kept.recent_mut(number).state = BatchState::Refused;
        self.forget();
        Counts { refused: u64::from(self.size(number)), ..Counts::default() }
    }

    /// A batch was executed, but for what was refused. Of plain transfers no more is looked at before [`Model::sum_up`]: the load
    /// generator shares the processors with what it measures.
    pub fn executed(&mut self, number: u64, first_timestamp: u64, results: &[EventResult]) -> Counts {
        let batch = self.kept.recent_mut(number);
        assert_eq!(batch.state, BatchState::Sent, "a batch is answered once");
        (batch.state, batch.first_timestamp) = (BatchState::Executed, first_timestamp);
        self.executed += 1;
        let refusals = results.iter().filter(|result| result.is_refused());
        let refused: Box<[RefusedEvent]> =
            refusals.map(|refusal| RefusedEvent { index: refusal.index, code: refusal.code }).collect();
        for event in &refused {
            *self.codes.entry(event.code).or_default() += 1;
        }
        self.check_chains(number, &refused);
        if let Some(earlier) = self.plan.resolves(number) {
            self.check_resolutions(number, &refused, earlier);
        }
        let counts = if self.plan.is_plain() {
            let count = refused.len() as u64;
            Counts { created: u64::from(self.size(number)) - count, refused: count, ..Counts::default() }
        } else {
            self.sum(number, &refused)
        };
        self.kept.refuse(number, refused);
        self.forget();
        counts
    }

    /// Forgets the oldest batches, as far as there is no room for them and no answer needs them any more.
    fn forget(&mut self) {
        while let Some(number) = self.kept.surplus() {
            let resolver = number + self.plan.lag;
            let is_needed = self.plan.resolves(resolver).is_some()
                && (resolver >= self.kept.sent() || !self.is_answered(resolver));
            if is_needed || !self.is_answered(number) {
                return;
            }
            self.sum_up_to(number + 1);
            self.kept.drop_oldest(self.plan.resolves(number));
        }
    }

    /// Adds to the sums what they lack. Nothing is sent afterwards.
    pub fn sum_up(&mut self) {
        self.sum_up_to(self.kept.sent());
    }

    fn sum_up_to(&mut self, end: u64) {
        if !self.plan.is_plain() {
            return;
        }
        for number in self.summed..end {
            if self.kept.get(number).is_some_and(|batch| batch.state == BatchState::Executed) {
                let refused = self.kept.refused_of(number).to_vec();
                self.sum(number, &refused);
            }
        }
        self.summed = self.summed.max(end);
    }

    /// The sums change by what a batch has created.
    fn sum(&mut self, number: u64, refused: &[RefusedEvent]) -> Counts {
        let mut counts = Counts { refused: refused.len() as u64, ..Counts::default() };
        let mut next_refused = refused.iter().map(|event| event.index).peekable();
        let mut chain_goes_on = false;
        for (index, event) in (0..).zip(self.plan.events(self.worker, number)) {
            let chain_begins = event.linked && !chain_goes_on;
            chain_goes_on = event.linked;
            if next_refused.next_if_eq(&index).is_some() {
                continue;
            }
            if event.draw.credit == NOBODY {
                let id = self.first_id(number) + u128::from(index);
                self.contradictions.note(|| {
                    format!("transfer {id:032x}: it was created, and its credit account is not there")
                });
                continue;
            }
            counts.chains += u64::from(chain_begins);
            self.created(&event, &mut counts);
        }
        counts
    }

    #[inline]
    fn created(&mut self, event: &Event, counts: &mut Counts) {
        let Event { draw: Draw { debit, credit, amount }, kind, .. } = *event;
        let amount = amount as i64;
        let (pending, posted) = match kind {
            Kind::Plain => (0, amount),
            Kind::Pending => (amount, 0),
            Kind::Post { reserved } => (-(reserved as i64), amount),
            Kind::Void => (-amount, 0),
        };
        counts.created += 1;
        match kind {
            Kind::Plain => {}
            Kind::Pending => counts.pendings += 1,
            Kind::Post { .. } => counts.posts += 1,
            Kind::Void => counts.voids += 1,
        }
        let debit = &mut self.sums[debit as usize];
        debit.debits_pending += pending;
        debit.debits_posted += posted;
        let credit = &mut self.sums[credit as usize];
        credit.credits_pending += pending;
        credit.credits_posted += posted;
    }

    /// A chain is refused as a whole: one event for a reason of its own, the others because of that one.
    fn check_chains(&mut self, number: u64, refused: &[RefusedEvent]) {
        if refused.is_empty() || self.plan.is_plain() {
            return;
        }
        let (plan, size) = (self.plan, self.size(number));
        let chain = |event: &RefusedEvent| plan.chain(size, event.index);
        for events in refused.chunk_by(|one, next| chain(one) == chain(next)) {
            let Some(chain) = chain(&events[0]) else { continue };
            let linked_event_failed = TransferCode::LinkedEventFailed.number();
            let reasons = events.iter().filter(|event| event.code != linked_event_failed).count();
            if events.len() != chain.len() || reasons != 1 {
                let first_id = self.first_id(number) + u128::from(chain.start);
                self.contradictions.note(|| {
                    format!(
                        "chain from transfer {first_id:032x}: {} of its {} transfers were refused, {reasons} of them \
                         for a reason of their own; expected all of them, and one",
                        events.len(),
                        chain.len()
                    )
                });
            }
        }
    }

    /// A pending transfer that was refused can't be resolved, and one that was created was there to be resolved.
    fn check_resolutions(&mut self, number: u64, refused: &[RefusedEvent], earlier: u64) {
        let first_id = self.first_id(number);
        let Self { plan, worker, kept, contradictions, .. } = self;
        let never_pending = kept.get(earlier).is_some_and(|batch| batch.state == BatchState::Refused);
        let refused_pending = kept.refused_of(earlier);
        if !never_pending && refused_pending.is_empty() && refused.is_empty() {
            return;
        }
        let code_of = |events: &[RefusedEvent], index: u32| {
            let place = events.binary_search_by_key(&index, |event| event.index);
            place.ok().map(|place| events[place].code)
        };
        for (index, event) in (0..).zip(plan.events(*worker, number)) {
            if !matches!(event.kind, Kind::Post { .. } | Kind::Void) {
                continue;
            }
            let was_pending = !never_pending && code_of(refused_pending, index).is_none();
            let wrong = match (was_pending, code_of(refused, index)) {
                (false, None) => "was acknowledged, and what it resolves had been refused".into(),
                (true, Some(code)) if blames_the_pending_transfer(code) => {
                    format!("was refused ({}), and what it resolves had been acknowledged", code_name(code))
                }
                _ => continue,
            };
            let id = first_id + u128::from(index);
            contradictions.note(|| format!("transfer {id:032x} {wrong}"));
        }
    }

    /// Compares a batch with what a look-up found, of which it takes what belongs to the batch. Returns how many
    /// transfers had been acknowledged and were right, and how many had been refused and were not found.
    pub fn compare(
        &self,
        number: u64,
        found: &mut Peekable<Iter<'_, Transfer>>,
        differences: &mut Differences,
    ) -> (u64, u64) {
        let batch = self.kept.get(number).expect("it is remembered");
        let mut refused = self.kept.refused_of(number).iter().map(|event| event.index).peekable();
        let (mut right, mut absent) = (0, 0);
        for (index, sent) in (0..).zip(self.transfers(number)) {
            let id = sent.id;
            let there = found.next_if(|transfer| transfer.id == id);
            let created = batch.state == BatchState::Executed && refused.next_if_eq(&index).is_none();
            let expected = Transfer { timestamp: batch.first_timestamp + u64::from(index), ..sent };
            let wrong = match (created, there) {
                (true, Some(transfer)) if *transfer == expected => {
                    right += 1;
                    continue;
                }
                (false, None) => {
                    absent += 1;
                    continue;
                }
                (true, Some(transfer)) => format!("found {transfer:?}, expected {expected:?}"),
                (true, None) => "was acknowledged and is not found".into(),
                (false, Some(_)) => "was refused and is found all the same".into(),
            };
            differences.note(|| format!("transfer {id:032x} {wrong}"));
        }
        (right, absent)
    }
}

/// Whether the reason for a refusal is that the pending transfer isn't as the resolution says.
fn blames_the_pending_transfer(code: u32) -> bool {
    let (first, last) = (TransferCode::PendingTransferNotFound, TransferCode::PendingTransferExpired);
    (first.number()..=last.number()).contains(&code)
}

/// A transfer code's name for people, known or not.
pub fn code_name(code: u32) -> String {
    TransferCode::from_number(code).map_or_else(|| format!("code {code}"), |code| code.name().into())
}

#[cfg(test)]
mod tests;
