//! Plots of random logs about pending transfers, and what claims them: posts, voids and time.

use crate::model::Status;
use crate::random_log_faults::CLAIMS as CLAIM_FLAGS;
use crate::random_log_plots::{Plot, plain_transfer, retry_of_a_recent_one};
use crate::random_log_writer::{SECOND, Writer, allowance, limit};
use auriga_wire::Transfer;
use auriga_wire::record::TransferFlags;

/// Whatever account the money is on.
pub(crate) const CLAIMS: [(Plot, u32); 7] = [
    (reserve, 15),
    (claim, 20),
    (reserve_and_claim, 8),
    (compete, 5),
    (claim_what_is_not_pending, 5),
    (claim_what_has_ended, 24),
    (claim_what_is_forgotten, 25),
];

/// On accounts with limits.
pub(crate) const RESERVES: [(Plot, u32); 3] = [(release, 6), (income, 4), (reserve, 4)];

/// A pending transfer, perhaps with a timeout.
fn reserve(writer: &mut Writer) {
    let transfer = pending_transfer(writer);
    writer.send(transfer);
}

pub(crate) fn pending_transfer(writer: &mut Writer) -> Transfer {
    let transfer = plain_transfer(writer);
    as_pending(writer, transfer)
}

pub(crate) fn as_pending(writer: &mut Writer, transfer: Transfer) -> Transfer {
    let timeout = match writer.rng.u8(..20) {
        0..8 => 0,
        8..19 => writer.rng.u32(1..=3),
        _ => [60, 1_000_000, u32::MAX][writer.rng.usize(..3)],
    };
    Transfer { flags: transfer.flags | TransferFlags::PENDING, timeout, ..transfer }
}

/// A pending transfer that fits, as it was executed: recent, of an earlier epoch, with a near deadline, or any.
pub(crate) fn pick_pending(writer: &mut Writer, fits: impl Fn(&Transfer) -> bool) -> Option<Transfer> {
    let pending = created_with(writer, |status| status == Status::Pending);
    let mut fitting: Vec<Transfer> = pending.into_iter().filter(fits).collect();
    let drawn = writer.rng.u8(..5);
    let of_before = |transfer: &Transfer| transfer.timestamp < writer.epoch_timestamp();
    match drawn {
        0 => drop(fitting.drain(..fitting.len().saturating_sub(3))),
        1 | 2 if fitting.iter().any(of_before) => fitting.retain(of_before),
        3 if fitting.iter().any(|transfer| is_due_soon(writer, transfer)) => {
            fitting.retain(|transfer| is_due_soon(writer, transfer));
        }
        _ => {}
    }
    pick_one(writer, &fitting)
}

/// Every created pending transfer with such a status, in the order in which they were sent.
fn created_with(writer: &Writer, fits: impl Fn(Status) -> bool) -> Vec<Transfer> {
    let model = &writer.model;
    let mut created: Vec<Transfer> = model
        .pendings()
        .iter()
        .filter(|(_, status)| fits(**status))
        .filter_map(|(id, _)| model.transfer(*id).copied())
        .collect();
    created.sort_unstable_by_key(|transfer| transfer.timestamp);
    created
}

/// Whether its deadline is at most some events away, before or after.
fn is_due_soon(writer: &Writer, transfer: &Transfer) -> bool {
    let deadline = transfer.timestamp + u64::from(transfer.timeout) * SECOND;
    transfer.timeout != 0 && deadline.abs_diff(writer.now_timestamp()) < 1_000
}

fn pick_one<T: Copy>(writer: &mut Writer, from: &[T]) -> Option<T> {
    (!from.is_empty()).then(|| from[writer.rng.usize(..from.len())])
}

