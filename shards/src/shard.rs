//! The shard: the one place where arrival, log, execution, answers and (on shard 0) the pacer meet.
//!
//! [`Shard::step`] takes one input and appends outputs; it does no I/O, reads no clock and never waits. It runs on
//! the executor of its core, which owns it.

mod bounds;
mod checkpoint;
mod gauges;
mod history;
mod inquiry;

use bounds::log_full;
pub use gauges::Gauges;
pub use inquiry::{StatusHook, whole_digest};

use crate::answer::{Answers, wants_digest};
use crate::arrival::{Arrivals, ConnectionId};
use crate::checkpoint::load::Loader;
use crate::checkpoint::plan::Policy;
use crate::checkpoint::take::Taker;
use crate::chunk::Kind;
use crate::commit::{Coming, Commits};
use crate::execute::Execution;
use crate::execute::epoch::OwnBlock;
use crate::execute::message::Message;
use crate::histograms::{Recorder, Stage};
use crate::lead::Lead;
use crate::limits::{FACTS_MAX, Limits, SECTOR_SIZE, block_units};
use crate::log::Identity;
use crate::log::block::Block;
use crate::log::cut::{BlockEntry, CutImage};
use crate::pacer::{Act, Clock, Counts, Holdings, Pace};
use crate::place::{Placement, ShardId};
use crate::query::Counters;
use crate::reply::Results;
use crate::step::{Input, Output, Outputs};
use auriga_wire::frame::{Command, Header};
use auriga_wire::{Fault, FaultCode, Frame};

/// It is said what all shards hold when that has grown by such a part.
const HELD_SAID_STEP: u64 = 16;

/// What a shard is told when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Its number.
    pub shard: ShardId,
    /// Which shard owns what.
    pub placement: Placement,
    /// Of the data directory.
    pub identity: Identity,
    /// Bounds on accounts and ids.
    pub limits: Limits,
    /// The CPU that it runs on, for reports.
    pub cpu: u32,
    /// Take the clock as it is, however far it is from the log's time.
    pub accept_clock: bool,
    /// Whether history is kept.
    pub history: bool,
    /// How checkpoints are taken.
    pub checkpoints: Policy,
}

/// One core's part of the ledger and its log.
pub struct Shard {
    config: Config,
    execution: Execution,
    arrivals: Arrivals,
    commits: Commits,
    answers: Answers,
    /// Latencies of the requests that arrived here.
    pub histograms: Recorder,
    counters: Counters,
    lead: Option<Lead>,
    running: Option<Coming>,
    taker: Taker,
    /// The state after this epoch is to be a checkpoint, in this slot.
    checkpoint: Option<(u64, u8)>,
    loader: Option<Loader>,
    /// Start number while serving; 0 while the log is replayed.
    incarnation: u64,
    /// Newest epoch that this shard knows to be closed.
    closed: u64,
    /// Units of the front block as the pacer knows them.
    reported: u32,
    /// What all shards hold, as far as the pacer said.
    held_in_all: Counts,
    /// The sum of what was last said of it.
    held_said: u64,
    log_full: bool,
    /// Bytes of facts that history has not taken.
    facts: u64,
    storage_full: bool,
    deferred: bool,
    /// Number and time of the newest epoch with a block, for the digest.
    newest: (u64, u64),
    status_hook: StatusHook,
    results: Results,
}

impl Shard {
    /// An empty shard. Allocates its pools: call it on the core that will own them.
    pub fn new(config: Config, status_hook: StatusHook) -> Self {
        let Config { shard, placement, identity, .. } = config;
        Self {
            config,
            execution: Execution::new(shard, placement),
            arrivals: Arrivals::new(block_units(placement.shards())),
            commits: Commits::new(identity, shard, placement),
            answers: Answers::new(identity, config.history),
            histograms: Recorder::default(),
            counters: Counters::default(),
            lead: (shard == ShardId(0)).then(|| {
                Lead::new(identity, placement, config.limits, config.checkpoints, config.accept_clock)
            }),
            running: None,
            taker: Taker::new(identity, shard),
            checkpoint: None,
            loader: None,
            incarnation: 0,
            closed: 0,
            reported: 0,
            held_in_all: Counts::default(),
            held_said: 0,
            log_full: false,
            facts: 0,
            storage_full: false,
            deferred: false,
            newest: (0, 0),
            status_hook,
            results: Results::default(),
        }
    }

    /// Whether a message from `from` on the route lane can be taken now.
    pub fn wants_route(&self, from: ShardId) -> bool {
        self.execution.wants_route(from)
    }

    /// When [`Input::Tick`] is due at the latest, monotonic nanoseconds.
    pub fn deadline(&self) -> Option<u64> {
        self.lead.as_ref().and_then(Lead::deadline)
    }

