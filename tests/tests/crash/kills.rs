//! kill -9 at random moments, again and again: of starts, under load, and while checkpoints are taken.

use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Server, Start, format, run_auriga, seed, text};
use auriga_tests::load::{Pattern, connect, drive_many};
use auriga_wire::Client;
use std::path::Path;
use std::time::Duration;

/// Data directories, and kills under load of each.
const DIRECTORIES: usize = 5;
const KILLS: usize = 21;
/// Accounts at first, and accounts more for each life.
const ACCOUNTS: usize = 40;

fn patterns(random: &mut fastrand::Rng) -> Vec<Pattern> {
    let kinds = [
        Pattern { batches: vec![1, 2, 3], in_flight: 8, transfers_max: 1_000 },
        Pattern { batches: vec![1, 30, 200], in_flight: 16, transfers_max: 8_000 },
        Pattern { batches: vec![1_000, 8_190], in_flight: 4, transfers_max: 40_000 },
        Pattern { batches: vec![1], in_flight: 1, transfers_max: 300 },
    ];
    (0..random.usize(1..=4)).map(|_| kinds[random.usize(..kinds.len())].clone()).collect()
}

/// With checkpoints seldom, often, or one after the other.
fn start(data: &Path, random: &mut fastrand::Rng) -> Start {
    let every = ["2000000000", "2000000", "100000", "1"][random.usize(..4)];
    Start::new(data).shards(random.u16(1..=4)).with(&["--checkpoint-every", every])
}

/// Kills a few servers before they serve, then returns one that does.
fn start_and_sometimes_kill(data: &Path, random: &mut fastrand::Rng, kills: &mut usize) -> Server {
    while random.u32(..4) == 0 {
        let server = start(data, random).spawn();
        // A random moment of the start, not a wait for anything.
        std::thread::sleep(Duration::from_millis(random.u64(..150)));
        server.kill();
        *kills += 1;
    }
    start(data, random).serve()
}

#[test]
fn what_was_acknowledged_survives_kill_nine() {
    let seed = seed("kills");
    let (mut kills, mut early, mut resolved, mut created, mut loaded) = (0, 0, (0, 0), 0, 0);
    for directory in 0..DIRECTORIES {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(directory as u64));
        let scratch = Scratch::new("kills");
        let data = scratch.join("data");
        format(&data);
        let mut book = Book::default();
        for life in 0..KILLS {
            let server = start_and_sometimes_kill(&data, &mut random, &mut early);
            let mut client = connect(server.address());
            loaded += usize::from(server.log().contains("from a checkpoint"));
            book.check(&mut client, &mut random, false);
            book.open_accounts(&mut client, if life == 0 { ACCOUNTS } else { 1 });
            let (choice, patterns) = (book.choice(), patterns(&mut random));
            let enough = random.u64(..60);
            let address = server.address().to_string();
            let told = drive_many(&address, &mut random, &choice, &patterns, enough, || {
                server.kill();
            });
            book.note(told);
            kills += 1;
        }
        let server = start(&data, &mut random).serve();
        let mut client = connect(server.address());
        book.check(&mut client, &mut random, true);
        expect_same_digest_offline(server, &mut client, &data);
        created += book.created().len();
        resolved = (resolved.0 + book.resolved.0, resolved.1 + book.resolved.1);
        assert!(book.refused().len() > 10, "some transfers were refused");
    }
    eprintln!(
        "kills: {kills} under load, {early} during a start; {loaded} starts from a checkpoint; {created} transfers acknowledged or found; of the unanswered \
         {} were there and {} not",
        resolved.0, resolved.1
    );
    assert!(loaded > 0, "no start was from a checkpoint");
    assert!(kills >= 100 && resolved.0 > 0 && resolved.1 > 0, "the kills came in the middle of something");
}

/// Stops the server; `inspect` then finds the state that the server had.
fn expect_same_digest_offline(server: Server, client: &mut Client, data: &Path) {
    let digest = client.status(true).expect("a status").digest.expect("the digest was asked for");
    server.stop();
    let report = run_auriga(&["inspect", "--data", text(data), "--digest", "--json"]).expect(0, &[]).json();
    assert_eq!(report["state"]["digest"], format!("{digest:032x}"), "{report}");
}
