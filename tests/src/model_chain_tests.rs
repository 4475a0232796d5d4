//! Tests of the reference model: chains, of which all events are created or none.

use crate::model::{Model, Outcome, Status};
use crate::model_tests::{
    BANK, CREATED_ID, FRESH_ID, NO_ONE, NOBODY, NOW, PENDING_ID, REFUSED_ID, SAVER, SHOP, account, ledger,
    pending, post, transfer, void,
};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};

const FAILED: Option<TransferCode> = Some(TransferCode::LinkedEventFailed);

/// The events with all but the last one linked.
fn linked<const N: usize>(mut events: [Transfer; N]) -> [Transfer; N] {
    for event in &mut events[..N - 1] {
        event.flags |= TransferFlags::LINKED;
    }
    events
}

fn linked_accounts<const N: usize>(mut events: [Account; N]) -> [Account; N] {
    for event in &mut events[..N - 1] {
        event.flags |= AccountFlags::LINKED;
    }
    events
}

/// Whether they differ at most in what became of ids.
fn has_balances_of(model: &Model, other: &Model) -> bool {
    (model.accounts(), model.pendings()) == (other.accounts(), other.pendings())
}

fn is_burnt(model: &Model, id: u128) -> bool {
    model.ids().get(&id) == Some(&Outcome::Refused)
}

#[test]
fn a_chain_is_created_as_a_whole() {
    let mut model = ledger();
    let events = linked([
        transfer(FRESH_ID, BANK, SHOP, 1),
        transfer(FRESH_ID + 1, BANK, SHOP, 2),
        pending(FRESH_ID + 2, BANK, SHOP, 3),
    ]);
    assert_eq!(model.create_transfers(NOW, &events), [None; 3]);
    let done = Transfer { timestamp: NOW + 1, ..events[1] };
    assert_eq!(model.transfer(FRESH_ID + 1), Some(&done), "the flag is kept");
    assert_eq!(model.pendings()[&(FRESH_ID + 2)], Status::Pending);
}

#[test]
fn a_chain_fails_as_a_whole_with_the_code_on_the_first_that_fails() {
    let missing = |id| transfer(id, BANK, NOBODY, 1);
    let good = |id| transfer(id, BANK, SHOP, 1);
    let code = Some(TransferCode::CreditAccountNotFound);
    let cases = [
        ([missing(FRESH_ID), good(FRESH_ID + 1), good(FRESH_ID + 2)], [code, FAILED, FAILED]),
        ([good(FRESH_ID), missing(FRESH_ID + 1), good(FRESH_ID + 2)], [FAILED, code, FAILED]),
        ([good(FRESH_ID), good(FRESH_ID + 1), missing(FRESH_ID + 2)], [FAILED, FAILED, code]),
        ([good(FRESH_ID), missing(FRESH_ID + 1), missing(FRESH_ID + 2)], [FAILED, code, FAILED]),
    ];
    for (events, codes) in cases {
        let mut model = ledger();
        assert_eq!(model.create_transfers(NOW, &linked(events)), codes);
        assert!(has_balances_of(&model, &ledger()));
        assert!((FRESH_ID..FRESH_ID + 3).all(|id| is_burnt(&model, id)), "ids are burnt together");
    }
}

#[test]
fn chains_and_events_around_a_failed_chain_stand() {
    let mut model = ledger();
    let link = TransferFlags::LINKED;
    let mut events: [Transfer; 6] = std::array::from_fn(|i| transfer(FRESH_ID + i as u128, BANK, SHOP, 1));
    (events[0].flags, events[2].flags, events[4].flags) = (link, link, link);
    events[3].debit_account_id = NOBODY;
    let code = Some(TransferCode::DebitAccountNotFound);
    assert_eq!(model.create_transfers(NOW, &events), [None, None, FAILED, code, None, None]);
    assert_eq!(model.transfer(FRESH_ID + 5).map(|done| done.timestamp), Some(NOW + 5));
    assert!(!is_burnt(&model, FRESH_ID + 1) && is_burnt(&model, FRESH_ID + 2));
}

