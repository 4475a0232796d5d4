//! What a transfer may do: the checks, and the order in which they take precedence.
//!
//! A [`Rank`] is a code's place in that order; of several refusals of one event the lowest rank is the answer. The
//! order is the documented one of TigerBeetle's data model, with our own codes put in.

use super::pendings::Pending;
use super::terms::{Limited, Terms};
use auriga_wire::record::{Account, AccountFlags, Transfer, TransferFlags};
use auriga_wire::{AccountCode, TransferCode};

/// A code's place in the order of precedence. [`Rank::CREATED`] comes last: nobody refused.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Rank(pub u8);

/// Transfer codes in order of precedence.
pub const TRANSFER_ORDER: &[TransferCode] = &[
    TransferCode::LinkedEventFailed,
    TransferCode::TimestampMustBeZero,
    TransferCode::ReservedFlag,
    TransferCode::FlagNotSupportedYet,
    TransferCode::IdMustNotBeZero,
    TransferCode::IdMustNotBeIntMax,
    TransferCode::IdExpired,
    TransferCode::IdInTheFuture,
    TransferCode::LimitReached,
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
    TransferCode::FlagsAreMutuallyExclusive,
    TransferCode::DebitAccountIdMustNotBeZero,
    TransferCode::DebitAccountIdMustNotBeIntMax,
    TransferCode::CreditAccountIdMustNotBeZero,
    TransferCode::CreditAccountIdMustNotBeIntMax,
    TransferCode::AccountsMustBeDifferent,
    TransferCode::PendingIdMustBeZero,
    TransferCode::PendingIdMustNotBeZero,
    TransferCode::PendingIdMustNotBeIntMax,
    TransferCode::PendingIdMustBeDifferent,
    TransferCode::TimeoutReservedForPendingTransfer,
    TransferCode::ClosingTransferMustBePending,
    TransferCode::LedgerMustNotBeZero,
    TransferCode::CodeMustNotBeZero,
    TransferCode::DebitAccountNotFound,
    TransferCode::CreditAccountNotFound,
    TransferCode::AccountsMustHaveTheSameLedger,
    TransferCode::TransferMustHaveTheSameLedgerAsAccounts,
    TransferCode::PendingIdExpired,
    TransferCode::PendingTransferNotFound,
    TransferCode::PendingTransferNotPending,
    TransferCode::PendingTransferAlreadyPosted,
    TransferCode::PendingTransferAlreadyVoided,
    TransferCode::PendingTransferExpired,
    TransferCode::PendingTransferHasDifferentDebitAccountId,
    TransferCode::PendingTransferHasDifferentCreditAccountId,
    TransferCode::PendingTransferHasDifferentLedger,
    TransferCode::PendingTransferHasDifferentCode,
    TransferCode::ExceedsPendingTransferAmount,
    TransferCode::PendingTransferHasDifferentAmount,
    TransferCode::DebitAccountAlreadyClosed,
    TransferCode::CreditAccountAlreadyClosed,
    TransferCode::OverflowsDebitsPending,
    TransferCode::OverflowsCreditsPending,
    TransferCode::OverflowsDebitsPosted,
    TransferCode::OverflowsCreditsPosted,
    TransferCode::OverflowsDebits,
    TransferCode::OverflowsCredits,
    TransferCode::OverflowsTimeout,
    TransferCode::ExceedsCredits,
    TransferCode::ExceedsDebits,
];

