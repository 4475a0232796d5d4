//! Spoilt records for random logs: what makes an event malformed, and what makes a retry differ from its original.

use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Transfer};
use fastrand::Rng;

/// Flags of posts and voids.
pub(crate) const CLAIMS: u16 = TransferFlags::POST_PENDING_TRANSFER | TransferFlags::VOID_PENDING_TRANSFER;
pub(crate) const CLOSING: u16 = TransferFlags::CLOSING_DEBIT | TransferFlags::CLOSING_CREDIT;
pub(crate) const BALANCING: u16 = TransferFlags::BALANCING_DEBIT | TransferFlags::BALANCING_CREDIT;

/// Spoils an account in one way that is refused whatever the ledger holds.
pub(crate) fn break_account(rng: &mut Rng, account: &mut Account) {
    match rng.u8(..13) {
        0 => account.timestamp = rng.u64(1..),
        1 => account.reserved = rng.u32(1..),
        2 => account.flags |= 1 << rng.u16(AccountFlags::KNOWN.count_ones() as u16..16),
        3 => account.flags |= AccountFlags::IMPORTED,
        4 => account.id = 0,
        5 => account.id = u128::MAX,
        6 => account.flags |= AccountFlags::LIMITS,
        7 => account.debits_pending = rng.u128(1..),
        8 => account.debits_posted = rng.u128(1..),
        9 => account.credits_pending = rng.u128(1..),
        10 => account.credits_posted = rng.u128(1..),
        11 => account.ledger = 0,
        _ => account.code = 0,
    }
}

/// Changes one compared field of an account; the result is well-formed unless both limits meet.
pub(crate) fn vary_account(rng: &mut Rng, account: &mut Account) {
    match rng.u8(..6) {
        0 => account.flags ^= one_bit_of(rng, AccountFlags::LIMITS),
        1 => account.user_data_128 ^= 1 << rng.u32(..128),
        2 => account.user_data_64 ^= 1 << rng.u32(..64),
        3 => account.user_data_32 ^= 1 << rng.u32(..32),
        4 => account.ledger += rng.u32(1..=2),
        _ => account.code += rng.u16(1..=2),
    }
}

/// Spoils a transfer in one way that is refused whatever the ledger holds. A log of nothing but plain transfers
/// (`plain`) keeps to faults that a plain transfer can have.
pub(crate) fn break_transfer(rng: &mut Rng, transfer: &mut Transfer, plain: bool) {
    if transfer.flags & CLAIMS != 0 {
        return break_claim(rng, transfer);
    }
    match rng.u8(..if plain { 14 } else { 20 }) {
        0 => transfer.timestamp = rng.u64(1..),
        1 => transfer.flags |= 1 << rng.u16(TransferFlags::KNOWN.count_ones() as u16..16),
        2 => transfer.flags |= TransferFlags::IMPORTED,
        3 => transfer.id = 0,
        4 => transfer.id = u128::MAX,
        5 => transfer.debit_account_id = 0,
        6 => transfer.debit_account_id = u128::MAX,
        7 => transfer.credit_account_id = 0,
        8 => transfer.credit_account_id = u128::MAX,
        9 => transfer.credit_account_id = transfer.debit_account_id,
        10 => transfer.pending_id = rng.u128(1..),
        11 => {
            transfer.flags &= !TransferFlags::PENDING;
            transfer.timeout = rng.u32(1..);
        }
        12 => transfer.ledger = 0,
        13 => transfer.code = 0,
        14 => {
            transfer.flags &= !TransferFlags::PENDING;
            transfer.flags |= one_bit_of(rng, CLOSING);
        }
        15 => transfer.flags |= CLAIMS,
        _ => {
            transfer.flags = one_bit_of(rng, CLAIMS);
            break_claim(rng, transfer);
        }
    }
}

/// Spoils a post or void. Zero is a value of most of its fields.
fn break_claim(rng: &mut Rng, transfer: &mut Transfer) {
    match rng.u8(..13) {
        0 => transfer.timestamp = rng.u64(1..),
        1 => transfer.flags |= TransferFlags::IMPORTED,
        2 => transfer.id = 0,
        3 => transfer.timeout = rng.u32(1..),
        4 => transfer.flags |= CLAIMS,
        5 => transfer.flags |= TransferFlags::PENDING,
        6 => transfer.flags |= one_bit_of(rng, CLOSING | BALANCING),
        7 | 8 => transfer.pending_id = 0,
        9 | 10 => transfer.pending_id = u128::MAX,
        _ => transfer.pending_id = transfer.id,
    }
}

/// Changes one compared field of a transfer: an account becomes `other_account_id`, of the flags one of `flags` changes.
pub(crate) fn vary_transfer(rng: &mut Rng, transfer: &mut Transfer, other_account_id: u128, flags: u16) {
    match rng.u8(..11) {
        0 => transfer.flags ^= one_bit_of(rng, flags),
        1 => transfer.pending_id ^= 1 << rng.u32(..128),
        2 => transfer.timeout ^= 1 << rng.u32(..32),
        3 => transfer.debit_account_id = other_account_id,
        4 => transfer.credit_account_id = other_account_id,
        5 => transfer.amount = vary_amount(rng, transfer.amount),
        6 => transfer.user_data_128 ^= 1 << rng.u32(..128),
        7 => transfer.user_data_64 ^= 1 << rng.u32(..64),
        8 => transfer.user_data_32 ^= 1 << rng.u32(..32),
        9 => transfer.ledger = transfer.ledger.wrapping_add(rng.u32(1..=2)),
        _ => transfer.code = transfer.code.wrapping_add(rng.u16(1..=2)),
    }
}

fn vary_amount(rng: &mut Rng, amount: u128) -> u128 {
    match rng.u8(..3) {
        0 => amount.wrapping_add(1),
        1 => amount.wrapping_sub(1),
        _ => amount ^ 1 << rng.u32(..128),
    }
}

pub(crate) fn one_bit_of(rng: &mut Rng, flags: u16) -> u16 {
    loop {
        let bit = 1 << rng.u32(..16);
        if flags & bit != 0 {
            return bit;
        }
    }
}
