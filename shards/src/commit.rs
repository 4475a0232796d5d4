//! A shard's way from a full block to a committed epoch: sealing and writing when the pacer closes, reading in a replay,
//! and the queue of epochs that are announced, then committed, then executed.

use crate::arrival::{Batch, Filled};
use crate::checkpoint::manifest::Manifest;
use crate::execute::epoch::OwnBlock;
use crate::limits::{BLOCK_SIZE_LARGE, REPLAY_BLOCKS_KEPT, SECTOR_SIZE, STREAM_SEGMENT_SIZE};
use crate::log::Damage;
use crate::log::Identity;
use crate::log::block::{Block, Place};
use crate::log::cut::{BlockEntry, Cut, CutImage};
use crate::log::recover::BlockDamage;
use crate::log::segment::{next_block_offset, stream_place};
use crate::place::{Placement, ShardId, StreamId};
use crate::step::{Output, Outputs};
use std::collections::VecDeque;

/// Segments that are prepared beyond the one that is written.
const SEGMENTS_AHEAD: u32 = 2;

/// The block of this shard that is in flight.
#[derive(Debug)]
struct Sealed {
    epoch: u64,
    batches: Vec<Batch>,
    /// Back from the disk.
    block: Option<Block>,
    closed_ns: u64,
}

/// An announced epoch.
#[derive(Debug)]
pub struct Coming {
    /// Its cut.
    pub cut: Cut,
    /// Its blocks that arrived or are replayed here, by stream; in a replay, `None` until read.
    blocks: Vec<Option<Block>>,
    /// Its requests that arrived here; none in a replay.
    pub batches: Vec<Batch>,
    /// When it was closed and committed, monotonic nanoseconds.
    pub times: (u64, u64),
    committed: bool,
    damage: Option<BlockDamage>,
    /// Memory for what execution is given.
    own: Vec<OwnBlock>,
}

/// The log side of one shard.
#[derive(Debug)]
pub struct Commits {
    identity: Identity,
    shard: ShardId,
    placement: Placement,
    stream: StreamId,
    /// Where the stream's next block may begin.
    end: u64,
    /// The stream's files are ready up to here.
    prepared: u64,
    segment_asked: Option<u32>,
    sealed: Option<Sealed>,
    coming: VecDeque<Coming>,
    /// Memory of executed epochs.
    spare: Vec<Lists>,
    /// In a replay: large blocks of executed epochs.
    replayed: Vec<Block>,
}

/// The lists of one epoch, empty: memory that the next one takes.
#[derive(Debug, Default)]
struct Lists {
    entries: Vec<BlockEntry>,
    blocks: Vec<Option<Block>>,
    own: Vec<OwnBlock>,
}

impl Commits {
    /// An empty log.
    pub fn new(identity: Identity, shard: ShardId, placement: Placement) -> Self {
        let stream = placement.first_stream(shard);
        Self {
            identity,
            shard,
            placement,
            stream,
            end: 0,
            prepared: 0,
            segment_asked: None,
            sealed: None,
            coming: VecDeque::new(),
            spare: Vec::new(),
            replayed: Vec::new(),
        }
    }

    /// The log goes on behind a checkpoint.
    pub fn go_on_from(&mut self, manifest: &Manifest) {
        self.end = manifest.stream_ends[usize::from(self.stream.0)];
    }

