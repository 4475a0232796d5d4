//! The files that `auriga-bench run` leaves, its budgets, and `auriga-bench compare`, from their command lines.

#[allow(dead_code, reason = "each test file uses its part of the helper")]
mod fake_ledger;
#[allow(dead_code, reason = "each test file uses its part of the helper")]
mod program;

use auriga_plots::recording::{Choice, Core, Recording};
use fake_ledger::{Manner, start};
use program::run as bench;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A directory that is removed with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("auriga-bench-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).expect("made");
        Self(path)
    }

    fn join(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").into()
    }

    fn files(&self) -> usize {
        std::fs::read_dir(&self.0).expect("it is there").count()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("removed");
    }
}

fn run(address: &str, more: &[&str]) -> Output {
    let brief = ["--accounts", "50", "--batch", "100", "--warm-up", "0.1", "--seconds", "0.3", "--json"];
    bench(&[&["run", "--address", address][..], &brief, more].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[track_caller]
fn expect(output: &Output, code: i32, words: &[&str]) -> String {
    let text = stdout(output) + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in {text}");
    }
    text
}

fn json(output: &Output) -> Value {
    serde_json::from_str(stdout(output).lines().last().expect("a last line")).expect("JSON")
}

/// What a file holds.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).expect("it was written")
}

