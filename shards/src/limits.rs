//! Every bound of the shard, in one place, each with its reason, and the relations that must hold between them.
//!
//! Constants here are of two kinds. *Format* constants are written into the log's meaning and never change within a
//! format version. *Resources* are sizes of memory, chosen at start ([`Limits`]) and never a reason for another result.

use auriga_wire::frame::{HEADER_SIZE, REQUEST_RECORDS_MAX};
use auriga_wire::record::RECORD_SIZE;

/// Format: bytes of a log unit. Frame headers, records and block headers are one unit each, so that an index into a
/// block is a byte offset.
pub const UNIT_SIZE: usize = 128;

/// Format: cuts and blocks start and end at multiples of this. 4 KiB is the largest logical sector that drives have.
pub const SECTOR_SIZE: usize = 4_096;

/// Format: units of the largest block: its header, and two of the largest requests with room.
pub const BLOCK_UNITS_MAX: usize = 16_384;

/// Format: bytes of the largest block. A flush costs some fixed time, most of it waiting, so a shard writes what two large
/// requests have brought at once; the durable write rate of a drive levels off at 1 MiB.
pub const BLOCK_SIZE_MAX: usize = BLOCK_UNITS_MAX * UNIT_SIZE;

/// Resource: units that a shard's blocks have room for: what lets each of so many shards have a block in every epoch, if that is enough
/// for the largest request.
pub const fn block_units(shards: u16) -> usize {
    let share = EPOCH_UNITS_MAX / shards as usize;
    if share < BLOCK_UNITS_MIN {
        BLOCK_UNITS_MIN
    } else if share > BLOCK_UNITS_MAX {
        BLOCK_UNITS_MAX
    } else {
        share
    }
}

/// Units of a block for one of the largest requests.
const BLOCK_UNITS_MIN: usize = 1 + 1 + REQUEST_RECORDS_MAX;

/// Format: streams of a log, so also the most shards that a server runs.
pub const STREAMS: usize = 128;

/// Format: units of all blocks of an epoch. An index into an epoch fits 16 bits; four of the largest blocks, or 128 blocks
/// of 512 units, make one epoch, and 20 million transfers a second are then some 300 epochs.
pub const EPOCH_UNITS_MAX: usize = 65_536;

/// Format: blocks of an epoch: what a cut of one sector has room for.
pub const EPOCH_BLOCKS_MAX: usize = 112;

/// Format: bytes of data in a segment of a stream, after its header sector.
pub const STREAM_SEGMENT_SIZE: u64 = 64 << 20;

/// Format: cuts in a segment of the cut log, after its header sector.
pub const CUT_SEGMENT_SLOTS: u64 = 4_096;

/// Resource: committed epochs that wait to be executed, on the slowest shard. With one in flight this lets a flush
/// overlap an execution and nothing pile up.
pub const EPOCHS_AHEAD_MAX: u64 = 2;

/// Resource: block buffers of a shard. One fills, one is flushed, two are executed or wait for it, and the others take
/// requests that the pacer defers.
pub const BLOCK_BUFFERS: usize = 8;

/// Resource: epochs that a replay reads ahead of what the slowest shard has executed. Enough to keep a drive busy when
/// the epochs are small, and at most 128 MiB of blocks when they are large.
pub const REPLAY_AHEAD: u64 = 16;

/// Resource: large blocks whose memory a shard keeps in a replay, for the next ones: what each of two shards has under way when epochs
/// are full. Fresh memory costs more than the reading of the block.
pub const REPLAY_BLOCKS_KEPT: usize = 2 * REPLAY_AHEAD as usize;

/// Resource: bytes from which a block is a large one: few of the others are under way, or they are cheap.
pub const BLOCK_SIZE_LARGE: usize = BLOCK_SIZE_MAX / 8;

/// Resource: bytes of a chunk. A few hundred messages make the cost of a ring hop small beside the messages' own.
pub const CHUNK_SIZE: usize = 16 << 10;

