//! One epoch of full requests, stopped before each stage of its way.
//!
//! Two shards: requests arrive at the *desk*, which also coordinates, and every account and id is at the *books*. So each
//! stage is a few calls of the engine on one shard, and nothing of another stage is among them: what a shard would send to
//! itself goes over the mesh here.

mod maker;
mod rig;

use crate::log::{BATCH, Epoch, FULL_BLOCKS, IDENTITY, Log, Requests};
use auriga_shards::arrival::{Arrivals, ConnectionId, Filled};
use auriga_shards::limits::{BLOCK_UNITS_MAX, block_units};
use auriga_shards::log::block::Place;
use auriga_shards::log::recover::Recovery;
use auriga_shards::pacer::LogEnd;
use auriga_shards::place::{ShardId, StreamId};
use auriga_wire::{Frame, RequestFrame};
use rig::Rig;
use std::sync::OnceLock;

/// Where the requests arrive. Of an even epoch also the coordinator.
const DESK: ShardId = ShardId(0);
/// Where all accounts and ids are.
const BOOKS: ShardId = ShardId(1);
/// Transfers of the epoch whose stages are measured.
pub const TRANSFERS: u64 = FULL_BLOCKS as u64 * BATCH as u64;

/// What the epoch consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Plain transfers between accounts without limits: nothing is held.
    Plain,
    /// Plain transfers between accounts that may not be overdrawn and have little: many are held, and some refused.
    Tight,
}

/// The stages of an epoch's way, in its order, and the read of it at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The frames are checked.
    Parse,
    /// They are copied into blocks, and these are sealed.
    Append,
    /// The books begin the epoch: what it takes of a shard that has no block in it.
    Begin,
    /// The desk makes legs and notes of the blocks.
    Route,
    /// These go through the mesh.
    Hop,
    /// The books take the legs: look up, judge, and apply where there is no limit.
    Legs,
    /// The books take the notes: look up and remember ids.
    Ids,
    /// The books say what they refuse and hold, and the desk hears it.
    Vote,
    /// What is open goes to the coordinator.
    Gather,
    /// The coordinator decides, and the books hear it.
    Scatter,
    /// The books apply what is decided.
    Apply,
    /// The desk answers the requests.
    Reply,
    /// A start reads cut and blocks, and checks them.
    Recover,
}

impl Work {
    /// The stages between routing and the replies that there are for it.
    fn steps(self) -> &'static [Stage] {
        use Stage::{Apply, Begin, Gather, Hop, Ids, Legs, Reply, Route, Scatter, Vote};
        match self {
            Self::Plain => &[Begin, Route, Hop, Legs, Ids, Vote, Apply, Reply],
            Self::Tight => &[Begin, Route, Hop, Legs, Ids, Vote, Gather, Scatter, Apply, Reply],
        }
    }
}

/// Everything that a stage needs.
#[derive(Debug)]
pub enum Ready {
    /// Frames as they were received.
    Parse(&'static [RequestFrame]),
    /// Checked frames, and empty blocks.
    Append(Vec<Frame<'static>>, Box<Arrivals>, Box<Log>),
    /// A log of one epoch, as it was read.
    Recover(Box<Recovery>, Box<Epoch>),
    /// An epoch on its way, and its next stage.
    Execute(Box<Rig>, Stage),
}

impl Ready {
    /// Goes on to the stage.
    pub fn before(work: Work, stage: Stage) -> Self {
        match stage {
            Stage::Parse => Self::Parse(frames()),
            Stage::Append => {
                let checked = frames().iter().map(|frame| check(frame));
                let arrivals = Arrivals::new(block_units(FULL_BLOCKS));
                Self::Append(checked.collect(), Box::new(arrivals), Box::default())
            }
            Stage::Recover => {
                let streams = (0..FULL_BLOCKS).map(StreamId);
                let requests: Vec<_> = streams.zip(frames()).collect();
                let recovery = Recovery::new(IDENTITY, LogEnd::default());
                Self::Recover(Box::new(recovery), Box::new(Log::new().write(&requests)))
            }
            _ => {
                let mut rig = Rig::new(work);
                for earlier in work.steps().iter().take_while(|earlier| **earlier != stage) {
                    rig.prepare(*earlier);
                    rig.run(*earlier);
                }
                rig.prepare(stage);
                Self::Execute(Box::new(rig), stage)
            }
        }
    }

    /// What is measured. Comes back, so that its end is not measured, too.
    #[must_use]
    pub fn run(mut self) -> Self {
        match &mut self {
            Self::Parse(frames) => {
                for frame in *frames {
                    std::hint::black_box(check(frame));
                }
            }
            Self::Append(frames, arrivals, log) => append(frames, arrivals, log),
            Self::Recover(recovery, epoch) => recover(recovery, epoch),
            Self::Execute(rig, stage) => rig.run(*stage),
        }
        self
    }
}

/// The requests of an epoch.
fn frames() -> &'static [RequestFrame] {
    static FRAMES: OnceLock<Vec<RequestFrame>> = OnceLock::new();
    FRAMES.get_or_init(|| {
        let mut requests = Requests::new(BATCH);
        let mut make = |_| {
            let mut frame = RequestFrame::default();
            requests.make(&mut frame);
            frame
        };
        (0..FULL_BLOCKS).map(&mut make).collect()
    })
}

fn check(frame: &RequestFrame) -> Frame<'_> {
    Frame::check(frame.bytes()).expect("the generator's frames are good").1
}

