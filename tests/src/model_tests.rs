//! Tests of the reference model: a ledger in which every code is one event away, and one minimal case per code.

use crate::model::{Model, Outcome, Status};
use crate::model_terms_tests::TERMS_CODES;
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};

pub(crate) const BANK: u128 = 1;
pub(crate) const SHOP: u128 = 2;
/// On ledger 2; all others are on ledger 1.
pub(crate) const ABROAD: u128 = 3;
/// Debits must not exceed credits: 10 pending and 25 posted of 38.
pub(crate) const SAVER: u128 = 4;
/// Credits must not exceed debits: 20 pending and 30 posted of 50.
pub(crate) const BORROWER: u128 = 5;
/// Has posted debits of 2^128 - 6.
pub(crate) const DEBITS_FULL: u128 = 6;
/// Has posted credits of 2^128 - 6.
pub(crate) const CREDITS_FULL: u128 = 7;
/// Has pending debits of 2^128 - 6.
pub(crate) const DEBITS_HELD: u128 = 8;
/// Has pending credits of 2^128 - 6.
pub(crate) const CREDITS_HELD: u128 = 9;
/// Closed, like [`CLOSED_TOO`], by the pending transfer [`CLOSING_ID`].
pub(crate) const CLOSED: u128 = 10;
pub(crate) const CLOSED_TOO: u128 = 11;
pub(crate) const NOBODY: u128 = 98;
pub(crate) const NO_ONE: u128 = 99;

/// A plain transfer of 10 from the bank to the shop.
pub(crate) const CREATED_ID: u128 = 100;
pub(crate) const REFUSED_ID: u128 = 101;
/// Pending transfers of 10 from the bank to the shop, and what became of them. The due one is past its deadline, but
/// no epoch has ended since.
pub(crate) const PENDING_ID: u128 = 102;
pub(crate) const POSTED_ID: u128 = 103;
pub(crate) const VOIDED_ID: u128 = 104;
pub(crate) const EXPIRED_ID: u128 = 105;
pub(crate) const DUE_ID: u128 = 106;
/// Closes two accounts between which [`ON_CLOSED_ID`] is pending; [`ON_CREDIT_CLOSED_ID`] is from the bank to one.
pub(crate) const CLOSING_ID: u128 = 107;
pub(crate) const ON_CLOSED_ID: u128 = 108;
pub(crate) const ON_CREDIT_CLOSED_ID: u128 = 109;
pub(crate) const FRESH_ID: u128 = 200;

pub(crate) const SECOND: u64 = 1_000_000_000;
/// When the tests' events come: less than a second before the end of time.
pub(crate) const NOW: u64 = i64::MAX as u64 - SECOND / 2;

pub(crate) type AccountStep = (AccountCode, fn(&mut Account));
pub(crate) type TransferStep = (TransferCode, fn(&mut Transfer));

pub(crate) fn account(id: u128, flags: u16) -> Account {
    Account {
        id,
        user_data_128: 1,
        user_data_64: 2,
        user_data_32: 3,
        ledger: if id == ABROAD { 2 } else { 1 },
        code: 7,
        flags,
        ..Account::default()
    }
}

pub(crate) fn transfer(id: u128, debit_account_id: u128, credit_account_id: u128, amount: u128) -> Transfer {
    Transfer {
        id,
        debit_account_id,
        credit_account_id,
        amount,
        user_data_128: 1,
        user_data_64: 2,
        user_data_32: 3,
        ledger: 1,
        code: 7,
        ..Transfer::default()
    }
}

pub(crate) fn pending(id: u128, debit_account_id: u128, credit_account_id: u128, amount: u128) -> Transfer {
    Transfer { flags: TransferFlags::PENDING, ..transfer(id, debit_account_id, credit_account_id, amount) }
}

/// Posts all of a pending transfer.
pub(crate) fn post(id: u128, pending_id: u128) -> Transfer {
    let flags = TransferFlags::POST_PENDING_TRANSFER;
    Transfer { id, pending_id, flags, amount: u128::MAX, ..Transfer::default() }
}

