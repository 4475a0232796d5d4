//! A wall clock that is an hour off: the server's, by what `tests/preload` puts in front of the C library.

use crate::ledger::check;
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Server, Start, format, seed};
use auriga_tests::load::{Pattern, account, connect, drive_many, transfer};
use auriga_wire::record::TransferFlags;
use auriga_wire::{Client, IdGenerator, Transfer, TransferCode};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HOUR: i64 = 3_600;
const SECOND_NS: u64 = 1_000_000_000;
/// Accounts that the book doesn't know.
const OWN: [u128; 2] = [1_000_001, 1_000_002];

/// The right time, nanoseconds.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).expect("nanoseconds fit 64 bits")
}

/// A start with a clock that is so many seconds ahead.
fn start(data: &Path, ahead: i64) -> Start {
    Start::new(data).shards(2).preload(&[("AURIGA_CLOCK_SECONDS", &ahead.to_string())])
}

/// A book of a new ledger, and the accounts beside it.
fn open_accounts(client: &mut Client) -> Book {
    let mut book = Book::default();
    book.open_accounts(client, 100);
    let own = client.create_accounts(&OWN.map(|id| account(id, 0))).expect("answered");
    assert_eq!(own.refusals, []);
    book
}

fn own_transfer(ids: &mut IdGenerator) -> Transfer {
    transfer(ids.next_id(), OWN[0], OWN[1], 1)
}

/// How far the ledger's time is ahead of the right one, seconds, after a request now.
fn ledger_is_ahead(client: &mut Client, ids: &mut IdGenerator) -> i64 {
    // Any request has an epoch; this one's transfer is refused for its own fields.
    let created = client.create_transfers(&[Transfer { ledger: 0, ..own_transfer(ids) }]);
    let time = created.expect("answered").first_timestamp;
    (time as i64 - now() as i64) / SECOND_NS as i64
}

/// Drives it with clients whose clocks are right. None of their transfers may be refused for its id.
fn drive(server: &Server, book: &mut Book, random: &mut fastrand::Rng) {
    let patterns = [Pattern { batches: vec![1, 20], in_flight: 4, transfers_max: 2_000, ..Pattern::ENDLESS }];
    let choice = book.choice_of_two_phases();
    let before = book.created().len();
    book.note(drive_many(server.address(), random, &choice, &patterns, u64::MAX, || {}));
    assert!(book.created().len() > before + 1_000, "transfers are created");
    book.check(&mut connect(server.address()), random, true);
}

/// A pending transfer with a time-out, seconds.
fn pending(ids: &mut IdGenerator, timeout: u32) -> Transfer {
    Transfer { flags: TransferFlags::PENDING, timeout, ..own_transfer(ids) }
}

fn post(client: &mut Client, ids: &mut IdGenerator, pending: &Transfer) -> Option<TransferCode> {
    let flags = TransferFlags::POST_PENDING_TRANSFER;
    let post =
        Transfer { id: ids.next_id(), pending_id: pending.id, flags, amount: 0, ..Transfer::default() };
    let created = client.create_transfers(&[post]).expect("answered");
    created.refusals.first().and_then(|refusal| TransferCode::from_number(refusal.code))
}

