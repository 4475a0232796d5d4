//! The store: its keyspaces, what their keys look like, and how far they reach.

use crate::Error;
use auriga_wire::record::RECORD_SIZE;
use fjall::compaction::Leveled;
use fjall::config::CompressionPolicy;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot, UserValue,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the layout of keys and values.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of what is at [`PROGRESS`].
const POSITION_SIZE: usize = 52;
/// Bytes of the longest key: a kind, an id and a timestamp.
const KEY_SIZE_MAX: usize = 1 + 16 + 8;
/// The first bytes of keys of `state`.
pub(crate) const PROGRESS: u8 = b'P';
/// Open pending transfers by id.
pub(crate) const OPEN: u8 = b'O';
/// Open pending transfers by deadline.
pub(crate) const DUE: u8 = b'D';
/// The newest sums of accounts with a history.
pub(crate) const SUMS: u8 = b'S';
/// Bytes of the store's own journal before its oldest part goes; the least that the store takes.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
/// Threads of the store: one writes files, the other merges them.
const WORKERS: usize = 2;
/// Bytes of a file, but for the smallest. New keys of an account or field are merged into four files' worth of older ones
/// first, and what is ordered by time meets one older file, so the smaller the less is written again and again.
const FILE_BYTES: u64 = 8 << 20;
/// Files that the store keeps open.
const FILES_MAX: usize = 256;

/// Where the history is, whose it is, and the memory that it takes.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory; it is created if there is none.
    pub directory: PathBuf,
    /// The cluster whose history it is.
    pub cluster: u64,
    /// Bytes of the cache of what was read.
    pub cache_bytes: u64,
    /// Bytes that were committed and wait in memory to be written to files; as much again is being written. If that takes
    /// longer, a commit waits.
    pub memtable_bytes: u64,
    /// Bytes that the builder collects before it commits by itself. It collects whole epochs, so one more than this;
    /// writing them takes some five times as much for a moment.
    pub collected_bytes: usize,
    /// Bytes of the newest transfers that are kept in memory for readers.
    pub recent_bytes: usize,
}

impl Options {
    /// A history that has some 100 MiB in use at most, mostly half of it, and `recent_bytes`; an allocator may keep more.
    pub fn new(directory: impl Into<PathBuf>, cluster: u64) -> Self {
        Self {
            directory: directory.into(),
            cluster,
            cache_bytes: 16 << 20,
            memtable_bytes: 16 << 20,
            collected_bytes: 4 << 20,
            recent_bytes: 128 << 20,
        }
    }
}

/// How far the history reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The newest epoch of which everything is there; 0 for none.
    pub epoch: u64,
    /// Timestamp of the last unit of that epoch, nanoseconds.
    pub time: u64,
    /// Checksum of that epoch's cut: whether this is the history of a log.
    pub checksum: u128,
}

/// What the store remembers of the newest committed epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) progress: Progress,
    /// Every pending transfer with a deadline up to this time has been ended, nanoseconds.
    pub(crate) expired_through: u64,
}

/// A key in the making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    bytes: [u8; KEY_SIZE_MAX],
    size: usize,
}

