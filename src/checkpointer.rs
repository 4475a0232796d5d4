//! The thread that does for checkpoints what takes long: making their files, making them durable, reading them back, and removing
//! the part of the log that is not needed any more.

use crate::directory::{self, Directory};
use crate::doorbell::Doorbell;
use crate::durable::Folder;
use crate::server::Shared;
use auriga_shards::checkpoint::manifest::Part;
use auriga_shards::checkpoint::sheet::SHEET_SIZE;
use auriga_shards::checkpoint::verify::PartCheck;
use auriga_shards::checkpoint::{Errand, ErrandDone, ErrandEnd, File};
use auriga_shards::limits::{CUT_SEGMENT_SLOTS, SECTOR_SIZE, STREAM_SEGMENT_SIZE, STREAMS};
use auriga_shards::log::cut::Cut;
use auriga_shards::log::segment::cut_place;
use auriga_shards::log::{File as LogFile, Sector};
use auriga_signals::Usage;
use rtrb::{Consumer, Producer, RingBuffer};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Errands of one shard that may be under way: one of its part, and one of the plan.
const ERRANDS: usize = 4;
/// Time between two words about a checkpoint that waits for history.
const HISTORY_SAID_EVERY: Duration = Duration::from_secs(10);
/// Sheets that are read back at once.
const SHEETS_READ: usize = 8;
/// Segments of streams that are kept to be used again, at least.
const SPARES_MIN: u64 = 8;

/// A shard's ends.
#[derive(Debug)]
pub struct Ends {
    errands: Producer<Errand>,
    done: Consumer<(Errand, ErrandEnd)>,
    bell: Arc<Doorbell>,
}

impl Ends {
    /// Hands an errand over.
    pub fn send(&mut self, errand: Errand) {
        self.errands.push(errand).expect("a shard has few errands at a time");
        self.bell.ring();
    }

    /// The next errand that has ended, and how. It comes back because its memory is the shard's.
    pub fn hear(&mut self) -> Option<(Errand, ErrandEnd)> {
        self.done.pop().ok()
    }

    /// Whether an errand has ended.
    pub fn has_news(&self) -> bool {
        !self.done.is_empty()
    }
}

struct Client {
    errands: Consumer<Errand>,
    done: Producer<(Errand, ErrandEnd)>,
    doorbell: Arc<Doorbell>,
}

/// The thread's state.
pub struct Checkpointer {
    clients: Vec<Client>,
    bell: Arc<Doorbell>,
    /// The log through this epoch was looked at, and where its blocks end, by stream.
    looked_through: u64,
    ends: Box<[u64; STREAMS]>,
}

impl Checkpointer {
    /// Without shards so far; the log begins with `log_from`.
    pub fn new(bell: Arc<Doorbell>, log_from: u64) -> Self {
        Self { clients: Vec::new(), bell, looked_through: log_from - 1, ends: Box::new([0; STREAMS]) }
    }

    /// Makes the rings to the next shard; returns its ends.
    pub fn connect(&mut self, doorbell: &Arc<Doorbell>) -> Ends {
        let (errands_in, errands) = RingBuffer::new(ERRANDS);
        let (done_in, done) = RingBuffer::new(ERRANDS);
        self.clients.push(Client { errands, done: done_in, doorbell: doorbell.clone() });
        Ends { errands: errands_in, done, bell: self.bell.clone() }
    }

    /// Works until every executor has ended.
    pub fn run(mut self, shared: &Shared) {
        while !shared.has_ended() {
            let mut worked = false;
            for number in 0..self.clients.len() {
                let Ok(errand) = self.clients[number].errands.pop() else { continue };
                let end = self.run_errand(&errand, shared);
                let client = &mut self.clients[number];
                client.done.push((errand, end)).expect("a shard has few errands at a time");
                client.doorbell.ring();
                worked = true;
            }
            if !worked {
                self.bell.park();
                if self.clients.iter().all(|client| client.errands.is_empty()) && !shared.has_ended() {
                    self.bell.wait(-1);
                }
                self.bell.unpark();
            }
        }
    }

