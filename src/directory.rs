//! The data directory: formatting it, opening it for one process alone, and what files lie in it.
//!
//! `auriga.toml` says what it is, `lock` is held while a process uses it, `cuts/` and `streams/` hold the log, `checkpoints/` two
//! checkpoints, `spare/` segments to be used again. `keep` is locked while a backup needs the log as it is.

use crate::failure::{Failure, Outcome};
use crate::owner::hand_over;
use auriga_shards::checkpoint::manifest::Manifest;
use auriga_shards::checkpoint::{File as CheckpointFile, SLOTS};
use auriga_shards::limits::{CUT_SEGMENT_SLOTS, SECTOR_SIZE};
use auriga_shards::log::segment::cut_place;
use auriga_shards::log::{File as LogFile, IdMode, Identity};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The version of the directory's layout.
pub const FORMAT: u32 = 1;
/// The highest cluster number: what an integer of a TOML file can be.
pub const CLUSTER_MAX: u64 = i64::MAX as u64;
const IDENTITY_FILE: &str = "auriga.toml";
const LOCK_FILE: &str = "lock";
const KEEP_FILE: &str = "keep";
/// The list of a backup's files. It is written last: what has none is no backup.
pub const BACKUP_FILE: &str = "backup.toml";
const LOG_FOLDERS: [&str; 2] = ["cuts", "streams"];
const SPARE_FOLDER: &str = "spare";
/// Of a stream's newest files, any of so many may be the one that was written last: the others are made ahead of use.
const FILES_WRITTEN: u32 = 4;

/// What `auriga.toml` says.
#[derive(Serialize, Deserialize)]
struct IdentityFile {
    format: u32,
    cluster: u64,
    ids: String,
}

/// A data directory that this process holds.
#[derive(Debug)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// What all its files belong to.
    pub identity: Identity,
    /// Where segments go that the log doesn't need any more.
    archive: Option<PathBuf>,
    /// It is a backup: its files end where nothing more in them matters.
    is_backup: bool,
    _lock: Option<File>,
}

/// Makes a directory that holds an empty ledger.
pub fn format(path: &Path, identity: &Identity) -> Outcome<()> {
    make(path, check_direct_io)?;
    write_identity(path, identity)?;
    hand_over(path)
}

/// Makes the folders of a directory that is not there, or empty. A new one goes if the check fails.
pub fn make(path: &Path, check: impl FnOnce(&Path) -> Outcome<()>) -> Outcome<()> {
    let shown = path.display();
    let is_new = !path.exists();
    create_durably(path)?;
    let mut entries = fs::read_dir(path).map_err(|e| cannot("read", path, &e))?;
    if let Some(Ok(entry)) = entries.next() {
        return Err(Failure::failed(format!(
            "{shown} is not empty (it holds {:?}): a new directory is needed. Name another one, or remove what is there yourself",
            entry.file_name()
        )));
    }
    check(path).inspect_err(|_| {
        if is_new {
            let _ = fs::remove_dir(path);
        }
    })?;
    for folder in LOG_FOLDERS.into_iter().chain([SPARE_FOLDER]) {
        let folder = path.join(folder);
        fs::create_dir(&folder).map_err(|e| cannot("create", &folder, &e))?;
        sync_directory(&folder)?;
    }
    Ok(())
}

/// Creates a directory and those that it is in, and makes their names durable.
fn create_durably(path: &Path) -> Outcome<()> {
    let path = std::path::absolute(path).map_err(|e| cannot("find", path, &e))?;
    let new: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(&path).map_err(|e| cannot("create", &path, &e))?;
    new.into_iter().filter_map(Path::parent).try_for_each(sync_directory)
}

/// Writes what makes a directory a data directory, durably.
pub fn write_identity(path: &Path, identity: &Identity) -> Outcome<()> {
    let content =
        IdentityFile { format: FORMAT, cluster: identity.cluster, ids: identity.id_mode.name().into() };
    let text = toml::to_string(&content).expect("three plain values are TOML");
    let file_path = path.join(IDENTITY_FILE);
    let mut file = File::create(&file_path).map_err(|e| cannot("create", &file_path, &e))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|e| cannot("write", &file_path, &e))?;
    sync_directory(path)
}

