//! Questions about the past, answered by a running server, after its death, and when history has to be built anew.

use auriga_tests::harness::{Scratch, Start, format_any};
use auriga_tests::load::{self, LEDGER, account, connect};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, AccountBalance, Client, Error, FaultCode, Filter, FilterFlags, Page, Transfer};

type F = FilterFlags;

/// Alternately from 1 to 2 and from 2 to 1.
fn transfer(id: u128) -> Transfer {
    let (debit, credit) = if id.is_multiple_of(2) { (1, 2) } else { (2, 1) };
    let (user_data_64, code) = ((id % 5) as u64, 1 + (id % 3) as u16);
    Transfer { user_data_64, code, ..load::transfer(id, debit, credit, id) }
}

/// Accounts 1 and 2, with these flags.
fn create_accounts(client: &mut Client, flags: [u16; 2]) {
    let accounts = [account(1, flags[0]), account(2, flags[1])];
    assert!(client.create_accounts(&accounts).expect("the server answers").refusals.is_empty());
}

fn fresh(filter: Filter) -> Filter {
    Filter { flags: filter.flags | F::ACKNOWLEDGED, ..filter }
}

/// All pages of an answer.
fn all<T>(mut filter: Filter, mut ask: impl FnMut(&Filter) -> Result<Page<T>, Error>) -> Vec<T> {
    let mut records = Vec::new();
    loop {
        let page = ask(&filter).expect("the server answers");
        records.extend(page.records);
        if page.cursor == 0 {
            return records;
        }
        filter = filter.next(page.cursor);
    }
}

fn ids(transfers: &[Transfer]) -> Vec<u128> {
    transfers.iter().map(|transfer| transfer.id).collect()
}

/// Asks everything, of the transfers 1 to `last`.
fn check(client: &mut Client, last: u128) {
    let filter = fresh(Filter { account_id: 1, limit: 7, flags: F::SIDES, ..Filter::default() });
    let found = all(filter, |filter| client.account_transfers(filter));
    assert_eq!(ids(&found), (1..=last).collect::<Vec<_>>());
    assert!(found.iter().all(|found| Transfer { timestamp: 0, ..*found } == transfer(found.id)));
    let times: Vec<u64> = found.iter().map(|transfer| transfer.timestamp).collect();
    assert!(times.is_sorted_by(|a, b| a < b));

    let newest = all(fresh(Filter::newest_of(2, 3)), |filter| client.account_transfers(filter));
    assert_eq!(ids(&newest), (1..=last).rev().collect::<Vec<_>>());
    let some = Filter { flags: F::DEBITS | F::REVERSED, code: 2, timestamp_min: times[3], ..filter };
    let found = all(some, |filter| client.account_transfers(filter));
    assert_eq!(ids(&found), (4..=last).rev().filter(|id| id % 2 == 0 && id % 3 == 1).collect::<Vec<_>>());
    let by_data = Filter { account_id: 0, user_data_64: 3, flags: F::ACKNOWLEDGED, ..filter };
    let found = all(by_data, |filter| client.query_transfers(filter));
    assert_eq!(ids(&found), (1..=last).filter(|id| id % 5 == 3).collect::<Vec<_>>());

    let balances: Vec<AccountBalance> = all(filter, |filter| client.account_balances(filter));
    let sum = |side: u128| (1..=last).filter(|id| id % 2 == side).sum::<u128>();
    let end = balances.last().expect("the account has a history");
    assert_eq!((balances.len() as u128, end.debits_posted, end.credits_posted), (last, sum(0), sum(1)));
    assert_eq!(balances.iter().map(|balance| balance.timestamp).collect::<Vec<_>>(), times);
    let none = all(Filter { account_id: 2, ..filter }, |filter| client.account_balances(filter));
    assert_eq!(none.len(), 0, "account 2 keeps no history");

    let of_ledger = Filter { account_id: 0, ledger: LEDGER, flags: F::ACKNOWLEDGED, ..filter };
    let accounts: Vec<Account> = all(of_ledger, |filter| client.query_accounts(filter));
    let seen: Vec<_> = accounts.iter().map(|account| (account.id, account.debits_posted)).collect();
    assert_eq!(seen, [(1, sum(0)), (2, sum(1))], "accounts come with their present balances");
}

