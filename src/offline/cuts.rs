//! The cut log, slot by slot, and the blocks that a cut names.

use super::{Outcome, no_checkpoint};
use crate::directory::{Directory, cannot};
use auriga_shards::lead::Found;
use auriga_shards::limits::{SECTOR_SIZE, STREAMS};
use auriga_shards::log::block::{Block, Place};
use auriga_shards::log::cut::{BlockEntry, Cut};
use auriga_shards::log::segment::{cut_place, stream_place};
use auriga_shards::log::{Damage, File as LogFile};
use auriga_shards::pacer::LogEnd;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are read at once.
const READ: usize = 1 << 20;

/// Calls `take` with each slot from the epoch `first` on, in order, as far as there are files, until it says no. A slot that the
/// drive can't read comes with why.
pub fn each_slot(
    directory: &Directory,
    first: u64,
    mut take: impl FnMut(u64, Result<&[u8], String>) -> Outcome<bool>,
) -> Outcome<()> {
    let mut bytes = vec![0; READ];
    let mut epoch = first;
    loop {
        let (name, mut offset) = cut_place(epoch);
        let path = directory.file(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(cannot("open", &path, &e)),
        };
        let end = file.metadata().map_err(|e| cannot("look at", &path, &e))?.len().min(name.size());
        while offset + SECTOR_SIZE as u64 <= end {
            let size = ((end - offset) as usize).min(READ) / SECTOR_SIZE * SECTOR_SIZE;
            let sectors = bytes[..size].chunks_exact_mut(SECTOR_SIZE);
            let mut failed = vec![None; sectors.len()];
            if file.read_exact_at(&mut bytes[..size], offset).is_err() {
                let sectors = bytes[..size].chunks_exact_mut(SECTOR_SIZE);
                for ((sector, at), failed) in sectors.zip((offset..).step_by(SECTOR_SIZE)).zip(&mut failed) {
                    *failed = file.read_exact_at(sector, at).err().map(|e| cannot("read", &path, &e).message);
                }
            }
            for (sector, failed) in bytes[..size].chunks_exact(SECTOR_SIZE).zip(failed) {
                if !take(epoch, failed.map_or(Ok(sector), Err))? {
                    return Ok(());
                }
                epoch += 1;
            }
            offset += size as u64;
        }
        if end < name.size() {
            // The last file of a backup; or it was cut off, which is found elsewhere.
            return Ok(());
        }
    }
}

/// The end of the log behind a cut.
pub fn end_behind(cut: &Cut, checksum: u128) -> LogEnd {
    LogEnd {
        epoch: cut.epoch,
        checksum,
        time_end: cut.time + cut.units() as u64 + 1,
        incarnation: cut.incarnation,
        expired_through: cut.expire_through,
        horizon: cut.horizon,
    }
}

/// From where the cuts can be read as a start reads them: the oldest checkpoint if the log's beginning is gone.
pub fn beginning(directory: &Directory, found: &Found) -> Outcome<LogEnd> {
    let ends = found.manifests.iter().flatten().map(|manifest| manifest.end);
    let oldest = ends.filter(|end| end.epoch + 1 >= found.log_from).min_by_key(|end| end.epoch);
    match oldest {
        _ if found.log_from == 1 => Ok(LogEnd::default()),
        Some(oldest) => Ok(oldest),
        None => Err(no_checkpoint(directory, found.log_from)),
    }
}

/// Reads blocks and checks them.
pub struct Blocks<'a> {
    directory: &'a Directory,
    opened: Vec<(LogFile, File)>,
}

/// Files that are kept open.
const FILES: usize = STREAMS;

impl<'a> Blocks<'a> {
    /// Of this directory.
    pub fn new(directory: &'a Directory) -> Self {
        Self { directory, opened: Vec::new() }
    }

    /// Whether a block is what its cut says, down to every record.
    pub fn check(&mut self, cut: &Cut, entry: &BlockEntry) -> Result<(), Damage> {
        let (name, offset) = stream_place(entry.stream, entry.offset);
        let mut block = Block::with_size(entry.size());
        self.open(name)?
            .read_exact_at(&mut block.memory_mut()[..entry.size()], offset)
            .map_err(|e| Damage(e.to_string()))?;
        let place = Place::of(self.directory.identity.cluster, cut.incarnation, cut.epoch, entry);
        block.open(entry, &place)
    }

    fn open(&mut self, name: LogFile) -> Result<&File, Damage> {
        let at = match self.opened.iter().position(|(opened, _)| *opened == name) {
            Some(at) => at,
            None => {
                let file = File::open(self.directory.file(name)).map_err(|e| Damage(e.to_string()))?;
                self.opened.truncate(FILES - 1);
                self.opened.insert(0, (name, file));
                0
            }
        };
        Ok(&self.opened[at].1)
    }
}

/// A place as findings name it.
pub fn at(file: impl std::fmt::Display, offset: u64) -> String {
    format!("{file} at byte {offset}")
}

/// The folder that a file lies in.
pub fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
