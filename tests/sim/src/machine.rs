//! One life of the server: its shards in one thread, the rings between them, and what each step does.

use crate::choice::{Mood, Step};
use crate::clients::Clients;
use crate::invariants::damage::Forecast;
use crate::invariants::{Broken, at_end_of_life, model, progress};
use crate::keeper::{Keeper, News};
use crate::operations::Operation;
use crate::spoil::Misread;
use crate::trace::Mark;
use crate::weather::Weather;
use crate::{Mismatch, World};
use auriga_shards::arrival::ConnectionId;
use auriga_shards::execute::message::{Lane, Message};
use auriga_shards::lead::{Found, OPENING_CUTS};
use auriga_shards::limits::STREAMS;
use auriga_shards::pacer::Clock;
use auriga_shards::place::{Placement, ShardId};
use auriga_shards::shard::{Config, Shard};
use auriga_shards::step::{Input, Output, Outputs};
use auriga_wire::Frame;
use std::collections::VecDeque;

/// Messages on their way from one shard to another, on one lane.
pub(crate) struct Ring {
    pub(crate) from: ShardId,
    pub(crate) to: ShardId,
    pub(crate) lane: Lane,
    pub(crate) messages: VecDeque<Message>,
}

/// How a life may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fortune {
    /// Number of this life, from 0.
    pub(crate) life: u32,
    pub(crate) shards: u16,
    /// The server dies after so many steps, if the work is not done before.
    pub(crate) death: Option<u64>,
    /// These steps count from the end of the replay.
    pub(crate) dies_later: bool,
    /// Requests are offered before the log is replayed.
    pub(crate) early: bool,
    /// Everything is looked up at the end.
    pub(crate) audit: bool,
    /// It is told to stop while it works: what is under way is still done, and no checkpoint is begun.
    pub(crate) stops: bool,
    pub(crate) weather: Weather,
}

/// How a life ends, other than at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// The power goes.
    Power,
    /// The process is killed.
    Killed,
    /// A write has failed: the server ends.
    FailedWrite,
    /// The start was refused.
    Refused,
}

/// The server in one life.
pub(crate) struct Machine<'w> {
    pub(crate) world: &'w mut World,
    pub(crate) fortune: Fortune,
    pub(crate) placement: Placement,
    pub(crate) shards: Vec<Shard>,
    pub(crate) serving: Vec<Option<u64>>,
    /// It has ended.
    pub(crate) death: Option<Death>,
    /// How far history had got when it was started.
    history_through: u64,
    /// What the start has read wrong.
    pub(crate) misread: Misread,
    /// Only epochs up to this one mean anything: the start is going to be refused.
    pub(crate) bound: Option<u64>,
    /// The checkpoint that was loaded.
    pub(crate) loaded: Option<u64>,
    /// The last epoch of the replay.
    pub(crate) recovered: Option<u64>,
    state_is_checked: bool,
    is_audited: bool,
    pub(crate) is_stopping: bool,
    pub(crate) seen: model::Seen,
    pub(crate) rings: Vec<Ring>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) keeper: Keeper,
    pub(crate) outputs: Outputs,
    pub(crate) clock: Clock,
    pub(crate) accepts_clock: bool,
    /// The clock is too far away for this start.
    pub(crate) clock_is_away: bool,
    pub(crate) steps: u64,
    pub(crate) steps_before_serving: u64,
    pub(crate) mood: Mood,
    pub(crate) legal: Vec<Step>,
}

impl<'w> Machine<'w> {
    /// A server that was just started on the world's disk.
    pub(crate) fn new(world: &'w mut World, fortune: Fortune) -> Self {
        let placement = Placement::new(fortune.shards, world.rng.u64(..));
        let (wall_ns, accepts_clock) = world.start_clock(fortune.audit);
        let clock = Clock { monotonic_ns: world.rng.u64(..1 << 40), wall_ns };
        world.memory.time.start(clock.monotonic_ns);
        if let Some(history) = &mut world.history {
            history.start(fortune.shards);
        }

        let config = |shard| Config {
            shard,
            placement,
            identity: world.disk.identity,
            limits: world.limits,
            cpu: 0,
            accept_clock: accepts_clock,
            history: world.history.is_some(),
            checkpoints: world.checkpoints,
        };
        let shards: Vec<_> = placement.all().map(|s| Shard::new(config(s), Box::new(|_| {}))).collect();
        let pairs = || placement.all().flat_map(|from| placement.all().map(move |to| (from, to)));
        let rings = [Lane::Route, Lane::Control].into_iter().flat_map(|lane| {
            pairs().map(move |(from, to)| Ring { from, to, lane, messages: VecDeque::new() })
        });
        let ends = &world.truth.stream_ends;
        let used = (0..STREAMS as u16).map(|stream| ends.get(&stream).copied().unwrap_or(0)).collect();
        let keeper = Keeper::new(fortune.shards, used, world.truth.end.epoch);
        world.clients.connect(fortune.shards, &mut world.rng);
        let numbers = [u64::from(fortune.life), u64::from(fortune.shards), clock.monotonic_ns, clock.wall_ns];
        world.trace.note(Mark::Life, &numbers, &[]);
        let rings: Vec<_> = rings.collect();
        let history_through = world.history.as_ref().map_or(u64::MAX, |history| history.through());
        let misread = Misread::plan(fortune.weather, world.disk.has_damage(), &mut world.rng);
        Self {
            world,
            fortune,
            placement,
            serving: vec![None; shards.len()],
            mood: Mood::new(rings.len(), shards.len()),
            shards,
            death: None,
            history_through,
            misread,
            bound: None,
            loaded: None,
            recovered: None,
            state_is_checked: false,
            is_audited: false,
            is_stopping: false,
            seen: model::Seen::default(),
            rings,
            operations: Vec::new(),
            keeper,
            outputs: Outputs::default(),
            clock,
            accepts_clock,
            clock_is_away: false,
            steps: 0,
            steps_before_serving: 0,
            legal: Vec::new(),
        }
    }

