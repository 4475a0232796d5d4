//! One turn of a core: what it looks at, in which order, and what it does with the shard's outputs.
//!
//! Poll order, and why:
//! 1. completions of the log: they end what others wait for;
//! 2. control messages of every other shard, then route messages as far as the shard wants them;
//! 3. what the keeper and the gate say: rare;
//! 4. the shard's own deadline;
//! 5. the next epoch: its routing takes milliseconds, so it comes behind what others wait for.
//!
//! What a message makes for other shards is handed over before the next message is looked at.
//!
//! Connections are tasks of their own on the same executor; they hand a request over as soon as it is whole. When there
//! is nothing to do, and something is under way that other cores or the disk have to do first, the core spins for a short, configured time
//! (yielding to its other tasks, so that its I/O goes on, and to other threads that want its CPU); then, or if nothing is under way, it parks.

mod beat;

use crate::buffers::{Buffers, Unsent};
use crate::checkpointer;
use crate::clock;
use crate::connection::{Closed, Connection, SMALL_BUFFER, answer_size_max};
use crate::doorbell::Doorbell;
use crate::gauge::{self, Gauge};
use crate::keeper::{News, Wish};
use crate::monitor::figures::Where;
use crate::monitor::watch::{Pressure, Watch};
use crate::past;
use crate::readiness::Readiness;
use crate::runtime::{self, Ready, Signal};
use crate::server::Shared;
use crate::storage::Storage;
use auriga_shards::arrival::ConnectionId;
use auriga_shards::execute::message::Lane;
use auriga_shards::histograms::Stage;
use auriga_shards::lead::Found;
use auriga_shards::mesh::Mesh;
use auriga_shards::pacer::Clock;
use auriga_shards::place::ShardId;
use auriga_shards::shard::Shard;
use auriga_shards::step::{Input, Output, Outputs, Reply};
use auriga_wire::frame::{Command, HEADER_SIZE, Header};
use auriga_wire::{Fault, FaultCode, Frame};
use rtrb::{Consumer, Producer};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;

/// Messages taken from one ring before the next one has its turn.
const MESSAGES_A_TURN: usize = 64;
/// Turns with work after which the core waits once, for as long as it takes its executor to look at its I/O.
const TURNS_A_BREATH: u32 = 16;
/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is in the shard's hands.
    Taken,
    /// No room now: offer it again after [`Core::room`].
    Later,
    /// The server stops.
    Stopping,
}

/// The ends of everything that leads into and out of one core.
pub struct Ends {
    /// Rings to the other shards.
    pub mesh: Mesh,
    /// Doorbells of all shards.
    pub doorbells: Vec<Arc<Doorbell>>,
    /// Wishes to the keeper, and its news.
    pub wishes: Producer<Wish>,
    /// The keeper's news.
    pub news: Consumer<News>,
    /// The keeper's doorbell.
    pub keeper: Arc<Doorbell>,
    /// New connections from the gate.
    pub arrivals: Consumer<TcpStream>,
    /// Where histograms go at intervals.
    pub metrics: crate::metrics::Feed,
    /// To and from history, if one is kept.
    pub history: Option<past::Ends>,
    /// To and from the checkpointer.
    pub checkpointer: checkpointer::Ends,
    /// Of shard 0: what the start has found in the directory.
    pub found: Option<Found>,
}

impl Ends {
    /// Hands messages to other shards, and wakes them. After every step: what one shard does in a turn another one may wait for.
    fn hand_over(&mut self, outputs: &mut Outputs) {
        if outputs.outgoing.is_empty() {
            return;
        }
        let mut told = [false; auriga_shards::limits::STREAMS];
        for outgoing in outputs.outgoing.drain(..) {
            told[outgoing.to.index()] = true;
            self.mesh.push(outgoing.to, outgoing.message);
        }
        for (doorbell, _) in self.doorbells.iter().zip(told).filter(|(_, told)| *told) {
            doorbell.ring();
        }
    }
}

impl Ends {
    /// Takes the messages of every other shard on a lane. `false` if there were none.
    #[inline]
    fn receive(&mut self, lane: Lane, shard: &mut Shard, clock: Clock, outputs: &mut Outputs) -> bool {
        let mut some = false;
        for from in (0..self.doorbells.len() as u16).map(ShardId) {
            for _ in 0..MESSAGES_A_TURN {
                if lane == Lane::Route && !shard.wants_route(from) {
                    break;
                }
                let Some(message) = self.mesh.pop(from, lane) else {
                    break;
                };
                shard.step(clock, Input::Message(from, message), outputs);
                self.hand_over(outputs);
                some = true;
            }
        }
        some
    }

