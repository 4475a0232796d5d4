//! The blocking client against servers that answer well, badly and not at all.

#[allow(dead_code, reason = "each test file uses its part of the helper")]
mod fake;

use auriga_wire::report::Status;
use auriga_wire::{Account, Client, Error, EventResult, FaultCode, Filter, Transfer, TransferCode};
use fake::{Fake, Script, answer, close, options, read_request, refuse, reply, with_timeout};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

fn transfers() -> Vec<Transfer> {
    (1..=3).map(|id| Transfer { id, ..Transfer::default() }).collect()
}

fn refusal(index: u32, code: TransferCode) -> Vec<u8> {
    bytemuck::bytes_of(&EventResult::refused(index, code.number())).to_vec()
}

#[test]
fn every_command_is_answered_on_one_connection() {
    let account = Account { id: 5, ..Account::default() };
    let status = Status { version: "1.2.3".into(), shards: 2, ..Status::default() };
    let answers: Vec<Vec<u8>> = vec![
        vec![],
        refusal(1, TransferCode::ExceedsCredits),
        bytemuck::bytes_of(&account).to_vec(),
        vec![],
        status.encode(),
    ];
    let script: Script = Box::new(move |stream| {
        for body in answers {
            let (header, _) = read_request(stream);
            stream.write_all(&reply(&header, 0, &body)).expect("written");
        }
    });
    let fake = Fake::start(vec![script]);
    let mut client = Client::connect(&fake.address, options(1)).expect("connected");
    assert!(client.create_accounts(&[account]).expect("created").refusals.is_empty());
    let created = client.create_transfers(&transfers()).expect("answered");
    assert_eq!((created.first_timestamp, created.retried), (1_000, false));
    assert_eq!(created.not_applied().map(|r| r.index).collect::<Vec<_>>(), [1]);
    assert_eq!(client.lookup_accounts(&[5, 6]).expect("found"), [account]);
    assert_eq!(client.lookup_transfers(&[5]).expect("answered"), []);
    assert_eq!(client.status(true).expect("answered"), status);
    fake.finish();
}

#[test]
fn a_reply_in_single_bytes_is_put_together() {
    let script: Script = Box::new(|stream| {
        let (header, _) = read_request(stream);
        for byte in reply(&header, 0, &refusal(2, TransferCode::Exists)) {
            stream.write_all(&[byte]).expect("written");
        }
    });
    let fake = Fake::start(vec![script]);
    let mut client = Client::connect(&fake.address, options(1)).expect("connected");
    let created = client.create_transfers(&transfers()).expect("answered");
    assert_eq!(created.not_applied().count(), 1, "without a retry, `exists` is no success of ours");
    fake.finish();
}

#[test]
fn a_lost_connection_is_made_again_and_exists_counts_as_applied() {
    let body = [refusal(0, TransferCode::Exists), refusal(2, TransferCode::ExceedsDebits)].concat();
    let fake = Fake::start(vec![close(), answer(body)]);
    let mut client = Client::connect(&fake.address, options(3)).expect("connected");
    let created = client.create_transfers(&transfers()).expect("answered");
    assert!(created.retried);
    assert_eq!(created.refusals.len(), 2);
    assert_eq!(created.not_applied().map(|r| r.index).collect::<Vec<_>>(), [2]);
    fake.finish();
}

