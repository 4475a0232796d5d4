//! Frames that are none: each gets a reply that names the fault, closes its own connection alone, and is counted.

use crate::raw::{Raw, client, closed, sealed, wait_for_status};
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, seed};
use auriga_tests::load::{Pattern, drive_while};
use auriga_wire::frame::{FRAME_SIZE_MAX, HEADER_SIZE, seal};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, FaultCode, RequestFrame, Transfer};

/// A frame, what is wrong with it, the fault, and words that its message has.
struct Case {
    what: &'static str,
    bytes: Vec<u8>,
    code: FaultCode,
    words: &'static str,
    /// The request's number in the reply: 42 as sent, or 0 where the header can't be trusted.
    request: u64,
}

/// A good frame with bytes put in, sealed again.
fn patched(frame: RequestFrame, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = sealed(frame);
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut frame);
    frame
}

fn lookup() -> RequestFrame {
    RequestFrame::lookup_accounts(&[1, 2, 3])
}

fn cases() -> Vec<Case> {
    let case = |what, bytes, code, words| Case { what, bytes, code, words, request: 42 };
    let size = |size: u32| patched(lookup(), 24, &size.to_le_bytes());
    let mut flipped = sealed(lookup());
    flipped[HEADER_SIZE + 5] ^= 1;
    let transfer = Transfer { flags: TransferFlags::LINKED, ..Transfer::default() };
    let account = Account { flags: AccountFlags::LINKED, ..Account::default() };
    let mut not_whole = sealed(lookup());
    not_whole.truncate(HEADER_SIZE + 16);
    not_whole[24..28].copy_from_slice(&((HEADER_SIZE + 16) as u32).to_le_bytes());
    not_whole[22] = 2;
    seal(&mut not_whole);
    let mut empty = sealed(lookup());
    empty.truncate(HEADER_SIZE);
    empty[24..28].copy_from_slice(&(HEADER_SIZE as u32).to_le_bytes());
    seal(&mut empty);
    vec![
        Case { request: 0, ..case("magic", patched(lookup(), 16, b"HTTP"), FaultCode::BadMagic, "AURG") },
        Case {
            request: 0,
            ..case("version 2", patched(lookup(), 20, &[2, 0]), FaultCode::UnknownVersion, "wire version 2")
        },
        case("command 99", patched(lookup(), 22, &[99, 0]), FaultCode::UnknownCommand, "command 99"),
        case("a reply", patched(lookup(), 23, &[0x80]), FaultCode::UnknownCommand, "command"),
        case("too large", size(FRAME_SIZE_MAX as u32 + 16), FaultCode::BadSize, "expected 128 to"),
        case("huge", size(u32::MAX), FaultCode::BadSize, "expected 128 to"),
        case("too small", size(64), FaultCode::BadSize, "expected 128 to"),
        case("odd size", size(HEADER_SIZE as u32 + 3), FaultCode::BadSize, "multiple of 16"),
        case("half a record", not_whole, FaultCode::BadSize, "items of 128 bytes"),
        case("no body", empty, FaultCode::BadSize, "body of 0 bytes"),
        case("flipped bit", flipped, FaultCode::BadChecksum, "hash to"),
        case("reserved", patched(lookup(), 100, &[1]), FaultCode::ReservedBytesSet, "64 to 127"),
        case("status", patched(lookup(), 28, &[1]), FaultCode::ReservedBytesSet, "must be 0"),
        case("timestamp", patched(lookup(), 40, &[1]), FaultCode::ReservedBytesSet, "must be 0"),
        Case {
            request: 0,
            ..case("number 0", patched(lookup(), 32, &[0; 8]), FaultCode::ReservedBytesSet, "number")
        },
        case("cluster 8", patched(lookup(), 48, &[8]), FaultCode::WrongCluster, "cluster 7"),
        case(
            "open chain",
            sealed(RequestFrame::create_transfers(&[transfer; 2])),
            FaultCode::ChainOpen,
            "linked",
        ),
        case(
            "open chain",
            sealed(RequestFrame::create_accounts(&[account; 2])),
            FaultCode::ChainOpen,
            "linked",
        ),
        Case { request: 0, ..case("text", vec![b'x'; 256], FaultCode::BadMagic, "found 78787878") },
    ]
}

