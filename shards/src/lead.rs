//! What shard 0 does for all: it leads the load of a checkpoint and the replay, opens the log for this start, then runs the
//! pacer, writes the cut log, and plans checkpoints. Acts that concern every shard are handed to [`crate::shard`].

use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::plan::{Plan, Policy};
use crate::checkpoint::{ErrandEnd, File, SLOTS};
use crate::limits::{CUT_SEGMENT_SLOTS, CUT_SLOTS_RESERVE, Limits};
use crate::log::cut::{Cut, CutImage, CutSector};
use crate::log::segment::cut_place;
use crate::log::{Damage, Identity};
use crate::pacer::{Act, Clock, Holdings, LogEnd, Pace, Pacer};
use crate::place::{Placement, ShardId};
use crate::replay::{End, Replay};
use crate::step::{Output, Outputs};
use std::collections::VecDeque;

/// Furthest that the clock may be ahead of the log's time at a start: a directory may have rested a while.
const CLOCK_AHEAD_MAX_NS: i128 = 90 * 86_400 * 1_000_000_000;
/// Furthest that it may be behind: an epoch's time runs a little ahead under load, and clocks are stepped back a little.
const CLOCK_BEHIND_MAX_NS: i128 = 60 * 1_000_000_000;
/// Empty cuts that a start writes before it takes requests: the second proves the first.
pub const OPENING_CUTS: u8 = 2;

/// What a start finds in the directory.
#[derive(Debug)]
pub struct Found {
    /// By slot: a checkpoint.
    pub manifests: [Option<Manifest>; SLOTS],
    /// The first epoch that the log still has.
    pub log_from: u64,
    /// The newest epoch that history durably has: what is later has to be replayed for it. `u64::MAX` if none is kept.
    pub history_through: u64,
}

impl Default for Found {
    fn default() -> Self {
        Self { manifests: [None, None], log_from: 1, history_through: u64::MAX }
    }
}

/// The load of a checkpoint under way.
#[derive(Debug)]
struct Loading {
    log_from: u64,
    /// Slots that may be tried, the best one last.
    slots: Vec<(u8, Manifest)>,
    /// By slot: after which epoch every checkpoint shows the state, whether it can be loaded or not.
    ends: Vec<(u8, LogEnd)>,
    /// What the shards said of the last one.
    answers: Vec<Option<Result<(u128, Holdings), Damage>>>,
}

#[derive(Debug)]
enum Stage {
    /// Before [`Lead::recover`].
    New,
    Loading(Box<Loading>),
    /// From the checkpoint in this slot, or from none; the others may still have to be tried.
    Replaying(Box<Replay>, Option<u8>, Box<Loading>),
    Pacing(Box<Pacer>),
}

/// The leading part of shard 0.
#[derive(Debug)]
pub struct Lead {
    identity: Identity,
    placement: Placement,
    limits: Limits,
    stage: Stage,
    plan: Plan,
    policy: Policy,
    /// Opening cuts of this start that are not durable yet.
    opening: u8,
    accept_clock: bool,
    acts: VecDeque<Act>,
    /// Memory for cuts that are written.
    sector: Option<Box<CutSector>>,
    segment_asked: Option<u32>,
    storage_full: bool,
    log_full: bool,
}

impl Lead {
    /// Before the replay.
    pub fn new(
        identity: Identity,
        placement: Placement,
        limits: Limits,
        policy: Policy,
        accept_clock: bool,
    ) -> Self {
        let shards = usize::from(placement.shards());
        Self {
            identity,
            placement,
            limits,
            stage: Stage::New,
            plan: Plan::new(identity, policy, shards, &[None, None], 1),
            policy,
            opening: OPENING_CUTS,
            accept_clock,
            acts: VecDeque::with_capacity(256),
            sector: Some(CutSector::new()),
            segment_asked: None,
            storage_full: false,
            log_full: false,
        }
    }

    /// Whether no flush is in flight and the last commit is sealed.
    pub fn is_idle(&self) -> bool {
        match &self.stage {
            Stage::Pacing(pacer) => self.opening == 0 && pacer.is_idle() && self.plan.is_idle(),
            Stage::New | Stage::Loading(_) | Stage::Replaying(..) => true,
        }
    }

