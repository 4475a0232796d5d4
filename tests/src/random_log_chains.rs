//! Plots of random logs about chains, of which all events are created or none.

use crate::random_log_balances::{balancing_transfer, closing_transfer};
use crate::random_log_faults::{break_account, break_transfer};
use crate::random_log_pending::{as_pending, claim_of, is_claim, pending_transfer, pick_pending};
use crate::random_log_plots::{Plot, plain_transfer};
use crate::random_log_writer::{ACCOUNTS_MAX, Writer, allowance};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Transfer};

pub(crate) const CHAINS: [(Plot, u32); 6] = [
    (mixed_chain, 6),
    (chain_of_money, 6),
    (failing_chain, 8),
    (chain_with_a_claim, 5),
    (chain_again, 4),
    (chain_of_claims, 3),
];

pub(crate) const ACCOUNT_CHAINS: [(Plot, u32); 1] = [(account_chain, 4)];

fn draw_members(writer: &mut Writer) -> usize {
    if writer.chance(10) { writer.rng.usize(7..=20) } else { writer.rng.usize(2..=6) }
}

/// Writes the members of one chain, each by its number.
fn send_chain(writer: &mut Writer, members: usize, member: impl Fn(&mut Writer, usize) -> Transfer) {
    for number in 0..members {
        let transfer = member(writer, number);
        writer.linking = number + 1 < members;
        writer.send(transfer);
    }
}

/// A small transfer that nothing speaks against, if the accounts are there for one.
fn sound_transfer(writer: &mut Writer) -> Transfer {
    let open = |a: &Account| a.timestamp != 0 && a.flags & AccountFlags::CLOSED == 0;
    let gives = |a: &Account| open(a) && allowance(a, false).is_none_or(|left| left != 0);
    let Some(debit) = writer.pick(gives) else {
        return plain_transfer(writer);
    };
    let takes = |a: &Account| open(a) && allowance(a, true).is_none_or(|left| left != 0);
    let Some(credit) = writer.pick(|a| takes(a) && a.id != debit.id && a.ledger == debit.ledger) else {
        return plain_transfer(writer);
    };
    let left = [allowance(&debit, false), allowance(&credit, true)];
    let left = left.into_iter().flatten().min().unwrap_or(u128::MAX);
    let amount = writer.small_amount().min(left);
    writer.transfer(&debit, &credit, amount)
}

/// Any transfer that may be created, and mostly one that will be.
fn any_transfer(writer: &mut Writer) -> Transfer {
    if writer.chance(60) {
        let transfer = sound_transfer(writer);
        return if writer.chance(20) { as_pending(writer, transfer) } else { transfer };
    }
    match writer.rng.u8(..20) {
        0..4 => pending_transfer(writer),
        4..6 => balancing_transfer(writer),
        6..10 => match pick_pending(writer, |_| true) {
            Some(pending) => claim_of(writer, &pending),
            None => pending_transfer(writer),
        },
        10 if writer.chance(30) => closing_transfer(writer),
        _ => plain_transfer(writer),
    }
}

/// Whatever comes.
fn mixed_chain(writer: &mut Writer) {
    let members = draw_members(writer);
    send_chain(writer, members, |writer, _| any_transfer(writer));
}

/// A -> B -> C ... in one chain: each passes on what has just arrived, or everything, or one more. What comes after
/// spends what the chain may have brought.
fn chain_of_money(writer: &mut Writer) {
    let mirrored = writer.rng.bool();
    let amount = writer.small_amount();
    let mut to = writer.pick_any();
    let mut from = writer.pick_source(&to, mirrored);
    let members = draw_members(writer);
    let slip = writer.rng.usize(..members * 2);
    for number in 0..members {
        let all = allowance(&writer.now(&from), mirrored).filter(|_| writer.chance(30));
        let step = all.unwrap_or(amount).saturating_add(u128::from(number == slip));
        let transfer = writer.transfer_between(&from, &to, step, mirrored);
        writer.linking = number + 1 < members;
        writer.send(transfer);
        from = to;
        to = writer.pick_partner(&from);
    }
    for _ in 0..writer.rng.usize(..=2) {
        writer.send_between(&from, &to, amount, mirrored);
    }
}

