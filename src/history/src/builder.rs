//! The builder: takes epochs, collects what they add, and commits many of them at once.

use crate::batch::Records;
use crate::index::Posting;
use crate::pendings::Pendings;
use crate::recent::Recent;
use crate::store::{PROGRESS, Position, Store, encode_position};
use crate::sums::{Change, Histories};
use crate::write::Writer;
use crate::{BlockOutcome, Epoch, Error, Options, Progress, Reader};
use auriga_shards::ledger::rules;
use auriga_shards::log::block::logged_requests;
use auriga_wire::frame::Command;
use auriga_wire::record::{AccountFlags, RECORD_SIZE, TransferFlags};
use auriga_wire::{Account, Transfer};

/// Builds a history. There is one for a directory, and one thread that drives it.
///
/// After an error it does nothing more: drop it, open the directory again, and give it the epochs from
/// [`Builder::progress`] on.
pub struct Builder {
    store: Store,
    writer: Writer,
    cluster: u64,
    collected_bytes: usize,
    /// The newest epoch that was taken.
    taken: Progress,
    /// The newest epoch that was committed.
    committed: Progress,
    transfers: Records<Transfer>,
    accounts: Records<Account>,
    pendings: Pendings,
    histories: Histories,
    scratch: Vec<Posting>,
    recent: Recent,
    failed: bool,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("store", &self.store)
            .field("taken", &self.taken)
            .field("committed", &self.committed)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Opens the directory, or creates it.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let store = Store::open(options)?;
        let position = store.position(&store.snapshot())?.unwrap_or_default();
        Ok(Self {
            pendings: Pendings::open(&store, position.expired_through)?,
            histories: Histories::open(&store)?,
            writer: Writer::new(store.clone(), options.memtable_bytes),
            store,
            cluster: options.cluster,
            collected_bytes: options.collected_bytes,
            taken: position.progress,
            committed: position.progress,
            transfers: Records::default(),
            accounts: Records::default(),
            scratch: Vec::new(),
            recent: Recent::new(position.progress, options.recent_bytes),
            failed: false,
        })
    }

    /// Answers from what was committed; for any thread.
    pub fn reader(&self) -> Reader {
        Reader::new(self.store.clone(), self.recent.clone())
    }

    #[cfg(test)]
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The newest epoch that was committed.
    pub fn progress(&self) -> Progress {
        self.committed
    }

    /// Every pending transfer with a deadline up to this time has been ended by the epochs that were taken, nanoseconds.
    pub fn expired_through(&self) -> u64 {
        self.pendings.expired_through()
    }

    /// Whether a call has failed: all later ones will.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Takes an epoch; one that the history has is skipped. Commits if enough has been collected.
    pub fn add(&mut self, epoch: &Epoch<'_>) -> Result<(), Error> {
        if epoch.number <= self.taken.epoch {
            return Ok(());
        }
        self.guarded(|builder| {
            builder.collect(epoch)?;
            if builder.collected() < builder.collected_bytes { Ok(()) } else { builder.write() }
        })
    }

    /// Lets readers see all epochs that were taken.
    pub fn commit(&mut self) -> Result<(), Error> {
        self.guarded(Self::write)
    }

    /// Commits, and makes it durable; returns the newest epoch of which everything is.
    pub fn persist(&mut self) -> Result<u64, Error> {
        self.guarded(|builder| {
            builder.write()?;
            builder.store.persist()
        })?;
        Ok(self.committed.epoch)
    }

    /// Runs a step, if none has failed: after half a step what is collected is not that of whole epochs.
    fn guarded(&mut self, step: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        if self.failed {
            return Err(self.store.failed());
        }
        let result = step(self);
        self.failed = result.is_err();
        result
    }

    /// Bytes that wait for the next commit.
    fn collected(&self) -> usize {
        let records = self.transfers.len() + self.accounts.len();
        records * RECORD_SIZE + self.pendings.size() + self.histories.size()
    }

    fn collect(&mut self, epoch: &Epoch<'_>) -> Result<(), Error> {
        let mut last = epoch.time;
        for block in epoch.blocks {
            let start = epoch.time + u64::from(block.base);
            for (unit, command, body) in logged_requests(block.bytes) {
                let records = (unit..).zip(body.chunks_exact(RECORD_SIZE));
                match command {
                    Command::CreateAccounts => self.collect_accounts(block, start, records),
                    _ => self.collect_transfers(block, start, records)?,
                }
                last = start + u64::from(unit) + (body.len() / RECORD_SIZE) as u64 - 1;
            }
        }
        for expired in self.pendings.expire(&self.store, epoch.expire_through)? {
            let change = Change { release: expired.amount, ..Change::default() };
            self.histories.change(&expired, change, None);
        }
        self.taken = Progress { epoch: epoch.number, time: last, checksum: epoch.checksum };
        Ok(())
    }

    fn collect_accounts<'b>(
        &mut self,
        block: &BlockOutcome<'_>,
        start: u64,
        records: impl Iterator<Item = (u16, &'b [u8])>,
    ) {
        for (unit, bytes) in records.filter(|(unit, _)| !block.is_refused(*unit)) {
            let timestamp = start + u64::from(unit);
            let account = Account { timestamp, ..bytemuck::pod_read_unaligned(bytes) };
            if account.flags & AccountFlags::HISTORY != 0 {
                self.histories.create(account.id);
            }
            self.accounts.push(account);
        }
    }

    fn collect_transfers<'b>(
        &mut self,
        block: &BlockOutcome<'_>,
        start: u64,
        records: impl Iterator<Item = (u16, &'b [u8])>,
    ) -> Result<(), Error> {
        for (unit, bytes) in records.filter(|(unit, _)| !block.is_refused(*unit)) {
            let timestamp = start + u64::from(unit);
            let sent = Transfer { timestamp, ..bytemuck::pod_read_unaligned(bytes) };
            let (done, change) = self.execute(&sent, block.amount(unit))?;
            let page = self.transfers.push(done);
            self.histories.change(&done, change, Some(page));
        }
        Ok(())
    }

    /// The transfer as it was executed, and what it did to each of its accounts.
    fn execute(&mut self, sent: &Transfer, moved: Option<u128>) -> Result<(Transfer, Change), Error> {
        if sent.flags & TransferFlags::RESOLVING != 0 {
            let pending = self.pendings.end(&self.store, sent.pending_id)?;
            let amount = rules::ended_amount(sent, pending.amount);
            let is_post = sent.flags & TransferFlags::POST_PENDING_TRANSFER != 0;
            let post = if is_post { amount } else { 0 };
            let change = Change { release: pending.amount, post, ..Change::default() };
            return Ok((rules::ended(sent, &pending, amount), change));
        }
        let amount = moved.unwrap_or(sent.amount);
        let done = Transfer { amount, ..*sent };
        if sent.flags & TransferFlags::PENDING == 0 {
            return Ok((done, Change { post: amount, ..Change::default() }));
        }
        self.pendings.insert(done);
        Ok((done, Change { reserve: amount, ..Change::default() }))
    }

    fn write(&mut self) -> Result<(), Error> {
        if self.committed == self.taken {
            return Ok(());
        }
        let mut batch = self.writer.batch();
        let newest = self.transfers.write(&mut batch, &self.store, &mut self.scratch);
        self.accounts.write(&mut batch, &self.store, &mut self.scratch);
        self.histories.write(&mut batch, &self.store)?;
        self.pendings.write(&mut batch, &self.store);
        let expired_through = self.pendings.expired_through();
        let position = Position { progress: self.taken, expired_through };
        batch.insert(&self.store.state, &[PROGRESS], encode_position(self.cluster, position));
        self.writer.commit(batch)?;
        self.recent.push(self.taken, newest);
        self.committed = self.taken;
        self.pendings.find_first_stored(&self.store)
    }
}
