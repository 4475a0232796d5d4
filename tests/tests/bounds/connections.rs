//! Ten thousand connections.

use crate::raw::{client, closed, resident_bytes, wait_for_status};
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, seed};
use auriga_tests::load::{Pattern, drive_while, wait_for_answers};
use std::net::TcpStream;
use std::sync::atomic::Ordering;

const WANTED: u64 = 10_000;
/// Descriptors that the test and the server need besides the connections.
const OTHER_FILES: u64 = 400;
/// Resident memory of one more connection, at most: its buffer of 8 KiB, its task, its socket's state.
const CONNECTION_MAX: u64 = 32 << 10;

/// Raises the limit on open files; as many connections as it allows.
fn connections() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable, then readable, for the calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0, "the limit can be read");
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0, "the soft limit can be raised");
    }
    WANTED.min(limit.rlim_max.saturating_sub(OTHER_FILES))
}

#[test]
fn ten_thousand_connections_do_not_disturb_one_that_works() {
    let mut random = fastrand::Rng::with_seed(seed("connections"));
    let count = connections();
    eprintln!("connections: {count} of {WANTED} wanted");
    assert!(count > 0, "the limit on open files leaves room for none (ulimit -n)");
    let scratch = Scratch::new("connections");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).with(&["--connections-max", "11000"]).serve();
    let mut control = client(&server);
    let mut book = Book::default();
    book.open_accounts(&mut control, 100);
    let choice = book.choice();
    let pattern = Pattern { batches: vec![1, 3], in_flight: 1, ..Pattern::ENDLESS };
    let told = drive_while(server.address(), random.u64(..), &choice, &pattern, |answers| {
        let before = resident_bytes(&server);
        let idle: Vec<_> =
            (0..count).map(|_| TcpStream::connect(server.address()).expect("the server accepts")).collect();
        // On a very slow machine the first ones have been closed for their silence before the last one is open.
        let status = wait_for_status(&mut control, "all open", |status| {
            status.connections + closed(status, "silent") >= count + 2
        });
        assert_eq!(closed(&status, "too_many_connections"), 0, "none is turned away below the bound");
        eprintln!("connections: {}; closed: {:?}", status.connections, status.closed);
        let grown = resident_bytes(&server).saturating_sub(before);
        eprintln!("connections: {} bytes of memory for each", grown / count);
        assert!(grown < (64 << 20) + count * CONNECTION_MAX, "{grown} bytes for {count} connections");
        wait_for_answers(answers, answers.load(Ordering::Relaxed) + 100);
        drop(idle);
        wait_for_status(&mut control, "all closed", |status| status.connections <= 2);
    });
    book.note(told);
    book.check(&mut control, &mut random, true);
    assert_eq!(book.resolved, (0, 0), "every batch was answered");
    server.stop();
}
