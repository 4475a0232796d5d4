//! What a shard sends: chunks that fill up per receiver, markers, and what it sends to itself.

use super::message::{Lane, Message};
use crate::chunk::{Chunk, Item, Pool};
use crate::limits::CHUNK_SIZE;
use crate::place::ShardId;

/// A message and where it goes.
#[derive(Debug)]
pub struct Outgoing {
    /// The receiver; never the sender itself.
    pub to: ShardId,
    /// The message.
    pub message: Message,
}

/// The outgoing side of one shard. The driver empties [`Mail::outgoing`] after every step, in order.
#[derive(Debug)]
pub struct Mail {
    shard: ShardId,
    shards: u16,
    pool: Pool,
    /// What is to be put into the rings, in order.
    pub outgoing: Vec<Outgoing>,
    /// Chunks that this shard sent to itself.
    pub local: Vec<Chunk>,
}

impl Mail {
    /// The mail of `shard` among `shards`.
    pub fn new(shard: ShardId, shards: u16) -> Self {
        Self {
            shard,
            shards,
            pool: Pool::new(shard, 64 + 4 * usize::from(shards)),
            outgoing: Vec::with_capacity(1_024),
            local: Vec::with_capacity(256),
        }
    }

    /// The shard that sends.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Every other shard.
    pub fn others(&self) -> impl Iterator<Item = ShardId> + use<> {
        let shard = self.shard;
        (0..self.shards).map(ShardId).filter(move |to| *to != shard)
    }

    /// Sends a message to another shard.
    pub fn send(&mut self, to: ShardId, message: Message) {
        assert_ne!(to, self.shard, "no ring leads from a shard to itself");
        self.outgoing.push(Outgoing { to, message });
    }

    /// Sends a message to every other shard.
    pub fn broadcast(&mut self, message: impl Fn() -> Message) {
        for to in self.others() {
            self.outgoing.push(Outgoing { to, message: message() });
        }
    }

    /// Sends a chunk, to another shard or to this one.
    pub fn send_chunk(&mut self, to: ShardId, chunk: Chunk) {
        if to == self.shard {
            self.local.push(chunk);
        } else {
            self.outgoing.push(Outgoing { to, message: Message::Chunk(chunk) });
        }
    }

    /// An empty chunk.
    pub fn take<T: Item>(&mut self, step: u64) -> Chunk {
        self.pool.take::<T>(step)
    }

    /// Done with a chunk: it goes home.
    pub fn recycle(&mut self, chunk: Chunk) {
        if chunk.owner() == self.shard {
            self.pool.give_back(chunk);
        } else {
            let to = chunk.owner();
            self.outgoing.push(Outgoing { to, message: Message::Return(chunk) });
        }
    }

    /// A chunk of this shard came home.
    pub fn came_home(&mut self, chunk: Chunk) {
        self.pool.give_back(chunk);
    }

    /// Chunks that this shard has made, and those of them that are free.
    pub fn pool_counts(&self) -> (usize, usize) {
        self.pool.counts()
    }
}

/// Messages of one type on their way into chunks: one open chunk per receiver.
#[derive(Debug)]
pub struct Sorter<T> {
    open: Vec<Option<Chunk>>,
    item: std::marker::PhantomData<T>,
}

impl<T: Item> Sorter<T> {
    /// A sorter for so many receivers.
    pub fn new(shards: u16) -> Self {
        Self { open: (0..shards).map(|_| None).collect(), item: std::marker::PhantomData }
    }

    /// Whether the next message for `to` goes into a chunk that is open already.
    #[inline]
    pub fn has_room(&self, to: ShardId) -> bool {
        self.open[to.index()].as_ref().is_some_and(|chunk| chunk.len() < CHUNK_SIZE / size_of::<T>())
    }

    /// Adds a message for `to`; sends the chunk that is full. The room is made before, so that the message has one place to go to: it is
    /// written there field by field, and not put together elsewhere.
    #[inline(always)]
    pub fn push(&mut self, mail: &mut Mail, step: u64, to: ShardId, item: T) {
        if !self.has_room(to) {
            self.make_room(mail, step, to);
        }
        let chunk = self.open[to.index()].as_mut().expect("room was made");
        assert!(chunk.push(item), "room was made");
    }

    #[cold]
    fn make_room(&mut self, mail: &mut Mail, step: u64, to: ShardId) {
        let chunk = mail.take::<T>(step);
        if let Some(full) = self.open[to.index()].replace(chunk) {
            mail.send_chunk(to, full);
        }
    }

    /// Sends what is open for `to`.
    pub fn flush_to(&mut self, mail: &mut Mail, to: ShardId) {
        if let Some(chunk) = self.open[to.index()].take() {
            mail.send_chunk(to, chunk);
        }
    }

    /// Sends everything that is open.
    pub fn flush(&mut self, mail: &mut Mail) {
        for to in 0..self.open.len() {
            self.flush_to(mail, ShardId(to as u16));
        }
    }
}

impl Message {
    /// Panics if the message came on another lane than its own: a mistake of the driver.
    pub fn assert_lane(&self, lane: Lane) {
        assert_eq!(self.lane(), lane, "{self:?} came on the wrong lane");
    }
}