    /// Whether the next epoch is committed and the one before is executed: [`Input::Begin`] is due, when all else that has come was
    /// taken. An epoch's routing takes long, and a block that is to be closed should be on its way to the disk before it.
    pub fn can_begin(&self) -> bool {
        // Nobody waits for a replay; later, requests are refused long before it comes to this.
        let facts_max = if self.incarnation == 0 { FACTS_MAX } else { 2 * FACTS_MAX };
        self.running.is_none() && self.commits.has_next() && self.facts < facts_max && !self.keeps_too_much()
    }

    /// Whether nothing is under way or waits, and the last commit is proven.
    pub fn is_idle(&self) -> bool {
        self.running.is_none()
            && self.arrivals.front_units() == 0
            && self.commits.is_idle()
            && self.answers.is_idle()
            && self.taker.is_idle()
            && self.lead.as_ref().is_none_or(Lead::is_idle)
    }

    /// Memory that is in use since the start, to ask the kernel on which node it lies.
    pub fn sample(&self) -> &[u8] {
        self.execution.outcomes.memory()
    }

    /// The execution, to look at the state.
    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    /// Takes one input. Outputs are appended; messages to other shards are in `out.outgoing`.
    pub fn step(&mut self, clock: Clock, input: Input<'_>, out: &mut Outputs) {
        match input {
            Input::Tick => {
                if let Some(lead) = &mut self.lead {
                    lead.tick(clock, out);
                }
            }
            Input::Begin => self.begin_next(),
            Input::Recover(found) => self.lead().recover(*found, out),
            Input::CutsRead { first, bytes, end } => self.lead().take_cuts(first, bytes, end, clock, out),
            Input::CutWritten(sector) => {
                self.counters.bytes_logged += SECTOR_SIZE as u64;
                self.counters.flushes += 1;
                self.lead().cut_written(sector, clock, out);
            }
            Input::CutsPrepared { through } => self.lead().cuts_prepared(through, clock),
            Input::StorageFull(full) => {
                self.storage_full = full;
                self.make_room(out);
                if let Some(lead) = &mut self.lead {
                    lead.storage_full(full);
                }
            }
            Input::Stop => self.lead().stop(),
            Input::Request(caller, frame) => self.request(clock, caller, &frame, out),
            Input::Message(from, message) => self.message(clock, from, message, out),
            Input::BlockWritten(block) => {
                self.counters.bytes_logged += block.bytes().len() as u64;
                let epoch = self.commits.written(block);
                self.tell_pacer(clock, Pace::Durable { epoch }, out);
            }
            Input::BlockRead { epoch, entry, block, failure } => {
                match self.commits.read(epoch, entry, block, failure) {
                    Some(Ok(())) => self.tell_pacer(clock, Pace::Durable { epoch }, out),
                    Some(Err(damage)) => self.tell_pacer(clock, Pace::Damaged(Box::new(damage)), out),
                    None => {}
                }
            }
            Input::LogRead { job, slot, result } => {
                self.answer(out, |answers, desk| answers.take_read(job, slot, result, desk));
            }
            Input::HistoryAnswer { job, answer } => {
                let epoch = self.closed;
                self.answer(out, |answers, desk| answers.take_history(job, answer, epoch, desk));
            }
            Input::HistoryTook(facts) => self.facts -= facts.size(),
            Input::SheetWritten(sheet) => {
                let taken = self.taker.written(sheet, &mut self.execution.ledger, out);
                self.tell_of_part(clock, taken, out);
            }
            Input::SheetsRead(bytes) => self.load(clock, bytes, out),
            Input::ErrandEnded { of_plan: true, end } => self.lead().errand_ended(end, clock, out),
            Input::ErrandEnded { of_plan: false, end } => {
                let taken = self.taker.errand_ended(end, &mut self.execution.ledger, out);
                self.tell_of_part(clock, taken, out);
            }
            Input::StreamPrepared { through } => {
                self.commits.prepared(through);
                self.make_room(out);
            }
        }
        self.go_on(clock, out);
        out.outgoing.append(&mut self.execution.mail.outgoing);
    }

    fn request(&mut self, clock: Clock, caller: ConnectionId, frame: &Frame<'_>, out: &mut Outputs) {
        let command =
            Command::from_number(frame.header.command).expect("frames are checked before they come here");
        let cluster = self.config.identity.cluster;
        if self.incarnation == 0 {
            if command == Command::Status && !wants_digest(frame.body()) {
                return self.say_how_far(caller, &frame.header, out);
            }
            let fault = Fault::new(FaultCode::NotReady, "the log is being replayed: try again in a moment");
            return out.refuse(caller, &frame.header, cluster, &fault);
        }
        if !command.writes() {
            if !self.answers.has_room() {
                return self.defer(caller, out);
            }
            let epoch = self.closed;
            let (header, body) = (frame.header, frame.body());
            return self
                .answer(out, |answers, desk| answers.start(caller, command, header, body, epoch, desk));
        }
        if let Some(fault) = self.refuse_batch(command) {
            return out.refuse(caller, &frame.header, cluster, &fault);
        }
        let room = self.commits.has_room(self.arrivals.log_bytes() + frame.bytes().len() as u64);
        if !room && self.storage_full {
            return out.refuse(caller, &frame.header, cluster, &log_full());
        }
        if !room || !self.arrivals.push(caller, frame, clock.monotonic_ns) {
            return self.defer(caller, out);
        }
        if self.reported == 0 {
            self.reported = self.arrivals.front_units();
            self.tell_pacer(clock, Pace::Pending { units: self.reported }, out);
        }
    }

