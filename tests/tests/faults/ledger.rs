//! What the tests here do with a ledger over and over.

use auriga_tests::book::Book;
use auriga_tests::harness::{Server, Start, run_auriga, text};
use auriga_tests::load::{Pattern, connect, drive_while};
use std::path::Path;
use std::time::Duration;

/// Time that a client leaves after each answer. As fast as possible would be two thousand epochs a second: history falls behind on
/// two processors, and checkpoints wait for it. It is of the lowest priority, so the busier the machine, the longer.
pub const PAUSE: Duration = Duration::from_millis(15);

/// Sends small batches of transfers of all kinds until the server has said something so many times, or is gone. `false` if it
/// is gone.
#[track_caller]
pub fn drive_until(server: &Server, book: &mut Book, seed: u64, words: &str, times: usize) -> bool {
    let pattern = Pattern { batches: vec![1, 20], pause: PAUSE, ..Pattern::ENDLESS };
    let mut said = false;
    let told = drive_while(server.address(), seed, &book.choice_of_two_phases(), &pattern, |_| {
        said = server.says(words, times);
    });
    book.note(told);
    said
}

/// Ends a server that takes checkpoints, and lets others go on until both of the directory's are whole: a server that stops gives
/// up the one that it is taking.
pub fn stop_with_two_checkpoints(
    mut server: Server,
    data: &Path,
    book: &mut Book,
    seed: u64,
    start: impl Fn() -> Server,
) {
    loop {
        let whole = server.log().matches("is whole").count();
        assert!(drive_until(&server, book, seed, "is whole", whole + 2), "it goes on");
        server.stop();
        if (0..2).all(|slot| data.join(format!("checkpoints/{slot}/manifest")).exists()) {
            return;
        }
        server = start();
    }
}

/// Starts a server that takes no checkpoints, holds it against the book, and kills it. What `inspect` then finds in the directory
/// is the same state. Returns what the server has said.
#[track_caller]
pub fn check(
    data: &Path,
    shards: u16,
    options: &[&str],
    book: &mut Book,
    random: &mut fastrand::Rng,
) -> String {
    let server = Start::new(data).shards(shards).with(&["--checkpoint-every", "0"]).with(options).serve();
    let mut client = connect(server.address());
    book.check(&mut client, random, false);
    let digest = client.status(true).expect("a status").digest.expect("the digest was asked for");
    let said = server.kill();
    let report = run_auriga(&["inspect", "--data", text(data), "--digest", "--json"]).expect(0, &[]).json();
    assert_eq!(report["state"]["digest"], format!("{digest:032x}"), "{report}");
    said
}
