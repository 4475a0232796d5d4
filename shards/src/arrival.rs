//! Arrival: requests are copied, once, into the block that will be written. No routing, no look-up yet.

use crate::limits::{BLOCK_BUFFERS, BLOCK_SIZE_MAX, SECTOR_SIZE, UNIT_SIZE};
use crate::log::block::Block;
use crate::pacer::Counts;
use auriga_wire::Transfer;
use auriga_wire::frame::{Command, Frame, Header};
use auriga_wire::record::{RECORD_SIZE, TransferFlags};
use std::collections::VecDeque;

/// A connection, as the server numbers them; a number is not used again while a reply to it may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A request in a block.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Who sent it.
    pub caller: ConnectionId,
    /// Its header.
    pub header: Header,
    /// Unit of its first record in the block.
    pub first_unit: u16,
    /// Records.
    pub count: u16,
    /// When it had arrived whole, monotonic nanoseconds.
    pub arrived_ns: u64,
}

/// A block and the requests in it.
#[derive(Debug)]
pub struct Filled {
    /// The block.
    pub block: Block,
    /// Its requests, in order.
    pub batches: Vec<Batch>,
    /// What they ask for.
    pub asked: Counts,
}

impl Filled {
    /// An empty block.
    fn new(units: usize) -> Self {
        Self {
            block: Block::with_size(units * UNIT_SIZE),
            batches: Vec::with_capacity(64),
            asked: Counts::default(),
        }
    }
}

/// The block buffers of one shard that are not being written or executed.
#[derive(Debug)]
pub struct Arrivals {
    open: Option<Filled>,
    /// Full blocks that wait for the pacer, oldest first.
    waiting: VecDeque<Filled>,
    free: Vec<Filled>,
}

impl Arrivals {
    /// All buffers, empty, each with room for so many units.
    pub fn new(units: usize) -> Self {
        let free = (0..BLOCK_BUFFERS).map(|_| Filled::new(units)).collect();
        Self { open: None, waiting: VecDeque::with_capacity(BLOCK_BUFFERS), free }
    }

    /// Appends a request; `false`, and nothing appended, if every buffer is in use.
    pub fn push(&mut self, caller: ConnectionId, frame: &Frame<'_>, arrived_ns: u64) -> bool {
        let size = frame.bytes().len();
        if self.open.as_ref().is_none_or(|open| !open.block.fits(size)) {
            let Some(fresh) = self.free.pop() else {
                return false;
            };
            self.waiting.extend(self.open.replace(fresh));
        }
        let open = self.open.as_mut().expect("opened above");
        let unit = open.block.push(frame.bytes());
        let count = (frame.body().len() / UNIT_SIZE) as u16;
        open.asked = open.asked + asked(frame);
        open.batches.push(Batch { caller, header: frame.header, first_unit: unit + 1, count, arrived_ns });
        true
    }

    /// Units of the block that is next; 0 if there is none.
    pub fn front_units(&self) -> u32 {
        self.waiting.front().or(self.open.as_ref()).map_or(0, |front| front.block.units() as u32)
    }

    /// Takes the next block, if there is one of at most `grant` units.
    pub fn take_front(&mut self, grant: u32) -> Option<Filled> {
        if self.front_units() > grant {
            return None;
        }
        self.waiting.pop_front().or_else(|| self.open.take())
    }

    /// Buffers that are empty.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Most bytes of the log that everything here can take, gaps before a segment's end included.
    pub fn log_bytes(&self) -> u64 {
        let blocks = self.waiting.iter().chain(&self.open);
        let bytes: usize = blocks.map(|f| f.block.bytes().len()).sum();
        (bytes + BLOCK_SIZE_MAX + SECTOR_SIZE) as u64
    }

    /// Takes a buffer back.
    pub fn give_back(&mut self, mut block: Block, mut batches: Vec<Batch>) {
        block.clear();
        batches.clear();
        self.free.push(Filled { block, batches, asked: Counts::default() });
    }
}

/// What a request asks for.
fn asked(frame: &Frame<'_>) -> Counts {
    let events = (frame.body().len() / RECORD_SIZE) as u64;
    if frame.header.command == Command::CreateAccounts as u16 {
        return Counts { accounts: events, ..Counts::default() };
    }
    let is_pending = |transfer: &&Transfer| transfer.flags & TransferFlags::PENDING != 0;
    let pendings = frame.records::<Transfer>().iter().filter(is_pending).count() as u64;
    Counts { accounts: 0, ids: events, pendings }
}
