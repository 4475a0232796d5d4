//! The loop for one shard: no messages, each transfer decided and applied on the spot. Same state, same rules.

use super::epoch::{OwnBlock, Plan};
use super::message::{Detail, refusal_of};
use super::outcome::Outcomes;
use crate::ledger::Ledger;
use crate::ledger::ids::{Done, IdNumber, Status, content_hash};
use crate::ledger::pendings::Pending;
use crate::ledger::rules::{
    Balance, Half, Rank, Side, deadline, refuse_account, refuse_claim, refuse_transfer,
};
use crate::place::Position;
use auriga_wire::frame::Command;
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};

/// Transfers are looked up in groups, so that the memory of one is fetched while others are worked on.
const GROUP: usize = 32;

/// A transfer's hashes and slots, resolved before any balance of its group is touched.
#[derive(Clone, Copy, Debug, Default)]
struct Resolved {
    id: u64,
    debit: u64,
    credit: u64,
    debit_slot: Option<u32>,
    credit_slot: Option<u32>,
}

/// The linked chain that is executed.
#[derive(Debug)]
struct Chain {
    last: u16,
    /// Index of its first member with a fault of its own: nothing else of it is looked at.
    malformed: Option<u16>,
    failed: bool,
}

/// How to take a step of a chain back.
#[derive(Debug)]
enum Undo {
    Account { slot: u32, balance: Balance, flags: u16 },
    Opened { hash: u64, id: u128 },
    Ended { hash: u64, pending: Pending },
    Consumed { number: IdNumber },
}

/// The serial loop.
#[derive(Debug, Default)]
pub struct Serial {
    group: [Resolved; GROUP],
    chain: Option<Chain>,
    undo: Vec<Undo>,
}

/// Why an event is refused.
type Refusal = (Rank, Detail);

impl Serial {
    /// Executes all blocks of an epoch, and its end.
    pub fn run(&mut self, own: &[OwnBlock], plan: &Plan, ledger: &mut Ledger, outcomes: &mut Outcomes) {
        for own in own {
            for (unit, command, body) in own.block.requests() {
                let first = own.base + unit;
                match command {
                    Command::CreateAccounts => {
                        create_accounts(bytemuck::cast_slice(body), first, plan, ledger, outcomes);
                    }
                    Command::CreateTransfers => {
                        self.create_transfers(bytemuck::cast_slice(body), first, plan, ledger, outcomes);
                    }
                    _ => unreachable!("a block holds creations only"),
                }
            }
        }
        let mut expired = Vec::new();
        ledger.pendings.expire(&ledger.placement, plan.expire_through, |pending| expired.push(pending));
        for pending in expired {
            release(&pending, slots(&pending, ledger), 0, true, ledger);
            ledger.ids.set_ended(pending.number, pending.id, Status::Expired);
        }
        ledger.ids.forget_before(plan.terms.ids_from_ms);
        outcomes.finish();
    }

    fn create_transfers(
        &mut self,
        transfers: &[Transfer],
        first: u16,
        plan: &Plan,
        ledger: &mut Ledger,
        outcomes: &mut Outcomes,
    ) {
        let mut done = 0;
        for group in transfers.chunks(GROUP) {
            self.resolve(group, ledger);
            for (in_group, t) in group.iter().enumerate() {
                let index = first + done as u16;
                if self.chain.is_none() && t.flags & TransferFlags::LINKED != 0 {
                    self.begin_chain(&transfers[done..], index, plan, outcomes);
                }
                if let Some((rank, detail)) = self.member(t, in_group, index, plan, ledger) {
                    outcomes.refuse(index, rank, detail);
                } else if t.flags & TransferFlags::BALANCING != 0 {
                    tell_amount(t, self.group[in_group].id, index, ledger, outcomes);
                }
                self.chain.take_if(|chain| chain.last == index);
                done += 1;
            }
        }
    }

