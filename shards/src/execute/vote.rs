//! Vote: each check of an account where the account is.
//!
//! Legs on accounts without a balance limit are applied at once and undone if somebody refuses. For the others
//! (*tracked* accounts) a leg is judged against the interval that the balance can have, with every earlier leg of the epoch
//! still open: certain to pass, certain to be refused, or held. What is rare makes all accounts of the epoch tracked, from its
//! first leg on: a sum that could overflow, transfers that balance or close, and linked accounts. Posts and voids come late, from
//! the shard of the pending transfer. They only ever make room, so what passes without them passes; what would be refused is
//! held while the epoch has any.

mod settle;

use super::epoch::Plan;
use super::mail::{Mail, Sorter};
use super::message::{
    ClaimLeg, Closing, Detail, Leg, LegId, LegKind, NO_SLOT, NewAccount, OpenAccount, OpenLeg, Release,
    Special, Vote,
};
use super::outcome::Outcomes;
use super::verdicts::{Told, Verdicts};
use crate::ledger::Ledger;
use crate::ledger::rules::{Balance, Half, Rank, Side, Sums};
use crate::place::ShardId;
use auriga_wire::TransferCode;
use auriga_wire::record::AccountFlags;
use std::collections::BTreeMap;

/// A leg's line of the index is asked for twice so many legs before it is worked on, and its account's line once so many.
const AHEAD: usize = 12;
/// Legs of which something is known that are not worked on; a power of two.
const RING: usize = 32;
const _: () = assert!(RING > 2 * AHEAD && RING.is_power_of_two());
/// Posts and voids are looked up in groups, so that the memory of one is fetched while others are worked on.
const GROUP: usize = 32;

/// A leg whose effect is in the balance already.
#[derive(Clone, Copy, Debug)]
struct Applied {
    amount: u128,
    slot: u32,
    leg: LegId,
}

/// A leg on a tracked account.
#[derive(Clone, Copy, Debug)]
struct TrackedLeg {
    amount: u128,
    /// Number among the tracked accounts.
    account: u32,
    ledger: u32,
    leg: LegId,
    held: bool,
    /// Whether the account exists is open.
    uncertain: bool,
}

/// An account whose balance stays as before the epoch until everything is decided.
#[derive(Clone, Copy, Debug)]
struct Tracked {
    slot: u32,
    any_held: bool,
    /// A leg that is not refused for certain closes it.
    closing: bool,
    /// Sums of the epoch's legs so far that are not refused for certain.
    open: Balance,
    /// While open legs are gathered: the balance and the flags with all that is decided so far.
    known: Balance,
    flags: u16,
}

/// An account that may come to be in this epoch.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    new: NewAccount,
    /// Number among the tracked accounts.
    number: u32,
}

/// The voting side of one shard in one epoch.
#[derive(Debug)]
pub struct Voter {
    special: Special,
    /// Number of accounts before the epoch.
    accounts_before: u32,
    applied: Vec<Applied>,
    tracked_legs: Vec<TrackedLeg>,
    tracked: Vec<Tracked>,
    candidates: Vec<Candidate>,
    /// By id: index of its first candidate, and number among the tracked accounts.
    undecided: BTreeMap<u128, (u16, u32)>,
    claim_legs: Vec<ClaimLeg>,
    releases: Vec<Release>,
    /// Accounts that the last epoch closed or opened; the next one begins by telling.
    closings: Vec<Closing>,
    open_legs: Sorter<OpenLeg>,
    open_accounts: Sorter<OpenAccount>,
}

/// What a voter needs of its shard for a while.
pub struct Booth<'a> {
    /// The state that votes are about.
    pub ledger: &'a mut Ledger,
    /// The way out.
    pub mail: &'a mut Mail,
    /// Results of what arrived here.
    pub outcomes: &'a mut Outcomes,
    /// What is known of each event.
    pub verdicts: &'a mut Verdicts,
    /// The epoch.
    pub epoch: &'a Plan,
}

impl Booth<'_> {
    /// Refuses an event.
    pub fn refuse(&mut self, vote: &Vote, told: Told) {
        self.verdicts.refuse(vote, told, self.epoch, self.mail, self.outcomes);
    }
}

