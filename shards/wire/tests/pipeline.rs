//! Several requests in flight: any order of replies, large frames both ways, and what a lost connection leaves.

#[allow(dead_code, reason = "each test file uses its part of the helper")]
mod fake;

use auriga_wire::{Error, FaultCode, Pipeline, ReplyBody, RequestFrame, Transfer};
use fake::{Fake, Script, options, read_request, reply, with_timeout};
use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

fn request(id: u128) -> RequestFrame {
    RequestFrame::create_transfers(&[Transfer { id, ..Transfer::default() }])
}

#[test]
fn replies_in_any_order_are_matched_by_number() {
    let script: Script = Box::new(|stream| {
        let mut headers: Vec<_> = (0..5).map(|_| read_request(stream).0).collect();
        headers.reverse();
        headers.swap(0, 2);
        let bytes: Vec<u8> = headers.iter().flat_map(|header| reply(header, 0, &[])).collect();
        stream.write_all(&bytes).expect("written");
    });
    let fake = Fake::start(vec![script]);
    let mut pipeline = Pipeline::connect(&fake.address, &options(1), 5).expect("connected");
    let sent: BTreeSet<u64> = (1..=5).map(|id| pipeline.submit(request(id)).expect("sent")).collect();
    assert!(!pipeline.has_room());
    let mut answered = BTreeSet::new();
    while pipeline.in_flight() > 0 {
        let (number, reply) = pipeline.receive().expect("a reply");
        assert_eq!(number, reply.request);
        assert!(matches!(reply.body, ReplyBody::CreatedTransfers([])));
        assert!(answered.insert(number));
    }
    assert_eq!(sent, answered);
    fake.finish();
}

#[test]
fn frames_of_odd_sizes_lie_behind_each_other() {
    let script: Script = Box::new(|stream| {
        let headers: Vec<_> = (0..3).map(|_| read_request(stream).0).collect();
        let mut bytes = reply(&headers[0], FaultCode::LogFull.number(), b"odd");
        bytes.extend(reply(&headers[1], FaultCode::LogFull.number(), b"still odd"));
        bytes.extend(reply(&headers[2], 0, &[]));
        stream.write_all(&bytes).expect("written");
    });
    let fake = Fake::start(vec![script]);
    let mut pipeline = Pipeline::connect(&fake.address, &options(1), 3).expect("connected");
    for id in 1..=3 {
        pipeline.submit(request(id)).expect("sent");
    }
    for expected in [Some("odd"), Some("still odd"), None] {
        let (_, reply) = pipeline.receive().expect("a reply");
        match (reply.body, expected) {
            (ReplyBody::Refused(fault), Some(text)) => assert_eq!(fault.message, text),
            (ReplyBody::CreatedTransfers([]), None) => {}
            (found, _) => panic!("{found:?}"),
        }
    }
    fake.finish();
}

#[test]
fn large_requests_and_large_replies_do_not_block_each_other() {
    const REQUESTS: usize = 12;
    let script: Script = Box::new(|stream| {
        let body = vec![0; 8190 * 128];
        for _ in 0..REQUESTS {
            let (header, _) = read_request(stream);
            stream.write_all(&reply(&header, 0, &body)).expect("written");
        }
    });
    let fake = Fake::start(vec![script]);
    let mut pipeline = Pipeline::connect(&fake.address, &options(1), REQUESTS).expect("connected");
    for _ in 0..REQUESTS {
        pipeline.submit(RequestFrame::lookup_transfers(&[1; 8190])).expect("sent");
    }
    for _ in 0..REQUESTS {
        let (_, reply) = pipeline.receive().expect("a reply");
        assert!(matches!(reply.body, ReplyBody::Transfers(found) if found.len() == 8190));
    }
    fake.finish();
}

#[test]
fn a_lost_connection_hands_back_what_has_no_answer() {
    let first: Script = Box::new(|stream| {
        let headers: Vec<_> = (0..3).map(|_| read_request(stream).0).collect();
        stream.write_all(&reply(&headers[1], 0, &[])).expect("written");
    });
    let second: Script = Box::new(|stream| {
        for id in [1, 3] {
            let (header, bytes) = read_request(stream);
            let frame = auriga_wire::Frame::check(&bytes).expect("good").1;
            assert_eq!(frame.records::<Transfer>()[0].id, id, "sent again in the order of before");
            stream.write_all(&reply(&header, 0, &[])).expect("written");
        }
    });
    let fake = Fake::start(vec![first, second]);
    let mut pipeline = Pipeline::connect(&fake.address, &options(1), 3).expect("connected");
    let numbers: Vec<u64> = (1..=3).map(|id| pipeline.submit(request(id)).expect("sent")).collect();
    assert_eq!(pipeline.receive().expect("one reply").0, numbers[1]);
    let error = pipeline.receive().map(|reply| reply.0).expect_err("the server has closed");
    assert!(matches!(error, Error::Lost { .. }) && error.is_outcome_unknown(), "{error}");

    let back = pipeline.into_unacknowledged();
    assert_eq!(back.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [numbers[0], numbers[2]]);
    let mut pipeline = Pipeline::connect(&fake.address, &options(1), 3).expect("connected");
    for (_, frame) in back {
        pipeline.submit(frame).expect("sent");
    }
    pipeline.receive().expect("a reply");
    pipeline.receive().expect("a reply");
    fake.finish();
}

#[test]
fn silence_ends_in_a_timeout() {
    let script: Script = Box::new(|stream| {
        read_request(stream);
        let mut rest = [0];
        std::io::Read::read(stream, &mut rest).expect("the client goes away");
    });
    let fake = Fake::start(vec![script]);
    let options = with_timeout(Duration::from_millis(400), 1);
    let mut pipeline = Pipeline::connect(&fake.address, &options, 1).expect("connected");
    pipeline.submit(request(1)).expect("sent");
    match pipeline.receive().map(|reply| reply.0) {
        Err(Error::Lost { source, .. }) => assert_eq!(source.kind(), std::io::ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
    drop(pipeline);
    fake.finish();
}

#[test]
fn a_reply_to_a_request_that_was_not_sent_is_refused() {
    let script: Script = Box::new(|stream| {
        let (mut header, _) = read_request(stream);
        header.request += 1;
        stream.write_all(&reply(&header, 0, &[])).expect("written");
    });
    let fake = Fake::start(vec![script]);
    let mut pipeline = Pipeline::connect(&fake.address, &options(1), 2).expect("connected");
    pipeline.submit(request(1)).expect("sent");
    let error = pipeline.receive().map(|reply| reply.0).expect_err("a stray reply");
    assert!(error.to_string().contains("not in flight"), "{error}");
    fake.finish();
}
