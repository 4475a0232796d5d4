//! The records that are collected for the next commit.

use crate::index::{Kind, Posting, by_field, write_lists};
use crate::packed::{Reference, put_u64};
use crate::record::{FIELDS, Record};
use crate::store::Store;
use crate::write::Batch;
use auriga_wire::{Account, Transfer};
use fjall::Keyspace;

/// Records of a page: as much as a block of the store.
const PAGE_RECORDS: usize = 32;

/// Records by timestamp.
#[derive(Debug)]
pub(crate) struct Records<T>(Vec<T>);

impl<T: Record> Records<T> {
    /// Adds the newest record and returns where it will be: the timestamp of the first of its page.
    pub(crate) fn push(&mut self, record: T) -> u64 {
        let start = self.0.len() - self.0.len() % PAGE_RECORDS;
        self.0.push(record);
        self.0[start].timestamp()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn write_pages(&self, batch: &mut Batch, pages: &Keyspace) {
        for page in self.0.chunks(PAGE_RECORDS) {
            batch.insert(pages, &page[0].timestamp().to_be_bytes(), bytemuck::cast_slice::<T, u8>(page));
        }
    }

    /// Each record with the first timestamp of its page.
    fn located(&self) -> impl Iterator<Item = (u64, T)> {
        self.0.chunks(PAGE_RECORDS).flat_map(|page| {
            let first = page[0].timestamp();
            page.iter().map(move |record| (first, *record))
        })
    }
}

impl<T> Default for Records<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl Records<Account> {
    pub(crate) fn write(&mut self, batch: &mut Batch, store: &Store, scratch: &mut Vec<Posting>) {
        self.write_pages(batch, &store.accounts);
        for field in 0..FIELDS {
            by_field(self.located(), field, scratch);
            write_lists(batch, &store.index, Kind::accounts_by(field), scratch);
        }
        self.0.clear();
    }
}

impl Records<Transfer> {
    /// Returns the transfers.
    pub(crate) fn write(
        &mut self,
        batch: &mut Batch,
        store: &Store,
        scratch: &mut Vec<Posting>,
    ) -> Vec<Transfer> {
        self.write_pages(batch, &store.transfers);
        self.write_ids(batch, &store.ids);
        for field in 0..FIELDS {
            by_field(self.located(), field, scratch);
            write_lists(batch, &store.index, Kind::transfers_by(field), scratch);
        }
        scratch.clear();
        scratch.extend(self.located().flat_map(|(page, transfer)| {
            let sides = [(transfer.debit_account_id, false), (transfer.credit_account_id, true)];
            sides.map(|(value, credit)| {
                let reference = Reference { timestamp: transfer.timestamp, page, credit };
                Posting { value, reference }
            })
        }));
        write_lists(batch, &store.index, Kind::ACCOUNT, scratch);
        std::mem::take(&mut self.0)
    }

    fn write_ids(&self, batch: &mut Batch, ids: &Keyspace) {
        for (page, transfer) in self.located() {
            let mut place = transfer.timestamp.to_be_bytes().to_vec();
            put_u64(&mut place, transfer.timestamp - page);
            batch.insert(ids, &transfer.id.to_be_bytes(), place);
        }
    }
}