pub(crate) fn void(id: u128, pending_id: u128) -> Transfer {
    Transfer { id, pending_id, flags: TransferFlags::VOID_PENDING_TRANSFER, ..Transfer::default() }
}

/// A ledger in which every code is one event away.
pub(crate) fn ledger() -> Model {
    let mut model = Model::default();
    let accounts = [
        account(BANK, 0),
        account(SHOP, 0),
        account(ABROAD, 0),
        account(SAVER, AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS),
        account(BORROWER, AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS),
        account(DEBITS_FULL, 0),
        account(CREDITS_FULL, 0),
        account(DEBITS_HELD, 0),
        account(CREDITS_HELD, 0),
        account(CLOSED, 0),
        account(CLOSED_TOO, 0),
    ];
    assert_eq!(model.create_accounts(1, &accounts), [None; 11]);
    let closing = TransferFlags::CLOSING_DEBIT | TransferFlags::CLOSING_CREDIT;
    let transfers = [
        transfer(CREATED_ID, BANK, SHOP, 10),
        transfer(20, BANK, SAVER, 38),
        transfer(21, SAVER, BANK, 25),
        pending(22, SAVER, BANK, 10),
        transfer(23, BORROWER, BANK, 50),
        transfer(24, BANK, BORROWER, 30),
        pending(25, BANK, BORROWER, 20),
        transfer(26, DEBITS_FULL, CREDITS_FULL, u128::MAX - 5),
        pending(27, DEBITS_HELD, CREDITS_HELD, u128::MAX - 5),
        pending(PENDING_ID, BANK, SHOP, 10),
        pending(POSTED_ID, BANK, SHOP, 10),
        post(28, POSTED_ID),
        pending(VOIDED_ID, BANK, SHOP, 10),
        void(29, VOIDED_ID),
        Transfer { timeout: 1, ..pending(EXPIRED_ID, BANK, SHOP, 10) },
        Transfer { timeout: 2, ..pending(DUE_ID, BANK, SHOP, 10) },
        pending(ON_CLOSED_ID, CLOSED, CLOSED_TOO, 10),
        pending(ON_CREDIT_CLOSED_ID, BANK, CLOSED_TOO, 10),
        Transfer { flags: TransferFlags::PENDING | closing, ..transfer(CLOSING_ID, CLOSED, CLOSED_TOO, 10) },
    ];
    assert_eq!(model.create_transfers(12, &transfers), [None; 19]);
    model.expire(2 * SECOND);
    assert_eq!(model.pendings()[&EXPIRED_ID], Status::Expired);
    let refused = model.create_transfers(2 * SECOND, &[transfer(REFUSED_ID, BANK, NOBODY, 1)]);
    assert_eq!(refused, [Some(TransferCode::CreditAccountNotFound)]);
    model
}

/// The code that is expected, and how a well-formed new account is spoilt for it.
const ACCOUNT_CASES: [AccountStep; 20] = {
    use AccountCode::*;
    [
        (TimestampMustBeZero, |a| a.timestamp = 1),
        (ReservedField, |a| a.reserved = 1),
        (ReservedFlag, |a| a.flags = 1 << 6),
        (FlagNotSupportedYet, |a| a.flags = AccountFlags::IMPORTED),
        (IdMustNotBeZero, |a| a.id = 0),
        (IdMustNotBeIntMax, |a| a.id = u128::MAX),
        (ExistsWithDifferentFlags, |a| {
            *a = account(BANK, AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS);
        }),
        (ExistsWithDifferentUserData128, |a| {
            (a.id, a.user_data_128) = (BANK, 0);
        }),
        (ExistsWithDifferentUserData64, |a| {
            (a.id, a.user_data_64) = (BANK, 0);
        }),
        (ExistsWithDifferentUserData32, |a| {
            (a.id, a.user_data_32) = (BANK, 0);
        }),
        (ExistsWithDifferentLedger, |a| (a.id, a.ledger) = (BANK, 2)),
        (ExistsWithDifferentCode, |a| (a.id, a.code) = (BANK, 8)),
        (Exists, |a| a.id = BANK),
        (FlagsAreMutuallyExclusive, |a| a.flags = AccountFlags::LIMITS),
        (DebitsPendingMustBeZero, |a| a.debits_pending = 1),
        (DebitsPostedMustBeZero, |a| a.debits_posted = 1),
        (CreditsPendingMustBeZero, |a| a.credits_pending = 1),
        (CreditsPostedMustBeZero, |a| a.credits_posted = 1),
        (LedgerMustNotBeZero, |a| a.ledger = 0),
        (CodeMustNotBeZero, |a| a.code = 0),
    ]
};