#[test]
fn a_member_stands_on_the_members_before_it() {
    // The saver has 3 left.
    let passes_on = linked([
        transfer(FRESH_ID, BANK, SAVER, 7),
        transfer(FRESH_ID + 1, SAVER, SHOP, 10),
        pending(FRESH_ID + 2, BANK, SAVER, 5),
        post(FRESH_ID + 3, FRESH_ID + 2),
        pending(FRESH_ID + 4, SAVER, SHOP, 5),
        void(FRESH_ID + 5, FRESH_ID + 4),
        transfer(FRESH_ID + 6, SAVER, SHOP, 5),
    ]);
    let mut model = ledger();
    assert_eq!(model.create_transfers(NOW, &passes_on), [None; 7]);
    assert_eq!(model.pendings()[&(FRESH_ID + 2)], Status::Posted);

    let takes_too_much =
        linked([transfer(FRESH_ID, BANK, SAVER, 7), transfer(FRESH_ID + 1, SAVER, SHOP, 11)]);
    let mut model = ledger();
    let codes = model.create_transfers(NOW, &takes_too_much);
    assert_eq!(codes, [FAILED, Some(TransferCode::ExceedsCredits)]);
    assert!(has_balances_of(&model, &ledger()));
}

#[test]
fn a_failed_chain_undoes_what_it_did_to_pending_transfers() {
    let mut model = ledger();
    let events = linked([
        post(FRESH_ID, PENDING_ID),
        pending(FRESH_ID + 1, BANK, SHOP, 1),
        transfer(FRESH_ID + 2, BANK, NOBODY, 1),
    ]);
    let code = Some(TransferCode::CreditAccountNotFound);
    assert_eq!(model.create_transfers(NOW, &events), [FAILED, FAILED, code]);
    assert!(has_balances_of(&model, &ledger()));
    let later = [post(FRESH_ID + 3, FRESH_ID + 1), void(FRESH_ID + 4, PENDING_ID)];
    let code = Some(TransferCode::PendingTransferNotFound);
    assert_eq!(model.create_transfers(NOW, &later), [code, None]);
}

#[test]
fn a_failed_chain_reopens_what_it_closed() {
    let mut model = ledger();
    let closing = Transfer {
        flags: TransferFlags::PENDING | TransferFlags::CLOSING_CREDIT,
        ..transfer(FRESH_ID, BANK, SHOP, 1)
    };
    let events = linked([closing, transfer(FRESH_ID + 1, BANK, SHOP, 1)]);
    let code = Some(TransferCode::CreditAccountAlreadyClosed);
    assert_eq!(model.create_transfers(NOW, &events), [FAILED, code]);
    assert!(has_balances_of(&model, &ledger()));
}

#[test]
fn a_malformed_member_fails_its_chain_before_anything_is_looked_at_and_burns_nothing() {
    let malformed = transfer(FRESH_ID + 2, BANK, BANK, 1);
    let code = Some(TransferCode::AccountsMustBeDifferent);
    // The members before it would fail, each for another reason.
    let missing = transfer(FRESH_ID, BANK, NOBODY, 1);
    let burnt = transfer(REFUSED_ID, BANK, SHOP, 1);
    let mut model = ledger();
    let events = linked([missing, burnt, malformed, missing]);
    assert_eq!(model.create_transfers(NOW, &events), [FAILED, FAILED, code, FAILED]);
    assert_eq!(model, ledger());
    let meant = transfer(FRESH_ID, BANK, SHOP, 1);
    assert_eq!(model.create_transfers(NOW, &[meant]), [None]);

    // Its own id is looked up, as that of a malformed single transfer is.
    let again = Transfer { amount: 11, ledger: 0, ..transfer(CREATED_ID, BANK, SHOP, 10) };
    let mut model = ledger();
    let codes = model.create_transfers(NOW, &linked([meant, again]));
    assert_eq!(codes, [FAILED, Some(TransferCode::ExistsWithDifferentAmount)]);
    assert_eq!(model, ledger());

    // Of two malformed ones the first counts.
    let mut model = ledger();
    let other = Transfer { timestamp: 1, ..meant };
    assert_eq!(model.create_transfers(NOW, &linked([meant, malformed, other])), [FAILED, code, FAILED]);
    assert_eq!(model, ledger());
}

