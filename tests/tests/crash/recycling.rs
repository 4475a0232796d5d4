//! The log goes when nothing needs it: to the archive, from which everything can be had again.

use auriga_tests::harness::{Scratch, Start, format, run_auriga, run_bench, seed, text};
use auriga_tests::load::connect;
use auriga_wire::Client;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest that a checkpoint may take after the load, with history.
const PATIENCE: Duration = Duration::from_secs(180);

fn start(data: &Path, archive: &Path) -> Start {
    let limits = ["--ids-max", "700000", "--checkpoint-every", "30000000", "--archive", text(archive)];
    Start::new(data).shards(1).with(&limits)
}

fn digest(client: &mut Client) -> u128 {
    client.status(true).expect("a status").digest.expect("the digest was asked for")
}

/// 1. Ids are forgotten for want of room, so that the log before them may go.
/// 2. A segment of it does, to the archive, and the server goes on.
/// 3. It starts again from a checkpoint, with the same state.
/// 4. History is removed: it is built anew, from the archive.
#[test]
fn what_is_not_needed_is_archived_and_can_be_had_again() {
    let scratch = Scratch::new("recycling");
    let (data, archive) = (scratch.join("data"), scratch.join("archive"));
    format(&data);
    let server = start(&data, &archive).serve();
    let mut client = connect(server.address());
    let begun = Instant::now();
    let first = archive.join("streams/000-00000000.log");
    let mut round = seed("recycling");
    while !first.exists() {
        assert!(begun.elapsed() < PATIENCE, "no segment was archived:\n{}", server.log());
        round = round.wrapping_add(1) % 1_000_000;
        let load =
            ["--seconds", "4", "--warm-up", "0", "--rate", "45000", "--batch", "2000", "--verify", "none"];
        let round = round.to_string();
        let address = server.address();
        run_bench(
            &[&["run", "--address", address, "--accounts", "1000", "--seed", &round][..], &load].concat(),
        )
        .expect(0, &[]);
    }
    let (expected, created) =
        (digest(&mut client), client.status(false).expect("a status").transfers_created);
    server.stop();
    let report = ["inspect", "--data", text(&data), "--digest", "--json"];
    let report = run_auriga(&report).expect(0, &[]).json();
    assert_eq!(report["state"]["digest"], format!("{expected:032x}"), "{report}");

    let server = start(&data, &archive).serve();
    server.wait_for("from a checkpoint");
    let mut client = connect(server.address());
    assert_eq!(digest(&mut client), expected, "the state after a start from a checkpoint");
    server.stop();

    std::fs::remove_dir_all(data.join("history")).expect("it can be removed");
    let server = start(&data, &archive).serve();
    assert!(
        !server.log().contains("from a checkpoint"),
        "history needs a replay from the beginning:\n{}",
        server.log()
    );
    let mut client = connect(server.address());
    assert_eq!(digest(&mut client), expected, "the state after a replay of everything");
    let begun = Instant::now();
    loop {
        let status = client.status(false).expect("a status");
        if status.history_epoch.is_some_and(|epoch| epoch >= status.epoch) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "history is not built: {status:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(created > 700_000, "found {created} transfers, expected more than are remembered");
    server.stop();
}
