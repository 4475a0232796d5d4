//! The loop for one shard: no messages, each transfer decided and applied on the spot. Same state, same rules.

use super::epoch::{OwnBlock, Plan};
use super::message::Detail;
use super::outcome::Outcomes;
use crate::ledger::Ledger;
use crate::ledger::ids::content_hash;
use crate::ledger::rules::{Rank, Side, refuse_account, refuse_transfer};
use crate::place::Position;
use auriga_wire::frame::Command;
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

/// The serial loop.
#[derive(Debug, Default)]
pub struct Serial {
    group: [Resolved; GROUP],
}

impl Serial {
    /// Executes all blocks of an epoch.
    pub fn run(&mut self, own: &[OwnBlock], plan: &Plan, ledger: &mut Ledger, outcomes: &mut Outcomes) {
        for own in own {
            for (unit, command, body) in own.block.requests() {
                let first = own.base + unit;
                match command {
                    Command::CreateAccounts => {
                        for (account, index) in
                            bytemuck::cast_slice::<u8, Account>(body).iter().zip(first..=u16::MAX)
                        {
                            if let Some(code) = create_account(account, index, plan, ledger) {
                                outcomes.refuse(index, Rank::of_account(code), Detail::NONE);
                            }
                        }
                    }
                    Command::CreateTransfers => {
                        let transfers: &[Transfer] = bytemuck::cast_slice(body);
                        let mut index = first;
                        for group in transfers.chunks(GROUP) {
                            self.run_group(group, index, plan, ledger, outcomes);
                            index = index.wrapping_add(group.len() as u16);
                        }
                    }
                    _ => unreachable!("a block holds creations only"),
                }
            }
        }
        outcomes.finish();
    }

    fn run_group(
        &mut self,
        transfers: &[Transfer],
        first: u16,
        plan: &Plan,
        ledger: &mut Ledger,
        outcomes: &mut Outcomes,
    ) {
        for (t, resolved) in transfers.iter().zip(&mut self.group) {
            resolved.id = ledger.placement.hash(t.id);
            resolved.debit = ledger.placement.hash(t.debit_account_id);
            resolved.credit = ledger.placement.hash(t.credit_account_id);
            ledger.ids.prefetch(resolved.id);
            ledger.accounts.prefetch_index(resolved.debit);
            ledger.accounts.prefetch_index(resolved.credit);
        }
        for (t, resolved) in transfers.iter().zip(&mut self.group) {
            resolved.debit_slot = ledger.accounts.find(resolved.debit, t.debit_account_id);
            resolved.credit_slot = ledger.accounts.find(resolved.credit, t.credit_account_id);
            for slot in [resolved.debit_slot, resolved.credit_slot].into_iter().flatten() {
                ledger.accounts.prefetch(slot);
            }
        }
        for ((t, resolved), index) in transfers.iter().zip(&self.group).zip(first..=u16::MAX) {
            if let Some((rank, detail)) = create_transfer(t, resolved, index, plan, ledger) {
                outcomes.refuse(index, rank, detail);
            }
        }
    }
}

fn create_account(account: &Account, index: u16, plan: &Plan, ledger: &mut Ledger) -> Option<AccountCode> {
    let hash = ledger.placement.hash(account.id);
    match refuse_account(account) {
        Some(code) if Rank::of_account(code) < Rank::of_account(AccountCode::ExistsWithDifferentFlags) => {
            Some(code)
        }
        Some(code) => ledger.accounts.exists(hash, account).or(Some(code)),
        None => ledger.accounts.create(hash, account, plan.time + u64::from(index)).err(),
    }
}

/// The refusal with its detail, if there is one.
#[inline]
fn create_transfer(
    t: &Transfer,
    resolved: &Resolved,
    index: u16,
    plan: &Plan,
    ledger: &mut Ledger,
) -> Option<(Rank, Detail)> {
    let fault = refuse_transfer(t).map(Rank::of);
    if let Some(rank) = fault
        && rank < Rank::of(TransferCode::ExistsWithDifferentFlags)
    {
        return Some((rank, Detail::NONE));
    }
    let content = content_hash(t);
    if let Some(consumed) = ledger.ids.find(resolved.id, t.id, content) {
        if consumed.refused {
            return Some((Rank::ID_ALREADY_FAILED, Detail::NONE));
        }
        return Some((Rank::EXISTS, Detail::original(&consumed)));
    }
    if let Some(rank) = fault {
        return Some((rank, Detail::NONE));
    }
    let number = ledger.ids.consume(resolved.id, t.id, Position::new(plan.number, index), content);
    let code = move_money(t, resolved, ledger)?;
    ledger.ids.refuse(number);
    Some((Rank::of(code), Detail::NONE))
}

/// Applies both legs, or neither and says why.
#[inline]
fn move_money(t: &Transfer, resolved: &Resolved, ledger: &mut Ledger) -> Option<TransferCode> {
    use TransferCode as C;
    let Some(debit) = resolved.debit_slot else {
        return Some(C::DebitAccountNotFound);
    };
    let Some(credit) = resolved.credit_slot else {
        return Some(C::CreditAccountNotFound);
    };
    let (debtor, creditor) = (ledger.accounts.hot(debit), ledger.accounts.hot(credit));
    if debtor.ledger != creditor.ledger {
        return Some(C::AccountsMustHaveTheSameLedger);
    }
    if debtor.ledger != t.ledger {
        return Some(C::TransferMustHaveTheSameLedgerAsAccounts);
    }
    let by_debit = debtor.balance.refuse(debtor.flags, Side::Debit, t.amount);
    let by_credit = creditor.balance.refuse(creditor.flags, Side::Credit, t.amount);
    if by_debit.is_some() || by_credit.is_some() {
        return [by_debit, by_credit].into_iter().flatten().min_by_key(|code| Rank::of(*code));
    }
    ledger.accounts.hot_mut(debit).balance.apply(Side::Debit, t.amount);
    ledger.accounts.hot_mut(credit).balance.apply(Side::Credit, t.amount);
    None
}
