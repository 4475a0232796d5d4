//! Every command's help, output and `--json`, and the exit codes of wrong use.

use auriga_tests::harness::{Scratch, Start, auriga, format, run_auriga, text};
use serde_json::Value;

#[track_caller]
fn expect_keys(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "{key} is missing in {value}");
    }
}

#[test]
fn every_command_has_a_help() {
    let commands: [&[&str]; 20] = [
        &[],
        &["format"],
        &["start"],
        &["status"],
        &["histograms"],
        &["top"],
        &["inspect"],
        &["backup"],
        &["restore"],
        &["repair"],
        &["topology"],
        &["topology", "discover"],
        &["topology", "show"],
        &["topology", "check"],
        &["config"],
        &["config", "check"],
        &["config", "print"],
        &["check"],
        &["generate"],
        &["version"],
    ];
    for command in commands {
        let help = run_auriga(&[command, &["--help"]].concat()).expect(0, &[]);
        assert!(help.stdout.contains("Usage: auriga"), "{command:?}: {}", help.stdout);
        assert!(help.stderr.is_empty(), "{command:?}: {}", help.stderr);
    }
    let whole = run_auriga(&["--help"]).stdout;
    assert!(
        whole.contains("Exit codes: 0 ok, 1 failed or not verified, 2 usage, 3 damaged data, 4 environment")
    );
    let version = run_auriga(&["version"]).expect(0, &[]).stdout;
    assert_eq!(version, run_auriga(&["--version"]).expect(0, &[]).stdout);
    assert!(version.starts_with("auriga "), "{version}");
}

#[test]
fn wrong_use_is_exit_code_two() {
    let scratch = Scratch::new("usage");
    let data = scratch.join("data");
    format(&data);
    let start = ["start", "--listen", "127.0.0.1:0", "--data", text(&data)];
    let cases: [(&[&str], &str); 16] = [
        (&[], "Usage"),
        (&["nonsense"], "nonsense"),
        (&["format"], "--data"),
        (&["format", "--data", "x", "--cluster", "0"], "--cluster"),
        (&["format", "--data", "x", "--ids", "some"], "--ids"),
        (&["start"], "--data"),
        (&["start", "--data", "x", "--listen", "nowhere"], "--listen"),
        (&["start", "--data", "x", "--nonsense"], "--nonsense"),
        (&["start", "--data", "x", "--shards", "1", "--topology", "y"], "--topology"),
        (&["topology"], "Usage"),
        (&["topology", "discover", "--shards", "0"], "1 to 128"),
        (&["inspect"], "--data"),
        (&["inspect", "--data", "x", "--verify", "--digest"], "--digest"),
        (&["backup", "--data", "x"], "<BACKUP>"),
        (&["restore", "x"], "--data"),
        (&["repair", "--apply"], "--data"),
    ];
    for (arguments, word) in cases {
        run_auriga(arguments).expect(2, &[word]);
    }
    let started: [(&[&str], &str); 8] = [
        (&["--shards", "0"], "--shards 0: 0 shards"),
        (&["--shards", "129"], "1 to 128"),
        (&["--shards", "2", "--requests-max", "1000"], "--requests-max 1000"),
        (&["--shards", "2", "--replies-max", "1000"], "--replies-max 1000"),
        (&["--connections-max", "0"], "--connections-max 0"),
        (&["--ids-max", "0"], "--ids-max 0"),
        (&["--prefault", "1099511627777"], "--prefault 1099511627777"),
        (&["--accounts-max", "many"], "--accounts-max"),
    ];
    for (arguments, word) in started {
        run_auriga(&[&start, arguments].concat()).expect(2, &[word]);
    }
    assert!(!std::path::Path::new("x").exists(), "wrong use makes nothing");
}