impl Voter {
    /// A voter among so many shards.
    pub fn new(shards: u16) -> Self {
        Self {
            special: Special::default(),
            accounts_before: 0,
            applied: Vec::new(),
            tracked_legs: Vec::new(),
            tracked: Vec::new(),
            candidates: Vec::new(),
            undecided: BTreeMap::new(),
            claim_legs: Vec::new(),
            releases: Vec::new(),
            closings: Vec::new(),
            open_legs: Sorter::new(shards),
            open_accounts: Sorter::new(shards),
        }
    }

    /// Forgets the epoch before. `accounts` is the number of accounts that exist.
    pub fn clear(&mut self, accounts: usize) {
        self.special = Special::default();
        self.accounts_before = accounts as u32;
        self.applied.clear();
        self.tracked_legs.clear();
        self.tracked.clear();
        self.candidates.clear();
        self.undecided.clear();
        self.claim_legs.clear();
        self.releases.clear();
    }

    /// Notes what is special in the epoch, before its first leg.
    pub fn add_special(&mut self, special: Special) {
        self.special.add(special);
    }

    /// Whether the epoch may close accounts.
    pub fn tracks_all(&self) -> bool {
        self.special.track_all
    }

    /// Takes legs, in position order.
    pub fn take_legs(&mut self, legs: &[Leg], booth: &mut Booth<'_>) {
        let (mut hashes, mut likely) = ([0; RING], [None; RING]);
        for at in 0..legs.len() + 2 * AHEAD {
            if let Some(leg) = legs.get(at) {
                let hash = booth.ledger.placement.hash(leg.account);
                booth.ledger.accounts.prefetch_index(hash);
                hashes[at % RING] = hash;
            }
            let before = at.wrapping_sub(AHEAD);
            if before < legs.len() {
                likely[before % RING] = booth.ledger.accounts.likely(hashes[before % RING]);
            }
            let now = at.wrapping_sub(2 * AHEAD);
            if let Some(leg) = legs.get(now) {
                let (hash, likely) = (hashes[now % RING], likely[now % RING]);
                let slot = booth.ledger.accounts.find_likely(likely, hash, leg.account);
                let slot =
                    slot.filter(|slot| *slot < self.accounts_before || is_before(*slot, leg.id.index, booth));
                self.take_leg(leg, slot, booth);
            }
        }
    }

    #[inline]
    fn take_leg(&mut self, leg: &Leg, slot: Option<u32>, booth: &mut Booth<'_>) {
        let side = leg.id.kind.side();
        let Some(slot) = slot else {
            return self.take_leg_of_nobody(leg, booth);
        };
        let (ledger, flags) = {
            let account = booth.ledger.accounts.hot(slot);
            (account.ledger, account.flags)
        };
        if ledger != leg.ledger {
            let ledger = Detail::ledger(ledger);
            return refuse_leg(leg.id, TransferCode::AccountsMustHaveTheSameLedger, ledger, booth);
        }
        if leg.id.kind.is(LegKind::LATE) && side == Side::Debit {
            refuse_leg(leg.id, TransferCode::OverflowsTimeout, Detail::NONE, booth);
        }
        const TRACKED: u16 = AccountFlags::LIMITS | AccountFlags::CLOSED;
        if flags & TRACKED == 0 && !self.special.track_all {
            let is_posted =
                !leg.id.kind.is(LegKind::PENDING) && booth.ledger.accounts.post(slot, side, leg.amount);
            if is_posted || add(slot, leg.id.kind.half(leg.amount), booth) {
                self.applied.push(Applied { amount: leg.amount, slot, leg: leg.id });
                return;
            }
            self.track_everything(booth);
        }
        self.take_tracked(slot, leg.amount, leg.ledger, leg.id, booth);
    }

    /// Its account doesn't exist, or not for certain.
    #[cold]
    fn take_leg_of_nobody(&mut self, leg: &Leg, booth: &mut Booth<'_>) {
        if let Some((_, account)) = self.candidate_before(leg.account, leg.id.index) {
            let tracked = TrackedLeg {
                amount: leg.amount,
                account,
                ledger: leg.ledger,
                leg: leg.id,
                held: true,
                uncertain: true,
            };
            if leg.id.kind.is(LegKind::LATE) && leg.id.kind.side() == Side::Debit {
                refuse_leg(leg.id, TransferCode::OverflowsTimeout, Detail::NONE, booth);
            }
            return self.hold(tracked, booth);
        }
        let code = match leg.id.kind.side() {
            Side::Debit => TransferCode::DebitAccountNotFound,
            Side::Credit => TransferCode::CreditAccountNotFound,
        };
        refuse_leg(leg.id, code, Detail::NONE, booth);
    }

