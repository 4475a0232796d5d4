//! The plots of random logs: short stories, each around something that an engine can get wrong.
//!
//! Where a story has a direction, `mirrored` tells it in the mirror: debits for credits, and the limit on credits
//! for the limit on debits.

use crate::random_log_balances::{BALANCING, CLOSING, HUGE};
use crate::random_log_chains::{ACCOUNT_CHAINS, CHAINS};
use crate::random_log_faults::{break_account, break_transfer, vary_account, vary_transfer};
use crate::random_log_pending::{CLAIMS, RESERVES};
use crate::random_log_writer::{ACCOUNTS_MAX, Writer, allowance, headroom, limit};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Transfer};

/// A way to add some events to an epoch.
pub(crate) type Plot = fn(&mut Writer);

/// The plots about other than plain transfers, by topic.
pub(crate) const TOPICS: [&[(Plot, u32)]; 7] =
    [&CLAIMS, &RESERVES, &CHAINS, &ACCOUNT_CHAINS, &BALANCING, &CLOSING, &HUGE];

/// Every plot about plain transfers with its usual weight. The first is told when no other is.
pub(crate) const PLOTS: [(Plot, u32); 13] = [
    (plain, 30),
    (fund, 8),
    (chain, 10),
    (ping_pong, 2),
    (retry, 15),
    (malformed, 4),
    (missing_account, 3),
    (wrong_ledger, 3),
    (late_account, 3),
    (account_retry, 3),
    (malformed_account, 3),
    (huge_amount, 1),
    (huge_amount_after_a_gate, 1),
];

/// Two accounts, and an amount that may just fit.
fn plain(writer: &mut Writer) {
    let transfer = plain_transfer(writer);
    writer.send(transfer);
}

pub(crate) fn plain_transfer(writer: &mut Writer) -> Transfer {
    let debit = writer.pick_any();
    let credit = writer.pick_partner(&debit);
    let amount = writer.amount(&debit, &credit);
    writer.transfer(&debit, &credit, amount)
}

/// A limited account gets a little to spend.
fn fund(writer: &mut Writer) {
    let mirrored = writer.rng.bool();
    let Some(account) = writer.pick(|a| a.flags & limit(mirrored) != 0) else {
        return;
    };
    let source = writer.pick_source(&account, mirrored);
    let amount = writer.small_amount();
    writer.send_between(&source, &account, amount, mirrored);
}

/// A -> B -> C ...: each passes on what has just arrived, or everything, or one more.
fn chain(writer: &mut Writer) {
    let mirrored = writer.rng.bool();
    let amount = writer.small_amount();
    let mut to = writer.pick_any();
    let mut from = writer.pick_source(&to, mirrored);
    // With the amount fixed before, a refusal at the head refuses what hangs on it.
    let fixed = writer.rng.bool();
    for _ in 0..writer.rng.usize(2..=8) {
        let from_now = writer.now(&from);
        let mut step = match allowance(&from_now, mirrored) {
            Some(all) if !fixed => all,
            _ => amount,
        };
        if writer.chance(8) {
            step = step.saturating_add(1);
        }
        writer.send_between(&from, &to, step, mirrored);
        if writer.chance(10) {
            retry_of_a_recent_one(writer);
        }
        from = to;
        to = writer.pick_partner(&from);
    }
}

/// The same money goes back and forth between two accounts, limited ones if there are.
fn ping_pong(writer: &mut Writer) {
    let mirrored = writer.rng.bool();
    let limited = |a: &Account| a.flags & limit(mirrored) != 0;
    let Some(one) = writer.pick(limited) else {
        return;
    };
    let other = writer
        .pick(|a| limited(a) && a.id != one.id && a.ledger == one.ledger)
        .unwrap_or_else(|| writer.pick_partner(&one));
    let amount = writer.small_amount();
    let source = writer.pick_source(&one, mirrored);
    let funded = amount.saturating_sub(u128::from(writer.chance(15)));
    writer.send_between(&source, &one, funded, mirrored);
    let rallies = writer.rng.usize(2..=40);
    // Once, perhaps, somebody sends a little more than came.
    let slip = writer.rng.usize(..rallies * 2);
    for rally in 0..rallies {
        let (from, to) = if rally % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let amount = amount + u128::from(rally == slip);
        writer.send_between(from, to, amount, mirrored);
    }
}