/// One member is spoilt: the first, the last, or one in the middle.
fn failing_chain(writer: &mut Writer) {
    let members = draw_members(writer);
    let spoilt = [0, members / 2, members - 1][writer.rng.usize(..3)];
    let first = writer.sent.len();
    send_chain(writer, members, |writer, number| {
        let transfer = sound_transfer(writer);
        if number == spoilt { spoil(writer, transfer, first) } else { transfer }
    });
    if writer.rng.bool() {
        member_again(writer, first);
    }
}

/// Makes a member fail. `first` is where its chain begins among all that was sent.
fn spoil(writer: &mut Writer, mut transfer: Transfer, first: usize) -> Transfer {
    match writer.rng.u8(..8) {
        0 | 1 => overdraw(writer, transfer),
        2 => {
            transfer.credit_account_id = writer.missing_account_id();
            transfer
        }
        3 => {
            break_transfer(&mut writer.rng, &mut transfer, false);
            transfer
        }
        // The same id earlier in the chain, or as early as possible in the log.
        4 => Transfer { id: writer.sent.get(first).map_or(transfer.id, |earlier| earlier.id), ..transfer },
        5 | 6 => {
            let any = writer.rng.usize(..=first.min(writer.sent.len().saturating_sub(1)));
            writer.sent.get(any).copied().unwrap_or(transfer)
        }
        _ => Transfer { ledger: transfer.ledger.wrapping_add(1), ..transfer },
    }
}

/// One more than a limited account has left, if there is one.
fn overdraw(writer: &mut Writer, transfer: Transfer) -> Transfer {
    let mirrored = writer.rng.bool();
    let Some(account) = writer.pick(|a| allowance(a, mirrored).is_some()) else {
        return Transfer { debit_account_id: writer.missing_account_id(), ..transfer };
    };
    let to = writer.pick_partner(&account);
    let left = allowance(&account, mirrored).unwrap_or_default();
    writer.transfer_between(&account, &to, left.saturating_add(1), mirrored)
}

/// A pending transfer and its claim in one chain; it may fail in between or after. Then others claim the same.
fn chain_with_a_claim(writer: &mut Writer) {
    let pending = sound_transfer(writer);
    let pending = as_pending(writer, pending);
    let members = draw_members(writer);
    let claimed = writer.rng.usize(1..members);
    let spoilt = writer.rng.usize(1..members * 3);
    let first = writer.sent.len();
    send_chain(writer, members, |writer, number| {
        if number == 0 {
            return pending;
        }
        let member = if number == claimed { claim_of(writer, &pending) } else { any_transfer(writer) };
        if number == spoilt { spoil(writer, member, first) } else { member }
    });
    for _ in 0..writer.rng.usize(..=2) {
        let claim = claim_of(writer, &pending);
        writer.linking = false;
        writer.send(claim);
    }
}

/// Pending transfers of before are claimed together or not at all; then perhaps one of them singly.
fn chain_of_claims(writer: &mut Writer) {
    let members = draw_members(writer);
    let first = writer.sent.len();
    send_chain(writer, members, |writer, _| match pick_pending(writer, |_| true) {
        Some(pending) => claim_of(writer, &pending),
        None => pending_transfer(writer),
    });
    let claims: Vec<Transfer> = writer.sent[first..].iter().copied().filter(is_claim).collect();
    if !claims.is_empty() && writer.rng.bool() {
        let claim = claims[writer.rng.usize(..claims.len())];
        let claim = claim_of(writer, &Transfer { id: claim.pending_id, ..claim });
        writer.send(claim);
    }
}

