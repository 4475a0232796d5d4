//! Vote: each check where its data is.
//!
//! Legs on accounts without a balance limit are applied at once and undone if somebody refuses. For the others
//! (*tracked* accounts) a leg is judged against the interval that the balance can have, with every earlier leg of the epoch
//! still open: certain to pass, certain to be refused, or held. A sum that could overflow makes all accounts of the
//! epoch tracked, from its first leg on: rare, exact, and one pass.

use super::mail::{Mail, Sorter};
use super::message::{Ballot, Detail, Leg, NewAccount, Note, OpenLeg, OpenNote, Vote};
use super::outcome::Outcomes;
use crate::ledger::Ledger;
use crate::ledger::ids::Consumed;
use crate::ledger::rules::{Balance, Rank, Side};
use crate::limits::EPOCH_UNITS_MAX;
use crate::place::{Position, ShardId};
use auriga_wire::TransferCode;
use auriga_wire::record::AccountFlags;

/// Bits of a transfer's state as this shard knows it.
const REFUSED: u8 = 1;
const HELD: u8 = 2;

/// Legs are looked up in groups, so that the memory of one is fetched while others are worked on.
const GROUP: usize = 32;

/// A leg whose effect is in the balance already.
#[derive(Clone, Copy, Debug)]
struct Applied {
    amount: u128,
    slot: u32,
    leg: LegId,
}

/// What identifies a leg beside its account and amount.
#[derive(Clone, Copy, Debug)]
struct LegId {
    index: u16,
    peer: u16,
    id_shard: u16,
    side: Side,
}

/// A leg on a tracked account.
#[derive(Clone, Copy, Debug)]
struct TrackedLeg {
    amount: u128,
    /// Number among the tracked accounts.
    account: u32,
    leg: LegId,
    held: bool,
}

/// An account whose balance stays as before the epoch until everything is decided.
#[derive(Clone, Copy, Debug)]
struct Tracked {
    slot: u32,
    any_held: bool,
    /// Sums of the epoch's legs so far that are not refused for certain.
    open: Balance,
    /// While open legs are gathered: the balance with all that is decided so far.
    known: Balance,
}

/// The voting side of one shard in one epoch.
#[derive(Debug)]
pub struct Voter {
    states: Vec<u8>,
    any_refused: bool,
    held: u32,
    track_all: bool,
    /// Number of accounts before the epoch.
    accounts_before: u32,
    applied: Vec<Applied>,
    tracked_legs: Vec<TrackedLeg>,
    tracked: Vec<Tracked>,
    /// Ids that the epoch consumed: index and number.
    consumed: Vec<(u16, u32)>,
    /// Duplicates of ids that the epoch consumed: index and the original's.
    duplicates: Vec<(u16, u16)>,
    votes: Sorter<Vote>,
    open_legs: Sorter<OpenLeg>,
    open_notes: Sorter<OpenNote>,
}

/// What a voter needs of its shard for a while.
pub struct Booth<'a> {
    /// The state that votes are about.
    pub ledger: &'a mut Ledger,
    /// The way out.
    pub mail: &'a mut Mail,
    /// Results of what arrived here.
    pub outcomes: &'a mut Outcomes,
    /// The epoch.
    pub epoch: &'a super::epoch::Plan,
}

impl Voter {
    /// A voter among so many shards.
    pub fn new(shards: u16) -> Self {
        Self {
            states: vec![0; EPOCH_UNITS_MAX],
            any_refused: false,
            held: 0,
            track_all: false,
            accounts_before: 0,
            applied: Vec::new(),
            tracked_legs: Vec::new(),
            tracked: Vec::new(),
            consumed: Vec::new(),
            duplicates: Vec::new(),
            votes: Sorter::new(shards),
            open_legs: Sorter::new(shards),
            open_notes: Sorter::new(shards),
        }
    }

    /// Forgets the epoch before. `accounts` is the number of accounts that exist.
    pub fn clear(&mut self, units: usize, accounts: usize) {
        self.states[..units].fill(0);
        self.any_refused = false;
        self.held = 0;
        self.track_all = false;
        self.accounts_before = accounts as u32;
        self.applied.clear();
        self.tracked_legs.clear();
        self.tracked.clear();
        self.consumed.clear();
        self.duplicates.clear();
    }