    /// Whether the prepared part of the stream has room for `bytes` more.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.end + bytes <= self.prepared
    }

    /// The stream is prepared up to `through`.
    pub fn prepared(&mut self, through: u64) {
        self.prepared = self.prepared.max(through);
    }

    /// Asks for the segments that will be needed next.
    pub fn want_segments(&mut self, out: &mut Outputs) {
        let wanted = (self.end / STREAM_SEGMENT_SIZE) as u32 + SEGMENTS_AHEAD;
        if self.segment_asked.is_none_or(|asked| asked < wanted) {
            self.segment_asked = Some(wanted);
            out.push(Output::PrepareStream {
                stream: self.stream.0,
                first: (self.end / STREAM_SEGMENT_SIZE) as u32,
                last: wanted,
            });
        }
    }

    /// Seals a block for an epoch and writes it. Returns its entry and its size in the log.
    pub fn seal(
        &mut self,
        epoch: u64,
        incarnation: u64,
        filled: Filled,
        now_ns: u64,
        out: &mut Outputs,
    ) -> BlockEntry {
        let Filled { mut block, batches, .. } = filled;
        let size = block.bytes().len() as u64;
        let offset = next_block_offset(self.end, size);
        assert!(offset + size <= self.prepared, "requests are accepted into prepared room only");
        let place =
            Place { cluster: self.identity.cluster, incarnation, epoch, stream: self.stream.0, offset };
        let entry = block.seal(&place);
        self.end = offset + size;
        self.want_segments(out);
        let (file, at) = stream_place(self.stream.0, offset);
        self.sealed = Some(Sealed { epoch, batches, block: None, closed_ns: now_ns });
        out.push(Output::WriteBlock { file, offset: at, block });
        entry
    }

    /// The block in flight is durable. Returns its epoch.
    pub fn written(&mut self, block: Block) -> u64 {
        let sealed = self.sealed.as_mut().expect("what was written was sealed");
        sealed.block = Some(block);
        sealed.epoch
    }

    /// An epoch is announced. In a replay its blocks are read now.
    pub fn announce(&mut self, image: &CutImage, replay: bool, out: &mut Outputs) {
        let Lists { entries, blocks, own } = self.spare.pop().unwrap_or_default();
        let (cut, _) =
            Cut::decode_into(&self.identity, image.bytes(), entries).expect("only good cuts are announced");
        let mut coming =
            Coming { cut, blocks, batches: Vec::new(), times: (0, 0), committed: false, damage: None, own };
        if replay {
            for (entry, block) in own_entries(&coming.cut, &self.placement, self.shard).enumerate() {
                coming.blocks.push(None);
                let (file, offset) = stream_place(block.stream, block.offset);
                let memory = if block.size() < BLOCK_SIZE_LARGE {
                    Block::with_size(block.size())
                } else {
                    let mut memory = self.replayed.pop().unwrap_or_default();
                    memory.make_room(block.size());
                    memory
                };
                out.push(Output::ReadBlock { epoch: coming.cut.epoch, entry, file, offset, block: memory });
            }
        }
        self.coming.push_back(coming);
    }

    /// A block was read for the replay. When it was the epoch's last here: whether all of them are good.
    pub fn read(
        &mut self,
        epoch: u64,
        entry: usize,
        mut block: Block,
        failure: Option<String>,
    ) -> Option<Result<(), BlockDamage>> {
        let coming = self.coming.iter_mut().find(|c| c.cut.epoch == epoch)?;
        let named = *own_entries(&coming.cut, &self.placement, self.shard).nth(entry)?;
        let place = Place::of(self.identity.cluster, coming.cut.incarnation, epoch, &named);
        let opened = failure.map_or(Ok(()), |f| Err(Damage(f))).and_then(|()| block.open(&named, &place));
        if let Err(damage) = opened {
            coming.damage = Some(BlockDamage { epoch, stream: named.stream, offset: named.offset, damage });
        }
        coming.blocks[entry] = Some(block);
        if coming.blocks.iter().any(Option::is_none) {
            return None;
        }
        Some(coming.damage.clone().map_or(Ok(()), Err))
    }

    /// An epoch is committed: its blocks here, if it was logged by this start, are the ones in flight.
    pub fn commit(&mut self, epoch: u64, now_ns: u64) {
        let coming =
            self.coming.iter_mut().find(|c| c.cut.epoch == epoch).expect("announced before committed");
        coming.committed = true;
        coming.times = (now_ns, now_ns);
        if self.sealed.as_ref().is_some_and(|sealed| sealed.epoch == epoch) {
            let sealed = self.sealed.take().expect("looked at above");
            coming.blocks.push(Some(sealed.block.expect("committed means durable")));
            coming.batches = sealed.batches;
            coming.times.0 = sealed.closed_ns;
        }
        for block in coming.cut.blocks.iter().filter(|block| block.stream == self.stream.0) {
            self.end = self.end.max(block.offset + block.size() as u64);
        }
    }

    /// Forgets what is announced and not committed.
    pub fn discard(&mut self) {
        self.coming.retain(|coming| coming.committed);
    }

    /// Whether the next epoch is committed.
    pub fn has_next(&self) -> bool {
        self.coming.front().is_some_and(|coming| coming.committed)
    }

    /// The next epoch, if it is committed: the epoch and its blocks here.
    pub fn take_next(&mut self) -> Option<(Coming, Vec<OwnBlock>)> {
        if !self.has_next() {
            return None;
        }
        let mut coming = self.coming.pop_front()?;
        let (placement, shard) = (&self.placement, self.shard);
        let bases = coming.cut.bases().filter(|(_, b)| placement.stream_owner(StreamId(b.stream)) == shard);
        let mut own = std::mem::take(&mut coming.own);
        own.extend(bases.zip(coming.blocks.drain(..)).map(|((base, _), block)| OwnBlock {
            base: base as u16,
            block: block.expect("committed means read"),
        }));
        Some((coming, own))
    }

    /// Whether no block is in flight and no epoch is announced.
    pub fn is_idle(&self) -> bool {
        self.sealed.is_none() && self.coming.is_empty()
    }

    /// Takes back a block that was replayed, for the next one.
    pub fn take_back(&mut self, block: Block) {
        if block.bytes().len() >= BLOCK_SIZE_LARGE && self.replayed.len() < REPLAY_BLOCKS_KEPT {
            self.replayed.push(block);
        }
    }

    /// The replay is over: blocks are arrival's from now on.
    pub fn end_replay(&mut self) {
        self.replayed = Vec::new();
    }

    /// Done with an epoch: takes its lists back, emptied.
    pub fn done(&mut self, coming: Coming, own: Vec<OwnBlock>) {
        debug_assert!(coming.blocks.is_empty() && own.is_empty(), "the blocks are somewhere else");
        self.spare.push(Lists { entries: coming.cut.blocks, blocks: coming.blocks, own });
    }
}

/// The cut's blocks that belong to a shard, by stream.
fn own_entries<'a>(
    cut: &'a Cut,
    placement: &'a Placement,
    shard: ShardId,
) -> impl Iterator<Item = &'a BlockEntry> {
    cut.blocks.iter().filter(move |block| placement.stream_owner(StreamId(block.stream)) == shard)
}

const _: () = assert!(STREAM_SEGMENT_SIZE.is_multiple_of(SECTOR_SIZE as u64));
