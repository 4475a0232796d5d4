//! What happened at a disk, and what a power cut leaves of it.
//!
//! The disk has a volatile cache. A flush that has ended made those writes durable that were reported done before it began: a
//! write that was under way when it began may have missed it, whether it was done earlier than the flush or not. Of everything
//! else chance decides, sector by sector.

use fastrand::Rng;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// Bytes that a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// A number of events: writes begun, writes done, flushes begun, flushes ended.
pub type Position = u64;

#[derive(Clone, Copy, Debug)]
struct Write {
    begun: Position,
    done: Option<Position>,
    offset: u64,
    size: usize,
    /// Where its bytes are in the file of all bytes; `None`: they are zeros.
    bytes_at: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Flush {
    begun: Position,
    ended: Option<Position>,
}

/// The number of a write or flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(usize);

/// Everything that happened at a disk, in order.
#[derive(Debug)]
pub struct Record {
    position: Position,
    writes: Vec<Write>,
    flushes: Vec<Flush>,
    bytes: File,
    bytes_end: u64,
}

/// What chance does with the writes that nothing made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The whole cache is lost.
    Lost,
    /// Each write is there, not there, or there in parts.
    Mixed,
}

/// What became of the writes before a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Writes that were durable.
    pub durable: usize,
    /// Others, of which everything was left,
    pub kept: usize,
    /// nothing,
    pub lost: usize,
    /// or some sectors.
    pub torn: usize,
}

impl Record {
    /// Of a disk that nothing has happened at. `bytes` is an empty file for what is written.
    pub fn new(bytes: File) -> Self {
        Self { position: 0, writes: Vec::new(), flushes: Vec::new(), bytes, bytes_end: 0 }
    }

    /// How much has happened.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Writes and flushes, up to now.
    pub fn counts(&self) -> (usize, usize) {
        (self.writes.len(), self.flushes.len())
    }

    /// Writes that were reported done at a position, and would be at the mercy of chance if the power failed.
    pub fn volatile(&self, at: Position) -> usize {
        let flushed = self.flushed(at);
        let done = self.writes.iter().take_while(|write| write.begun < at).filter_map(|write| write.done);
        done.filter(|done| (flushed..at).contains(done)).count()
    }

    fn next(&mut self) -> Position {
        self.position += 1;
        self.position - 1
    }

    /// A write arrived.
    pub fn begin_write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<Number> {
        let mut bytes_at = None;
        if bytes.iter().any(|byte| *byte != 0) {
            self.bytes.write_all_at(bytes, self.bytes_end)?;
            bytes_at = Some(self.bytes_end);
            self.bytes_end += bytes.len() as u64;
        }
        let begun = self.next();
        self.writes.push(Write { begun, done: None, offset, size: bytes.len(), bytes_at });
        Ok(Number(self.writes.len() - 1))
    }

    /// It is about to be reported done.
    pub fn end_write(&mut self, number: Number) {
        self.writes[number.0].done = Some(self.next());
    }

    /// A flush arrived.
    pub fn begin_flush(&mut self) -> Number {
        let begun = self.next();
        self.flushes.push(Flush { begun, ended: None });
        Number(self.flushes.len() - 1)
    }

    /// It is about to be reported done.
    pub fn end_flush(&mut self, number: Number) {
        self.flushes[number.0].ended = Some(self.next());
    }

    /// Makes an image of the disk as it was before anything happened into one that a power cut at a position leaves.
    pub fn cut(&self, at: Position, fate: Fate, random: &mut Rng, image: &File) -> io::Result<Left> {
        let flushed = self.flushed(at);
        let mut left = Left::default();
        for write in self.writes.iter().take_while(|write| write.begun < at) {
            if write.done.is_some_and(|done| done < flushed) {
                left.durable += 1;
                self.apply(write, 0..write.size, image)?;
                continue;
            }
            match if fate == Fate::Lost { 0 } else { random.u32(..3) } {
                0 => left.lost += 1,
                1 => {
                    left.kept += 1;
                    self.apply(write, 0..write.size, image)?;
                }
                _ => {
                    left.torn += 1;
                    for from in (0..write.size).step_by(SECTOR).filter(|_| random.bool()) {
                        self.apply(write, from..write.size.min(from + SECTOR), image)?;
                    }
                }
            }
        }
        Ok(left)
    }

    /// Writes that were done before this position were durable at `at`.
    fn flushed(&self, at: Position) -> Position {
        let ended = |flush: &&Flush| flush.ended.is_some_and(|ended| ended < at);
        self.flushes.iter().filter(ended).map(|flush| flush.begun).max().unwrap_or(0)
    }

    fn apply(&self, write: &Write, part: std::ops::Range<usize>, image: &File) -> io::Result<()> {
        let offset = write.offset + part.start as u64;
        match write.bytes_at {
            Some(at) => {
                let mut bytes = vec![0; part.len()];
                self.bytes.read_exact_at(&mut bytes, at + part.start as u64)?;
                image.write_all_at(&bytes, offset)
            }
            None => write_zeros(image, offset, part.len()),
        }
    }
}

/// Writes zeros that take no room.
fn write_zeros(image: &File, offset: u64, size: usize) -> io::Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: the descriptor is open; no memory is passed.
    match unsafe { libc::fallocate(image.as_raw_fd(), mode, offset as libc::off_t, size as libc::off_t) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
