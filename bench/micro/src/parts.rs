//! The parts that `bench/limits` adds up, each measured once: what a server can't do without.

use crate::disk::{self, FLUSHES};
use crate::limit::Parts;
use crate::log::{self, BATCH, Log, Requests};
use crate::shards::{Shards, own_blocks};
use crate::{loopback, memory};
use auriga_shards::limits::block_units;
use auriga_shards::log::block::{Block, Place};
use auriga_shards::place::{ShardId, StreamId};
use auriga_wire::{Frame, RequestFrame};
use std::hint::black_box;
use std::io::Result;
use std::path::Path;
use std::time::Duration;

/// Requests that are made, sent, checked and executed for a figure: four million transfers.
const REQUESTS: usize = 512;
/// Bytes that are touched before the execution: more than the tables of its ids take while they grow.
const TOUCHED: usize = 1 << 30;
/// Requests in memory: as many as a load generator has in flight.
const FRAMES: usize = 16;

/// The CPU time that a thread has used, user and system.
#[derive(Clone, Copy, Debug)]
pub struct CpuTime(Duration);

impl CpuTime {
    /// The calling thread's, so far.
    pub fn of_this_thread() -> Self {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel writes one timespec, and this is one.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        assert_eq!(failed, 0, "every thread has a clock of its CPU time");
        Self(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }

    /// What the calling thread has used since.
    pub fn elapsed(self) -> Duration {
        Self::of_this_thread().0 - self.0
    }
}

/// The server's half of the copies over loopback TCP, nanoseconds a transfer.
pub fn receive() -> Result<f64> {
    let (frames, _) = generate();
    let [_, receiver] = loopback::exchange(&frames, REQUESTS)?;
    Ok(per_transfer(receiver, REQUESTS as f64))
}

/// Measures every part once, with the log's files in this directory and blocks of so many shards.
pub fn measure(directory: &Path, shards: u16) -> Result<Parts> {
    memory::touch(TOUCHED)?;
    let (frames, generator) = generate();
    let requests = REQUESTS as f64;
    let of_block = (block_units(shards) - 1) / (1 + BATCH as usize);
    let flushed = FLUSHES as f64 * f64::from(shards) * of_block as f64;
    Ok(Parts {
        log_write: per_transfer(disk::flushes(directory, shards)?, flushed),
        loopback: per_transfer(loopback::exchange(&frames, REQUESTS)?.iter().sum(), requests),
        generator: per_transfer(generator, requests),
        checksums: per_transfer(check(&frames), requests),
        kernel: per_transfer(execute(shards), requests.div_euclid(f64::from(shards)) * f64::from(shards)),
    })
}

fn per_transfer(time: Duration, requests: f64) -> f64 {
    time.as_nanos() as f64 / requests / f64::from(BATCH)
}

/// Makes requests into one frame after the other, as the load generator does. Also returns the last ones.
fn generate() -> (Vec<RequestFrame>, Duration) {
    let mut requests = Requests::new(BATCH);
    let mut frames: Vec<RequestFrame> = (0..FRAMES).map(|_| RequestFrame::default()).collect();
    frames.iter_mut().for_each(|frame| requests.make(frame));
    let begun = CpuTime::of_this_thread();
    for number in 0..REQUESTS {
        requests.make(&mut frames[number % FRAMES]);
    }
    let time = begun.elapsed();
    (frames, time)
}

/// Checks each frame, and seals a block around each, as a server does between socket and log.
fn check(frames: &[RequestFrame]) -> Duration {
    let log = Log::new();
    let mut blocks: Vec<(Block, Place)> = frames
        .iter()
        .map(|frame| {
            let mut block = Block::new();
            block.push(frame.bytes());
            let place = log.place(StreamId(0), block.bytes().len() as u64);
            (block, place)
        })
        .collect();
    let begun = CpuTime::of_this_thread();
    for number in 0..REQUESTS {
        let (block, place) = &mut blocks[number % FRAMES];
        black_box(Frame::check(frames[number % FRAMES].bytes()).expect("the generator's frames are good"));
        black_box(block.seal(place));
    }
    begun.elapsed()
}

/// Executes epochs of one block for each of so many shards, all on one shard, in memory: its CPU time, without the making
/// of the epochs.
fn execute(blocks: u16) -> Duration {
    let mut shards = Shards::new(1);
    let mut log = Log::new();
    let streams = || (0..blocks).map(StreamId);
    let accounts = log::accounts(log::account_ids(), 0);
    let opening: Vec<RequestFrame> = accounts.chunks(BATCH as usize).map(log::create_accounts).collect();
    let opening: Vec<_> = (0..).map(StreamId).zip(&opening).collect();
    shards.execute(log.write(&opening));
    let mut requests = Requests::new(BATCH);
    let mut frame = RequestFrame::default();
    let mut spare: Vec<Block> = streams().map(|_| Block::new()).collect();
    let mut time = Duration::ZERO;
    shards.take_blocks();
    for _ in 0..REQUESTS / usize::from(blocks) {
        for block in &mut spare {
            requests.make(&mut frame);
            block.clear();
            block.push(frame.bytes());
        }
        let epoch = log.close(streams(), std::mem::take(&mut spare));
        let own = own_blocks(&epoch.cut, epoch.blocks, &shards.placement).swap_remove(0);
        let execution = &mut shards.executions[ShardId(0).index()];
        let begun = CpuTime::of_this_thread();
        execution.begin(&epoch.cut, own);
        time += begun.elapsed();
        spare = shards.take_blocks().into_iter().map(|own| own.block).collect();
    }
    time
}
