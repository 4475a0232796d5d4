//! No futex call on a shard's thread under load: no lock is waited for, nobody is woken by one.

use crate::raw::client;
use auriga_tests::book::Book;
use auriga_tests::harness::{HANG, Scratch, Start, format, seed};
use auriga_tests::load::{Pattern, drive_while, wait_for_answers};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Batches that are answered before, and while, system calls are counted.
const WARM_UP: u64 = 60;
const COUNTED: u64 = 400;

/// The threads of a process that run its shards. Each has a helper that was started after it, does nothing of ours and has
/// its name: of those with one name the first is meant.
fn shard_threads(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the server runs");
    let mut first: BTreeMap<String, u32> = BTreeMap::new();
    for task in tasks.flatten() {
        let number: Option<u32> = task.file_name().to_str().and_then(|name| name.parse().ok());
        let name = fs::read_to_string(task.path().join("comm")).ok();
        if let (Some(number), Some(name)) = (number, name.filter(|name| name.starts_with("shard-"))) {
            first.entry(name).and_modify(|first| *first = number.min(*first)).or_insert(number);
        }
    }
    first.into_values().map(|number| number.to_string()).collect()
}

/// Counts of system calls by name, from strace's summary.
fn counts(summary: &str) -> Vec<(String, u64)> {
    let rows = summary.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let calls = fields.get(3)?.parse().ok()?;
        Some(((*fields.last()?).to_string(), calls))
    });
    rows.collect()
}

/// Attaches strace to threads, and returns when it is attached.
fn attach(threads: &[String], output: &std::path::Path) -> Child {
    let mut command = Command::new("strace");
    command.args(["-c", "-e", "trace=futex,io_uring_enter", "-o"]).arg(output);
    for thread in threads {
        command.args(["-p", thread]);
    }
    let strace = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let strace = strace.expect("strace runs: install it (apt-get install strace)");
    let start = Instant::now();
    let is_traced = |thread: &String| {
        let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    };
    while !threads.iter().all(is_traced) {
        assert!(start.elapsed() < HANG, "strace does not attach: may this user trace processes?");
        std::thread::sleep(Duration::from_millis(5));
    }
    strace
}

#[test]
fn no_futex_call_on_a_shards_thread_under_load() {
    let mut random = fastrand::Rng::with_seed(seed("system calls"));
    let scratch = Scratch::new("futex");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let mut book = Book::default();
    book.open_accounts(&mut client(&server), 1_000);
    let choice = book.choice();
    let patterns = [
        Pattern { batches: vec![8_190], in_flight: 4, transfers_max: usize::MAX },
        Pattern { batches: vec![1, 20], in_flight: 4, transfers_max: usize::MAX },
    ];
    let file = scratch.join("strace");
    let small = drive_while(server.address(), random.u64(..), &choice, &patterns[1], |small| {
        drive_while(server.address(), random.u64(..), &choice, &patterns[0], |large| {
            wait_for_answers(large, WARM_UP);
            let shards = shard_threads(server.id());
            assert_eq!(shards.len(), 2, "found threads {shards:?}, expected one for each shard");
            let mut strace = attach(&shards, &file);
            wait_for_answers(large, large.load(Ordering::Relaxed) + COUNTED / 4);
            wait_for_answers(small, small.load(Ordering::Relaxed) + COUNTED);
            // SAFETY: no memory is passed; the child is ours and not yet waited for.
            unsafe { libc::kill(strace.id() as i32, libc::SIGINT) };
            strace.wait().expect("strace ends");
        });
    });
    assert!(!small.is_empty());
    let summary = fs::read_to_string(&file).expect("strace has written its summary");
    let counts = counts(&summary);
    let of = |name: &str| counts.iter().filter(|(call, _)| call == name).map(|(_, count)| count).sum::<u64>();
    eprintln!("system calls of the shards' threads: {counts:?}");
    assert!(of("io_uring_enter") > 0, "strace saw nothing at all:\n{summary}");
    assert_eq!(of("futex"), 0, "futex calls on the shards' threads:\n{summary}");
    server.stop();
}
