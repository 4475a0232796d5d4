//! A random log as the bytes that a server would have written: sealed blocks, and the cuts that close the epochs.

use crate::model::Terms;
use crate::random_log::{Events, RandomLog, Request, TIME_START};
use auriga_shards::execute::epoch::OwnBlock;
use auriga_shards::ledger::terms::Limited;
use auriga_shards::log::block::{Block, Place};
use auriga_shards::log::cut::{BlockEntry, Cut, CutSector};
use auriga_shards::log::{IdMode, Identity};
use auriga_shards::place::{Placement, Position, ShardId, StreamId};
use auriga_wire::frame::{self, Command, HEADER_SIZE, Header};
use auriga_wire::record::RECORD_SIZE;
use auriga_wire::{Account, Transfer};
use fastrand::Rng;
use std::collections::BTreeMap;

const IDENTITY: Identity = Identity { cluster: 7, id_mode: IdMode::Any };
const INCARNATION: u64 = 1;

/// A request in its block.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) stream: StreamId,
    /// Index of the first event in the epoch.
    pub(crate) first: u16,
    pub(crate) events: Events,
}

impl Placed {
    /// Each event's index in the epoch.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = u16> {
        (self.first..=u16::MAX).take(self.events.len())
    }
}

/// A committed epoch.
#[derive(Debug)]
pub(crate) struct LoggedEpoch {
    pub(crate) cut: Cut,
    /// In position order.
    pub(crate) requests: Vec<Placed>,
}

/// A written log.
#[derive(Debug, Default)]
pub(crate) struct Logged {
    /// Epoch 1 and those that follow; some have no blocks.
    pub(crate) epochs: Vec<LoggedEpoch>,
    /// The bytes of each block, by stream and offset.
    blocks: BTreeMap<(u16, u64), Vec<u8>>,
    /// Checksum of the newest cut.
    previous: u128,
}

impl Logged {
    /// Writes a log, with empty epochs put in at random.
    pub(crate) fn new(log: &RandomLog, rng: &mut Rng) -> Self {
        let mut logged = Self::default();
        for epoch in &log.epochs {
            if rng.u8(..8) == 0 {
                let terms = logged.epochs.last().map_or_else(Terms::default, |last| terms_of(&last.cut));
                logged.append(&[], 0, u64::MAX, terms);
            }
            logged.append(&epoch.requests, epoch.pause, epoch.expire_back, epoch.terms);
        }
        logged
    }

    fn append(&mut self, requests: &[Request], pause: u64, expire_back: u64, terms: Terms) {
        let epoch = self.epochs.len() as u64 + 1;
        let (mut entries, mut placed, mut base) = (Vec::new(), Vec::new(), 0);
        for requests in requests.chunk_by(|a, b| a.stream == b.stream) {
            let (entry, units) = self.append_block(epoch, requests);
            for (request, unit) in requests.iter().zip(units) {
                let first = u16::try_from(base + u32::from(unit)).expect("an index fits 16 bits");
                let (stream, events) = (StreamId(request.stream), request.events.clone());
                placed.push(Placed { stream, first, events });
            }
            base += entry.units;
            entries.push(entry);
        }
        let end_of_last =
            self.epochs.last().map_or(TIME_START, |last| last.cut.time + last.cut.units() as u64);
        let time = end_of_last + pause;
        let expired_through = self.epochs.last().map_or(0, |last| last.cut.expire_through);
        let cut = Cut {
            epoch,
            time,
            incarnation: INCARNATION,
            previous: self.previous,
            committed_through: epoch - 1,
            horizon: terms.horizon,
            ids_through: terms.ids_through,
            limited: limited(&terms),
            expire_through: expired_through.max(time.saturating_sub(expire_back)),
            blocks: entries,
        };
        let mut sector = CutSector::new();
        self.previous = cut.encode(&IDENTITY, &mut sector);
        let (cut, _) = Cut::decode(&IDENTITY, &sector.0).expect("a cut that was written can be read");
        self.epochs.push(LoggedEpoch { cut, requests: placed });
    }