    /// The next act to carry out.
    pub fn next_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// When [`Lead::tick`] is due, monotonic nanoseconds.
    pub fn deadline(&self) -> Option<u64> {
        match &self.stage {
            Stage::Pacing(pacer) => {
                let plan = self.plan.deadline().filter(|_| self.opening == 0);
                [pacer.deadline(), plan].into_iter().flatten().min()
            }
            _ => None,
        }
    }

    /// Time passes.
    pub fn tick(&mut self, clock: Clock, out: &mut Outputs) {
        if let Stage::Pacing(pacer) = &mut self.stage {
            pacer.tick(clock, &mut self.acts);
        }
        self.plan_checkpoint(clock, out);
        self.want_segments(out);
    }

    /// Begins a checkpoint if it is time for one.
    fn plan_checkpoint(&mut self, clock: Clock, out: &mut Outputs) {
        if self.opening == 0 {
            self.plan.tick(clock.monotonic_ns, out);
        }
    }

    /// Loads the newest checkpoint that can be, then replays the log.
    pub fn recover(&mut self, found: Found, out: &mut Outputs) {
        let shards = usize::from(self.placement.shards());
        self.plan = Plan::new(self.identity, self.policy, shards, &found.manifests, found.log_from);
        let may_be = |manifest: &Manifest| {
            manifest.end.epoch + 1 >= found.log_from && manifest.end.epoch <= found.history_through
        };
        let slots = (0..).zip(found.manifests).filter_map(|(slot, manifest)| Some((slot, manifest?)));
        let mut slots: Vec<(u8, Manifest)> = slots.collect();
        let ends = slots.iter().map(|(slot, manifest)| (*slot, manifest.end)).collect();
        slots.retain(|(_, manifest)| may_be(manifest));
        slots.sort_unstable_by_key(|(_, manifest)| manifest.end.epoch);
        let answers = vec![None; shards];
        self.stage = Stage::Loading(Box::new(Loading { log_from: found.log_from, slots, ends, answers }));
        self.acts.push_back(Act::TellAll(Pace::LogFrom(found.log_from)));
        self.load(out);
    }

    /// Lets the shards load the best checkpoint that is left, or replays the log from its beginning.
    fn load(&mut self, out: &mut Outputs) {
        let Stage::Loading(loading) = &mut self.stage else { unreachable!("called while loading") };
        let from = loading.slots.last().cloned().map(Box::new);
        if from.is_none() && loading.log_from > 1 {
            return out.push(Output::NoCheckpoint { log_from: loading.log_from });
        }
        self.acts.push_back(Act::TellAll(Pace::Load(from)));
    }

    /// A shard has loaded its state, or can't.
    fn take_loaded(
        &mut self,
        from: ShardId,
        answer: &Result<(u128, Holdings), Damage>,
        clock: Clock,
        out: &mut Outputs,
    ) {
        let Stage::Loading(loading) = &mut self.stage else { unreachable!("asked for while loading") };
        loading.answers[from.index()] = Some(answer.clone());
        if loading.answers.iter().any(Option::is_none) {
            return;
        }
        let from = loading.slots.pop();
        let none = vec![None; loading.answers.len()];
        let answers = std::mem::replace(&mut loading.answers, none);
        let answers: Result<Vec<_>, Damage> = answers.into_iter().flatten().collect();
        let loaded = answers.and_then(|answers| {
            let digest = answers.iter().fold(0u128, |sum, (digest, _)| sum.wrapping_add(*digest));
            if let Some((slot, manifest)) = &from {
                crate::log::expect("digest of the checkpoint's state", digest, manifest.digest)
                    .map_err(|Damage(what)| Damage(format!("{}: {what}", File::Manifest { slot: *slot })))?;
            }
            Ok(answers.into_iter().map(|(_, holdings)| holdings).collect())
        });
        match loaded {
            Ok(holdings) => {
                let mut end = LogEnd::default();
                if let Some((_, manifest)) = &from {
                    self.plan.go_on_from(manifest);
                    out.push(Output::Loaded { epoch: manifest.end.epoch });
                    end = manifest.end;
                }
                let Stage::Loading(loading) = std::mem::replace(&mut self.stage, Stage::New) else {
                    unreachable!("looked at above")
                };
                let later = loading.ends.iter().filter(|(_, later)| later.epoch > end.epoch).copied();
                let from_log = (end, loading.log_from);
                let replay = Replay::new(self.identity, self.placement, from_log, later.collect(), holdings);
                self.stage = Stage::Replaying(Box::new(replay), from.map(|(slot, _)| slot), loading);
                self.advance(clock, out);
            }
            Err(damage) => {
                from.iter().for_each(|(slot, _)| self.plan.forget(*slot));
                out.push(Output::CheckpointDamaged(damage));
                self.load(out);
            }
        }
    }

