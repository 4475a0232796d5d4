//! The load generator's workloads against a real server: whatever is sent, the money is verified.

use auriga_tests::harness::{Scratch, Server, Start, format, run_bench};
use serde_json::Value;

/// Few accounts and few requests in flight, so that accounts are contended and pending transfers are soon resolved.
const BRIEF: [&str; 14] = [
    "--accounts",
    "100",
    "--batch",
    "499",
    "--connections",
    "3",
    "--in-flight",
    "2",
    "--warm-up",
    "0.2",
    "--seconds",
    "1",
    "--json",
    "--workload",
];

/// Runs a workload, with these options behind its name.
fn run(server: &Server, workload: &[&str]) -> Value {
    let address = ["run", "--address", server.address()];
    let finished = run_bench(&[&address, &BRIEF[..], workload].concat()).expect(0, &[]);
    let report = finished.stdout.lines().last().expect("a last line");
    serde_json::from_str(report).unwrap_or_else(|e| panic!("{e}: not JSON:\n{}", finished.stdout))
}

#[test]
fn every_workload_is_verified() {
    let scratch = Scratch::new("workloads");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let run = |workload: &str| run(&server, &[workload]);
    let kinds = ["pendings", "posts", "voids", "chains", "lookups"];
    // One after the other on the same accounts: what stays pending is there before the next one.
    let cases: [(&str, &[&str]); 4] = [
        ("two-phase", &["pendings", "posts", "voids"]),
        ("plain", &[]),
        ("linked", &["chains"]),
        ("mixed", &kinds),
    ];
    for (workload, expected) in cases {
        let report = run(workload);
        assert_eq!((&report["verified"], &report["workload"]), (&true.into(), &workload.into()), "{report}");
        assert_eq!(report["refused"], 0, "{report}");
        assert!(report["transfers"].as_u64() > Some(0), "{report}");
        for kind in kinds {
            assert_eq!(report[kind].as_u64() > Some(0), expected.contains(&kind), "{kind}: {report}");
        }
    }
    server.stop();
}

/// Shares of every kind, with queries about the past, in requests of many sizes between accounts that are drawn in many ways.
#[test]
fn any_mix_of_sizes_and_accounts_is_verified() {
    let scratch = Scratch::new("mixes");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).with(&["--history", "on"]).serve();
    let cases: [&[&str]; 4] = [
        &["--mix", "plain=8,two-phase=4,linked=4,lookup=1,query=1", "--accounts-drawn", "zipf:1.0"],
        &["--mix", "plain=2,two-phase=1,lookup=1,query=3", "--accounts-drawn", "ping-pong"],
        &["--mix", "plain=4,two-phase=2,linked=2,query=1,account=2", "--workers", "2"],
        &["--mix", "two-phase=1,linked=1", "--rate", "5000", "--arrivals", "poisson"],
    ];
    for case in cases {
        let address = ["run", "--address", server.address(), "--json", "--accounts", "100", "--seconds", "1"];
        let few =
            ["--connections", "3", "--in-flight", "2", "--warm-up", "0.2", "--sizes", "log-uniform:1..8190"];
        let finished = run_bench(&[&address, &few[..], case].concat()).expect(0, &[]);
        let report: Value =
            serde_json::from_str(finished.stdout.lines().last().expect("a line")).expect("JSON");
        assert_eq!((&report["verified"], &report["workload"]), (&true.into(), &case[1].into()), "{report}");
        assert_eq!(report["lookups"].as_u64() > Some(0), case[1].contains("query"), "{report}");
        assert_eq!(report["accounts"].as_u64() > Some(0), case[1].contains("account"), "{report}");
    }
    server.stop();
}

/// Some of what these send is refused: what must be, and what comes too early for a limit.
#[test]
fn what_is_refused_is_verified() {
    let scratch = Scratch::new("refused");
    for (name, workload, shares) in [
        ("failing", &["plain", "--failing-share", "0.1"][..], 0.08..0.12),
        ("limited", &["limited"], 0.001..0.5),
        ("pair", &["limited", "--accounts", "2"], 0.0..0.5),
    ] {
        let data = scratch.join(name);
        format(&data);
        let server = Start::new(&data).shards(2).serve();
        let report = run(&server, workload);
        assert_eq!(report["verified"], true, "{report}");
        let [created, refused] = ["transfers", "refused"].map(|of| report[of].as_f64().expect("a number"));
        let share = refused / (created + refused);
        assert!(shares.contains(&share), "{name}: {share} of {report}");
        server.stop();
    }
}
