//! Reading what is packed: the items of a list by time, and single records.

use crate::Error;
use crate::packed::{Balance, Reference};
use crate::record::{Record, decode_page};
use crate::store::{Key, Store};
use fjall::{Keyspace, Readable, Snapshot};

/// Something that has a time.
pub(crate) trait Timed {
    /// Nanoseconds.
    fn timestamp(&self) -> u64;
}

impl Timed for Reference {
    fn timestamp(&self) -> u64 {
        self.timestamp
    }
}

impl Timed for Balance {
    fn timestamp(&self) -> u64 {
        self.transfer.timestamp
    }
}

impl<T: Record> Timed for T {
    fn timestamp(&self) -> u64 {
        Record::timestamp(self)
    }
}

/// Which items of a list are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// The first time, nanoseconds.
    pub(crate) first: u64,
    /// The last time, nanoseconds.
    pub(crate) last: u64,
    /// Newest first.
    pub(crate) reversed: bool,
}

/// The items of a list, in the order of the span. A list's keys are `list` and the timestamp of the entry's first item;
/// `decode` gets this timestamp and the entry.
pub(crate) fn items<'a, T: Timed + 'a>(
    store: &'a Store,
    snapshot: &'a Snapshot,
    keyspace: &'a Keyspace,
    list: Key,
    span: Span,
    decode: fn(u64, &[u8]) -> Option<Vec<T>>,
) -> Result<impl Iterator<Item = Result<T, Error>> + 'a, Error> {
    let key = |time: u64| list.and(&time.to_be_bytes()).bytes().to_vec();
    let before = snapshot.range(keyspace, key(0)..=key(span.first)).next_back();
    let start = match before {
        Some(entry) => entry.key().map_err(|source| store.error("read", source))?.to_vec(),
        None => key(span.first),
    };
    let mut entries = snapshot.range(keyspace, start..=key(span.last));
    let entries =
        std::iter::from_fn(move || if span.reversed { entries.next_back() } else { entries.next() });
    Ok(entries.flat_map(move |entry| {
        let entry = entry.into_inner().map_err(|source| store.error("read", source));
        let items = entry.and_then(|(key, value)| {
            key.last_chunk().and_then(|first| decode(u64::from_be_bytes(*first), &value)).ok_or_else(|| {
                store.damaged(format!("found at {key:02x?} of {} what can't be read", keyspace.name()))
            })
        });
        wanted(items, span)
    }))
}

/// The items of an entry that are in the span, in its order; an error as it is.
fn wanted<T: Timed>(items: Result<Vec<T>, Error>, span: Span) -> impl Iterator<Item = Result<T, Error>> {
    let (mut items, error) = match items {
        Ok(items) => (items, None),
        Err(error) => (Vec::new(), Some(Err(error))),
    };
    items.retain(|item| (span.first..=span.last).contains(&item.timestamp()));
    if span.reversed {
        items.reverse();
    }
    items.into_iter().map(Ok).chain(error)
}

/// Reads single records. The page that was read last is kept: neighbours in a list are often neighbours in time.
pub(crate) struct Pages<'a, T> {
    store: &'a Store,
    snapshot: &'a Snapshot,
    keyspace: &'a Keyspace,
    page: u64,
    records: Vec<T>,
}

impl<'a, T: Record> Pages<'a, T> {
    pub(crate) fn new(store: &'a Store, snapshot: &'a Snapshot, keyspace: &'a Keyspace) -> Self {
        Self { store, snapshot, keyspace, page: 0, records: Vec::new() }
    }

    pub(crate) fn record(&mut self, timestamp: u64, page: u64) -> Result<T, Error> {
        if self.page != page || self.records.is_empty() {
            let bytes = self.store.must_get(self.snapshot, self.keyspace, &page.to_be_bytes())?;
            self.records = decode_page(&bytes).ok_or_else(|| self.damaged(page, "found half a record"))?;
            self.page = page;
        }
        let at = self.records.binary_search_by_key(&timestamp, Record::timestamp);
        at.map(|at| self.records[at]).map_err(|_| self.damaged(timestamp, "found no record"))
    }

    fn damaged(&self, timestamp: u64, what: &str) -> Error {
        self.store.damaged(format!("timestamp {timestamp} in {}: {what}", self.keyspace.name()))
    }
}
