//! What accounts and transfers have in common: a timestamp, and fields that are asked for.

use auriga_wire::record::RECORD_SIZE;
use auriga_wire::{Account, Filter, Transfer};
use bytemuck::Pod;

/// Fields with an index.
pub(crate) const FIELDS: usize = 5;
/// Bytes of each field in a key, in the order of [`Record::fields`].
pub(crate) const FIELD_SIZES: [usize; FIELDS] = [16, 8, 4, 2, 4];

/// The fields with an index, of a record or a filter.
macro_rules! fields {
    ($of:ident) => {
        [
            $of.user_data_128,
            $of.user_data_64.into(),
            $of.user_data_32.into(),
            $of.code.into(),
            $of.ledger.into(),
        ]
    };
}

/// A record that is kept in pages by its timestamp.
pub(crate) trait Record: Pod {
    /// Nanoseconds.
    fn timestamp(&self) -> u64;

    /// user_data_128, user_data_64, user_data_32, code and ledger: the order in which an index is chosen. The client's own
    /// data tell most; there are few codes, and fewer ledgers.
    fn fields(&self) -> [u128; FIELDS];

    /// Whether each wanted field that is not 0 is the record's.
    fn has(&self, wanted: &[u128; FIELDS]) -> bool {
        wanted.iter().zip(self.fields()).all(|(wanted, field)| *wanted == 0 || *wanted == field)
    }
}

impl Record for Transfer {
    fn timestamp(&self) -> u64 {
        self.timestamp
    }

    fn fields(&self) -> [u128; FIELDS] {
        fields!(self)
    }
}

impl Record for Account {
    fn timestamp(&self) -> u64 {
        self.timestamp
    }

    fn fields(&self) -> [u128; FIELDS] {
        fields!(self)
    }
}

/// The fields of a filter, in the order of [`Record::fields`].
pub(crate) fn wanted_fields(filter: &Filter) -> [u128; FIELDS] {
    fields!(filter)
}

/// The records of a page; `None` if its bytes are not whole records.
pub(crate) fn decode_page<T: Record>(page: &[u8]) -> Option<Vec<T>> {
    page.len()
        .is_multiple_of(RECORD_SIZE)
        .then(|| page.chunks_exact(RECORD_SIZE).map(bytemuck::pod_read_unaligned).collect())
}