    /// Takes what the housekeeping threads say. `false` if they said nothing.
    fn hear(&mut self, shard: &mut Shard, clock: Clock, outputs: &mut Outputs) -> bool {
        let mut some = false;
        while let Ok(news) = self.news.pop() {
            let input = match news {
                News::Stream(through) => Input::StreamPrepared { through },
                News::Cuts(through) => Input::CutsPrepared { through },
                News::Full(full) => Input::StorageFull(full),
            };
            shard.step(clock, input, outputs);
            some = true;
        }
        while let Some((errand, end)) = self.checkpointer.hear() {
            let of_plan = errand.is_of_plan();
            shard.step(clock, Input::ErrandEnded { of_plan, end }, outputs);
            some = true;
        }
        if let Some(history) = &mut self.history {
            some |= history.hear(|input| shard.step(clock, input, outputs));
        }
        some
    }
}

struct State {
    shard: Shard,
    storage: Storage,
    ends: Ends,
    outputs: Outputs,
    watch: Watch,
}

/// One core of the server.
pub struct Core {
    number: ShardId,
    state: RefCell<State>,
    connections: RefCell<HashMap<ConnectionId, Rc<Connection>>>,
    next_connection: Cell<u64>,
    shared: Arc<Shared>,
    doorbell: Arc<Doorbell>,
    gauge: Gauge,
    drained: Cell<bool>,
    stopping_since: Cell<Option<u64>>,
    /// Deferred requests may be offered again.
    pub room: Signal,
    /// Receive buffers for large frames.
    pub large_buffers: Buffers,
    /// Replies that are not taken.
    pub unsent: Rc<Unsent>,
    /// How long its connections are held.
    pub pressure: Pressure,
    /// Its sockets and its doorbell.
    readiness: Rc<Readiness>,
}

impl Core {
    /// A core around its shard. Fails without a descriptor for its sockets.
    pub fn new(
        number: ShardId,
        shard: Shard,
        storage: Storage,
        ends: Ends,
        shared: Arc<Shared>,
    ) -> std::io::Result<Self> {
        let doorbell = ends.doorbells[number.index()].clone();
        let readiness = Rc::new(Readiness::new(&*doorbell)?);
        let large_buffers = Buffers::new(shared.options.large_buffers_per_shard());
        let unsent = Rc::new(Unsent::new(shared.options.unsent_max_per_shard()));
        Ok(Self {
            number,
            state: RefCell::new(State {
                shard,
                storage,
                ends,
                outputs: Outputs::default(),
                watch: Watch::new(),
            }),
            connections: RefCell::default(),
            next_connection: Cell::new(1),
            shared,
            doorbell,
            gauge: Gauge::default(),
            drained: Cell::new(false),
            stopping_since: Cell::new(None),
            room: Signal::default(),
            large_buffers,
            unsent,
            pressure: Pressure::default(),
            readiness,
        })
    }

    /// Runs until the server stops.
    pub async fn run(self: Rc<Self>) {
        self.shared.pulses[self.number.index()].begin().await;
        let ready = Ready::new(self.readiness.clone()).expect("an epoll set can be polled");
        let core = self.clone();
        runtime::spawn(async move { core.beat().await });
        let found = self.state.borrow_mut().ends.found.take();
        if let Some(found) = found {
            self.step(Input::Recover(Box::new(found)));
        }
        let mut idle_since = None;
        let mut turns = 0;
        while !self.has_ended() {
            if self.turn() {
                idle_since = None;
                turns += 1;
                if turns % TURNS_A_BREATH == 0 {
                    self.doorbell.ring_anyway();
                    let _ = ready.readable().await;
                    self.doorbell.unpark();
                } else {
                    runtime::yield_now().await;
                }
                continue;
            }
            let now = clock::now().monotonic_ns;
            self.state.borrow_mut().watch.idles(now);
            let is_early = now < *idle_since.get_or_insert(now) + self.shared.options.spin_ns;
            if is_early && !self.state.borrow().shard.is_idle() {
                // Nobody else is meant to run on this CPU; somebody who does all the same has more to do than this.
                std::thread::yield_now();
                runtime::yield_now().await;
                continue;
            }
            self.doorbell.park();
            if !self.has_work() {
                self.state.borrow_mut().watch.parks();
                let _ = ready.readable().await;
                self.state.borrow_mut().watch.wakes();
            }
            self.doorbell.unpark();
        }
    }

