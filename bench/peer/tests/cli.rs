//! `auriga-peer`'s command line: what it says, and with which code it ends, when what it is told makes no sense or nobody is there.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn peer(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_auriga-peer"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("piped");
    // A program that has ended already reads nothing.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_run_that_makes_no_sense_or_finds_nobody_says_why() {
    let run = |system: &'static str, address: &'static str, more: &[&'static str]| {
        [&["run", "--system", system, "--address", address][..], more].concat()
    };
    let nobody = "host=/nowhere/at/all user=one dbname=two";
    let cases = [
        (
            run("postgres", nobody, &["--batch", "2"]),
            2,
            "a request of --system postgres is 1 transfer; postgres-batched",
        ),
        (run("postgres", nobody, &[]), 4, "can't connect to PostgreSQL"),
        (run("postgres-batched", "host=/tmp port=many", &[]), 2, "--address: "),
        (run("postgres-batched", nobody, &["--batch", "8191"]), 2, "8191"),
        (run("redis", "unix:///nowhere/at/all", &[]), 4, "can't connect to Redis"),
        (run("redis", "nonsense", &[]), 2, "expected `redis://...` or `unix:///tmp/socket`"),
        (run("redis", "unix:///nowhere/at/all", &["--connections", "0"]), 2, "--connections"),
        (run("ledger", nobody, &[]), 2, "postgres, postgres-batched, redis"),
        (vec!["run", "--system", "redis"], 2, "--address"),
        (vec!["compare", "--absent", "redis"], 2, "found `redis`, expected NAME=PACKAGE"),
    ];
    for (arguments, code, expected) in cases {
        let output = peer(&arguments, "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {expected:?} is missing in: {said}");
    }
}

#[test]
fn a_comparison_names_what_is_absent_and_fails_if_a_run_was_not_verified() {
    let line = |name: &str, rate: u32, verified: bool| {
        format!(
            "{name} 4 {{\"transfers_per_second\":{rate},\"latency_us\":{{\"p50\":1,\"p99\":2,\"p999\":3,\"max\":4}},\
             \"verified\":{verified},\"batch\":10,\"settings\":{{\"fsync\":\"on\"}}}}\n"
        )
    };
    let arguments = ["compare", "--json", "--absent", "redis=redis-server"];
    for verified in [true, false] {
        let lines = line("auriga-batched", 200, true) + &line("postgres-batched", 50, verified);
        let output = peer(&arguments, &lines);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(i32::from(!verified)), "{said}");
        assert!(
            said.contains("absent: redis is not installed (Debian: apt-get install redis-server)"),
            "{said}"
        );
        let report: serde_json::Value =
            serde_json::from_str(said.lines().last().expect("a last line")).expect("JSON");
        let other = &report["systems"][1];
        assert_eq!((&other["name"], &other["verified"]), (&"postgres-batched".into(), &verified.into()));
        assert_eq!((&other["to_ours"], &other["latency_us"]["p99"]), (&0.25.into(), &2.0.into()));
        assert_eq!(other["settings"]["fsync"], "on");
        assert_eq!(report["absent"][0]["package"], "redis-server");
    }
    assert_eq!(peer(&arguments, "nonsense\n").status.code(), Some(2));
}