    /// Writes a block; also returns the unit of each request's first event.
    fn append_block(&mut self, epoch: u64, requests: &[Request]) -> (BlockEntry, Vec<u16>) {
        let stream = requests[0].stream;
        let last = self.blocks.range((stream, 0)..=(stream, u64::MAX)).next_back();
        let offset = last.map_or(0, |((_, offset), bytes)| offset + bytes.len() as u64);
        let frames: Vec<Vec<u8>> = requests.iter().map(request_frame).collect();
        let mut block = Block::with_size(HEADER_SIZE + frames.iter().map(Vec::len).sum::<usize>());
        let units = frames.iter().map(|frame| block.push(frame) + 1).collect();
        let entry = block.seal(&place(epoch, stream, offset));
        self.blocks.insert((stream, offset), block.bytes().to_vec());
        (entry, units)
    }

    /// The blocks of an epoch that arrived at a shard, read as a replay reads them.
    pub(crate) fn own_blocks(&self, cut: &Cut, placement: &Placement, shard: ShardId) -> Vec<OwnBlock> {
        cut.bases()
            .filter(|(_, entry)| placement.stream_owner(StreamId(entry.stream)) == shard)
            .map(|(base, entry)| {
                let mut block = Block::with_size(entry.size());
                block.memory_mut().copy_from_slice(self.bytes(entry));
                block
                    .open(entry, &place(cut.epoch, entry.stream, entry.offset))
                    .expect("a block that was written can be read");
                OwnBlock { base: u16::try_from(base).expect("an index fits 16 bits"), block }
            })
            .collect()
    }

    /// The bytes of a block.
    pub(crate) fn bytes(&self, entry: &BlockEntry) -> &[u8] {
        &self.blocks[&(entry.stream, entry.offset)]
    }

    /// The transfer at a position, by its place in the stream.
    pub(crate) fn transfer(&self, position: Position) -> Option<Transfer> {
        let epoch = self.epochs.get(usize::try_from(position.epoch()).ok()?.checked_sub(1)?)?;
        let (StreamId(stream), at) = epoch.cut.locate(position.index())?;
        let ((_, offset), bytes) = self.blocks.range((stream, 0)..=(stream, at)).next_back()?;
        let start = usize::try_from(at - offset).ok()?;
        Some(bytemuck::pod_read_unaligned(bytes.get(start..start + RECORD_SIZE)?))
    }
}

/// What a cut says of ids and limits.
pub fn terms_of(cut: &Cut) -> Terms {
    Terms {
        horizon: cut.horizon,
        ids_through: cut.ids_through,
        accounts_limited: cut.limited.is(Limited::ACCOUNTS),
        ids_limited: cut.limited.is(Limited::IDS),
        pendings_limited: cut.limited.is(Limited::PENDINGS),
    }
}

fn limited(terms: &Terms) -> Limited {
    let bit = |is: bool, bit: u8| if is { bit } else { 0 };
    Limited(
        bit(terms.accounts_limited, Limited::ACCOUNTS)
            | bit(terms.ids_limited, Limited::IDS)
            | bit(terms.pendings_limited, Limited::PENDINGS),
    )
}

fn place(epoch: u64, stream: u16, offset: u64) -> Place {
    Place { cluster: IDENTITY.cluster, incarnation: INCARNATION, epoch, stream, offset }
}

fn request_frame(request: &Request) -> Vec<u8> {
    let (command, body) = match &request.events {
        Events::Accounts(accounts) => {
            (Command::CreateAccounts, bytemuck::cast_slice::<Account, u8>(accounts))
        }
        Events::Transfers(transfers) => {
            (Command::CreateTransfers, bytemuck::cast_slice::<Transfer, u8>(transfers))
        }
    };
    let header = Header::request(command, 1, body.len());
    let mut frame = [bytemuck::bytes_of(&header), body].concat();
    frame::seal(&mut frame);
    frame
}