    /// Held legs and notes of this shard.
    pub fn held(&self) -> u32 {
        self.held
    }

    /// Takes legs, in position order.
    pub fn take_legs(&mut self, legs: &[Leg], booth: &mut Booth<'_>) {
        for group in legs.chunks(GROUP) {
            let mut hashes = [0; GROUP];
            for (leg, hash) in group.iter().zip(&mut hashes) {
                *hash = booth.ledger.placement.hash(leg.account);
                booth.ledger.accounts.prefetch_index(*hash);
            }
            let mut slots = [None; GROUP];
            for ((leg, hash), slot) in group.iter().zip(hashes).zip(&mut slots) {
                *slot = booth.ledger.accounts.find(hash, leg.account);
                if let Some(slot) = *slot {
                    booth.ledger.accounts.prefetch(slot);
                }
            }
            for (leg, slot) in group.iter().zip(slots) {
                let slot =
                    slot.filter(|slot| *slot < self.accounts_before || is_before(*slot, leg.index, booth));
                self.take_leg(leg, slot, booth);
            }
        }
    }

    #[inline]
    fn take_leg(&mut self, leg: &Leg, slot: Option<u32>, booth: &mut Booth<'_>) {
        let side = leg.side();
        let id = LegId { index: leg.index, peer: leg.peer, id_shard: leg.id_shard, side };
        let Some(slot) = slot else {
            let code = match side {
                Side::Debit => TransferCode::DebitAccountNotFound,
                Side::Credit => TransferCode::CreditAccountNotFound,
            };
            return self.refuse_leg(id, code, Detail::NONE, booth);
        };
        let account = booth.ledger.accounts.hot_mut(slot);
        if account.ledger != leg.ledger {
            let ledger = Detail::ledger(account.ledger);
            return self.refuse_leg(id, TransferCode::AccountsMustHaveTheSameLedger, ledger, booth);
        }
        if account.flags & AccountFlags::LIMITS == 0 && !self.track_all {
            if account.balance.refuse(account.flags, side, leg.amount).is_none() {
                account.balance.apply(side, leg.amount);
                self.applied.push(Applied { amount: leg.amount, slot, leg: id });
                return;
            }
            self.track_everything(booth);
        }
        self.take_tracked(slot, leg.amount, id, booth);
    }

    /// Takes every applied leg of the epoch back and tracks it instead. None of them could overflow, so none of them has
    /// anything new to say.
    #[cold]
    fn track_everything(&mut self, booth: &mut Booth<'_>) {
        self.track_all = true;
        let applied = std::mem::take(&mut self.applied);
        for leg in &applied {
            booth.ledger.accounts.hot_mut(leg.slot).balance.undo(leg.leg.side, leg.amount);
        }
        for leg in &applied {
            self.take_tracked(leg.slot, leg.amount, leg.leg, booth);
        }
    }

    fn take_tracked(&mut self, slot: u32, amount: u128, leg: LegId, booth: &mut Booth<'_>) {
        let account = self.track(slot, booth.ledger);
        let tracked = &mut self.tracked[account as usize];
        let hot = booth.ledger.accounts.hot(slot);
        let (low, open) = (hot.balance, tracked.open);
        let high = Balance {
            debits: low.debits.saturating_add(open.debits),
            credits: low.credits.saturating_add(open.credits),
        };
        // Saturated or not: no real balance lies above `high`, because a leg that overflows is never accepted.
        let (best, worst) = match leg.side {
            Side::Debit => (Balance { debits: low.debits, ..high }, Balance { debits: high.debits, ..low }),
            Side::Credit => {
                (Balance { credits: low.credits, ..high }, Balance { credits: high.credits, ..low })
            }
        };
        let best = best.refuse(hot.flags, leg.side, amount);
        let worst = worst.refuse(hot.flags, leg.side, amount);
        if let (Some(code), true) = (best, best == worst) {
            return self.refuse_leg(leg, code, Detail::NONE, booth);
        }
        let held = worst.is_some();
        let sum = match leg.side {
            Side::Debit => &mut tracked.open.debits,
            Side::Credit => &mut tracked.open.credits,
        };
        *sum = sum.saturating_add(amount);
        tracked.any_held |= held;
        self.tracked_legs.push(TrackedLeg { amount, account, leg, held });
        if held {
            self.held += 1;
            let vote = Vote::hold(leg.index);
            self.note_vote(&vote);
            if leg.peer != booth.mail.shard().0 {
                self.votes.push(booth.mail, booth.epoch.number, ShardId(leg.peer), vote);
            }
        }
    }

