//! Tests of the reference model: the precedence of the codes, one by one.

use crate::model_tests::{
    ABROAD, AccountStep, BANK, BORROWER, CLOSED, CLOSED_TOO, CREATED_ID, DUE_ID, EXPIRED_ID, FRESH_ID,
    NO_ONE, NOBODY, NOW, ON_CLOSED_ID, POSTED_ID, REFUSED_ID, SAVER, SHOP, TransferStep, VOIDED_ID, ledger,
    post,
};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};

/// Each step: the answer that is expected, then what is repaired before the next one.
const ACCOUNT_WALK: [AccountStep; 20] = {
    use AccountCode::*;
    [
        (TimestampMustBeZero, |a| a.timestamp = 0),
        (ReservedField, |a| a.reserved = 0),
        (ReservedFlag, |a| a.flags = AccountFlags::KNOWN),
        (FlagNotSupportedYet, |a| a.flags = AccountFlags::LIMITS),
        (IdMustNotBeZero, |a| a.id = u128::MAX),
        (IdMustNotBeIntMax, |a| a.id = BANK),
        (ExistsWithDifferentFlags, |a| a.flags = 0),
        (ExistsWithDifferentUserData128, |a| a.user_data_128 = 1),
        (ExistsWithDifferentUserData64, |a| a.user_data_64 = 2),
        (ExistsWithDifferentUserData32, |a| a.user_data_32 = 3),
        (ExistsWithDifferentLedger, |a| a.ledger = 1),
        (ExistsWithDifferentCode, |a| a.code = 7),
        (Exists, |a| {
            (a.id, a.flags, a.ledger, a.code) = (NOBODY, AccountFlags::LIMITS, 0, 0);
        }),
        (FlagsAreMutuallyExclusive, |a| a.flags = 0),
        (DebitsPendingMustBeZero, |a| a.debits_pending = 0),
        (DebitsPostedMustBeZero, |a| a.debits_posted = 0),
        (CreditsPendingMustBeZero, |a| a.credits_pending = 0),
        (CreditsPostedMustBeZero, |a| a.credits_posted = 0),
        (LedgerMustNotBeZero, |a| a.ledger = 1),
        (CodeMustNotBeZero, |a| a.code = 1),
    ]
};

#[test]
fn account_codes_take_precedence_in_order() {
    let mut event = Account {
        id: 0,
        debits_pending: 1,
        debits_posted: 1,
        credits_pending: 1,
        credits_posted: 1,
        reserved: 1,
        flags: u16::MAX,
        timestamp: 1,
        ..Account::default()
    };
    for (code, repair) in ACCOUNT_WALK {
        assert_eq!(ledger().create_accounts(NOW, &[event]), [Some(code)]);
        repair(&mut event);
    }
    assert_eq!(ledger().create_accounts(NOW, &[event]), [None]);
}