/// A chain of this epoch or another comes again, as a whole or in parts.
fn chain_again(writer: &mut Writer) {
    let heads: Vec<usize> = (0..writer.sent.len()).filter(|at| is_head(&writer.sent, *at)).collect();
    if heads.is_empty() {
        return mixed_chain(writer);
    }
    let newest = heads.len().saturating_sub(3);
    let from = if writer.rng.bool() { newest } else { 0 };
    let head = heads[writer.rng.usize(from..heads.len())];
    if writer.rng.bool() {
        return member_again(writer, head);
    }
    let linked = writer.sent[head..].iter().take_while(|transfer| is_linked(transfer)).count();
    let mut chain: Vec<Transfer> = writer.sent[head..].iter().copied().take(linked + 1).collect();
    // The same, without its head, or without its end.
    match writer.rng.u8(..6) {
        0 => drop(chain.remove(0)),
        1 => drop(chain.pop()),
        _ => {}
    }
    let members = chain.len();
    send_chain(writer, members, |_, number| {
        let transfer = chain[number];
        Transfer { flags: transfer.flags & !TransferFlags::LINKED, ..transfer }
    });
}

fn is_linked(transfer: &Transfer) -> bool {
    transfer.flags & TransferFlags::LINKED != 0
}

/// Whether a chain begins here.
fn is_head(sent: &[Transfer], at: usize) -> bool {
    is_linked(&sent[at]) && (at == 0 || !is_linked(&sent[at - 1]))
}

/// Members of a chain that begins there come again singly, with the flag or without.
fn member_again(writer: &mut Writer, head: usize) {
    writer.linking = false;
    for _ in 0..writer.rng.usize(1..=3) {
        let members = writer.sent[head..].iter().take_while(|transfer| is_linked(transfer)).count() + 1;
        let Some(member) = writer.sent.get(head + writer.rng.usize(..members)).copied() else {
            return;
        };
        let keeps = writer.chance(15);
        let flags = if keeps { member.flags } else { member.flags & !TransferFlags::LINKED };
        writer.send(Transfer { flags, ..member });
    }
}

/// Some accounts together, often with one that exists, is malformed, or comes twice. Then transfers on them, and
/// those that were not created singly, and transfers again.
fn account_chain(writer: &mut Writer) {
    let mut accounts = Vec::new();
    for _ in 0..writer.rng.usize(2..=5) {
        let account = new_account(writer);
        if !accounts.contains(&account) {
            accounts.push(account);
        }
    }
    let mut chain = accounts.clone();
    let at = writer.rng.usize(..=chain.len());
    match writer.rng.u8(..6) {
        0 => chain.insert(at, writer.cast[0]),
        1 => chain.insert(at, accounts[0]),
        2 => break_account(&mut writer.rng, &mut chain[at.min(accounts.len() - 1)]),
        _ => {}
    }
    if writer.chance(30) {
        use_account(writer, &accounts[0]);
    }
    for (number, account) in chain.iter().enumerate() {
        writer.linking = number + 1 < chain.len();
        writer.send_account(*account);
    }
    for account in &accounts {
        if writer.rng.bool() {
            use_account(writer, account);
        }
    }
    for account in &accounts {
        if writer.chance(30) {
            writer.send_account(*account);
            use_account(writer, account);
        }
    }
}

/// One that isn't created yet, if there is one or there is room for it in the cast.
fn new_account(writer: &mut Writer) -> Account {
    let waiting: Vec<Account> =
        writer.cast.iter().copied().filter(|account| !writer.is_created(account)).collect();
    if !waiting.is_empty() && writer.rng.bool() {
        return waiting[writer.rng.usize(..waiting.len())];
    }
    if writer.cast.len() < 2 * ACCOUNTS_MAX {
        return writer.cast_account();
    }
    let any = writer.cast[writer.rng.usize(..writer.cast.len())];
    Account { flags: any.flags & !AccountFlags::CLOSED, ..any }
}

fn use_account(writer: &mut Writer, account: &Account) {
    let other = writer.pick_partner(account);
    let amount = writer.small_amount();
    let mirrored = writer.rng.bool();
    writer.send_between(account, &other, amount, mirrored);
}