#[test]
fn a_chain_that_a_first_attempt_created_is_applied_as_a_whole() {
    let linked = |id, linked: bool| Transfer { id, flags: u16::from(linked), ..Transfer::default() };
    // A chain of two that exists, one that failed, one whose first event exists from earlier, and an event alone.
    let request = [(1, true), (2, false), (3, true), (4, false), (5, true), (6, false), (7, false)]
        .map(|(id, is)| linked(id, is));
    let body = [
        refusal(0, TransferCode::Exists),
        refusal(1, TransferCode::LinkedEventFailed),
        refusal(2, TransferCode::LinkedEventFailed),
        refusal(3, TransferCode::Exists),
        refusal(4, TransferCode::Exists),
        refusal(5, TransferCode::LinkedEventFailed),
        refusal(6, TransferCode::Exists),
    ]
    .concat();
    // The answer doesn't say which chains are there: their followers are looked up.
    let (retried, asked) = (body.clone(), [2_u128, 6]);
    let looks_up: Script = Box::new(move |stream| {
        answer_once(stream, &retried, 0);
        let (header, bytes) = read_request(stream);
        assert_eq!(&bytes[auriga_wire::frame::HEADER_SIZE..], bytemuck::bytes_of(&asked));
        stream.write_all(&reply(&header, 0, bytemuck::bytes_of(&linked(2, false)))).expect("written");
    });
    let fake = Fake::start(vec![close(), looks_up, answer(body)]);
    let mut client = Client::connect(&fake.address, options(3)).expect("connected");
    let created = client.create_transfers(&request).expect("answered");
    assert_eq!(created.not_applied().map(|r| r.index).collect::<Vec<_>>(), [2, 3, 5]);
    drop(client);
    let mut client = Client::connect(&fake.address, options(1)).expect("connected");
    let created = client.create_transfers(&request).expect("answered");
    assert_eq!(created.not_applied().count(), 7, "nothing of this was sent before");
    fake.finish();
}

#[test]
fn what_balancing_transfers_moved_and_the_pages_of_history_are_told() {
    let moved = bytemuck::bytes_of(&EventResult::created(1, 70)).to_vec();
    let body = [moved, refusal(2, TransferCode::ExceedsCredits)].concat();
    let script: Script = Box::new(move |stream| {
        answer_once(stream, &body, 0);
        answer_once(stream, bytemuck::cast_slice(&transfers()), 77);
    });
    let fake = Fake::start(vec![script]);
    let mut client = Client::connect(&fake.address, options(1)).expect("connected");
    let created = client.create_transfers(&transfers()).expect("answered");
    assert_eq!((created.amounts, created.refusals.len()), (vec![(1, 70)], 1));
    let page = client.account_transfers(&Filter::newest_of(9, 3)).expect("answered");
    assert_eq!((page.records, page.cursor, page.complete_through), (transfers(), 77, 1_000));
    fake.finish();
}

fn answer_once(stream: &mut TcpStream, body: &[u8], cursor: u64) {
    let (header, _) = read_request(stream);
    let mut bytes = reply(&header, 0, body);
    bytes[56..64].copy_from_slice(&cursor.to_le_bytes());
    auriga_wire::frame::seal(&mut bytes);
    stream.write_all(&bytes).expect("written");
}

#[test]
fn silence_and_a_wrong_checksum_are_retried_too() {
    let silent: Script = Box::new(|stream| {
        read_request(stream);
        let mut rest = [0];
        std::io::Read::read(stream, &mut rest).expect("the client goes away");
    });
    let garbled: Script = Box::new(|stream| {
        let (header, _) = read_request(stream);
        let mut bytes = reply(&header, 0, &[]);
        bytes[60] ^= 1;
        stream.write_all(&bytes).expect("written");
    });
    let fake = Fake::start(vec![silent, garbled, answer(vec![])]);
    // Time enough for the attempts behind the first.
    let options = with_timeout(Duration::from_secs(3), 3);
    let mut client = Client::connect(&fake.address, options).expect("connected");
    assert!(client.create_transfers(&transfers()).expect("answered").retried);
    fake.finish();
}

#[test]
fn a_transient_fault_is_tried_again_on_the_same_connection_and_is_no_retry_of_something_done() {
    let script: Script = Box::new(|stream| {
        refuse(FaultCode::LogFull)(stream);
        answer(vec![])(stream);
    });
    let fake = Fake::start(vec![script]);
    let mut client = Client::connect(&fake.address, options(2)).expect("connected");
    assert!(!client.create_transfers(&transfers()).expect("answered").retried);
    fake.finish();
}

