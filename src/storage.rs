//! The log's reads and writes through io_uring, one ring a shard, run by its executor.
//!
//! Writes are direct and durable by the same submission (`O_DIRECT`, `RWF_DSYNC`). The first write that fails ends the
//! process: what the disk holds is then unknown, and a retry would pretend otherwise.

use crate::clock;
use crate::directory::Directory;
use auriga_shards::buckets::Buckets;
use auriga_shards::checkpoint;
use auriga_shards::checkpoint::sheet::{SHEET_SIZE, Sheet};
use auriga_shards::ledger::pages::Fresh;
use auriga_shards::limits::{BLOCK_SIZE_MAX, SECTOR_SIZE};
use auriga_shards::log::block::Block;
use auriga_shards::log::cut::CutSector;
use auriga_shards::log::segment::cut_place;
use auriga_shards::log::{File as LogFile, Sector};
use auriga_shards::step::{Input, Output};
use io_uring::{IoUring, opcode, types};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// Entries of the ring: more than a shard ever has under way (one flush, replay reads, 16 reads for each look-up).
const RING_ENTRIES: u32 = 512;
/// Open files that a shard keeps.
const FILES_KEPT: usize = 256;
/// Bytes of the cut log read at once in a replay.
const CUTS_READ: usize = 1 << 20;

/// Instead of the place of something under way.
const POPULATED: u64 = u64::MAX;

/// What is under way. Each owns the memory that the kernel uses.
enum Under {
    WriteBlock { at: (LogFile, u64), block: Block, since_ns: u64 },
    WriteCut { at: (LogFile, u64), sector: Box<CutSector>, since_ns: u64 },
    ReadBlock { epoch: u64, entry: usize, block: Block },
    ReadCuts { first: u64, memory: Vec<Sector>, size: usize, last_of_file: bool },
    ReadLog { job: usize, slot: usize, memory: Vec<Sector>, size: usize },
    WriteSheet { file: checkpoint::File, number: u32, sheet: Sheet },
    ReadSheets { memory: Vec<Sector>, size: usize },
}

/// What to do if there is no ring.
pub const IO_URING_REMEDY: &str = "Enable it (sysctl kernel.io_uring_disabled=0); a container's seccomp profile may block it; \
                                   kernel 5.11 or later is needed";

/// Whether a ring as a shard's can be set up.
pub fn probe() -> std::io::Result<()> {
    IoUring::new(RING_ENTRIES).map(drop)
}

/// The storage of one shard.
pub struct Storage {
    directory: Arc<Directory>,
    ring: IoUring,
    under: Vec<Option<(Under, Rc<File>, usize)>>,
    free: Vec<usize>,
    files: VecDeque<(LogFile, Rc<File>)>,
    /// The part of a checkpoint that was written last.
    part: Option<(checkpoint::File, Rc<File>)>,
    /// Operations that found the ring full.
    late: VecDeque<usize>,
    memory: Vec<Vec<Sector>>,
    to_submit: bool,
    /// Results that needed no I/O, for the next call of [`Storage::complete`].
    done: VecDeque<(Under, Result<usize, String>)>,
    /// How long durable writes of blocks and cuts took, from the shard's wish to their end.
    pub flushes: Buckets,
}

impl Storage {
    /// A ring whose completions ring `event`.
    pub fn new(directory: Arc<Directory>, event: RawFd) -> std::io::Result<Self> {
        let ring = IoUring::new(RING_ENTRIES)?;
        ring.submitter().register_eventfd(event)?;
        Ok(Self {
            directory,
            ring,
            under: Vec::new(),
            free: Vec::new(),
            files: VecDeque::new(),
            part: None,
            late: VecDeque::new(),
            memory: Vec::new(),
            to_submit: false,
            done: VecDeque::new(),
            flushes: Buckets::default(),
        })
    }

    /// Starts what a shard wants read or written; other outputs come back.
    pub fn start(&mut self, output: Output) -> Option<Output> {
        match output {
            Output::WriteBlock { file, offset, block } => {
                self.begin(
                    file,
                    offset,
                    Under::WriteBlock { at: (file, offset), block, since_ns: clock::monotonic_ns() },
                );
            }
            Output::WriteCut { file, offset, sector } => {
                self.begin(
                    file,
                    offset,
                    Under::WriteCut { at: (file, offset), sector, since_ns: clock::monotonic_ns() },
                );
            }
            Output::ReadBlock { epoch, entry, file, offset, block } => {
                self.begin(file, offset, Under::ReadBlock { epoch, entry, block });
            }
            Output::ReadCuts { first } => {
                let (file, offset) = cut_place(first);
                let left = (file.size() - offset) as usize;
                let size = left.min(CUTS_READ);
                let memory = self.take_memory(size);
                let last_of_file = size == left;
                self.begin(file, offset, Under::ReadCuts { first, memory, size, last_of_file });
            }
            Output::ReadLog { job, read } => {
                let memory = self.take_memory(read.size);
                let under = Under::ReadLog { job, slot: read.slot, memory, size: read.size };
                self.begin(read.file, read.offset, under);
            }
            Output::WriteSheet { file, number, sheet } => {
                let offset = u64::from(number) * SHEET_SIZE as u64;
                let opened = self.open_part(file);
                self.begin_on(opened, offset, Under::WriteSheet { file, number, sheet });
            }
            Output::ReadSheets { file, first, count } => {
                let size = count as usize * SHEET_SIZE;
                let memory = self.take_memory(size);
                // All shards read every part: through the page cache the disk is read once.
                let path = self.directory.path.join(file.to_string());
                let opened = File::open(&path).map_err(|e| format!("can't open {}: {e}", path.display()));
                let offset = u64::from(first) * SHEET_SIZE as u64;
                self.begin_on(opened.map(Rc::new), offset, Under::ReadSheets { memory, size });
            }
            Output::Populate(fresh) => self.populate(fresh),
            other => return Some(other),
        }
        None
    }

