//! The fixed records: accounts, transfers and refusals, as they lie in a frame and in the log.
//!
//! Little-endian, no padding, read in place by a checked cast. Fields and meanings follow TigerBeetle's public data
//! model, so that what people know carries over; `docs/DIFFERENCES.md` lists where the ledger differs.

use bytemuck::{Pod, Zeroable};

#[cfg(not(target_endian = "little"))]
compile_error!("records are cast in place and little-endian: build Auriga for a little-endian target");

/// Bytes of an account or a transfer.
pub const RECORD_SIZE: usize = 128;

/// An account: who holds, on which ledger, and the four running balances in the ledger's smallest unit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Account {
    /// Chosen by the client; neither 0 nor 2^128-1.
    pub id: u128,
    /// Sum of pending debits; 0 in a request.
    pub debits_pending: u128,
    /// Sum of posted debits; 0 in a request.
    pub debits_posted: u128,
    /// Sum of pending credits; 0 in a request.
    pub credits_pending: u128,
    /// Sum of posted credits; 0 in a request.
    pub credits_posted: u128,
    /// The client's own, not interpreted.
    pub user_data_128: u128,
    /// The client's own, not interpreted.
    pub user_data_64: u64,
    /// The client's own, not interpreted.
    pub user_data_32: u32,
    /// Must be 0.
    pub reserved: u32,
    /// The ledger (currency, asset) that the account belongs to; not 0.
    pub ledger: u32,
    /// The client's kind of account (chart of accounts); not 0.
    pub code: u16,
    /// [`AccountFlags`].
    pub flags: u16,
    /// Nanoseconds, assigned by the server; 0 in a request.
    pub timestamp: u64,
}

/// A transfer: an amount from a debit account to a credit account.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Transfer {
    /// Chosen by the client, once for ever; neither 0 nor 2^128-1. Time-ordered ids ([`crate::ids`]) are expected.
    pub id: u128,
    /// The account whose debits grow.
    pub debit_account_id: u128,
    /// The account whose credits grow.
    pub credit_account_id: u128,
    /// In the ledger's smallest unit; 0 is allowed.
    pub amount: u128,
    /// The pending transfer to post or void; 0 otherwise.
    pub pending_id: u128,
    /// The client's own, not interpreted.
    pub user_data_128: u128,
    /// The client's own, not interpreted.
    pub user_data_64: u64,
    /// The client's own, not interpreted.
    pub user_data_32: u32,
    /// Seconds until a pending transfer expires; 0 otherwise.
    pub timeout: u32,
    /// Must be the ledger of both accounts; not 0.
    pub ledger: u32,
    /// The client's kind of transfer; not 0.
    pub code: u16,
    /// [`TransferFlags`].
    pub flags: u16,
    /// Nanoseconds, assigned by the server; 0 in a request.
    pub timestamp: u64,
}

/// What became of an event that was not created just as it was sent, in the body of a reply: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct EventResult {
    /// The event's index in the request.
    pub index: u32,
    /// [`EventResult::CREATED`], or [`crate::AccountCode`] or [`crate::TransferCode`] by the request's command.
    pub code: u32,
    /// 0.
    pub reserved: u64,
    /// Of a balancing transfer that was created: what it moved, where that is less than was asked for. Otherwise 0.
    pub amount: u128,
}

impl EventResult {
    /// The event was created, with another amount.
    pub const CREATED: u32 = u32::MAX;

    /// An event that was refused.
    pub const fn refused(index: u32, code: u32) -> Self {
        Self { index, code, reserved: 0, amount: 0 }
    }

    /// A balancing transfer that was created and moved this.
    pub const fn created(index: u32, amount: u128) -> Self {
        Self { index, code: Self::CREATED, reserved: 0, amount }
    }

    /// Whether the event was refused.
    pub const fn is_refused(&self) -> bool {
        self.code != Self::CREATED
    }
}