    /// Looks a group's ids and accounts up.
    fn resolve(&mut self, group: &[Transfer], ledger: &Ledger) {
        for (t, resolved) in group.iter().zip(&mut self.group) {
            resolved.id = ledger.placement.hash(t.id);
            resolved.debit = ledger.placement.hash(t.debit_account_id);
            resolved.credit = ledger.placement.hash(t.credit_account_id);
            ledger.ids.prefetch(resolved.id, t.id);
            ledger.accounts.prefetch_index(resolved.debit);
            ledger.accounts.prefetch_index(resolved.credit);
        }
        for resolved in &mut self.group[..group.len()] {
            resolved.debit_slot = ledger.accounts.likely(resolved.debit);
            resolved.credit_slot = ledger.accounts.likely(resolved.credit);
        }
        for (t, resolved) in group.iter().zip(&mut self.group) {
            let Resolved { debit, debit_slot, credit, credit_slot, .. } = *resolved;
            resolved.debit_slot = ledger.accounts.find_likely(debit_slot, debit, t.debit_account_id);
            resolved.credit_slot = ledger.accounts.find_likely(credit_slot, credit, t.credit_account_id);
        }
    }

    #[cold]
    fn begin_chain(&mut self, rest: &[Transfer], first: u16, plan: &Plan, outcomes: &mut Outcomes) {
        let before_last = rest.iter().take_while(|t| t.flags & TransferFlags::LINKED != 0).count();
        let members = &rest[..=before_last];
        let malformed = members.iter().position(|t| refuse_transfer(t, &plan.terms).is_some());
        let last = first + before_last as u16;
        outcomes.chain(first, last);
        self.undo.clear();
        self.chain = Some(Chain { last, malformed: malformed.map(|at| first + at as u16), failed: false });
    }

    /// Executes a transfer, as a member of its chain if it has one.
    #[inline]
    fn member(
        &mut self,
        t: &Transfer,
        in_group: usize,
        index: u16,
        plan: &Plan,
        ledger: &mut Ledger,
    ) -> Option<Refusal> {
        let resolved = self.group[in_group];
        let Some(chain) = &mut self.chain else {
            return create_transfer(t, &resolved, index, plan, ledger, None);
        };
        if chain.malformed.is_some_and(|malformed| malformed != index) {
            return None;
        }
        if chain.failed {
            burn(t, &resolved, Position::new(plan.number, index), ledger);
            return None;
        }
        let refusal = create_transfer(t, &resolved, index, plan, ledger, Some(&mut self.undo));
        if refusal.is_some() && chain.malformed.is_none() {
            chain.failed = true;
            self.take_back(ledger);
        }
        refusal
    }

    /// Takes back what a chain did so far; the ids stay consumed.
    #[cold]
    fn take_back(&mut self, ledger: &mut Ledger) {
        for undo in self.undo.drain(..).rev() {
            match undo {
                Undo::Account { slot, balance, flags } => {
                    ledger.accounts.set_balance(slot, &balance);
                    ledger.accounts.hot_mut(slot).flags = flags;
                }
                Undo::Opened { hash, id } => {
                    let number = ledger.pendings.find(hash, id).expect("the chain has opened it");
                    ledger.pendings.remove(hash, number);
                }
                Undo::Ended { hash, pending } => {
                    ledger.pendings.insert(hash, pending);
                    ledger.ids.set_ended(pending.number, pending.id, Status::Pending);
                }
                Undo::Consumed { number } => ledger.ids.fail(number),
            }
        }
    }
}

/// Says what a balancing transfer moves, unless its chain has failed before it.
#[cold]
fn tell_amount(t: &Transfer, hash: u64, index: u16, ledger: &Ledger, outcomes: &mut Outcomes) {
    let done = ledger.ids.number(hash, t.id).and_then(|number| ledger.ids.done(number));
    if let Some(done) = done {
        outcomes.moves(index, done.amount);
    }
}

/// Consumes the id of a member behind the one that failed.
fn burn(t: &Transfer, resolved: &Resolved, position: Position, ledger: &mut Ledger) {
    if let Err(number) = ledger.ids.find_or_consume(resolved.id, t.id, position, content_hash(t)) {
        ledger.ids.set_status(number, Status::Refused);
    }
}

fn create_accounts(
    accounts: &[Account],
    first: u16,
    plan: &Plan,
    ledger: &mut Ledger,
    outcomes: &mut Outcomes,
) {
    let mut index = first;
    for chain in accounts.chunk_by(|account, _| account.flags & AccountFlags::LINKED != 0) {
        if chain.len() > 1 {
            outcomes.chain(index, index + (chain.len() - 1) as u16);
        }
        let malformed = chain.iter().position(|account| refuse_account(account, &plan.terms).is_some());
        let existing = ledger.accounts.len();
        for (account, index) in chain.iter().zip(index..=u16::MAX).skip(malformed.unwrap_or(0)) {
            if let Some(code) = create_account(account, index, plan, ledger) {
                outcomes.refuse(index, Rank::of_account(code), Detail::NONE);
                while ledger.accounts.len() > existing {
                    forget_newest(ledger);
                }
                break;
            }
        }
        index = index.wrapping_add(chain.len() as u16);
    }
}

