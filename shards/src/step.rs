//! What goes into a shard and what comes out: closed lists. The server and the simulation speak nothing else.

use crate::arrival::ConnectionId;
use crate::checkpoint::sheet::Sheet;
use crate::checkpoint::{self, Errand, ErrandEnd};
use crate::execute::mail::Outgoing;
use crate::execute::message::Message;
use crate::fetch::Read;
use crate::lead::Found;
use crate::ledger::pages::Fresh;
use crate::log::block::Block;
use crate::log::cut::CutSector;
use crate::log::recover::{Dropped, Hole};
use crate::log::{Damage, File};
use crate::pacer::{Counts, LogEnd};
use crate::past::{self, Facts, Question};
use crate::place::ShardId;
use auriga_wire::frame::{self, Header};
use auriga_wire::{Fault, Frame};

/// What happens to a shard.
#[derive(Debug)]
pub enum Input<'a> {
    /// Time passes.
    Tick,
    /// All that has come was taken, what the shard had for others was handed over, and it
    /// [`can begin`](crate::shard::Shard::can_begin) an epoch.
    Begin,
    /// To shard 0, once: take the state from a checkpoint, replay the log and open it.
    Recover(Box<Found>),
    /// A checked request arrived.
    Request(ConnectionId, Frame<'a>),
    /// A message came out of a ring.
    Message(ShardId, Message),
    /// A block is durable.
    BlockWritten(Block),
    /// The cut is durable.
    CutWritten(Box<CutSector>),
    /// Slots of the cut log from this epoch on, whole sectors; `end`: the files hold no more.
    CutsRead {
        /// Epoch of the first slot.
        first: u64,
        /// The slots.
        bytes: &'a [u8],
        /// Whether these were the last.
        end: bool,
    },
    /// A block was read for the replay, or why it could not be.
    BlockRead {
        /// The epoch it was read for.
        epoch: u64,
        /// Its place among the epoch's blocks.
        entry: usize,
        /// The memory it was read into.
        block: Block,
        /// The failure, if there was one.
        failure: Option<String>,
    },
    /// A part of the log was read for a job, or why it could not be.
    LogRead {
        /// The job.
        job: usize,
        /// The job's number for the read.
        slot: usize,
        /// The bytes, or the failure.
        result: Result<&'a [u8], String>,
    },
    /// The stream that the shard writes is prepared up to this byte offset.
    StreamPrepared {
        /// The offset.
        through: u64,
    },
    /// The cut log is prepared through the slot of this epoch.
    CutsPrepared {
        /// The epoch.
        through: u64,
    },
    /// History has answered a question.
    HistoryAnswer {
        /// The shard's number for it.
        job: usize,
        /// The answer.
        answer: &'a past::Answer,
    },
    /// History has taken in what it was told; the shard's memory comes back.
    HistoryTook(Box<Facts>),
    /// A sheet of a checkpoint is written.
    SheetWritten(Sheet),
    /// Sheets of a checkpoint were read, or why they could not be.
    SheetsRead(Result<&'a [u8], String>),
    /// An errand has ended.
    ErrandEnded {
        /// Whether it was one of the plan, and not of a part.
        of_plan: bool,
        /// How.
        end: ErrandEnd,
    },
    /// Nothing more can be prepared: the disk, or the log's bound, is full (or is not any more).
    StorageFull(bool),
    /// To shard 0: the server stops when all is done; a checkpoint is given up, and none is begun.
    Stop,
}

/// What a shard wants done.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes of [`Outputs::replies`].
    Reply(Reply),
    /// No memory for this connection's request now: offer it again after [`Output::Room`].
    Deferred(ConnectionId),
    /// Deferred requests may be offered again.
    Room,
    /// This memory may be made before it is touched; nothing depends on it.
    Populate(Fresh),
    /// Write a block, durably, and give it back.
    WriteBlock {
        /// The file.
        file: File,
        /// Byte offset in it.
        offset: u64,
        /// The block.
        block: Block,
    },
    /// Write a cut, durably, and give it back.
    WriteCut {
        /// The file.
        file: File,
        /// Byte offset in it.
        offset: u64,
        /// The cut.
        sector: Box<CutSector>,
    },
    /// Read slots of the cut log from this epoch on, to the end of their file at most.
    ReadCuts {
        /// The epoch.
        first: u64,
    },
    /// Read a block for the replay.
    ReadBlock {
        /// The epoch.
        epoch: u64,
        /// Its place among the epoch's blocks.
        entry: usize,
        /// The file.
        file: File,
        /// Byte offset in it.
        offset: u64,
        /// The memory to fill.
        block: Block,
    },
    /// Read a part of the log for a job.
    ReadLog {
        /// The job.
        job: usize,
        /// What to read.
        read: Read,
    },
    /// Tell history what became of an epoch.
    Executed(Box<Facts>),
    /// Ask history.
    AskHistory(Box<Question>),
    /// Prepare these segments of the stream that the shard writes.
    PrepareStream {
        /// The stream.
        stream: u16,
        /// The first segment wanted.
        first: u32,
        /// The last.
        last: u32,
    },
    /// Prepare these segments of the cut log.
    PrepareCuts {
        /// The first segment wanted.
        first: u32,
        /// The last.
        last: u32,
    },
    /// Write a sheet of a checkpoint and give it back. It need not be durable.
    WriteSheet {
        /// The part.
        file: checkpoint::File,
        /// The sheet's number in it.
        number: u32,
        /// The sheet.
        sheet: Sheet,
    },
    /// Read sheets of a checkpoint.
    ReadSheets {
        /// The part.
        file: checkpoint::File,
        /// The first sheet.
        first: u32,
        /// How many.
        count: u32,
    },
    /// Have something done with the files of checkpoints.
    Errand(Errand),
    /// From shard 0: what all shards hold, when it has grown by much.
    Holds(Counts),
    /// A checkpoint is begun.
    Checkpointing {
        /// It shows the state after this epoch.
        epoch: u64,
    },
    /// A checkpoint is whole.
    Checkpointed {
        /// It shows the state after this epoch.
        epoch: u64,
        /// Bytes of its parts.
        bytes: u64,
    },
    /// A checkpoint could not be taken; it will be tried again.
    CheckpointFailed(String),
    /// The state is that of a checkpoint; what follows is replayed.
    Loaded {
        /// The checkpoint's epoch.
        epoch: u64,
    },
    /// A checkpoint can't be loaded; what is left is tried.
    CheckpointDamaged(Damage),
    /// The log has no beginning, and there is no checkpoint that it continues.
    NoCheckpoint {
        /// The first epoch that the log has.
        log_from: u64,
    },
    /// An epoch of the log was replayed.
    Replayed {
        /// Its number.
        epoch: u64,
    },
    /// The log is replayed; how it ended.
    Recovered {
        /// Where it ends.
        end: LogEnd,
        /// What was dropped behind it.
        dropped: Option<Dropped>,
    },
    /// The log can't be replayed.
    Damaged(Box<Hole>),
    /// The clock is too far from the log's time: nanoseconds, positive if the clock is ahead.
    ClockIsAway {
        /// Clock minus the log's time.
        ahead_ns: i128,
    },
    /// Requests may come.
    Serving {
        /// This start's number.
        incarnation: u64,
    },
    /// Bytes of the log that a request needed are damaged; the request was told so.
    DamageFound(String),
}