/// Resource: cut slots that stay free for what was accepted when the disk or the log is full: every full block of every
/// shard, eight an epoch, then a seal and the opening cuts of a few restarts.
pub const CUT_SLOTS_RESERVE: u64 = 160;

/// Resource: look-ups that a shard has under way for its connections; more wait at the socket. Each may hold an answer
/// of 1 MiB.
pub const QUERIES_MAX: usize = 16;

/// Resource: reads of the log under way for one look-up.
pub const QUERY_READS_MAX: usize = 16;

/// Idle time after which an empty seal cut proves the last commit, nanoseconds. Long enough to stay out of the way of
/// a client that sends its next request at once.
pub const SEAL_DELAY_NS: u64 = 5_000_000;

/// Slots of a ring on the route lane: two epochs (one executed, one routed ahead) of what one shard's blocks can send
/// to one other shard, and its look-ups.
pub const ROUTE_RING_SLOTS: usize = 2 * ROUTE_CHUNKS_MAX + 2 * QUERIES_MAX * 16 + 16;

/// Slots of a ring on the control lane, see the assertion below.
pub const CONTROL_RING_SLOTS: usize = 11_264;

/// Resource: pending transfers that expire in one epoch, all shards: few enough to hold nothing up, and some hundred thousand
/// a second. A few more may have the very same deadline.
pub const EXPIRE_MAX: usize = 4_096;

/// Resource: bytes that a shard keeps of what history has to be told and has not taken. A block all of whose events are created
/// takes a hundred, so history may be hours behind; at the bound new batches are refused.
pub const FACTS_MAX: u64 = 16 << 20;

/// How far an id's time may be ahead of the ledger's and the server's clock, nanoseconds: what clocks of well-kept hosts differ by
/// at most, with room.
pub const IDS_AHEAD_NS: u64 = 60_000_000_000;

/// Ids younger than this are never forgotten to make room, nanoseconds: a client's request is under way for that long at most, and
/// new batches are refused instead.
pub const IDS_KEPT_NS: u64 = 10_000_000_000;

/// Resource: ids that stay free below the bound when room is made: what is logged and not executed, and the next epochs.
pub const IDS_RESERVE: u64 = 8 * EPOCH_UNITS_MAX as u64;

const LEGS_PER_CHUNK: usize = CHUNK_SIZE / 48;
const NOTES_PER_CHUNK: usize = CHUNK_SIZE / 32;
const ACCOUNTS_PER_CHUNK: usize = CHUNK_SIZE / 144;
/// A shard's blocks of one epoch in a replay can be all of the epoch's: transfers, pending ones at worst, or accounts.
const RECORD_CHUNKS_MAX: usize = 2 * EPOCH_UNITS_MAX / LEGS_PER_CHUNK
    + EPOCH_UNITS_MAX / NOTES_PER_CHUNK
    + EPOCH_UNITS_MAX / (CHUNK_SIZE / 64);
/// With the accounts that the epoch before closed or opened, what expires, and every kind's last chunk.
const ROUTE_CHUNKS_MAX: usize =
    RECORD_CHUNKS_MAX + 2 * EPOCH_UNITS_MAX / (CHUNK_SIZE / 32) + 4 * EXPIRE_MAX / (CHUNK_SIZE / 48) + 8;
const _: () = assert!(RECORD_CHUNKS_MAX > EPOCH_UNITS_MAX / ACCOUNTS_PER_CHUNK, "accounts need less");

/// A transfer's legs, its note and its deadline can refuse, each leg can hold, and the coordinator can refuse for each of
/// these once more.
const VOTE_CHUNKS_MAX: usize = 10 * EPOCH_UNITS_MAX / (CHUNK_SIZE / 32) + 4;
/// What posts and voids do to accounts and are to their ids, and what variable transfers move.
const CLAIM_CHUNKS_MAX: usize =
    2 * EPOCH_UNITS_MAX / (CHUNK_SIZE / 64) + 2 * EPOCH_UNITS_MAX / (CHUNK_SIZE / 32) + 4;
