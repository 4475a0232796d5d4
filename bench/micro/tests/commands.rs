//! `auriga-micro`, and the scripts that call it, from their command lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory on the disk that the workspace is on, removed when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("micro-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a fresh directory can be made");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn micro(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_auriga-micro")).args(arguments).output().expect("the program starts")
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in:\n{said}");
    }
}

#[test]
fn parts_are_measured_and_come_to_a_limit() {
    let scratch = Scratch::new("parts");
    let data = scratch.0.to_str().expect("UTF-8");
    let measured = micro(&["parts", "--data", data, "--shards", "2"]);
    assert_ends(&measured, 0, &[]);
    assert_eq!(fs::read_dir(&scratch.0).expect("it is there").count(), 0, "what was written is gone");
    let turns = scratch.0.join("turns");
    let engine = r#"{"engine":{"transfers":3e6,"transfers_per_second":1e6,"server_cpu_seconds":3,"generator_cpu_seconds":1.5,"all_cpu_seconds":5}}"#;
    fs::write(&turns, [&measured.stdout[..], engine.as_bytes()].concat()).expect("written");
    let told = micro(&["limit", turns.to_str().expect("UTF-8"), "--json"]);
    assert_ends(&told, 0, &[]);
    let text = String::from_utf8(told.stdout).expect("UTF-8");
    let report: serde_json::Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let parts = report["parts"].as_object().expect("an object");
    let part = |name: &str| number(&parts[name]);
    let cpu = ["loopback", "generator", "checksums", "kernel"].map(part).iter().sum::<f64>();
    assert_eq!(parts.len(), 5, "{text}");
    let cores = number(&report["cores"]);
    let limit = 1e9 / part("log_write").max(cpu / cores);
    assert!((number(&report["limit"]) / limit - 1.0).abs() < 1e-9, "{text}");
    assert!((number(&report["share_of_limit"]) * limit / 1e6 - 1.0).abs() < 1e-9, "{text}");
    assert!((number(&report["server_cpu_share"]) - 1.0 / cores).abs() < 1e-9, "{text}");
    assert!((number(&report["generator_cpu_share"]) - 0.5 / cores).abs() < 1e-9, "{text}");
}