fn forget_newest(ledger: &mut Ledger) {
    let slot = (ledger.accounts.len() - 1) as u32;
    let hash = ledger.placement.hash(ledger.accounts.hot(slot).id);
    ledger.accounts.forget(hash, slot);
}

fn create_account(account: &Account, index: u16, plan: &Plan, ledger: &mut Ledger) -> Option<AccountCode> {
    let hash = ledger.placement.hash(account.id);
    match refuse_account(account, &plan.terms) {
        Some(code) if Rank::of_account(code) < Rank::ACCOUNT_EXISTS_FIRST => Some(code),
        Some(code) => ledger.accounts.exists(hash, account).or(Some(code)),
        None => ledger.accounts.create(hash, account, plan.time + u64::from(index)).err(),
    }
}

/// The refusal with its detail, if there is one. `undo` takes what has to be taken back if the chain fails.
#[inline]
fn create_transfer(
    t: &Transfer,
    resolved: &Resolved,
    index: u16,
    plan: &Plan,
    ledger: &mut Ledger,
    mut undo: Option<&mut Vec<Undo>>,
) -> Option<Refusal> {
    let fault = refuse_transfer(t, &plan.terms).map(Rank::of);
    if let Some(rank) = fault
        && rank < Rank::EXISTS_FIRST
    {
        return Some((rank, Detail::NONE));
    }
    let content = content_hash(t);
    if let Some(rank) = fault {
        let consumed = ledger.ids.find(resolved.id, t.id, content);
        return Some(consumed.map_or((rank, Detail::NONE), |consumed| refusal_of(&consumed)));
    }
    let position = Position::new(plan.number, index);
    let number = match ledger.ids.find_or_consume(resolved.id, t.id, position, content) {
        Ok(consumed) => return Some(refusal_of(&consumed)),
        Err(number) => number,
    };
    if let Some(undo) = &mut undo {
        undo.push(Undo::Consumed { number });
    }
    let timestamp = plan.time + u64::from(index);
    let done = if t.flags & TransferFlags::RESOLVING != 0 {
        end_pending(t, number, timestamp, plan, ledger, undo)
    } else {
        move_money(t, resolved, number, position, timestamp, ledger, undo)
    };
    let code = done.err()?;
    ledger.ids.set_status(number, Status::Refused);
    Some((Rank::of(code), Detail::NONE))
}

/// Applies both legs, or neither and says why.
#[inline]
fn move_money(
    t: &Transfer,
    resolved: &Resolved,
    number: IdNumber,
    position: Position,
    timestamp: u64,
    ledger: &mut Ledger,
    mut undo: Option<&mut Vec<Undo>>,
) -> Result<(), TransferCode> {
    use TransferCode as C;
    let debit = resolved.debit_slot.ok_or(C::DebitAccountNotFound)?;
    let credit = resolved.credit_slot.ok_or(C::CreditAccountNotFound)?;
    let (debtor, creditor) = (*ledger.accounts.hot(debit), *ledger.accounts.hot(credit));
    if debtor.ledger != creditor.ledger {
        return Err(C::AccountsMustHaveTheSameLedger);
    }
    if debtor.ledger != t.ledger {
        return Err(C::TransferMustHaveTheSameLedgerAsAccounts);
    }
    let (debtors, creditors) = (ledger.accounts.balance(debit), ledger.accounts.balance(credit));
    let mut amount = t.amount;
    if t.flags & TransferFlags::BALANCING_DEBIT != 0 {
        amount = amount.min(debtors.available(Side::Debit));
    }
    if t.flags & TransferFlags::BALANCING_CREDIT != 0 {
        amount = amount.min(creditors.available(Side::Credit));
    }
    let pending = t.flags & TransferFlags::PENDING != 0;
    let half = |side| Half { side, pending, amount };
    let deadline = deadline(timestamp, t.timeout);
    let refusals = [
        debtors.refuse(debtor.flags, half(Side::Debit)),
        creditors.refuse(creditor.flags, half(Side::Credit)),
        deadline.err(),
    ];
    if let Some(code) = refusals.into_iter().flatten().min_by_key(|code| Rank::of(*code)) {
        return Err(code);
    }
    if let Some(undo) = &mut undo {
        undo.push(Undo::Account { slot: debit, balance: debtors, flags: debtor.flags });
        undo.push(Undo::Account { slot: credit, balance: creditors, flags: creditor.flags });
    }
    ledger.accounts.add(debit, half(Side::Debit));
    ledger.accounts.add(credit, half(Side::Credit));
    if t.flags & TransferFlags::BALANCING != 0 {
        ledger.ids.set_done(number, Done { amount, pending: None });
    }
    if pending {
        let opened = Pending {
            id: t.id,
            debit_account_id: t.debit_account_id,
            credit_account_id: t.credit_account_id,
            amount,
            deadline: deadline?,
            position,
            number,
            check: ledger.ids.check(number),
            ledger: t.ledger,
            code: t.code,
            flags: t.flags,
        };
        ledger.ids.set_status(number, Status::Pending);
        ledger.pendings.insert(resolved.id, opened);
        if let Some(undo) = &mut undo {
            undo.push(Undo::Opened { hash: resolved.id, id: t.id });
        }
        for (flag, slot) in [(TransferFlags::CLOSING_DEBIT, debit), (TransferFlags::CLOSING_CREDIT, credit)] {
            if t.flags & flag != 0 {
                ledger.accounts.set_closed(slot, true);
            }
        }
    }
    Ok(())
}