    fn message(&mut self, clock: Clock, from: ShardId, message: Message, out: &mut Outputs) {
        match message {
            Message::Pace(pace) if pace.is_for_pacer() => self.lead().take(from, &pace, clock, out),
            Message::Pace(pace) => self.take_pace(clock, pace, out),
            Message::Query(query) => self.answer(out, |answers, desk| answers.take(from, query, desk)),
            Message::Chunk(chunk) => match chunk.kind() {
                Kind::Wanted => self.answer(out, |answers, desk| answers.take_wanted(from, chunk, desk)),
                Kind::Found | Kind::Located => {
                    self.answer(out, |answers, desk| answers.take_found(chunk, desk));
                }
                Kind::Cut => {
                    self.commits.announce(&chunk.items()[0], self.incarnation == 0, out);
                    self.execution.mail.recycle(chunk);
                }
                Kind::Sealed => {
                    self.lead().take_entry(chunk.items()[0]);
                    self.execution.mail.recycle(chunk);
                }
                _ => self.execution.receive(from, Message::Chunk(chunk)),
            },
            other => self.execution.receive(from, other),
        }
    }

    fn lead(&mut self) -> &mut Lead {
        self.lead.as_mut().expect("only shard 0 is asked to lead")
    }

    fn tell_pacer(&mut self, clock: Clock, pace: Pace, out: &mut Outputs) {
        let shard = self.config.shard;
        match &mut self.lead {
            Some(lead) => lead.take(shard, &pace, clock, out),
            None => self.execution.mail.send(ShardId(0), pace.into()),
        }
    }

    /// Takes what the pacer says.
    fn take_pace(&mut self, clock: Clock, pace: Pace, out: &mut Outputs) {
        match pace {
            Pace::Close { epoch, grant } => self.close(clock, epoch, grant, out),
            Pace::Commit { epoch, held } => {
                self.commits.commit(epoch, clock.monotonic_ns);
                self.held_in_all = held;
                if self.lead.is_some() && held.in_all() > self.held_said + self.held_said / HELD_SAID_STEP {
                    self.held_said = held.in_all();
                    out.push(Output::Holds(held));
                }
            }
            Pace::Discard => self.commits.discard(),
            Pace::Serve { incarnation } => {
                self.incarnation = incarnation;
                self.commits.end_replay();
                self.commits.want_segments(out);
                out.push(Output::Serving { incarnation });
            }
            Pace::LogFull(full) => {
                self.log_full = full;
                self.make_room(out);
            }
            Pace::LogFrom(epoch) => self.answers.log_begins_with(epoch),
            Pace::Checkpoint { epoch, slot } => self.checkpoint = Some((epoch, slot)),
            Pace::GiveUp => {
                let never_begun = self.checkpoint.take().map(|_| Err("it was not begun".into()));
                let taken = never_begun.or_else(|| self.taker.give_up(&mut self.execution.ledger));
                self.tell_of_part(clock, taken, out);
            }
            Pace::Load(from) => self.begin_load(clock, from, out),
            other => unreachable!("{other:?} is for the pacer"),
        }
    }

    fn close(&mut self, clock: Clock, epoch: u64, grant: u32, out: &mut Outputs) {
        self.closed = epoch;
        let mut asked = Counts::default();
        if let Some(filled) = self.arrivals.take_front(grant) {
            asked = filled.asked;
            let entry = self.commits.seal(epoch, self.incarnation, filled, clock.monotonic_ns, out);
            match &mut self.lead {
                Some(lead) => lead.take_entry(entry),
                None => {
                    let mut chunk = self.execution.mail.take::<BlockEntry>(epoch);
                    assert!(chunk.push(entry), "an empty chunk has room");
                    self.execution.mail.send_chunk(ShardId(0), chunk);
                }
            }
        }
        self.reported = self.arrivals.front_units();
        self.tell_pacer(clock, Pace::Sealed { epoch, pending: self.reported, asked }, out);
    }

