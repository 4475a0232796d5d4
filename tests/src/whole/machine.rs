//! One life of the server: its shards in one thread, the rings between them, and the random choice of the next step.

use super::check;
use super::choice::{MOOD_STEPS_MAX, Mood, Step};
use super::clients::Clients;
use super::disk::Fate;
use super::keeper::{Keeper, News};
use super::operations::{Operation, WORK_KINDS, Work};
use super::{Mismatch, World, slots};
use auriga_shards::arrival::ConnectionId;
use auriga_shards::checkpoint::SLOTS;
use auriga_shards::checkpoint::manifest::Manifest;
use auriga_shards::execute::message::{Lane, Message};
use auriga_shards::lead::{Found, OPENING_CUTS};
use auriga_shards::limits::{CONTROL_RING_SLOTS, ROUTE_RING_SLOTS, SECTOR_SIZE, STREAMS};
use auriga_shards::pacer::{Clock, LogEnd};
use auriga_shards::place::{Placement, ShardId};
use auriga_shards::shard::{Config, Shard};
use auriga_shards::step::{Input, Output, Outputs};
use auriga_wire::Frame;
use std::collections::VecDeque;

/// More steps than any life takes that makes progress.
const STEPS_MAX: u64 = 20_000_000;

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
    /// The power goes after so many steps, if the work is not done before.
    pub(crate) crash: Option<u64>,
    /// These steps count from the end of the replay.
    pub(crate) crash_later: bool,
    /// Requests are offered before the log is replayed.
    pub(crate) early: bool,
    /// The disk is full now and then.
    pub(crate) full: bool,
}

/// The server in one life.
pub(crate) struct Machine<'w> {
    pub(crate) world: &'w mut World,
    pub(crate) fortune: Fortune,
    pub(crate) placement: Placement,
    pub(crate) shards: Vec<Shard>,
    pub(crate) serving: Vec<Option<u64>>,
    /// What the replay has to find.
    log_end: LogEnd,
    state_is_checked: bool,
    pub(crate) rings: Vec<Ring>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) keeper: Keeper,
    outputs: Outputs,
    pub(crate) clock: Clock,
    pub(crate) steps: u64,
    pub(crate) steps_before_serving: u64,
    pub(crate) mood: Mood,
    pub(crate) legal: Vec<Step>,
}