/// Each step: the answer that is expected, then what is repaired before the next one. When the id turns from a
/// consumed one to a fresh one, the faults that had to go for the comparison come back.
const TRANSFER_WALK: [TransferStep; 43] = {
    use TransferCode::*;
    [
        (TimestampMustBeZero, |t| t.timestamp = 0),
        (ReservedFlag, |t| t.flags = TransferFlags::KNOWN),
        (FlagNotSupportedYet, |t| t.flags ^= TransferFlags::IMPORTED),
        (IdMustNotBeZero, |t| t.id = u128::MAX),
        (IdMustNotBeIntMax, |t| t.id = CREATED_ID),
        (ExistsWithDifferentFlags, |t| t.flags = 0),
        (ExistsWithDifferentPendingId, |t| t.pending_id = 0),
        (ExistsWithDifferentTimeout, |t| t.timeout = 0),
        (ExistsWithDifferentDebitAccountId, |t| t.debit_account_id = BANK),
        (ExistsWithDifferentCreditAccountId, |t| t.credit_account_id = SHOP),
        (ExistsWithDifferentAmount, |t| t.amount = 10),
        (ExistsWithDifferentUserData128, |t| t.user_data_128 = 1),
        (ExistsWithDifferentUserData64, |t| t.user_data_64 = 2),
        (ExistsWithDifferentUserData32, |t| t.user_data_32 = 3),
        (ExistsWithDifferentLedger, |t| t.ledger = 1),
        (ExistsWithDifferentCode, |t| t.code = 7),
        (Exists, |t| {
            *t = Transfer {
                id: REFUSED_ID,
                amount: u128::MAX,
                pending_id: 1,
                timeout: 1,
                flags: TransferFlags::CLOSING_CREDIT,
                ..Transfer::default()
            };
        }),
        (IdAlreadyFailed, |t| t.id = FRESH_ID),
        (DebitAccountIdMustNotBeZero, |t| t.debit_account_id = u128::MAX),
        (DebitAccountIdMustNotBeIntMax, |t| t.debit_account_id = NOBODY),
        (CreditAccountIdMustNotBeZero, |t| t.credit_account_id = u128::MAX),
        (CreditAccountIdMustNotBeIntMax, |t| t.credit_account_id = NOBODY),
        (AccountsMustBeDifferent, |t| t.credit_account_id = NO_ONE),
        (PendingIdMustBeZero, |t| t.pending_id = 0),
        (TimeoutReservedForPendingTransfer, |t| t.timeout = 0),
        (ClosingTransferMustBePending, |t| {
            (t.flags, t.timeout) = (TransferFlags::PENDING, 1);
        }),
        (LedgerMustNotBeZero, |t| t.ledger = 3),
        (CodeMustNotBeZero, |t| t.code = 1),
        (DebitAccountNotFound, |t| t.debit_account_id = CLOSED),
        (CreditAccountNotFound, |t| t.credit_account_id = ABROAD),
        (AccountsMustHaveTheSameLedger, |t| {
            t.credit_account_id = CLOSED_TOO;
        }),
        (TransferMustHaveTheSameLedgerAsAccounts, |t| t.ledger = 1),
        (DebitAccountAlreadyClosed, |t| t.debit_account_id = SAVER),
        (CreditAccountAlreadyClosed, |t| t.credit_account_id = BORROWER),
        (OverflowsDebitsPending, |t| t.amount = u128::MAX - 10),
        (OverflowsCreditsPending, |t| t.amount = u128::MAX - 20),
        (OverflowsDebitsPosted, |t| t.amount = u128::MAX - 25),
        (OverflowsCreditsPosted, |t| t.amount = u128::MAX - 30),
        (OverflowsDebits, |t| t.amount = u128::MAX - 35),
        (OverflowsCredits, |t| t.amount = u128::MAX - 50),
        (OverflowsTimeout, |t| t.timeout = 0),
        (ExceedsCredits, |t| t.amount = 3),
        (ExceedsDebits, |t| t.amount = 0),
    ]
};

#[test]
fn transfer_codes_take_precedence_in_order() {
    let mut event = Transfer {
        id: 0,
        amount: u128::MAX,
        pending_id: 1,
        timeout: 1,
        flags: u16::MAX,
        timestamp: 1,
        ..Transfer::default()
    };
    for (code, repair) in TRANSFER_WALK {
        assert_eq!(ledger().create_transfers(NOW, &[event]), [Some(code)]);
        repair(&mut event);
    }
    assert_eq!(ledger().create_transfers(NOW, &[event]), [None]);
}