#[test]
fn every_bad_frame_is_named_and_closes_its_connection_alone() {
    let mut random = fastrand::Rng::with_seed(seed("bad frames"));
    let scratch = Scratch::new("frames");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let mut control = client(&server);
    let mut book = Book::default();
    book.open_accounts(&mut control, 100);
    let choice = book.choice();
    let pattern = Pattern { batches: vec![1, 3], in_flight: 1, ..Pattern::ENDLESS };
    let told = drive_while(server.address(), random.u64(..), &choice, &pattern, |_| {
        for Case { what, bytes, code, words, request } in cases() {
            let before = closed(&control.status(false).expect("a status"), code.name());
            let mut raw = Raw::connect(&server);
            raw.send(&bytes);
            let (number, fault) = raw.fault().unwrap_or_else(|| panic!("{what}: closed without a word"));
            assert_eq!((fault.code, number), (code, request), "{what}: {fault}");
            assert!(fault.message.contains(words), "{what}: {words:?} is missing in: {fault}");
            raw.expect_end();
            wait_for_status(&mut control, code.name(), |status| closed(status, code.name()) == before + 1);
        }
        let before = closed(&control.status(false).expect("a status"), "client_closed");
        for cut in [1, 64, HEADER_SIZE, HEADER_SIZE + 7] {
            Raw::connect(&server).send(&sealed(lookup())[..cut]);
        }
        wait_for_status(&mut control, "truncated ones", |status| {
            closed(status, "client_closed") >= before + 4
        });
        let status = control.status(false).expect("a status");
        assert_eq!(status.connections, 2, "only the two good clients are left: {:?}", status.closed);
    });
    book.note(told);
    book.check(&mut control, &mut random, true);
    assert_eq!(book.resolved, (0, 0), "every batch of the good client was answered");
    server.stop();
}

/// Random bytes, and good frames with random bytes in them, from many connections.
#[test]
fn random_bytes_from_many_connections_harm_nobody() {
    let mut random = fastrand::Rng::with_seed(seed("random bytes"));
    let scratch = Scratch::new("random");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let mut control = client(&server);
    let mut book = Book::default();
    book.open_accounts(&mut control, 10);
    for _ in 0..300 {
        let mut raw = Raw::connect(&server);
        let mut bytes = sealed(RequestFrame::lookup_accounts(&[1; 50]));
        for _ in 0..random.usize(1..20) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        if random.bool() {
            seal(&mut bytes);
        }
        // The server may have closed it before all of it was sent.
        let _ = std::io::Write::write_all(&mut raw.socket, &bytes);
    }
    wait_for_status(&mut control, "all gone", |status| status.connections == 1);
    book.check(&mut control, &mut random, true);
    server.stop();
}

/// A socket that is closed with bytes unread resets the connection, and the reason could be lost on its way.
#[test]
fn a_client_that_sends_on_learns_why_it_is_refused() {
    let scratch = Scratch::new("sends-on");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).serve();
    let mut client = Raw::connect(&server);
    let mut flipped = sealed(lookup());
    flipped[HEADER_SIZE + 5] ^= 1;
    client.send(&flipped);
    // The reply is there: the server has done with the frame.
    client.socket.peek(&mut [0]).expect("a reply comes");
    for _ in 0..8 {
        client.send(&[7; 64 << 10]);
    }
    let (_, fault) = client.fault().expect("a fault");
    assert_eq!(fault.code, FaultCode::BadChecksum);
    client.expect_end();
    server.stop();
}
