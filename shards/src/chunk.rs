//! Chunks: pooled buffers of messages of one kind, the only bulk thing that a ring carries.
//!
//! A chunk belongs to the shard that made it. Whoever has read it sends it back, so that each shard's memory stays on
//! its own NUMA node and no pool drains into another.

use crate::limits::CHUNK_SIZE;
use crate::place::ShardId;
use bytemuck::Pod;

/// A message type that chunks carry: plain bytes with a kind of its own.
pub trait Item: Pod {
    /// Tells the receiver how to read the chunk.
    const KIND: Kind;
}

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::execute::message::Leg`]
    Legs,
    /// [`crate::execute::message::Note`]
    Notes,
    /// [`crate::execute::message::NewAccount`]
    Accounts,
    /// [`crate::execute::message::Reserve`]
    Reserves,
    /// [`crate::execute::message::Claim`]
    Claims,
    /// [`crate::execute::message::Release`]
    Releases,
    /// [`crate::execute::message::Closing`]
    Closings,
    /// [`crate::execute::message::ClaimLeg`]
    ClaimLegs,
    /// [`crate::execute::message::Ending`]
    Endings,
    /// [`crate::execute::message::Vote`], before the vote's marker
    Votes,
    /// [`crate::execute::message::OpenLeg`]
    OpenLegs,
    /// [`crate::execute::message::OpenNote`]
    OpenNotes,
    /// [`crate::execute::message::OpenClaim`]
    OpenClaims,
    /// [`crate::execute::message::OpenAccount`]
    OpenAccounts,
    /// [`crate::execute::message::Amount`]
    Amounts,
    /// [`crate::log::cut::BlockEntry`] of the block that a shard sealed
    Sealed,
    /// The bytes of a cut: commit it
    Cut,
    /// [`crate::query::Wanted`]
    Wanted,
    /// [`crate::query::Found`]
    Found,
    /// [`crate::query::Located`]
    Located,
}

const WORDS: usize = CHUNK_SIZE / 16;

/// A buffer of messages of one kind.
#[derive(Debug)]
pub struct Chunk(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    owner: ShardId,
    len: u32,
    /// The step that the messages belong to: an epoch, or a look-up's number.
    step: u64,
    words: [u128; WORDS],
}

impl Chunk {
    /// What the chunk holds.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The shard to give it back to.
    pub fn owner(&self) -> ShardId {
        self.0.owner
    }

    /// The epoch, or the look-up's number, that its messages belong to.
    pub fn step(&self) -> u64 {
        self.0.step
    }

    /// Messages in the chunk.
    pub fn len(&self) -> usize {
        self.0.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The messages. Panics if they are of another type.
    pub fn items<T: Item>(&self) -> &[T] {
        assert_eq!(self.0.kind, T::KIND, "a chunk is read as what it is");
        bytemuck::cast_slice(&self.0.words[..self.len() * size_of::<T>() / 16])
    }

    /// Appends a message; `false`, and nothing appended, when the chunk is full.
    #[inline(always)]
    pub fn push<T: Item>(&mut self, item: T) -> bool {
        debug_assert_eq!(self.0.kind, T::KIND);
        let per_item = size_of::<T>() / 16;
        let start = self.len() * per_item;
        let Some(place) = self.0.words.get_mut(start..start + per_item) else {
            return false;
        };
        // Field by field: a message that is put together elsewhere and copied waits for its own fields to be written.
        *bytemuck::from_bytes_mut(bytemuck::cast_slice_mut(place)) = item;
        self.0.len += 1;
        true
    }
}

/// The chunks of one shard. Grows to what the largest epochs so far needed and then allocates nothing.
#[derive(Debug)]
pub struct Pool {
    owner: ShardId,
    free: Vec<Chunk>,
    made: usize,
}

impl Pool {
    /// A pool that starts with `ready` chunks.
    pub fn new(owner: ShardId, ready: usize) -> Self {
        let mut pool = Self { owner, free: Vec::with_capacity(4 * ready), made: 0 };
        for _ in 0..ready {
            let chunk = pool.make();
            pool.free.push(chunk);
        }
        pool
    }

    /// An empty chunk for messages of type `T` of this step.
    pub fn take<T: Item>(&mut self, step: u64) -> Chunk {
        const { assert!(size_of::<T>().is_multiple_of(16), "messages are copied by 16 bytes") };
        let mut chunk = self.free.pop().unwrap_or_else(|| self.make());
        chunk.0.kind = T::KIND;
        chunk.0.len = 0;
        chunk.0.step = step;
        chunk
    }

    /// Takes a chunk back. Panics if it belongs to another shard.
    pub fn give_back(&mut self, chunk: Chunk) {
        assert_eq!(chunk.owner(), self.owner, "a chunk goes back to the pool it came from");
        self.free.push(chunk);
    }

    /// Chunks made so far, and how many of them are free.
    pub fn counts(&self) -> (usize, usize) {
        (self.made, self.free.len())
    }

    fn make(&mut self) -> Chunk {
        self.made += 1;
        Chunk(Box::new(Inner { kind: Kind::Legs, owner: self.owner, len: 0, step: 0, words: [0; WORDS] }))
    }
}
