//! A server that is lost under load: what it did not answer is in the figures.

use auriga_tests::harness::{Scratch, Server, Start, bench, format, run_with, stop_process, wait_until};
use auriga_tests::load::connect;
use serde_json::Value;

/// Requests that are due: 10 s of 2,000 transfers/s, 100 a request.
const DUE: u64 = 200;

/// Loads a server at a rate, does something to it when some transfers are created, and expects the run to fail with these words. Every
/// request that was due is in its report: answered, unanswered or unsent.
#[track_caller]
fn lose(what: impl FnOnce(Server) -> Option<Server>, words: &str) {
    let scratch = Scratch::new("lost");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let address = server.address().to_string();
    let run = [
        "run",
        "--address",
        &address,
        "--accounts",
        "100",
        "--rate",
        "2000",
        "--batch",
        "100",
        "--warm-up",
        "0",
    ];
    let load = bench(&[&run[..], &["--seconds", "10", "--timeout", "2", "--json"]].concat());
    let mut left = None;
    let finished = run_with(load, |_| {
        let mut client = connect(&address);
        let mut created = || client.status(false).expect("a status").transfers_created;
        // More than are looked for below: the last ones may not be acknowledged.
        wait_until("some transfers are created", || created() >= 1_200);
        left = what(server);
    });
    drop(left);
    let finished = finished.expect(1, &[words]);
    let report: Value =
        serde_json::from_str(finished.stdout.lines().last().expect("a last line")).expect("JSON");
    let number = |name: &str| report[name].as_u64().expect("a number");
    assert_eq!((&report["verified"], number("refused")), (&false.into(), 0), "{report}");
    assert!(number("unsent") > 0 && number("transfers") >= 1_000, "{report}");
    assert_eq!(number("transfers") / 100 + number("unanswered") + number("unsent"), DUE, "{report}");
    assert!(finished.stdout.contains("were due and not sent"), "{}", finished.stdout);
}

#[test]
fn what_a_killed_server_did_not_answer_is_counted() {
    lose(
        |server| {
            server.kill();
            None
        },
        "lost the connection",
    );
}

#[test]
fn what_a_stopped_server_did_not_answer_is_counted() {
    lose(
        |server| {
            stop_process(server.id());
            Some(server)
        },
        "the server answered nothing for 2 s",
    );
}