    /// The account's number among the tracked.
    fn track(&mut self, slot: u32, ledger: &mut Ledger) -> u32 {
        let hot = ledger.accounts.hot_mut(slot);
        if self.tracked.get(hot.tracked as usize).is_some_and(|t| t.slot == slot) {
            return hot.tracked;
        }
        hot.tracked = self.tracked.len() as u32;
        self.tracked.push(Tracked { slot, any_held: false, open: Balance::default(), known: hot.balance });
        hot.tracked
    }

    /// Creates accounts, in position order, and each before the later legs of the epoch are taken.
    pub fn take_accounts(&mut self, accounts: &[NewAccount], booth: &mut Booth<'_>) {
        for new in accounts {
            let hash = booth.ledger.placement.hash(new.account.id);
            let refusal = if new.probe == 1 {
                booth.ledger.accounts.exists(hash, &new.account)
            } else {
                let timestamp = booth.epoch.time + u64::from(new.index);
                booth.ledger.accounts.create(hash, &new.account, timestamp).err()
            };
            if let Some(code) = refusal {
                let vote = Vote::refuse(new.index, Rank::of_account(code), Detail::NONE);
                self.cast(vote, [booth.epoch.arrival(new.index); 3], booth);
            }
        }
    }

    /// Takes id notes, in position order.
    pub fn take_notes(&mut self, notes: &[Note], booth: &mut Booth<'_>) {
        for group in notes.chunks(GROUP) {
            let mut hashes = [0; GROUP];
            for (note, hash) in group.iter().zip(&mut hashes) {
                *hash = booth.ledger.placement.hash(note.id);
                booth.ledger.ids.prefetch(*hash);
            }
            for (note, hash) in group.iter().zip(hashes) {
                self.take_note(note, hash, booth);
            }
        }
    }

    #[inline]
    fn take_note(&mut self, note: &Note, hash: u64, booth: &mut Booth<'_>) {
        match booth.ledger.ids.find(hash, note.id, note.content) {
            Some(consumed) => self.refuse_duplicate(note, consumed, booth),
            None if note.probe == 0 => {
                let position = Position::new(booth.epoch.number, note.index);
                let number = booth.ledger.ids.consume(hash, note.id, position, note.content);
                self.consumed.push((note.index, number));
            }
            None => {}
        }
    }

    /// A duplicate is refused whatever became of its original; only the code may have to wait for that.
    #[cold]
    fn refuse_duplicate(&mut self, note: &Note, consumed: Consumed, booth: &mut Booth<'_>) {
        let original = consumed.position;
        let detail = Detail::original(&consumed);
        let vote = if original.epoch() == booth.epoch.number {
            self.duplicates.push((note.index, original.index()));
            self.held += 1;
            Vote::refuse(note.index, Rank::EXISTS, detail)
        } else if consumed.refused {
            Vote::refuse(note.index, Rank::ID_ALREADY_FAILED, Detail::NONE)
        } else {
            Vote::refuse(note.index, Rank::EXISTS, detail)
        };
        let arrival = booth.epoch.arrival(note.index);
        let to = match note.probe {
            0 => [arrival, ShardId(note.debit_shard), ShardId(note.credit_shard)],
            _ => [arrival; 3],
        };
        self.cast(vote, to, booth);
    }

    #[cold]
    fn refuse_leg(&mut self, leg: LegId, code: TransferCode, detail: Detail, booth: &mut Booth<'_>) {
        let to = [booth.epoch.arrival(leg.index), ShardId(leg.peer), ShardId(leg.id_shard)];
        self.cast(Vote::refuse(leg.index, Rank::of(code), detail), to, booth);
    }

