//! `auriga histograms`: of a server under load, of the log that it leaves, and of files that are no such log.

use auriga_tests::harness::{
    Finished, Scratch, Server, Start, format, run_auriga, run_bench, text, wait_until,
};
use serde_json::Value;
use std::fs;
use std::path::Path;

const STAGES: [&str; 5] = ["arrive", "flush", "execute", "reply", "total"];

fn load(server: &Server, seconds: &str) {
    let address = ["run", "--address", server.address(), "--seconds", seconds];
    run_bench(&[&address[..], &["--warm-up", "0", "--accounts", "100", "--batch", "100"]].concat())
        .expect(0, &[]);
}

fn histograms(arguments: &[&str]) -> Finished {
    run_auriga(&[&["histograms"], arguments].concat())
}

/// The rows of the only recording.
#[track_caller]
fn rows(arguments: &[&str]) -> Vec<Value> {
    let found = histograms(&[arguments, &["--json"]].concat()).expect(0, &[]).json();
    found["recordings"][0]["rows"].as_array().expect("rows").clone()
}

fn stages(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["stage"].as_str().expect("a stage")).collect()
}

#[test]
fn a_live_server_is_shown_saved_and_compared() {
    let scratch = Scratch::new("live");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    load(&server, "1");
    let address = ["--address", server.address()];
    let all = rows(&address);
    assert_eq!(stages(&all), [STAGES, STAGES].concat());
    assert!(all[..5].iter().all(|row| row["core"] == 0) && all[5..].iter().all(|row| row["core"] == 1));
    let merged = rows(&[&address[..], &["--merge", "--stage", "total"]].concat());
    let [total] = &merged[..] else { panic!("{merged:?}") };
    let count = |row: &Value| row["count"].as_u64().expect("a count");
    assert_eq!((count(total), &total["core"]), (count(&all[4]) + count(&all[9]), &Value::Null));
    let times =
        ["p50_ns", "p90_ns", "p99_ns", "p999_ns", "p9999_ns", "max_ns"].map(|key| total[key].as_u64());
    assert!(times.is_sorted() && times[0] > Some(0), "{total}");

    let table = histograms(&address).expect(0, &[]).stdout;
    let head: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(head[..5], ["core", "stage", "count", "p50", "us"], "{table}");
    assert_eq!(table.lines().count(), 11, "{table}");

    let saved = scratch.join("saved.hlog");
    histograms(&[&address[..], &["--save", text(&saved)]].concat()).expect(0, &[]);
    assert_eq!(rows(&[text(&saved)]), all, "what was saved is what the server said");
    let core = rows(&[text(&saved), "--core", "1", "--stage", "flush"]);
    assert_eq!(core, [all[6].clone()]);

    let same =
        histograms(&[&address[..], &["--diff", text(&saved), "--json"]].concat()).expect(0, &[]).json();
    let same = same["rows"].as_array().expect("rows");
    assert_eq!(same.len(), 10);
    for row in same.iter().filter(|row| row["a"]["count"] != 0) {
        let ratios = row["ratio"].as_object().expect("ratios");
        assert!(ratios.len() == 8 && ratios.values().all(|ratio| ratio == 1.0), "{row}");
    }
    load(&server, "0.5");
    let grown = histograms(&[text(&saved), "--diff", text(&saved)]).expect(0, &[]).stdout;
    assert!(grown.lines().nth(2).is_some_and(|head| head.starts_with("core")), "{grown}");
    assert_eq!(grown.lines().filter(|line| line.contains("B/A")).count(), 10, "{grown}");
    let grown =
        histograms(&[text(&saved), "--merge", "--diff", text(&saved), "--json"]).expect(0, &[]).json();
    assert_eq!(grown["rows"][4]["ratio"]["count"], 1.0);
    let later = scratch.join("later.hlog");
    histograms(&[&address[..], &["--save", text(&later)]].concat()).expect(0, &[]);
    let arguments = [text(&saved), "--merge", "--stage", "total", "--json", "--diff", text(&later)];
    let grown = histograms(&arguments).expect(0, &[]).json();
    assert!(grown["rows"][0]["ratio"]["count"].as_f64() > Some(1.0), "{grown}");
}