#[test]
fn history_is_complete_after_every_death() {
    let scratch = Scratch::new("history");
    let data = scratch.join("data");
    format_any(&data);
    let mut last = 0;
    for (life, shards) in [2, 3, 1, 2].into_iter().enumerate() {
        let server = Start::new(&data).shards(shards).serve();
        let mut client = connect(server.address());
        if life == 0 {
            create_accounts(&mut client, [AccountFlags::HISTORY, 0]);
        } else {
            check(&mut client, last);
        }
        for _ in 0..20 {
            let transfers: Vec<Transfer> = (last + 1..=last + 5).map(transfer).collect();
            assert!(client.create_transfers(&transfers).expect("the server answers").refusals.is_empty());
            last += 5;
        }
        check(&mut client, last);
        if life == 1 {
            server.stop();
            std::fs::remove_dir_all(data.join("history")).expect("history is a directory of its own");
        } else {
            server.kill();
        }
    }
}

#[test]
fn without_history_questions_are_refused_and_later_all_of_it_is_there() {
    let scratch = Scratch::new("history-off");
    let data = scratch.join("data");
    format_any(&data);
    let server = Start::new(&data).with(&["--history", "off"]).serve();
    let mut client = connect(server.address());
    create_accounts(&mut client, [AccountFlags::HISTORY, 0]);
    let transfers: Vec<Transfer> = (1..=10).map(transfer).collect();
    assert!(client.create_transfers(&transfers).expect("the server answers").refusals.is_empty());
    match client.query_transfers(&Filter { limit: 1, ..Filter::default() }) {
        Err(Error::Refused(fault)) => assert_eq!(fault.code, FaultCode::HistoryOff),
        other => panic!("found {other:?}"),
    }
    assert_eq!(client.status(false).expect("the server answers").history_epoch, None);
    assert!(!data.join("history").exists());
    server.stop();

    let server = Start::new(&data).shards(2).serve();
    let mut client = connect(server.address());
    check(&mut client, 10);
    let status = client.status(false).expect("the server answers");
    assert!(status.history_epoch >= Some(status.epoch));
    match client.query_transfers(&Filter::default()) {
        Err(Error::Refused(fault)) => assert_eq!(fault.code, FaultCode::BadFilter),
        other => panic!("found {other:?}"),
    }
    server.stop();
}

/// A post and a void are shown with what they took over, and end what was reserved in the balances.
#[test]
fn pending_transfers_are_told_as_they_ended() {
    let scratch = Scratch::new("history-pending");
    let data = scratch.join("data");
    format_any(&data);
    let server = Start::new(&data).shards(2).serve();
    let mut client = connect(server.address());
    create_accounts(&mut client, [AccountFlags::HISTORY; 2]);
    let open = |id| Transfer { flags: TransferFlags::PENDING, ..transfer(id) };
    let end =
        |id, pending_id, amount, flags| Transfer { id, pending_id, amount, flags, ..Transfer::default() };
    let transfers = [
        open(2),
        open(4),
        Transfer { timeout: 1, ..open(6) },
        end(7, 2, 1, TransferFlags::POST_PENDING_TRANSFER),
        end(8, 4, 0, TransferFlags::VOID_PENDING_TRANSFER),
    ];
    assert!(client.create_transfers(&transfers).expect("the server answers").refusals.is_empty());
    let expires = std::time::Instant::now();
    while client.lookup_accounts(&[1]).expect("the server answers")[0].debits_pending > 0 {
        assert!(expires.elapsed().as_secs() < 60, "what nobody posts expires");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(client.create_transfers(&[transfer(10)]).expect("the server answers").refusals.is_empty());
    let filter = fresh(Filter { account_id: 1, limit: 100, flags: F::DEBITS, ..Filter::default() });
    let found = all(filter, |filter| client.account_transfers(filter));
    let seen: Vec<_> = found.iter().map(|t| (t.id, t.amount, t.credit_account_id, t.code)).collect();
    assert_eq!(seen, [(2, 2, 2, 3), (4, 4, 2, 2), (6, 6, 2, 1), (7, 1, 2, 3), (8, 4, 2, 2), (10, 10, 2, 2)]);
    let sums = all(filter, |filter| client.account_balances(filter));
    let sums: Vec<_> = sums.iter().map(|sums| (sums.debits_pending, sums.debits_posted)).collect();
    assert_eq!(sums, [(2, 0), (6, 0), (12, 0), (10, 1), (6, 1), (0, 11)]);
    server.stop();
}