/// Account codes in order of precedence.
pub const ACCOUNT_ORDER: &[AccountCode] = &[
    AccountCode::LinkedEventFailed,
    AccountCode::TimestampMustBeZero,
    AccountCode::ReservedField,
    AccountCode::ReservedFlag,
    AccountCode::FlagNotSupportedYet,
    AccountCode::IdMustNotBeZero,
    AccountCode::IdMustNotBeIntMax,
    AccountCode::LimitReached,
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
    /// Another member of the chain was refused.
    pub const LINKED_EVENT_FAILED: Self = Self::of(TransferCode::LinkedEventFailed);
    /// The first rank that a record with a fault of its own asks its id for.
    pub const EXISTS_FIRST: Self = Self::of(TransferCode::ExistsWithDifferentFlags);
    /// The same of an account.
    pub const ACCOUNT_EXISTS_FIRST: Self = Self::of_account(AccountCode::ExistsWithDifferentFlags);
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

/// A refusal of an account that needs no look at the ledger.
pub fn refuse_account(account: &Account, terms: &Terms) -> Option<AccountCode> {
    use AccountCode as C;
    let checks = [
        (account.timestamp != 0, C::TimestampMustBeZero),
        (account.reserved != 0, C::ReservedField),
        (account.flags & !AccountFlags::KNOWN != 0, C::ReservedFlag),
        (account.flags & !AccountFlags::SUPPORTED != 0, C::FlagNotSupportedYet),
        (account.id == 0, C::IdMustNotBeZero),
        (account.id == u128::MAX, C::IdMustNotBeIntMax),
        (terms.limited.is(Limited::ACCOUNTS), C::LimitReached),
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

/// A refusal of a transfer that needs no look at the ledger.
#[inline]
pub fn refuse_transfer(t: &Transfer, terms: &Terms) -> Option<TransferCode> {
    let is_end = |id: u128| id.wrapping_add(1) <= 1;
    let plain = t.timestamp == 0
        && t.flags & !(TransferFlags::LINKED | TransferFlags::BALANCING) == 0
        && !is_end(t.id)
        && !is_end(t.debit_account_id)
        && !is_end(t.credit_account_id)
        && t.debit_account_id != t.credit_account_id
        && t.pending_id == 0
        && t.timeout == 0
        && t.ledger != 0
        && t.code != 0
        && !terms.is_forgotten(t.id)
        && !terms.is_ahead(t.id)
        && !terms.is_limited(t);
    if plain { None } else { first_static_fault(t, terms) }
}

fn first_static_fault(t: &Transfer, terms: &Terms) -> Option<TransferCode> {
    use TransferCode as C;
    type F = TransferFlags;
    let resolves = t.flags & F::RESOLVING != 0;
    let moves = !resolves;
    let checks = [
        (t.timestamp != 0, C::TimestampMustBeZero),
        (t.flags & !F::KNOWN != 0, C::ReservedFlag),
        (t.flags & !F::SUPPORTED != 0, C::FlagNotSupportedYet),
        (t.id == 0, C::IdMustNotBeZero),
        (t.id == u128::MAX, C::IdMustNotBeIntMax),
        (terms.is_forgotten(t.id), C::IdExpired),
        (terms.is_ahead(t.id), C::IdInTheFuture),
        (terms.is_limited(t), C::LimitReached),
        (
            t.flags & F::RESOLVING == F::RESOLVING
                || resolves && t.flags & (F::PENDING | F::BALANCING | F::CLOSING) != 0,
            C::FlagsAreMutuallyExclusive,
        ),
        (moves && t.debit_account_id == 0, C::DebitAccountIdMustNotBeZero),
        (moves && t.debit_account_id == u128::MAX, C::DebitAccountIdMustNotBeIntMax),
        (moves && t.credit_account_id == 0, C::CreditAccountIdMustNotBeZero),
        (moves && t.credit_account_id == u128::MAX, C::CreditAccountIdMustNotBeIntMax),
        (moves && t.debit_account_id == t.credit_account_id, C::AccountsMustBeDifferent),
        (moves && t.pending_id != 0, C::PendingIdMustBeZero),
        (resolves && t.pending_id == 0, C::PendingIdMustNotBeZero),
        (resolves && t.pending_id == u128::MAX, C::PendingIdMustNotBeIntMax),
        (resolves && t.pending_id == t.id, C::PendingIdMustBeDifferent),
        (t.flags & F::PENDING == 0 && t.timeout != 0, C::TimeoutReservedForPendingTransfer),
        (t.flags & F::CLOSING != 0 && t.flags & F::PENDING == 0, C::ClosingTransferMustBePending),
        (moves && t.ledger == 0, C::LedgerMustNotBeZero),
        (moves && t.code == 0, C::CodeMustNotBeZero),
    ];
    checks.into_iter().find_map(|(fails, code)| fails.then_some(code))
}

/// The moment from which a pending transfer can't be posted or voided, nanoseconds of epoch time: `None` if it has no
/// timeout. An error if that is beyond the end of time.
pub fn deadline(timestamp: u64, timeout: u32) -> Result<Option<u64>, TransferCode> {
    if timeout == 0 {
        return Ok(None);
    }
    let deadline = timestamp.saturating_add(u64::from(timeout) * 1_000_000_000);
    if deadline > TIME_MAX { Err(TransferCode::OverflowsTimeout) } else { Ok(Some(deadline)) }
}

/// Why a post or void of a pending transfer is refused, or the amount that a post posts (a void: voids).
pub fn refuse_claim(t: &Transfer, pending: &Pending, timestamp: u64) -> Result<u128, TransferCode> {
    use TransferCode as C;
    let is_void = t.flags & TransferFlags::VOID_PENDING_TRANSFER != 0;
    let differs = |asked: u128, found: u128| asked != 0 && asked != found;
    let amount = ended_amount(t, pending.amount);
    let checks = [
        (pending.deadline.is_some_and(|deadline| deadline <= timestamp), C::PendingTransferExpired),
        (differs(t.debit_account_id, pending.debit_account_id), C::PendingTransferHasDifferentDebitAccountId),
        (
            differs(t.credit_account_id, pending.credit_account_id),
            C::PendingTransferHasDifferentCreditAccountId,
        ),
        (differs(t.ledger.into(), pending.ledger.into()), C::PendingTransferHasDifferentLedger),
        (differs(t.code.into(), pending.code.into()), C::PendingTransferHasDifferentCode),
        (amount > pending.amount, C::ExceedsPendingTransferAmount),
        (is_void && amount < pending.amount, C::PendingTransferHasDifferentAmount),
    ];
    match checks.into_iter().find(|(fails, _)| *fails) {
        Some((_, code)) => Err(code),
        None => Ok(amount),
    }
}

/// What a post posts, or a void voids, of a pending transfer that reserves this.
pub fn ended_amount(sent: &Transfer, reserved: u128) -> u128 {
    let is_void = sent.flags & TransferFlags::VOID_PENDING_TRANSFER != 0;
    let all = if is_void { 0 } else { u128::MAX };
    if sent.amount == all { reserved } else { sent.amount }
}

/// A post or void as it was executed: with what it takes over from the pending transfer that it ended.
pub fn ended(sent: &Transfer, pending: &Transfer, amount: u128) -> Transfer {
    Transfer {
        amount,
        debit_account_id: pending.debit_account_id,
        credit_account_id: pending.credit_account_id,
        user_data_128: if sent.user_data_128 == 0 { pending.user_data_128 } else { sent.user_data_128 },
        user_data_64: if sent.user_data_64 == 0 { pending.user_data_64 } else { sent.user_data_64 },
        user_data_32: if sent.user_data_32 == 0 { pending.user_data_32 } else { sent.user_data_32 },
        ledger: pending.ledger,
        code: pending.code,
        ..*sent
    }
}

/// The end of time, nanoseconds.
const TIME_MAX: u64 = i64::MAX as u64;

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
        ((retry.flags ^ created.flags) & !AccountFlags::CLOSED != 0, C::ExistsWithDifferentFlags),
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

/// Half of a transfer that moves money, as its account sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// Which of the account's sums it is about.
    pub side: Side,
    /// Whether the amount is only reserved.
    pub pending: bool,
    /// In the ledger's smallest unit.
    pub amount: u128,
}

/// An account's four sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Balance {
    /// Debits.
    pub debits: Sums,
    /// Credits.
    pub credits: Sums,
}

/// The two sums of one side. Together they fit 128 bits: a transfer after which they would not is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sums {
    /// Reserved by pending transfers.
    pub pending: u128,
    /// Moved.
    pub posted: u128,
}

