//! Clients that say nothing, stop in the middle of a frame, or don't take their replies: each is closed for its reason
//! when the server's patience of 30 s is over, memory stays bounded, and others don't notice.
//!
//! One wait for all of them: the test waits for the counts in the status, and sets no time but that for a hang.

use crate::raw::{Raw, client, closed, resident_bytes, sealed, wait_for_status};
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, seed};
use auriga_tests::load::{Pattern, drive_while};
use auriga_wire::{FaultCode, RequestFrame};
use std::io::Write;
use std::sync::atomic::Ordering;

/// Clients of each kind.
const EACH: usize = 10;
/// What one stalled client may make the server hold: an answer of 1 MiB under way or unsent, and 256 KiB.
const STALLED_MAX: u64 = 2 << 20;
/// Growth that has nothing to do with them: the load beside, answers under way, the allocator's reserve.
const OTHER_MAX: u64 = 192 << 20;
/// Accounts that a look-up names: an answer of 1 MiB.
const LOOKED_UP: usize = 8_190;

/// Sends look-ups until the socket is full, and never reads.
fn stall(raw: &mut Raw) {
    let ids: Vec<_> = (1..=LOOKED_UP as u128).collect();
    let frame = sealed(RequestFrame::lookup_accounts(&ids));
    raw.socket.set_write_timeout(Some(std::time::Duration::from_millis(300))).expect("a time-out can be set");
    // The server stops reading when replies pile up; then our writes stop, too.
    for _ in 0..200 {
        if raw.socket.write_all(&frame).is_err() {
            return;
        }
    }
    panic!("the server reads on although nobody takes its replies");
}

#[test]
fn impatient_and_greedy_clients_are_closed_for_their_reason() {
    let mut random = fastrand::Rng::with_seed(seed("patience"));
    let scratch = Scratch::new("patience");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let mut control = client(&server);
    let mut book = Book::default();
    book.open_accounts(&mut control, LOOKED_UP);
    let choice = book.choice();
    let pattern = Pattern { batches: vec![1, 3], in_flight: 1, ..Pattern::ENDLESS };
    let told = drive_while(server.address(), random.u64(..), &choice, &pattern, |answers| {
        let before = resident_bytes(&server);
        let _silent: Vec<_> = (0..EACH).map(|_| Raw::connect(&server)).collect();
        let mut half: Vec<_> = (0..EACH).map(|_| Raw::connect(&server)).collect();
        for raw in &mut half {
            let whole = sealed(RequestFrame::lookup_accounts(&[u128::MAX - 5]));
            raw.send(&whole);
            raw.send(&sealed(RequestFrame::lookup_accounts(&[1; 1_000]))[..2_000]);
        }
        let mut header: Vec<_> = (0..EACH).map(|_| Raw::connect(&server)).collect();
        for raw in &mut header {
            raw.send(&sealed(RequestFrame::lookup_accounts(&[1]))[..64]);
        }
        let mut stalled: Vec<_> = (0..EACH).map(|_| Raw::connect(&server)).collect();
        for raw in &mut stalled {
            stall(raw);
        }
        let each = EACH as u64;
        let mut peak = 0;
        wait_for_status(&mut control, "all closed", |status| {
            peak = peak.max(resident_bytes(&server));
            closed(status, "silent") == 2 * each
                && closed(status, "frame_timeout") == each
                && closed(status, "stalled") == each
        });
        let grown = peak.saturating_sub(before);
        eprintln!("patience: {} MiB of memory more at the peak, with {EACH} stalled clients", grown >> 20);
        assert!(grown < OTHER_MAX + each * STALLED_MAX, "{grown} bytes more");
        assert!(answers.load(Ordering::Relaxed) > 100, "the client that works went on");
    });
    book.note(told);
    book.check(&mut control, &mut random, true);
    assert_eq!(book.resolved, (0, 0), "every batch was answered");
    server.stop();
}

/// Requests that don't fit the memory for requests wait at the socket; clients that hold some of it and stop are closed
/// when others wait for it.
#[test]
fn half_sent_large_requests_don_t_keep_others_waiting() {
    let scratch = Scratch::new("requests-max");
    let data = scratch.join("data");
    format(&data);
    // Room for two large requests of one shard.
    let server = Start::new(&data).shards(1).with(&["--requests-max", "2100000"]).serve();
    let mut book = Book::default();
    book.open_accounts(&mut client(&server), 100);
    let large = sealed(RequestFrame::create_transfers(&vec![auriga_wire::Transfer::default(); 8_190]));
    let mut holders: Vec<_> = (0..4).map(|_| Raw::connect(&server)).collect();
    for raw in &mut holders {
        raw.send(&large[..100_000]);
    }
    // A small request needs none of it; a large one gets its turn when a holder was closed.
    let mut control = client(&server);
    control.status(false).expect("small requests go on");
    book.open_accounts(&mut control, 8_190);
    let status = control.status(false).expect("a status");
    assert!(closed(&status, FaultCode::FrameTimeout.name()) >= 1, "{:?}", status.closed);
    server.stop();
}

/// Replies that nobody takes are bounded in all, too: look-ups wait then, the clients that take nothing are closed, and the
/// others are served.
#[test]
fn many_stalled_clients_hold_no_more_memory_than_few() {
    const STALLED: usize = 60;
    /// Without the bound they would hold 1 MiB each.
    const HELD_MAX: u64 = 40 << 20;
    let scratch = Scratch::new("replies-max");
    let data = scratch.join("data");
    format(&data);
    let server =
        Start::new(&data).shards(1).with(&["--replies-max", "8388608", "--requests-max", "8388608"]).serve();
    let mut control = client(&server);
    let mut book = Book::default();
    book.open_accounts(&mut control, LOOKED_UP);
    let lookup = sealed(RequestFrame::lookup_accounts(&(1..=LOOKED_UP as u128).collect::<Vec<_>>()));
    let before = resident_bytes(&server);
    let mut peak = 0;
    std::thread::scope(|scope| {
        for _ in 0..STALLED {
            let mut raw = Raw::connect(&server);
            let lookup = &lookup;
            // It comes back with an error when the server closes it, and never reads.
            scope.spawn(move || while raw.socket.write_all(lookup).is_ok() {});
        }
        let mut reader = client(&server);
        wait_for_status(&mut control, "all closed", |status| {
            peak = peak.max(resident_bytes(&server));
            reader.lookup_accounts(&[1]).expect("a client that takes its replies is served");
            closed(status, "stalled") == STALLED as u64
        });
    });
    let held = peak.saturating_sub(before);
    eprintln!("patience: {} MiB of memory more at the peak, with {STALLED} stalled clients", held >> 20);
    assert!(held < HELD_MAX, "{held} bytes more");
    book.check(&mut control, &mut fastrand::Rng::with_seed(1), true);
    server.stop();
}