#[test]
fn a_duplicate_fails_its_chain_and_burns_the_others() {
    let good = transfer(FRESH_ID, BANK, SHOP, 1);
    let created = transfer(CREATED_ID, BANK, SHOP, 10);
    let cases = [
        (created, Some(TransferCode::Exists)),
        (transfer(REFUSED_ID, BANK, SHOP, 1), Some(TransferCode::IdAlreadyFailed)),
    ];
    for (duplicate, code) in cases {
        let mut model = ledger();
        assert_eq!(model.create_transfers(NOW, &linked([good, duplicate])), [FAILED, code]);
        assert!(has_balances_of(&model, &ledger()));
        assert!(is_burnt(&model, FRESH_ID));
        assert_eq!(model.ids()[&duplicate.id], ledger().ids()[&duplicate.id], "it keeps its outcome");
    }
    // As a member that is linked it differs from the original that was not.
    let code = Some(TransferCode::ExistsWithDifferentFlags);
    assert_eq!(ledger().create_transfers(NOW, &linked([created, good])), [code, FAILED]);
}

#[test]
fn an_id_twice_in_a_chain_fails_it() {
    let good = transfer(FRESH_ID, BANK, SHOP, 1);
    let mut model = ledger();
    let codes = model.create_transfers(NOW, &linked([good, good]));
    assert_eq!(codes, [FAILED, Some(TransferCode::ExistsWithDifferentFlags)]);
    assert!(is_burnt(&model, FRESH_ID));
    assert!(has_balances_of(&model, &ledger()));
    let codes = ledger().create_transfers(NOW, &linked([good, good, good]));
    assert_eq!(codes, [FAILED, Some(TransferCode::Exists), FAILED]);
}

#[test]
fn members_that_come_again_singly() {
    let events = linked([transfer(FRESH_ID, BANK, SHOP, 1), transfer(FRESH_ID + 1, BANK, SHOP, 1)]);
    let singly = |id| transfer(id, BANK, SHOP, 1);
    let mut model = ledger();
    assert_eq!(model.create_transfers(NOW, &events), [None; 2]);
    let codes = model.create_transfers(NOW, &[singly(FRESH_ID), singly(FRESH_ID + 1)]);
    assert_eq!(codes, [Some(TransferCode::ExistsWithDifferentFlags), Some(TransferCode::Exists)]);
    // The whole chain again: the first member exists, and says so.
    assert_eq!(model.create_transfers(NOW, &events), [Some(TransferCode::Exists), FAILED]);
}

#[test]
fn a_chain_of_accounts_is_created_as_a_whole_or_leaves_no_trace() {
    let (one, other) = (account(NOBODY, 0), account(NO_ONE, 0));
    let mut model = ledger();
    assert_eq!(model.create_accounts(NOW, &linked_accounts([one, other])), [None; 2]);
    assert_eq!(model.accounts()[&NOBODY].flags, AccountFlags::LINKED, "the flag is kept");
    assert_eq!(model.accounts()[&NO_ONE].timestamp, NOW + 1);
    let differs = Some(AccountCode::ExistsWithDifferentFlags);
    assert_eq!(model.create_accounts(NOW, &[one, other]), [differs, Some(AccountCode::Exists)]);

    let failed = Some(AccountCode::LinkedEventFailed);
    let malformed = Account { code: 0, ..other };
    let cases = [
        (linked_accounts([one, other, account(BANK, 0)]), [failed, failed, Some(AccountCode::Exists)]),
        (linked_accounts([one, account(BANK, 0), other]), [failed, differs, failed]),
        (linked_accounts([one, other, one]), [failed, failed, differs]),
        // The malformed one counts, although the first one exists.
        (
            linked_accounts([account(BANK, 0), malformed, one]),
            [failed, Some(AccountCode::CodeMustNotBeZero), failed],
        ),
    ];
    for (chain, codes) in cases {
        let mut model = ledger();
        assert_eq!(model.create_accounts(NOW, &chain), codes);
        assert_eq!(model, ledger());
        assert_eq!(model.create_accounts(NOW, &[one]), [None], "the id is free");
    }
}