/// Fails unless there is so much room where a directory lies.
pub fn check_free(path: &Path, needed: u64) -> Outcome<()> {
    let free = free_bytes(path).map_err(|e| cannot("look at", path, &e))?;
    if free >= needed {
        return Ok(());
    }
    Err(Failure::environment(format!(
        "the disk of {} has {free} bytes left, {needed} are needed: free space, or name a directory elsewhere",
        path.display()
    )))
}

impl Directory {
    /// Opens a formatted directory and keeps other processes out of it.
    pub fn open(path: &Path) -> Outcome<Self> {
        let identity = read_identity(path)?;
        if path.join(BACKUP_FILE).exists() {
            return Err(Failure::environment(format!(
                "{} is a backup: make a data directory from it (auriga restore), and start on that",
                path.display()
            )));
        }
        let lock = lock(path)?;
        check_direct_io(path)?;
        Ok(Self { _lock: Some(lock), ..Self::unnamed(path, identity) })
    }

    /// With an archive: segments are moved there, and read from there.
    pub fn with_archive(self, archive: Option<PathBuf>) -> Outcome<Self> {
        for folder in archive.iter().flat_map(|archive| LOG_FOLDERS.map(|folder| archive.join(folder))) {
            fs::create_dir_all(&folder).map_err(|e| cannot("create", &folder, &e))?;
            // It may be new, and so may be the one that it is in.
            folder.ancestors().skip(1).take(2).try_for_each(sync_directory)?;
        }
        Ok(Self { archive, ..self })
    }

    /// Looks at a directory without changing or locking it.
    pub fn look(path: &Path) -> Outcome<Self> {
        let is_backup = path.join(BACKUP_FILE).exists();
        Ok(Self { is_backup, ..Self::unnamed(path, read_identity(path)?) })
    }

    /// Looks at a backup that is being made.
    pub fn backup(path: &Path, identity: Identity) -> Self {
        Self { is_backup: true, ..Self::unnamed(path, identity) }
    }

    /// Looks at a directory that doesn't say yet what it is.
    pub fn unnamed(path: &Path, identity: Identity) -> Self {
        Self { path: path.into(), identity, archive: None, is_backup: false, _lock: None }
    }

    /// With an archive that is only read.
    pub fn with_readable_archive(self, archive: Option<PathBuf>) -> Outcome<Self> {
        match archive.iter().find(|archive| !archive.is_dir()) {
            Some(archive) => {
                Err(Failure::environment(format!("{} is no directory: name the archive", archive.display())))
            }
            None => Ok(Self { archive, ..self }),
        }
    }

    /// Fails while a server uses the directory, and keeps servers out of it as long as what comes back is open. Writes nothing.
    pub fn lock_as_reader(&self) -> Outcome<Option<File>> {
        let path = self.path.join(LOCK_FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            // No server was ever started on it.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(cannot("open", &path, &e)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Err(is_in_use(&path, file)),
            Err(fs::TryLockError::Error(e)) => Err(cannot("lock", &path, &e)),
        }
    }

    /// The path of a file of the log, in the archive if it was moved there.
    pub fn file(&self, file: LogFile) -> PathBuf {
        let path = self.path.join(file.to_string());
        match self.archived(file) {
            Some(archived) if !path.exists() && archived.exists() => archived,
            _ => path,
        }
    }

    /// Where a file goes when it is archived.
    pub fn archived(&self, file: LogFile) -> Option<PathBuf> {
        self.archive.as_ref().map(|archive| archive.join(file.to_string()))
    }

    /// Segments of streams that may be used again.
    pub fn spares(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path.join(SPARE_FOLDER)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Where another one goes.
    pub fn new_spare(&self) -> Outcome<PathBuf> {
        let folder = self.path.join(SPARE_FOLDER);
        fs::create_dir_all(&folder).map_err(|e| cannot("create", &folder, &e))?;
        let free = (0..).map(|number| folder.join(format!("{number:08}"))).find(|path| !path.exists());
        Ok(free.expect("numbers don't end"))
    }

    /// Keeps backups from beginning while files of the log or a checkpoint are removed; `None` if one is being made.
    pub fn lock_files(&self) -> Outcome<Option<File>> {
        let (file, path) = self.keep()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(cannot("lock", &path, &e)),
        }
    }

    /// Keeps every file of the log and of checkpoints as long as what comes back is open.
    pub fn keep_files(&self) -> Outcome<File> {
        let (file, path) = self.keep()?;
        file.lock().map_err(|e| cannot("lock", &path, &e))?;
        Ok(file)
    }

