//! The pending transfers that one shard holds: what it takes to post, void or expire them.

use super::ids::IdNumber;
use super::index::Index;
use super::pages::Pages;
use crate::place::{Placement, Position};
use std::collections::BTreeMap;

/// Deadlines are kept by spans of 2^20 nanoseconds, about a millisecond.
const SPAN: u32 = 20;
/// No entry.
const NONE: u32 = u32::MAX;

/// A pending transfer that is neither posted nor voided nor expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The transfer's id.
    pub id: u128,
    /// The account in whose debits the amount is reserved.
    pub debit_account_id: u128,
    /// The account in whose credits the amount is reserved.
    pub credit_account_id: u128,
    /// What is reserved.
    pub amount: u128,
    /// When it expires, nanoseconds of epoch time.
    pub deadline: Option<u64>,
    /// Where the transfer lies in the log.
    pub position: Position,
    /// Its id among those that are remembered; it may be forgotten.
    pub number: IdNumber,
    /// [`super::ids::check_of`] what was logged there.
    pub check: u32,
    /// The transfer's ledger.
    pub ledger: u32,
    /// The transfer's code.
    pub code: u16,
    /// The transfer's flags.
    pub flags: u16,
}

/// A pending transfer, or a free entry: 128 bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Its id is 0 in a free entry.
    pending: Pending,
    /// The neighbours among those whose deadlines are in the same span.
    previous: u32,
    next: u32,
    /// The number of what claims it in the running epoch; valid only if that names the entry back.
    mark: u32,
}

const _: () = assert!(size_of::<Entry>() <= 128);

/// The pending transfers whose deadlines are in one span.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: u32,
    count: u32,
}

/// The pending transfers of one shard.
#[derive(Debug, Default)]
pub struct Pendings {
    index: Index,
    entries: Pages<Entry>,
    free: Vec<u32>,
    /// By the number of the span: those that expire.
    due: BTreeMap<u64, Span>,
    sheet: Vec<Entry>,
}

impl Pendings {
    /// Number of pending transfers.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks for the line of the index that [`Pendings::find`] will read.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    /// The number of a pending transfer.
    #[inline]
    pub fn find(&self, hash: u64, id: u128) -> Option<u32> {
        self.index.find(hash, |number| self.entries[number].pending.id == id)
    }

    /// The pending transfer with this number.
    #[inline]
    pub fn get(&self, number: u32) -> &Pending {
        &self.entries[number].pending
    }

    /// What was noted last of a pending transfer.
    pub fn mark(&self, number: u32) -> u32 {
        self.entries[number].mark
    }

    /// Notes something of a pending transfer.
    pub fn set_mark(&mut self, number: u32, mark: u32) {
        self.entries[number].mark = mark;
    }

    /// Adds a pending transfer.
    pub fn insert(&mut self, hash: u64, pending: Pending) -> u32 {
        let entry = Entry { pending, previous: NONE, next: NONE, mark: NONE };
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number] = entry;
                number
            }
            None => self.entries.push(entry),
        };
        self.index.insert(hash, number);
        if let Some(deadline) = pending.deadline {
            self.link(number, deadline >> SPAN);
        }
        number
    }

    /// Removes a pending transfer: it was posted or voided, or has expired.
    pub fn remove(&mut self, hash: u64, number: u32) -> Pending {
        let pending = self.entries[number].pending;
        assert_ne!(pending.id, 0, "a pending transfer is removed once");
        self.index.remove(hash, number);
        if let Some(deadline) = pending.deadline {
            self.unlink(number, deadline >> SPAN);
        }
        self.entries[number].pending.id = 0;
        self.free.push(number);
        pending
    }

    fn link(&mut self, number: u32, span: u64) {
        let span = self.due.entry(span).or_insert(Span { first: NONE, count: 0 });
        let next = std::mem::replace(&mut span.first, number);
        span.count += 1;
        self.entries[number].next = next;
        if next != NONE {
            self.entries[next].previous = number;
        }
    }

    fn unlink(&mut self, number: u32, at: u64) {
        let Entry { previous, next, .. } = self.entries[number];
        if next != NONE {
            self.entries[next].previous = previous;
        }
        if previous != NONE {
            self.entries[previous].next = next;
        }
        let span = self.due.get_mut(&at).expect("what has a deadline is in its span");
        span.count -= 1;
        if span.first == number {
            span.first = next;
        }
        if span.count == 0 {
            self.due.remove(&at);
        }
    }

    /// Those of one span.
    fn of_span(&self, span: Span) -> impl Iterator<Item = u32> {
        let entry = move |number: u32| (number != NONE).then_some(number);
        std::iter::successors(entry(span.first), move |number| entry(self.entries[*number].next))
    }

    fn numbers_due(&self, through: u64) -> impl Iterator<Item = u32> {
        let spans = self.due.range(..=through >> SPAN).flat_map(|(_, span)| self.of_span(*span));
        spans.filter(move |number| self.get(*number).deadline.is_some_and(|deadline| deadline <= through))
    }

    /// Those that expire up to this moment.
    pub fn due(&self, through: u64) -> impl Iterator<Item = &Pending> {
        self.numbers_due(through).map(|number| self.get(number))
    }

    /// A moment by which the first ones expire, and a time through which no more than `count` are due; `u64::MAX` for never.
    /// Those of one span expire together, should they be more.
    pub fn due_bounds(&self, count: usize) -> (u64, u64) {
        let end = |span: &u64| ((span + 1) << SPAN) - 1;
        let Some((first, _)) = self.due.first_key_value() else { return (u64::MAX, u64::MAX) };
        let mut sum = 0;
        let full = self.due.iter().find(|(_, span)| {
            sum += span.count as usize;
            sum > count
        });
        let through = full.map_or(u64::MAX, |(span, _)| (*span << SPAN) - 1);
        (end(first), through.max(end(first)))
    }

    /// Removes those that expire up to this moment.
    pub fn expire(&mut self, placement: &Placement, through: u64, mut expired: impl FnMut(Pending)) {
        let numbers: Vec<u32> = self.numbers_due(through).collect();
        for number in numbers {
            expired(self.remove(placement.hash(self.get(number).id), number));
        }
    }

    /// Freezes what there is, until [`Pendings::take`] has taken it all.
    pub fn freeze(&mut self) {
        self.entries.freeze();
    }

    /// Nothing is frozen any more.
    pub fn melt(&mut self) {
        self.entries.melt();
    }

    /// Bytes that are in use because pending transfers are frozen.
    pub fn kept_bytes(&self) -> usize {
        self.entries.kept_bytes()
    }

    /// Takes some of what was frozen, as it was then. `false` if all is taken.
    pub fn take(&mut self, mut take: impl FnMut(&Pending)) -> bool {
        let is_frozen = self.entries.is_frozen();
        self.entries.take_sheet(&mut self.sheet);
        self.sheet.iter().map(|entry| &entry.pending).filter(|pending| pending.id != 0).for_each(&mut take);
        is_frozen
    }

    /// Every pending transfer.
    pub fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.entries.iter().map(|entry| &entry.pending).filter(|pending| pending.id != 0)
    }
}