#[test]
fn a_log_of_a_server_is_read_while_it_runs_and_plotted() {
    let scratch = Scratch::new("hlog");
    let (data, log) = (scratch.join("data"), scratch.join("own.hlog"));
    format(&data);
    let server = Start::new(&data).shards(2).histogram_log(&log, "1").serve();
    load(&server, "3");
    let total = [text(&log), "--merge", "--stage", "total"];
    let has_gone_on = || histograms(&[&total[..], &["--from", "2.5"]].concat()).code == Some(0);
    wait_until("an interval that begins so late is in the log", has_gone_on);
    let count = |arguments: &[&str]| {
        let rows = rows(&[&total[..], arguments].concat());
        rows[0]["count"].as_u64().expect("a count")
    };
    let (whole, begin) = (count(&[]), count(&["--to", "2.5"]));
    assert!(begin < whole && begin + count(&["--from", "2.5"]) >= whole, "{begin} of {whole}");

    let hgrm =
        histograms(&[text(&log), "--merge", "--stage", "total", "--percentiles"]).expect(0, &[]).stdout;
    assert!(hgrm.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"), "{hgrm}");
    assert!(hgrm.contains(" 0.500000000000 ") && hgrm.contains("#[Max     = "), "{hgrm}");

    let (svg, png, html) = (scratch.join("p.svg"), scratch.join("p.png"), scratch.join("p.html"));
    let files = ["--svg", text(&svg), "--png", text(&png), "--html", text(&html), "--log-scale"];
    histograms(&[&[text(&log)], &files[..]].concat()).expect(0, &[]);
    let svg = fs::read_to_string(&svg).expect("it was written");
    for words in
        [">core 0<", ">core 1<", ">99%<", ">latency, logarithmic<", "Latency of requests by percentile"]
    {
        assert!(svg.contains(words), "{words} is missing in the plot");
    }
    let png = fs::read(&png).expect("it was written");
    let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    assert_eq!((&png[..8], size(16), size(20)), (&b"\x89PNG\r\n\x1a\n"[..], 1_920, 880));
    let html = fs::read_to_string(&html).expect("it was written");
    for words in
        ["Throughput over time", "p99 over time", "Where the time goes", "<td class=\"name\">flush</td>"]
    {
        assert!(html.contains(words), "{words} is missing in the page");
    }
}

#[test]
fn what_is_no_log_is_said_to_be_none() {
    let scratch = Scratch::new("nolog");
    let file = |name: &str, bytes: &[u8]| {
        let path = scratch.join(name);
        fs::write(&path, bytes).expect("the file is written");
        path
    };
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).serve();
    load(&server, "0.3");
    let good = scratch.join("good.hlog");
    histograms(&["--address", server.address(), "--save", text(&good)]).expect(0, &[]);
    let bytes = fs::read(&good).expect("it was written");
    let torn = file("torn.hlog", &bytes[..bytes.len() - 9]);
    histograms(&[text(&torn)]).expect(0, &["its last line is not whole"]);
    let bad = |path: &Path, code: i32, words: &[&str]| {
        histograms(&[text(path)]).expect(code, &[&[text(path)], words].concat());
    };
    bad(&file("text.hlog", b"some words\n"), 3, &["line 1", "some words", "expected an interval"]);
    bad(&file("program.hlog", b"\x7fELF\x02\x01\x01\x00\xff\xfe\n\x00"), 3, &["line 1"]);
    bad(&file("cut.hlog", b"#[Maximum"), 3, &["line 1", "cut off"]);
    bad(&file("empty.hlog", b""), 1, &["no interval is in it", "--histogram-interval"]);
    let mut flipped = bytes;
    let place = flipped.len() - 60;
    flipped[place] ^= 1;
    bad(&file("flipped.hlog", &flipped), 3, &["-total can't be read"]);
    bad(&scratch.join("nowhere.hlog"), 4, &["can't read"]);
    let good = text(&good);
    let cases: [(&[&str], i32, &str); 12] = [
        (&[good, "--stage", "lunch"], 1, "core0-arrive"),
        (&[good, "--core", "7"], 1, "--core"),
        (&[good, "--from", "100000"], 1, "--from"),
        (&[good, "--from", "soon"], 2, "--from"),
        (&["--from", "1"], 2, "FILE"),
        (&[good, "--address", "127.0.0.1:1"], 2, "--address"),
        (&[good, "--save", "x"], 2, "--save"),
        (&["--merge", "--save", "x"], 2, "--save"),
        (&[good, good, "--diff", good], 2, "--diff"),
        (&[good, "--diff", "/nowhere.hlog"], 4, "/nowhere.hlog"),
        (&[good, "--svg", "/nowhere/plot.svg"], 4, "/nowhere/plot.svg"),
        (&["--address", "127.0.0.1:1"], 4, "127.0.0.1:1"),
    ];
    for (arguments, code, word) in cases {
        histograms(arguments).expect(code, &[word]);
    }
    assert!(!Path::new("x").exists(), "wrong use makes nothing");
}

/// The interval that is not over is in the log, too, and what can't be written once is missing alone.
#[test]
fn the_log_of_a_server_that_has_ended_has_everything_that_could_be_written() {
    let scratch = Scratch::new("whole-log");
    let (data, log, steps) = (scratch.join("data"), scratch.join("own.hlog"), scratch.join("steps"));
    format(&data);
    let failure = std::format!("pwrite64 own.hlog {}", libc::ENOSPC);
    let orders =
        [("AURIGA_STEPS", text(&steps)), ("AURIGA_STEPS_AT", ".hlog"), ("AURIGA_FAILURES", failure.as_str())];
    let server = Start::new(&data).shards(2).histogram_log(&log, "3600").preload(&orders).serve();
    server.wait_for("Intervals are missing in it until that works again");
    load(&server, "1");
    let counts = |rows: &[Value]| -> Vec<Value> { rows.iter().map(|row| row["count"].clone()).collect() };
    let live = counts(&rows(&["--address", server.address()]));
    let said = server.stop().stderr;
    assert!(said.contains("own.hlog is written again"), "{said}");
    assert_eq!(counts(&rows(&[text(&log)])), live);
}