    /// Runs until everything is done or the server dies.
    pub(crate) fn run(mut self) -> Result<Option<Death>, Mismatch> {
        let result = self.live();
        self.world.tally.steps += self.steps;
        let trace = [self.steps, self.world.truth.end.epoch];
        self.world.trace.note(Mark::End, &trace, &self.world.truth.end.checksum.to_le_bytes());
        let Fortune { life, shards, .. } = self.fortune;
        let step = self.steps;
        result.map_err(|Broken { invariant, what }| Mismatch { invariant, shards, life, step, what })?;
        Ok(self.death)
    }

    fn live(&mut self) -> Result<(), Broken> {
        let (disk, history_through) = (&self.world.disk, self.history_through);
        let manifests = disk.slots.manifests(&disk.identity);
        let found = Found { manifests, log_from: disk.log_from, history_through };
        self.foresee();
        self.input(ShardId(0), Input::Recover(Box::new(found)))?;
        while self.death.is_none() {
            if self.steps == progress::STEPS_MAX {
                return progress::no_end(self);
            }
            if self.death_is_due() {
                self.die();
                break;
            }
            match self.choose() {
                Some(step) => self.carry_out(step)?,
                None if self.keeper.full => self.keeper.set_full(false),
                None => match self.shards[0].deadline() {
                    Some(deadline) => self.pass_time(deadline),
                    None if self.begins_audit() => {}
                    None => {
                        progress::at_rest(self)?;
                        break;
                    }
                },
            }
            if !self.state_is_checked && self.serves() {
                self.check_at_serving()?;
            }
        }
        self.end()?;
        at_end_of_life(self)
    }

    /// The newest state must be what the log says, unless it goes on already.
    fn check_at_serving(&mut self) -> Result<(), Broken> {
        self.state_is_checked = true;
        self.world.tally.starts += 1;
        // Something may have expired at once.
        let opened = self.recovered.unwrap_or(0) + u64::from(OPENING_CUTS);
        let is_unchanged = self.world.truth.end.epoch <= opened
            && self.shards.iter().all(|shard| shard.execution().plan().number <= opened);
        if !self.fortune.early && is_unchanged {
            model::is_state_of(self)?;
        }
        Ok(())
    }

    /// Everything was done: now everything is looked up, once.
    fn begins_audit(&mut self) -> bool {
        let begins = self.fortune.audit && !self.is_audited;
        if begins {
            self.is_audited = true;
            self.world.clients.audit();
        }
        begins
    }

    /// What must become of the start.
    pub(crate) fn forecast(&self) -> Forecast {
        Forecast::new(self.world, &self.misread, self.history_through)
    }

    /// Looks whether the start is going to be refused.
    pub(crate) fn foresee(&mut self) {
        self.bound = match self.forecast() {
            Forecast::Refused { epoch, .. } => Some(epoch - 1),
            Forecast::Serves { end, .. } => (end.epoch < self.world.truth.end.epoch).then_some(end.epoch),
            Forecast::Returns { .. } => None,
            Forecast::NoCheckpoint => Some(0),
        };
    }

    /// Whether every shard takes requests.
    pub(crate) fn serves(&self) -> bool {
        self.serving.iter().all(Option::is_some)
    }

    fn pass_time(&mut self, deadline: u64) {
        let more = deadline.saturating_sub(self.clock.monotonic_ns);
        self.clock.monotonic_ns += more;
        self.clock.wall_ns += more;
    }

