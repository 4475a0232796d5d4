//! The sandbox against what the server really does: every system call of a server's life is one that its unit allows, and none
//! does what the other restrictions forbid.

use crate::root::{installed, repository};
use auriga_tests::harness::{Scratch, Server, ending_with_us, program, run, run_auriga, run_bench, text};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The system calls that systemd means by a word of a filter.
fn resolve(word: &str) -> BTreeSet<String> {
    if !word.starts_with('@') {
        return BTreeSet::from([word.to_owned()]);
    }
    let mut command = Command::new("systemd-analyze");
    command.args(["syscall-filter", "--no-pager", word]);
    let listed = run(command).expect(0, &[]).stdout;
    let words =
        listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    words.flat_map(resolve).collect()
}

/// The values of a directive of a unit, in its order.
fn values<'a>(unit: &'a str, directive: &'a str) -> impl Iterator<Item = &'a str> {
    unit.lines().filter_map(move |line| line.strip_prefix(directive)?.strip_prefix('='))
}

/// A list of what is allowed: each line adds to it, or with ~ takes away.
fn allowed(unit: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for value in values(unit, "SystemCallFilter") {
        let (takes_away, words) = match value.strip_prefix('~') {
            Some(words) => (true, words),
            None => (false, value),
        };
        for call in words.split_whitespace().flat_map(resolve) {
            if takes_away {
                allowed.remove(&call);
            } else {
                allowed.insert(call);
            }
        }
    }
    allowed
}

/// Traces a command with all its threads; a file for each.
fn traced(traces: &Path, arguments: &[&str]) -> Command {
    let (output, program) = (traces.join("thread"), program());
    let own = ["-ff", "-qq", "-o", text(&output), text(&program)];
    ending_with_us(Path::new("strace"), &[&own[..], arguments].concat())
}

/// Everything that was called, a line each.
fn calls(traces: &Path) -> Vec<String> {
    let files = fs::read_dir(traces).expect("strace has written its files").flatten();
    let text = files.map(|file| fs::read(file.path()).expect("it can be read"));
    text.flat_map(|text| String::from_utf8_lossy(&text).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn name(call: &str) -> Option<&str> {
    let (name, _) = call.split_once('(')?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
}

#[test]
fn a_server_does_nothing_that_its_unit_forbids() {
    let scratch = Scratch::new("calls");
    let (data, traces) = (scratch.join("data"), scratch.join("traces"));
    fs::create_dir(&traces).expect("made");
    run(traced(&traces, &["format", "--data", text(&data)])).expect(0, &[]);
    let start = ["start", "--listen", "127.0.0.1:0", "--shards", "2", "--prefault", "4194304"];
    let mut server = Server::of(traced(
        &traces,
        &[&start[..], &["--checkpoint-every", "1000000", "--data", text(&data)]].concat(),
    ));
    server.wait_until_serving();
    let load =
        ["--accounts", "100", "--batch", "499", "--seconds", "2", "--warm-up", "0", "--workload", "mixed"];
    run_bench(&[&["run", "--address", server.address()][..], &load].concat()).expect(0, &[]);
    server.wait_for("is whole");
    run_auriga(&["backup", text(&scratch.join("backup")), "--data", text(&data)]).expect(0, &[]);
    // The tracer hands no signal on: it goes to the server, which is the tracer's child.
    let child =
        fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.id())).expect("it has a child");
    auriga_tests::harness::signal(child.trim().parse().expect("one"), libc::SIGTERM);
    server.wait().expect(0, &[]);

    let unit = fs::read_to_string(repository().join("systemd/common.conf")).expect("it is there");
    let allowed = allowed(&unit);
    let calls = calls(&traces);
    let called: BTreeSet<_> = calls.iter().filter_map(|call| name(call)).collect();
    for needed in [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "sched_setaffinity",
        "set_mempolicy",
        "fsync",
    ] {
        assert!(called.contains(needed), "a server's life without {needed}: {called:?}");
    }
    let forbidden: Vec<_> = called.iter().filter(|call| !allowed.contains(**call)).collect();
    assert!(forbidden.is_empty(), "called, and not allowed by SystemCallFilter: {forbidden:?}");
    check_restrictions(&unit, &calls);
}

fn check_restrictions(unit: &str, calls: &[String]) {
    let families: BTreeSet<_> =
        values(unit, "RestrictAddressFamilies").flat_map(str::split_whitespace).collect();
    let of = |names: &'static [&str]| {
        calls.iter().filter(move |call| name(call).is_some_and(|name| names.contains(&name)))
    };
    let mut sockets = 0;
    for call in of(&["socket", "socketpair"]) {
        let family = call.split(['(', ',']).nth(1).expect("a family");
        assert!(families.contains(family), "{family} is not in RestrictAddressFamilies: {call}");
        sockets += 1;
    }
    assert!(sockets > 0, "a server without a socket");
    assert_eq!(values(unit, "MemoryDenyWriteExecute").collect::<Vec<_>>(), ["yes"]);
    for call in of(&["mmap", "mprotect"]) {
        assert!(
            !(call.contains("PROT_WRITE") && call.contains("PROT_EXEC")),
            "memory that is written and run: {call}"
        );
    }
    // The loader maps programs so; later no page becomes executable.
    assert!(!of(&["mprotect"]).any(|call| call.contains("PROT_EXEC")), "memory becomes executable");
}

/// Else the list above would say nothing.
#[test]
fn the_filter_lets_no_dangerous_call_through() {
    let root = installed("filter");
    let path = root.join("usr/lib/systemd/system/auriga.service.d/10-common.conf");
    let allowed = allowed(&fs::read_to_string(path).expect("it is installed"));
    for call in [
        "ptrace",
        "mount",
        "bpf",
        "setuid",
        "chown",
        "reboot",
        "init_module",
        "kexec_load",
        "keyctl",
        "shmat",
        "clock_settime",
    ] {
        assert!(!allowed.contains(call), "{call} is allowed");
    }
    assert!(allowed.len() > 100, "{allowed:?}");
}