#[test]
fn each_account_code_has_a_minimal_case() {
    use AccountCode::*;
    for code in AccountCode::ALL.iter().filter(|code| **code != LimitReached) {
        let covered = *code == LinkedEventFailed || ACCOUNT_CASES.iter().any(|(case, _)| case == code);
        // A request whose chain is open is refused as a whole.
        assert_eq!(covered, *code != LinkedEventChainOpen, "{code}");
    }
    for (code, spoil) in ACCOUNT_CASES {
        let mut model = ledger();
        let mut event = account(NOBODY, 0);
        spoil(&mut event);
        assert_eq!(model.create_accounts(NOW, &[event]), [Some(code)]);
        assert_eq!(model, ledger(), "{code}: a refused account leaves no trace");

        let before = account(NO_ONE, AccountFlags::LINKED);
        assert_eq!(model.create_accounts(NOW, &[before, event]), [Some(LinkedEventFailed), Some(code)]);
        assert_eq!(model, ledger(), "{code}: nor does its chain");
    }
}

/// The code that is expected, and how a good transfer with a fresh id is spoilt for it; in the order of precedence
/// among plain and pending transfers, and among posts and voids.
const TRANSFER_CASES: [TransferStep; 64] = {
    use TransferCode::*;
    [
        (TimestampMustBeZero, |t| t.timestamp = 1),
        (ReservedFlag, |t| t.flags = 1 << 9),
        (FlagNotSupportedYet, |t| t.flags = TransferFlags::IMPORTED),
        (IdMustNotBeZero, |t| t.id = 0),
        (IdMustNotBeIntMax, |t| t.id = u128::MAX),
        (ExistsWithDifferentFlags, |t| {
            (t.id, t.flags) = (CREATED_ID, TransferFlags::PENDING);
        }),
        (ExistsWithDifferentPendingId, |t| {
            (t.id, t.pending_id) = (CREATED_ID, 1);
        }),
        (ExistsWithDifferentTimeout, |t| {
            (t.id, t.timeout) = (CREATED_ID, 1);
        }),
        (ExistsWithDifferentDebitAccountId, |t| {
            (t.id, t.debit_account_id) = (CREATED_ID, NOBODY);
        }),
        (ExistsWithDifferentCreditAccountId, |t| {
            (t.id, t.credit_account_id) = (CREATED_ID, NOBODY);
        }),
        (ExistsWithDifferentAmount, |t| (t.id, t.amount) = (CREATED_ID, 11)),
        (ExistsWithDifferentUserData128, |t| {
            (t.id, t.user_data_128) = (CREATED_ID, 0);
        }),
        (ExistsWithDifferentUserData64, |t| {
            (t.id, t.user_data_64) = (CREATED_ID, 0);
        }),
        (ExistsWithDifferentUserData32, |t| {
            (t.id, t.user_data_32) = (CREATED_ID, 0);
        }),
        (ExistsWithDifferentLedger, |t| (t.id, t.ledger) = (CREATED_ID, 2)),
        (ExistsWithDifferentCode, |t| (t.id, t.code) = (CREATED_ID, 0)),
        (Exists, |t| t.id = CREATED_ID),
        (IdAlreadyFailed, |t| t.id = REFUSED_ID),
        (FlagsAreMutuallyExclusive, |t| {
            t.flags = TransferFlags::PENDING | TransferFlags::POST_PENDING_TRANSFER;
        }),
        (PendingIdMustNotBeZero, |t| *t = post(FRESH_ID, 0)),
        (PendingIdMustNotBeIntMax, |t| *t = void(FRESH_ID, u128::MAX)),
        (PendingIdMustBeDifferent, |t| *t = post(FRESH_ID, FRESH_ID)),
        (TimeoutReservedForPendingTransfer, |t| {
            *t = Transfer { timeout: 1, ..void(FRESH_ID, PENDING_ID) };
        }),
        (DebitAccountIdMustNotBeZero, |t| t.debit_account_id = 0),
        (DebitAccountIdMustNotBeIntMax, |t| t.debit_account_id = u128::MAX),
        (CreditAccountIdMustNotBeZero, |t| t.credit_account_id = 0),
        (CreditAccountIdMustNotBeIntMax, |t| {
            t.credit_account_id = u128::MAX;
        }),
        (AccountsMustBeDifferent, |t| t.credit_account_id = BANK),
        (PendingIdMustBeZero, |t| t.pending_id = 1),
        (TimeoutReservedForPendingTransfer, |t| t.timeout = 1),
        (ClosingTransferMustBePending, |t| t.flags = TransferFlags::CLOSING_DEBIT),
        (LedgerMustNotBeZero, |t| t.ledger = 0),
        (CodeMustNotBeZero, |t| t.code = 0),
        (DebitAccountNotFound, |t| t.debit_account_id = NOBODY),
        (CreditAccountNotFound, |t| t.credit_account_id = NOBODY),
        (AccountsMustHaveTheSameLedger, |t| t.credit_account_id = ABROAD),
        (TransferMustHaveTheSameLedgerAsAccounts, |t| t.ledger = 2),
        (DebitAccountAlreadyClosed, |t| t.debit_account_id = CLOSED),
        (CreditAccountAlreadyClosed, |t| t.credit_account_id = CLOSED_TOO),
        (OverflowsDebitsPending, |t| *t = pending(FRESH_ID, DEBITS_HELD, SHOP, 6)),
        (OverflowsCreditsPending, |t| *t = pending(FRESH_ID, BANK, CREDITS_HELD, 6)),
        (OverflowsDebitsPosted, |t| {
            (t.debit_account_id, t.amount) = (DEBITS_FULL, 6);
        }),
        (OverflowsCreditsPosted, |t| {
            (t.credit_account_id, t.amount) = (CREDITS_FULL, 6);
        }),
        (OverflowsDebits, |t| (t.debit_account_id, t.amount) = (DEBITS_HELD, 6)),
        (OverflowsCredits, |t| {
            (t.credit_account_id, t.amount) = (CREDITS_HELD, 6);
        }),
        (OverflowsTimeout, |t| {
            (t.flags, t.timeout) = (TransferFlags::PENDING, 1);
        }),
        (ExceedsCredits, |t| (t.debit_account_id, t.amount) = (SAVER, 4)),
        (ExceedsDebits, |t| {
            (t.credit_account_id, t.amount) = (BORROWER, 1);
        }),
        (PendingTransferNotFound, |t| *t = post(FRESH_ID, REFUSED_ID)),
        (PendingTransferNotPending, |t| *t = void(FRESH_ID, CREATED_ID)),
        (PendingTransferAlreadyPosted, |t| *t = post(FRESH_ID, POSTED_ID)),
        (PendingTransferAlreadyVoided, |t| *t = void(FRESH_ID, VOIDED_ID)),
        (PendingTransferExpired, |t| *t = post(FRESH_ID, EXPIRED_ID)),
        (PendingTransferExpired, |t| *t = void(FRESH_ID, DUE_ID)),
        (PendingTransferHasDifferentDebitAccountId, |t| {
            *t = Transfer { debit_account_id: SAVER, ..post(FRESH_ID, PENDING_ID) };
        }),
        (PendingTransferHasDifferentCreditAccountId, |t| {
            *t = Transfer { credit_account_id: SAVER, ..void(FRESH_ID, PENDING_ID) };
        }),
        (PendingTransferHasDifferentLedger, |t| {
            *t = Transfer { ledger: 2, ..post(FRESH_ID, PENDING_ID) };
        }),
        (PendingTransferHasDifferentCode, |t| {
            *t = Transfer { code: 8, ..void(FRESH_ID, PENDING_ID) };
        }),
        (ExceedsPendingTransferAmount, |t| {
            *t = Transfer { amount: 11, ..post(FRESH_ID, PENDING_ID) };
        }),
        (ExceedsPendingTransferAmount, |t| {
            *t = Transfer { amount: 11, ..void(FRESH_ID, PENDING_ID) };
        }),
        (PendingTransferHasDifferentAmount, |t| {
            *t = Transfer { amount: 9, ..void(FRESH_ID, PENDING_ID) };
        }),
        (DebitAccountAlreadyClosed, |t| *t = post(FRESH_ID, ON_CLOSED_ID)),
        (DebitAccountAlreadyClosed, |t| *t = post(FRESH_ID, CLOSING_ID)),
        (CreditAccountAlreadyClosed, |t| *t = post(FRESH_ID, ON_CREDIT_CLOSED_ID)),
    ]
};