#[test]
fn small_requests_are_measured() {
    let scratch = Scratch::new("small");
    let data = scratch.0.to_str().expect("UTF-8");
    let measured = micro(&["small", "--data", data, "--shards", "2", "--connections", "8", "--seconds", "1"]);
    assert_ends(&measured, 0, &[]);
    assert_eq!(fs::read_dir(&scratch.0).expect("it is there").count(), 0, "what was written is gone");
    let figures: serde_json::Value = serde_json::from_slice(&measured.stdout).expect("JSON");
    for name in ["write_us", "round_trip_us", "answered_per_second"] {
        assert!(figures[name].as_f64().is_some_and(|figure| figure > 0.0), "{name}: {figures}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let scratch = Scratch::new("missing");
    let missing = scratch.0.join("nowhere");
    let missing = missing.to_str().expect("UTF-8");
    assert_ends(&micro(&["parts", "--data", missing, "--shards", "1"]), 4, &["can't be measured", missing]);
    assert_ends(&micro(&["parts", "--data", missing, "--shards", "129"]), 2, &["129"]);
    let small = ["small", "--shards", "1", "--connections", "1", "--seconds", "1", "--data"];
    assert_ends(&micro(&[&small[..], &[missing]].concat()), 4, &["can't be measured", missing]);
    assert_ends(&micro(&["limit", missing]), 4, &["can't read", missing]);
    let turns = scratch.0.join("turns");
    fs::write(&turns, "").expect("written");
    let turns = turns.to_str().expect("UTF-8");
    assert_ends(&micro(&["limit", turns]), 1, &["at least one of each"]);
    assert_ends(&micro(&["instructions", turns, "--compiler", ""]), 1, &["counted nothing"]);
}

#[test]
fn a_stage_that_takes_more_fails_with_its_name() {
    let scratch = Scratch::new("check");
    let line = r#"{"function_name":"plain","id":"legs","profiles":[{"data":{"total":{"metrics":{"Ir":{"values":{"new":6552000}}}}}}]}"#;
    let (counted, table) = (scratch.0.join("counted"), scratch.0.join("table"));
    fs::write(&counted, line).expect("written");
    let [counted, table] = [&counted, &table].map(|path| path.to_str().expect("UTF-8"));
    let told = micro(&["instructions", counted, "--compiler", "rustc 1.92.0"]);
    assert_ends(&told, 0, &[]);
    fs::write(table, &told.stdout).expect("written");
    let check = ["instructions", counted, "--compiler", "rustc 1.92.0", "--check", table];
    assert_ends(&micro(&check), 0, &[]);
    let fewer = String::from_utf8(told.stdout).expect("UTF-8").replace("100.00", "97.00");
    fs::write(table, fewer).expect("written");
    assert_ends(&micro(&check), 1, &["plain.legs: 100.00 instructions a transfer, expected 97.00 (+3.1 %)"]);
}

fn committed(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_line_of_a_machine_that_is_not_here_is_labelled() {
    let (steps, table) = (committed("model.txt"), committed("instructions.txt"));
    let told = micro(&["model", &steps, "--instructions", &table, "--assume", "disks=4", "--json"]);
    assert_ends(&told, 0, &[]);
    let text = String::from_utf8(told.stdout).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    let (json, lines) = lines.split_last().expect("a line");
    let report: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(report["assumed"]["disks"], 4.0);
    let forecasts = report["computed"].as_array().expect("a list");
    assert_eq!(forecasts.len(), 9, "16, 64 and 128 cores on 1, 2 and 4 sockets");
    assert_eq!(lines.iter().filter(|line| line.starts_with("computed ")).count(), 1 + forecasts.len());
    let labels = ["checked ", "computed ", "assumed, not measured: "];
    assert!(lines.iter().all(|line| labels.iter().any(|label| line.starts_with(label))), "{text}");
}

#[test]
fn a_wrong_prediction_ends_with_its_name() {
    let scratch = Scratch::new("model");
    let table = committed("instructions.txt");
    let text = fs::read_to_string(committed("model.txt")).expect("it is committed");
    let line = text.lines().find(|line| line.starts_with("whole_on_2 ")).expect("a step");
    let bad = text.replace(line, "whole_on_2 1000");
    let steps = scratch.0.join("steps");
    fs::write(&steps, bad).expect("written");
    let steps = steps.to_str().expect("UTF-8");
    assert_ends(
        &micro(&["model", steps, "--instructions", &table]),
        1,
        &["nanoseconds on 2 shards: off by -"],
    );
    let assume = |what: &str| micro(&["model", steps, "--instructions", &table, "--assume", what]);
    assert_ends(&assume("cores=3"), 2, &["unknown field `cores`"]);
    assert_ends(&assume("disks=0"), 2, &["--assume disks=0: expected NAME=VALUE"]);
}

#[test]
fn scripts_refuse_what_they_do_not_know() {
    let cases: [(&str, &[&str], &str); 16] = [
        ("limits", &["--secnds", "3"], "unknown option --secnds"),
        ("limits", &["--seconds"], "--seconds needs a value"),
        ("limits", &["--seconds", "0"], "--seconds 0: expected"),
        ("limits", &["--rounds", "many"], "--rounds many: expected"),
        ("limits", &["--shards", "-1"], "--shards -1: expected"),
        ("limits", &["--data", ""], "--data: the value is empty"),
        ("limits", &["5"], "unknown option 5"),
        ("small", &["--secnds", "3"], "unknown option --secnds"),
        ("small", &["--rounds", "0"], "--rounds 0: expected"),
        ("small", &["--shards", "none"], "--shards none: expected"),
        ("instructions", &["--chek"], "unknown option --chek"),
        ("instructions", &["--check", "more"], "unknown option more"),
        ("model", &["--mesure"], "unknown option --mesure"),
        ("model", &["--assume"], "--assume needs a value"),
        ("model", &["--assume", "disks"], "--assume disks: expected NAME=VALUE"),
        ("model", &["--data", "/nowhere"], "only --measure writes anything"),
    ];
    let bench = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in bench");
    for (script, arguments, words) in cases {
        let output = Command::new(bench.join(script)).args(arguments).output().expect("the script starts");
        assert_ends(&output, 2, &[words, &format!("Try bench/{script} --help")]);
        let help = Command::new(bench.join(script)).arg("--help").output().expect("the script starts");
        assert_ends(&help, 0, &[]);
        assert!(String::from_utf8_lossy(&help.stdout).contains("Exit codes: 0 all is well"));
    }
}
