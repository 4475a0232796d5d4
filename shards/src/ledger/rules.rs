//! What a transfer may do: the checks, and the order in which they take precedence.
//!
//! A [`Rank`] is a code's place in that order; of several refusals of one event the lowest rank is the answer. The
//! order is the documented one of TigerBeetle's data model, with our own codes put in.

use auriga_wire::record::{Account, AccountFlags, Transfer, TransferFlags};
use auriga_wire::{AccountCode, TransferCode};

/// A code's place in the order of precedence. [`Rank::CREATED`] comes last: nobody refused.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Rank(pub u8);

/// Transfer codes in order of precedence.
pub const TRANSFER_ORDER: &[TransferCode] = &[
    TransferCode::TimestampMustBeZero,
    TransferCode::ReservedFlag,
    TransferCode::FlagNotSupportedYet,
    TransferCode::IdMustNotBeZero,
    TransferCode::IdMustNotBeIntMax,
    TransferCode::ExistsWithDifferentFlags,
    TransferCode::ExistsWithDifferentPendingId,
    TransferCode::ExistsWithDifferentTimeout,
    TransferCode::ExistsWithDifferentDebitAccountId,
    TransferCode::ExistsWithDifferentCreditAccountId,
    TransferCode::ExistsWithDifferentAmount,
    TransferCode::ExistsWithDifferentUserData128,
    TransferCode::ExistsWithDifferentUserData64,
    TransferCode::ExistsWithDifferentUserData32,
    TransferCode::ExistsWithDifferentLedger,
    TransferCode::ExistsWithDifferentCode,
    TransferCode::Exists,
    TransferCode::IdAlreadyFailed,
    TransferCode::DebitAccountIdMustNotBeZero,
    TransferCode::DebitAccountIdMustNotBeIntMax,
    TransferCode::CreditAccountIdMustNotBeZero,
    TransferCode::CreditAccountIdMustNotBeIntMax,
    TransferCode::AccountsMustBeDifferent,
    TransferCode::PendingIdMustBeZero,
    TransferCode::TimeoutReservedForPendingTransfer,
    TransferCode::LedgerMustNotBeZero,
    TransferCode::CodeMustNotBeZero,
    TransferCode::DebitAccountNotFound,
    TransferCode::CreditAccountNotFound,
    TransferCode::AccountsMustHaveTheSameLedger,
    TransferCode::TransferMustHaveTheSameLedgerAsAccounts,
    TransferCode::OverflowsDebitsPosted,
    TransferCode::OverflowsCreditsPosted,
    TransferCode::ExceedsCredits,
    TransferCode::ExceedsDebits,
];

/// Account codes in order of precedence.
pub const ACCOUNT_ORDER: &[AccountCode] = &[
    AccountCode::TimestampMustBeZero,
    AccountCode::ReservedField,
    AccountCode::ReservedFlag,
    AccountCode::FlagNotSupportedYet,
    AccountCode::IdMustNotBeZero,
    AccountCode::IdMustNotBeIntMax,
    AccountCode::ExistsWithDifferentFlags,
    AccountCode::ExistsWithDifferentUserData128,
    AccountCode::ExistsWithDifferentUserData64,
    AccountCode::ExistsWithDifferentUserData32,
    AccountCode::ExistsWithDifferentLedger,
    AccountCode::ExistsWithDifferentCode,
    AccountCode::Exists,
    AccountCode::FlagsAreMutuallyExclusive,
    AccountCode::DebitsPendingMustBeZero,
    AccountCode::DebitsPostedMustBeZero,
    AccountCode::CreditsPendingMustBeZero,
    AccountCode::CreditsPostedMustBeZero,
    AccountCode::LedgerMustNotBeZero,
    AccountCode::CodeMustNotBeZero,
];

impl Rank {
    /// Nobody refused.
    pub const CREATED: Self = Self(u8::MAX);
    /// A consumed id whose transfer was created; which field differs, if any, is read from the log for the reply.
    pub const EXISTS: Self = Self::of(TransferCode::Exists);
    /// A consumed id whose transfer was refused.
    pub const ID_ALREADY_FAILED: Self = Self::of(TransferCode::IdAlreadyFailed);

