//! The bounds that an operator sets: accounts, ids, connections.

use crate::raw::{Raw, client, closed, impatient_client, wait_for_status};
use auriga_tests::harness::{Scratch, Start, format};
use auriga_tests::load::{account, transfer};
use auriga_wire::{Client, Error, FaultCode, IdGenerator};

/// Requests that may be accepted beyond a limit while the shards' counts travel to where requests arrive.
const BEYOND: usize = 8;

#[track_caller]
fn is_limit(error: &Error) -> bool {
    matches!(error, Error::Refused(fault) if fault.code == FaultCode::LimitReached)
}

/// Sends requests until one is refused for a limit; how many were taken.
fn fill(mut request: impl FnMut(usize) -> Result<usize, Error>, expected: usize) -> usize {
    for taken in 0..=expected + BEYOND {
        match request(taken) {
            Ok(refused) => assert_eq!(refused, 0, "everything is created"),
            Err(error) => {
                assert!(is_limit(&error), "{error}");
                assert!(taken >= expected, "refused after {taken}, the limit is {expected}");
                return taken;
            }
        }
    }
    panic!("the limit of {expected} was never reached");
}

fn create_account(client: &mut Client, number: usize) -> Result<usize, Error> {
    client.create_accounts(&[account(1 + number as u128, 0)]).map(|created| created.refusals.len())
}

fn create_transfers(client: &mut Client, ids: &mut IdGenerator) -> Result<usize, Error> {
    let batch: Vec<_> = (0..100).map(|_| transfer(ids.next_id(), 1, 2, 1)).collect();
    client.create_transfers(&batch).map(|created| created.refusals.len())
}

#[test]
fn accounts_and_ids_are_bounded_and_a_restart_raises_the_bound() {
    let scratch = Scratch::new("limits");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).with(&["--accounts-max", "20", "--ids-max", "1000"]).serve();
    let mut client = impatient_client(&server);
    let mut ids = IdGenerator::with_seed(1);
    let accounts = fill(|number| create_account(&mut client, number), 20);
    let batches = fill(|_| create_transfers(&mut client, &mut ids), 10);
    assert_eq!(client.lookup_accounts(&[1, 2]).expect("reads go on").len(), 2);
    let status = client.status(false).expect("reads go on");
    assert_eq!((status.accounts, status.ids), (accounts as u64, batches as u64 * 100));
    assert_eq!((status.accounts_max, status.ids_max), (20, 1_000));
    server.stop();
    let server = Start::new(&data).shards(1).with(&["--accounts-max", "20", "--ids-max", "1000"]).serve();
    let mut client = impatient_client(&server);
    let taken = (0..BEYOND).take_while(|number| create_account(&mut client, 1_000 + number).is_ok()).count();
    assert!(taken < BEYOND, "the limit holds after a restart");
    server.stop();
    let server = Start::new(&data).shards(2).with(&["--accounts-max", "100", "--ids-max", "5000"]).serve();
    let mut client = impatient_client(&server);
    assert_eq!(create_account(&mut client, 5_000).expect("there is room"), 0);
    assert_eq!(create_transfers(&mut client, &mut ids).expect("there is room"), 0);
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
