//! The bounds that an operator sets: accounts, ids, connections.

use crate::raw::{Raw, client, closed, impatient_client, wait_for_status};
use auriga_tests::harness::{Scratch, Start, format};
use auriga_tests::load::{account, transfer};
use auriga_wire::record::TransferFlags;
use auriga_wire::{AccountCode, Client, Created, Error, FaultCode, IdGenerator, Transfer, TransferCode};

/// Transfers of a batch.
const BATCH: usize = 100;

/// Whether a request was taken. It is refused as a whole when it arrives at a limit, or each of its `events` is where it would
/// pass one.
#[track_caller]
fn is_taken(answer: Result<Created, Error>, events: usize) -> bool {
    let created = match answer {
        Ok(created) => created,
        Err(Error::Refused(fault)) if fault.code == FaultCode::LimitReached => return false,
        Err(error) => panic!("{error}"),
    };
    let codes = [AccountCode::LimitReached.number(), TransferCode::LimitReached.number()];
    assert!(created.refusals.iter().all(|refusal| codes.contains(&refusal.code)), "{created:?}");
    assert!([0, events].contains(&created.refusals.len()), "all of an epoch is refused alike: {created:?}");
    created.refusals.is_empty()
}

/// How many of some requests are taken until a limit is reached.
fn fill(requests: usize, mut is_taken: impl FnMut(usize) -> bool) -> usize {
    (0..requests).take_while(|number| is_taken(*number)).count()
}

#[track_caller]
fn create_account(client: &mut Client, number: usize) -> bool {
    is_taken(client.create_accounts(&[account(1 + number as u128, 0)]), 1)
}

#[track_caller]
fn create_transfers(client: &mut Client, ids: &mut IdGenerator) -> bool {
    let batch: Vec<_> = (0..BATCH).map(|_| transfer(ids.next_id(), 1, 2, 1)).collect();
    is_taken(client.create_transfers(&batch), BATCH)
}

#[track_caller]
fn create_pendings(client: &mut Client, ids: &mut IdGenerator) -> bool {
    let pending = || Transfer { flags: TransferFlags::PENDING, ..transfer(ids.next_id(), 1, 2, 1) };
    let batch: Vec<_> = std::iter::repeat_with(pending).take(BATCH).collect();
    is_taken(client.create_transfers(&batch), BATCH)
}

#[test]
fn accounts_and_ids_are_bounded_and_a_restart_raises_the_bound() {
    let scratch = Scratch::new("limits");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).with(&["--accounts-max", "20", "--ids-max", "1000"]).serve();
    let mut client = impatient_client(&server);
    let mut ids = IdGenerator::with_seed(1);
    let accounts = fill(100, |number| create_account(&mut client, number));
    let batches = fill(100, |_| create_transfers(&mut client, &mut ids));
    assert_eq!((accounts, batches), (20, 1_000 / BATCH));
    assert_eq!(client.lookup_accounts(&[1, 2]).expect("reads go on").len(), 2);
    let status = client.status(false).expect("reads go on");
    assert_eq!((status.accounts, status.ids), (accounts as u64, batches as u64 * 100));
    assert_eq!((status.accounts_max, status.ids_max), (20, 1_000));
    server.stop();
    let server = Start::new(&data).shards(1).with(&["--accounts-max", "20", "--ids-max", "1000"]).serve();
    let mut client = impatient_client(&server);
    assert!(!create_account(&mut client, 1_000), "the limit holds after a restart");
    assert!(!create_transfers(&mut client, &mut ids), "the limit holds after a restart");
    server.stop();
    let server = Start::new(&data).shards(2).with(&["--accounts-max", "100", "--ids-max", "5000"]).serve();
    let mut client = impatient_client(&server);
    assert!(create_account(&mut client, 5_000) && create_transfers(&mut client, &mut ids), "there is room");
    server.stop();
}

#[test]
fn pending_transfers_are_bounded_and_what_they_leave_goes_on() {
    let scratch = Scratch::new("pendings-max");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).with(&["--pendings-max", "500"]).serve();
    let mut client = impatient_client(&server);
    let mut ids = IdGenerator::with_seed(1);
    assert!(create_account(&mut client, 0) && create_account(&mut client, 1));
    let first = ids.next_id();
    let pending = Transfer { flags: TransferFlags::PENDING, ..transfer(first, 1, 2, 1) };
    assert!(is_taken(client.create_transfers(&[pending]), 1));
    assert_eq!(fill(100, |_| create_pendings(&mut client, &mut ids)), 4);
    assert!(create_transfers(&mut client, &mut ids), "plain transfers go on");
    let status = client.status(false).expect("a status");
    assert_eq!((status.pendings, status.pendings_max), (401, 500));
    let flags = TransferFlags::VOID_PENDING_TRANSFER;
    let void = Transfer { id: ids.next_id(), pending_id: first, flags, ..Transfer::default() };
    assert!(is_taken(client.create_transfers(&[void]), 1), "a void goes on");
    assert!(create_pendings(&mut client, &mut ids), "and makes room");
    server.stop();
}

#[test]
fn connections_beyond_the_bound_are_told_and_the_others_stay() {
    let scratch = Scratch::new("connections-max");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).with(&["--connections-max", "3"]).serve();
    let mut clients: Vec<_> = (0..3).map(|_| client(&server)).collect();
    for client in &mut clients {
        client.status(false).expect("a status");
    }
    let mut fourth = Raw::connect(&server);
    let (request, fault) = fourth.fault().expect("a reason");
    assert_eq!((request, fault.code), (0, FaultCode::TooManyConnections));
    assert!(fault.message.contains("--connections-max"), "{fault}");
    fourth.expect_end();
    for client in &mut clients {
        assert!(closed(&client.status(false).expect("a status"), "too_many_connections") >= 1);
    }
    drop(clients.pop());
    wait_for_status(&mut clients[0], "a connection less", |status| status.connections == 2);
    client(&server).status(false).expect("there is room again");
    server.stop();
}
