//! SIGTERM and SIGINT: what is under way is answered, then exit code 0; a second signal ends at once.

use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, seed, wait_until};
use auriga_tests::load::{Told, connect, drive_to_the_end, wait_for_answers};
use auriga_wire::RequestFrame;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Stops under load of each signal.
const STOPS: usize = 6;

fn batch_size(random: &mut fastrand::Rng) -> usize {
    match random.u32(..10) {
        0 => 8_190,
        1..5 => random.usize(1..300),
        _ => 1,
    }
}

#[test]
fn a_signal_stops_the_server_and_what_is_under_way_is_answered() {
    let mut random = fastrand::Rng::with_seed(seed("signals"));
    let scratch = Scratch::new("signals");
    let data = scratch.join("data");
    format(&data);
    let mut book = Book::default();
    let mut answered = 0;
    for signal in [libc::SIGTERM, libc::SIGINT].repeat(STOPS) {
        let server = Start::new(&data).shards(random.u16(1..=2)).serve();
        let mut client = connect(server.address());
        book.check(&mut client, &mut random, false);
        book.open_accounts(&mut client, 20);
        let (choice, answers, enough) = (book.choice(), AtomicU64::new(0), random.u64(1..40));
        let sizes: Vec<Vec<usize>> =
            (0..3).map(|_| (0..100).map(|_| batch_size(&mut random)).collect()).collect();
        let mut told = Vec::new();
        std::thread::scope(|scope| {
            let clients: Vec<_> = sizes
                .iter()
                .map(|sizes| {
                    let (seed, address, choice, answers) =
                        (random.u64(..), server.address(), &choice, &answers);
                    scope.spawn(move || drive_to_the_end(address, seed, choice, sizes, answers))
                })
                .collect();
            wait_for_answers(&answers, enough);
            server.signal(signal);
            for client in clients {
                told.extend(client.join().expect("a client does not panic"));
            }
        });
        let finished = server.wait().expect(0, &[]);
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
        answered += told.iter().filter(|sent| matches!(sent.told, Told::Created(_))).count();
        book.note(told);
    }
    let server = Start::new(&data).shards(2).serve();
    let mut client = connect(server.address());
    book.check(&mut client, &mut random, true);
    eprintln!("signals: {} stops, {answered} transfers answered, {} unanswered", 2 * STOPS, book.resolved.1);
    assert_eq!(book.resolved.0, 0, "transfers were executed and their requests not answered");
    server.stop();
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let scratch = Scratch::new("second");
    let data = scratch.join("data");
    format(&data);
    // A client that doesn't take its answers keeps a stopping server for a while; should the second signal come after
    // that all the same, because this machine is slow, it is tried again.
    for _ in 0..5 {
        let server = Start::new(&data).serve();
        let mut client = connect(server.address());
        let accounts: Vec<_> = (1..=8_190).map(|id| auriga_tests::load::account(id, 0)).collect();
        client.create_accounts(&accounts).expect("accounts are created");
        let mut lookup = RequestFrame::lookup_accounts(&(1..=8_190).collect::<Vec<_>>());
        lookup.seal(1, 0);
        let mut stalled = TcpStream::connect(server.address()).expect("the server accepts");
        stalled.set_write_timeout(Some(Duration::from_millis(200))).expect("a time-out can be set");
        while stalled.write_all(lookup.bytes()).is_ok() {}
        server.signal(libc::SIGTERM);
        server.wait_for("stopping");
        let is_refused = || TcpStream::connect(server.address()).is_err();
        wait_until("nothing listens while it waits", is_refused);
        server.signal(libc::SIGTERM);
        let finished = server.wait().expect(0, &[]);
        if finished.stderr.contains("a second signal: ending at once") {
            return;
        }
    }
    panic!("the server never waited for a client, or never took the second signal");
}
