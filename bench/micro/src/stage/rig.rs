//! An epoch on its way through desk and books, stage by stage.

use super::maker::Maker;
use super::{BOOKS, DESK, Stage, Work, check};
use crate::log::{BATCH, IDENTITY};
use crate::shards::{Shards, own_blocks};
use auriga_shards::arrival::{Batch, ConnectionId};
use auriga_shards::chunk::Kind;
use auriga_shards::execute::epoch::OwnBlock;
use auriga_shards::execute::message::{Lane, Message};
use auriga_shards::log::cut::Cut;
use auriga_shards::place::ShardId;
use auriga_shards::reply::Results;
use auriga_shards::step::Outputs;
use auriga_wire::frame::Header;

/// An epoch on its way through desk and books.
#[derive(Debug)]
pub struct Rig {
    work: Work,
    pub(super) shards: Shards,
    pub(super) cut: Cut,
    pub(super) own: Vec<OwnBlock>,
    batches: Vec<Batch>,
    /// Messages that wait for their stage.
    start: Vec<Message>,
    legs: Vec<Message>,
    notes: Vec<Message>,
    routed: Vec<Message>,
    /// The desk's and the books' own.
    of_desk: Vec<Message>,
    of_books: Vec<Message>,
    /// What ends the last hop.
    last: Option<Message>,
    /// Legs and ids that the books hold.
    pub(super) held: u32,
    results: Results,
    pub(super) outputs: Outputs,
}

impl Rig {
    /// Behind a few epochs, so that accounts are there and buffers have grown; the next one is even.
    pub(super) fn new(work: Work) -> Self {
        let mut shards = Shards::new(2);
        let mut maker = Maker::new(shards.placement);
        shards.execute(maker.open_accounts(work));
        // What is held grows the buffers of an even epoch's coordinator, too: one such epoch comes before.
        let epochs = match work {
            Work::Plain => 2,
            Work::Tight => {
                shards.execute(maker.fund());
                3
            }
        };
        for _ in 0..epochs {
            shards.execute(maker.transfers());
        }
        shards.take_blocks();
        let epoch = maker.transfers();
        let header: Header = check(&maker.frames[0]).header;
        let batch =
            Batch { caller: ConnectionId(1), header, first_unit: 2, count: BATCH as u16, arrived_ns: 0 };
        let own = own_blocks(&epoch.cut, epoch.blocks, &shards.placement).swap_remove(DESK.index());
        Self {
            work,
            shards,
            cut: epoch.cut,
            batches: vec![batch; own.len()],
            own,
            start: Vec::with_capacity(1),
            legs: Vec::new(),
            notes: Vec::new(),
            routed: Vec::with_capacity(1 << 16),
            of_desk: Vec::with_capacity(1 << 16),
            of_books: Vec::with_capacity(1 << 16),
            last: None,
            held: 0,
            results: Results::default(),
            outputs: Outputs::default(),
        }
    }

    fn desk(&mut self, message: Message) {
        self.shards.executions[DESK.index()].receive(BOOKS, message);
    }

    fn books(&mut self, message: Message) {
        self.shards.executions[BOOKS.index()].receive(DESK, message);
    }

    /// What a shard has sent.
    fn sent_by(&mut self, shard: ShardId) -> impl Iterator<Item = Message> {
        self.shards.executions[shard.index()].mail.outgoing.drain(..).map(|outgoing| outgoing.message)
    }

    /// Puts everything where the stage finds it.
    pub(super) fn prepare(&mut self, stage: Stage) {
        match stage {
            Stage::Route => {
                let sent: Vec<Message> = self.sent_by(BOOKS).collect();
                self.of_books.extend(sent);
            }
            Stage::Legs => {
                for message in std::mem::take(&mut self.of_books) {
                    self.desk(message);
                }
                let voted: Vec<Message> = self.sent_by(DESK).collect();
                self.of_desk.extend(voted);
                for message in std::mem::take(&mut self.routed) {
                    self.sort_routed(message);
                }
                for message in std::mem::take(&mut self.start) {
                    self.books(message);
                }
            }
            Stage::Vote => {
                let sent: Vec<Message> = self.sent_by(BOOKS).collect();
                for message in sent {
                    match message {
                        Message::Return(_) => self.desk(message),
                        message => self.of_books.push(message),
                    }
                }
                self.of_books.reserve(1 << 16);
            }
            Stage::Reply => {
                assert!(self.shards.executions.iter().all(|execution| execution.in_gap()));
                self.own = self.shards.executions[DESK.index()].take_own();
            }
            _ => {}
        }
    }

