//! Lists of references to records by account or field, packed into entries.

use crate::packed::{REFERENCES_MAX, Reference, encode_references};
use crate::record::{FIELD_SIZES, FIELDS, Record};
use crate::store::Key;
use crate::write::Batch;
use fjall::Keyspace;

/// What the lists of a kind are about: the first byte of their keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    number: u8,
    /// Bytes of the value in a key.
    size: usize,
}

impl Kind {
    /// Transfers by debit or credit account.
    pub(crate) const ACCOUNT: Self = Self { number: 0, size: 16 };

    /// Transfers by a field.
    pub(crate) fn transfers_by(field: usize) -> Self {
        Self { number: 1 + field as u8, size: FIELD_SIZES[field] }
    }

    /// Accounts by a field.
    pub(crate) fn accounts_by(field: usize) -> Self {
        Self { number: (1 + FIELDS + field) as u8, size: FIELD_SIZES[field] }
    }

    /// What all keys of a list begin with; a timestamp follows.
    pub(crate) fn list(self, value: u128) -> Key {
        Key::of(&[&[self.number], &value.to_be_bytes()[16 - self.size..]])
    }
}

/// A reference and the list that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Posting {
    pub(crate) value: u128,
    pub(crate) reference: Reference,
}

/// Writes the lists of a kind; the postings come by timestamp, and are sorted by list.
pub(crate) fn write_lists(batch: &mut Batch, index: &Keyspace, kind: Kind, postings: &mut [Posting]) {
    postings.sort_by_key(|posting| posting.value);
    for list in postings.chunk_by(|a, b| a.value == b.value) {
        let key = kind.list(list[0].value);
        for entry in list.chunks(REFERENCES_MAX) {
            let first = entry[0].reference.timestamp;
            let references = entry.iter().map(|posting| posting.reference);
            batch.insert(index, key.and(&first.to_be_bytes()).bytes(), encode_references(first, references));
        }
    }
}

/// A record's place in the list of each of its fields that is not 0.
pub(crate) fn by_field<T: Record>(
    records: impl Iterator<Item = (u64, T)>,
    field: usize,
    postings: &mut Vec<Posting>,
) {
    postings.clear();
    postings.extend(records.filter_map(|(page, record)| {
        let value = record.fields()[field];
        let reference = Reference { timestamp: record.timestamp(), page, credit: false };
        (value != 0).then_some(Posting { value, reference })
    }));
}
