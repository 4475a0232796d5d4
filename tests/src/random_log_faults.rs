//! Spoilt records for random logs: what makes an event malformed, and what makes a retry differ from its original.

use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Transfer};
use fastrand::Rng;

/// Spoils an account in one way that is refused whatever the ledger holds.
pub(crate) fn break_account(rng: &mut Rng, account: &mut Account) {
    match rng.u8(..13) {
        0 => account.timestamp = rng.u64(1..),
        1 => account.reserved = rng.u32(1..),
        2 => account.flags |= 1 << rng.u16(AccountFlags::KNOWN.count_ones() as u16..16),
        3 => account.flags |= one_bit_of(rng, AccountFlags::KNOWN & !AccountFlags::LIMITS),
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

/// Spoils a transfer in one way that is refused whatever the ledger holds.
pub(crate) fn break_transfer(rng: &mut Rng, transfer: &mut Transfer) {
    match rng.u8(..14) {
        0 => transfer.timestamp = rng.u64(1..),
        1 => transfer.flags |= 1 << rng.u16(TransferFlags::KNOWN.count_ones() as u16..16),
        2 => transfer.flags |= one_bit_of(rng, TransferFlags::KNOWN),
        3 => transfer.id = 0,
        4 => transfer.id = u128::MAX,
        5 => transfer.debit_account_id = 0,
        6 => transfer.debit_account_id = u128::MAX,
        7 => transfer.credit_account_id = 0,
        8 => transfer.credit_account_id = u128::MAX,
        9 => transfer.credit_account_id = transfer.debit_account_id,
        10 => transfer.pending_id = rng.u128(1..),
        11 => transfer.timeout = rng.u32(1..),
        12 => transfer.ledger = 0,
        _ => transfer.code = 0,
    }
}

/// Changes one compared field of a transfer. `other_account_id` is what a changed account becomes.
pub(crate) fn vary_transfer(rng: &mut Rng, transfer: &mut Transfer, other_account_id: u128) {
    match rng.u8(..11) {
        0 => transfer.flags ^= one_bit_of(rng, TransferFlags::KNOWN),
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

fn one_bit_of(rng: &mut Rng, flags: u16) -> u16 {
    loop {
        let bit = 1 << rng.u32(..16);
        if flags & bit != 0 {
            return bit;
        }
    }
}