    /// The rank of a transfer's code.
    pub const fn of(code: TransferCode) -> Self {
        let mut rank = 0;
        while rank < TRANSFER_ORDER.len() {
            if TRANSFER_ORDER[rank].number() == code.number() {
                return Self(rank as u8);
            }
            rank += 1;
        }
        panic!("a code of this version without a rank");
    }

    /// The rank of an account's code.
    pub const fn of_account(code: AccountCode) -> Self {
        let mut rank = 0;
        while rank < ACCOUNT_ORDER.len() {
            if ACCOUNT_ORDER[rank].number() == code.number() {
                return Self(rank as u8);
            }
            rank += 1;
        }
        panic!("a code of this version without a rank");
    }

    /// The transfer's code; `None` if created.
    pub fn transfer_code(self) -> Option<TransferCode> {
        TRANSFER_ORDER.get(usize::from(self.0)).copied()
    }

    /// The account's code; `None` if created.
    pub fn account_code(self) -> Option<AccountCode> {
        ACCOUNT_ORDER.get(usize::from(self.0)).copied()
    }
}

/// A refusal of an account that needs no state.
pub fn refuse_account(account: &Account) -> Option<AccountCode> {
    use AccountCode as C;
    let checks = [
        (account.timestamp != 0, C::TimestampMustBeZero),
        (account.reserved != 0, C::ReservedField),
        (account.flags & !AccountFlags::KNOWN != 0, C::ReservedFlag),
        (account.flags & !AccountFlags::SUPPORTED != 0, C::FlagNotSupportedYet),
        (account.id == 0, C::IdMustNotBeZero),
        (account.id == u128::MAX, C::IdMustNotBeIntMax),
        (account.flags & AccountFlags::LIMITS == AccountFlags::LIMITS, C::FlagsAreMutuallyExclusive),
        (account.debits_pending != 0, C::DebitsPendingMustBeZero),
        (account.debits_posted != 0, C::DebitsPostedMustBeZero),
        (account.credits_pending != 0, C::CreditsPendingMustBeZero),
        (account.credits_posted != 0, C::CreditsPostedMustBeZero),
        (account.ledger == 0, C::LedgerMustNotBeZero),
        (account.code == 0, C::CodeMustNotBeZero),
    ];
    checks.into_iter().find_map(|(fails, code)| fails.then_some(code))
}

/// A refusal of a transfer that needs no state.
#[inline]
pub fn refuse_transfer(t: &Transfer) -> Option<TransferCode> {
    let is_end = |id: u128| id.wrapping_add(1) <= 1;
    let plain = t.timestamp == 0
        && t.flags == 0
        && !is_end(t.id)
        && !is_end(t.debit_account_id)
        && !is_end(t.credit_account_id)
        && t.debit_account_id != t.credit_account_id
        && t.pending_id == 0
        && t.timeout == 0
        && t.ledger != 0
        && t.code != 0;
    if plain { None } else { first_static_fault(t) }
}

#[cold]
fn first_static_fault(t: &Transfer) -> Option<TransferCode> {
    use TransferCode as C;
    let checks = [
        (t.timestamp != 0, C::TimestampMustBeZero),
        (t.flags & !TransferFlags::KNOWN != 0, C::ReservedFlag),
        (t.flags & !TransferFlags::SUPPORTED != 0, C::FlagNotSupportedYet),
        (t.id == 0, C::IdMustNotBeZero),
        (t.id == u128::MAX, C::IdMustNotBeIntMax),
        (t.debit_account_id == 0, C::DebitAccountIdMustNotBeZero),
        (t.debit_account_id == u128::MAX, C::DebitAccountIdMustNotBeIntMax),
        (t.credit_account_id == 0, C::CreditAccountIdMustNotBeZero),
        (t.credit_account_id == u128::MAX, C::CreditAccountIdMustNotBeIntMax),
        (t.debit_account_id == t.credit_account_id, C::AccountsMustBeDifferent),
        (t.pending_id != 0, C::PendingIdMustBeZero),
        (t.timeout != 0, C::TimeoutReservedForPendingTransfer),
        (t.ledger == 0, C::LedgerMustNotBeZero),
        (t.code == 0, C::CodeMustNotBeZero),
    ];
    checks.into_iter().find_map(|(fails, code)| fails.then_some(code))
}