    /// The server stops when all is done: no checkpoint is waited for.
    pub fn stop(&mut self) {
        if self.plan.stop() {
            self.acts.push_back(Act::TellAll(Pace::GiveUp));
        }
    }

    /// Tells the shards what of the log will go.
    fn say_log_from(&mut self) {
        if let Some(epoch) = self.plan.take_log_from() {
            self.acts.push_back(Act::TellAll(Pace::LogFrom(epoch)));
        }
    }

    /// An errand for a checkpoint has ended.
    pub fn errand_ended(&mut self, end: ErrandEnd, clock: Clock, out: &mut Outputs) {
        self.plan.errand_ended(end, clock.monotonic_ns, out);
        self.say_log_from();
        if let Stage::Pacing(pacer) = &mut self.stage
            && self.plan.wants_cut()
        {
            pacer.want_cut(clock, &mut self.acts);
        }
        self.plan_checkpoint(clock, out);
    }

    /// Takes slots of the cut log.
    pub fn take_cuts(&mut self, first: u64, bytes: &[u8], end: bool, clock: Clock, out: &mut Outputs) {
        if let Stage::Replaying(replay, ..) = &mut self.stage {
            replay.take_cuts(first, bytes, end);
        }
        self.advance(clock, out);
    }

    /// Takes what a shard says.
    pub fn take(&mut self, from: ShardId, pace: &Pace, clock: Clock, out: &mut Outputs) {
        match (&mut self.stage, pace) {
            (_, Pace::Loaded(answer)) => self.take_loaded(from, answer, clock, out),
            (_, Pace::Part(taken)) => {
                if self.plan.take_part(from, (**taken).clone(), clock.monotonic_ns, out) {
                    self.acts.push_back(Act::TellAll(Pace::GiveUp));
                }
            }
            (Stage::Replaying(replay, ..), _) => {
                replay.take(from, pace);
                self.advance(clock, out);
            }
            (Stage::Pacing(pacer), _) => pacer.take(from, pace, clock, &mut self.acts),
            (Stage::New | Stage::Loading(_), _) => unreachable!("{pace:?} before the replay"),
        }
    }

    /// Takes the entry of a block that a shard has sealed.
    pub fn take_entry(&mut self, entry: crate::log::cut::BlockEntry) {
        match &mut self.stage {
            Stage::Pacing(pacer) => pacer.take_entry(entry),
            _ => unreachable!("no block is sealed before the log is open"),
        }
    }

    /// The cut is durable.
    pub fn cut_written(&mut self, sector: Box<CutSector>, clock: Clock, out: &mut Outputs) {
        self.sector = Some(sector);
        let Stage::Pacing(pacer) = &mut self.stage else { unreachable!("no cut is written during a replay") };
        pacer.cut_is_durable(clock, &mut self.acts);
        match self.opening {
            0 => {}
            1 => {
                self.opening = 0;
                self.acts.push_back(Act::TellAll(Pace::Serve { incarnation: pacer.serve() }));
                self.plan.recycle(out);
            }
            _ => {
                self.opening -= 1;
                pacer.open(clock, &mut self.acts);
            }
        }
        self.say_log_from();
        self.plan_checkpoint(clock, out);
    }

    /// The cut log is prepared through the slot of epoch `through`.
    pub fn cuts_prepared(&mut self, through: u64, clock: Clock) {
        if let Stage::Pacing(pacer) = &mut self.stage {
            pacer.prepared(through);
            if self.opening > 0 {
                pacer.open(clock, &mut self.acts);
            } else {
                pacer.tick(clock, &mut self.acts);
            }
        }
        self.say_if_full();
    }

