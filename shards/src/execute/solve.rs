//! Solve: the coordinator's serial run over what the vote left open, and over nothing else.
//!
//! Unit by unit in position order; a unit is a linked chain or a single event. A unit's effects stay only if nobody refused
//! any of it. Units that the votes have refused run along for their codes.

use super::message::{Amount, Detail, LegKind, NO_INDEX, OpenAccount, OpenClaim, OpenLeg, OpenNote, Vote};
use super::verdicts::Told;
use crate::ledger::ids::Status;
use crate::ledger::rules::{Balance, Rank, Side, Sums, compare_accounts};
use crate::limits::EPOCH_UNITS_MAX;
use crate::place::ShardId;
use auriga_wire::TransferCode;
use auriga_wire::record::AccountFlags;

/// What was gathered of one epoch.
#[derive(Debug)]
pub struct Solver {
    legs: Vec<(ShardId, OpenLeg)>,
    claims: Vec<(ShardId, OpenClaim)>,
    accounts: Vec<(ShardId, OpenAccount)>,
    notes: Vec<OpenNote>,
    /// Shards that have sent all.
    gathered: u16,
    order: Vec<Item>,
    /// By shard: the first of its tracked accounts among all.
    first_account: Vec<usize>,
    states: Vec<AccountState>,
    /// By shard: the first of its claimed pending transfers among all.
    first_pending: Vec<usize>,
    ended: Vec<Option<Status>>,
    /// By first index: the unit is refused.
    refused: Vec<bool>,
    undo: Undo,
    amounts: Vec<Amount>,
}

/// An open item: its unit, its index, its kind and its place among those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    unit: u16,
    index: u16,
    kind: ItemKind,
    at: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ItemKind {
    Account,
    Claim,
    Leg,
}

/// What the solved units change of an account.
#[derive(Clone, Copy, Debug, Default)]
struct AccountState {
    /// Added to what its shard knows, modulo 2^128.
    added: Balance,
    closed: Option<bool>,
    /// Place of the creation among the open ones.
    created: Option<u32>,
}

/// What a unit has changed, to be taken back if it fails.
#[derive(Debug, Default)]
struct Undo {
    accounts: Vec<(usize, AccountState)>,
    ended: Vec<(usize, Option<Status>)>,
}

/// A decision of the coordinator.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// The refusal.
    pub vote: Vote,
    /// Whom it concerns beside the arrival shard; nobody if its unit was refused before.
    pub told: Option<Told>,
}

impl Solver {
    /// Nothing gathered, of so many shards.
    pub fn new(shards: u16) -> Self {
        Self {
            legs: Vec::new(),
            claims: Vec::new(),
            accounts: Vec::new(),
            notes: Vec::new(),
            gathered: 0,
            order: Vec::new(),
            first_account: vec![0; usize::from(shards) + 1],
            states: Vec::new(),
            first_pending: vec![0; usize::from(shards) + 1],
            ended: Vec::new(),
            refused: vec![false; EPOCH_UNITS_MAX],
            undo: Undo::default(),
            amounts: Vec::new(),
        }
    }

    /// Takes a shard's open legs.
    pub fn take_legs(&mut self, from: ShardId, legs: &[OpenLeg]) {
        self.legs.extend(legs.iter().map(|leg| (from, *leg)));
    }

    /// Takes a shard's open posts and voids.
    pub fn take_claims(&mut self, from: ShardId, claims: &[OpenClaim]) {
        self.claims.extend(claims.iter().map(|claim| (from, *claim)));
    }

    /// Takes a shard's open creations of accounts.
    pub fn take_accounts(&mut self, from: ShardId, accounts: &[OpenAccount]) {
        self.accounts.extend(accounts.iter().map(|account| (from, *account)));
    }

    /// Takes a shard's open duplicates.
    pub fn take_notes(&mut self, notes: &[OpenNote]) {
        self.notes.extend_from_slice(notes);
    }

    /// A shard has sent all; `true` when it was the last.
    pub fn shard_is_done(&mut self) -> bool {
        self.gathered += 1;
        usize::from(self.gathered) == self.first_account.len() - 1
    }

    /// What variable transfers move, by index; to be taken after solving.
    pub fn take_amounts(&mut self) -> Vec<Amount> {
        std::mem::take(&mut self.amounts)
    }