    fn candidate_before(&self, id: u128, index: u16) -> Option<(u16, u32)> {
        self.undecided.get(&id).copied().filter(|(first, _)| *first < index)
    }

    /// Takes every applied leg of the epoch back and tracks it instead. None of them could overflow, so none of them has
    /// anything new to say.
    #[cold]
    fn track_everything(&mut self, booth: &mut Booth<'_>) {
        self.special.track_all = true;
        let applied = std::mem::take(&mut self.applied);
        for leg in &applied {
            booth.ledger.accounts.take_back(leg.slot, leg.leg.kind.half(leg.amount));
        }
        for leg in &applied {
            let ledger = booth.ledger.accounts.hot(leg.slot).ledger;
            self.take_tracked(leg.slot, leg.amount, ledger, leg.leg, booth);
        }
        // Posts and voids are put in between by their index.
        self.tracked_legs.sort_by_key(|leg| leg.leg.index);
    }

    fn take_tracked(&mut self, slot: u32, amount: u128, ledger: u32, leg: LegId, booth: &mut Booth<'_>) {
        let account = self.track(slot, booth.ledger);
        let tracked = &self.tracked[account as usize];
        let flags = booth.ledger.accounts.hot(slot).flags;
        let (low, open) = (booth.ledger.accounts.balance(slot), tracked.open);
        let high =
            Balance { debits: plus(low.debits, open.debits), credits: plus(low.credits, open.credits) };
        // Saturated or not: no real balance lies above `high`, because a leg that overflows is never accepted.
        let (best, worst) = match leg.kind.side() {
            Side::Debit => (Balance { debits: low.debits, ..high }, Balance { debits: high.debits, ..low }),
            Side::Credit => {
                (Balance { credits: low.credits, ..high }, Balance { credits: high.credits, ..low })
            }
        };
        let half = leg.kind.half(amount);
        let best = best.refuse(flags, half);
        let worst = worst.refuse(flags, half);
        let is_variable = leg.kind.is(LegKind::VARIABLE);
        let closing = tracked.closing && flags & AccountFlags::CLOSED == 0;
        let is_certain = !is_variable && !closing && !self.special.claims;
        if let (Some(code), true) = (best, best == worst && is_certain) {
            return refuse_leg(leg, code, Detail::NONE, booth);
        }
        let held = worst.is_some() || is_variable || closing;
        let tracked = TrackedLeg { amount, account, ledger, leg, held, uncertain: false };
        if held {
            self.hold(tracked, booth);
        } else {
            self.open(tracked);
        }
    }

    /// Notes a leg that isn't refused for certain.
    fn open(&mut self, leg: TrackedLeg) {
        let tracked = &mut self.tracked[leg.account as usize];
        let half = leg.leg.kind.half(leg.amount);
        let sums = tracked.open.side_mut(half.side);
        let sum = if half.pending { &mut sums.pending } else { &mut sums.posted };
        *sum = sum.saturating_add(half.amount);
        tracked.closing |= leg.leg.kind.is(LegKind::CLOSING);
        tracked.any_held |= leg.held;
        self.tracked_legs.push(leg);
    }

    fn hold(&mut self, leg: TrackedLeg, booth: &mut Booth<'_>) {
        self.open(leg);
        let id = leg.leg;
        let peer = ShardId(id.peer);
        let told = if id.kind.is(LegKind::LINKED) { Told::All } else { Told::Some([peer; 3]) };
        booth.verdicts.hold(id.index, id.unit, told, booth.epoch, booth.mail);
    }

    /// The account's number among the tracked.
    fn track(&mut self, slot: u32, ledger: &mut Ledger) -> u32 {
        let number = ledger.accounts.hot(slot).tracked;
        if self.tracked.get(number as usize).is_some_and(|t| t.slot == slot) {
            return number;
        }
        let known = ledger.accounts.balance(slot);
        let hot = ledger.accounts.hot_mut(slot);
        hot.tracked = self.tracked.len() as u32;
        self.tracked.push(Tracked {
            slot,
            any_held: false,
            closing: false,
            open: Balance::default(),
            known,
            flags: hot.flags,
        });
        hot.tracked
    }

