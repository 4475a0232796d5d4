//! The log's writes alone: as large, as durable and as overlapped as the server's, into files that are prepared as its own.
//!
//! A flush is one block of each shard and the cut beside them, all under way at once; the next begins when all are durable.

use crate::median::median_time;
use auriga_shards::limits::{SECTOR_SIZE, UNIT_SIZE, block_units};
use auriga_shards::log::Sector;
use io_uring::{IoUring, opcode, types};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Flushes before the measured ones.
const WARM_UP: u64 = 4;
/// Flushes that are measured.
pub const FLUSHES: u64 = 64;
/// Bytes that are written at once to make a file.
const ZEROS: usize = 1 << 20;

/// Files like the log's, removed when it is dropped.
struct Files {
    directory: PathBuf,
    streams: Vec<File>,
    cuts: File,
}

impl Files {
    /// For blocks of this size, one of each shard in a flush.
    fn make(directory: &Path, shards: u16, block: u64) -> Result<Self> {
        let directory = directory.join("writes");
        std::fs::create_dir(&directory)?;
        let made = (|| {
            let stream =
                |shard| make(&directory.join(format!("stream-{shard}")), (FLUSHES + WARM_UP) * block);
            let streams = (0..shards).map(stream).collect::<Result<Vec<File>>>()?;
            let cuts = make(&directory.join("cuts"), (FLUSHES + WARM_UP) * SECTOR_SIZE as u64)?;
            Ok((streams, cuts))
        })();
        match made {
            Ok((streams, cuts)) => Ok(Self { directory, streams, cuts }),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&directory);
                Err(error)
            }
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A file that is allocated and written with zeros, durably.
fn make(path: &Path, size: u64) -> Result<File> {
    let options = OpenOptions::new().create_new(true).write(true).custom_flags(libc::O_DIRECT).clone();
    let mut file = options.open(path)?;
    // SAFETY: the descriptor is open; no memory is passed. Where it can't be done, what is written allocates as well.
    unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, size as libc::off_t) };
    let zeros: Vec<Sector> = bytemuck::allocation::zeroed_vec(ZEROS / SECTOR_SIZE);
    let zeros: &[u8] = bytemuck::cast_slice(&zeros);
    let mut left = size as usize;
    while left > 0 {
        let part = left.min(zeros.len());
        file.write_all(&zeros[..part])?;
        left -= part;
    }
    file.sync_all()?;
    Ok(file)
}

/// The time of [`FLUSHES`] flushes of full blocks of so many shards, in a directory of the disk.
pub fn flushes(directory: &Path, shards: u16) -> Result<Duration> {
    Ok(write(directory, shards, block_units(shards) * UNIT_SIZE)?.iter().sum())
}

/// The median time of a flush that is a cut alone.
pub fn cut(directory: &Path) -> Result<Duration> {
    Ok(median_time(&write(directory, 0, 0)?))
}

/// The time of each flush of blocks of this size.
fn write(directory: &Path, shards: u16, size: usize) -> Result<Vec<Duration>> {
    let files = Files::make(directory, shards, size as u64)?;
    let mut ring = IoUring::new(u32::from(shards) + 1)?;
    let blocks: Vec<Vec<Sector>> = (0..shards).map(|shard| block(shard, size)).collect();
    let cut = block(0, SECTOR_SIZE);
    let mut times = Vec::new();
    for flush in 0..WARM_UP + FLUSHES {
        let begun = Instant::now();
        let writes = files.streams.iter().zip(&blocks).map(|(file, block)| (file, &block[..]));
        for (file, sectors) in writes.chain([(&files.cuts, &cut[..])]) {
            let bytes: &[u8] = bytemuck::cast_slice(sectors);
            let fd = types::Fd(file.as_raw_fd());
            let write = opcode::Write::new(fd, bytes.as_ptr(), bytes.len() as u32);
            let write = write.offset(flush * bytes.len() as u64).rw_flags(libc::RWF_DSYNC).build();
            // SAFETY: memory and file live until the loop below has seen the completion of each write.
            let pushed = unsafe { ring.submission().push(&write.user_data(bytes.len() as u64)) };
            pushed.map_err(|_| Error::other("io_uring has no room for a flush"))?;
        }
        wait(&mut ring, usize::from(shards) + 1)?;
        times.push(begun.elapsed());
    }
    Ok(times.split_off(WARM_UP as usize))
}

/// Waits until so many writes are durable. After a failure the kernel may still read the memory: the caller ends with it.
fn wait(ring: &mut IoUring, writes: usize) -> Result<()> {
    let mut left = writes;
    let mut failure = None;
    while left > 0 {
        match ring.submit_and_wait(left) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for entry in ring.completion() {
            left -= 1;
            if entry.result() < 0 {
                failure = Some(Error::from_raw_os_error(-entry.result()));
            } else if entry.result() as u64 != entry.user_data() {
                failure = Some(Error::other(format!("{} of {} bytes", entry.result(), entry.user_data())));
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// A block's memory with something in it that no drive can leave out.
fn block(shard: u16, size: usize) -> Vec<Sector> {
    let mut sectors: Vec<Sector> = bytemuck::allocation::zeroed_vec(size / SECTOR_SIZE);
    let mut state = u64::from(shard) + 1;
    for word in bytemuck::cast_slice_mut::<Sector, u64>(&mut sectors) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *word = state;
    }
    sectors
}