#[test]
fn each_transfer_code_has_a_minimal_case() {
    use TransferCode::*;
    for code in TransferCode::ALL.iter().filter(|code| !TERMS_CODES.contains(code)) {
        let covered = *code == LinkedEventFailed || TRANSFER_CASES.iter().any(|(case, _)| case == code);
        // A request whose chain is open is refused as a whole.
        assert_eq!(covered, *code != LinkedEventChainOpen, "{code}");
    }
    // From here on in the table the id is consumed.
    let consuming = TRANSFER_CASES.iter().position(|(code, _)| *code == DebitAccountNotFound);
    for (index, (code, spoil)) in TRANSFER_CASES.into_iter().enumerate() {
        let mut model = ledger();
        let mut event = transfer(FRESH_ID, BANK, SHOP, 10);
        spoil(&mut event);
        assert_eq!(model.create_transfers(NOW, &[event]), [Some(code)]);
        assert_eq!(model.accounts(), ledger().accounts(), "{code}: no balance changes");
        assert_eq!(model.pendings(), ledger().pendings(), "{code}: no pending transfer is ended");
        let outcome = (Some(index) >= consuming).then_some(&Outcome::Refused);
        assert_eq!(model.ids().get(&FRESH_ID), outcome, "{code}: whether the id is consumed");

        let mut model = ledger();
        let before = Transfer { flags: TransferFlags::LINKED, ..transfer(FRESH_ID + 1, BANK, SHOP, 10) };
        assert_eq!(model.create_transfers(NOW, &[before, event]), [Some(LinkedEventFailed), Some(code)]);
        assert_eq!(model.accounts(), ledger().accounts(), "{code}: nor in its chain");
    }
}

