//! Open pending transfers: kept in the store, with what has changed since the last commit on top.

use crate::Error;
use crate::store::{DUE, Key, OPEN, Store};
use crate::write::Batch;
use auriga_shards::ledger::rules;
use auriga_wire::Transfer;
use fjall::{Readable, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// When a transfer expires (nanoseconds), and its id.
type Due = (u64, u128);

/// The open pending transfers.
#[derive(Debug)]
pub(crate) struct Pendings {
    /// Opened since the last commit, and still open.
    opened: BTreeMap<u128, Transfer>,
    /// Those of them that expire.
    due: BTreeSet<Due>,
    /// In the store, and ended since the last commit; with the deadline.
    ended: BTreeMap<u128, Option<u64>>,
    /// Every pending transfer with a deadline up to this time was ended.
    expired_through: u64,
    /// The first deadline in the store, or an earlier time; `u64::MAX` for none.
    first_stored: u64,
}

impl Pendings {
    pub(crate) fn open(store: &Store, expired_through: u64) -> Result<Self, Error> {
        let mut pendings = Self {
            opened: BTreeMap::new(),
            due: BTreeSet::new(),
            ended: BTreeMap::new(),
            expired_through,
            first_stored: u64::MAX,
        };
        pendings.find_first_stored(store)?;
        Ok(pendings)
    }

    pub(crate) fn expired_through(&self) -> u64 {
        self.expired_through
    }

    /// A pending transfer was created.
    pub(crate) fn insert(&mut self, transfer: Transfer) {
        self.due.extend(deadline(&transfer).map(|deadline| (deadline, transfer.id)));
        self.opened.insert(transfer.id, transfer);
    }

    /// A pending transfer is ended, and returned as it was created.
    pub(crate) fn end(&mut self, store: &Store, id: u128) -> Result<Transfer, Error> {
        if let Some(transfer) = self.opened.remove(&id) {
            if let Some(deadline) = deadline(&transfer) {
                self.due.remove(&(deadline, id));
            }
            return Ok(transfer);
        }
        if self.ended.contains_key(&id) {
            return Err(store.damaged(format!("pending transfer {id}: found it ended twice, expected once")));
        }
        let bytes = store.must_get(&store.snapshot(), &store.state, open_key(id).bytes())?;
        let transfer: Transfer = bytemuck::try_pod_read_unaligned(&bytes).map_err(|_| {
            store.damaged(format!(
                "pending transfer {id}: found {} bytes, expected {}",
                bytes.len(),
                size_of::<Transfer>()
            ))
        })?;
        let Ok(deadline) = rules::deadline(transfer.timestamp, transfer.timeout) else {
            return Err(
                store.damaged(format!("pending transfer {id}: found {transfer:?}, which can't be one"))
            );
        };
        self.ended.insert(id, deadline);
        Ok(transfer)
    }

    /// Ends those that expire up to this time and returns them, by deadline.
    pub(crate) fn expire(&mut self, store: &Store, through: u64) -> Result<Vec<Transfer>, Error> {
        let mut due: BTreeSet<Due> = self.due.range(..=(through, u128::MAX)).copied().collect();
        if self.first_stored <= through {
            for found in self.stored_due(store, &store.snapshot(), through) {
                let found = found?;
                if !self.ended.contains_key(&found.1) {
                    due.insert(found);
                }
            }
        }
        self.expired_through = self.expired_through.max(through);
        due.into_iter().map(|(_, id)| self.end(store, id)).collect()
    }

    /// Bytes that are collected.
    pub(crate) fn size(&self) -> usize {
        self.opened.len() * 256 + self.ended.len() * 64
    }

    pub(crate) fn write(&mut self, batch: &mut Batch, store: &Store) {
        for (id, transfer) in std::mem::take(&mut self.opened) {
            batch.insert(&store.state, open_key(id).bytes(), bytemuck::bytes_of(&transfer));
        }
        for (deadline, id) in std::mem::take(&mut self.due) {
            batch.insert(&store.state, due_key(deadline, id).bytes(), []);
        }
        for (id, deadline) in std::mem::take(&mut self.ended) {
            batch.remove(&store.state, open_key(id).bytes());
            if let Some(deadline) = deadline {
                batch.remove(&store.state, due_key(deadline, id).bytes());
            }
        }
    }

    /// To be called after each commit.
    pub(crate) fn find_first_stored(&mut self, store: &Store) -> Result<(), Error> {
        let first = self.stored_due(store, &store.snapshot(), u64::MAX).next().transpose()?;
        self.first_stored = first.map_or(u64::MAX, |(deadline, _)| deadline);
        Ok(())
    }

    /// Those in the store that expire up to this time, by deadline. All up to `expired_through` have been removed, so what
    /// the store remembers of them is not read again.
    fn stored_due(
        &self,
        store: &Store,
        snapshot: &Snapshot,
        through: u64,
    ) -> impl Iterator<Item = Result<Due, Error>> {
        let first = due_key(self.expired_through.saturating_add(1).min(through), 0);
        let last = due_key(through, u128::MAX);
        let range = first.bytes().to_vec()..=last.bytes().to_vec();
        snapshot.range(&store.state, range).map(|entry| {
            let key = entry.key().map_err(|source| store.error("read", source))?;
            let bad = || store.damaged(format!("found the deadline {key:02x?}"));
            let (deadline, id) = key[1..].split_first_chunk().ok_or_else(bad)?;
            let id = id.try_into().map_err(|_| bad())?;
            Ok((u64::from_be_bytes(*deadline), u128::from_be_bytes(id)))
        })
    }
}

fn deadline(transfer: &Transfer) -> Option<u64> {
    rules::deadline(transfer.timestamp, transfer.timeout).expect("one that is too late was refused")
}

fn open_key(id: u128) -> Key {
    Key::of(&[&[OPEN], &id.to_be_bytes()])
}

fn due_key(deadline: u64, id: u128) -> Key {
    Key::of(&[&[DUE], &deadline.to_be_bytes(), &id.to_be_bytes()])
}