    /// Runs the rules over what is open in position order, and hands out every refusal. Then forgets everything else.
    pub fn solve(&mut self, units: usize, mut decide: impl FnMut(Decision)) {
        self.refused[..units].fill(false);
        self.amounts.clear();
        self.number();
        let mut order = std::mem::take(&mut self.order);
        for unit in order.chunk_by(|a, b| a.unit == b.unit) {
            self.solve_unit(unit, &mut decide);
        }
        for note in &self.notes {
            if note.original_refused != 0 || self.refused[usize::from(note.original_unit)] {
                decide(Decision { vote: Vote::original_refused(note.index, note.unit), told: None });
            }
        }
        order.clear();
        self.order = order;
        self.legs.clear();
        self.claims.clear();
        self.accounts.clear();
        self.notes.clear();
        self.gathered = 0;
    }

    fn solve_unit(&mut self, unit: &[Item], decide: &mut impl FnMut(Decision)) {
        let first = unit[0].unit;
        let refused_before = unit.iter().any(|item| self.unit_refused(item));
        let amounts_before = self.amounts.len();
        self.undo.accounts.clear();
        self.undo.ended.clear();
        let mut failed = false;
        for event in unit.chunk_by(|a, b| a.index == b.index) {
            let amount = self.variable_amount(event);
            for item in event {
                if let Some((rank, detail)) = self.refuse(item, amount) {
                    let vote = Vote::refuse(item.index, item.unit, rank, detail);
                    let told = (!failed && !refused_before).then(|| self.concerned(item));
                    decide(Decision { vote, told });
                    failed = true;
                }
            }
            if failed || event.iter().any(|item| self.is_refused(item)) {
                break;
            }
            if let Some(amount) = amount {
                self.amounts.push(Amount { amount, index: event[0].index, pad: [0; 14] });
            }
            for item in event {
                self.apply(item, amount);
            }
        }
        if failed || refused_before {
            self.refused[usize::from(first)] = true;
            self.amounts.truncate(amounts_before);
            for (account, state) in self.undo.accounts.drain(..).rev() {
                self.states[account] = state;
            }
            for (pending, status) in self.undo.ended.drain(..).rev() {
                self.ended[pending] = status;
            }
        }
    }

    /// What the event moves, if that isn't what it says.
    fn variable_amount(&self, event: &[Item]) -> Option<u128> {
        let mut amount = None;
        for item in event {
            match item.kind {
                ItemKind::Leg => {
                    let (shard, leg) = &self.legs[item.at as usize];
                    if leg.is(OpenLeg::CLAIM) || !leg.id.kind.is(LegKind::VARIABLE) {
                        continue;
                    }
                    let most = if leg.id.kind.is(LegKind::BALANCING) {
                        let balance = self.balance(self.account(*shard, leg.account), leg);
                        leg.amount.min(balance.available(leg.id.kind.side()))
                    } else {
                        leg.amount
                    };
                    amount = Some(amount.unwrap_or(most).min(most));
                }
                ItemKind::Claim => {
                    let (_, claim) = &self.claims[item.at as usize];
                    if claim.variable != NO_INDEX {
                        let reserved = self.amount(claim.variable);
                        let all = if claim.is_void == 1 { 0 } else { u128::MAX };
                        amount = Some(if claim.asked == all { reserved } else { claim.asked });
                    }
                }
                ItemKind::Account => {}
            }
        }
        amount
    }

    /// What a solved variable transfer moves; 0 if it was refused.
    fn amount(&self, index: u16) -> u128 {
        let found = self.amounts.binary_search_by_key(&index, |amount| amount.index);
        found.map_or(0, |at| self.amounts[at].amount)
    }

    fn refuse(&self, item: &Item, amount: Option<u128>) -> Option<(Rank, Detail)> {
        match item.kind {
            ItemKind::Account => {
                let (shard, open) = &self.accounts[item.at as usize];
                let created = self.states[self.account(*shard, open.number)].created?;
                let code = compare_accounts(&open.account, &self.accounts[created as usize].1.account);
                Some((Rank::of_account(code), Detail::NONE))
            }
            ItemKind::Claim => self.refuse_claim(item, amount).map(|rank| (rank, Detail::NONE)),
            ItemKind::Leg => self.refuse_leg(item, amount),
        }
    }

