//! Tests of the reference model: pending transfers and what ends them, closing, and balancing.

use crate::model::{Model, Status};
use crate::model_tests::{
    BANK, BORROWER, CLOSED, CLOSED_TOO, CLOSING_ID, FRESH_ID, NOW, ON_CLOSED_ID, PENDING_ID, SAVER, SECOND,
    SHOP, account, ledger, pending, post, transfer, void,
};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{AccountCode, Transfer, TransferCode};

/// Pending debits, posted debits, pending credits, posted credits.
fn balances(model: &Model, id: u128) -> [u128; 4] {
    let account = &model.accounts()[&id];
    [account.debits_pending, account.debits_posted, account.credits_pending, account.credits_posted]
}

fn is_closed(model: &Model, id: u128) -> bool {
    model.accounts()[&id].flags & AccountFlags::CLOSED != 0
}

fn with_flags(flags: u16, transfer: Transfer) -> Transfer {
    Transfer { flags: transfer.flags | flags, ..transfer }
}

/// Two accounts without limits that nothing has touched.
fn two_accounts() -> Model {
    let mut model = Model::default();
    assert_eq!(model.create_accounts(1, &[account(BANK, 0), account(SHOP, 0)]), [None; 2]);
    model
}

#[test]
fn a_pending_transfer_reserves_and_moves_nothing() {
    let mut model = two_accounts();
    assert_eq!(model.create_transfers(9, &[pending(1, BANK, SHOP, 7)]), [None]);
    assert_eq!(balances(&model, BANK), [7, 0, 0, 0]);
    assert_eq!(balances(&model, SHOP), [0, 0, 7, 0]);
    assert_eq!(model.pendings()[&1], Status::Pending);
    assert_eq!(model.transfer(1), Some(&Transfer { timestamp: 9, ..pending(1, BANK, SHOP, 7) }));
}

#[test]
fn a_post_moves_its_amount_and_releases_the_rest() {
    for (asked, posted) in [(u128::MAX, 7), (7, 7), (4, 4), (0, 0)] {
        let mut model = two_accounts();
        let event = Transfer { amount: asked, ..post(2, 1) };
        assert_eq!(model.create_transfers(9, &[pending(1, BANK, SHOP, 7), event]), [None; 2]);
        assert_eq!(balances(&model, BANK), [0, posted, 0, 0]);
        assert_eq!(balances(&model, SHOP), [0, 0, 0, posted]);
        assert_eq!(model.pendings()[&1], Status::Posted);
        assert_eq!(model.transfer(2).map(|done| done.amount), Some(posted));
        assert_eq!(model.create_transfers(20, &[event]), [Some(TransferCode::Exists)], "asked again alike");
    }
}

#[test]
fn a_void_releases_everything() {
    for asked in [0, 7] {
        let mut model = two_accounts();
        let event = Transfer { amount: asked, ..void(2, 1) };
        assert_eq!(model.create_transfers(9, &[pending(1, BANK, SHOP, 7), event]), [None; 2]);
        assert_eq!(balances(&model, BANK), [0; 4]);
        assert_eq!(balances(&model, SHOP), [0; 4]);
        assert_eq!(model.pendings()[&1], Status::Voided);
        assert_eq!(model.transfer(2).map(|done| done.amount), Some(7));
    }
}

#[test]
fn a_post_takes_over_the_fields_that_are_zero() {
    let mut model = ledger();
    let bare = post(FRESH_ID, PENDING_ID);
    assert_eq!(model.create_transfers(NOW, &[bare]), [None]);
    let flags = TransferFlags::POST_PENDING_TRANSFER;
    let done =
        Transfer { pending_id: PENDING_ID, flags, timestamp: NOW, ..transfer(FRESH_ID, BANK, SHOP, 10) };
    assert_eq!(model.transfer(FRESH_ID), Some(&done));

    let mut model = ledger();
    let spelled_out = Transfer { timestamp: 0, user_data_64: 40, ..done };
    assert_eq!(model.create_transfers(NOW, &[spelled_out]), [None], "user data may differ");
    assert_eq!(model.transfer(FRESH_ID), Some(&Transfer { timestamp: NOW, ..spelled_out }));
    let code = Some(TransferCode::ExistsWithDifferentDebitAccountId);
    assert_eq!(model.create_transfers(NOW, &[bare]), [code], "compared is what was asked");
}