/// An id comes again, once or several times: the same transfer, another one, or a malformed one.
fn retry(writer: &mut Writer) {
    if writer.sent.is_empty() {
        return;
    }
    let first = match writer.rng.u8(..3) {
        0 => 0,
        1 => writer.sent_before_epoch.min(writer.sent.len() - 1),
        _ => writer.sent.len().saturating_sub(4),
    };
    retry_of_one_since(writer, first);
}

pub(crate) fn retry_of_a_recent_one(writer: &mut Writer) {
    if !writer.sent.is_empty() {
        retry_of_one_since(writer, writer.sent.len().saturating_sub(2));
    }
}

fn retry_of_one_since(writer: &mut Writer, first: usize) {
    let original = writer.sent[writer.rng.usize(first..writer.sent.len())];
    for _ in 0..writer.rng.usize(1..=3) {
        let mut again = original;
        // With the flag it would take what comes next into its chain.
        if writer.chance(80) {
            again.flags &= !TransferFlags::LINKED;
        }
        let changes = writer.rng.u8(..10);
        // 4 in 10: the same. 4 in 10: one other field. 1 in 10: two. 1 in 10: malformed.
        for _ in 0..[0, 0, 0, 0, 1, 1, 1, 1, 2, 0][usize::from(changes)] {
            let other = writer.pick_any().id;
            let flags = writer.shape.flags();
            vary_transfer(&mut writer.rng, &mut again, other, flags);
        }
        if changes == 9 {
            break_transfer(&mut writer.rng, &mut again, writer.shape.is_plain());
        }
        writer.send(again);
    }
}

/// A transfer with one to three faults; perhaps then the one that was meant, with the id that is still free.
fn malformed(writer: &mut Writer) {
    let meant = plain_transfer(writer);
    let mut broken = meant;
    for _ in 0..[1, 1, 2, 3][writer.rng.usize(..4)] {
        break_transfer(&mut writer.rng, &mut broken, writer.shape.is_plain());
    }
    writer.send(broken);
    if writer.rng.bool() {
        writer.send(meant);
        if writer.rng.bool() {
            writer.send(broken);
        }
    }
}

/// One account or both don't exist; perhaps the client tries again.
fn missing_account(writer: &mut Writer) {
    let mut transfer = plain_transfer(writer);
    let sides = writer.rng.u8(1..=3);
    if sides & 1 != 0 {
        transfer.debit_account_id = writer.missing_account_id();
    }
    if sides & 2 != 0 {
        transfer.credit_account_id = writer.missing_account_id();
    }
    writer.send(transfer);
    if writer.chance(30) {
        writer.send(transfer);
    }
}

/// The accounts' ledgers differ, or the transfer's is another, or both.
fn wrong_ledger(writer: &mut Writer) {
    let sides = writer.rng.u8(1..=3);
    let mut transfer = plain_transfer(writer);
    if sides & 1 != 0 {
        let debit = writer.pick_any();
        if let Some(credit) = writer.pick(|a| a.ledger != debit.ledger) {
            let amount = writer.amount(&debit, &credit);
            transfer = writer.transfer(&debit, &credit, amount);
            transfer.ledger = [debit.ledger, credit.ledger][writer.rng.usize(..2)];
        }
    }
    if sides & 2 != 0 {
        transfer.ledger += writer.rng.u32(1..=2);
    }
    writer.send(transfer);
}

/// Transfers on an account before and after it is created.
fn late_account(writer: &mut Writer) {
    let waiting: Vec<Account> = writer.cast.clone();
    let waiting = waiting.into_iter().find(|a| !writer.is_created(a));
    let account = match waiting {
        Some(account) => account,
        None if writer.cast.len() < ACCOUNTS_MAX => writer.cast_account(),
        None => return,
    };
    let mirrored = writer.rng.bool();
    let source = writer.pick_source(&account, mirrored);
    let amount = writer.small_amount();
    let early = writer.rng.bool();
    if early {
        writer.send_between(&source, &account, amount, mirrored);
    }
    let first_try = writer.sent.last().copied();
    writer.send_account(account);
    if let Some(first_try) = first_try.filter(|_| early && writer.rng.bool()) {
        writer.send(first_try);
    }
    writer.send_between(&source, &account, amount, mirrored);
    if writer.rng.bool() {
        let to = writer.pick_partner(&account);
        writer.send_between(&account, &to, amount, mirrored);
    }
}

