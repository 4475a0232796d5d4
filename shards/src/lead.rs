//! What shard 0 does for all: it leads the replay, opens the log for this start, then runs the pacer and writes the cut
//! log. Acts that concern every shard are handed to [`crate::shard`].

use crate::limits::{CUT_SEGMENT_SLOTS, CUT_SLOTS_RESERVE, Limits};
use crate::log::Identity;
use crate::log::cut::{Cut, CutImage, CutSector};
use crate::log::segment::cut_place;
use crate::pacer::{Act, Clock, LogEnd, Pace, Pacer};
use crate::place::{Placement, ShardId};
use crate::replay::Replay;
use crate::step::{Output, Outputs};
use std::collections::VecDeque;

/// Furthest that the clock may be ahead of the log's time at a start: a directory may have rested a while.
const CLOCK_AHEAD_MAX_NS: i128 = 90 * 86_400 * 1_000_000_000;
/// Furthest that it may be behind: an epoch's time runs a little ahead under load, and clocks are stepped back a little.
const CLOCK_BEHIND_MAX_NS: i128 = 60 * 1_000_000_000;
/// Empty cuts that a start writes before it takes requests: the second proves the first.
pub const OPENING_CUTS: u8 = 2;

#[derive(Debug)]
enum Stage {
    Replaying(Box<Replay>),
    Pacing(Box<Pacer>),
}

/// The leading part of shard 0.
#[derive(Debug)]
pub struct Lead {
    identity: Identity,
    limits: Limits,
    stage: Stage,
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
    pub fn new(identity: Identity, placement: Placement, limits: Limits, accept_clock: bool) -> Self {
        Self {
            identity,
            limits,
            stage: Stage::Replaying(Box::new(Replay::new(identity, placement))),
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
            Stage::Pacing(pacer) => self.opening == 0 && pacer.is_idle(),
            Stage::Replaying(_) => true,
        }
    }

    /// The next act to carry out.
    pub fn next_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// When [`Lead::tick`] is due, monotonic nanoseconds.
    pub fn deadline(&self) -> Option<u64> {
        match &self.stage {
            Stage::Pacing(pacer) => pacer.deadline(),
            _ => None,
        }
    }

    /// Time passes.
    pub fn tick(&mut self, clock: Clock, out: &mut Outputs) {
        if let Stage::Pacing(pacer) = &mut self.stage {
            pacer.tick(clock, &mut self.acts);
        }
        self.want_segments(out);
    }

    /// Starts the replay.
    pub fn recover(&mut self, clock: Clock, out: &mut Outputs) {
        self.advance(clock, out);
    }

    /// Takes slots of the cut log.
    pub fn take_cuts(&mut self, first: u64, bytes: &[u8], end: bool, clock: Clock, out: &mut Outputs) {
        if let Stage::Replaying(replay) = &mut self.stage {
            replay.take_cuts(first, bytes, end);
        }
        self.advance(clock, out);
    }

    /// Takes what a shard says.
    pub fn take(&mut self, from: ShardId, pace: &Pace, clock: Clock, out: &mut Outputs) {
        match &mut self.stage {
            Stage::Replaying(replay) => {
                replay.take(from, pace);
                self.advance(clock, out);
            }
            Stage::Pacing(pacer) => pacer.take(from, pace, clock, &mut self.acts),
        }
    }

    /// Takes the entry of a block that a shard has sealed.
    pub fn take_entry(&mut self, entry: crate::log::cut::BlockEntry) {
        match &mut self.stage {
            Stage::Pacing(pacer) => pacer.take_entry(entry),
            Stage::Replaying(_) => unreachable!("no block is sealed during a replay"),
        }
    }

    /// The cut is durable.
    pub fn cut_written(&mut self, sector: Box<CutSector>, clock: Clock) {
        self.sector = Some(sector);
        let Stage::Pacing(pacer) = &mut self.stage else { unreachable!("no cut is written during a replay") };
        pacer.cut_is_durable(clock, &mut self.acts);
        match self.opening {
            0 => {}
            1 => {
                self.opening = 0;
                self.acts.push_back(Act::TellAll(Pace::Serve { incarnation: pacer.serve() }));
            }
            _ => {
                self.opening -= 1;
                pacer.open(clock, &mut self.acts);
            }
        }
    }

    /// The cut log is prepared through the slot of epoch `through`.
    pub fn cuts_prepared(&mut self, through: u64, clock: Clock) {
        match &mut self.stage {
            Stage::Pacing(pacer) => {
                pacer.prepared(through);
                if self.opening > 0 {
                    pacer.open(clock, &mut self.acts);
                } else {
                    pacer.tick(clock, &mut self.acts);
                }
            }
            Stage::Replaying(_) => {}
        }
        self.say_if_full();
    }

    /// Nothing more can be prepared, or something can again.
    pub fn storage_full(&mut self, full: bool) {
        self.storage_full = full;
        self.say_if_full();
    }

    /// Encodes a cut, asks for it to be written, and returns its image for the shards.
    pub fn write(&mut self, cut: Cut, out: &mut Outputs) -> CutImage {
        let Stage::Pacing(pacer) = &mut self.stage else { unreachable!("no cut is made during a replay") };
        let mut sector = self.sector.take().expect("one flush is in flight");
        let (file, offset) = cut_place(cut.epoch);
        pacer.encode(cut, &mut sector);
        let image = CutImage::new(&sector.0);
        out.push(Output::WriteCut { file, offset, sector });
        self.want_segments(out);
        self.say_if_full();
        image
    }

    fn advance(&mut self, clock: Clock, out: &mut Outputs) {
        let Stage::Replaying(replay) = &mut self.stage else {
            return;
        };
        let Some(end) = replay.advance(&mut self.acts, out) else {
            return;
        };
        let holdings = replay.holdings();
        match end {
            Err(hole) => out.push(Output::Damaged(hole)),
            Ok((end, dropped)) => {
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