#[test]
fn a_pending_transfer_ends_once() {
    use TransferCode::*;
    let events = [void(FRESH_ID, PENDING_ID), post(FRESH_ID + 1, PENDING_ID), void(FRESH_ID + 2, PENDING_ID)];
    let codes = ledger().create_transfers(NOW, &events);
    assert_eq!(codes, [None, Some(PendingTransferAlreadyVoided), Some(PendingTransferAlreadyVoided)]);
    let events = [post(FRESH_ID, PENDING_ID), post(FRESH_ID + 1, PENDING_ID), void(FRESH_ID + 2, PENDING_ID)];
    let codes = ledger().create_transfers(NOW, &events);
    assert_eq!(codes, [None, Some(PendingTransferAlreadyPosted), Some(PendingTransferAlreadyPosted)]);
    let events = [void(FRESH_ID, PENDING_ID), post(FRESH_ID + 1, FRESH_ID)];
    assert_eq!(ledger().create_transfers(NOW, &events), [None, Some(PendingTransferNotPending)]);
}

#[test]
fn what_is_reserved_counts_against_a_limit_until_it_is_released() {
    // 3 are left of the saver's 38 credits.
    let mut model = ledger();
    let events = [
        pending(FRESH_ID, SAVER, SHOP, 3),
        transfer(FRESH_ID + 1, SAVER, SHOP, 1),
        Transfer { amount: 2, ..post(FRESH_ID + 2, FRESH_ID) },
        transfer(FRESH_ID + 3, SAVER, SHOP, 1),
        pending(FRESH_ID + 4, SAVER, SHOP, 1),
    ];
    let exceeds = Some(TransferCode::ExceedsCredits);
    assert_eq!(model.create_transfers(NOW, &events), [None, exceeds, None, None, exceeds]);
    assert_eq!(model.create_transfers(NOW, &[pending(FRESH_ID + 5, BANK, SAVER, 9)]), [None]);
    let code = model.create_transfers(NOW, &[transfer(FRESH_ID + 6, SAVER, SHOP, 1)]);
    assert_eq!(code, [exceeds], "what is reserved for an account is not there to spend");
    assert_eq!(model.create_transfers(NOW, &[void(FRESH_ID + 7, 22)]), [None]);
    assert_eq!(model.create_transfers(NOW, &[transfer(FRESH_ID + 8, SAVER, SHOP, 10)]), [None]);
}

#[test]
fn a_deadline_ends_what_can_be_done_at_once_and_what_is_reserved_with_the_epoch() {
    let mut model = two_accounts();
    let event = Transfer { timeout: 2, ..pending(1, BANK, SHOP, 7) };
    assert_eq!(model.create_transfers(9, &[event]), [None]);
    let deadline = 9 + 2 * SECOND;
    let expired = Some(TransferCode::PendingTransferExpired);
    assert_eq!(model.create_transfers(deadline, &[post(2, 1)]), [expired]);
    assert_eq!(model.create_transfers(deadline, &[void(3, 1)]), [expired]);
    assert_eq!(balances(&model, BANK), [7, 0, 0, 0], "only the end of an epoch releases");
    model.expire(deadline - 1);
    assert_eq!(model.pendings()[&1], Status::Pending);

    let mut on_time = model.clone();
    assert_eq!(on_time.create_transfers(deadline - 1, &[post(4, 1)]), [None]);
    on_time.expire(deadline);
    assert_eq!(on_time.pendings()[&1], Status::Posted, "what has ended doesn't expire");
    assert_eq!(balances(&on_time, BANK), [0, 7, 0, 0]);

    model.expire(deadline);
    assert_eq!(model.pendings()[&1], Status::Expired);
    assert_eq!(balances(&model, BANK), [0; 4]);
    assert_eq!(balances(&model, SHOP), [0; 4]);
    assert_eq!(model.create_transfers(deadline, &[post(5, 1)]), [expired]);
    assert!(model.transfer(1).is_some(), "it stays a created transfer");
}

#[test]
fn without_a_timeout_nothing_expires() {
    let mut model = ledger();
    model.expire(u64::MAX);
    assert_eq!(model.pendings()[&PENDING_ID], Status::Pending);
    assert_eq!(model.create_transfers(NOW, &[post(FRESH_ID, PENDING_ID)]), [None]);
}

