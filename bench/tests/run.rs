//! `auriga-bench run` from its command line: what it prints, and what it notices.

#[allow(dead_code, reason = "each test file uses its part of the helper")]
mod fake_ledger;
#[allow(dead_code, reason = "each test file uses its part of the helper")]
mod program;

use fake_ledger::{Manner, STALL, start};
use program::{Temporary, run};
use std::process::Output;

fn bench(address: &str, more: &[&str]) -> Output {
    let brief = ["--accounts", "50", "--batch", "100", "--warm-up", "0.05", "--seconds", "0.2", "--json"];
    run(&[&["run", "--address", address], &brief[..], more].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn json(output: &Output) -> serde_json::Value {
    let text = stdout(output);
    serde_json::from_str(text.lines().last().expect("a last line")).expect("JSON")
}

#[test]
fn an_honest_ledger_is_verified() {
    let address = start(Manner::Honest);
    for more in [&[][..], &["--workers", "2", "--hot-share", "0.5"], &["--verify", "sample"]] {
        let output = bench(&address, more);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        let report = json(&output);
        assert_eq!(report["verified"], true);
        assert!(report["transfers"].as_u64() > Some(0), "{text}");
        assert_eq!((&report["refused"], &report["shards"]), (&0.into(), &2.into()));
        let environment = &report["environment"];
        assert_eq!(
            (&environment["server_shards"], &environment["seed"]),
            (&"2".into(), &"1".into()),
            "{text}"
        );
        assert!(environment["arguments"].as_str().is_some_and(|words| words.contains(&address)), "{text}");
        for (name, value) in environment.as_object().expect("an object") {
            let value = value.as_str().expect("a text");
            assert!(text.contains(&format!(" {value}")), "{name} {value} is missing in {text}");
        }
        let keys: Vec<&String> = report.as_object().expect("an object").keys().collect();
        assert_eq!(keys.len(), 33, "{keys:?}");
        assert!(text.contains("verified: 50 of 50 accounts"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains(" flush ")).count(), 2, "{text}");
    }
}

/// A workload with so few requests in flight that pending transfers are soon resolved.
fn workload(name: &'static str) -> [&'static str; 6] {
    ["--workload", name, "--connections", "2", "--in-flight", "1"]
}

#[test]
fn every_workload_is_verified_and_counted() {
    // Pending transfers, posts, voids, chains, look-ups.
    let cases = [
        ("plain", [false, false, false, false, false]),
        ("two-phase", [true, true, true, false, false]),
        ("linked", [false, false, false, true, false]),
        ("mixed", [true, true, true, true, true]),
    ];
    let address = start(Manner::Honest);
    for (name, expected) in cases {
        for more in [&[][..], &["--workers", "2", "--hot-share", "0.5"], &["--batch", "33"]] {
            let output = bench(&address, &[&workload(name), more].concat());
            let text = stdout(&output);
            assert_eq!(output.status.code(), Some(0), "{text}");
            let report = json(&output);
            assert_eq!((&report["verified"], &report["workload"]), (&true.into(), &name.into()));
            assert_eq!(report["refused"], 0, "{text}");
            let kinds = ["pendings", "posts", "voids", "chains", "lookups"].map(|kind| &report[kind]);
            assert_eq!(kinds.map(|number| number.as_u64() > Some(0)), expected, "{text}");
            let number = |kind: &str| report[kind].as_u64().expect("a number");
            assert!(number("posts") > number("voids") || name == "plain" || name == "linked", "{text}");
            assert_eq!(text.contains("stay open"), expected[0], "{text}");
            assert_eq!(text.contains("look-ups during the load found"), expected[4], "{text}");
        }
    }
}

#[test]
fn sizes_accounts_and_shares_of_any_distribution_are_verified() {
    let mix = ["--mix", "plain=3,two-phase=2,linked=1,lookup=2"];
    let cases: [&[&str]; 8] = [
        &["--sizes", "uniform:1..200"],
        &["--sizes", "log-uniform:1..8190", "--connections", "1"],
        &["--sizes", "choice:1=50,500=1", "--accounts-drawn", "zipf:1.1"],
        &["--accounts-drawn", "ping-pong", "--hot-share", "0.5", "--hot-accounts", "5"],
        &["--accounts-drawn", "zipf", "--workload", "limited", "--failing-share", "0.1"],
        &mix,
        &[mix[0], mix[1], "--sizes", "uniform:1..100", "--workers", "2"],
        &[
            mix[0],
            mix[1],
            "--sizes",
            "log-uniform:1..300",
            "--accounts-drawn",
            "ping-pong",
            "--in-flight",
            "1",
        ],
    ];
    for more in cases {
        for manner in [Manner::Honest, Manner::RefusesSome] {
            let output = bench(&start(manner), more);
            let (text, report) = (stdout(&output), json(&output));
            assert_eq!(output.status.code(), Some(0), "{more:?} {manner:?}: {text}");
            assert_eq!(report["verified"], true, "{more:?} {manner:?}: {text}");
            assert!(report["transfers"].as_u64() > Some(0), "{text}");
            for option in ["sizes", "accounts_drawn"] {
                let chosen =
                    more.iter().position(|name| name.trim_start_matches("--").replace('-', "_") == option);
                let chosen = chosen.map(|place| more[place + 1]);
                let told = report[option].as_str().expect("a text");
                assert!(chosen.is_none_or(|chosen| told.starts_with(chosen)), "{option}: {text}");
            }
        }
        let output = bench(&start(Manner::InventsMoney), more);
        assert_eq!(output.status.code(), Some(1), "{more:?}: {}", stdout(&output));
    }
}

/// While the load runs, accounts are created, and money is moved between them: all of it is verified, and a ledger that lies is found out.
#[test]
fn accounts_that_are_created_under_load_are_verified() {
    let growing = ["--mix", "plain=4,two-phase=2,linked=2,account=1,lookup=1", "--connections", "2"];
    for more in [
        &[][..],
        &["--sizes", "uniform:1..60"],
        &["--workers", "2", "--batch", "3"],
        &["--accounts-drawn", "zipf"],
    ] {
        let address = start(Manner::Honest);
        // Twice on the same ledger: each run has new accounts of its own.
        for _ in 0..2 {
            let output = bench(&address, &[&growing, more].concat());
            let (text, report) = (stdout(&output), json(&output));
            assert_eq!(output.status.code(), Some(0), "{more:?}: {text}");
            assert_eq!((&report["verified"], &report["refused"]), (&true.into(), &0.into()), "{text}");
            assert!(report["accounts"].as_u64() > Some(0), "{text}");
            assert!(report["account_latency_us"]["p50"].as_f64() > Some(0.0), "{text}");
            let line = text.lines().find(|line| line.contains("accounts hold exactly")).expect("a line");
            let verified = line.split_whitespace().nth(1).expect("a number").replace(',', "");
            assert!(verified.parse::<u64>().expect("a number") > 50, "{text}");
        }
    }
    for (manner, words) in
        [(Manner::ForgetsAnAccount, "not found"), (Manner::InventsMoney, "of this run DIFFER")]
    {
        let output = bench(&start(manner), &growing);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{manner:?}: {text}");
        assert!(text.contains(words) && text.contains("NOT VERIFIED"), "{manner:?}: {text}");
    }
}

#[test]
fn a_ledger_that_takes_no_more_accounts_ends_the_load_and_is_verified() {
    let output = bench(&start(Manner::FillsUpWithAccounts), &["--mix", "plain=1,account=1", "--batch", "20"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("stopped early, the server refused a request: a new account: limit_reached"),
        "{text}"
    );
    assert_eq!(json(&output)["verified"], true, "{text}");
}

#[test]
fn queries_need_a_history() {
    let output = bench(&start(Manner::Honest), &["--mix", "plain=1,query=1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--history on"));
}

#[test]
fn an_open_loop_keeps_its_rate_with_lookups_in_between() {
    let more = ["--rate", "20000", "--seconds", "1", "--verify", "none"];
    let output = bench(&start(Manner::Honest), &[&workload("mixed"), &more[..]].concat());
    let (text, report) = (stdout(&output), json(&output));
    assert_eq!(output.status.code(), Some(0), "{text}");
    let (sent, behind) = (report["transfers"].as_u64().expect("a number"), text.contains("behind schedule"));
    assert!((16_000..24_000).contains(&sent) || (sent < 20_000 && behind), "{text}");
}

#[test]
fn refused_transfers_are_counted_and_do_not_disturb() {
    let output = bench(&start(Manner::RefusesSome), &[]);
    let (text, report) = (stdout(&output), json(&output));
    assert_eq!(output.status.code(), Some(0), "{text}");
    let (refused, created) = (report["refused"].as_u64(), report["transfers"].as_u64());
    assert_eq!(refused.map(|refused| refused * 9), created, "{text}");
    assert!(text.contains("exceeds_credits"), "{text}");
}

#[test]
fn what_is_refused_takes_its_post_and_its_chain_along() {
    let cases = [
        ("two-phase", &["exceeds_credits", "pending_transfer_not_found"][..]),
        ("linked", &["exceeds_credits", "linked_event_failed"]),
        ("mixed", &["exceeds_credits", "pending_transfer_not_found", "linked_event_failed"]),
    ];
    for (name, words) in cases {
        let output = bench(&start(Manner::RefusesSome), &workload(name));
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{name}: {text}");
        assert_eq!(json(&output)["verified"], true, "{name}: {text}");
        for word in words {
            assert!(text.contains(word), "{name}: {word:?} is missing in {text}");
        }
    }
}

#[test]
fn a_ledger_that_lies_is_found_out() {
    let cases = [
        (Manner::ForgetsATransfer, "plain", "was acknowledged and is not found"),
        (Manner::RewritesATransfer, "plain", "expected Transfer"),
        (Manner::InventsMoney, "plain", "of this run DIFFER"),
        (Manner::LosesAPost, "two-phase", "NOT VERIFIED: 48 of 50 accounts"),
        (Manner::LosesAPost, "mixed", "NOT VERIFIED: 48 of 50 accounts"),
        (Manner::ForgetsAVoid, "two-phase", "NOT VERIFIED: 48 of 50 accounts"),
        (Manner::ForgetsAVoid, "mixed", "NOT VERIFIED: 48 of 50 accounts"),
        (
            Manner::DeniesAPending,
            "two-phase",
            "was refused (pending_transfer_not_found), and what it resolves",
        ),
        (Manner::AppliesHalfAChain, "linked", "NOT VERIFIED: 4"),
        (Manner::AppliesHalfAChain, "mixed", "NOT VERIFIED: 4"),
        (Manner::RefusesHalfAChain, "linked", "2 of its 4 transfers were refused"),
        (Manner::RefusesHalfAChain, "mixed", "2 of its 4 transfers were refused"),
        (Manner::LooksUpWrongOnce, "mixed", "expected Transfer"),
    ];
    for (manner, name, words) in cases {
        let output = bench(&start(manner), &workload(name));
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{manner:?} {name}: {text}");
        assert!(text.contains(words) && text.contains("NOT VERIFIED"), "{manner:?} {name}: {text}");
        assert_eq!(json(&output)["verified"], false);
    }
}

#[test]
fn a_full_ledger_ends_the_load_and_what_was_acknowledged_is_verified() {
    let output = bench(&start(Manner::FillsUp), &[]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("stopped early, the server refused a request: log_full: no room"), "{text}");
    assert_eq!(json(&output)["verified"], true);
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let output = bench(&start(Manner::Honest), &["--rate", "20000", "--seconds", "0.5", "--verify", "none"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let report = json(&output);
    assert_eq!(report["verified"], false, "nobody looked");
    let (sent, behind) = (report["transfers"].as_u64().expect("a number"), text.contains("behind schedule"));
    assert!(sent == 10_000 || (sent < 10_000 && behind), "{text}");
}

/// A request that waits behind the stall is charged for it in the corrected latency, and not in the raw one; nor is the
/// generator blamed, which could not send.
#[test]
fn a_stall_is_charged_from_the_intended_send_time() {
    let open =
        ["--rate", "20000", "--warm-up", "0", "--seconds", "1", "--connections", "1", "--in-flight", "1"];
    for arrivals in ["constant", "poisson"] {
        let output = bench(&start(Manner::Stalls), &[&open[..], &["--arrivals", arrivals]].concat());
        let (text, report) = (stdout(&output), json(&output));
        assert_eq!(output.status.code(), Some(0), "{text}");
        let p99 = |of: &serde_json::Value| of["p99"].as_f64().expect("a number");
        let (corrected, raw) = (p99(&report["latency_us"]), p99(&report["raw_latency_us"]));
        let lateness = p99(&report["generator"]["lateness_us"]);
        let stall = STALL.as_micros() as f64;
        assert!(corrected > stall / 2.0 && raw < corrected && lateness < stall / 2.0, "{text}");
        assert!(report["latency_us"]["max"].as_f64() >= Some(stall), "{text}");
        assert!(text.contains("from its actual send") && text.contains("its own lateness"), "{text}");
        assert!(text.contains(&format!("{arrivals} arrivals")), "{text}");
    }
}

#[test]
fn a_connection_lost_fails_the_run() {
    let output = bench(&start(Manner::HangsUp), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("lost the connection"), "{text}");
    // What was measured until then is reported all the same, with what has no answer.
    let report = json(&output);
    assert_eq!(report["verified"], false);
    assert!(report["unanswered"].as_u64() > Some(0) && report["shards"] == 2, "{report}");
}

const SCHEDULE: &str = r#"
[[phase]]
name = "warm-up"
seconds = 1
rate = 20_000
measured = false

[[phase]]
name = "ramp"
seconds = 4
rate = { from = 10_000, to = 20_000, steps = 2 }

[[phase]]
name = "spikes"
seconds = 4
rate = 10_000
in_flight = 2
spikes = { every = 2, for = 0.5, rate = 40_000 }

[[phase]]
name = "closed"
seconds = 1
in_flight = 1
"#;

fn scheduled(address: &str, file: &Temporary, more: &[&str]) -> Output {
    let run_with = ["run", "--address", address, "--accounts", "50", "--batch", "100", "--json"];
    run(&[&run_with[..], &["--schedule", file.path()], more].concat())
}

#[test]
fn a_schedule_is_run_phase_by_phase_and_verified() {
    let file = Temporary::new("schedule.toml", SCHEDULE);
    let output = scheduled(&start(Manner::Honest), &file, &["--shorten", "10", "--arrivals", "constant"]);
    let (text, report) = (stdout(&output), json(&output));
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(report["verified"], true);
    let phases = report["phases"].as_array().expect("a list");
    // Transfers that are due: of rate, of a tenth of the time.
    let expected =
        [("warm-up", 2_000), ("ramp 1/2", 2_000), ("ramp 2/2", 4_000), ("spikes", 7_000), ("closed", 0)];
    assert_eq!(phases.len(), expected.len());
    let mut measured = 0;
    for (phase, (name, due)) in phases.iter().zip(expected) {
        let number = |key: &str| phase[key].as_u64().expect("a number");
        assert_eq!(phase["name"], name);
        assert_eq!(phase["measured"], name != "warm-up");
        measured += if name == "warm-up" { 0 } else { number("transfers") };
        let sent = number("transfers") + 100 * number("unsent");
        assert!(sent == due || name == "closed" && sent > 0, "{name}: {sent}, expected {due}:\n{text}");
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} has no line:\n{text}");
    }
    assert_eq!(report["transfers"], measured, "{text}");
}

#[test]
fn a_plan_says_what_is_needed_and_needs_no_server() {
    let file = Temporary::new("plan.toml", SCHEDULE);
    let output = scheduled("127.0.0.1:1", &file, &["--plan"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in
        ["ramp 2/2", "10,000, spikes of 40,000", "as fast as possible", "in all 10.0 s", "disk space"]
    {
        assert!(text.contains(words), "{words} is missing in {text}");
    }
}

#[test]
fn mistakes_in_a_schedule_name_file_line_and_key() {
    let file = Temporary::new("mistake.toml", &SCHEDULE.replace("every", "evry"));
    let cases = [
        (&[][..], "mistake.toml:18: found unknown key `evry`: did you mean `every`?"),
        (&["--rate", "1"], "--schedule"),
    ];
    for (more, words) in cases {
        let output = scheduled("127.0.0.1:1", &file, more);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(words), "{words} is missing in {text}");
    }
}

#[test]
fn exit_codes_tell_usage_and_environment_apart() {
    let nobody = "127.0.0.1:1";
    assert_eq!(bench(nobody, &[]).status.code(), Some(4));
    let wrong = [
        ["--hot-share", "1.5"],
        ["--workers", "9"],
        ["--rate", "0"],
        ["--connections", "0"],
        ["--timeout", "never"],
        ["--arrivals", "sometimes"],
        ["--shorten", "2"],
        ["--sizes", "uniform:9..1"],
        ["--accounts-drawn", "normal"],
        ["--mix", "lookup=1"],
        ["--hot-accounts", "51"],
        ["--schedule", "not-there.toml"],
    ];
    for more in wrong {
        let output = bench(nobody, &more);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
    }
    let address = start(Manner::Honest);
    let output = run(&["run", "--address", &address, "--accounts", "200000"]);
    assert_eq!(output.status.code(), Some(2), "more accounts than the server holds");
}
