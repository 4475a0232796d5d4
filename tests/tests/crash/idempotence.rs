//! Ids are used once: whenever a retry comes, and whatever happens to the server in between.

use auriga_tests::harness::{Scratch, Start, format, format_any};
use auriga_tests::load::{self, account, connect};
use auriga_wire::{Client, Error, FaultCode, Transfer, TransferCode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

/// The present, milliseconds.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).expect("milliseconds fit 64 bits")
}

/// A transfer whose id is of this time, milliseconds.
fn transfer(ms: u64, number: u128) -> Transfer {
    load::transfer(u128::from(ms) << 80 | number, 1, 2, 1)
}

fn create_accounts(client: &mut Client) {
    let accounts = [1, 2].map(|id| account(id, 0));
    assert!(client.create_accounts(&accounts).expect("the server answers").refusals.is_empty());
}

fn answer(client: &mut Client, transfer: Transfer) -> Option<TransferCode> {
    let created = client.create_transfers(&[transfer]).expect("the server answers");
    created.refusals.first().and_then(|refusal| TransferCode::from_number(refusal.code))
}

fn debits(client: &mut Client) -> u128 {
    client.lookup_accounts(&[1]).expect("the server answers")[0].debits_posted
}

#[test]
fn a_retry_is_never_applied_twice_whenever_it_comes() {
    let scratch = Scratch::new("idempotence");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let mut client = connect(server.address());
    create_accounts(&mut client);
    let begin = now();
    let (fresh, old, older) =
        (transfer(begin, 1), transfer(begin - 23 * HOUR, 2), transfer(begin - 25 * HOUR, 3));
    let (ahead, too_far) = (transfer(begin + 30 * SECOND, 4), transfer(begin + 120 * SECOND, 5));
    let exists = Some(TransferCode::Exists);
    let (expired, future) = (Some(TransferCode::IdExpired), Some(TransferCode::IdInTheFuture));
    let first = [fresh, old, ahead, older, too_far].map(|t| answer(&mut client, t));
    assert_eq!(first, [None, None, None, expired, future]);
    let again = [fresh, old, ahead, older, too_far].map(|t| answer(&mut client, t));
    assert_eq!(again, [exists, exists, exists, expired, future]);
    server.kill();

    // A shorter window forgets some; a longer one brings nothing back.
    let server = Start::new(&data).shards(3).with(&["--window", "3600"]).serve();
    let mut client = connect(server.address());
    assert_eq!(answer(&mut client, transfer(now(), 6)), None, "a horizon comes with a batch");
    let again = [fresh, old, ahead].map(|t| answer(&mut client, t));
    assert_eq!(again, [exists, expired, exists]);
    assert_eq!(
        client.lookup_transfers(&[old.id]).expect("the server answers")[0].amount,
        1,
        "history has it"
    );
    server.kill();

    let server = Start::new(&data).shards(1).with(&["--window", "604800"]).serve();
    let mut client = connect(server.address());
    let again = [fresh, old, ahead, older].map(|t| answer(&mut client, t));
    assert_eq!(again, [exists, expired, exists, expired]);
    assert_eq!(debits(&mut client), 4);
    server.stop();
}

#[test]
fn with_any_ids_nothing_is_forgotten_and_at_the_bound_batches_are_refused() {
    let scratch = Scratch::new("any-ids");
    let data = scratch.join("data");
    format_any(&data);
    let server = Start::new(&data).shards(2).with(&["--ids-max", "20", "--window", "60"]).serve();
    let mut client = connect(server.address());
    create_accounts(&mut client);
    let transfers: Vec<Transfer> = (1..=20).map(|id| transfer(0, id)).collect();
    assert!(client.create_transfers(&transfers).expect("the server answers").refusals.is_empty());
    let more = client.create_transfers(&[transfer(0, 21)]);
    let is_refused = match &more {
        Err(Error::Refused(fault)) => fault.code == FaultCode::LimitReached,
        Ok(created) => created.refusals[0].code == TransferCode::LimitReached.number(),
        Err(_) => false,
    };
    assert!(is_refused, "{more:?}");
    server.kill();

    let server = Start::new(&data).shards(1).with(&["--ids-max", "40"]).serve();
    let mut client = connect(server.address());
    assert_eq!(answer(&mut client, transfer(0, 1)), Some(TransferCode::Exists));
    assert_eq!(answer(&mut client, transfer(0, 21)), None, "what was refused left no trace");
    assert_eq!(debits(&mut client), 21);
    server.stop();
}
