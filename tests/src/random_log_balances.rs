//! Plots of random logs about balancing, closing, and pending amounts near 2^128.

use crate::random_log_faults::{BALANCING as BALANCING_FLAGS, CLOSING as CLOSING_FLAGS, one_bit_of};
use crate::random_log_pending::{as_pending, claim_of, pending_transfer, pick_pending};
use crate::random_log_plots::{Plot, plain_transfer};
use crate::random_log_writer::{ACCOUNTS_MAX, Writer, balance, headroom};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Transfer};

pub(crate) const BALANCING: [(Plot, u32); 2] = [(balance_one, 12), (drain, 5)];

pub(crate) const CLOSING: [(Plot, u32); 5] =
    [(close, 5), (use_closed, 8), (reopen, 6), (account_created_closed, 1), (account_closed_and_reopened, 4)];

pub(crate) const HUGE: [(Plot, u32); 2] = [(huge_pending, 3), (huge_sums, 6)];

/// A transfer of at most what there is, and often of exactly that.
fn balance_one(writer: &mut Writer) {
    let transfer = balancing_transfer(writer);
    writer.send(transfer);
    if transfer.flags & TransferFlags::PENDING == 0 || writer.rng.bool() {
        return;
    }
    // As it was executed, or as it was asked.
    let done = writer.model.transfer(transfer.id).copied().filter(|_| writer.chance(80));
    let claim = claim_of(writer, &done.unwrap_or(transfer));
    writer.send(claim);
}

pub(crate) fn balancing_transfer(writer: &mut Writer) -> Transfer {
    let debit = writer.pick(|a| balance(a, false) != 0).filter(|_| writer.chance(80));
    let debit = debit.unwrap_or_else(|| writer.pick_any());
    let owes = |a: &Account| a.ledger == debit.ledger && a.id != debit.id && balance(a, true) != 0;
    let credit = writer.pick(owes).filter(|_| writer.chance(70));
    let credit = credit.unwrap_or_else(|| writer.pick_partner(&debit));
    let flags = [
        TransferFlags::BALANCING_DEBIT,
        TransferFlags::BALANCING_CREDIT,
        TransferFlags::BALANCING_DEBIT | TransferFlags::BALANCING_CREDIT,
    ][writer.rng.usize(..3)];
    let there_is = if writer.rng.bool() { balance(&debit, false) } else { balance(&credit, true) };
    let amount = match writer.rng.u8(..6) {
        0 | 1 => u128::MAX,
        2 => there_is,
        3 => there_is.saturating_add(1),
        4 => there_is.saturating_sub(1),
        _ => writer.small_amount(),
    };
    let transfer = writer.transfer(&debit, &credit, amount);
    let transfer = if writer.chance(30) { as_pending(writer, transfer) } else { transfer };
    Transfer { flags: transfer.flags | flags, ..transfer }
}

/// An account gives all it has, gets a little, and gives all again.
fn drain(writer: &mut Writer) {
    let mirrored = writer.rng.bool();
    let account = writer.pick_any();
    let to = writer.pick_partner(&account);
    let flag = if mirrored { TransferFlags::BALANCING_CREDIT } else { TransferFlags::BALANCING_DEBIT };
    for _ in 0..writer.rng.usize(1..=4) {
        if writer.chance(70) {
            let source = writer.pick_partner(&account);
            let amount = writer.small_amount();
            writer.send_between(&source, &account, amount, mirrored);
        }
        let all = writer.transfer_between(&account, &to, u128::MAX, mirrored);
        let all = if writer.chance(20) { as_pending(writer, all) } else { all };
        writer.send(Transfer { flags: all.flags | flag, ..all });
    }
}

/// Whether so many accounts are closed that a log would stand still.
fn is_enough_closed(writer: &Writer) -> bool {
    let closed = writer.cast.iter().filter(|account| is_closed(&writer.now(account))).count();
    closed * 4 > writer.cast.len()
}

fn is_closed(account: &Account) -> bool {
    account.flags & AccountFlags::CLOSED != 0
}

/// One account or both are closed; perhaps all that the debit account has goes to the other first.
fn close(writer: &mut Writer) {
    if is_enough_closed(writer) {
        return reopen(writer);
    }
    let transfer = closing_transfer(writer);
    writer.send(transfer);
    for _ in 0..writer.rng.usize(..=3) {
        use_accounts_of(writer, &transfer);
    }
}

pub(crate) fn closing_transfer(writer: &mut Writer) -> Transfer {
    let mut transfer = pending_transfer(writer);
    transfer.flags |=
        [TransferFlags::CLOSING_DEBIT, TransferFlags::CLOSING_CREDIT, CLOSING_FLAGS][writer.rng.usize(..3)];
    match writer.rng.u8(..4) {
        0 => transfer.amount = 0,
        1 => {
            transfer.amount = u128::MAX;
            transfer.flags |= one_bit_of(&mut writer.rng, BALANCING_FLAGS);
        }
        _ => {}
    }
    transfer
}

