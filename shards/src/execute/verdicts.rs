//! What this shard knows of each event of the epoch, and its votes.

use super::epoch::Plan;
use super::mail::{Mail, Sorter};
use super::message::{Amount, Ballot, Vote};
use super::outcome::Outcomes;
use crate::limits::EPOCH_UNITS_MAX;
use crate::place::ShardId;

/// The event is refused.
const REFUSED: u8 = 1;
/// An event of the unit is refused. A unit is a chain, or an event that is in none; its bits are kept by its first index.
const UNIT_REFUSED: u8 = 2;
/// An event of the unit is held.
const UNIT_HELD: u8 = 4;

/// Whom a vote concerns, beside the arrival shard.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// These; some may be the same.
    Some([ShardId; 3]),
    /// Every shard.
    All,
}

/// The verdicts of one epoch.
#[derive(Debug)]
pub struct Verdicts {
    states: Vec<u8>,
    any_refused: bool,
    /// Legs, notes and accounts that are held here.
    held: u32,
    votes: Sorter<Vote>,
    /// What variable transfers move, once that is decided, by index.
    amounts: Vec<Amount>,
}

impl Verdicts {
    /// Nothing known, among so many shards.
    pub fn new(shards: u16) -> Self {
        Self {
            states: vec![0; EPOCH_UNITS_MAX],
            any_refused: false,
            held: 0,
            votes: Sorter::new(shards),
            amounts: Vec::new(),
        }
    }

    /// Forgets the epoch before.
    pub fn clear(&mut self, units: usize) {
        self.states[..units].fill(0);
        self.any_refused = false;
        self.held = 0;
        self.amounts.clear();
    }

    /// What is held here, in number.
    pub fn held(&self) -> u32 {
        self.held
    }

    /// Whether anything is refused at all.
    pub fn any_refused(&self) -> bool {
        self.any_refused
    }

    /// Whether this event is refused for a reason of its own.
    pub fn is_refused(&self, index: u16) -> bool {
        self.states[usize::from(index)] & REFUSED != 0
    }

    /// Whether anything of this unit is refused.
    #[inline]
    pub fn unit_refused(&self, unit: u16) -> bool {
        self.states[usize::from(unit)] & UNIT_REFUSED != 0
    }

    /// Whether anything of this unit is held.
    pub fn unit_held(&self, unit: u16) -> bool {
        self.states[usize::from(unit)] & UNIT_HELD != 0
    }

    /// The code of an event that is refused anyway hangs on others.
    pub fn count_held(&mut self) {
        self.held += 1;
    }

    /// Something of this event is held here without another shard having to know.
    pub fn hold_here(&mut self, index: u16, unit: u16) {
        self.held += 1;
        self.note(&Vote::hold(index, unit));
    }

    /// Holds something of this event.
    pub fn hold(&mut self, index: u16, unit: u16, told: Told, plan: &Plan, mail: &mut Mail) {
        self.hold_here(index, unit);
        let vote = Vote::hold(index, unit);
        match told {
            Told::All => self.tell_others(&vote, plan, mail),
            Told::Some(shards) => {
                for (i, shard) in shards.into_iter().enumerate() {
                    if shard != mail.shard() && !shards[..i].contains(&shard) {
                        self.votes.push(mail, plan.number, shard, vote);
                    }
                }
            }
        }
    }

    /// Casts a refusal: each shard that it concerns is told once, this one at once.
    pub fn refuse(&mut self, vote: &Vote, told: Told, plan: &Plan, mail: &mut Mail, outcomes: &mut Outcomes) {
        match told {
            Told::All => {
                self.take(vote, outcomes, plan);
                self.tell_others(vote, plan, mail);
            }
            Told::Some([a, b, c]) => {
                let to = [plan.arrival(vote.index), a, b, c];
                for (i, shard) in to.into_iter().enumerate() {
                    if to[..i].contains(&shard) {
                        continue;
                    }
                    if shard == mail.shard() {
                        self.take(vote, outcomes, plan);
                    } else {
                        self.votes.push(mail, plan.number, shard, *vote);
                    }
                }
            }
        }
    }

    fn tell_others(&mut self, vote: &Vote, plan: &Plan, mail: &mut Mail) {
        for shard in mail.others() {
            self.votes.push(mail, plan.number, shard, *vote);
        }
    }

    /// Takes a vote on an event that arrived here or has something here. May come before this shard's own legs
    /// have all been judged: those judge without it.
    pub fn take(&mut self, vote: &Vote, outcomes: &mut Outcomes, plan: &Plan) {
        self.note(vote);
        if plan.is_own(vote.index) {
            outcomes.take(vote);
        }
    }

    fn note(&mut self, vote: &Vote) {
        match vote.ballot() {
            Ballot::Refused | Ballot::OriginalRefused => {
                self.any_refused = true;
                self.states[usize::from(vote.index)] |= REFUSED;
                self.states[usize::from(vote.unit)] |= UNIT_REFUSED;
            }
            Ballot::Held => self.states[usize::from(vote.unit)] |= UNIT_HELD,
        }
    }

    /// Takes what variable transfers move.
    pub fn take_amounts(&mut self, amounts: &[Amount]) {
        self.amounts.extend_from_slice(amounts);
    }

    /// What variable transfers move, by index.
    pub fn amounts(&self) -> &[Amount] {
        &self.amounts
    }

    /// What a variable transfer moves. Everything is decided, and it is created.
    pub fn amount(&self, index: u16) -> u128 {
        let found = self.amounts.binary_search_by_key(&index, |amount| amount.index);
        self.amounts[found.expect("the coordinator says what a variable transfer moves")].amount
    }

    /// Sends the votes that are still in open chunks.
    pub fn flush(&mut self, mail: &mut Mail) {
        self.votes.flush(mail);
    }
}