    /// Has the kernel make memory beside the shard, where the shard's own memory is. A kernel that can't leaves it to the first touch.
    fn populate(&mut self, fresh: Fresh) {
        let start: *const libc::c_void = std::ptr::without_provenance(fresh.start);
        let entry = opcode::Madvise::new(start, fresh.size as i64, libc::MADV_POPULATE_WRITE);
        // SAFETY: it changes no content, whatever is at the address by then. If the ring is full, it is not worth waiting.
        self.to_submit |= unsafe { self.ring.submission().push(&entry.build().user_data(POPULATED)) }.is_ok();
    }

    fn take_memory(&mut self, size: usize) -> Vec<Sector> {
        let mut memory = self.memory.pop().unwrap_or_default();
        let sectors = size.div_ceil(SECTOR_SIZE);
        if memory.len() < sectors {
            memory = bytemuck::allocation::zeroed_vec(sectors.max(BLOCK_SIZE_MAX / SECTOR_SIZE / 64));
        }
        memory
    }

    fn begin(&mut self, file: LogFile, offset: u64, under: Under) {
        let opened = self.open(file);
        let opened = opened.map_err(|e| format!("can't open {}: {e}", self.directory.file(file).display()));
        self.begin_on(opened, offset, under);
    }

    fn begin_on(&mut self, opened: Result<Rc<File>, String>, offset: u64, under: Under) {
        let opened = match opened {
            Ok(opened) => opened,
            Err(failure) => return self.done.push_back((under, Err(failure))),
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.under.push(None);
            self.under.len() - 1
        });
        self.under[slot] = Some((under, opened, offset as usize));
        self.late.push_back(slot);
        self.submit_late();
    }

    fn open(&mut self, file: LogFile) -> std::io::Result<Rc<File>> {
        if let Some((_, opened)) = self.files.iter().find(|(name, _)| *name == file) {
            return Ok(opened.clone());
        }
        let path = self.directory.file(file);
        let opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(path)?;
        if self.files.len() == FILES_KEPT {
            self.files.pop_front();
        }
        let opened = Rc::new(opened);
        self.files.push_back((file, opened.clone()));
        Ok(opened)
    }

    /// The part that the shard writes.
    fn open_part(&mut self, file: checkpoint::File) -> Result<Rc<File>, String> {
        if let Some((_, opened)) = self.part.as_ref().filter(|(name, _)| *name == file) {
            return Ok(opened.clone());
        }
        let path = self.directory.path.join(file.to_string());
        let opened = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(&path);
        let opened = Rc::new(opened.map_err(|e| format!("can't open {}: {e}", path.display()))?);
        self.part = Some((file, opened.clone()));
        Ok(opened)
    }

    fn submit_late(&mut self) {
        while let Some(slot) = self.late.front().copied() {
            let (under, file, offset) = self.under[slot].as_mut().expect("late operations are under way");
            let (fd, offset) = (types::Fd(file.as_raw_fd()), *offset as u64);
            let entry = match under {
                Under::WriteBlock { block, .. } => write(fd, block.bytes(), offset, libc::RWF_DSYNC),
                Under::WriteCut { sector, .. } => write(fd, &sector.0, offset, libc::RWF_DSYNC),
                Under::ReadBlock { block, .. } => read(fd, block.memory_mut(), offset),
                Under::WriteSheet { sheet, .. } => write(fd, sheet.bytes(), offset, 0),
                Under::ReadCuts { memory, size, .. }
                | Under::ReadLog { memory, size, .. }
                | Under::ReadSheets { memory, size } => {
                    read(fd, &mut bytemuck::cast_slice_mut(memory)[..*size], offset)
                }
            };
            // SAFETY: the memory and the file that the entry points to are owned by `under[slot]`, which stays there
            // until the completion was taken.
            if unsafe { self.ring.submission().push(&entry.user_data(slot as u64)) }.is_err() {
                return;
            }
            self.late.pop_front();
            self.to_submit = true;
        }
    }

    /// Hands what was started to the kernel: once a turn.
    pub fn submit(&mut self) {
        if std::mem::take(&mut self.to_submit)
            && let Err(e) = self.ring.submit()
        {
            // Nothing was taken from the ring: it is offered again with the next turn.
            self.to_submit = true;
            assert!(
                matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY | libc::EINTR)),
                "io_uring refuses to take work: {e}"
            );
        }
    }

    /// Whether something has completed or waits to be submitted.
    pub fn has_work(&mut self) -> bool {
        self.to_submit || !self.done.is_empty() || !self.ring.completion().is_empty()
    }

    /// Takes one completion and hands it to `take`. `false` if there was none.
    pub fn complete(&mut self, take: impl FnOnce(Input<'_>)) -> bool {
        let (under, result) = match self.done.pop_front() {
            Some(done) => done,
            None => {
                let Some(entry) = self.ring.completion().next() else {
                    return false;
                };
                if entry.user_data() == POPULATED {
                    return true;
                }
                let slot = entry.user_data() as usize;
                let (under, _, _) = self.under[slot].take().expect("a completion belongs to an operation");
                self.free.push(slot);
                self.submit_late();
                let result = usize::try_from(entry.result())
                    .map_err(|_| std::io::Error::from_raw_os_error(-entry.result()).to_string());
                (under, result)
            }
        };
        self.hand_over(under, &result, take);
        true
    }

    fn hand_over(&mut self, under: Under, result: &Result<usize, String>, take: impl FnOnce(Input<'_>)) {
        match under {
            Under::WriteBlock { at, block, since_ns } => {
                self.flushes.record(clock::monotonic_ns().saturating_sub(since_ns));
                end_unless_whole(block.bytes().len(), result, || (self.directory.file(at.0), at.1));
                take(Input::BlockWritten(block));
            }
            Under::WriteCut { at, sector, since_ns } => {
                self.flushes.record(clock::monotonic_ns().saturating_sub(since_ns));
                end_unless_whole(SECTOR_SIZE, result, || (self.directory.file(at.0), at.1));
                take(Input::CutWritten(sector));
            }
            Under::ReadBlock { epoch, entry, mut block } => {
                let failure = whole(result, block.memory_mut().len()).err();
                take(Input::BlockRead { epoch, entry, block, failure });
            }
            Under::ReadCuts { first, memory, last_of_file, .. } => {
                // A missing file is the end of the cut log; a failed read is not.
                let (file, _) = cut_place(first);
                let bytes: &[u8] = bytemuck::cast_slice(&memory);
                let size = match result {
                    Ok(size) => *size,
                    Err(_) if !self.directory.file(file).exists() => 0,
                    Err(e) => end(&format!("can't read {}: {e}", self.directory.file(file).display())),
                };
                let next = first + (size / SECTOR_SIZE) as u64;
                let end = size == 0 || last_of_file && !self.directory.file(cut_place(next).0).exists();
                take(Input::CutsRead { first, bytes: &bytes[..size], end });
                self.memory.push(memory);
            }
            Under::WriteSheet { file, number, sheet } => {
                end_unless_whole(sheet.bytes().len(), result, || {
                    (self.directory.path.join(file.to_string()), u64::from(number) * SHEET_SIZE as u64)
                });
                take(Input::SheetWritten(sheet));
            }
            Under::ReadSheets { memory, size } => {
                let bytes: &[u8] = &bytemuck::cast_slice(&memory)[..size];
                take(Input::SheetsRead(whole(result, size).map(|()| bytes)));
                self.memory.push(memory);
            }
            Under::ReadLog { job, slot, memory, size } => {
                let bytes: &[u8] = &bytemuck::cast_slice(&memory)[..size];
                let result = whole(result, size).map(|()| bytes);
                take(Input::LogRead { job, slot, result });
                self.memory.push(memory);
            }
        }
    }
}

/// Ends the process unless a write, to this place, was whole.
fn end_unless_whole(size: usize, result: &Result<usize, String>, place: impl FnOnce() -> (PathBuf, u64)) {
    if let Err(failure) = whole(result, size) {
        let (path, offset) = place();
        end(&format!(
            "a write failed: {} at byte {offset}, {size} bytes: {failure}. {UNKNOWN_NOW}",
            path.display()
        ));
    }
}

fn whole(result: &Result<usize, String>, size: usize) -> Result<(), String> {
    match result {
        Ok(done) if *done == size => Ok(()),
        Ok(done) => Err(format!("{done} of {size} bytes")),
        Err(e) => Err(e.clone()),
    }
}

/// Why the process ends at once, and what to do.
pub const UNKNOWN_NOW: &str = "What the disk holds is unknown now, so this process ends. Check the disk, then start again: everything \
                               acknowledged is recovered";

/// Ends the process at once.
pub fn end(message: &str) -> ! {
    tracing::error!("{message}");
    crate::logging::tell_failure(&message);
    std::process::exit(crate::failure::Kind::Environment as i32)
}

fn write(fd: types::Fd, bytes: &[u8], offset: u64, flags: i32) -> io_uring::squeue::Entry {
    opcode::Write::new(fd, bytes.as_ptr(), bytes.len() as u32).offset(offset).rw_flags(flags).build()
}

fn read(fd: types::Fd, bytes: &mut [u8], offset: u64) -> io_uring::squeue::Entry {
    opcode::Read::new(fd, bytes.as_mut_ptr(), bytes.len() as u32).offset(offset).build()
}