    fn keep(&self) -> Outcome<(File, PathBuf)> {
        let path = self.path.join(KEEP_FILE);
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let opened = opened.map_err(|e| cannot("open", &path, &e))?;
        hand_over(&path)?;
        Ok((opened, path))
    }

    /// The checkpoints that the slots hold. One that can't be read is not there, and said; one of a newer version is refused.
    pub fn manifests(&self) -> Outcome<[Option<Manifest>; SLOTS]> {
        let mut manifests = [const { None }; SLOTS];
        for (slot, manifest) in (0..).zip(&mut manifests) {
            let path = self.path.join(CheckpointFile::Manifest { slot }.to_string());
            let unused = |why: &dyn Display| {
                tracing::warn!("{}: {why}. The checkpoint is not used", path.display());
            };
            match fs::read(&path) {
                Ok(bytes) => {
                    refuse_newer(&path, &bytes)?;
                    let decoded = Manifest::decode(&self.identity, &bytes);
                    *manifest = decoded.map_err(|damage| unused(&damage)).ok();
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => unused(&e),
            }
        }
        Ok(manifests)
    }

    /// Bytes that the files of a slot have, of the smaller one: the next checkpoint is written into them.
    pub fn slot_bytes(&self) -> u64 {
        let slots = (0..SLOTS).map(|slot| {
            let slot = self.path.join(CheckpointFile::Manifest { slot: slot as u8 }.to_string());
            let files = fs::read_dir(slot.parent().unwrap_or(&self.path)).into_iter().flatten().flatten();
            files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
        });
        slots.min().unwrap_or(0)
    }

    /// Every file of the log that is not archived, in order, each checked to belong here and none missing in between.
    pub fn log_files(&self) -> Outcome<Vec<LogFile>> {
        let files = log_files_in(&self.path)?;
        for file in &files {
            self.check_file(*file)?;
        }
        self.check_cuts(&files)?;
        self.check_beginning(&files)?;
        Ok(files)
    }

    /// Every file of the log and of its archive, in order.
    pub fn unchecked_log_files(&self) -> Outcome<Vec<LogFile>> {
        let mut files = log_files_in(&self.path)?;
        if let Some(archive) = &self.archive {
            files.extend(log_files_in(archive)?);
            files.sort_unstable();
            files.dedup();
        }
        Ok(files)
    }

    /// Whether a file has its size, and damage where its header is.
    pub fn has_damaged_header(&self, file: LogFile) -> bool {
        let mut sector = [0; SECTOR_SIZE];
        let read = File::open(self.file(file)).and_then(|opened| {
            opened.read_exact_at(&mut sector, 0)?;
            opened.metadata()
        });
        read.is_ok_and(|found| found.len() == file.size()) && !LogFile::is_header(&sector)
    }

    /// Files that were being made when a process ended.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let slots = (0..SLOTS).map(|slot| format!("checkpoints/{slot}"));
        let folders = LOG_FOLDERS.map(String::from).into_iter().chain(slots);
        let entries =
            folders.flat_map(|folder| fs::read_dir(self.path.join(folder)).into_iter().flatten().flatten());
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "making")).collect()
    }

    /// Makes durable what the newest of these files of the cut log and of each stream hold.
    ///
    /// 1. A process is killed while it flushes an epoch. Cut and blocks have reached the drive's cache, where every read sees
    ///    them; nobody was answered.
    /// 2. The next start would replay the epoch, and write its opening cut, which says that all before it was durable.
    /// 3. The power goes before that cut's flush is done: the cut may be on the medium, and a block not. The log would look
    ///    damaged.
    ///
    /// So it is with the names of files that were made just before.
    pub fn make_durable(&self, files: &[LogFile]) -> Outcome<()> {
        LOG_FOLDERS.iter().try_for_each(|folder| sync_directory(&self.path.join(folder)))?;
        let number = |file: &LogFile| match *file {
            LogFile::Cuts { segment } => (None, segment),
            LogFile::Stream { stream, segment } => (Some(stream), segment),
        };
        for of_one in files.chunk_by(|a, b| number(a).0 == number(b).0) {
            let newest = of_one.last().map_or(0, |file| number(file).1);
            for file in of_one.iter().filter(|file| number(file).1 + FILES_WRITTEN > newest) {
                let path = self.file(*file);
                let synced = File::open(&path).and_then(|opened| opened.sync_data());
                synced.map_err(|e| cannot("make durable what is in", &path, &e))?;
            }
        }
        Ok(())
    }

    /// Checks that the cut log has its beginning, unless it was removed behind a checkpoint.
    pub fn check_beginning(&self, files: &[LogFile]) -> Outcome<()> {
        let first = LogFile::Cuts { segment: 0 };
        let has_checkpoint = (0..SLOTS)
            .any(|slot| self.path.join(CheckpointFile::Manifest { slot: slot as u8 }.to_string()).exists());
        if files.is_empty() || self.file(first).exists() || has_checkpoint {
            return Ok(());
        }
        Err(Failure::damaged(format!(
            "{}: missing, although later segments are there, and there is no checkpoint that they continue. Restore it from a \
             copy of this directory",
            self.file(first).display()
        )))
    }

    /// The first epoch that the log, with its archive, has.
    pub fn log_from(&self) -> Outcome<u64> {
        let files = self.unchecked_log_files()?;
        let mut cuts: Vec<u32> = files
            .iter()
            .filter_map(|file| if let LogFile::Cuts { segment } = file { Some(*segment) } else { None })
            .collect();
        cuts.sort_unstable();
        // From the newest segment back, as long as none is missing.
        let pairs = cuts.windows(2).rev();
        let first = pairs.take_while(|pair| pair[0] + 1 >= pair[1]).last().map(|pair| pair[0]);
        let first = first.or(cuts.last().copied()).unwrap_or(0);
        Ok(u64::from(first) * CUT_SEGMENT_SLOTS + 1)
    }

    /// The newest epoch whose slot was written to, in a log that begins with `first`. Nothing is checked.
    pub fn log_end(&self, first: u64) -> Outcome<u64> {
        let mut opened: Option<(LogFile, File)> = None;
        let mut is_written = |epoch: u64| -> Outcome<bool> {
            let (name, offset) = cut_place(epoch);
            let path = self.file(name);
            if opened.as_ref().is_none_or(|(opened, _)| *opened != name) {
                opened = match File::open(&path) {
                    Ok(file) => Some((name, file)),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                    Err(e) => return Err(cannot("open", &path, &e)),
                };
            }
            let mut beginning = [0; 64];
            let file = opened.as_ref().map(|(_, file)| file).expect("opened above");
            file.read_exact_at(&mut beginning, offset).map_err(|e| cannot("read", &path, &e))?;
            Ok(beginning != [0; 64])
        };
        // Slots are written in order. `end` is the last one known to be written, `bound` the first one known not to be.
        let (mut end, mut bound) = (first - 1, first);
        while is_written(bound)? {
            end = bound;
            bound += CUT_SEGMENT_SLOTS;
        }
        while end + 1 < bound {
            let middle = end + (bound - end) / 2;
            if is_written(middle)? { end = middle } else { bound = middle }
        }
        Ok(end)
    }

    /// The first segment of a file's sequence that is there, if the file isn't and lies before that.
    pub fn begins_with(&self, file: LogFile) -> Option<LogFile> {
        if self.file(file).exists() {
            return None;
        }
        let files = log_files_in(&self.path).ok()?;
        files.into_iter().find(|other| other.first() == file.first() && *other > file)
    }

    /// Whether the log, with its archive, has its beginning.
    pub fn is_whole(&self) -> Outcome<bool> {
        let files = log_files_in(&self.path)?;
        Ok(files.into_iter().all(|file| self.file(file.first()).exists()))
    }

    /// Checks that no segment of the cut log is missing between others.
    pub fn check_cuts(&self, files: &[LogFile]) -> Outcome<()> {
        let mut next_cuts = None;
        for file in files {
            if let LogFile::Cuts { segment } = file {
                let expected = next_cuts.unwrap_or(*segment);
                if *segment != expected {
                    let missing = LogFile::Cuts { segment: expected };
                    let message = format!(
                        "{}: missing, although later segments are there",
                        self.file(missing).display()
                    );
                    return Err(Failure::damaged(message + ". Restore it from a copy of this directory"));
                }
                next_cuts = Some(segment + 1);
            }
        }
        // Streams get files only when the cut log holds an opening cut.
        if next_cuts.is_none() && !files.is_empty() {
            let missing = self.file(LogFile::Cuts { segment: 0 });
            return Err(Failure::damaged(format!(
                "{}: missing, although streams are there. Restore it from a copy of this directory",
                missing.display()
            )));
        }
        Ok(())
    }

    pub fn check_file(&self, file: LogFile) -> Outcome<()> {
        let path = self.file(file);
        let mut sector = [0; SECTOR_SIZE];
        let mut opened = File::open(&path).map_err(|e| cannot("open", &path, &e))?;
        let size = opened.metadata().map_err(|e| cannot("look at", &path, &e))?.len();
        let is_backup = self.is_backup && size <= file.size() && size.is_multiple_of(SECTOR_SIZE as u64);
        if size != file.size() && !is_backup {
            let (expected, shown) = (file.size(), path.display());
            let message = format!("{shown}: found {size} bytes, expected {expected}. Restore it from a copy");
            return Err(Failure::damaged(message));
        }
        opened.read_exact(&mut sector).map_err(|e| cannot("read", &path, &e))?;
        if let Some(newer) = LogFile::newer_version(&sector) {
            return Err(Failure::environment(format!("{}: {newer}", path.display())));
        }
        file.check_header(&self.identity, &sector)
            .map_err(|damage| Failure::damaged(format!("{}: {damage}", path.display())))
    }
}