#[test]
fn a_closed_account_takes_nothing_but_voids() {
    let mut model = ledger();
    let events = [
        transfer(FRESH_ID, CLOSED, BANK, 0),
        pending(FRESH_ID + 1, BANK, CLOSED_TOO, 1),
        post(FRESH_ID + 2, ON_CLOSED_ID),
        void(FRESH_ID + 3, ON_CLOSED_ID),
    ];
    let debit = Some(TransferCode::DebitAccountAlreadyClosed);
    let credit = Some(TransferCode::CreditAccountAlreadyClosed);
    assert_eq!(model.create_transfers(NOW, &events), [debit, credit, debit, None]);
    assert!(is_closed(&model, CLOSED), "that void is of another pending transfer than the one that closed");
}

#[test]
fn the_void_of_a_closing_transfer_reopens() {
    let mut model = ledger();
    assert!(is_closed(&model, CLOSED) && is_closed(&model, CLOSED_TOO));
    let events = [void(FRESH_ID, CLOSING_ID), post(FRESH_ID + 1, ON_CLOSED_ID)];
    assert_eq!(model.create_transfers(NOW, &events), [None; 2]);
    assert!(!is_closed(&model, CLOSED) && !is_closed(&model, CLOSED_TOO));
}

#[test]
fn the_expiry_of_a_closing_transfer_reopens() {
    for (flag, closes) in [
        (TransferFlags::CLOSING_DEBIT, [true, false]),
        (TransferFlags::CLOSING_CREDIT, [false, true]),
        (TransferFlags::CLOSING_DEBIT | TransferFlags::CLOSING_CREDIT, [true, true]),
    ] {
        let mut model = two_accounts();
        let event = Transfer { timeout: 1, ..with_flags(flag, pending(1, BANK, SHOP, 0)) };
        assert_eq!(model.create_transfers(9, &[event]), [None]);
        assert_eq!([BANK, SHOP].map(|id| is_closed(&model, id)), closes);
        model.expire(8 + SECOND);
        assert_eq!([BANK, SHOP].map(|id| is_closed(&model, id)), closes);
        model.expire(9 + SECOND);
        assert_eq!([BANK, SHOP].map(|id| is_closed(&model, id)), [false, false]);
    }
}

#[test]
fn an_account_can_be_created_closed_and_is_the_same_open_or_closed() {
    let mut model = two_accounts();
    let closed = account(SAVER, AccountFlags::CLOSED);
    assert_eq!(model.create_accounts(9, &[closed]), [None]);
    let code = model.create_transfers(20, &[transfer(1, SAVER, BANK, 1)]);
    assert_eq!(code, [Some(TransferCode::DebitAccountAlreadyClosed)]);
    let again = [closed, account(SAVER, 0), account(BANK, AccountFlags::CLOSED)];
    assert_eq!(model.create_accounts(30, &again), [Some(AccountCode::Exists); 3]);
    assert!(is_closed(&model, SAVER) && !is_closed(&model, BANK));
}

#[test]
fn balancing_moves_at_most_what_there_is() {
    // The saver can give 3, and the borrower can take 5 once it has 5 more debits.
    let cases = [
        (TransferFlags::BALANCING_DEBIT, transfer(FRESH_ID, SAVER, SHOP, 10), 3),
        (TransferFlags::BALANCING_DEBIT, transfer(FRESH_ID, SAVER, SHOP, 2), 2),
        (TransferFlags::BALANCING_DEBIT, pending(FRESH_ID, SAVER, SHOP, u128::MAX), 3),
        (TransferFlags::BALANCING_DEBIT, transfer(FRESH_ID, BORROWER, SHOP, 10), 0),
        (TransferFlags::BALANCING_CREDIT, transfer(FRESH_ID, BANK, BORROWER, 10), 5),
        (TransferFlags::BALANCING_CREDIT, pending(FRESH_ID, BANK, BORROWER, u128::MAX), 5),
        (TransferFlags::BALANCING_CREDIT, transfer(FRESH_ID, BANK, SHOP, 10), 0),
        (
            TransferFlags::BALANCING_DEBIT | TransferFlags::BALANCING_CREDIT,
            transfer(FRESH_ID, SAVER, BORROWER, 10),
            3,
        ),
    ];
    for (flags, event, moved) in cases {
        let mut model = ledger();
        assert_eq!(model.create_transfers(NOW, &[transfer(FRESH_ID + 1, BORROWER, BANK, 5)]), [None]);
        let before = [event.debit_account_id, event.credit_account_id].map(|id| balances(&model, id));
        let event = with_flags(flags, event);
        assert_eq!(model.create_transfers(NOW, &[event]), [None], "{event:?}");
        assert_eq!(model.transfer(FRESH_ID), Some(&Transfer { timestamp: NOW, amount: moved, ..event }));
        let place = usize::from(event.flags & TransferFlags::PENDING == 0);
        assert_eq!(balances(&model, event.debit_account_id)[place], before[0][place] + moved);
        assert_eq!(balances(&model, event.credit_account_id)[place + 2], before[1][place + 2] + moved);
        let again = model.create_transfers(NOW, &[event, Transfer { amount: moved, ..event }]);
        let differs = if moved == event.amount {
            TransferCode::Exists
        } else {
            TransferCode::ExistsWithDifferentAmount
        };
        assert_eq!(again, [Some(TransferCode::Exists), Some(differs)], "compared is what was asked");
    }
}