    /// Tells each of these shards once; this one, if it is among them, at once.
    fn cast(&mut self, vote: Vote, to: [ShardId; 3], booth: &mut Booth<'_>) {
        for (i, shard) in to.into_iter().enumerate() {
            if to[..i].contains(&shard) {
                continue;
            }
            if shard == booth.mail.shard() {
                self.take_vote(&vote, booth.outcomes, booth.epoch);
            } else {
                self.votes.push(booth.mail, booth.epoch.number, shard, vote);
            }
        }
    }

    /// Takes a vote on a transfer that arrived here or has a leg or its id here. May come before this shard's own legs
    /// have all been judged: those judge without it.
    pub fn take_vote(&mut self, vote: &Vote, outcomes: &mut Outcomes, epoch: &super::epoch::Plan) {
        self.note_vote(vote);
        if epoch.is_own(vote.index) {
            outcomes.take(vote);
        }
    }

    fn note_vote(&mut self, vote: &Vote) {
        let bit = match vote.ballot() {
            Ballot::Refused | Ballot::OriginalRefused => REFUSED,
            Ballot::Held => HELD,
        };
        self.any_refused |= bit == REFUSED;
        self.states[usize::from(vote.index)] |= bit;
    }

    /// Sends the votes that are still in open chunks.
    pub fn flush_votes(&mut self, mail: &mut Mail) {
        self.votes.flush(mail);
    }

    /// All votes are in and something is held: sends what is open here to the coordinator.
    pub fn send_open(&mut self, coordinator: ShardId, booth: &mut Booth<'_>) {
        let epoch = booth.epoch.number;
        for leg in &self.tracked_legs {
            let account = &mut self.tracked[leg.account as usize];
            if !account.any_held {
                continue;
            }
            let state = self.states[usize::from(leg.leg.index)];
            let refused = state & REFUSED != 0;
            if !refused && state & HELD == 0 {
                account.known.apply(leg.leg.side, leg.amount);
                continue;
            }
            if refused && !leg.held {
                continue;
            }
            let open = OpenLeg {
                amount: leg.amount,
                debits: account.known.debits,
                credits: account.known.credits,
                account: leg.account,
                index: leg.leg.index,
                peer: leg.leg.peer,
                id_shard: leg.leg.id_shard,
                flags: booth.ledger.accounts.hot(account.slot).flags,
                side: u8::from(leg.leg.side == Side::Credit),
                held: u8::from(leg.held),
                refused: u8::from(refused),
                pad: 0,
            };
            self.open_legs.push(booth.mail, epoch, coordinator, open);
        }
        for (index, original) in &self.duplicates {
            let original_refused = self.states[usize::from(*original)] & REFUSED;
            let open = OpenNote { index: *index, original: *original, original_refused, pad: [0; 11] };
            self.open_notes.push(booth.mail, epoch, coordinator, open);
        }
        self.open_legs.flush(booth.mail);
        self.open_notes.flush(booth.mail);
    }

    /// Everything is decided: who was not refused is created.
    pub fn settle(&mut self, ledger: &mut Ledger) {
        if self.any_refused {
            for leg in &self.applied {
                if self.states[usize::from(leg.leg.index)] & REFUSED != 0 {
                    ledger.accounts.hot_mut(leg.slot).balance.undo(leg.leg.side, leg.amount);
                }
            }
            for (index, number) in &self.consumed {
                if self.states[usize::from(*index)] & REFUSED != 0 {
                    ledger.ids.refuse(*number);
                }
            }
        }
        for leg in &self.tracked_legs {
            if self.states[usize::from(leg.leg.index)] & REFUSED == 0 {
                let slot = self.tracked[leg.account as usize].slot;
                ledger.accounts.hot_mut(slot).balance.apply(leg.leg.side, leg.amount);
            }
        }
    }
}

/// Whether an account of this epoch was created before the event with this index.
#[cold]
fn is_before(slot: u32, index: u16, booth: &Booth<'_>) -> bool {
    booth.ledger.accounts.timestamp(slot) < booth.epoch.time + u64::from(index)
}