    /// Creates accounts, in position order, and each before the later legs of the epoch are taken.
    pub fn take_accounts(&mut self, accounts: &[NewAccount], booth: &mut Booth<'_>) {
        for new in accounts {
            let hash = booth.ledger.placement.hash(new.account.id);
            let exists = booth.ledger.accounts.exists(hash, &new.account);
            if let Some(code) = exists {
                let vote = Vote::refuse(new.index, new.unit, Rank::of_account(code), Detail::NONE);
                let arrival = booth.epoch.arrival(new.index);
                let told = if new.linked == 1 { Told::All } else { Told::Some([arrival; 3]) };
                booth.refuse(&vote, told);
                continue;
            }
            let before = self.candidate_before(new.account.id, new.index);
            if new.linked == 1 || before.is_some() {
                self.take_candidate(new, before.map(|(_, number)| number), booth);
            } else if new.probe == 0 {
                let timestamp = booth.epoch.time + u64::from(new.index);
                let created = booth.ledger.accounts.create(hash, &new.account, timestamp);
                created.expect("looked up above");
            }
        }
    }

    /// Whether the account comes to be hangs on its chain, or on that of an earlier one with the same id.
    #[cold]
    fn take_candidate(&mut self, new: &NewAccount, before: Option<u32>, booth: &mut Booth<'_>) {
        let number = before.unwrap_or_else(|| {
            self.tracked.push(Tracked {
                slot: NO_SLOT,
                any_held: false,
                closing: false,
                open: Balance::default(),
                known: Balance::default(),
                flags: 0,
            });
            (self.tracked.len() - 1) as u32
        });
        if new.probe == 0 {
            self.undecided.entry(new.account.id).or_insert((new.index, number));
        } else if before.is_none() {
            return;
        }
        self.candidates.push(Candidate { new: *new, number });
        if before.is_some() {
            self.tracked[number as usize].any_held = true;
            if new.linked == 1 {
                booth.verdicts.hold(new.index, new.unit, Told::All, booth.epoch, booth.mail);
            } else {
                booth.verdicts.hold_here(new.index, new.unit);
            }
        }
    }

    /// Takes what posts and voids do to accounts here.
    pub fn take_claim_legs(&mut self, legs: &[ClaimLeg], ledger: &Ledger) {
        for group in legs.chunks(GROUP) {
            let mut hashes = [0; GROUP];
            for (leg, hash) in group.iter().zip(&mut hashes) {
                *hash = ledger.placement.hash(leg.account);
                ledger.accounts.prefetch_index(*hash);
            }
            for (leg, hash) in group.iter().zip(hashes) {
                let slot = ledger.accounts.find(hash, leg.account).unwrap_or(NO_SLOT);
                self.claim_legs.push(ClaimLeg { slot, ..*leg });
            }
        }
    }

    /// Takes what expired pending transfers give back.
    pub fn take_releases(&mut self, releases: &[Release]) {
        self.releases.extend_from_slice(releases);
    }

    /// Accounts that the epoch before closed or opened.
    pub fn take_closings(&mut self) -> std::vec::Drain<'_, Closing> {
        self.closings.drain(..)
    }
}

fn slot_of(account: u128, ledger: &Ledger) -> u32 {
    let hash = ledger.placement.hash(account);
    ledger.accounts.find(hash, account).expect("accounts of a created transfer stay")
}

fn plus(a: Sums, b: Sums) -> Sums {
    Sums { pending: a.pending.saturating_add(b.pending), posted: a.posted.saturating_add(b.posted) }
}

#[cold]
fn refuse_leg(leg: LegId, code: TransferCode, detail: Detail, booth: &mut Booth<'_>) {
    let vote = Vote::refuse(leg.index, leg.unit, Rank::of(code), detail);
    let told = if leg.kind.is(LegKind::LINKED) {
        Told::All
    } else {
        Told::Some([ShardId(leg.peer), ShardId(leg.id_shard), booth.mail.shard()])
    };
    booth.refuse(&vote, told);
}

/// Adds half a transfer to an account without limits; `false` if a sum would overflow.
fn add(slot: u32, half: Half, booth: &mut Booth<'_>) -> bool {
    let mut balance = booth.ledger.accounts.balance(slot);
    let fits = balance.refuse(0, half).is_none();
    if fits {
        balance.add(half);
        booth.ledger.accounts.set_balance(slot, &balance);
    }
    fits
}

/// Whether an account of this epoch was created before the event with this index.
#[cold]
fn is_before(slot: u32, index: u16, booth: &Booth<'_>) -> bool {
    booth.ledger.accounts.timestamp(slot) < booth.epoch.time + u64::from(index)
}