/// What is open in an epoch, all for one coordinator: legs, notes and claims, or accounts.
const OPEN_CHUNKS_MAX: usize = 2 * EPOCH_UNITS_MAX / (CHUNK_SIZE / 128)
    + EPOCH_UNITS_MAX / (CHUNK_SIZE / 16)
    + EPOCH_UNITS_MAX / (CHUNK_SIZE / 64)
    + 4;
/// Answers to all look-ups of one shard, found at one other.
const ANSWER_CHUNKS_MAX: usize = QUERIES_MAX * (REQUEST_RECORDS_MAX / ACCOUNTS_PER_CHUNK + 1);
/// Questions of one shard to one other.
const QUESTION_CHUNKS_MAX: usize = QUERIES_MAX * (REQUEST_RECORDS_MAX / NOTES_PER_CHUNK + 1);

const _: () =
    assert!(UNIT_SIZE == RECORD_SIZE && UNIT_SIZE == HEADER_SIZE, "an index in a block is an offset");
const _: () = assert!(
    BLOCK_UNITS_MIN <= BLOCK_UNITS_MAX && (BLOCK_UNITS_MIN * UNIT_SIZE).is_multiple_of(SECTOR_SIZE),
    "the largest request fits a block, and fills the sectors of the smallest"
);
const _: () = assert!(BLOCK_SIZE_MAX.is_multiple_of(SECTOR_SIZE), "a full block ends at a sector");
const _: () = assert!(EPOCH_UNITS_MAX - 1 <= u16::MAX as usize, "an index into an epoch fits 16 bits");
const _: () = assert!(EPOCH_UNITS_MAX >= BLOCK_UNITS_MAX, "the pacer can always take a full block");
const _: () = assert!(STREAM_SEGMENT_SIZE >= 8 * BLOCK_SIZE_MAX as u64, "a segment's last gap stays small");
const _: () =
    assert!(BLOCK_BUFFERS >= EPOCHS_AHEAD_MAX as usize + 3, "one fills while the others are under way");
const _: () = assert!(
    ROUTE_RING_SLOTS >= 2 * ROUTE_CHUNKS_MAX + QUESTION_CHUNKS_MAX + QUERIES_MAX + 8,
    "an epoch, the next one and all look-ups fit a ring at worst, so that back-pressure can't deadlock"
);
const _: () = assert!(
    CONTROL_RING_SLOTS
        >= VOTE_CHUNKS_MAX + CLAIM_CHUNKS_MAX + OPEN_CHUNKS_MAX + ANSWER_CHUNKS_MAX
            // and as much again on its way home, with what came on the route lane
            + VOTE_CHUNKS_MAX + CLAIM_CHUNKS_MAX + OPEN_CHUNKS_MAX + ANSWER_CHUNKS_MAX
            + ROUTE_CHUNKS_MAX + QUESTION_CHUNKS_MAX
            // the pacer's messages
            + 256,
    "all that two shards can owe each other fits a ring at worst, so that back-pressure can't deadlock"
);

/// Bounds that an operator chooses. None of them changes the result of a logged request: what they lead to is in the cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Accounts of the ledger, all shards. At the bound new creations are refused, before they are logged if possible.
    pub accounts_max: u64,
    /// Transfer ids that are remembered, all shards. With time-ordered ids the oldest are forgotten at the bound; where that is not
    /// enough, new transfers are refused, before they are logged if possible.
    pub ids_max: u64,
    /// Pending transfers, all shards. At the bound new ones are refused.
    pub pendings_max: u64,
    /// Time-ordered ids are remembered for so long, nanoseconds.
    pub window_ns: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            accounts_max: 10_000_000,
            ids_max: 250_000_000,
            pendings_max: 10_000_000,
            window_ns: 24 * 3_600 * 1_000_000_000,
        }
    }
}