    /// Nothing more can be prepared, or something can again.
    pub fn storage_full(&mut self, full: bool) {
        self.storage_full = full;
        self.plan.storage_full(full);
        self.say_if_full();
    }

    /// Encodes a cut, asks for it to be written, and returns its image for the shards.
    pub fn write(&mut self, cut: Cut, out: &mut Outputs) -> CutImage {
        let Stage::Pacing(pacer) = &mut self.stage else { unreachable!("no cut is made during a replay") };
        let mut sector = self.sector.take().expect("one flush is in flight");
        let (file, offset) = cut_place(cut.epoch);
        self.plan.count(&cut);
        let end = pacer.encode(cut, &mut sector);
        if let Some(slot) = self.plan.cut(end) {
            // History takes what is proven, and the checkpoint waits for it.
            pacer.seal_behind();
            out.push(Output::Checkpointing { epoch: end.epoch });
            self.acts.push_back(Act::TellAll(Pace::Checkpoint { epoch: end.epoch, slot }));
        }
        let image = CutImage::new(&sector.0);
        out.push(Output::WriteCut { file, offset, sector });
        self.want_segments(out);
        self.say_if_full();
        image
    }

    fn advance(&mut self, clock: Clock, out: &mut Outputs) {
        let Stage::Replaying(replay, slot, _) = &mut self.stage else {
            return;
        };
        let Some(end) = replay.advance(&mut self.plan, &mut self.acts, out) else {
            return;
        };
        let holdings = replay.holdings();
        match end {
            End::Hole(hole) => out.push(Output::Damaged(hole)),
            End::OtherLog => {
                let slot = slot.expect("only a checkpoint is of another log");
                self.plan.forget(slot);
                let file = File::Manifest { slot };
                let what = format!("{file}: a start has dropped the epoch that it shows the state after");
                out.push(Output::CheckpointDamaged(Damage(what)));
                let replaying = std::mem::replace(&mut self.stage, Stage::New);
                let Stage::Replaying(_, _, loading) = replaying else { unreachable!("looked at above") };
                self.stage = Stage::Loading(loading);
                self.load(out);
            }
            End::Log(end, dropped) => {
                for slot in replay.dropped() {
                    self.plan.forget(*slot);
                }
                out.push(Output::Recovered { end, dropped });
                if let Some(ahead_ns) = self.clock_is_away(&end, clock) {
                    return out.push(Output::ClockIsAway { ahead_ns });
                }
                self.acts.push_back(Act::TellAll(Pace::Discard));
                self.stage =
                    Stage::Pacing(Box::new(Pacer::new(self.identity, self.limits, &end, holdings, clock)));
                self.want_segments(out);
            }
        }
    }

    fn clock_is_away(&self, end: &LogEnd, clock: Clock) -> Option<i128> {
        let ahead = i128::from(clock.wall_ns) - i128::from(end.time_end);
        let fine = (-CLOCK_BEHIND_MAX_NS..=CLOCK_AHEAD_MAX_NS).contains(&ahead);
        (!fine && end.epoch > 0 && !self.accept_clock).then_some(ahead)
    }

    /// Asks for the segment of the next cut and the one after it.
    fn want_segments(&mut self, out: &mut Outputs) {
        let Stage::Pacing(pacer) = &self.stage else { return };
        let first = ((pacer.next_epoch() - 1) / CUT_SEGMENT_SLOTS) as u32;
        if self.segment_asked.is_none_or(|asked| asked < first + 1) {
            self.segment_asked = Some(first + 1);
            out.push(Output::PrepareCuts { first, last: first + 1 });
        }
    }

    /// Tells the shards when the reserve of cut slots has to be kept for what is accepted.
    fn say_if_full(&mut self) {
        let Stage::Pacing(pacer) = &self.stage else { return };
        let full = self.storage_full && pacer.slots_left() < CUT_SLOTS_RESERVE;
        if full != self.log_full {
            self.log_full = full;
            self.acts.push_back(Act::TellAll(Pace::LogFull(full)));
        }
    }
}