    fn run_errand(&mut self, errand: &Errand, shared: &Shared) -> ErrandEnd {
        let directory = &shared.directory;
        let path = |file: File| directory.path.join(file.to_string());
        match errand {
            Errand::Clear { slot, history_through } => {
                await_history(*history_through, shared)?;
                let _kept = lock_files(directory)?;
                clear(&path(File::Manifest { slot: *slot }))?;
                Ok(ErrandDone::Cleared)
            }
            Errand::Make { slot, part, sheets } => {
                make(&path(File::Part { slot: *slot, part: *part }), *sheets)?;
                Ok(ErrandDone::Made)
            }
            Errand::Verify { slot, part, epoch, expected } => {
                let check = PartCheck::new(directory.identity, *epoch, *part);
                let digest = verify(&path(File::Part { slot: *slot, part: *part }), check, expected, shared)?;
                Ok(ErrandDone::Verified { digest })
            }
            Errand::Seal { slot, epoch, manifest } => {
                await_history(*epoch, shared)?;
                seal(&path(File::Manifest { slot: *slot }), manifest)?;
                Ok(ErrandDone::Sealed)
            }
            Errand::Recycle { through } => {
                // What could not be removed now is removed the next time.
                if let Err(why) = self.recycle(*through, shared) {
                    tracing::warn!("the log before epoch {through} can't be removed: {why}");
                }
                Ok(ErrandDone::Recycled)
            }
        }
    }

    /// Removes the segments of the log that hold nothing behind an epoch.
    fn recycle(&mut self, through: u64, shared: &Shared) -> Result<(), String> {
        let directory = &shared.directory;
        self.look_through(through, directory)?;
        let _kept = lock_files(directory)?;
        let spares_max = spares_max(shared.options.checkpoints().every);
        for file in directory.log_files().map_err(|e| e.message)? {
            let is_passed = match file {
                LogFile::Cuts { segment } => (u64::from(segment) + 1) * CUT_SEGMENT_SLOTS <= through,
                LogFile::Stream { stream, segment } => {
                    (u64::from(segment) + 1) * STREAM_SEGMENT_SIZE <= self.ends[usize::from(stream)]
                }
            };
            if is_passed {
                remove(file, directory, &shared.usage, spares_max)?;
            }
        }
        let first = through / CUT_SEGMENT_SLOTS * CUT_SEGMENT_SLOTS + 1;
        shared.usage.begin_log(first);
        Ok(())
    }

    /// Learns from the cuts where the blocks of their epochs end.
    fn look_through(&mut self, through: u64, directory: &Directory) -> Result<(), String> {
        let mut sector = vec![0; SECTOR_SIZE];
        let mut opened: Option<(LogFile, fs::File)> = None;
        for epoch in self.looked_through + 1..=through {
            let (file, offset) = cut_place(epoch);
            let path = directory.file(file);
            let failed = |e: std::io::Error| format!("{} can't be read: {e}", path.display());
            let cuts = match opened.take() {
                Some((name, cuts)) if name == file => cuts,
                _ => fs::File::open(&path).map_err(failed)?,
            };
            cuts.read_exact_at(&mut sector, offset).map_err(failed)?;
            opened = Some((file, cuts));
            let (cut, _) = Cut::decode(&directory.identity, &sector)
                .map_err(|damage| format!("{} at byte {offset}: {damage}", path.display()))?;
            for block in &cut.blocks {
                let end = &mut self.ends[usize::from(block.stream)];
                *end = (*end).max(block.offset + block.size() as u64);
            }
            self.looked_through = epoch;
        }
        Ok(())
    }
}

/// Keeps backups from beginning while something is removed.
fn lock_files(directory: &Directory) -> Result<fs::File, String> {
    let kept = directory.lock_files().map_err(|e| e.message)?;
    kept.ok_or_else(|| "a backup is being made".into())
}