/// The files of the log below a directory, in order.
/// Fails if a newer version wrote the manifest of a checkpoint.
pub fn refuse_newer(path: &Path, manifest: &[u8]) -> Outcome<()> {
    match Manifest::newer(manifest) {
        Some(newer) => Err(Failure::environment(format!("{}: {newer}", path.display()))),
        None => Ok(()),
    }
}

fn log_files_in(path: &Path) -> Outcome<Vec<LogFile>> {
    let mut files = Vec::new();
    for folder in LOG_FOLDERS {
        let folder = path.join(folder);
        for entry in fs::read_dir(&folder).map_err(|e| cannot("read", &folder, &e))? {
            let entry = entry.map_err(|e| cannot("read", &folder, &e))?;
            files.extend(entry.file_name().to_str().and_then(|name| parse_name(&folder, name)));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The file of the log that has exactly this name.
pub fn parse_name(folder: &Path, name: &str) -> Option<LogFile> {
    let stem = name.strip_suffix(".log")?;
    let file = if folder.ends_with("cuts") {
        LogFile::Cuts { segment: stem.parse().ok()? }
    } else {
        let (stream, segment) = stem.split_once('-')?;
        LogFile::Stream { stream: stream.parse().ok()?, segment: segment.parse().ok()? }
    };
    folder.join(name).ends_with(file.to_string()).then_some(file)
}

fn read_identity(path: &Path) -> Outcome<Identity> {
    let file = path.join(IDENTITY_FILE);
    let shown = file.display();
    let text = fs::read_to_string(&file).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Failure::environment(format!(
            "{} is not a formatted data directory ({shown} is not there): run `auriga format --data {}` first",
            path.display(),
            path.display()
        )),
        _ => cannot("read", &file, &e),
    })?;
    parse_identity(&file, &text)
}

/// What an identity file says.
pub fn parse_identity(file: &Path, text: &str) -> Outcome<Identity> {
    let shown = file.display();
    let found: IdentityFile = toml::from_str(text)
        .map_err(|e| Failure::damaged(format!("{shown}: {}: restore it from a copy", e.message())))?;
    if found.format != FORMAT {
        return Err(Failure::environment(format!(
            "{shown}: found format {}, this binary reads format {FORMAT}: start the version that wrote it",
            found.format
        )));
    }
    let id_mode = IdMode::from_name(&found.ids).ok_or_else(|| {
        Failure::damaged(format!("{shown}: ids = {:?}, expected \"time\" or \"any\"", found.ids))
    })?;
    Ok(Identity { cluster: found.cluster, id_mode })
}

fn lock(path: &Path) -> Outcome<File> {
    let file_path = path.join(LOCK_FILE);
    let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&file_path);
    let mut file = opened.map_err(|e| cannot("open", &file_path, &e))?;
    hand_over(&file_path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(is_in_use(&file_path, file)),
        Err(fs::TryLockError::Error(e)) => return Err(cannot("lock", &file_path, &e)),
    }
    let written =
        file.set_len(0).and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
    written.map_err(|e| cannot("write", &file_path, &e))?;
    Ok(file)
}

