//! Tests of the reference model: what an epoch's cut says of ids and limits.

use crate::model::{Model, Outcome, Terms};
use crate::model_tests::{
    BANK, CREATED_ID, FRESH_ID, NOBODY, NOW, PENDING_ID, POSTED_ID, REFUSED_ID, SHOP, account, ledger, post,
    transfer,
};
use auriga_wire::record::TransferFlags;
use auriga_wire::{AccountCode, Transfer, TransferCode};

/// Codes that only the terms of an epoch lead to.
pub(crate) const TERMS_CODES: [TransferCode; 4] = [
    TransferCode::IdExpired,
    TransferCode::IdInTheFuture,
    TransferCode::LimitReached,
    TransferCode::PendingIdExpired,
];

const MILLISECOND: u64 = 1_000_000;

/// An id of this time, milliseconds.
const fn id_at(ms: u128) -> u128 {
    ms << 80 | 7
}

fn under(terms: Terms) -> Model {
    let mut model = ledger();
    model.terms = terms;
    model
}

fn limited(accounts: bool, ids: bool, pendings: bool) -> Terms {
    Terms { accounts_limited: accounts, ids_limited: ids, pendings_limited: pendings, ..Terms::default() }
}

/// Ids from 5 to 9 milliseconds are taken.
fn window() -> Terms {
    Terms { horizon: 4 * MILLISECOND + 1, ids_through: 10 * MILLISECOND - 1, ..Terms::default() }
}

fn answer(terms: Terms, event: Transfer) -> (Option<TransferCode>, Option<Outcome>) {
    let mut model = under(terms);
    let codes = model.create_transfers(NOW, &[event]);
    (codes[0], model.ids().get(&event.id).copied())
}

#[test]
fn an_id_out_of_the_window_is_refused_and_not_consumed() {
    let at = |ms| answer(window(), transfer(id_at(ms), BANK, SHOP, 10));
    assert_eq!(at(4), (Some(TransferCode::IdExpired), None));
    assert_eq!(at(5).0, None);
    assert_eq!(at(9).0, None);
    assert_eq!(at(10), (Some(TransferCode::IdInTheFuture), None));
    let any = Terms { ids_through: u64::MAX, horizon: 0, ..window() };
    assert_eq!(answer(any, transfer(u128::MAX - 1, BANK, SHOP, 10)).0, None, "ids without a time");
}

#[test]
fn a_forgotten_id_is_neither_known_as_created_nor_as_failed() {
    for id in [CREATED_ID, REFUSED_ID] {
        assert_eq!(answer(window(), transfer(id, BANK, SHOP, 10)).0, Some(TransferCode::IdExpired));
    }
}

#[test]
fn a_pending_transfer_is_ended_though_its_id_is_forgotten() {
    assert_eq!(answer(window(), post(id_at(6), PENDING_ID)).0, None);
    for gone in [POSTED_ID, CREATED_ID, REFUSED_ID, FRESH_ID] {
        let (code, outcome) = answer(window(), post(id_at(6), gone));
        assert_eq!((code, outcome), (Some(TransferCode::PendingIdExpired), Some(Outcome::Refused)));
    }
    let mut model = under(window());
    let twice = [post(id_at(6), PENDING_ID), post(id_at(7), PENDING_ID)];
    assert_eq!(model.create_transfers(NOW, &twice), [None, Some(TransferCode::PendingIdExpired)]);
    let later = id_at(8);
    let known = Terms { horizon: 0, ..window() };
    assert_eq!(answer(known, post(id_at(6), later)).0, Some(TransferCode::PendingTransferNotFound));
}

#[test]
fn at_a_limit_creations_of_its_kind_leave_no_trace() {
    let plain = transfer(FRESH_ID, BANK, SHOP, 10);
    let pending = Transfer { flags: TransferFlags::PENDING, ..plain };
    let reached = (Some(TransferCode::LimitReached), None);
    assert_eq!(answer(limited(false, true, false), plain), reached);
    assert_eq!(answer(limited(false, true, false), pending), reached);
    assert_eq!(answer(limited(true, false, true), plain).0, None);
    assert_eq!(answer(limited(false, false, true), pending), reached);
    assert_eq!(answer(limited(false, false, true), post(FRESH_ID, PENDING_ID)).0, None);

    let mut model = under(limited(true, false, false));
    let before = model.clone();
    let found = model.create_accounts(NOW, &[account(NOBODY, 0), account(BANK, 0)]);
    assert_eq!(found, [Some(AccountCode::LimitReached); 2]);
    assert_eq!(model, before);
    assert_eq!(under(limited(false, true, true)).create_accounts(NOW, &[account(NOBODY, 0)]), [None]);
}

#[test]
fn a_member_out_of_the_terms_fails_its_chain_before_anything_is_looked_at() {
    let chain = |second: Transfer| {
        let first = Transfer { flags: TransferFlags::LINKED, ..transfer(id_at(6), BANK, NOBODY, 10) };
        let mut model = under(Terms { pendings_limited: true, ..window() });
        let codes = model.create_transfers(NOW, &[first, second]);
        assert!(!model.ids().contains_key(&id_at(6)), "no id of the chain is burnt");
        codes[1]
    };
    let good = transfer(id_at(7), BANK, SHOP, 10);
    assert_eq!(chain(Transfer { id: id_at(4), ..good }), Some(TransferCode::IdExpired));
    assert_eq!(chain(Transfer { id: id_at(10), ..good }), Some(TransferCode::IdInTheFuture));
    assert_eq!(chain(Transfer { flags: TransferFlags::PENDING, ..good }), Some(TransferCode::LimitReached));
}

/// The terms stand between the checks of the id itself and the look at what is known of it.
#[test]
fn terms_take_precedence_in_order() {
    let all = Terms { ids_limited: true, ..window() };
    let bad = Transfer { debit_account_id: 0, ..transfer(u128::MAX, BANK, SHOP, 10) };
    let steps = [
        (all, u128::MAX, TransferCode::IdMustNotBeIntMax),
        (all, CREATED_ID, TransferCode::IdExpired),
        (all, id_at(10), TransferCode::IdInTheFuture),
        (all, id_at(9), TransferCode::LimitReached),
        (limited(false, true, false), CREATED_ID, TransferCode::LimitReached),
        (Terms::default(), CREATED_ID, TransferCode::ExistsWithDifferentDebitAccountId),
    ];
    for (terms, id, code) in steps {
        assert_eq!(answer(terms, Transfer { id, ..bad }).0, Some(code));
    }
    let mut model = under(limited(true, false, false));
    let maximal = account(u128::MAX, 0);
    assert_eq!(model.create_accounts(NOW, &[maximal]), [Some(AccountCode::IdMustNotBeIntMax)]);
}