    /// Does all that can be done now: the pacer's acts, the end of an epoch, look-ups in the gap.
    fn go_on(&mut self, clock: Clock, out: &mut Outputs) {
        loop {
            if let Some(act) = self.lead.as_mut().and_then(Lead::next_act) {
                self.carry_out(clock, act, out);
            } else if self.running.is_some() && self.execution.in_gap() {
                self.finish_epoch(clock, out);
            } else if !self.answer_in_gap(out) {
                return;
            }
        }
    }

    fn carry_out(&mut self, clock: Clock, act: Act, out: &mut Outputs) {
        match act {
            Act::Tell(to, pace) if to == self.config.shard => self.take_pace(clock, pace, out),
            Act::Tell(to, pace) => self.execution.mail.send(to, pace.into()),
            Act::TellAll(pace) => {
                self.execution.mail.broadcast(|| pace.clone().into());
                self.take_pace(clock, pace, out);
            }
            Act::Cut(cut) => {
                let image = self.lead().write(cut, out);
                self.announce(&image, out);
            }
            Act::Replay(image) => self.announce(&image, out),
        }
    }

    fn announce(&mut self, image: &CutImage, out: &mut Outputs) {
        let placement = self.config.placement;
        for to in placement.all().filter(|to| *to != self.config.shard) {
            let mut chunk = self.execution.mail.take::<CutImage>(0);
            assert!(chunk.push(*image), "an empty chunk has room");
            self.execution.mail.send_chunk(to, chunk);
        }
        self.commits.announce(image, self.incarnation == 0, out);
    }

    /// Begins the next epoch, if it can begin.
    fn begin_next(&mut self) {
        if !self.can_begin() {
            return;
        }
        let Some((coming, own)) = self.commits.take_next() else {
            return;
        };
        self.closed = self.closed.max(coming.cut.epoch);
        self.execution.begin(&coming.cut, own);
        self.running = Some(coming);
    }

    fn finish_epoch(&mut self, clock: Clock, out: &mut Outputs) {
        let mut coming = self.running.take().expect("looked at by the caller");
        let mut own = self.execution.take_own();
        let epoch = coming.cut.epoch;
        if !self.execution.plan().is_idle {
            self.newest = (epoch, coming.cut.time);
        }
        if self.checkpoint.is_some_and(|(of, _)| of == epoch)
            && let Some((_, slot)) = self.checkpoint.take()
        {
            self.taker.begin(epoch, slot, self.newest, &mut self.execution.ledger, out);
        }
        self.tell_history(&coming.cut, &own, out);
        if coming.cut.incarnation == self.incarnation {
            for OwnBlock { base, block } in own.drain(..) {
                self.reply(clock, &coming, base, &block, out);
                self.arrivals.give_back(block, std::mem::take(&mut coming.batches));
            }
            self.make_room(out);
        }
        own.drain(..).for_each(|own| self.commits.take_back(own.block));
        self.commits.done(coming, own);
        self.execution.ledger.ids.prepare(|fresh| out.push(Output::Populate(fresh)));
        let holdings = Holdings::of(&self.execution.ledger);
        self.tell_pacer(clock, Pace::Executed { epoch, holdings }, out);
        if self.incarnation == 0 && self.lead.is_some() {
            out.push(Output::Replayed { epoch });
        }
    }

    /// Replies to the requests of one block.
    fn reply(&mut self, clock: Clock, coming: &Coming, base: u16, block: &Block, out: &mut Outputs) {
        let cluster = self.config.identity.cluster;
        let (closed_ns, committed_ns) = coming.times;
        let executed_ns = clock.monotonic_ns;
        for batch in &coming.batches {
            self.histograms.record(Stage::Arrive, closed_ns.saturating_sub(batch.arrived_ns));
            self.histograms.record(Stage::Flush, committed_ns.saturating_sub(closed_ns));
            self.histograms.record(Stage::Execute, executed_ns.saturating_sub(committed_ns));
            self.results.clear();
            self.results.collect(batch, base, block, &self.execution.outcomes);
            let refused = self.results.refused();
            if batch.header.command == Command::CreateTransfers as u16 {
                self.counters.transfers_refused += refused;
                self.counters.transfers_created += u64::from(batch.count) - refused;
            } else {
                self.counters.accounts_created += u64::from(batch.count) - refused;
            }
            let first = coming.cut.time + u64::from(base) + u64::from(batch.first_unit);
            if self.results.duplicates.is_empty() {
                let times = Some((batch.arrived_ns, executed_ns));
                let header = |size| Header::reply(&batch.header, 0, first, cluster, size);
                let events = &self.results.events;
                out.reply(batch.caller, header, times, |body| {
                    body.extend_from_slice(bytemuck::cast_slice(events));
                });
            } else {
                let results = std::mem::take(&mut self.results);
                self.answer(out, |answers, desk| answers.compare(batch, first, executed_ns, results, desk));
            }
        }
    }
}