impl Sums {
    /// Both together.
    pub fn total(self) -> u128 {
        self.pending.saturating_add(self.posted)
    }
}

impl Balance {
    /// The sums of one side.
    pub fn side(&self, side: Side) -> Sums {
        match side {
            Side::Debit => self.debits,
            Side::Credit => self.credits,
        }
    }

    /// The sums of one side, to change them.
    pub fn side_mut(&mut self, side: Side) -> &mut Sums {
        match side {
            Side::Debit => &mut self.debits,
            Side::Credit => &mut self.credits,
        }
    }

    /// Why half a transfer can't be applied to this balance of an account with these flags.
    #[inline]
    pub fn refuse(&self, flags: u16, half: Half) -> Option<TransferCode> {
        use TransferCode as C;
        let (own, other, limit, codes) = match half.side {
            Side::Debit => (
                self.debits,
                self.credits.posted,
                AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS,
                [
                    C::DebitAccountAlreadyClosed,
                    C::OverflowsDebitsPending,
                    C::OverflowsDebitsPosted,
                    C::OverflowsDebits,
                    C::ExceedsCredits,
                ],
            ),
            Side::Credit => (
                self.credits,
                self.debits.posted,
                AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS,
                [
                    C::CreditAccountAlreadyClosed,
                    C::OverflowsCreditsPending,
                    C::OverflowsCreditsPosted,
                    C::OverflowsCredits,
                    C::ExceedsDebits,
                ],
            ),
        };
        if flags & AccountFlags::CLOSED != 0 {
            return Some(codes[0]);
        }
        let Some(total) = own.total().checked_add(half.amount) else {
            let overflows = |sum: u128| sum.checked_add(half.amount).is_none();
            return Some(match (half.pending && overflows(own.pending), overflows(own.posted)) {
                (true, _) => codes[1],
                (false, true) => codes[2],
                (false, false) => codes[3],
            });
        };
        (flags & limit != 0 && total > other).then_some(codes[4])
    }

    /// The most that a balancing transfer can move from (debit) or to (credit) the account.
    pub fn available(&self, side: Side) -> u128 {
        let (own, other) = match side {
            Side::Debit => (self.debits, self.credits.posted),
            Side::Credit => (self.credits, self.debits.posted),
        };
        other.saturating_sub(own.total())
    }

    /// Adds a half that was not refused.
    #[inline]
    pub fn add(&mut self, half: Half) {
        let sums = self.side_mut(half.side);
        let sum = if half.pending { &mut sums.pending } else { &mut sums.posted };
        *sum = sum.checked_add(half.amount).expect("a half that overflows was refused");
    }

    /// Takes a half back that was added.
    #[inline]
    pub fn take_back(&mut self, half: Half) {
        let sums = self.side_mut(half.side);
        let sum = if half.pending { &mut sums.pending } else { &mut sums.posted };
        *sum = sum.checked_sub(half.amount).expect("only what was added is taken back");
    }

    /// Ends the reservation of a pending transfer's half, and posts some of it.
    pub fn resolve(&mut self, side: Side, reserved: u128, posted: u128) {
        let sums = self.side_mut(side);
        sums.pending = sums.pending.checked_sub(reserved).expect("a pending transfer is resolved once");
        sums.posted += posted;
    }
}
