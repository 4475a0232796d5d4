//! The load generator's workloads against a real server: whatever is sent, the money is verified.

use auriga_tests::harness::{Scratch, Start, format, run_bench};
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

#[test]
fn every_workload_is_verified() {
    let scratch = Scratch::new("workloads");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let run = |workload: &str| -> Value {
        let address = ["run", "--address", server.address()];
        let finished = run_bench(&[&address, &BRIEF[..], &[workload]].concat()).expect(0, &[]);
        let report = finished.stdout.lines().last().expect("a last line");
        serde_json::from_str(report).unwrap_or_else(|e| panic!("{e}: not JSON:\n{}", finished.stdout))
    };
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
