//! Committed epochs, as the server would have logged them, of what the load generator sends.

use auriga_bench::model::Model;
use auriga_bench::workload::{CODE, LEDGER, Plan, account_id};
use auriga_shards::ledger::terms::Limited;
use auriga_shards::limits::{EPOCH_UNITS_MAX, STREAMS};
use auriga_shards::log::block::{Block, Place};
use auriga_shards::log::cut::{BlockEntry, Cut, CutSector};
use auriga_shards::log::segment::next_block_offset;
use auriga_shards::log::{IdMode, Identity};
use auriga_shards::place::{Placement, StreamId};
use auriga_wire::frame::{Command, REQUEST_RECORDS_MAX};
use auriga_wire::{Account, RequestFrame, Transfer};

/// What the bytes of the log have in common.
pub const IDENTITY: Identity = Identity { cluster: 7, id_mode: IdMode::Time };
/// The start that wrote the log.
const INCARNATION: u64 = 1;
/// Accounts that transfers move between.
pub const ACCOUNTS: u32 = 10_000;
/// Transfers of a full request.
pub const BATCH: u32 = REQUEST_RECORDS_MAX as u32;
/// Blocks of an epoch of full ones.
pub const FULL_BLOCKS: u16 = 8;
/// Units of a block beside the transfers: its own header and that of its only request.
const HEADERS: usize = 2;
/// Always the same, so that instructions can be counted again: unix milliseconds of the ids.
const STARTED_MS: u64 = 1_790_000_000_000;
/// Between two requests, in the time of their ids: as if there were four million transfers a second.
const REQUEST_MS: u64 = 2;

const _: () = assert!(FULL_BLOCKS as usize * (REQUEST_RECORDS_MAX + HEADERS) == EPOCH_UNITS_MAX);

/// What a run of the load generator sends: plain transfers of `batch` a request between [`ACCOUNTS`] accounts.
pub fn plan(batch: u32) -> Plan {
    Plan { started_ms: STARTED_MS, ..Plan::plain(ACCOUNTS, batch) }
}

/// The load generator's requests, one after the other, with new ids.
#[derive(Debug)]
pub struct Requests {
    model: Model,
}

impl Requests {
    /// Of so many transfers each.
    pub fn new(batch: u32) -> Self {
        Self { model: Model::new(plan(batch), 0) }
    }

    /// Makes the next one as the generator does: transfers in place, then header and checksum.
    pub fn make(&mut self, frame: &mut RequestFrame) {
        self.make_with(frame, |_| {});
    }

    /// Makes the next one, with its transfers changed.
    pub fn make_with(&mut self, frame: &mut RequestFrame, change: impl FnOnce(&mut [Transfer])) {
        frame.begin(Command::CreateTransfers, self.model.next_size() as usize);
        let ms = self.model.kept.sent() * REQUEST_MS;
        let number = self.model.send(ms as u32, frame.records_mut());
        change(frame.records_mut());
        frame.seal(number + 1, 0);
    }
}

/// A frame that creates accounts.
pub fn create_accounts(accounts: &[Account]) -> RequestFrame {
    let mut frame = RequestFrame::create_accounts(accounts);
    frame.seal(1, 0);
    frame
}

/// The accounts of [`plan`], with these flags.
pub fn accounts(ids: impl Iterator<Item = u128>, flags: u16) -> Vec<Account> {
    ids.map(|id| Account { id, ledger: LEDGER, code: CODE, flags, ..Account::default() }).collect()
}

/// The ids of the accounts that the load generator's transfers move between.
pub fn account_ids() -> impl Iterator<Item = u128> {
    (0..ACCOUNTS).map(account_id)
}

/// A committed epoch.
#[derive(Debug)]
pub struct Epoch {
    /// What its cut says.
    pub cut: Cut,
    /// The cut as it lies in the log.
    pub sector: Box<CutSector>,
    /// Its blocks, sealed, as its cut names them.
    pub blocks: Vec<Block>,
}

/// Writes epochs, one after the other.
#[derive(Debug)]
pub struct Log {
    epoch: u64,
    time: u64,
    previous: u128,
    /// By stream: where its next block may begin.
    ends: Vec<u64>,
}

impl Log {
    /// An empty log.
    pub fn new() -> Self {
        Self { epoch: 0, time: STARTED_MS * 1_000_000, previous: 0, ends: vec![0; STREAMS] }
    }