impl<'w> Machine<'w> {
    /// A server that was just started on the world's disk.
    pub(crate) fn new(world: &'w mut World, fortune: Fortune) -> Self {
        let placement = Placement::new(fortune.shards, world.rng.u64(..));
        let away = world.truth.end.epoch > 0 && world.rng.u8(..8) == 0;
        let clock = Clock { monotonic_ns: world.rng.u64(..1 << 40), wall_ns: world.start_clock(away) };
        let config = |shard| Config {
            shard,
            placement,
            identity: world.disk.identity,
            limits: world.limits,
            cpu: 0,
            accept_clock: away,
            history: false,
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
        let mut machine = Self {
            log_end: world.truth.end,
            world,
            fortune,
            placement,
            serving: vec![None; shards.len()],
            shards,
            state_is_checked: false,
            rings: rings.collect(),
            operations: Vec::new(),
            keeper,
            outputs: Outputs::default(),
            clock,
            steps: 0,
            steps_before_serving: 0,
            mood: Mood::default(),
            legal: Vec::new(),
        };
        machine.mood.rings = vec![false; machine.rings.len()];
        machine.mood.disks = vec![[false; WORK_KINDS]; machine.shards.len()];
        machine
    }

    /// Runs until everything is done or the power goes.
    pub(crate) fn run(mut self) -> Result<(), Mismatch> {
        let result = self.live();
        self.world.tally.steps += self.steps;
        let Fortune { life, shards, .. } = self.fortune;
        result.map_err(|what| Mismatch { shards, life, step: self.steps, what })
    }

    fn live(&mut self) -> Result<(), String> {
        let found = self.find();
        self.input(ShardId(0), Input::Recover(Box::new(found)))?;
        loop {
            if self.steps == STEPS_MAX {
                return Err(format!("no end after {STEPS_MAX} steps\n{}", self.dump()));
            }
            if self.crash_is_due() {
                return self.crash();
            }
            match self.choose() {
                Some(step) => self.carry_out(step)?,
                None if self.keeper.full => self.keeper.set_full(false),
                None => match self.shards[0].deadline() {
                    Some(deadline) => self.pass_time(deadline),
                    None => return check::at_rest(self),
                },
            }
            if !self.state_is_checked && self.serves() {
                self.state_is_checked = true;
                self.world.tally.starts += 1;
                // Something may have expired at once.
                let expected = self.world.truth.end.epoch + u64::from(OPENING_CUTS);
                let is_unchanged = self.shards.iter().all(|s| s.execution().plan().number <= expected);
                if !self.fortune.early && is_unchanged {
                    check::state(self)?;
                }
            }
        }
    }

    /// What a start finds on the disk. Now and then a checkpoint has rotted that it can do without.
    fn find(&mut self) -> Found {
        let World { disk, rng, tally, .. } = &mut *self.world;
        let [one, other] = disk.slots.manifests(&disk.identity);
        let log_from = disk.log_from;
        let may_be = |manifest: &Manifest| manifest.end.epoch + 1 >= log_from;
        let has_other = |other: &Option<Manifest>| log_from == 1 || other.as_ref().is_some_and(may_be);
        let slot = rng.u8(..SLOTS as u8);
        let (it, left) = if slot == 0 { (&one, &other) } else { (&other, &one) };
        let is_sound = !disk.slots.rotten.contains(&true);
        if it.is_some() && is_sound && has_other(left) && rng.u8(..8) == 0 {
            disk.slots.rot(slot, &disk.identity, rng);
            let found = disk.slots.manifests(&disk.identity);
            tally.checkpoints_damaged += u64::from(found[usize::from(slot)].is_none());
        }
        Found { manifests: disk.slots.manifests(&disk.identity), log_from, ..Found::default() }
    }

    /// Whether every shard takes requests.
    pub(crate) fn serves(&self) -> bool {
        self.serving.iter().all(Option::is_some)
    }

    /// The moment has come; often only once a write is under way.
    fn crash_is_due(&mut self) -> bool {
        let Some(at) = self.fortune.crash else { return false };
        let writes = self.operations.iter().any(|operation| operation.work.is_write());
        let steps =
            if self.fortune.crash_later { self.steps - self.steps_before_serving } else { self.steps };
        steps >= at && (writes || at % 4 == 0 || steps > at + MOOD_STEPS_MAX)
    }

    fn crash(&mut self) -> Result<(), String> {
        let World { rng, disk, tally, .. } = &mut *self.world;
        tally.crashes += 1;
        tally.crashes_in_replay += u64::from(self.serving.iter().all(Option::is_none));
        for operation in &self.operations {
            if let Some((file, offset, bytes)) = operation.work.written() {
                let fate = Fate::draw(rng);
                tally.fates[fate as usize] += 1;
                disk.end_write(file, offset, bytes, fate, rng);
            }
        }
        for Operation { work, .. } in std::mem::take(&mut self.operations) {
            match work {
                Work::Errand(errand) if self.world.rng.bool() => {
                    let _ = slots::run(&errand, self.world)?;
                }
                Work::WriteSheet { file, number, sheet } => {
                    self.world.disk.slots.write(file, number, &sheet);
                }
                _ => {}
            }
        }
        let World { disk, rng, .. } = &mut *self.world;
        disk.slots.crash(rng);
        check::after(self)
    }

    fn pass_time(&mut self, deadline: u64) {
        let more = deadline.saturating_sub(self.clock.monotonic_ns);
        self.clock.monotonic_ns += more;
        self.clock.wall_ns += more;
    }

    fn carry_out(&mut self, step: Step) -> Result<(), String> {
        let passed = self.world.rng.u64(..self.mood.step_ns_max);
        self.clock.monotonic_ns += passed;
        // The wall clock is sometimes a little faster or slower.
        self.clock.wall_ns += passed * self.world.rng.u64(7..=9) / 8;
        match step {
            Step::Tick => self.input(ShardId(0), Input::Tick),
            Step::Receive { ring } => {
                let Ring { from, to, lane, messages } = &mut self.rings[ring];
                let message = messages.pop_front().expect("a legal step has a message");
                message.assert_lane(*lane);
                let (from, to) = (*from, *to);
                self.input(to, Input::Message(from, message))
            }
            Step::Complete { operation } => {
                let Operation { shard, work } = self.operations.swap_remove(operation);
                self.complete(shard, work)
            }
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
        }
    }

    fn offer(&mut self, connection: usize) -> Result<(), String> {
        let World { clients, rng, .. } = &mut *self.world;
        let shard = clients.connections[connection].shard;
        let (number, frame) = clients.offer(connection, self.placement.shards(), rng);
        let (_, frame) = Frame::check(frame.bytes()).map_err(|fault| format!("a client's frame: {fault}"))?;
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

    fn input(&mut self, shard: ShardId, input: Input<'_>) -> Result<(), String> {
        self.shards[shard.index()].step(self.clock, input, &mut self.outputs);
        self.perform(shard)
    }

    fn complete(&mut self, shard: ShardId, work: Work) -> Result<(), String> {
        let Self { shards, outputs, clock, world, .. } = self;
        let mut take = |input: Input<'_>| shards[shard.index()].step(*clock, input, outputs);
        work.complete(world, &mut take)?;
        self.perform(shard)
    }

    /// Does what a shard wants done.
    fn perform(&mut self, shard: ShardId) -> Result<(), String> {
        let mut outputs = std::mem::take(&mut self.outputs);
        for outgoing in outputs.outgoing.drain(..) {
            let lane = outgoing.message.lane();
            let count = self.shards.len();
            let ring = usize::from(lane == Lane::Control) * count * count;
            let ring = &mut self.rings[ring + shard.index() * count + outgoing.to.index()];
            assert_eq!((ring.from, ring.to, ring.lane), (shard, outgoing.to, lane), "rings are in order");
            ring.messages.push_back(outgoing.message);
            let slots = if lane == Lane::Route { ROUTE_RING_SLOTS } else { CONTROL_RING_SLOTS };
            if ring.messages.len() > slots || outgoing.to == shard {
                return Err(format!("more than the {slots} slots of a ring on the {lane:?} lane"));
            }
        }
        for output in outputs.list.drain(..) {
            self.carry(shard, output, &outputs.replies)?;
        }
        outputs.replies.clear();
        self.outputs = outputs;
        Ok(())
    }

    fn carry(&mut self, shard: ShardId, output: Output, replies: &[u8]) -> Result<(), String> {
        let World { clients, truth, .. } = &mut *self.world;
        match output {
            Output::Reply(reply) => return clients.take(reply.to, &replies[reply.bytes]),
            Output::Deferred(who) => return Err(format!("{who:?} is deferred, which offered nothing")),
            Output::Room => clients.room(shard),
            Output::PrepareStream { stream, last, .. } => self.keeper.want_stream(shard, stream, last),
            Output::PrepareCuts { last, .. } => self.keeper.want_cuts(shard, last),
            Output::Recovered { end, dropped } => {
                if end != self.log_end || dropped.is_some() != truth.tail {
                    let (expected, tail) = (self.log_end, truth.tail);
                    return Err(format!(
                        "replayed through {end:?}, dropped {dropped:?}; expected {expected:?}, tail: {tail}"
                    ));
                }
                self.world.tally.dropped += u64::from(dropped.is_some());
            }
            Output::Serving { incarnation } => return self.serve(shard, incarnation),
            Output::Loaded { .. } => self.world.tally.loads += 1,
            Output::CheckpointDamaged(_) => self.world.tally.checkpoints_damaged += 1,
            Output::Replayed { .. }
            | Output::Holds(_)
            | Output::Checkpointing { .. }
            | Output::Checkpointed { .. }
            | Output::CheckpointFailed(_) => {}
            Output::NoCheckpoint { log_from } => {
                return Err(format!("the start is refused: the log begins with {log_from}"));
            }
            Output::Damaged(hole) => return Err(format!("the start is refused: {hole}")),
            Output::ClockIsAway { ahead_ns } => return Err(format!("the clock is away by {ahead_ns} ns")),
            Output::DamageFound(what) if what.contains(".log, read at byte ") => {
                self.world.tally.damage_found += 1;
            }
            Output::DamageFound(what) => return Err(format!("damage that names no place: {what}")),
            other => return self.begin(shard, other),
        }
        Ok(())
    }

    fn serve(&mut self, shard: ShardId, incarnation: u64) -> Result<(), String> {
        let newest = &mut self.world.incarnation;
        let first = self.serving.iter().all(Option::is_none);
        let good = if first { incarnation > *newest } else { incarnation == *newest };
        if !good || self.serving[shard.index()].is_some() {
            return Err(format!(
                "shard {shard} serves as incarnation {incarnation}, the newest was {newest}"
            ));
        }
        *newest = incarnation;
        self.serving[shard.index()] = Some(incarnation);
        Ok(())
    }

    /// Begins a read or a write.
    fn begin(&mut self, shard: ShardId, output: Output) -> Result<(), String> {
        let operation = Operation { shard, work: Work::new(output) };
        if let Some((file, offset, bytes)) = operation.work.written() {
            self.world.disk.check_write(file, offset, bytes.len())?;
            let kind = operation.work.kind();
            if self.operations.iter().any(|other| other.shard == shard && other.work.kind() == kind) {
                return Err(format!("a second flush under way at {file}, byte {offset}"));
            }
            match file {
                auriga_shards::log::File::Stream { stream, segment } => {
                    let own = self.placement.first_stream(shard).0;
                    if own != stream {
                        return Err(format!("shard {shard} writes stream {stream}, expected {own}"));
                    }
                    let start = u64::from(segment) * auriga_shards::limits::STREAM_SEGMENT_SIZE;
                    self.keeper.uses(stream, start + offset + bytes.len() as u64 - SECTOR_SIZE as u64);
                }
                auriga_shards::log::File::Cuts { .. } => self.keeper.epoch += 1,
            }
        }
        if let Work::WriteSheet { file, number, .. } = &operation.work {
            self.world.disk.slots.check_write(*file, *number)?;
        }
        self.operations.push(operation);
        Ok(())
    }

    /// What is going on, for a failure's message.
    pub(crate) fn dump(&self) -> String {
        let mut text = format!("{:?}, serving {:?}, {:?}\n", self.fortune, self.serving, self.clock);
        for sent in self.world.clients.unanswered().take(20) {
            let command = Clients::command(&sent.ask);
            text += &format!("unanswered: {} {command:?} on {:?}\n", sent.number, sent.connection);
        }
        text += &format!("{:?}\n{:?}\n", self.world.clients.connections, self.keeper);
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