#[test]
fn a_post_of_a_balancing_transfer_is_measured_by_what_it_reserved() {
    let event = with_flags(TransferFlags::BALANCING_DEBIT, pending(FRESH_ID, SAVER, SHOP, 10));
    let events = [
        event,
        Transfer { amount: 4, ..post(FRESH_ID + 1, FRESH_ID) },
        Transfer { amount: 2, ..void(FRESH_ID + 2, FRESH_ID) },
        Transfer { amount: 3, ..post(FRESH_ID + 3, FRESH_ID) },
    ];
    let exceeds = Some(TransferCode::ExceedsPendingTransferAmount);
    let differs = Some(TransferCode::PendingTransferHasDifferentAmount);
    assert_eq!(ledger().create_transfers(NOW, &events), [None, exceeds, differs, None]);
}

#[test]
fn both_sums_of_an_account_together_fit_128_bits() {
    let (big, rest) = (u128::MAX - 5, 5);
    let cases = [
        (pending(1, BANK, SHOP, big), transfer(2, BANK, SHOP, rest), transfer(3, BANK, SHOP, 1)),
        (transfer(1, BANK, SHOP, big), pending(2, BANK, SHOP, rest), pending(3, BANK, SHOP, 1)),
    ];
    for (first, second, third) in cases {
        let mut model = two_accounts();
        let codes = model.create_transfers(9, &[first, second, third]);
        assert_eq!(codes, [None, None, Some(TransferCode::OverflowsDebits)]);
        let [pending, posted, ..] = balances(&model, BANK);
        assert_eq!(pending.checked_add(posted), Some(u128::MAX));
        let ended = if first.flags == 0 { 2 } else { 1 };
        assert_eq!(model.create_transfers(20, &[post(4, ended)]), [None]);
        assert_eq!(balances(&model, BANK), [0, u128::MAX, 0, 0]);
        assert_eq!(balances(&model, SHOP), [0, 0, 0, u128::MAX]);
    }
}

#[test]
fn a_deadline_may_be_the_last_moment_of_time() {
    let event = Transfer { timeout: 1, ..pending(FRESH_ID, BANK, SHOP, 1) };
    let last = i64::MAX as u64 - SECOND;
    assert_eq!(ledger().create_transfers(last, &[event]), [None]);
    assert_eq!(ledger().create_transfers(last + 1, &[event]), [Some(TransferCode::OverflowsTimeout)]);
}

#[test]
fn a_post_or_void_is_nothing_else_besides() {
    let all = TransferFlags::KNOWN & !TransferFlags::IMPORTED;
    for flag in (0..16).map(|bit| 1 << bit).filter(|flag| flag & all != 0) {
        for event in [post(FRESH_ID, PENDING_ID), void(FRESH_ID, PENDING_ID)] {
            // Linked to nothing, the model takes it for a chain of one.
            let fits = flag == event.flags || flag == TransferFlags::LINKED;
            let code = (!fits).then_some(TransferCode::FlagsAreMutuallyExclusive);
            assert_eq!(ledger().create_transfers(NOW, &[with_flags(flag, event)]), [code], "{flag:#b}");
        }
    }
}