fn append(frames: &[Frame<'static>], arrivals: &mut Arrivals, log: &Log) {
    for frame in frames {
        assert!(arrivals.push(ConnectionId(1), frame, 0), "there is a buffer for each");
    }
    for stream in (0..FULL_BLOCKS).map(StreamId) {
        let filled = arrivals.take_front(BLOCK_UNITS_MAX as u32);
        let Filled { mut block, batches, .. } = filled.expect("each request has filled one");
        let place = log.place(stream, block.bytes().len() as u64);
        std::hint::black_box(block.seal(&place));
        arrivals.give_back(block, batches);
    }
}

fn recover(recovery: &mut Recovery, epoch: &mut Epoch) {
    let cut = recovery.take(epoch.cut.epoch, &epoch.sector.0).expect("it begins the log");
    for (entry, block) in cut.blocks.iter().zip(&mut epoch.blocks) {
        let place = Place::of(IDENTITY.cluster, cut.incarnation, cut.epoch, entry);
        block.open(entry, &place).expect("it is as it was sealed");
    }
}

#[cfg(test)]
mod tests {
    use super::rig::Rig;
    use super::*;
    use crate::log::ACCOUNTS;
    use crate::shards::Shards;
    use auriga_wire::frame::Header;
    use auriga_wire::{Reply, ReplyBody};

    /// The sum of the shards' digests.
    fn digest(shards: &Shards) -> u128 {
        shards.executions.iter().map(|execution| execution.ledger.digest()).fold(0, u128::wrapping_add)
    }

    /// An epoch after all its stages.
    fn staged(work: Work) -> Box<Rig> {
        match Ready::before(work, Stage::Reply).run() {
            Ready::Execute(rig, Stage::Reply) => rig,
            other => panic!("not the last stage: {other:?}"),
        }
    }

    /// The same epoch in the order of a core's turns.
    fn executed(work: Work) -> Shards {
        let mut rig = Rig::new(work);
        let own = std::mem::take(&mut rig.own);
        rig.shards.run(&rig.cut, vec![own, Vec::new()]);
        rig.shards
    }

    #[test]
    fn stage_by_stage_an_epoch_comes_to_the_same_as_at_once() {
        for (work, hops) in [(Work::Plain, 2), (Work::Tight, 4)] {
            let (staged, executed) = (staged(work), executed(work));
            assert_eq!(digest(&staged.shards), digest(&executed), "{work:?}");
            let ranks = |shards: &Shards| shards.executions[DESK.index()].outcomes.memory().to_vec();
            assert_eq!(ranks(&staged.shards), ranks(&executed), "{work:?}");
            assert_eq!(staged.shards.executions[BOOKS.index()].hops(), hops, "{work:?}");
        }
    }

    #[test]
    fn the_desk_has_no_accounts_and_no_ids() {
        for work in [Work::Plain, Work::Tight] {
            let rig = staged(work);
            let ledger = &rig.shards.executions[DESK.index()].ledger;
            assert!(ledger.accounts.is_empty() && ledger.ids.is_empty(), "{work:?}");
            assert_eq!(rig.shards.executions[BOOKS.index()].ledger.accounts.len(), ACCOUNTS as usize + 1);
        }
    }

    /// Refused events of the replies that were made.
    fn refused(rig: &Rig) -> usize {
        let mut refused = 0;
        assert_eq!(rig.outputs.list.len(), usize::from(FULL_BLOCKS));
        let mut rest = &rig.outputs.replies[..];
        while !rest.is_empty() {
            let size = Header::peek(rest).expect("a header").size as usize;
            let mut aligned = auriga_wire::AlignedBuffer::with_capacity(size);
            aligned.extend_from_slice(&rest[..size]);
            let reply = Reply::decode(&aligned).expect("a good reply");
            let ReplyBody::CreatedTransfers(results) = reply.body else { panic!("{reply:?}") };
            refused += results.len();
            rest = &rest[size..];
        }
        refused
    }

    #[test]
    fn limits_give_every_stage_something_to_do() {
        let plain = staged(Work::Plain);
        assert_eq!((plain.held, refused(&plain)), (0, 0));
        let tight = staged(Work::Tight);
        assert!(u64::from(tight.held) > TRANSFERS / 10, "{} held", tight.held);
        let refused = refused(&tight) as u64;
        assert!((TRANSFERS / 100..TRANSFERS / 2).contains(&refused), "{refused} refused");
    }
}
