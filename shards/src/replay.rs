//! The replay of the log at a start, as shard 0 leads it: cuts are read and announced, every shard reads and checks its
//! streams' blocks, and what all have found good is committed as on the day it was logged.

use crate::checkpoint::plan::Plan;
use crate::limits::{REPLAY_AHEAD, SECTOR_SIZE};
use crate::log::Identity;
use crate::log::cut::{Cut, CutImage};
use crate::log::recover::{BlockDamage, Dropped, Hole, Recovery};
use crate::pacer::{Act, Counts, Holdings, LogEnd, Pace};
use crate::place::{Placement, ShardId, StreamId};
use crate::step::{Output, Outputs};
use std::collections::VecDeque;

/// Cuts that are kept read ahead.
const CUTS_AHEAD: usize = 64;

/// An epoch whose blocks the shards are reading.
#[derive(Debug)]
struct Announced {
    cut: Cut,
    /// Shards that have not answered.
    missing: usize,
    damage: Option<BlockDamage>,
    before: LogEnd,
}

/// How the replay ended.
#[derive(Debug)]
pub enum End {
    /// At the log's end, and what was dropped behind it.
    Log(LogEnd, Option<Dropped>),
    /// The log is damaged.
    Hole(Box<Hole>),
    /// A start has dropped the epoch of the checkpoint that it began with: the log goes on from another state.
    OtherLog,
}

impl From<Result<(LogEnd, Option<Dropped>), Box<Hole>>> for End {
    fn from(end: Result<(LogEnd, Option<Dropped>), Box<Hole>>) -> Self {
        end.map_or_else(Self::Hole, |(end, dropped)| Self::Log(end, dropped))
    }
}

/// The replay under way.
#[derive(Debug)]
pub struct Replay {
    recovery: Recovery,
    placement: Placement,
    cuts: VecDeque<(Cut, Box<CutImage>, LogEnd)>,
    next_slot: u64,
    reading: bool,
    exhausted: bool,
    announced: VecDeque<Announced>,
    stopped: bool,
    executed: Vec<u64>,
    holdings: Vec<Holdings>,
    /// Checkpoints of later epochs, by slot, and those of them that the log goes past with another state.
    later: Vec<(u8, LogEnd)>,
    dropped: Vec<u8>,
}

impl Replay {
    /// A replay of what lies behind `from`: the end of what a checkpoint holds, or of nothing, in a log that has its epochs from
    /// `log_from` on. `later` are checkpoints of later epochs, by slot.
    pub fn new(
        identity: Identity,
        placement: Placement,
        (from, log_from): (LogEnd, u64),
        later: Vec<(u8, LogEnd)>,
        holdings: Vec<Holdings>,
    ) -> Self {
        let mut recovery = Recovery::new(identity, from);
        let proven = later.iter().map(|(_, later)| later.epoch).max();
        recovery.prove(log_from, proven.unwrap_or(from.epoch));
        Self {
            recovery,
            placement,
            cuts: VecDeque::new(),
            next_slot: from.epoch.max(log_from),
            reading: false,
            exhausted: false,
            announced: VecDeque::new(),
            stopped: false,
            executed: vec![from.epoch; holdings.len()],
            holdings,
            later,
            dropped: Vec::new(),
        }
    }

    /// By slot: later checkpoints of epochs that a start has dropped.
    pub fn dropped(&self) -> &[u8] {
        &self.dropped
    }

    /// By shard: what it holds.
    pub fn holdings(&self) -> Vec<Holdings> {
        self.holdings.clone()
    }

