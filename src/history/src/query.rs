//! Questions about the past, answered from what was committed.

use crate::index::Kind;
use crate::packed::{Reference, decode_balances, decode_references, take_u64};
use crate::read::{Pages, Span, Timed, items};
use crate::recent::Recent;
use crate::record::{Record, decode_page, wanted_fields};
use crate::store::{Key, Store};
use crate::sums::balances_list;
use crate::{Error, Progress};
use auriga_wire::{Account, AccountBalance, Filter, FilterFlags, Transfer};
use fjall::{Keyspace, Snapshot};

/// Records that one question looks at; then it answers with what it found and where to go on. Twice the longest answer,
/// and a few ten milliseconds where each lies elsewhere.
pub const RECORDS_EXAMINED_MAX: usize = 16_384;

/// An answer, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// In the order that was asked for.
    pub records: Vec<T>,
    /// The timestamp where the next page begins ([`Filter::next`]), nanoseconds; 0 if nothing more matches.
    pub cursor: u64,
}

/// Answers questions; to be cloned and used on any thread. Each question sees one moment. Filters have been checked
/// ([`Filter::check`]); the flag `acknowledged` is the caller's to wait for.
#[derive(Clone, Debug)]
pub struct Reader {
    store: Store,
    recent: Recent,
}

/// A transfer that may be wanted.
enum Candidate {
    /// It is in memory; whether it is the account's credit.
    Recent(Transfer, bool),
    /// It is in the store.
    Stored(Reference),
}

impl Timed for Candidate {
    fn timestamp(&self) -> u64 {
        match self {
            Self::Recent(transfer, _) => transfer.timestamp,
            Self::Stored(reference) => reference.timestamp,
        }
    }
}

impl Reader {
    pub(crate) fn new(store: Store, recent: Recent) -> Self {
        Self { store, recent }
    }

    /// How far the history reaches.
    pub fn progress(&self) -> Progress {
        self.recent.progress()
    }

    /// An account's transfers as they were executed.
    pub fn account_transfers(&self, filter: &Filter) -> Result<Page<Transfer>, Error> {
        let (fields, span) = (wanted_fields(filter), span(filter));
        // Taken before the snapshot, so that this has everything that is older.
        let segments = if span.reversed { self.recent.segments() } else { Vec::new() };
        let (store, snapshot) = (&self.store, self.store.snapshot());
        let recent = segments
            .iter()
            .flat_map(|segment| segment.newest_of(filter.account_id))
            .filter(|(transfer, _)| (span.first..=span.last).contains(&transfer.timestamp))
            .map(|(transfer, credit)| Ok(Candidate::Recent(transfer, credit)));
        let before = segments.last().map_or(u64::MAX, |oldest| oldest.start() - 1);
        let stored = || {
            let list = Kind::ACCOUNT.list(filter.account_id);
            let span = Span { last: span.last.min(before), ..span };
            // The store is not asked if memory has enough.
            let references = items(store, &snapshot, &store.index, list, span, decode_references);
            let (references, error) = match references {
                Ok(references) => (Some(references), None),
                Err(error) => (None, Some(Err(error))),
            };
            let references = references.into_iter().flatten();
            references.map(|reference| reference.map(Candidate::Stored)).chain(error)
        };
        let is_in_store = span.first <= span.last.min(before);
        let stored = is_in_store.then_some(stored).into_iter().flat_map(|stored| stored());
        let mut pages = Pages::<Transfer>::new(store, &snapshot, &store.transfers);
        page(filter, recent.chain(stored), |candidate| {
            let credit = match &candidate {
                Candidate::Recent(_, credit) => *credit,
                Candidate::Stored(reference) => reference.credit,
            };
            if !is_side(filter, credit) {
                return Ok(None);
            }
            let transfer = match candidate {
                Candidate::Recent(transfer, _) => transfer,
                Candidate::Stored(Reference { timestamp, page, .. }) => pages.record(timestamp, page)?,
            };
            Ok(transfer.has(&fields).then_some(transfer))
        })
    }