/// Of a lock file that somebody holds.
fn is_in_use(path: &Path, mut lock: File) -> Failure {
    let mut owner = String::new();
    let _ = lock.read_to_string(&mut owner);
    Failure::environment(format!(
        "{} is in use by another auriga (process {} holds {}): stop that one, or name another directory",
        path.parent().unwrap_or(path).display(),
        owner.trim(),
        path.display()
    ))
}

/// Fails if the file system can't do direct I/O (tmpfs can't): without it a durable write is not what it says.
pub fn check_direct_io(path: &Path) -> Outcome<()> {
    if keeps_files_in_memory(path) {
        return Err(no_direct_io(path));
    }
    let probe = path.join(".direct-io");
    let opened =
        OpenOptions::new().create(true).truncate(true).write(true).custom_flags(libc::O_DIRECT).open(&probe);
    let removed = fs::remove_file(&probe);
    match opened {
        Ok(file) => {
            drop(file);
            removed.map_err(|e| cannot("remove", &probe, &e))
        }
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Err(no_direct_io(path)),
        Err(e) => Err(cannot("write to", path, &e)),
    }
}

fn no_direct_io(path: &Path) -> Failure {
    Failure::environment(format!(
        "{}: its file system can't do durable direct I/O (O_DIRECT), as tmpfs can't: use a directory on ext4 or XFS",
        path.display()
    ))
}