    /// Takes what has come, from all sides. `false` if nothing had.
    fn turn(self: &Rc<Self>) -> bool {
        let mut state = self.state.borrow_mut();
        let clock = clock::now();
        let State { shard, storage, ends, outputs, watch } = &mut *state;
        watch.begin(clock.monotonic_ns);
        // Their tasks read behind this turn.
        let found = self.readiness.look();
        let mut some = false;
        while storage.complete(|input| shard.step(clock, input, outputs)) {
            some = true;
        }
        let mut worked = watch.lap(some, Where::Storage) | found;
        let some = ends.receive(Lane::Control, shard, clock, outputs);
        worked |= watch.lap(some, Where::Control);
        let some = ends.receive(Lane::Route, shard, clock, outputs);
        worked |= watch.lap(some, Where::Route);
        let mut some = ends.hear(shard, clock, outputs);
        while let Ok(socket) = ends.arrivals.pop() {
            self.welcome(socket, clock.monotonic_ns);
            some = true;
        }
        worked |= watch.lap(some, Where::House);
        if shard.deadline().is_some_and(|deadline| clock.monotonic_ns >= deadline) {
            shard.step(clock, Input::Tick, outputs);
            worked = true;
        }
        self.perform(&mut state);
        if state.watch.lap(worked, Where::Execute) {
            self.shared.note_activity();
        }
        worked
    }

    fn has_work(&self) -> bool {
        let state = &mut *self.state.borrow_mut();
        let shards = (0..state.ends.doorbells.len() as u16).map(ShardId);
        state.storage.has_work()
            || !state.ends.news.is_empty()
            || !state.ends.arrivals.is_empty()
            || state.ends.history.as_ref().is_some_and(past::Ends::has_news)
            || state.ends.checkpointer.has_news()
            || shards.into_iter().any(|from| {
                state.ends.mesh.has(from, Lane::Control)
                    || state.shard.wants_route(from) && state.ends.mesh.has(from, Lane::Route)
            })
    }

    fn step(self: &Rc<Self>, input: Input<'_>) {
        let mut state = self.state.borrow_mut();
        let State { shard, outputs, .. } = &mut *state;
        shard.step(clock::now(), input, outputs);
        self.perform(&mut state);
    }

    /// Says what cores do, without the shard.
    fn say_activity(&self, to: ConnectionId, header: &Header) -> Admission {
        let mut state = self.state.borrow_mut();
        let activity = gauge::activity(&self.shared, clock::now().monotonic_ns).encode();
        let cluster = self.shared.directory.identity.cluster;
        let reply = |size| Header::reply(header, 0, 0, cluster, size);
        state.outputs.reply(to, reply, None, |body| body.extend_from_slice(&activity));
        self.perform(&mut state);
        Admission::Taken
    }

    /// Hands a checked request to the shard.
    pub fn submit(&self, from: ConnectionId, command: Command, frame: &Frame<'_>) -> Admission {
        if self.shared.is_stopping() && command.writes() {
            return Admission::Stopping;
        }
        if answer_size_max(command, frame.body()) > SMALL_BUFFER && self.unsent.is_short() {
            return Admission::Later;
        }
        if command == Command::Activity {
            return self.say_activity(from, &frame.header);
        }
        let mut state = self.state.borrow_mut();
        let clock = clock::now();
        let State { shard, outputs, .. } = &mut *state;
        shard.step(clock, Input::Request(from, *frame), outputs);
        let before = outputs.list.len();
        outputs.list.retain(|output| !matches!(output, Output::Deferred(who) if *who == from));
        let deferred = outputs.list.len() < before;
        if command == Command::CreateTransfers && !deferred {
            self.gauge.note_transfers(from, frame.records(), &outputs.list);
        }
        self.perform(&mut state);
        state.watch.worked(clock.monotonic_ns);
        self.shared.note_activity();
        if deferred { Admission::Later } else { Admission::Taken }
    }

    /// Checks that a request has a number, and is meant for this cluster.
    pub fn check_header(&self, frame: &Frame<'_>) -> Result<(), Fault> {
        if frame.header.request == 0 {
            let message = "a request's number must not be 0: a reply with it would answer no request";
            return Err(Fault::new(FaultCode::ReservedBytesSet, message));
        }
        let (found, own) = (frame.header.cluster, self.shared.directory.identity.cluster);
        if found == 0 || found == own {
            return Ok(());
        }
        let message = format!("this is cluster {own}, the request is for cluster {found}: check the address");
        Err(Fault::new(FaultCode::WrongCluster, message))
    }

    /// Answers a request that can't be taken as a whole.
    pub fn refuse(&self, connection: &Rc<Connection>, header: &Header, fault: &Fault) {
        let mut state = self.state.borrow_mut();
        let cluster = self.shared.directory.identity.cluster;
        connection.begin(0);
        state.outputs.refuse(connection.id, header, cluster, fault);
        self.perform(&mut state);
    }