#[test]
fn files_hold_what_the_run_has_shown() {
    let scratch = Scratch::new("files");
    let [hlog, csv, hgrm, html] = ["a.hlog", "a.csv", "a.hgrm", "a.html"].map(|name| scratch.join(name));
    // A file that is there and empty is no loss.
    std::fs::write(&csv, "").expect("written");
    let files = ["--hlog", &hlog, "--csv", &csv, "--percentiles", &hgrm, "--report", &html];
    for workers in ["1", "2"] {
        let more = ["--rate", "20000", "--seconds", "2.4", "--workers", workers];
        let output = run(&start(Manner::RefusesSome), &[&files[..], &more].concat());
        expect(&output, 0, &[]);
        let report = json(&output);
        let number = |key: &str| report[key].as_u64().expect("a number");
        let requests = (number("transfers") + number("refused")) / 100;

        let recording = Recording::read(read(&hlog).as_bytes(), &Choice::default()).expect("a log");
        let names: Vec<String> = recording.rows.iter().map(|row| row.name()).collect();
        assert_eq!(names, ["core 0 flush", "core 1 flush", "client corrected", "client raw"]);
        for row in recording.rows.iter().filter(|row| row.core == Core::Client) {
            assert_eq!(row.histogram.len(), requests, "the log has the measured requests, all of them");
            assert!((2..=3).contains(&row.intervals.len()), "{:?}", row.intervals);
        }
        let p99 = recording.rows[2].histogram.value_at_quantile(0.99) as f64 / 1e3;
        assert_eq!(report["latency_us"]["p99"], p99);

        let text = read(&csv);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        let column = |name: &str| rows[0].iter().position(|head| *head == name).expect("a column");
        let sum = |name: &str, phase: &str| -> u64 {
            let of_phase = rows.iter().filter(|row| row[column("phase")] == phase);
            of_phase.map(|row| row[column(name)].parse::<u64>().expect("a number")).sum()
        };
        assert_eq!(sum("transfers", "measuring"), number("transfers"), "{text}");
        assert_eq!(sum("refused", "measuring"), number("refused"), "{text}");
        assert_eq!(sum("requests", "measuring"), requests, "{text}");
        assert!(sum("transfers", "warm-up") > 0, "{text}");
        assert!(
            rows[1..].iter().all(|row| row.len() == rows[0].len() && !row[column("p99_us")].is_empty()),
            "{text}"
        );

        let text = read(&hgrm);
        assert!(text.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n"), "{text}");
        assert!(text.contains(&format!("Total count    = {requests:>12}]")), "{text}");
        let text = read(&html);
        for words in
            ["Throughput over time", "warm-up", "Verified: every balance", "Environment", "--rate 20000"]
        {
            assert!(text.contains(words), "{words} is missing in the page");
        }
        for file in [&hlog, &csv, &hgrm, &html] {
            std::fs::remove_file(file).expect("removed");
        }
    }
}

/// Rows of a file are replayed as `run` sends its own, with the same files and budgets.
#[test]
fn a_replay_has_outputs_and_budgets_too() {
    let scratch = Scratch::new("replay");
    let [rows, hlog, csv, hgrm] = ["rows.csv", "a.hlog", "a.csv", "a.hgrm"].map(|name| scratch.join(name));
    let row = |id: u32| format!("{id},{},{},10,1\n", id % 4 + 1, id % 5 + 5);
    let text: String = (1..=1_000).map(row).collect();
    std::fs::write(&rows, "id,debit_account,credit_account,amount_minor,code\n".to_string() + &text)
        .expect("written");
    let replay = |address: &str, more: &[&str]| {
        bench(&[&["replay", &rows, "--address", address, "--batch", "50", "--json"], more].concat())
    };
    let files = ["--hlog", &hlog, "--csv", &csv, "--percentiles", &hgrm];
    let budgets = ["--require", "refused<=0", "--require", "p99<100s", "--require", "max<1us"];
    let output = replay(&start(Manner::Honest), &[&files[..], &budgets].concat());
    expect(&output, 1, &["budget missed: max<1us", "verified"]);
    assert_eq!(json(&output)["budgets"][0]["met"], true);
    let recording = Recording::read(read(&hlog).as_bytes(), &Choice::default()).expect("a log");
    let counts: Vec<u64> = recording.rows.iter().map(|row| row.histogram.len()).collect();
    assert_eq!(counts, [20, 20], "corrected and raw, of 20 requests");
    assert!(read(&hgrm).contains("Total count    =           20]"));
    let lines = read(&csv);
    assert!(lines.lines().nth(1).is_some_and(|line| line.contains(",replay,true,")), "{lines}");
    expect(&replay(&start(Manner::Honest), &files), 2, &["found a file of "]);

    let again = replay(&start(Manner::HangsUp), &["--require", "errors<=0"]);
    expect(&again, 1, &["budget missed: errors<=0"]);
    assert_eq!(json(&again)["verified"], true, "what was lost was sent again");
    expect(&replay("127.0.0.1:1", &["--require", "p98<1s"]), 2, &["unknown measure"]);
}

#[test]
fn a_file_that_cannot_be_written_is_found_before_the_run() {
    let scratch = Scratch::new("unwritable");
    let full = scratch.join("full");
    std::fs::write(&full, "what somebody keeps").expect("written");
    let (new, nowhere, directory) = (scratch.join("new"), scratch.join("none/a.csv"), scratch.join("."));
    // Nobody listens there: what is said of the file is said first.
    let nobody = "127.0.0.1:1";
    for flag in ["--hlog", "--csv", "--percentiles", "--report"] {
        expect(&run(nobody, &[flag, &full]), 2, &[flag, &full, "found a file of 19 bytes"]);
        expect(&run(nobody, &[flag, &nowhere]), 4, &[flag, &nowhere, "can't be written"]);
        expect(&run(nobody, &[flag, &directory]), 4, &[flag, "can't be written"]);
    }
    expect(&run(nobody, &["--requests", &nowhere]), 4, &["--requests", "can't be written"]);
    expect(&run(nobody, &["--csv", &new, "--hlog", &new]), 2, &["two outputs are the same file"]);
    expect(&run(nobody, &["--csv", &new, "--requests", &full]), 4, &["127.0.0.1:1"]);
    assert_eq!(read(&full), "what somebody keeps");
    assert_eq!(scratch.files(), 1, "a run that did not happen leaves nothing");
}

#[test]
fn a_run_that_fails_leaves_what_it_measured() {
    let scratch = Scratch::new("fails");
    let (csv, html) = (scratch.join("a.csv"), scratch.join("a.html"));
    let output = run(&start(Manner::HangsUp), &["--warm-up", "0", "--csv", &csv, "--report", &html]);
    expect(&output, 1, &["lost the connection"]);
    assert!(read(&csv).lines().count() >= 2);
    let page = read(&html);
    assert!(page.contains("The run failed: ") && page.contains("never answered"), "{page}");
    let output = run(&start(Manner::FillsUp), &["--warm-up", "0", "--require", "errors<=0"]);
    expect(&output, 1, &["budget missed: errors<=0: found "]);
    assert!(json(&output)["errors"].as_u64() > Some(0));
}

#[test]
fn budgets_decide_the_exit_code() {
    let address = start(Manner::RefusesSome);
    let kept =
        ["--require", "p99<100s", "--require", "transfers_per_second > 1", "--require", "unanswered<=0"];
    let output = run(&address, &kept);
    expect(&output, 0, &["budgets: all 3 met"]);
    let budgets = json(&output)["budgets"].clone();
    assert!(budgets.as_array().is_some_and(|budgets| budgets.iter().all(|budget| budget["met"] == true)));
    assert_eq!(budgets[0]["require"], "p99<100s");

    let output = run(&address, &[&kept[..], &["--require", "p50<1us", "--require", "refused<=0"]].concat());
    let text = expect(&output, 1, &["budget missed: p50<1us: found ", ", expected less than 1 µs"]);
    assert!(text.contains("budget missed: refused<=0: found "), "{text}");
    assert_eq!(text.matches("budget missed").count(), 2, "one line each: {text}");
    assert_eq!(json(&output)["verified"], true);

    let output = run(
        &address,
        &["--seconds", "0", "--warm-up", "0", "--require", "max<1s", "--require", "refused<=0"],
    );
    let text = expect(&output, 1, &[]);
    assert_eq!(text.matches("found nothing").count(), 2, "{text}");

    let nobody = "127.0.0.1:1";
    for (budget, words) in [
        ("p98<1ms", "p50, p90, p99, p999, max, transfers_per_second"),
        ("p99<1", "us, ms, s"),
        ("p99", "p99<10ms"),
        ("refused<=1ms", "expected none"),
    ] {
        expect(&run(nobody, &["--require", budget]), 2, &[words]);
    }
}

#[test]
fn runs_and_groups_are_compared() {
    let scratch = Scratch::new("compare");
    let address = start(Manner::Honest);
    let made = |name: &str, more: &[&str]| {
        let output = run(&address, &[&["--rate", "20000", "--seconds", "1"][..], more].concat());
        expect(&output, 0, &[]);
        let path = scratch.join(name);
        std::fs::write(&path, output.stdout).expect("written");
        path
    };
    let half = ["--rate", "10000"];
    let [a, b] = ["a.json", "b.json"].map(|name| made(name, &[]));
    let [c, d] = ["c.json", "d.json"].map(|name| made(name, &half));
    let (before, after) = (format!("before={a},{b}"), format!("after={c},{d}"));
    let groups = ["compare", "--group", &before, "--group", &after, "--json"];
    let page = scratch.join("page.html");
    let output = bench(&[&groups[..], &["--report", &page]].concat());
    let text = expect(&output, 0, &["transfers/s  before     2"]);
    let found = json(&output);
    let rates: Vec<&Value> =
        (0..2).map(|group| &found["groups"][group]["measures"]["transfers_per_second"]).collect();
    let ratio = rates[1]["ratio"].as_f64().expect("a ratio");
    // About a half, unless the machine stood still in one of them; in any case what the runs themselves say.
    assert!((0.1..0.95).contains(&ratio), "{text}");
    let rate = |path: &str| {
        let report: Value = serde_json::from_str(read(path).lines().last().expect("a line")).expect("JSON");
        report["transfers_per_second"].as_f64().expect("a rate")
    };
    let expected = (rate(&c) + rate(&d)) / (rate(&a) + rate(&b));
    assert!((ratio - expected).abs() < 1e-9, "{ratio}, expected {expected}");
    assert!(text.contains(&format!("after to before: transfers/s × {ratio:.3}")), "{text}");
    assert_eq!((&rates[0]["verdict"], &rates[1]["ratio"]), (&"first".into(), &ratio.into()));
    let html = read(&page);
    for words in ["before (2 runs)", "within the spread", "class=\"curve k1\"", "<polygon"] {
        assert!(html.contains(words), "{words} is missing in the page");
    }
    expect(&bench(&[&groups[..], &["--report", &page]].concat()), 2, &["found a file of "]);

    let kept = ["--require", "ratio>=0.1", "--require", "ratio<=0.95"];
    expect(&bench(&[&groups[..], &kept].concat()), 0, &["budgets: all 2 met"]);
    let missed = expect(
        &bench(&["compare", &a, &c, "--require", "ratio>=10"]),
        1,
        &["budget missed: ratio>=10: c to a: found ", "One run each"],
    );
    assert!(missed.contains("no spread known"), "{missed}");
    let other = made("other.json", &["--workload", "linked", "--verify", "none"]);
    expect(
        &bench(&["compare", &a, &other]),
        0,
        &["not the same work: `workload` is plain in ", "not verified: "],
    );
}

#[test]
fn what_is_no_run_is_not_compared() {
    let scratch = Scratch::new("norun");
    let good = scratch.join("good.json");
    std::fs::write(&good, run(&start(Manner::Honest), &[]).stdout).expect("written");
    let with = |name: &str, change: &dyn Fn(&mut Value)| {
        let text = read(&good);
        let mut value: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        change(&mut value);
        let path = scratch.join(name);
        std::fs::write(&path, value.to_string()).expect("written");
        path
    };
    let old = with("old.json", &|run| {
        run.as_object_mut().expect("an object").remove("latency_histogram");
    });
    let odd = with("odd.json", &|run| run["transfers_per_second"] = "many".into());
    let cut = with("cut.json", &|run| run["raw_latency_histogram"] = "HISTFAAA".into());
    let nowhere = Path::new(&good).with_file_name("nowhere.json");
    let cases: [(&[&str], &str); 9] = [
        (&[&good, &old], "old.json: field `latency_histogram` is missing"),
        (&[&good, &odd], "odd.json: field `transfers_per_second`: found \"many\""),
        (&[&good, &cut], "cut.json: field `raw_latency_histogram`"),
        (&[&good, nowhere.to_str().expect("UTF-8")], "nowhere.json: can't be read"),
        (&[&good], "expected two or more"),
        (&[], "required"),
        (&["--group", "before"], "expected NAME=FILE"),
        (&["--group", "a=x.json", "--group", "b=y.json", &good], "cannot be used"),
        (&[&good, &good, "--require", "p99<1ms"], "expected one of ratio, p50_ratio"),
    ];
    for (arguments, words) in cases {
        expect(&bench(&[&["compare"], arguments].concat()), 2, &[words]);
    }
}