/// A post or void of a transfer: of all or a part of its amount, or of too much; with its fields spelled out, or zero.
pub(crate) fn claim_of(writer: &mut Writer, pending: &Transfer) -> Transfer {
    let voids = writer.chance(35);
    let all = if voids { 0 } else { u128::MAX };
    let amount = match writer.rng.u8(..if voids { 14 } else { 8 }) {
        0 => writer.rng.u128(..=pending.amount),
        1 => pending.amount.saturating_sub(1),
        2 => pending.amount.saturating_add(1),
        3 => u128::MAX - all,
        4 | 5 => pending.amount,
        _ => all,
    };
    let flags =
        if voids { TransferFlags::VOID_PENDING_TRANSFER } else { TransferFlags::POST_PENDING_TRANSFER };
    let like = plain_transfer(writer);
    let mut claim = Transfer { id: like.id, amount, pending_id: pending.id, flags, ..Transfer::default() };
    if writer.chance(40) {
        (claim.user_data_128, claim.user_data_64) = (like.user_data_128, like.user_data_64);
        claim.user_data_32 = like.user_data_32;
    }
    if writer.chance(50) {
        spell_out(writer, &mut claim, pending);
    }
    if writer.chance(6) {
        misspell(writer, &mut claim, &like);
    }
    claim
}

fn spell_out(writer: &mut Writer, claim: &mut Transfer, pending: &Transfer) {
    let fields = writer.rng.u8(1..16);
    if fields & 1 != 0 {
        claim.debit_account_id = pending.debit_account_id;
    }
    if fields & 2 != 0 {
        claim.credit_account_id = pending.credit_account_id;
    }
    if fields & 4 != 0 {
        claim.ledger = pending.ledger;
    }
    if fields & 8 != 0 {
        claim.code = pending.code;
    }
}

/// Takes over some fields of another transfer.
fn misspell(writer: &mut Writer, claim: &mut Transfer, other: &Transfer) {
    match writer.rng.u8(..5) {
        0 => claim.debit_account_id = other.debit_account_id,
        1 => claim.credit_account_id = other.credit_account_id,
        2 => claim.ledger = other.ledger.wrapping_add(1),
        3 => claim.code = other.code + 3,
        _ => (claim.debit_account_id, claim.ledger) = (u128::MAX, u32::MAX),
    }
}

/// A pending transfer whose id is forgotten is claimed, if it is still pending or not.
fn claim_what_is_forgotten(writer: &mut Writer) {
    let terms = writer.model.terms;
    let mut forgotten = created_with(writer, |_| true);
    forgotten.retain(|transfer| terms.is_forgotten(transfer.id));
    if writer.chance(70) {
        forgotten.retain(|t| writer.model.pendings().get(&t.id) == Some(&Status::Pending));
    }
    if let Some(pending) = pick_one(writer, &forgotten) {
        let claim = claim_of(writer, &pending);
        writer.send(claim);
    }
}

/// A pending transfer of this epoch or another is claimed.
fn claim(writer: &mut Writer) {
    if writer.chance(20) {
        return claim_what_has_ended(writer);
    }
    let Some(pending) = pick_pending(writer, |_| true) else {
        return reserve(writer);
    };
    let claim = claim_of(writer, &pending);
    writer.send(claim);
    if writer.chance(10) {
        retry_of_a_recent_one(writer);
    }
}

/// A pending transfer and its claim, perhaps with others in between.
fn reserve_and_claim(writer: &mut Writer) {
    let pending = pending_transfer(writer);
    // A claim that comes too early burns only its own id.
    if writer.chance(5) {
        let claim = claim_of(writer, &pending);
        writer.send(claim);
    }
    writer.send(pending);
    for _ in 0..[0, 0, 1, 3][writer.rng.usize(..4)] {
        let transfer = plain_transfer(writer);
        writer.send(transfer);
    }
    let claim = claim_of(writer, &pending);
    writer.send(claim);
}

/// Several claims on one pending transfer.
fn compete(writer: &mut Writer) {
    let pending = pick_pending(writer, |_| true).filter(|_| writer.rng.bool());
    let pending = pending.unwrap_or_else(|| {
        let pending = pending_transfer(writer);
        writer.send(pending);
        pending
    });
    for _ in 0..writer.rng.usize(2..=4) {
        let claim = claim_of(writer, &pending);
        writer.send(claim);
        if writer.chance(20) {
            let transfer = plain_transfer(writer);
            writer.send(transfer);
        }
    }
}