    /// Does what the shard wants done, until it wants nothing.
    fn perform(&self, state: &mut State) {
        self.carry_out(state);
        while state.shard.can_begin() {
            state.shard.step(clock::now(), Input::Begin, &mut state.outputs);
            self.carry_out(state);
        }
    }

    fn carry_out(&self, state: &mut State) {
        let State { shard, storage, ends, outputs, watch } = state;
        for output in outputs.list.drain(..) {
            match output {
                Output::Reply(reply) => self.deliver(&reply, &outputs.replies, shard, watch),
                Output::Deferred(_) => unreachable!("taken out where the request was handed over"),
                Output::Room => self.room.notify(),
                Output::PrepareStream { stream, first, last } => {
                    wish(ends, Wish { stream: Some(stream), first, last });
                }
                Output::Executed(facts) => history(ends).tell(facts),
                Output::AskHistory(question) => history(ends).ask(*question),
                Output::Errand(errand) => ends.checkpointer.send(errand),
                Output::Holds(held) => self.shared.holds(&held),
                Output::Checkpointing { epoch } => tracing::info!("taking a checkpoint after epoch {epoch}"),
                Output::Checkpointed { epoch, bytes } => self.shared.checkpointed(epoch, bytes),
                Output::CheckpointFailed(why) => {
                    watch.figures.checkpoint_failures += 1;
                    tracing::warn!("no checkpoint could be taken: {why}. It is tried again; nothing is lost");
                }
                Output::Loaded { epoch } => self.shared.loaded(epoch),
                Output::CheckpointDamaged(damage) => {
                    tracing::warn!("a checkpoint is damaged: {damage}. The start goes on without it");
                }
                Output::NoCheckpoint { log_from } => self.shared.no_checkpoint(log_from),
                Output::PrepareCuts { first, last } => wish(ends, Wish { stream: None, first, last }),
                Output::Replayed { epoch } => self.shared.replayed(self.number, epoch),
                Output::Recovered { end, dropped } => self.shared.recovered(&end, dropped.as_ref()),
                Output::Serving { incarnation } => self.shared.serving(self.number, incarnation),
                Output::Damaged(hole) => {
                    self.shared.fail(crate::failure::Failure::log(&hole, &self.shared.directory));
                }
                Output::ClockIsAway { ahead_ns } => self.shared.clock_is_away(ahead_ns),
                Output::DamageFound(what) => tracing::error!("damage in the log: {what}"),
                output => {
                    let left = storage.start(output);
                    debug_assert!(left.is_none(), "storage takes every output that is left");
                }
            }
        }
        outputs.replies.clear();
        ends.hand_over(outputs);
        storage.submit();
    }

    fn deliver(&self, reply: &Reply, bytes: &[u8], shard: &mut Shard, watch: &mut Watch) {
        let bytes = &bytes[reply.bytes.clone()];
        let header: Header = bytemuck::pod_read_unaligned(&bytes[..HEADER_SIZE]);
        watch.count_refusals(&header, bytes);
        let connections = self.connections.borrow();
        let Some(connection) = connections.get(&reply.to) else {
            return;
        };
        let now = clock::now().monotonic_ns;
        connection.send(bytes, now);
        connection.end();
        if let Some(code) = FaultCode::from_number(header.status).filter(|code| code.closes()) {
            connection.close(Closed::Fault(code));
        }
        if let Some((arrived, executed)) = reply.times {
            let done = clock::now().monotonic_ns;
            shard.histograms.record(Stage::Reply, done.saturating_sub(executed));
            shard.histograms.record(Stage::Total, done.saturating_sub(arrived));
        }
    }

    /// Takes a connection over from the gate.
    fn welcome(self: &Rc<Self>, socket: TcpStream, now_ns: u64) {
        let id = ConnectionId(self.next_connection.get());
        self.next_connection.set(id.0 + 1);
        let connection = match Connection::new(id, socket, self.unsent.clone(), &self.readiness, now_ns) {
            Ok(connection) => Rc::new(connection),
            Err(_) => return self.shared.left(self.number, Closed::ByClient),
        };
        self.connections.borrow_mut().insert(id, connection.clone());
        let core = self.clone();
        runtime::spawn(async move {
            let why = connection.serve(&core).await;
            core.connections.borrow_mut().remove(&id);
            core.shared.left(core.number, why);
        });
    }

    fn has_ended(&self) -> bool {
        self.shared.lifecycle.is_over()
    }
}

fn history(ends: &mut Ends) -> &mut past::Ends {
    ends.history.as_mut().expect("a shard without history tells and asks nothing")
}

fn wish(ends: &mut Ends, wish: Wish) {
    ends.wishes.push(wish).expect("a shard has few wishes at a time");
    ends.keeper.ring();
}