impl Key {
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        parts.iter().fold(Self { bytes: [0; KEY_SIZE_MAX], size: 0 }, |key, part| key.and(part))
    }

    pub(crate) fn and(mut self, part: &[u8]) -> Self {
        self.bytes[self.size..self.size + part.len()].copy_from_slice(part);
        self.size += part.len();
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

/// An open directory.
#[derive(Clone)]
pub(crate) struct Store {
    directory: Arc<Path>,
    pub(crate) database: Database,
    /// Pages of transfers by the timestamp of their first.
    pub(crate) transfers: Keyspace,
    /// Pages of accounts, likewise.
    pub(crate) accounts: Keyspace,
    /// Packed references by account or field, and timestamp.
    pub(crate) index: Keyspace,
    /// Packed balances by account and timestamp.
    pub(crate) balances: Keyspace,
    /// Where a transfer is, by its id.
    pub(crate) ids: Keyspace,
    /// What the builder needs: see the first bytes above.
    pub(crate) state: Keyspace,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or creates the directory.
    pub(crate) fn open(options: &Options) -> Result<Self, Error> {
        let error = |source| Error::Store { directory: options.directory.clone(), action: "open", source };
        let database = Database::builder(&options.directory)
            .cache_size(options.cache_bytes)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .max_cached_files(Some(FILES_MAX))
            .journal_compression(CompressionType::None)
            .worker_threads(WORKERS)
            .open()
            .map_err(error)?;
        let keyspace = |name| database.keyspace(name, keyspace_options).map_err(error);
        let state = keyspace("state")?;
        check_owner(options, &state)?;
        let store = Self {
            directory: options.directory.as_path().into(),
            transfers: keyspace("transfers")?,
            accounts: keyspace("accounts")?,
            index: keyspace("index")?,
            balances: keyspace("balances")?,
            ids: keyspace("ids")?,
            state,
            database,
        };
        if store.position(&store.snapshot())?.is_none() {
            let position = encode_position(options.cluster, Position::default());
            store.state.insert([PROGRESS], position).map_err(error)?;
        }
        Ok(store)
    }

    pub(crate) fn keyspaces(&self) -> [&Keyspace; 6] {
        [&self.transfers, &self.accounts, &self.index, &self.balances, &self.ids, &self.state]
    }

    /// One moment of everything that was committed.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.database.snapshot()
    }

    /// Hands everything that was committed to the operating system.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.database.persist(PersistMode::Buffer).map_err(|source| self.error("write", source))
    }

    /// Makes everything that was committed durable.
    pub(crate) fn persist(&self) -> Result<(), Error> {
        self.database.persist(PersistMode::SyncAll).map_err(|source| self.error("make durable", source))
    }

    pub(crate) fn get(
        &self,
        snapshot: &Snapshot,
        keyspace: &Keyspace,
        key: &[u8],
    ) -> Result<Option<UserValue>, Error> {
        snapshot.get(keyspace, key).map_err(|source| self.error("read", source))
    }

    /// The value that a key must have.
    pub(crate) fn must_get(
        &self,
        snapshot: &Snapshot,
        keyspace: &Keyspace,
        key: &[u8],
    ) -> Result<UserValue, Error> {
        self.get(snapshot, keyspace, key)?
            .ok_or_else(|| self.damaged(format!("found nothing at {key:02x?} of {}", keyspace.name())))
    }

    /// How far the store reaches; `None` if it is new.
    pub(crate) fn position(&self, snapshot: &Snapshot) -> Result<Option<Position>, Error> {
        let Some(bytes) = self.get(snapshot, &self.state, &[PROGRESS])? else { return Ok(None) };
        let [epoch, time, expired_through] =
            [12, 20, 28].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes")));
        let checksum = u128::from_le_bytes(bytes[36..52].try_into().expect("16 bytes"));
        Ok(Some(Position { progress: Progress { epoch, time, checksum }, expired_through }))
    }

    pub(crate) fn error(&self, action: &'static str, source: fjall::Error) -> Error {
        Error::Store { directory: self.directory.to_path_buf(), action, source }
    }

    pub(crate) fn damaged(&self, what: impl Into<String>) -> Error {
        Error::Damaged { directory: self.directory.to_path_buf(), what: what.into() }
    }

    pub(crate) fn failed(&self) -> Error {
        Error::Failed { directory: self.directory.to_path_buf() }
    }
}

/// What is at [`PROGRESS`].
pub(crate) fn encode_position(cluster: u64, position: Position) -> Vec<u8> {
    let Position { progress: Progress { epoch, time, checksum }, expired_through } = position;
    let numbers = [cluster, epoch, time, expired_through].map(u64::to_le_bytes);
    [&FORMAT_VERSION.to_le_bytes()[..], numbers.as_flattened(), &checksum.to_le_bytes()].concat()
}

fn keyspace_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        // The writer decides when.
        .max_memtable_size(u64::MAX)
        .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(FILE_BYTES)))
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
}

/// Whether the directory, if it is not new, is of this version and cluster.
pub(crate) fn check_owner(options: &Options, state: &Keyspace) -> Result<(), Error> {
    let directory = options.directory.clone();
    let found = match state.get([PROGRESS]) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(()),
        Err(source) => return Err(Error::Store { directory, action: "read", source }),
    };
    let version = found.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    match version {
        Some(FORMAT_VERSION) if found.len() == POSITION_SIZE => {}
        Some(found) if found != FORMAT_VERSION => {
            return Err(Error::OtherVersion { directory, found, expected: FORMAT_VERSION });
        }
        _ => {
            let what = format!("found progress of {} bytes, expected {POSITION_SIZE}", found.len());
            return Err(Error::Damaged { directory, what });
        }
    }
    let cluster = u64::from_le_bytes(found[4..12].try_into().expect("8 bytes"));
    if cluster != options.cluster {
        return Err(Error::OtherCluster { directory, found: cluster, expected: options.cluster });
    }
    Ok(())
}

const _: () = assert!(RECORD_SIZE == 128, "the format of pages");