/// A claim on a transfer that was refused, is missing, or isn't a pending one.
fn claim_what_is_not_pending(writer: &mut Writer) {
    let mut transfer = plain_transfer(writer);
    match writer.rng.u8(..4) {
        // Missing for now; perhaps the transfer comes later.
        0 => {}
        // Refused: the account doesn't exist.
        1 => {
            transfer = as_pending(writer, transfer);
            transfer.debit_account_id = writer.missing_account_id();
            writer.send(transfer);
        }
        2 => drop(writer.send(transfer)),
        // Any so far: plain ones, posts and voids, refused ones, malformed ones.
        _ => {
            let sent = writer.sent.clone();
            if let Some(any) = pick_one(writer, &sent) {
                transfer = any;
            }
        }
    }
    let claim = claim_of(writer, &transfer);
    writer.send(claim);
    if writer.chance(30) {
        let late = as_pending(writer, transfer);
        writer.send(late);
    }
}

/// A claim on what was claimed before, or whose time is over.
fn claim_what_has_ended(writer: &mut Writer) {
    let mut ended = created_with(writer, |status| status == Status::Expired);
    if ended.is_empty() || writer.chance(30) {
        ended = created_with(writer, |status| status != Status::Pending);
    }
    let terms = writer.model.terms;
    ended.retain(|transfer| !terms.is_forgotten(transfer.id));
    match pick_one(writer, &ended) {
        Some(ended) => {
            let claim = claim_of(writer, &ended);
            writer.send(claim);
        }
        None => claim(writer),
    }
}

/// A limited account reserves all that it has left; whether more fits then hangs on what is released.
fn release(writer: &mut Writer) {
    let mirrored = writer.rng.bool();
    let Some(account) = writer.pick(|a| a.flags & limit(mirrored) != 0) else {
        return reserve(writer);
    };
    let source = writer.pick_source(&account, mirrored);
    if writer.chance(60) {
        let amount = writer.small_amount();
        writer.send_between(&source, &account, amount, mirrored);
    }
    let left = allowance(&writer.now(&account), mirrored).expect("the account is limited");
    let to = writer.pick_partner(&account);
    let over = u128::from(writer.chance(15));
    let held = writer.transfer_between(&account, &to, left.saturating_add(over), mirrored);
    let held = Transfer { flags: TransferFlags::PENDING, ..held };
    writer.send(held);
    // Sometimes there is nothing to release, and sometimes it comes in a later epoch.
    if writer.chance(75) {
        let claim = claim_of(writer, &held);
        writer.send(claim);
    }
    for _ in 0..writer.rng.usize(1..=4) {
        let left = allowance(&writer.now(&account), mirrored).expect("the account is limited");
        let part = [left, left / 2, left.saturating_add(1), writer.small_amount()][writer.rng.usize(..4)];
        let spent = writer.transfer_between(&account, &to, part, mirrored);
        let spent = if writer.chance(25) { as_pending(writer, spent) } else { spent };
        writer.send(spent);
    }
}

/// What is reserved for a limited account is there to spend only when it is posted.
fn income(writer: &mut Writer) {
    let mirrored = writer.rng.bool();
    let Some(account) = writer.pick(|a| a.flags & limit(mirrored) != 0) else {
        return reserve(writer);
    };
    let source = writer.pick_source(&account, mirrored);
    let amount = writer.small_amount();
    let coming = writer.transfer_between(&source, &account, amount, mirrored);
    let coming = as_pending(writer, coming);
    writer.send(coming);
    let to = writer.pick_partner(&account);
    let all = allowance(&writer.now(&account), mirrored).unwrap_or_default().saturating_add(amount);
    if writer.rng.bool() {
        writer.send_between(&account, &to, all, mirrored);
    }
    let post = claim_of(writer, &coming);
    if writer.chance(80) {
        writer.send(post);
    }
    writer.send_between(&account, &to, all, mirrored);
}

/// Whether the transfer is a post or void.
pub(crate) fn is_claim(transfer: &Transfer) -> bool {
    transfer.flags & CLAIM_FLAGS != 0
}