    fn carry_out(&mut self, step: Step) -> Result<(), Broken> {
        let passed = self.world.rng.u64(..self.mood.step_ns_max);
        self.clock.monotonic_ns += passed;
        // The wall clock is sometimes a little faster or slower.
        self.clock.wall_ns += passed * self.world.rng.u64(7..=9) / 8;
        self.world.trace.note(Mark::Step, &[step.number(), self.clock.monotonic_ns], &[]);
        match step {
            Step::Tick => self.input(ShardId(0), Input::Tick),
            Step::Begin(shard) => self.input(shard, Input::Begin),
            Step::Stop => {
                self.is_stopping = true;
                self.world.tally.stops += 1;
                self.input(ShardId(0), Input::Stop)
            }
            Step::Receive { ring } => {
                let Ring { from, to, lane, messages } = &mut self.rings[ring];
                let message = messages.pop_front().expect("a legal step has a message");
                message.assert_lane(*lane);
                let (from, to) = (*from, *to);
                self.input(to, Input::Message(from, message))
            }
            Step::Complete { operation } => self.complete(operation),
            Step::Keep { wish } => {
                self.keeper.work(wish, &mut self.world.disk, &mut self.world.rng);
                Ok(())
            }
            Step::Hear(shard) => {
                let news = self.keeper.news[shard.index()].pop_front().expect("a legal step has news");
                let input = match news {
                    News::Stream(through) => Input::StreamPrepared { through },
                    News::Cuts(through) => Input::CutsPrepared { through },
                    News::Full(full) => Input::StorageFull(full),
                };
                self.input(shard, input)
            }
            Step::Offer { connection } => self.offer(connection),
            Step::Remember => self.remember(),
            Step::GiveBack(shard) => {
                let history = self.world.history.as_mut().expect("a legal step has a history");
                let facts = history.give_back(shard);
                self.input(shard, Input::HistoryTook(facts))
            }
            Step::Answer { question } => {
                let World { history, truth, .. } = &mut *self.world;
                let history = history.as_mut().expect("a legal step has a history");
                let (shard, job, answer) = history.answer(question, truth);
                self.input(shard, Input::HistoryAnswer { job, answer: &answer })
            }
        }
    }

    /// History takes an epoch.
    fn remember(&mut self) -> Result<(), Broken> {
        crate::invariants::read(self.world)?;
        let World { history, truth, tally, .. } = &mut *self.world;
        tally.told += history.as_mut().expect("a legal step has a history").take(truth)?;
        Ok(())
    }

    fn offer(&mut self, connection: usize) -> Result<(), Broken> {
        let World { clients, rng, trace, .. } = &mut *self.world;
        let shard = clients.connections[connection].shard;
        let (number, frame) = clients.offer(connection, self.placement.shards(), rng);
        trace.note(Mark::Request, &[number], frame.bytes());
        let (_, frame) = Frame::check(frame.bytes()).expect("a client's frame is good");
        let id = ConnectionId(connection as u64);
        let Self { shards, outputs, clock, world, .. } = self;
        shards[shard.index()].step(*clock, Input::Request(id, frame), outputs);
        let before = outputs.list.len();
        outputs.list.retain(|output| !matches!(output, Output::Deferred(who) if *who == id));
        if outputs.list.len() < before {
            world.tally.deferred += 1;
            world.clients.deferred(id, number);
        }
        self.perform(shard)
    }

    pub(crate) fn input(&mut self, shard: ShardId, input: Input<'_>) -> Result<(), Broken> {
        self.shards[shard.index()].step(self.clock, input, &mut self.outputs);
        self.perform(shard)
    }

    /// What is going on, for a failure's message.
    pub(crate) fn dump(&self) -> String {
        let mut text = format!("{:?}, serving {:?}, {:?}\n", self.fortune, self.serving, self.clock);
        for sent in self.world.clients.unanswered().take(20) {
            let command = Clients::command(&sent.ask);
            text += &format!("unanswered: {} {command:?} on {:?}\n", sent.number, sent.connection);
        }
        text += &format!("{:?}\n{:?}\n", self.world.clients.connections, self.keeper);
        text += &self.world.history.as_ref().map(|history| history.dump() + "\n").unwrap_or_default();
        for ring in self.rings.iter().filter(|ring| !ring.messages.is_empty()) {
            let Ring { from, to, lane, messages } = ring;
            text += &format!(
                "{lane:?} ring from {from} to {to}: {}, first {:?}\n",
                messages.len(),
                kind(&messages[0])
            );
        }
        for shard in &self.shards {
            let execution = shard.execution();
            let state = (execution.plan().number, execution.in_gap(), shard.is_idle(), shard.deadline());
            text += &format!("epoch, in gap, idle, deadline: {state:?}\n");
        }
        text
    }

    /// Whether every ring is empty and every chunk at home.
    pub(crate) fn is_tidy(&self) -> bool {
        let counts = self.shards.iter().map(|shard| shard.execution().mail.pool_counts());
        self.rings.iter().all(|ring| ring.messages.is_empty())
            && self.operations.is_empty()
            && counts.into_iter().all(|(made, free)| made == free)
    }
}

fn kind(message: &Message) -> String {
    match message {
        Message::Chunk(chunk) => format!("{:?}", chunk.kind()),
        other => format!("{other:?}"),
    }
}