/// Ahead: the ledger's time goes with it, and pending transfers end by it. Right again: the clock is behind the log's time, and the
/// start asks for the operator's word; the ledger's time stands nearly still until the clock has caught up, and goes on from there.
#[test]
fn a_clock_an_hour_ahead() {
    let mut random = fastrand::Rng::with_seed(seed("clock ahead"));
    let scratch = Scratch::new("ahead");
    let data = scratch.join("data");
    format(&data);
    let mut ids = IdGenerator::with_seed(random.u64(..));
    let server = start(&data, 0).serve();
    let mut client = connect(server.address());
    let mut book = open_accounts(&mut client);
    assert!(ledger_is_ahead(&mut client, &mut ids).abs() < 60, "the clock is right");
    let (short, long) = (pending(&mut ids, 1_800), pending(&mut ids, 100_000));
    assert_eq!(client.create_transfers(&[short, long]).expect("answered").refusals, []);
    server.kill();

    let server = start(&data, HOUR).serve();
    let mut client = connect(server.address());
    assert!((ledger_is_ahead(&mut client, &mut ids) - HOUR).abs() < 60, "the ledger has the server's time");
    assert_eq!(post(&mut client, &mut ids, &short), Some(TransferCode::PendingTransferExpired));
    assert_eq!(post(&mut client, &mut ids, &long), None);
    // Transfers with ids of the right time are an hour old: far less than the window.
    drive(&server, &mut book, &mut random);
    server.kill();

    let refused = start(&data, 0).fail().expect(4, &["behind the time of the last epoch", "--accept-clock"]);
    assert!(refused.stderr.contains("the clock is 3"), "it says how far: {}", refused.stderr);
    let server = start(&data, 0).with(&["--accept-clock"]).serve();
    let mut client = connect(server.address());
    let ahead = ledger_is_ahead(&mut client, &mut ids);
    assert!((ahead - HOUR).abs() < 120, "the ledger's time doesn't go back: {ahead}");
    drive(&server, &mut book, &mut random);
    server.stop();
    check(&data, 3, &["--accept-clock"], &mut book, &mut random);
}

/// Behind: refused. With the operator's word the ledger's time goes on from the log's, and ids of the right time are taken; a
/// start with the right clock needs no word.
#[test]
fn a_clock_an_hour_behind() {
    let mut random = fastrand::Rng::with_seed(seed("clock behind"));
    let scratch = Scratch::new("behind");
    let data = scratch.join("data");
    format(&data);
    let mut ids = IdGenerator::with_seed(random.u64(..));
    let server = start(&data, 0).serve();
    let mut client = connect(server.address());
    let mut book = open_accounts(&mut client);
    drive(&server, &mut book, &mut random);
    let waits = pending(&mut ids, 1_800);
    assert_eq!(client.create_transfers(&[waits]).expect("answered").refusals, []);
    server.kill();

    let refused =
        start(&data, -HOUR).fail().expect(4, &["behind the time of the last epoch", "--accept-clock"]);
    assert!(refused.stderr.contains("the clock is 3"), "it says how far: {}", refused.stderr);
    let server = start(&data, -HOUR).with(&["--accept-clock"]).serve();
    let mut client = connect(server.address());
    let ahead = ledger_is_ahead(&mut client, &mut ids);
    assert!(ahead.abs() < 60, "the ledger's time doesn't go back: {ahead}");
    assert_eq!(post(&mut client, &mut ids, &waits), None);
    drive(&server, &mut book, &mut random);
    server.kill();

    let server = start(&data, 0).serve();
    drive(&server, &mut book, &mut random);
    server.stop();
    check(&data, 3, &[], &mut book, &mut random);
}

/// A ledger that begins with a clock that is behind: ids of the right time are in its future, and are not consumed.
#[test]
fn a_ledger_that_begins_an_hour_behind_refuses_ids_of_its_future() {
    let mut random = fastrand::Rng::with_seed(seed("clock begins behind"));
    let scratch = Scratch::new("begins-behind");
    let data = scratch.join("data");
    format(&data);
    let mut ids = IdGenerator::with_seed(random.u64(..));
    let server = start(&data, -HOUR).serve();
    let mut client = connect(server.address());
    let mut book = open_accounts(&mut client);
    let early = own_transfer(&mut ids);
    let refused = client.create_transfers(&[early]).expect("answered").refusals;
    assert_eq!(refused[0].code, TransferCode::IdInTheFuture.number());
    server.kill();

    // With the right clock the same transfer is taken: its id was not consumed.
    let server = start(&data, 0).serve();
    let created = connect(server.address()).create_transfers(&[early]).expect("answered");
    assert_eq!(created.refusals, []);
    drive(&server, &mut book, &mut random);
    server.stop();
    check(&data, 1, &[], &mut book, &mut random);
}