    fn refuse_claim(&self, item: &Item, amount: Option<u128>) -> Option<Rank> {
        let (shard, claim) = &self.claims[item.at as usize];
        let is_gone = claim.opened_refused == 1
            || claim.opened_unit != NO_INDEX && self.refused[usize::from(claim.opened_unit)];
        if is_gone {
            return Some(Rank::of(TransferCode::PendingTransferNotFound));
        }
        let ended = self.ended[self.pending(*shard, claim.pending)].map(|status| match claim.is_forgotten {
            1 => Rank::of(TransferCode::PendingIdExpired),
            _ => Rank::of(status.refuses_claim()),
        });
        let by_fields = Some(Rank(claim.rank)).filter(|rank| *rank != Rank::CREATED);
        let by_amount = amount.and_then(|amount| {
            let reserved = self.amount(claim.variable);
            if amount > reserved {
                Some(Rank::of(TransferCode::ExceedsPendingTransferAmount))
            } else if claim.is_void == 1 && amount < reserved {
                Some(Rank::of(TransferCode::PendingTransferHasDifferentAmount))
            } else {
                None
            }
        });
        [ended, by_fields, by_amount].into_iter().flatten().min()
    }

    fn refuse_leg(&self, item: &Item, amount: Option<u128>) -> Option<(Rank, Detail)> {
        let (shard, leg) = &self.legs[item.at as usize];
        if !leg.is(OpenLeg::HELD) {
            return None;
        }
        let account = self.account(*shard, leg.account);
        let state = &self.states[account];
        let side = leg.id.kind.side();
        let mut flags = leg.flags;
        if leg.is(OpenLeg::UNCERTAIN) {
            let Some(created) = state.created else {
                let code = match side {
                    Side::Debit => TransferCode::DebitAccountNotFound,
                    Side::Credit => TransferCode::CreditAccountNotFound,
                };
                return Some((Rank::of(code), Detail::NONE));
            };
            let created = &self.accounts[created as usize].1.account;
            if created.ledger != leg.ledger {
                let rank = Rank::of(TransferCode::AccountsMustHaveTheSameLedger);
                return Some((rank, Detail::ledger(created.ledger)));
            }
            flags = created.flags;
        }
        if let Some(closed) = state.closed {
            flags = if closed { flags | AccountFlags::CLOSED } else { flags & !AccountFlags::CLOSED };
        }
        let code = if leg.is(OpenLeg::CLAIM) {
            (flags & AccountFlags::CLOSED != 0).then_some(match side {
                Side::Debit => TransferCode::DebitAccountAlreadyClosed,
                Side::Credit => TransferCode::CreditAccountAlreadyClosed,
            })
        } else {
            let half = leg.id.kind.half(amount.unwrap_or(leg.amount));
            self.balance(account, leg).refuse(flags, half)
        };
        code.map(|code| (Rank::of(code), Detail::NONE))
    }

    fn apply(&mut self, item: &Item, amount: Option<u128>) {
        match item.kind {
            ItemKind::Account => {
                let (shard, open) = self.accounts[item.at as usize];
                if open.probe == 0 {
                    self.change(self.account(shard, open.number)).created = Some(item.at);
                }
            }
            ItemKind::Claim => {
                let (shard, claim) = self.claims[item.at as usize];
                let place = self.pending(shard, claim.pending);
                let status = if claim.is_void == 1 { Status::Voided } else { Status::Posted };
                let before = self.ended[place].replace(status);
                self.undo.ended.push((place, before));
            }
            ItemKind::Leg => {
                let (shard, leg) = self.legs[item.at as usize];
                let account = self.account(shard, leg.account);
                let (reserved, posted) = match leg.variable {
                    NO_INDEX => (leg.reserved, leg.amount),
                    opened => {
                        (self.amount(opened), if leg.is(OpenLeg::HELD) { amount.unwrap_or(0) } else { 0 })
                    }
                };
                let kind = leg.id.kind;
                let state = self.change(account);
                let sums = state.added.side_mut(kind.side());
                if leg.is(OpenLeg::CLAIM) {
                    sums.pending = sums.pending.wrapping_sub(reserved);
                    sums.posted = sums.posted.wrapping_add(posted);
                    if leg.is(OpenLeg::REOPENS) {
                        state.closed = Some(false);
                    }
                    return;
                }
                let sum = if kind.is(LegKind::PENDING) { &mut sums.pending } else { &mut sums.posted };
                *sum = sum.wrapping_add(amount.unwrap_or(leg.amount));
                if kind.is(LegKind::CLOSING) {
                    state.closed = Some(true);
                }
            }
        }
    }