    /// Where a block of the next epoch belongs.
    pub fn place(&self, stream: StreamId, size: u64) -> Place {
        let offset = next_block_offset(self.ends[usize::from(stream.0)], size);
        let (cluster, epoch) = (IDENTITY.cluster, self.epoch + 1);
        Place { cluster, incarnation: INCARNATION, epoch, stream: stream.0, offset }
    }

    /// An epoch of one block for each of these requests, each in a stream of its own, in this order.
    pub fn write(&mut self, requests: &[(StreamId, &RequestFrame)]) -> Epoch {
        let blocks = requests.iter().map(|(_, request)| {
            let mut block = Block::new();
            block.push(request.bytes());
            block
        });
        let blocks = blocks.collect();
        self.close(requests.iter().map(|(stream, _)| *stream), blocks)
    }

    /// Seals blocks, and the epoch with them.
    pub fn close(&mut self, streams: impl Iterator<Item = StreamId>, mut blocks: Vec<Block>) -> Epoch {
        let seal = |(stream, block): (StreamId, &mut Block)| -> BlockEntry {
            let size = block.bytes().len() as u64;
            block.seal(&self.place(stream, size))
        };
        let entries: Vec<BlockEntry> = streams.zip(&mut blocks).map(seal).collect();
        for entry in &entries {
            self.ends[usize::from(entry.stream)] = entry.offset + entry.size() as u64;
        }
        self.epoch += 1;
        let cut = Cut {
            epoch: self.epoch,
            time: self.time,
            incarnation: INCARNATION,
            previous: self.previous,
            committed_through: self.epoch - 1,
            horizon: 0,
            ids_through: u64::MAX,
            limited: Limited::default(),
            expire_through: 0,
            blocks: entries,
        };
        // Timestamps of two epochs never meet.
        self.time += cut.units() as u64 + 1;
        let mut sector = CutSector::new();
        self.previous = cut.encode(&IDENTITY, &mut sector);
        Epoch { cut, sector, blocks }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

/// The streams of an epoch whose blocks arrive evenly at all shards, and how many transfers each block has: the epoch is as
/// large as one can be, with no fewer than [`FULL_BLOCKS`] blocks and at least one for each shard.
pub fn even_epoch(placement: &Placement) -> (Vec<StreamId>, u32) {
    let shards = placement.shards();
    let blocks_each = FULL_BLOCKS.div_ceil(shards);
    let streams = placement.all().flat_map(|shard| {
        let first = placement.first_stream(shard).0;
        (first..first + blocks_each).map(StreamId)
    });
    let streams: Vec<StreamId> = streams.collect();
    let transfers = EPOCH_UNITS_MAX / streams.len() - HEADERS;
    (streams, transfers as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use auriga_shards::log::recover::Recovery;
    use auriga_shards::pacer::LogEnd;

    #[test]
    fn what_is_written_is_what_recovery_accepts() {
        let mut log = Log::new();
        let mut requests = Requests::new(100);
        let mut recovery = Recovery::new(IDENTITY, LogEnd::default());
        let mut ids = std::collections::BTreeSet::new();
        for number in 1..=3 {
            let mut frames = [RequestFrame::default(), RequestFrame::default()];
            frames.iter_mut().for_each(|frame| requests.make(frame));
            let mut epoch = log.write(&[(StreamId(0), &frames[0]), (StreamId(64), &frames[1])]);
            let cut = recovery.take(number, &epoch.sector.0).expect("it continues the log");
            assert_eq!((cut.epoch, cut.units()), (number, 204));
            for (entry, block) in cut.blocks.iter().zip(&mut epoch.blocks) {
                let place = Place::of(IDENTITY.cluster, INCARNATION, number, entry);
                block.open(entry, &place).expect("it is as it was sealed");
                ids.extend((2..102).map(|unit| block.transfer(unit).id));
            }
        }
        assert_eq!(ids.len(), 600, "ids are new");
    }

    #[test]
    fn an_even_epoch_is_full_for_every_number_of_shards() {
        for shards in [1, 2, 4, 8, 16, 32, 64] {
            let placement = Placement::new(shards, 1);
            let (streams, transfers) = even_epoch(&placement);
            assert!(streams.is_sorted_by(|one, next| one < next));
            assert_eq!(streams.len() * (transfers as usize + HEADERS), EPOCH_UNITS_MAX);
            for shard in placement.all() {
                let own = streams.iter().filter(|stream| placement.stream_owner(**stream) == shard).count();
                assert_eq!(own, streams.len() / usize::from(shards));
            }
        }
    }
}