/// As [`TRANSFER_WALK`], for what only posts and voids are refused for.
const RESOLVING_WALK: [TransferStep; 24] = {
    use TransferCode::*;
    [
        (ExistsWithDifferentFlags, |t| t.flags = TransferFlags::POST_PENDING_TRANSFER),
        (ExistsWithDifferentPendingId, |t| t.pending_id = POSTED_ID),
        (ExistsWithDifferentTimeout, |t| t.timeout = 0),
        (ExistsWithDifferentDebitAccountId, |t| t.debit_account_id = 0),
        (ExistsWithDifferentCreditAccountId, |t| t.credit_account_id = 0),
        (ExistsWithDifferentAmount, |t| t.amount = u128::MAX),
        (ExistsWithDifferentLedger, |t| t.ledger = 0),
        (ExistsWithDifferentCode, |t| t.code = 0),
        (Exists, |t| {
            *t = Transfer {
                id: REFUSED_ID,
                debit_account_id: u128::MAX,
                credit_account_id: u128::MAX,
                amount: 11,
                timeout: 1,
                ledger: 3,
                code: 3,
                flags: TransferFlags::PENDING | TransferFlags::VOID_PENDING_TRANSFER,
                ..Transfer::default()
            };
        }),
        (IdAlreadyFailed, |t| t.id = FRESH_ID),
        (FlagsAreMutuallyExclusive, |t| t.flags = TransferFlags::VOID_PENDING_TRANSFER),
        (PendingIdMustNotBeZero, |t| t.pending_id = u128::MAX),
        (PendingIdMustNotBeIntMax, |t| t.pending_id = FRESH_ID),
        (PendingIdMustBeDifferent, |t| t.pending_id = NOBODY),
        (TimeoutReservedForPendingTransfer, |t| t.timeout = 0),
        (PendingTransferNotFound, |t| t.pending_id = CREATED_ID),
        (PendingTransferNotPending, |t| t.pending_id = DUE_ID),
        (PendingTransferExpired, |t| t.pending_id = ON_CLOSED_ID),
        (PendingTransferHasDifferentDebitAccountId, |t| t.debit_account_id = CLOSED),
        (PendingTransferHasDifferentCreditAccountId, |t| {
            t.credit_account_id = CLOSED_TOO;
        }),
        (PendingTransferHasDifferentLedger, |t| t.ledger = 1),
        (PendingTransferHasDifferentCode, |t| t.code = 7),
        (ExceedsPendingTransferAmount, |t| t.amount = 9),
        (PendingTransferHasDifferentAmount, |t| t.amount = 10),
    ]
};

#[test]
fn post_and_void_codes_take_precedence_in_order() {
    // The id is that of the fixture's post.
    let mut event = Transfer {
        id: 28,
        debit_account_id: u128::MAX,
        credit_account_id: u128::MAX,
        timeout: 1,
        ledger: 3,
        code: 3,
        flags: TransferFlags::PENDING | TransferFlags::VOID_PENDING_TRANSFER,
        ..Transfer::default()
    };
    for (code, repair) in RESOLVING_WALK {
        assert_eq!(ledger().create_transfers(NOW, &[event]), [Some(code)]);
        repair(&mut event);
    }
    assert_eq!(
        ledger().create_transfers(NOW, &[event]),
        [None],
        "a void doesn't mind that accounts are closed"
    );

    // A post minds, but only after all else.
    (event.flags, event.amount) = (TransferFlags::POST_PENDING_TRANSFER, 11);
    let exceeds = Some(TransferCode::ExceedsPendingTransferAmount);
    assert_eq!(ledger().create_transfers(NOW, &[event]), [exceeds]);
    event.amount = 10;
    let closed = Some(TransferCode::DebitAccountAlreadyClosed);
    assert_eq!(ledger().create_transfers(NOW, &[event]), [closed]);
}

#[test]
fn what_has_ended_a_pending_transfer_takes_precedence_over_how_a_post_differs() {
    use TransferCode::*;
    let ends = [
        (POSTED_ID, PendingTransferAlreadyPosted),
        (VOIDED_ID, PendingTransferAlreadyVoided),
        (EXPIRED_ID, PendingTransferExpired),
        (DUE_ID, PendingTransferExpired),
    ];
    for (pending_id, code) in ends {
        let event = Transfer { debit_account_id: SAVER, ..post(FRESH_ID, pending_id) };
        assert_eq!(ledger().create_transfers(NOW, &[event]), [Some(code)]);
    }
}