#[test]
fn a_created_transfer_moves_the_amount_and_keeps_its_timestamp() {
    let mut model = ledger();
    let events = [
        transfer(FRESH_ID, BANK, SHOP, 0),
        transfer(FRESH_ID + 1, SAVER, SHOP, 3),
        transfer(FRESH_ID + 2, BORROWER, DEBITS_FULL, 5),
        transfer(FRESH_ID + 3, DEBITS_FULL, BORROWER, 5),
    ];
    assert_eq!(model.create_transfers(NOW, &events), [None; 4]);
    let expected = Transfer { timestamp: NOW + 1, ..events[1] };
    assert_eq!(model.transfer(FRESH_ID + 1), Some(&expected));
    assert_eq!(model.transfer(REFUSED_ID), None);
    assert_eq!(model.accounts()[&SAVER].debits_posted, 28);
    assert_eq!(model.accounts()[&SHOP].credits_posted, 23);
    assert_eq!(model.accounts()[&DEBITS_FULL].debits_posted, u128::MAX);
    assert_eq!(model.accounts()[&SHOP].timestamp, 2);
    let (debits, credits) = model.accounts().values().fold((0u128, 0u128), |sums, a| {
        (sums.0.wrapping_add(a.debits_posted), sums.1.wrapping_add(a.credits_posted))
    });
    assert_eq!(debits, credits);
}
