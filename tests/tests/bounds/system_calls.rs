//! What a server asks the kernel for, and what it doesn't: no futex call on a shard's thread under load (no lock is waited for,
//! nobody is woken by one), and what lies in the log is made durable before a start reads it.

use crate::raw::client;
use auriga_tests::book::Book;
use auriga_tests::harness::{HANG, Scratch, Start, format, program, run, seed, text, wait_until};
use auriga_tests::load::{Pattern, drive_while, wait_for_answers};
use auriga_tests::threads::shard_threads;
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Batches that are answered before, and while, system calls are counted.
const WARM_UP: u64 = 60;
const COUNTED: u64 = 400;

/// Counts of system calls by name, from strace's summary.
fn counts(summary: &str) -> Vec<(String, u64)> {
    let rows = summary.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let calls = fields.get(3)?.parse().ok()?;
        Some(((*fields.last()?).to_string(), calls))
    });
    rows.collect()
}

/// Attaches strace to threads, to count these calls, and returns when it is attached.
fn attach(threads: &[String], calls: &str, output: &std::path::Path) -> Child {
    let mut command = Command::new("strace");
    command.args(["-c", "-e", &format!("trace={calls}"), "-o"]).arg(output);
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
        Pattern { batches: vec![8_190], in_flight: 4, ..Pattern::ENDLESS },
        Pattern { batches: vec![1, 20], in_flight: 4, ..Pattern::ENDLESS },
    ];
    let file = scratch.join("strace");
    let small = drive_while(server.address(), random.u64(..), &choice, &patterns[1], |small| {
        drive_while(server.address(), random.u64(..), &choice, &patterns[0], |large| {
            wait_for_answers(large, WARM_UP);
            let shards: Vec<_> = shard_threads(server.id()).iter().map(u32::to_string).collect();
            assert_eq!(shards.len(), 2, "found threads {shards:?}, expected one for each shard");
            let mut strace = attach(&shards, "futex,io_uring_enter", &file);
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

/// A checkpoint wakes the whole house to have history made durable. Then the thread that takes connections sleeps again.
#[test]
fn a_thread_that_has_nothing_to_do_sleeps() {
    let mut random = fastrand::Rng::with_seed(seed("house"));
    let scratch = Scratch::new("house");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(1).with(&["--checkpoint-every", "1000000"]).serve();
    let mut book = Book::default();
    book.open_accounts(&mut client(&server), 1_000);
    let pattern = Pattern { batches: vec![8_190], in_flight: 4, ..Pattern::ENDLESS };
    drive_while(server.address(), random.u64(..), &book.choice(), &pattern, |answers| {
        wait_for_answers(answers, WARM_UP);
        wait_until("a checkpoint is whole", || server.log().contains("is whole"));
    });
    let at_rest = || {
        let log = server.log();
        let [begun, whole] = ["taking a checkpoint", "is whole"].map(|words| log.matches(words).count());
        (begun == whole).then_some(whole)
    };
    let mut client = client(&server);
    let tasks = fs::read_dir(format!("/proc/{}/task", server.id())).expect("the server runs");
    let threads: Vec<_> = tasks.flatten().filter_map(|task| task.file_name().into_string().ok()).collect();
    let file = scratch.join("strace");
    let (mut summary, mut before) = (String::new(), None);
    // A checkpoint wakes it a hundred times a second while it waits for history: it is counted again if one has come between.
    while before.is_none() || before != at_rest() {
        wait_until("no checkpoint is under way", || at_rest().is_some());
        before = at_rest();
        let mut strace = attach(&threads, "accept4", &file);
        for _ in 0..COUNTED {
            client.status(false).expect("a status");
        }
        // SAFETY: no memory is passed; the child is ours and not yet waited for.
        unsafe { libc::kill(strace.id() as i32, libc::SIGINT) };
        strace.wait().expect("strace ends");
        summary = fs::read_to_string(&file).expect("strace has written its summary");
    }
    // Without a rest it would look at each call that is counted here, and more often.
    let accepts: u64 = counts(&summary).iter().map(|(_, count)| count).sum();
    assert!(accepts < COUNTED, "nobody connects, and it looked {accepts} times:\n{summary}");
    server.stop();
}

#[test]
fn a_start_makes_the_log_durable_before_it_reads_it() {
    let scratch = Scratch::new("durable");
    let data = scratch.join("data");
    format(&data);
    let files = ["cuts/00000000.log", "streams/000-00000000.log", "streams/064-00000000.log"];
    let server = Start::new(&data).shards(2).serve();
    wait_until("each stream has a file", || files.iter().all(|name| data.join(name).exists()));
    server.kill();
    // A start that gets no further than that: somebody else has its address.
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let traces = scratch.join("strace");
    fs::create_dir(&traces).expect("a directory can be made");
    let mut command = Command::new("strace");
    // A file for each thread: in one file, a call that another thread's interrupts is written as two lines.
    command.args(["-ff", "-y", "-e", "trace=fdatasync,io_uring_setup", "-o"]).arg(traces.join("thread"));
    command.arg(program());
    command.args(["start", "--data", text(&data), "--shards", "2", "--listen", &address, "--metrics", "off"]);
    run(command).expect(4, &["listen"]);
    let threads = fs::read_dir(&traces).expect("strace has written its calls").flatten();
    let calls: String =
        threads.map(|file| fs::read_to_string(file.path()).expect("strace's files can be read")).collect();
    for name in files {
        let is_synced =
            |line: &str| line.contains("fdatasync") && line.contains(name) && line.ends_with("= 0");
        assert!(calls.lines().any(is_synced), "{name} is not made durable:\n{calls}");
    }
    assert!(!calls.contains("io_uring_setup"), "the log was opened before:\n{calls}");
}
