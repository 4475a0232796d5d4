//! What a backup consists of: the files of a data directory, each as far as bytes in it matter, and a list of them with checksums.

use super::Progress;
use super::cuts::folder;
use crate::directory::{BACKUP_FILE as LIST, FORMAT, cannot};
use crate::failure::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// Bytes that are copied at once.
const COPY: usize = 1 << 20;

/// What a backup is.
#[derive(Debug, Serialize, Deserialize)]
pub struct List {
    /// The version of the data directory's layout.
    pub format: u32,
    /// As in the data directory.
    pub cluster: u64,
    /// `time` or `any`.
    pub ids: String,
    /// It shows the state after this epoch.
    pub epoch: u64,
    /// The first epoch that its log has.
    pub log_from: u64,
    /// Accounts.
    pub accounts: u64,
    /// Hash of the whole state, 32 hexadecimal digits.
    pub digest: String,
    /// Its files.
    pub files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its name below the directory.
    pub name: String,
    /// Bytes of it in the backup, where it ends with the last that matters.
    pub used: u64,
    /// Bytes of it in a data directory.
    pub size: u64,
    /// xxh3-128 of it in the backup, 32 hexadecimal digits.
    pub checksum: String,
}

impl List {
    /// Reads the list of a whole backup.
    pub fn read(backup: &Path) -> Outcome<Self> {
        let path = backup.join(LIST);
        let text = fs::read_to_string(&path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => Failure::environment(format!(
                "{} is no whole backup: {LIST} is not there. Name the directory that `auriga backup` has finished",
                backup.display()
            )),
            _ => cannot("read", &path, &e),
        })?;
        let list: Self = toml::from_str(&text).map_err(|e| {
            Failure::damaged(format!("{}: {}. Use another backup", path.display(), e.message()))
        })?;
        if list.format != FORMAT {
            return Err(Failure::environment(format!(
                "{}: found format {}, this binary reads format {FORMAT}: use the version that wrote it",
                path.display(),
                list.format
            )));
        }
        let is_inside = |entry: &Entry| {
            Path::new(&entry.name).components().all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        match list.files.iter().find(|entry| !is_inside(entry) || entry.used > entry.size) {
            None => Ok(list),
            Some(entry) => Err(Failure::damaged(format!(
                "{}: {:?} with {} of {} bytes is no file of a backup. Use another one",
                path.display(),
                entry.name,
                entry.used,
                entry.size
            ))),
        }
    }

    /// Writes the list, durably.
    pub fn write(&self, backup: &Path) -> Outcome<()> {
        let (path, making) = (backup.join(LIST), backup.join("backup.making"));
        let text = toml::to_string(self).map_err(|e| Failure::failed(format!("can't write {LIST}: {e}")))?;
        let written = File::create(&making).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&making, &path)
        });
        written.map_err(|e| cannot("write", &path, &e))
    }

    /// Bytes that matter, of all files.
    pub fn used(&self) -> u64 {
        self.files.iter().map(|entry| entry.used).sum()
    }
}

/// Copies the first bytes of a file, durably, and writes zeros behind them as far as the copy's `size`. Returns the checksum of
/// what was copied.
pub fn copy(from: &Path, to: &Path, used: u64, size: u64, said: &mut Said<'_>) -> Outcome<u128> {
    fs::create_dir_all(folder(to)).map_err(|e| cannot("create", folder(to), &e))?;
    let mut source = File::open(from).map_err(|e| cannot("open", from, &e))?;
    let mut target = File::create_new(to).map_err(|e| cannot("create", to, &e))?;
    let mut bytes = vec![0; COPY];
    let (mut hash, mut at) = (Xxh3::new(), 0);
    while at < used {
        let count = (used - at).min(COPY as u64) as usize;
        source.read_exact(&mut bytes[..count]).map_err(|e| cannot("read", from, &e))?;
        hash.update(&bytes[..count]);
        target.write_all(&bytes[..count]).map_err(|e| cannot("write", to, &e))?;
        at += count as u64;
        said.add(count as u64);
    }
    bytes.fill(0);
    while at < size {
        let count = (size - at).min(COPY as u64) as usize;
        target.write_all(&bytes[..count]).map_err(|e| cannot("write", to, &e))?;
        at += count as u64;
    }
    target.sync_all().map_err(|e| cannot("write", to, &e))?;
    Ok(hash.digest128())
}

/// How much has been copied.
pub struct Said<'a> {
    pub progress: &'a mut Progress,
    pub done: u64,
    pub of: u64,
}

impl Said<'_> {
    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        self.progress.say(self.done, self.of);
    }
}