    /// Takes slots that were read.
    pub fn take_cuts(&mut self, first: u64, bytes: &[u8], end: bool) {
        assert_eq!(first, self.next_slot, "slots are read in order");
        self.reading = false;
        self.exhausted |= end;
        for sector in bytes.chunks_exact(SECTOR_SIZE) {
            let before = self.recovery.end();
            if let Some(cut) = self.recovery.take(self.next_slot, sector)
                && !self.stopped
            {
                let checksum = self.recovery.end().checksum;
                let other = self.later.iter().filter(|(_, l)| l.epoch == cut.epoch && l.checksum != checksum);
                self.dropped.extend(other.map(|(slot, _)| *slot));
                self.cuts.push_back((cut, Box::new(CutImage::new(sector)), before));
            }
            self.next_slot += 1;
        }
    }

    /// Takes what a shard says.
    pub fn take(&mut self, from: ShardId, pace: &Pace) {
        match pace {
            Pace::Durable { epoch } => self.answered(*epoch, None),
            Pace::Damaged(damage) => self.answered(damage.epoch, Some((**damage).clone())),
            Pace::Executed { epoch, holdings } => {
                self.executed[from.index()] = *epoch;
                self.holdings[from.index()] = *holdings;
            }
            other => unreachable!("{other:?} has no place in a replay"),
        }
    }

    fn answered(&mut self, epoch: u64, damage: Option<BlockDamage>) {
        let announced = self.announced.iter_mut().find(|a| a.cut.epoch == epoch);
        let announced = announced.expect("shards answer what was announced");
        announced.missing -= 1;
        if damage.is_some() {
            announced.damage = damage;
        }
    }

    /// Goes on as far as possible. Returns the end when it is reached.
    pub fn advance(&mut self, plan: &mut Plan, act: &mut VecDeque<Act>, out: &mut Outputs) -> Option<End> {
        if self.recovery.is_other_log() {
            return Some(End::OtherLog);
        }
        self.commit(plan, act);
        // Nobody waits for a shard without blocks, and nothing for the execution: without this bound, one slow shard's
        // ring, or the memory of all blocks read, would hold the rest of the log.
        let slowest = self.executed.iter().min().copied().unwrap_or(0);
        while !self.stopped && self.cuts.front().is_some_and(|(cut, ..)| cut.epoch <= slowest + REPLAY_AHEAD)
        {
            let (cut, image, before) = self.cuts.pop_front().expect("looked at above");
            let missing = self.owners(&cut);
            self.announced.push_back(Announced { cut, missing, damage: None, before });
            act.push_back(Act::Replay(image));
            self.commit(plan, act);
        }
        if !self.reading && !self.exhausted && (self.stopped || self.cuts.len() < CUTS_AHEAD) {
            self.reading = true;
            out.push(Output::ReadCuts { first: self.next_slot });
        }
        if !self.exhausted || self.reading {
            return None;
        }
        if self.stopped {
            let bad = self.announced.front().expect("the damaged epoch stays in front");
            let damage = bad.damage.clone().expect("a replay stops at damage");
            let done = self.all_executed(bad.before.epoch);
            return done.then(|| self.recovery.finish(Some((damage, bad.before))).into());
        }
        let done = self.cuts.is_empty() && self.announced.is_empty();
        (done && self.all_executed(self.recovery.end().epoch)).then(|| self.recovery.finish(None).into())
    }

    fn all_executed(&self, epoch: u64) -> bool {
        self.executed.iter().all(|executed| *executed == epoch)
    }

    fn commit(&mut self, plan: &mut Plan, act: &mut VecDeque<Act>) {
        while !self.stopped && self.announced.front().is_some_and(|front| front.missing == 0) {
            if self.announced[0].damage.is_some() {
                self.stopped = true;
                self.cuts.clear();
                return;
            }
            let cut = self.announced.pop_front().expect("looked at above").cut;
            plan.count(&cut);
            act.push_back(Act::TellAll(Pace::Commit { epoch: cut.epoch, held: Counts::default() }));
        }
    }

    /// Shards that have blocks of the epoch to read.
    fn owners(&self, cut: &Cut) -> usize {
        let mut owners: Vec<_> =
            cut.blocks.iter().map(|block| self.placement.stream_owner(StreamId(block.stream))).collect();
        owners.dedup();
        owners.len()
    }
}