/// An account's id comes again: the same, with one other field, or malformed.
fn account_retry(writer: &mut Writer) {
    let planned = writer.cast[writer.rng.usize(..writer.cast.len())];
    let mut account = Account { flags: writer.now(&planned).flags, ..planned };
    if writer.chance(80) {
        account.flags &= !AccountFlags::LINKED;
    }
    match writer.rng.u8(..10) {
        0..3 => {}
        3..9 => vary_account(&mut writer.rng, &mut account),
        _ => break_account(&mut writer.rng, &mut account),
    }
    writer.send_account(account);
}

/// A new account with one to three faults; perhaps then the one that was meant.
fn malformed_account(writer: &mut Writer) {
    let meant = if writer.cast.len() < ACCOUNTS_MAX && writer.chance(20) {
        writer.cast_account()
    } else {
        let id = writer.missing_account_id();
        Account { id, ..writer.pick_any() }
    };
    let mut broken = Account {
        debits_pending: 0,
        debits_posted: 0,
        credits_pending: 0,
        credits_posted: 0,
        flags: meant.flags & AccountFlags::LIMITS,
        timestamp: 0,
        ..meant
    };
    for _ in 0..[1, 1, 2, 3][writer.rng.usize(..4)] {
        break_account(&mut writer.rng, &mut broken);
    }
    writer.send_account(broken);
    if writer.cast.contains(&meant) && writer.rng.bool() {
        writer.send_account(meant);
    }
}

/// An amount near what a sum of 128 bits still holds.
fn huge_amount(writer: &mut Writer) {
    let mirrored = writer.rng.bool();
    let to = writer.pick_any();
    // Mostly an account without a limit gives, so that the money does move.
    let from = if writer.chance(80) { writer.pick_source(&to, mirrored) } else { writer.pick_partner(&to) };
    let small = writer.small_amount();
    let (room_of_one, room_of_other) = (headroom(&from, mirrored), headroom(&to, !mirrored));
    let amount = match writer.rng.u8(..7) {
        0 => room_of_one.saturating_sub(small),
        1 => room_of_other.saturating_sub(small),
        2 => room_of_one.min(room_of_other),
        3 => room_of_one.saturating_add(1),
        4 => room_of_other.saturating_add(1),
        5 => u128::MAX - small,
        _ => (1 << 127) - small,
    };
    for _ in 0..writer.rng.usize(1..=2) {
        writer.send_between(&from, &to, amount, mirrored);
    }
}

/// A huge amount reaches an account through a limited one, if that was given enough. Whether what follows
/// overflows hangs on that.
fn huge_amount_after_a_gate(writer: &mut Writer) {
    let mirrored = writer.rng.bool();
    let Some(gate) = writer.pick(|a| a.flags & limit(mirrored) != 0) else {
        return huge_amount(writer);
    };
    let target = writer.pick_partner(&gate);
    let source = writer.pick_source(&gate, mirrored);
    let room = headroom(&target, !mirrored);
    let small = writer.small_amount();
    let huge = match writer.rng.u8(..3) {
        0 => room.saturating_sub(small),
        1 => room / 2 + 1,
        _ => room - room / 4,
    };
    if writer.chance(80) {
        let funded = huge.saturating_sub(u128::from(writer.chance(30)));
        writer.send_between(&source, &gate, funded, mirrored);
    }
    writer.send_between(&gate, &target, huge, mirrored);
    if writer.chance(30) {
        retry_of_a_recent_one(writer);
    }
    let left = room.saturating_sub(huge);
    let other = writer.pick_partner(&target);
    for amount in [left.saturating_add(1), left] {
        if writer.chance(70) {
            writer.send_between(&other, &target, amount, mirrored);
        }
    }
}
