//! Runs that are longer than what the server, or the generator, remembers: verified all the same, and it is said how much.

use auriga_tests::harness::{Scratch, Server, Start, format, run_bench, text};
use auriga_tests::load::connect;
use serde_json::Value;

fn run(server: &Server, more: &[&str]) -> (Value, String) {
    let options = ["run", "--address", server.address(), "--accounts", "100", "--warm-up", "0", "--json"];
    let finished = run_bench(&[&options, more].concat()).expect(0, &[]);
    let last = finished.stdout.lines().last().expect("a last line");
    (serde_json::from_str(last).expect("JSON"), finished.stdout)
}

/// The server remembers 100,000 ids, and those of the last 10 seconds: 60,000 at this rate. Of 132,000 the first are forgotten.
#[test]
fn a_run_is_verified_though_the_server_has_forgotten_its_first_ids() {
    let scratch = Scratch::new("forgotten");
    let data = scratch.join("data");
    format(&data);
    let few = ["--history", "off", "--ids-max", "100000", "--window", "60"];
    let less = ["--checkpoint-every", "4000000", "--archive"];
    let archive = scratch.join("archive");
    let server = Start::new(&data).shards(2).with(&few).with(&less).with(&[text(&archive)]).serve();
    let (report, said) =
        run(&server, &["--workload", "mixed", "--rate", "6000", "--batch", "200", "--seconds", "22"]);
    assert_eq!((&report["verified"], &report["refused"]), (&true.into(), &0.into()), "{said}");
    let number = |name: &str| report["verification"][name].as_u64().expect("a number");
    assert!(number("forgotten_by_server") > 0 && number("looked_up") > 0, "{said}");
    assert_eq!(number("looked_up") + number("forgotten_by_server"), number("requests"), "{said}");
    assert_eq!(number("forgotten_here"), 0, "{said}");
    assert!(said.contains("older ones are forgotten by the server"), "{said}");
    assert!(said.contains("verified: 100 of 100 accounts"), "{said}");
    let status = connect(server.address()).status(false).expect("a status");
    assert!(status.ids_from_ms > 0 && status.ids <= 100_000, "{status:?}");
    server.stop();
}

/// A refused transfer takes 8 bytes, so that few requests have room in a mebibyte.
#[test]
fn a_run_is_verified_though_the_generator_has_forgotten_requests() {
    let scratch = Scratch::new("forgotten-here");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    for workload in ["plain", "mixed"] {
        let few = ["--workload", workload, "--verify-memory", "1", "--failing-share", "0.5"];
        // A busy machine takes longer to send so much.
        let has_forgotten = ["1.5", "6", "20"].into_iter().any(|seconds| {
            let (report, said) = run(&server, &[&few[..], &["--seconds", seconds]].concat());
            assert_eq!(report["verified"], true, "{said}");
            let number = |name: &str| report["verification"][name].as_u64().expect("a number");
            assert!(number("looked_up") > 0, "{said}");
            assert_eq!(number("looked_up") + number("forgotten_here"), number("requests"), "{said}");
            let says_so = said.contains("are not remembered here (--verify-memory)");
            assert_eq!(says_so, number("forgotten_here") > 0, "{said}");
            says_so
        });
        assert!(has_forgotten, "{workload}: a mebibyte held every request");
    }
    server.stop();
}