/// Posts or voids a pending transfer, or says why not.
#[cold]
fn end_pending(
    t: &Transfer,
    own: IdNumber,
    timestamp: u64,
    plan: &Plan,
    ledger: &mut Ledger,
    undo: Option<&mut Vec<Undo>>,
) -> Result<(), TransferCode> {
    let hash = ledger.placement.hash(t.pending_id);
    let Some(number) = ledger.pendings.find(hash, t.pending_id) else {
        if plan.terms.is_forgotten(t.pending_id) {
            return Err(TransferCode::PendingIdExpired);
        }
        let id = ledger.ids.number(hash, t.pending_id);
        let status = id.map_or(Status::Refused, |number| ledger.ids.status(number));
        return Err(status.refuses_claim());
    };
    let pending = *ledger.pendings.get(number);
    let amount = refuse_claim(t, &pending, timestamp)?;
    let is_void = t.flags & TransferFlags::VOID_PENDING_TRANSFER != 0;
    let slots = slots(&pending, ledger);
    let flags = slots.map(|slot| ledger.accounts.hot(slot).flags);
    if !is_void && flags[0] & AccountFlags::CLOSED != 0 {
        return Err(TransferCode::DebitAccountAlreadyClosed);
    }
    if !is_void && flags[1] & AccountFlags::CLOSED != 0 {
        return Err(TransferCode::CreditAccountAlreadyClosed);
    }
    if let Some(undo) = undo {
        for slot in slots {
            let (balance, flags) = (ledger.accounts.balance(slot), ledger.accounts.hot(slot).flags);
            undo.push(Undo::Account { slot, balance, flags });
        }
        undo.push(Undo::Ended { hash, pending });
    }
    ledger.pendings.remove(hash, number);
    let status = if is_void { Status::Voided } else { Status::Posted };
    release(&pending, slots, if is_void { 0 } else { amount }, is_void, ledger);
    ledger.ids.set_ended(pending.number, pending.id, status);
    ledger.ids.set_done(own, Done { amount, pending: Some((pending.position, pending.check)) });
    Ok(())
}

fn slots(pending: &Pending, ledger: &Ledger) -> [u32; 2] {
    [pending.debit_account_id, pending.credit_account_id].map(|id| {
        ledger.accounts.find(ledger.placement.hash(id), id).expect("accounts of a created transfer stay")
    })
}

/// Ends a reservation: posts some of it, and opens what it had closed.
fn release(pending: &Pending, slots: [u32; 2], posted: u128, reopens: bool, ledger: &mut Ledger) {
    let halves = [
        (slots[0], Side::Debit, TransferFlags::CLOSING_DEBIT),
        (slots[1], Side::Credit, TransferFlags::CLOSING_CREDIT),
    ];
    for (slot, side, closing) in halves {
        ledger.accounts.resolve(slot, side, pending.amount, posted);
        if reopens && pending.flags & closing != 0 {
            ledger.accounts.set_closed(slot, false);
        }
    }
}
