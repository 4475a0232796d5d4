//! Writing to the store, and waiting for it: so that what lies in its memory stays bounded.
//!
//! The store would let memory grow while its workers are behind, and wait without end for a worker that has failed. So
//! it is told here when to write out what it has in memory, and nothing more is given to it before that has begun to help.

use crate::Error;
use crate::store::Store;
use fjall::{Keyspace, OwnedWriteBatch, UserKey, UserValue};
use std::time::Duration;

/// Bytes that an item takes in memory beside its key and value.
const ITEM_BYTES: u64 = 64;
/// Files of a keyspace that are not merged yet. From 20 on the store would slow down, from 30 on wait without end.
const UNMERGED_MAX: usize = 16;
/// Between two looks at whether the store's workers are done.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// What is written together or not at all.
pub(crate) struct Batch {
    items: OwnedWriteBatch,
    bytes: u64,
}

impl Batch {
    pub(crate) fn insert(&mut self, keyspace: &Keyspace, key: &[u8], value: impl Into<UserValue>) {
        let (key, value) = (UserKey::from(key), value.into());
        self.bytes += (key.len() + value.len()) as u64 + ITEM_BYTES;
        self.items.insert(keyspace, key, value);
    }

    pub(crate) fn remove(&mut self, keyspace: &Keyspace, key: &[u8]) {
        self.bytes += key.len() as u64 + ITEM_BYTES;
        self.items.remove(keyspace, key);
    }
}

/// Writes batches. There is one for a store.
#[derive(Debug)]
pub(crate) struct Writer {
    store: Store,
    /// Bytes in the store's memory that nothing has told it to write out.
    buffered: u64,
    buffered_max: u64,
}

impl Writer {
    pub(crate) fn new(store: Store, buffered_max: u64) -> Self {
        Self { store, buffered: 0, buffered_max }
    }

    pub(crate) fn batch(&self) -> Batch {
        Batch { items: self.store.database.batch(), bytes: 0 }
    }

    /// Writes all of it or, after a crash, maybe nothing.
    pub(crate) fn commit(&mut self, batch: Batch) -> Result<(), Error> {
        batch.items.commit().map_err(|source| self.store.error("write", source))?;
        self.buffered += batch.bytes;
        if self.buffered < self.buffered_max {
            return Ok(());
        }
        while self.is_behind() {
            // Fails if a worker has failed.
            self.store.flush()?;
            std::thread::sleep(LOOK_INTERVAL);
        }
        for keyspace in self.store.keyspaces() {
            keyspace.rotate_memtable().map_err(|source| self.store.error("write", source))?;
        }
        self.buffered = 0;
        Ok(())
    }

    /// Whether the store's workers have not done yet what they were told.
    fn is_behind(&self) -> bool {
        self.store
            .keyspaces()
            .iter()
            .any(|keyspace| keyspace.sealed_memtable_count() > 0 || keyspace.l0_table_count() >= UNMERGED_MAX)
    }
}