#[test]
fn attempts_are_bounded() {
    let fake = Fake::start(vec![close(), close()]);
    let mut client = Client::connect(&fake.address, options(2)).expect("connected");
    let error = client.create_transfers(&transfers()).expect_err("two attempts failed");
    assert!(matches!(error, Error::Lost { .. }), "{error}");
    let address = fake.address.clone();
    fake.finish();
    let error = Client::connect(&address, options(1)).expect_err("nobody listens");
    assert!(error.to_string().contains(&address), "{error}");
}

#[test]
fn bad_replies_are_named() {
    type Garble = fn(&mut TcpStream);
    let cases: [(Garble, FaultCode); 6] = [
        (|s| send(s, |bytes| bytes[16] = 0), FaultCode::BadMagic),
        (|s| send(s, |bytes| bytes[20] = 9), FaultCode::UnknownVersion),
        (|s| send(s, |bytes| bytes[26] = 255), FaultCode::BadSize),
        (|s| send(s, |bytes| bytes[40] ^= 1), FaultCode::BadChecksum),
        (|s| answer(refusal(3, TransferCode::Exists))(s), FaultCode::BadSize),
        (|s| answer(vec![0; 31])(s), FaultCode::BadSize),
    ];
    for (script, expected) in cases {
        let fake = Fake::start(vec![Box::new(script)]);
        let mut client = Client::connect(&fake.address, options(1)).expect("connected");
        match client.create_transfers(&transfers()).expect_err("the reply is bad") {
            Error::BadReply(fault) => assert_eq!(fault.code, expected, "{fault}"),
            other => panic!("expected a bad reply for {expected}, found: {other}"),
        }
        fake.finish();
    }
}

fn send(stream: &mut TcpStream, garble: impl FnOnce(&mut [u8])) {
    let (header, _) = read_request(stream);
    let mut bytes = reply(&header, 0, &[]);
    garble(&mut bytes);
    stream.write_all(&bytes).expect("written");
}

#[test]
fn a_lasting_fault_is_reported_at_once() {
    let fake = Fake::start(vec![refuse(FaultCode::WrongCluster)]);
    let mut client = Client::connect(&fake.address, options(5)).expect("connected");
    match client.create_transfers(&transfers()).expect_err("refused") {
        Error::Refused(fault) => {
            assert_eq!((fault.code, &*fault.message), (FaultCode::WrongCluster, "because"));
        }
        other => panic!("{other}"),
    }
    fake.finish();
}

#[test]
fn a_refused_connection_says_why() {
    let script: Script = Box::new(|stream| {
        let nobody = auriga_wire::Header::default();
        let bytes = reply(&nobody, FaultCode::TooManyConnections.number(), b"1,000 of 1,000");
        stream.write_all(&bytes).expect("written");
        read_request(stream);
    });
    let fake = Fake::start(vec![script]);
    let mut client = Client::connect(&fake.address, options(1)).expect("connected");
    let error = client.status(false).expect_err("refused");
    assert!(
        matches!(&error, Error::Refused(fault) if fault.code == FaultCode::TooManyConnections),
        "{error}"
    );
    fake.finish();
}

#[test]
fn another_cluster_is_noticed() {
    let fake = Fake::start(vec![answer(vec![])]);
    let options = auriga_wire::Options { cluster: 8, ..options(1) };
    let mut client = Client::connect(&fake.address, options).expect("connected");
    let error = client.lookup_accounts(&[1]).expect_err("cluster 7 answers");
    assert!(error.to_string().contains("cluster 7, expected 8"), "{error}");
    fake.finish();
}

#[test]
fn sizes_are_checked_before_anything_is_sent() {
    let fake = Fake::start(vec![Box::new(|_| ())]);
    let mut client = Client::connect(&fake.address, options(1)).expect("connected");
    for items in [0, 8191] {
        let found = client.create_transfers(&vec![Transfer::default(); items]);
        assert!(matches!(found, Err(Error::Items(n)) if n == items));
    }
    fake.finish();
}