/// How a retry differs from the transfer that was created with its id: the first different field decides.
pub fn compare_transfers(retry: &Transfer, created: &Transfer) -> TransferCode {
    use TransferCode as C;
    let checks = [
        (retry.flags != created.flags, C::ExistsWithDifferentFlags),
        (retry.pending_id != created.pending_id, C::ExistsWithDifferentPendingId),
        (retry.timeout != created.timeout, C::ExistsWithDifferentTimeout),
        (retry.debit_account_id != created.debit_account_id, C::ExistsWithDifferentDebitAccountId),
        (retry.credit_account_id != created.credit_account_id, C::ExistsWithDifferentCreditAccountId),
        (retry.amount != created.amount, C::ExistsWithDifferentAmount),
        (retry.user_data_128 != created.user_data_128, C::ExistsWithDifferentUserData128),
        (retry.user_data_64 != created.user_data_64, C::ExistsWithDifferentUserData64),
        (retry.user_data_32 != created.user_data_32, C::ExistsWithDifferentUserData32),
        (retry.ledger != created.ledger, C::ExistsWithDifferentLedger),
        (retry.code != created.code, C::ExistsWithDifferentCode),
    ];
    checks.into_iter().find_map(|(differs, code)| differs.then_some(code)).unwrap_or(C::Exists)
}

/// How a creation differs from the account that exists.
pub fn compare_accounts(retry: &Account, created: &Account) -> AccountCode {
    use AccountCode as C;
    let checks = [
        (retry.flags != created.flags, C::ExistsWithDifferentFlags),
        (retry.user_data_128 != created.user_data_128, C::ExistsWithDifferentUserData128),
        (retry.user_data_64 != created.user_data_64, C::ExistsWithDifferentUserData64),
        (retry.user_data_32 != created.user_data_32, C::ExistsWithDifferentUserData32),
        (retry.ledger != created.ledger, C::ExistsWithDifferentLedger),
        (retry.code != created.code, C::ExistsWithDifferentCode),
    ];
    checks.into_iter().find_map(|(differs, code)| differs.then_some(code)).unwrap_or(C::Exists)
}

/// Which side of a transfer a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The amount is added to the account's debits.
    Debit,
    /// The amount is added to the account's credits.
    Credit,
}

/// An account's balance as far as the rules look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Balance {
    /// Posted debits.
    pub debits: u128,
    /// Posted credits.
    pub credits: u128,
}

impl Balance {
    /// Why a leg of `amount` can't be applied to this balance of an account with these flags.
    #[inline]
    pub fn refuse(&self, flags: u16, side: Side, amount: u128) -> Option<TransferCode> {
        match side {
            Side::Debit => match self.debits.checked_add(amount) {
                None => Some(TransferCode::OverflowsDebitsPosted),
                Some(debits) => (flags & AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS != 0
                    && debits > self.credits)
                    .then_some(TransferCode::ExceedsCredits),
            },
            Side::Credit => match self.credits.checked_add(amount) {
                None => Some(TransferCode::OverflowsCreditsPosted),
                Some(credits) => (flags & AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS != 0
                    && credits > self.debits)
                    .then_some(TransferCode::ExceedsDebits),
            },
        }
    }

    /// Adds a leg that was not refused.
    #[inline]
    pub fn apply(&mut self, side: Side, amount: u128) {
        let sum = match side {
            Side::Debit => &mut self.debits,
            Side::Credit => &mut self.credits,
        };
        *sum = sum.checked_add(amount).expect("a leg that overflows was refused");
    }

    /// Takes a leg back that was applied.
    #[inline]
    pub fn undo(&mut self, side: Side, amount: u128) {
        let sum = match side {
            Side::Debit => &mut self.debits,
            Side::Credit => &mut self.credits,
        };
        *sum = sum.checked_sub(amount).expect("only what was applied is undone");
    }
}
