//! The configuration: defaults, under a file, under the environment, under what is typed; and what is wrong with it.

use auriga_tests::harness::{Finished, Scratch, Start, auriga, format, run, run_auriga, text};
use serde_json::Value;
use std::path::Path;

/// `auriga config check` of a file, with variables and options besides.
fn check(file: &Path, variables: &[(&str, &str)], options: &[&str]) -> Finished {
    let mut command = auriga(&["config", "check", "--config", text(file)]);
    command.args(options).envs(variables.iter().copied());
    run(command)
}

fn write(file: &Path, content: &str) {
    std::fs::write(file, content).expect("the file is written");
}

#[test]
fn each_layer_overrides_the_one_before() {
    let scratch = Scratch::new("layers");
    let file = scratch.join("auriga.toml");
    write(&file, "# ours\nlog-max = \"64 GiB\"\nwindow = \"2 h\"\nspin = 7\nids-max = 1_000\n");
    let variables = [("AURIGA_SPIN", "1 ms"), ("AURIGA_IDS_MAX", "2000")];
    let said = check(&file, &variables, &["--ids-max", "3000", "--json"]).expect(0, &[]).json();
    let values = said["values"].as_array().expect("a list");
    let of = |key: &str| values.iter().find(|value| value["key"] == key).expect(key).clone();
    let expected = [
        ("accounts-max", 10_000_000.into(), "default"),
        ("log-max", (64_u64 << 30).into(), "file"),
        ("window", 7_200.into(), "file"),
        ("spin", 1_000.into(), "environment"),
        ("ids-max", 3_000.into(), "flag"),
        ("history", Value::from("on"), "default"),
        ("archive", Value::Null, "default"),
    ];
    for (key, value, from) in expected {
        let found = of(key);
        assert_eq!((&found["value"], &found["from"]), (&value, &from.into()), "{key}");
    }
    assert_eq!((&of("window")["file"], &of("window")["line"]), (&text(&file).into(), &3.into()));
    let plain = check(&file, &variables, &[]).expect(0, &[]).stdout;
    let line =
        |key: &str| plain.lines().find(|line| line.split(' ').next() == Some(key)).expect(key).to_string();
    assert!(line("log-max").contains("64 GiB") && line("log-max").contains("auriga.toml:2"), "{plain}");
    assert!(line("spin").contains("1 ms") && line("spin").contains("AURIGA_SPIN"), "{plain}");
    assert!(line("archive").contains("they are used again"), "{plain}");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let scratch = Scratch::new("wrong");
    let file = scratch.join("auriga.toml");
    let cases: [(&str, &[&str]); 8] = [
        (
            "x = 1\nlog_max = 1\n",
            &["auriga.toml:1: unknown key x", "auriga.toml:2: unknown key log_max: did you mean log-max?"],
        ),
        ("\nspin = \"9 x\"", &["auriga.toml:2: spin = \"9 x\": expected whole microseconds"]),
        ("listen = \"here\"", &["auriga.toml:1: listen = \"here\": expected an address and a port"]),
        ("history = true", &["auriga.toml:1: history: found true or false, expected \"on\" or \"off\""]),
        ("log = \"inof\"", &["auriga.toml:1: log = \"inof\": expected error, warn, info"]),
        ("window = 20", &["auriga.toml:1: window = 20: expected 60 to 31622400 seconds"]),
        ("shards = 1\ntopology = \"t.toml\"", &["auriga.toml:2: shards and topology"]),
        ("window 20", &["auriga.toml:1: ", "expected lines of the form key = value"]),
    ];
    for (content, words) in cases {
        write(&file, content);
        check(&file, &[], &[]).expect(2, words);
        // A start says the same.
        run_auriga(&["start", "--config", text(&file), "--data", text(scratch.path())]).expect(2, words);
    }
    write(&file, "");
    check(&file, &[("AURIGA_WINDOW", "20 s")], &[])
        .expect(2, &["AURIGA_WINDOW=20 s: expected 60 to 31622400 seconds"]);
    check(&file, &[("AURIGA_SPIN", "soon")], &[])
        .expect(2, &["AURIGA_SPIN=soon: expected whole microseconds"]);
    run_auriga(&["config", "check", "--config", "/nowhere.toml"])
        .expect(4, &["/nowhere.toml", "auriga config print"]);
    let mut other = auriga(&["topology", "show"]);
    other.env("AURIGA_SPIN", "soon");
    run(other).expect(0, &[]);
}

#[test]
fn the_shipped_file_is_taken_and_changes_nothing() {
    let scratch = Scratch::new("shipped");
    let file = scratch.join("auriga.toml");
    let printed = run_auriga(&["config", "print"]).expect(0, &[]).stdout;
    write(&file, &printed);
    let values = |said: Value| -> Vec<Value> {
        let values = said["values"].as_array().expect("a list").iter();
        values.map(|value| serde_json::json!([value["key"], value["value"]])).collect()
    };
    let of_none = run_auriga(&["config", "check", "--json"]).expect(0, &[]).json();
    let of_file = check(&file, &[], &["--json"]).expect(0, &[]).json();
    assert!(of_file["values"].to_string().contains(text(&file)), "the file's values count");
    let of_none_values = values(of_none.clone());
    assert!(of_none_values.len() > 20, "{of_none_values:?}");
    assert_eq!(values(of_file), of_none_values);

    // Without its values nothing comes of it.
    let commented = run_auriga(&["config", "print", "--commented"]).expect(0, &[]).stdout;
    assert!(commented.contains("#listen = \"127.0.0.1:7400\"\n"), "{commented}");
    write(&file, &commented);
    assert_eq!(check(&file, &[], &["--json"]).expect(0, &[]).json(), of_none);
}

#[test]
fn a_server_starts_from_a_file() {
    let scratch = Scratch::new("start");
    let (file, data) = (scratch.join("auriga.toml"), scratch.join("data"));
    format(&data);
    let content = std::format!(
        "data = {:?}\nlisten = \"127.0.0.1:0\"\nlog-max = \"3 GiB\"\nhistory = \"off\"\nshards = 2\n",
        text(&data)
    );
    write(&file, &content);
    // The option comes behind the file's number of shards.
    let mut server =
        auriga_tests::harness::Server::of(auriga(&["start", "--config", text(&file), "--shards", "1"]));
    server.wait_until_serving();
    let status = run_auriga(&["status", "--address", server.address(), "--json"]).expect(0, &[]).json();
    assert_eq!((&status["shards"], &status["log_bytes_max"]), (&1.into(), &(3_u64 << 30).into()));
    server.stop();
    let mut start = Start::new(&data).with(&["--config", text(&file)]);
    start.command().env("AURIGA_LOG_MAX", "4 GiB");
    let server = start.serve();
    let status = run_auriga(&["status", "--address", server.address(), "--json"]).expect(0, &[]).json();
    assert_eq!((&status["shards"], &status["log_bytes_max"]), (&2.into(), &(4_u64 << 30).into()));
    server.stop();
}