/// A transfer on an account of this one, or a claim on something pending there.
fn use_accounts_of(writer: &mut Writer, transfer: &Transfer) {
    let ids = [transfer.debit_account_id, transfer.credit_account_id];
    let id = ids[writer.rng.usize(..2)];
    let touches =
        |other: &Transfer| ids.contains(&other.debit_account_id) || ids.contains(&other.credit_account_id);
    if writer.chance(40)
        && let Some(pending) = pick_pending(writer, touches)
    {
        let claim = claim_of(writer, &pending);
        writer.send(claim);
        return;
    }
    let Some(account) = writer.pick(|a| a.id == id) else { return };
    let other = writer.pick_partner(&account);
    let amount = writer.amount(&account, &other);
    let mirrored = writer.rng.bool();
    let used = writer.transfer_between(&account, &other, amount, mirrored);
    let used = if writer.chance(20) { as_pending(writer, used) } else { used };
    writer.send(used);
}

/// Something happens to an account that is closed.
fn use_closed(writer: &mut Writer) {
    let Some(closed) = writer.pick(is_closed) else {
        return close(writer);
    };
    let other = writer.pick_partner(&closed);
    let like = writer.transfer(&closed, &other, 0);
    use_accounts_of(writer, &like);
}

/// What closed an account is voided, or somebody tries to post it.
fn reopen(writer: &mut Writer) {
    let Some(closing) = pick_pending(writer, |pending| pending.flags & CLOSING_FLAGS != 0) else {
        let transfer = plain_transfer(writer);
        writer.send(transfer);
        return;
    };
    let mut claim = claim_of(writer, &closing);
    if writer.chance(70) {
        (claim.flags, claim.amount) = (TransferFlags::VOID_PENDING_TRANSFER, 0);
    }
    writer.send(claim);
    for _ in 0..writer.rng.usize(..=3) {
        use_accounts_of(writer, &closing);
    }
}

/// All in one epoch.
fn account_closed_and_reopened(writer: &mut Writer) {
    let closing = closing_transfer(writer);
    let held = pending_transfer(writer);
    writer.send(held);
    writer.send(closing);
    use_accounts_of(writer, &closing);
    let mut void = claim_of(writer, &closing);
    (void.flags, void.amount) = (TransferFlags::VOID_PENDING_TRANSFER, 0);
    writer.send(void);
    use_accounts_of(writer, &closing);
}

/// An account that takes nothing from its first moment on.
fn account_created_closed(writer: &mut Writer) {
    if writer.cast.len() >= ACCOUNTS_MAX || is_enough_closed(writer) {
        return use_closed(writer);
    }
    let mut account = writer.cast_account();
    account.flags |= AccountFlags::CLOSED;
    writer.send_account(account);
    let other = writer.pick_partner(&account);
    let amount = writer.small_amount();
    let mirrored = writer.rng.bool();
    writer.send_between(&account, &other, amount, mirrored);
    // The same, whatever it says about being closed.
    if writer.rng.bool() {
        account.flags ^= AccountFlags::CLOSED;
        writer.send_account(account);
    }
}

/// A pending amount just below or above what an account has room for, mostly on accounts without limits.
fn huge_pending(writer: &mut Writer) {
    let mirrored = writer.rng.bool();
    let to = writer.pick_any();
    let from = writer.pick_source(&to, mirrored);
    let small = writer.small_amount();
    let room = headroom(&from, mirrored).min(headroom(&to, !mirrored));
    let amount = match writer.rng.u8(..6) {
        0 | 1 => room.saturating_sub(small),
        2 => room,
        3 => room.saturating_add(1),
        4 => u128::MAX - small,
        _ => room / 2 + 1,
    };
    for _ in 0..writer.rng.usize(1..=2) {
        let transfer = writer.transfer_between(&from, &to, amount, mirrored);
        let transfer = as_pending(writer, transfer);
        writer.send(transfer);
        if writer.chance(30) {
            let claim = claim_of(writer, &transfer);
            writer.send(claim);
        }
    }
}

/// Pending and posted amounts of an account from several others, of which only the sum overflows.
fn huge_sums(writer: &mut Writer) {
    let mirrored = writer.rng.bool();
    let target = writer.pick_any();
    let pending_percent = [50, 100][writer.rng.usize(..2)];
    for _ in 0..writer.rng.usize(2..=4) {
        let from = writer.pick_source(&target, mirrored);
        let room = headroom(&writer.now(&target), !mirrored);
        let small = writer.small_amount();
        let amount = match writer.rng.u8(..5) {
            0 => room / 2 + small,
            1 => room.saturating_sub(small),
            2 => room.saturating_add(1 + small),
            3 => room,
            _ => small,
        };
        let transfer = writer.transfer_between(&from, &target, amount, mirrored);
        let pending = writer.chance(pending_percent);
        let transfer = if pending { as_pending(writer, transfer) } else { transfer };
        writer.send(transfer);
    }
}