    /// An account's state, to change it; it can be taken back until the unit is solved.
    fn change(&mut self, account: usize) -> &mut AccountState {
        self.undo.accounts.push((account, self.states[account]));
        &mut self.states[account]
    }

    /// The account's balance before a leg.
    fn balance(&self, account: usize, leg: &OpenLeg) -> Balance {
        let added = &self.states[account].added;
        let plus = |a: Sums, b: Sums| Sums {
            pending: a.pending.wrapping_add(b.pending),
            posted: a.posted.wrapping_add(b.posted),
        };
        let known = leg.balance();
        Balance { debits: plus(known.debits, added.debits), credits: plus(known.credits, added.credits) }
    }

    fn unit_refused(&self, item: &Item) -> bool {
        match item.kind {
            ItemKind::Account => self.accounts[item.at as usize].1.unit_refused == 1,
            ItemKind::Claim => self.claims[item.at as usize].1.unit_refused == 1,
            ItemKind::Leg => self.legs[item.at as usize].1.is(OpenLeg::UNIT_REFUSED),
        }
    }

    /// Whether the votes have refused the event itself.
    fn is_refused(&self, item: &Item) -> bool {
        item.kind == ItemKind::Leg && self.legs[item.at as usize].1.is(OpenLeg::REFUSED)
    }

    /// Whom a refusal of this item concerns.
    fn concerned(&self, item: &Item) -> Told {
        match item.kind {
            ItemKind::Claim => Told::All,
            ItemKind::Account => {
                let (shard, open) = &self.accounts[item.at as usize];
                if open.linked == 1 { Told::All } else { Told::Some([*shard; 3]) }
            }
            ItemKind::Leg => {
                let (shard, leg) = &self.legs[item.at as usize];
                if leg.is(OpenLeg::CLAIM) || leg.id.kind.is(LegKind::LINKED) {
                    Told::All
                } else {
                    Told::Some([*shard, ShardId(leg.id.peer), ShardId(leg.id.id_shard)])
                }
            }
        }
    }

    /// Lays all shards' accounts and pending transfers out in one array each, and everything in order.
    fn number(&mut self) {
        let legs = self.legs.iter().map(|(shard, leg)| (*shard, leg.account));
        let accounts = self.accounts.iter().map(|(shard, open)| (*shard, open.number));
        let count = lay_out(&mut self.first_account, legs.chain(accounts));
        self.states.clear();
        self.states.resize(count, AccountState::default());
        let claims = self.claims.iter().map(|(shard, claim)| (*shard, claim.pending));
        let count = lay_out(&mut self.first_pending, claims);
        self.ended.clear();
        self.ended.resize(count, None);
        let item = |unit, index, kind, at| Item { unit, index, kind, at: at as u32 };
        let accounts = self.accounts.iter().enumerate();
        self.order.extend(accounts.map(|(at, (_, a))| item(a.unit, a.index, ItemKind::Account, at)));
        let claims = self.claims.iter().enumerate();
        self.order.extend(claims.map(|(at, (_, c))| item(c.unit, c.index, ItemKind::Claim, at)));
        let legs = self.legs.iter().enumerate();
        self.order.extend(legs.map(|(at, (_, l))| item(l.id.unit, l.id.index, ItemKind::Leg, at)));
        self.order.sort_unstable();
    }

    fn account(&self, shard: ShardId, number: u32) -> usize {
        self.first_account[shard.index()] + number as usize
    }

    fn pending(&self, shard: ShardId, number: u32) -> usize {
        self.first_pending[shard.index()] + number as usize
    }
}

/// Where each shard's numbers begin when all are laid out one behind the other; how many there are in all.
fn lay_out(first: &mut [usize], numbers: impl Iterator<Item = (ShardId, u32)>) -> usize {
    first.fill(0);
    for (shard, number) in numbers {
        let count = &mut first[shard.index() + 1];
        *count = (*count).max(number as usize + 1);
    }
    for shard in 1..first.len() {
        first[shard] += first[shard - 1];
    }
    first[first.len() - 1]
}