#[test]
fn status_and_inspect_print_what_they_promise() {
    let scratch = Scratch::new("json");
    let data = scratch.join("data");
    let formatted =
        run_auriga(&["format", "--data", text(&data), "--cluster", "7", "--ids", "any"]).expect(0, &[]);
    assert!(formatted.stdout.contains("for cluster 7, ids = any"), "{}", formatted.stdout);
    let server = Start::new(&data).shards(2).serve();
    let status =
        run_auriga(&["status", "--address", server.address(), "--json", "--digest"]).expect(0, &[]).json();
    let keys = [
        "state",
        "log_end",
        "version",
        "cluster",
        "incarnation",
        "id_mode",
        "shards",
        "uptime_ns",
        "epoch",
        "time_ns",
        "accounts",
        "accounts_max",
        "ids",
        "ids_max",
        "ids_from_ms",
        "settings",
        "transfers_created",
        "transfers_refused",
        "bytes_logged",
        "log_bytes",
        "log_bytes_max",
        "flushes",
        "connections",
        "closed",
        "digest",
    ];
    expect_keys(&status, &keys);
    assert_eq!(status["state"], "serving");
    let said = (&status["cluster"], &status["id_mode"], &status["shards"], &status["incarnation"]);
    assert_eq!(said, (&7.into(), &"any".into(), &2.into(), &1.into()));
    let settings = &status["settings"];
    assert_eq!((&settings["data"], &settings["shards"]), (&text(&data).into(), &"2".into()), "{status}");
    assert_eq!(settings["checkpoint-every"], "4 GiB", "{status}");
    let plain = run_auriga(&["status", "--address", server.address()]).expect(0, &[]).stdout;
    for row in ["version", "cluster", "shards", "epoch", "connections", "log files"] {
        assert!(plain.lines().any(|line| line.starts_with(row)), "{row} is missing in\n{plain}");
    }
    let address = server.address().to_string();
    server.stop();
    run_auriga(&["status", "--address", &address]).expect(4, &[&address, "is the server running"]);
    let inspected = run_auriga(&["inspect", "--data", text(&data), "--json"]).expect(0, &[]).json();
    let keys =
        ["cluster", "ids", "incarnation", "epoch", "time_ns", "cuts", "blocks", "bytes_logged", "files"];
    expect_keys(&inspected, &keys);
    assert!(inspected.get("state").is_none(), "without --digest nothing is replayed");
    let replayed =
        run_auriga(&["inspect", "--data", text(&data), "--json", "--digest"]).expect(0, &[]).json();
    expect_keys(&replayed["state"], &["accounts", "ids_remembered", "digest", "dropped"]);
    assert_eq!(replayed["state"]["digest"], status["digest"]);
    let plain = run_auriga(&["inspect", "--data", text(&data), "--digest"]).expect(0, &[]).stdout;
    for row in ["cluster", "starts", "last epoch", "files", "digest"] {
        assert!(plain.lines().any(|line| line.starts_with(row)), "{row} is missing in\n{plain}");
    }
    let verified =
        run_auriga(&["inspect", "--data", text(&data), "--json", "--verify"]).expect(0, &[]).json();
    let keys =
        ["findings", "notes", "log_from", "epoch", "cuts", "blocks", "bytes", "checkpoints", "compared"];
    expect_keys(&verified, &keys);
    assert_eq!((&verified["digest"], &verified["findings"]), (&status["digest"], &Value::Array(Vec::new())));
}

#[test]
fn topology_is_discovered_shown_and_checked() {
    let scratch = Scratch::new("topology");
    let discovered = run_auriga(&["topology", "discover"]).expect(0, &[]).stdout;
    let file = scratch.join("topology.toml");
    std::fs::write(&file, &discovered).expect("the file is written");
    let checked = run_auriga(&["topology", "check", "--topology", text(&file)]).expect(0, &[]);
    assert!(checked.stdout.contains("the topology fits this machine"), "{}", checked.stdout);
    let json = run_auriga(&["topology", "check", "--topology", text(&file), "--json"]).expect(0, &[]).json();
    assert_eq!((&json["fits"], &json["mismatches"]), (&true.into(), &Value::Array(Vec::new())));
    expect_keys(&run_auriga(&["topology", "discover", "--json"]).expect(0, &[]).json(), &["machine", "plan"]);
    expect_keys(&run_auriga(&["topology", "show", "--json"]).expect(0, &[]).json(), &["machine", "topology"]);
    let drawn = run_auriga(&["topology", "show", "--topology", text(&file)]).expect(0, &[]).stdout;
    assert!(drawn.contains("shard"), "{drawn}");
    let data = scratch.join("data");
    format(&data);
    Start::new(&data).with(&["--topology", text(&file)]).serve().stop();

    std::fs::write(&file, "format = 1\nshards = [{ cpu = 4000, node = 0 }]\n").expect("the file is written");
    let bad = run_auriga(&["topology", "check", "--topology", text(&file)]).expect(1, &[]);
    assert!(bad.stdout.contains("4000") && bad.stdout.contains("does not fit"), "{}", bad.stdout);
    let json = run_auriga(&["topology", "check", "--topology", text(&file), "--json"]).expect(1, &[]).json();
    assert_eq!(json["fits"], Value::Bool(false));
    Start::new(&data)
        .with(&["--topology", text(&file)])
        .fail()
        .expect(4, &["does not fit this machine", "4000"]);

    std::fs::write(&file, "format = 2\nshards = []\n").expect("the file is written");
    run_auriga(&["topology", "check", "--topology", text(&file)]).expect(4, &[text(&file), "2"]);
    std::fs::write(&file, "format = 1\nshards = 5\n").expect("the file is written");
    run_auriga(&["topology", "check", "--topology", text(&file)]).expect(4, &[text(&file), "shards"]);
    run_auriga(&["topology", "check", "--topology", "/nowhere.toml"])
        .expect(4, &["/nowhere.toml", "discover"]);
}

#[test]
fn who_reads_no_further_is_no_failure() {
    for command in [&["config", "print"][..], &["config", "check"], &["topology", "show"], &["version"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended = auriga(command).env("AURIGA_LOG", "error").stdout(writer).output().expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!((ended.status.code(), said.as_str()), (Some(0), ""), "{command:?}");
    }
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let ended = auriga(&["version"]).stdout(full).output().expect("it runs");
    assert_eq!(ended.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("can't write to stdout: No space left"));
}