/// An account's sums after one transfer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct AccountBalance {
    /// Sum of pending debits.
    pub debits_pending: u128,
    /// Sum of posted debits.
    pub debits_posted: u128,
    /// Sum of pending credits.
    pub credits_pending: u128,
    /// Sum of posted credits.
    pub credits_posted: u128,
    /// The transfer's timestamp, nanoseconds.
    pub timestamp: u64,
    /// 0.
    pub reserved: [u64; 7],
}

const _: () = assert!(size_of::<Account>() == RECORD_SIZE && align_of::<Account>() == 16);
const _: () = assert!(size_of::<Transfer>() == RECORD_SIZE && align_of::<Transfer>() == 16);
const _: () = assert!(size_of::<EventResult>() == 32);
const _: () = assert!(size_of::<AccountBalance>() == RECORD_SIZE);

/// Bits of [`Account::flags`].
#[derive(Debug)]
pub struct AccountFlags;

impl AccountFlags {
    /// Succeeds or fails with the next event of the request.
    pub const LINKED: u16 = 1 << 0;
    /// Refuses transfers that would make debits exceed credits.
    pub const DEBITS_MUST_NOT_EXCEED_CREDITS: u16 = 1 << 1;
    /// Refuses transfers that would make credits exceed debits.
    pub const CREDITS_MUST_NOT_EXCEED_DEBITS: u16 = 1 << 2;
    /// Keeps the balance after each transfer.
    pub const HISTORY: u16 = 1 << 3;
    /// Comes from another system, with its own timestamp.
    pub const IMPORTED: u16 = 1 << 4;
    /// Takes no more transfers.
    pub const CLOSED: u16 = 1 << 5;

    /// Either balance limit.
    pub const LIMITS: u16 = Self::DEBITS_MUST_NOT_EXCEED_CREDITS | Self::CREDITS_MUST_NOT_EXCEED_DEBITS;
    /// Every bit that has a meaning; the others are reserved.
    pub const KNOWN: u16 = (1 << 6) - 1;
    /// The bits that this version acts on.
    pub const SUPPORTED: u16 = Self::KNOWN & !Self::IMPORTED;
}

/// Bits of [`Transfer::flags`].
#[derive(Debug)]
pub struct TransferFlags;

impl TransferFlags {
    /// Succeeds or fails with the next event of the request.
    pub const LINKED: u16 = 1 << 0;
    /// Reserves the amount, to be posted or voided later.
    pub const PENDING: u16 = 1 << 1;
    /// Posts the pending transfer `pending_id`.
    pub const POST_PENDING_TRANSFER: u16 = 1 << 2;
    /// Voids the pending transfer `pending_id`.
    pub const VOID_PENDING_TRANSFER: u16 = 1 << 3;
    /// Moves at most what the debit account has.
    pub const BALANCING_DEBIT: u16 = 1 << 4;
    /// Moves at most what the credit account owes.
    pub const BALANCING_CREDIT: u16 = 1 << 5;
    /// Closes the debit account.
    pub const CLOSING_DEBIT: u16 = 1 << 6;
    /// Closes the credit account.
    pub const CLOSING_CREDIT: u16 = 1 << 7;
    /// Comes from another system, with its own timestamp.
    pub const IMPORTED: u16 = 1 << 8;

    /// Every bit that has a meaning; the others are reserved.
    pub const KNOWN: u16 = (1 << 9) - 1;
    /// The bits that this version acts on.
    pub const SUPPORTED: u16 = Self::KNOWN & !Self::IMPORTED;
    /// Ends a pending transfer.
    pub const RESOLVING: u16 = Self::POST_PENDING_TRANSFER | Self::VOID_PENDING_TRANSFER;
    /// Moves at most what there is.
    pub const BALANCING: u16 = Self::BALANCING_DEBIT | Self::BALANCING_CREDIT;
    /// Closes an account.
    pub const CLOSING: u16 = Self::CLOSING_DEBIT | Self::CLOSING_CREDIT;
}

/// The bytes of a transfer that make it the same transfer when it is sent again: all but id and timestamp.
pub fn compared_bytes(transfer: &Transfer) -> &[u8] {
    &bytemuck::bytes_of(transfer)[16..RECORD_SIZE - 8]
}