/// A reply on its way.
#[derive(Clone, Debug)]
pub struct Reply {
    /// To whom.
    pub to: ConnectionId,
    /// Its bytes in [`Outputs::replies`].
    pub bytes: std::ops::Range<usize>,
    /// For a creation: when it had arrived and when its epoch was executed, monotonic nanoseconds.
    pub times: Option<(u64, u64)>,
}

/// The outputs of one or more steps. The driver does what `list` and `outgoing` say, in order, and clears all three.
#[derive(Debug, Default)]
pub struct Outputs {
    /// What to do.
    pub list: Vec<Output>,
    /// What to put into the rings.
    pub outgoing: Vec<Outgoing>,
    /// The bytes of all replies in `list`.
    pub replies: Vec<u8>,
}

impl Outputs {
    /// Adds an output.
    pub fn push(&mut self, output: Output) {
        self.list.push(output);
    }

    /// Adds a reply; `body` appends its body.
    pub fn reply(
        &mut self,
        to: ConnectionId,
        header: impl FnOnce(usize) -> Header,
        times: Option<(u64, u64)>,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.replies.len();
        self.replies.resize(start + frame::HEADER_SIZE, 0);
        body(&mut self.replies);
        let body_size = self.replies.len() - start - frame::HEADER_SIZE;
        let header = header(body_size);
        self.replies[start..start + frame::HEADER_SIZE].copy_from_slice(bytemuck::bytes_of(&header));
        frame::seal(&mut self.replies[start..]);
        let bytes = start..self.replies.len();
        self.push(Output::Reply(Reply { to, bytes, times }));
    }

    /// Adds the reply that refuses a whole request.
    pub fn refuse(&mut self, to: ConnectionId, request: &Header, cluster: u64, fault: &Fault) {
        let status = fault.code.number();
        self.reply(
            to,
            |size| Header::reply(request, status, 0, cluster, size),
            None,
            |body| {
                body.extend_from_slice(fault.message.as_bytes());
            },
        );
    }
}