/// Waits until history durably has an epoch, if one is kept: what it lacks can only be told again by a replay.
fn await_history(epoch: u64, shared: &Shared) -> Result<(), String> {
    let mut said = Instant::now();
    let durable = || shared.history.durable();
    while shared.options.history && durable() < epoch {
        shared.make_history_durable();
        if shared.is_stopping() || shared.has_failed() {
            return Err(format!("history has durably got to epoch {}, epoch {epoch} is needed", durable()));
        }
        if said.elapsed() > HISTORY_SAID_EVERY {
            tracing::warn!(
                "a checkpoint waits for history, which has durably got to epoch {}, until epoch {epoch}",
                durable()
            );
            said = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Removes a manifest, durably, and makes its slot if it is not there.
fn clear(manifest: &Path) -> Result<(), String> {
    let slot = manifest.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(slot).map_err(|e| directory::cannot("create", slot, &e).message)?;
    match fs::remove_file(manifest) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(directory::cannot("remove", manifest, &e).message),
    }
    // The slot may be new, and so may be the folder of both: names of folders are made durable, too.
    for folder in slot.ancestors().take(3) {
        Folder::open(folder).map_err(|e| directory::cannot("open", folder, &e).message)?.make_durable();
    }
    Ok(())
}

/// Makes the file of a part, or lets it grow. One that could not be made durable is not used again.
fn make(path: &Path, sheets: u32) -> Result<(), String> {
    let failed = |e: std::io::Error| directory::cannot("make", path, &e).message;
    let folder = Folder::of(path).map_err(failed)?;
    let size = u64::from(sheets) * SHEET_SIZE as u64;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let made = file.and_then(|file| {
        if file.metadata()?.len() < size {
            directory::preallocate(&file, size)?;
            file.set_len(size)?;
            sync_or_remove(&file, path)?;
        }
        Ok(())
    });
    made.map_err(failed)?;
    folder.make_durable();
    Ok(())
}

/// After a sync that failed the next one may say that all is well: the file goes, and another try makes it anew.
fn sync_or_remove(file: &fs::File, path: &Path) -> std::io::Result<()> {
    file.sync_all().inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

/// Makes a part durable, and reads it back from the disk.
fn verify(path: &Path, mut check: PartCheck, expected: &Part, shared: &Shared) -> Result<u128, String> {
    let failed = |e: std::io::Error| directory::cannot("read back", path, &e).message;
    let mut file =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(path).map_err(failed)?;
    sync_or_remove(&file, path).map_err(failed)?;
    let mut memory: Vec<Sector> = bytemuck::allocation::zeroed_vec(SHEETS_READ * SHEET_SIZE / SECTOR_SIZE);
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    let mut left = expected.sheets as usize;
    while left > 0 {
        if shared.is_stopping() {
            return Err("the server stops. The next start goes on with the one before".into());
        }
        let count = left.min(SHEETS_READ);
        let bytes = &mut bytes[..count * SHEET_SIZE];
        file.read_exact(bytes).map_err(failed)?;
        for sheet in bytes.chunks(SHEET_SIZE) {
            check.take(sheet).map_err(|damage| format!("{}, read back: {damage}", path.display()))?;
        }
        left -= count;
    }
    check.finish(expected).map_err(|damage| format!("{}, read back: {damage}", path.display()))
}

/// Writes a manifest: it is there whole, or not at all.
fn seal(path: &Path, manifest: &[Sector]) -> Result<(), String> {
    let failed = |e: std::io::Error| directory::cannot("write", path, &e).message;
    let folder = Folder::of(path).map_err(failed)?;
    let making = path.with_extension("making");
    let written = fs::File::create(&making).and_then(|mut file| {
        file.write_all(bytemuck::cast_slice(manifest))?;
        sync_or_remove(&file, &making)?;
        fs::rename(&making, path)
    });
    written.map_err(failed)?;
    folder.make_durable();
    Ok(())
}

/// Segments of streams that are kept to be used again: as many as the log fills from one checkpoint to the next. A new one would be
/// written twice, the first time with zeros.
fn spares_max(checkpoint_every: u64) -> usize {
    SPARES_MIN.max(checkpoint_every / STREAM_SEGMENT_SIZE) as usize
}

/// Moves a segment to the archive, or keeps it to be used again, or removes it.
fn remove(file: LogFile, directory: &Directory, usage: &Usage, spares_max: usize) -> Result<(), String> {
    let path = directory.file(file);
    let failed = |e: std::io::Error| directory::cannot("remove", &path, &e).message;
    if let Some(archive) = directory.archived(file) {
        move_to(&path, &archive).map_err(failed)?;
    } else if matches!(file, LogFile::Stream { .. }) && directory.spares().len() < spares_max {
        // It stays what the log takes of the disk.
        let spare = directory.new_spare().map_err(|e| e.message)?;
        return fs::rename(&path, spare).map_err(failed);
    } else {
        fs::remove_file(&path).map_err(failed)?;
    }
    usage.bytes.take_away(file.size());
    Ok(())
}

/// Moves a file, to another file system if need be.
fn move_to(from: &Path, to: &Path) -> std::io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let folder = Folder::open(folder)?;
    match fs::rename(from, to) {
        Err(e) if e.raw_os_error() == Some(libc::EXDEV) => {
            let making = to.with_extension("making");
            fs::copy(from, &making)?;
            sync_or_remove(&fs::File::open(&making)?, &making)?;
            fs::rename(&making, to)?;
            folder.make_durable();
            fs::remove_file(from)
        }
        Err(e) => Err(e),
        Ok(()) => {
            folder.make_durable();
            Ok(())
        }
    }
}