/// Whether a directory lies on a file system without a disk: newer kernels let tmpfs take O_DIRECT, and nothing is durable.
fn keeps_files_in_memory(path: &Path) -> bool {
    const RAMFS_MAGIC: u64 = 0x8584_58f6;
    let Ok(file) = File::open(path) else { return false };
    // SAFETY: statfs is plain data, for which zeros are valid.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `stat` is writable for the call.
    let known = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut stat) } == 0;
    known && [libc::TMPFS_MAGIC as u64, RAMFS_MAGIC].contains(&(stat.f_type as u64))
}

/// Gives a file its room on the disk.
pub fn preallocate(file: &File, size: u64) -> std::io::Result<()> {
    // SAFETY: the descriptor is open; no memory is passed.
    match unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, size as libc::off_t) } {
        0 => Ok(()),
        _ => match std::io::Error::last_os_error() {
            // Not every file system can; what is written allocates as well.
            e if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            e => Err(e),
        },
    }
}

/// Makes the names in a directory durable, and those in every directory below it.
pub fn sync_all_directories(path: &Path) -> Outcome<()> {
    for entry in fs::read_dir(path).map_err(|e| cannot("read", path, &e))? {
        let entry = entry.map_err(|e| cannot("read", path, &e))?.path();
        if entry.is_dir() {
            sync_all_directories(&entry)?;
        }
    }
    sync_directory(path)
}

/// Makes the names in a directory durable.
pub fn sync_directory(path: &Path) -> Outcome<()> {
    File::open(path).and_then(|d| d.sync_all()).map_err(|e| cannot("sync", path, &e))
}

/// An error of the file system, with what to do about it.
pub fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let fix = match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => ": give this user access, or name another directory",
        Some(libc::ENOSPC) => ": the disk is full; free space",
        Some(libc::EROFS) => ": the file system is mounted read-only",
        Some(libc::EMFILE | libc::ENFILE) => ": raise the limit on open files (ulimit -n)",
        Some(libc::EIO) => ": the disk failed. Check it, and restore from a copy what it has lost",
        Some(libc::ENOENT | libc::EISDIR | libc::ENOTDIR) => {
            ": it is not as `auriga format` and the server make it. Put it right, or restore it from a copy of this directory"
        }
        _ => "",
    };
    Failure::environment(format!("can't {what} {}: {error}{fix}", path.display()))
}

/// Bytes free for this user where `path` lies.
pub fn free_bytes(path: &Path) -> std::io::Result<u64> {
    let file = File::open(path)?;
    // SAFETY: statvfs is plain data, for which zeros are valid.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `stat` is writable for the call.
    if unsafe { libc::fstatvfs(file.as_raw_fd(), &raw mut stat) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(stat.f_bavail * stat.f_frsize)
}