    /// An account's sums after each of its transfers; nothing of an account without the flag `history`. Fields of the
    /// filter are those of the transfer.
    pub fn account_balances(&self, filter: &Filter) -> Result<Page<AccountBalance>, Error> {
        let (store, snapshot) = (&self.store, self.store.snapshot());
        let (fields, span) = (wanted_fields(filter), span(filter));
        let mut pages = Pages::<Transfer>::new(store, &snapshot, &store.transfers);
        let list = balances_list(filter.account_id);
        let balances = items(store, &snapshot, &store.balances, list, span, decode_balances)?;
        page(filter, balances, |balance| {
            let Reference { timestamp, page, credit } = balance.transfer;
            let wanted =
                is_side(filter, credit) && (fields == [0; _] || pages.record(timestamp, page)?.has(&fields));
            let [debits_pending, debits_posted, credits_pending, credits_posted] = balance.sums;
            Ok(wanted.then_some(AccountBalance {
                debits_pending,
                debits_posted,
                credits_pending,
                credits_posted,
                timestamp,
                reserved: [0; 7],
            }))
        })
    }

    /// Transfers as they were executed.
    pub fn query_transfers(&self, filter: &Filter) -> Result<Page<Transfer>, Error> {
        self.query(filter, &self.store.transfers, Kind::transfers_by)
    }

    /// Accounts as they were created, with sums of 0.
    pub fn query_accounts(&self, filter: &Filter) -> Result<Page<Account>, Error> {
        self.query(filter, &self.store.accounts, Kind::accounts_by)
    }

    /// The transfer with this id as it was executed, if it was created.
    pub fn transfer(&self, id: u128) -> Result<Option<Transfer>, Error> {
        let (store, snapshot) = (&self.store, self.store.snapshot());
        let Some(place) = store.get(&snapshot, &store.ids, &id.to_be_bytes())? else { return Ok(None) };
        let (timestamp, page) = decode_place(&place)
            .ok_or_else(|| store.damaged(format!("transfer {id}: found the place {place:02x?}")))?;
        Pages::new(store, &snapshot, &store.transfers).record(timestamp, page).map(Some)
    }

    /// Records by their fields: of those with an index, the first that is wanted is taken, the others are compared.
    fn query<T: Record>(
        &self,
        filter: &Filter,
        keyspace: &Keyspace,
        by: fn(usize) -> Kind,
    ) -> Result<Page<T>, Error> {
        let (store, snapshot) = (&self.store, self.store.snapshot());
        let (fields, span) = (wanted_fields(filter), span(filter));
        let Some(field) = fields.iter().position(|field| *field != 0) else {
            return scan(store, &snapshot, filter, keyspace, span);
        };
        let list = by(field).list(fields[field]);
        let references = items(store, &snapshot, &store.index, list, span, decode_references)?;
        let mut pages = Pages::new(store, &snapshot, keyspace);
        page(filter, references, |reference| {
            let record: T = pages.record(reference.timestamp, reference.page)?;
            Ok(record.has(&fields).then_some(record))
        })
    }
}

/// All records by time.
fn scan<T: Record>(
    store: &Store,
    snapshot: &Snapshot,
    filter: &Filter,
    keyspace: &Keyspace,
    span: Span,
) -> Result<Page<T>, Error> {
    let records = items(store, snapshot, keyspace, Key::of(&[]), span, |_, bytes| decode_page(bytes))?;
    page(filter, records, |record| Ok(Some(record)))
}

/// Looks at one candidate after the other until the answer is full, or the work done.
fn page<C: Timed, T>(
    filter: &Filter,
    candidates: impl Iterator<Item = Result<C, Error>>,
    mut accept: impl FnMut(C) -> Result<Option<T>, Error>,
) -> Result<Page<T>, Error> {
    let mut records = Vec::new();
    for (examined, candidate) in candidates.enumerate() {
        let candidate = candidate?;
        if records.len() >= filter.limit as usize || examined == RECORDS_EXAMINED_MAX {
            return Ok(Page { records, cursor: candidate.timestamp() });
        }
        records.extend(accept(candidate)?);
    }
    Ok(Page { records, cursor: 0 })
}

fn span(filter: &Filter) -> Span {
    let (first, last) = filter.times();
    Span { first, last, reversed: filter.is(FilterFlags::REVERSED) }
}

/// Whether the account's side of a transfer is wanted.
fn is_side(filter: &Filter, credit: bool) -> bool {
    filter.is(if credit { FilterFlags::CREDITS } else { FilterFlags::DEBITS })
}

/// Timestamp and page of a transfer, as `ids` has them.
fn decode_place(place: &[u8]) -> Option<(u64, u64)> {
    let (timestamp, mut back) = place.split_first_chunk()?;
    let timestamp = u64::from_be_bytes(*timestamp);
    Some((timestamp, timestamp.checked_sub(take_u64(&mut back)?)?))
}