    fn sort_routed(&mut self, message: Message) {
        match &message {
            Message::Start { .. } => self.start.push(message),
            Message::Chunk(chunk) if chunk.kind() == Kind::Legs => self.legs.push(message),
            Message::Chunk(chunk) if chunk.kind() == Kind::Notes => self.notes.push(message),
            _ => self.routed.push(message),
        }
    }

    /// The stage, and nothing else.
    pub(super) fn run(&mut self, stage: Stage) {
        match stage {
            Stage::Begin => self.shards.executions[BOOKS.index()].begin(&self.cut, Vec::new()),
            Stage::Route => {
                let own = std::mem::take(&mut self.own);
                self.shards.executions[DESK.index()].begin(&self.cut, own);
            }
            Stage::Hop => {
                self.shards.post(DESK);
                while let Some(message) = self.shards.meshes[BOOKS.index()].pop(DESK, Lane::Route) {
                    self.routed.push(message);
                }
            }
            Stage::Legs => {
                for message in std::mem::take(&mut self.legs) {
                    self.books(message);
                }
            }
            Stage::Ids => {
                for message in std::mem::take(&mut self.notes) {
                    self.books(message);
                }
            }
            Stage::Vote => self.vote(),
            Stage::Gather => self.gather(),
            Stage::Scatter => self.scatter(),
            Stage::Apply => {
                let last = match self.work {
                    Work::Plain => self.of_desk.pop(),
                    Work::Tight => self.last.take(),
                };
                self.books(last.expect("the stage before has left it"));
            }
            Stage::Reply => self.reply(),
            Stage::Parse | Stage::Append | Stage::Recover => unreachable!("they need no shard"),
        }
    }

    fn vote(&mut self) {
        for message in std::mem::take(&mut self.routed) {
            self.books(message);
        }
        let mut votes = std::mem::take(&mut self.of_books);
        votes.extend(self.sent_by(BOOKS));
        for message in votes {
            if let Message::Voted { held, .. } = message {
                self.held = held;
            }
            self.desk(message);
        }
    }

    fn gather(&mut self) {
        for message in std::mem::take(&mut self.of_desk) {
            self.books(message);
        }
        let mut open = std::mem::take(&mut self.of_books);
        open.extend(self.sent_by(BOOKS));
        for message in open {
            match message {
                Message::Gathered { .. } => self.last = Some(message),
                message => self.desk(message),
            }
        }
    }

    fn scatter(&mut self) {
        let gathered = self.last.take().expect("the stage before has left it");
        self.desk(gathered);
        let mut decided = std::mem::take(&mut self.of_desk);
        decided.extend(self.sent_by(DESK));
        for message in decided {
            match message {
                Message::Scattered { .. } => self.last = Some(message),
                message => self.books(message),
            }
        }
    }

    fn reply(&mut self) {
        let Self { shards, cut, own, batches, results, outputs, .. } = self;
        let outcomes = &shards.executions[DESK.index()].outcomes;
        for (own, batch) in own.iter().zip(batches) {
            results.clear();
            results.collect(batch, own.base, &own.block, outcomes);
            let first = cut.time + u64::from(own.base) + u64::from(batch.first_unit);
            let header = |size| Header::reply(&batch.header, 0, first, IDENTITY.cluster, size);
            outputs.reply(batch.caller, header, None, |body| {
                body.extend_from_slice(bytemuck::cast_slice(&results.events));
            });
        }
    }
}
