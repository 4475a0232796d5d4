//! Tests of the reference model: one minimal case per code, and the precedence of the codes one by one.

use crate::model::{Model, Outcome};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};

const BANK: u128 = 1;
const SHOP: u128 = 2;
/// On ledger 2; all others are on ledger 1.
const ABROAD: u128 = 3;
/// Debits must not exceed credits: 5 of 8.
const SAVER: u128 = 4;
/// Credits must not exceed debits: 10 of 10.
const BORROWER: u128 = 5;
/// Has debits of 2^128 - 6.
const DEBITS_FULL: u128 = 6;
/// Has credits of 2^128 - 6.
const CREDITS_FULL: u128 = 7;
const NOBODY: u128 = 98;
const NO_ONE: u128 = 99;

const CREATED_ID: u128 = 100;
const REFUSED_ID: u128 = 101;
const FRESH_ID: u128 = 102;

type AccountStep = (AccountCode, fn(&mut Account));
type TransferStep = (TransferCode, fn(&mut Transfer));

fn account(id: u128, flags: u16) -> Account {
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

fn transfer(id: u128, debit_account_id: u128, credit_account_id: u128, amount: u128) -> Transfer {
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

/// A ledger in which every code is one event away.
fn ledger() -> Model {
    let mut model = Model::default();
    let accounts = [
        account(BANK, 0),
        account(SHOP, 0),
        account(ABROAD, 0),
        account(SAVER, AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS),
        account(BORROWER, AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS),
        account(DEBITS_FULL, 0),
        account(CREDITS_FULL, 0),
    ];
    assert_eq!(model.create_accounts(1, &accounts), [None; 7]);
    let transfers = [
        transfer(CREATED_ID, BANK, SHOP, 10),
        transfer(20, BANK, SAVER, 8),
        transfer(21, SAVER, BANK, 5),
        transfer(22, BORROWER, BANK, 10),
        transfer(23, BANK, BORROWER, 10),
        transfer(24, DEBITS_FULL, CREDITS_FULL, u128::MAX - 5),
    ];
    assert_eq!(model.create_transfers(8, &transfers), [None; 6]);
    let refused = model.create_transfers(14, &[transfer(REFUSED_ID, BANK, NOBODY, 1)]);
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
        (FlagNotSupportedYet, |a| a.flags = AccountFlags::HISTORY),
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
    for code in AccountCode::ALL {
        let covered = ACCOUNT_CASES.iter().any(|(case, _)| case == code);
        // Chains come with a later version.
        let absent = matches!(code, LinkedEventFailed | LinkedEventChainOpen);
        assert_eq!(covered, !absent, "{code}");
    }
    for (code, spoil) in ACCOUNT_CASES {
        let mut model = ledger();
        let mut event = account(NOBODY, 0);
        spoil(&mut event);
        assert_eq!(model.create_accounts(20, &[event]), [Some(code)]);
        assert_eq!(model, ledger(), "{code}: a refused account leaves no trace");
    }
}

/// The code that is expected, and how a good transfer with a fresh id is spoilt for it; in the order of precedence.
const TRANSFER_CASES: [TransferStep; 34] = {
    use TransferCode::*;
    [
        (TimestampMustBeZero, |t| t.timestamp = 1),
        (ReservedFlag, |t| t.flags = 1 << 9),
        (FlagNotSupportedYet, |t| t.flags = TransferFlags::PENDING),
        (IdMustNotBeZero, |t| t.id = 0),
        (IdMustNotBeIntMax, |t| t.id = u128::MAX),
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
        (DebitAccountIdMustNotBeZero, |t| t.debit_account_id = 0),
        (DebitAccountIdMustNotBeIntMax, |t| t.debit_account_id = u128::MAX),
        (CreditAccountIdMustNotBeZero, |t| t.credit_account_id = 0),
        (CreditAccountIdMustNotBeIntMax, |t| {
            t.credit_account_id = u128::MAX;
        }),
        (AccountsMustBeDifferent, |t| t.credit_account_id = BANK),
        (PendingIdMustBeZero, |t| t.pending_id = 1),
        (TimeoutReservedForPendingTransfer, |t| t.timeout = 1),
        (LedgerMustNotBeZero, |t| t.ledger = 0),
        (CodeMustNotBeZero, |t| t.code = 0),
        (DebitAccountNotFound, |t| t.debit_account_id = NOBODY),
        (CreditAccountNotFound, |t| t.credit_account_id = NOBODY),
        (AccountsMustHaveTheSameLedger, |t| t.credit_account_id = ABROAD),
        (TransferMustHaveTheSameLedgerAsAccounts, |t| t.ledger = 2),
        (OverflowsDebitsPosted, |t| {
            (t.debit_account_id, t.amount) = (DEBITS_FULL, 6);
        }),
        (OverflowsCreditsPosted, |t| {
            (t.credit_account_id, t.amount) = (CREDITS_FULL, 6);
        }),
        (ExceedsCredits, |t| (t.debit_account_id, t.amount) = (SAVER, 4)),
        (ExceedsDebits, |t| {
            (t.credit_account_id, t.amount) = (BORROWER, 1);
        }),
    ]
};

#[test]
fn each_transfer_code_has_a_minimal_case() {
    use TransferCode::*;
    for code in TransferCode::ALL {
        let covered = TRANSFER_CASES.iter().any(|(case, _)| case == code);
        // Chains come with a later version, and so do flags that could be stored and differ.
        let absent = matches!(code, LinkedEventFailed | LinkedEventChainOpen | ExistsWithDifferentFlags);
        assert_eq!(covered, !absent, "{code}");
    }
    // The table is in the order of precedence: from here on the id is consumed.
    let consuming = TRANSFER_CASES.iter().position(|(code, _)| *code == DebitAccountNotFound);
    for (index, (code, spoil)) in TRANSFER_CASES.into_iter().enumerate() {
        let mut model = ledger();
        let mut event = transfer(FRESH_ID, BANK, SHOP, 10);
        spoil(&mut event);
        assert_eq!(model.create_transfers(20, &[event]), [Some(code)]);
        assert_eq!(model.accounts(), ledger().accounts(), "{code}: no balance changes");
        let outcome = (Some(index) >= consuming).then_some(&Outcome::Refused);
        assert_eq!(model.ids().get(&FRESH_ID), outcome, "{code}: whether the id is consumed");
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
    assert_eq!(model.create_transfers(20, &events), [None; 4]);
    let expected = Transfer { timestamp: 21, ..events[1] };
    assert_eq!(model.transfer(FRESH_ID + 1), Some(&expected));
    assert_eq!(model.transfer(REFUSED_ID), None);
    assert_eq!(model.accounts()[&SAVER].debits_posted, 8);
    assert_eq!(model.accounts()[&SHOP].credits_posted, 13);
    assert_eq!(model.accounts()[&DEBITS_FULL].debits_posted, u128::MAX);
    assert_eq!(model.accounts()[&SHOP].timestamp, 2);
    let (debits, credits) = model.accounts().values().fold((0u128, 0u128), |sums, a| {
        (sums.0.wrapping_add(a.debits_posted), sums.1.wrapping_add(a.credits_posted))
    });
    assert_eq!(debits, credits);
}

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
        assert_eq!(ledger().create_accounts(20, &[event]), [Some(code)]);
        repair(&mut event);
    }
    assert_eq!(ledger().create_accounts(20, &[event]), [None]);
}

/// Each step: the answer that is expected, then what is repaired before the next one. When the id turns from a
/// consumed one to a fresh one, the faults that had to go for the comparison come back.
const TRANSFER_WALK: [TransferStep; 34] = {
    use TransferCode::*;
    [
        (TimestampMustBeZero, |t| t.timestamp = 0),
        (ReservedFlag, |t| t.flags = TransferFlags::KNOWN),
        (FlagNotSupportedYet, |t| t.flags = 0),
        (IdMustNotBeZero, |t| t.id = u128::MAX),
        (IdMustNotBeIntMax, |t| t.id = CREATED_ID),
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
        (LedgerMustNotBeZero, |t| t.ledger = 3),
        (CodeMustNotBeZero, |t| t.code = 1),
        (DebitAccountNotFound, |t| t.debit_account_id = SAVER),
        (CreditAccountNotFound, |t| t.credit_account_id = ABROAD),
        (AccountsMustHaveTheSameLedger, |t| t.credit_account_id = BORROWER),
        (TransferMustHaveTheSameLedgerAsAccounts, |t| t.ledger = 1),
        (OverflowsDebitsPosted, |t| t.amount = u128::MAX - 5),
        (OverflowsCreditsPosted, |t| t.amount = u128::MAX - 10),
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
        assert_eq!(ledger().create_transfers(20, &[event]), [Some(code)]);
        repair(&mut event);
    }
    assert_eq!(ledger().create_transfers(20, &[event]), [None]);
}
