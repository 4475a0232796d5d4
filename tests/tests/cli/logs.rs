//! What a server says on stderr: for a person, a program or the journal; and how often it says the same.

use auriga_tests::harness::{Scratch, Start, auriga, format, run, text};
use serde_json::Value;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

#[test]
fn a_pipe_gets_an_object_a_line() {
    let scratch = Scratch::new("json");
    let data = scratch.join("data");
    let of_pipe = |start: &mut Start| {
        start.command().env_remove("AURIGA_LOG_FORMAT");
    };
    let mut start = Start::new(&data);
    of_pipe(&mut start);
    let failed = start.fail().expect(4, &["not a formatted data directory"]).stderr;
    let line: Value = serde_json::from_str(failed.lines().last().expect("a line")).expect("JSON");
    assert_eq!(line["level"], "ERROR");
    format(&data);
    let mut start = Start::new(&data);
    of_pipe(&mut start);
    let said = start.serve().stop().stderr;
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let serving =
        |line: &&Value| line["message"].as_str().is_some_and(|text| text.starts_with("serving on "));
    let line = lines.iter().find(serving).expect("it served");
    assert_eq!(line["level"], "INFO");
    assert!(line["timestamp"].is_string() && line["target"] == "auriga::server", "{line}");
}

#[test]
fn the_journal_gets_priorities() {
    let scratch = Scratch::new("journal");
    let file = scratch.join("stderr");
    let said = |stream: &dyn Fn(&fs::Metadata) -> String| {
        let stderr = fs::File::create(&file).expect("made");
        let stream = stream(&stderr.metadata().expect("it is there"));
        let mut command = auriga(&["start", "--data", text(scratch.path())]);
        command
            .env_remove("AURIGA_LOG_FORMAT")
            .env("JOURNAL_STREAM", stream)
            .stderr(stderr)
            .stdout(Stdio::null());
        let status = command.status().expect("it starts");
        assert_eq!(status.code(), Some(4));
        fs::read_to_string(&file).expect("it is text")
    };
    let journal = said(&|stderr| std::format!("{}:{}", stderr.dev(), stderr.ino()));
    assert!(journal.lines().all(|line| line.starts_with('<')), "{journal}");
    assert!(journal.contains("<3>") && journal.contains("not a formatted data directory"), "{journal}");
    // It is the stream of a process further up.
    let other = said(&|stderr| std::format!("{}:{}", stderr.dev(), stderr.ino() + 1));
    assert!(other.lines().all(|line| line.starts_with('{')), "{other}");
}

#[test]
fn the_format_and_the_level_can_be_chosen() {
    let scratch = Scratch::new("chosen");
    // A machine of which not all CPUs are allowed is warned of before.
    let said = |options: &[&str]| {
        let start = ["start", "--data", text(scratch.path())];
        let words = "not a formatted data directory";
        let ended = run(auriga(&[&start, options].concat())).expect(4, &[words]);
        ended.stderr.lines().find(|line| line.contains(words)).expect("one line").to_owned()
    };
    assert!(said(&["--log-format", "human"]).starts_with("auriga: "));
    assert!(said(&["--log-format", "json"]).starts_with('{'));
    assert!(said(&["--log-format", "journald"]).starts_with("<3>"));
    assert!(
        said(&["--log-format", "json", "--log", "off"]).starts_with("auriga: "),
        "the end is never silent"
    );
}

/// Without descriptors every attempt to accept fails, twenty a second.
#[test]
fn what_repeats_is_counted_and_said_once() {
    let scratch = Scratch::new("repeats");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).serve();
    let limit = |most| {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: the limit is readable for the call, and the old one is not asked for.
        let set = unsafe {
            libc::prlimit(server.id() as i32, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut())
        };
        assert_eq!(set, 0, "the limit of an own process can be lowered");
    };
    limit(3);
    let waiting = TcpStream::connect(server.address()).expect("the kernel's backlog takes it");
    let hidden = server.wait_for("more like: can't accept a connection");
    let number = hidden.split("... ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a number");
    assert!(number.replace(',', "").parse::<u32>().is_ok_and(|number| number > 0), "{hidden}");
    let log = server.log();
    let shown = log
        .lines()
        .filter(|line| line.contains("can't accept a connection: "))
        .filter(|line| !line.contains("more like"))
        .count();
    // Twenty in a window, and of those there were at most three by then.
    assert!((1..=60).contains(&shown), "{shown} lines:\n{log}");
    drop(waiting);
    server.stop();
}
