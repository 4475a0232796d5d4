//! `auriga check` on this machine, and what it says of a directory, a port and limits that a server would refuse. And what
//! `auriga generate` makes for packages.

use auriga_tests::harness::{Finished, Scratch, auriga, format, not_run, run, run_auriga, text};
use serde_json::Value;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;

/// As a service would ask: on a free port.
fn check(data: &Path, options: &[&str]) -> Finished {
    let fixed = ["check", "--data", text(data), "--listen", "127.0.0.1:0", "--log-max", "200 MiB", "--json"];
    run(auriga(&[&fixed, options].concat()))
}

fn finding(said: &Finished, name: &str) -> Value {
    let findings = said.json()["findings"].clone();
    let found = findings.as_array().expect("a list").iter().find(|finding| finding["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is missing in {findings}")).clone()
}

#[test]
fn this_machine_is_looked_at() {
    let scratch = Scratch::new("check");
    let data = scratch.join("data");
    format(&data);
    // The tests' servers run here, so nothing can be an error.
    let said = check(&data, &["--shards", "1"]).expect(0, &[]);
    assert_eq!(said.json()["starts"], true);
    let names = [
        "kernel",
        "io_uring",
        "memlock",
        "clock source",
        "clock",
        "huge pages",
        "reserved pages",
        "configuration",
        "memory",
        "CPU frequency",
        "NIC interrupts",
        "NVMe interrupts",
        "data directory",
        "file system",
        "direct I/O",
        "alignment",
        "write cache",
        "free space",
        "port",
    ];
    for name in names {
        let finding = finding(&said, name);
        assert!(finding["need"].is_string() && finding["found"].is_string(), "{finding}");
        let has_fix = finding["fix"].is_string();
        assert_eq!(has_fix, finding["level"] == "warning", "{finding}");
    }
    for name in ["kernel", "io_uring", "memlock", "direct I/O", "data directory", "port"] {
        assert_eq!(finding(&said, name)["level"], "ok", "{name}");
    }
    let plain = run_auriga(&[
        "check",
        "--data",
        text(&data),
        "--listen",
        "127.0.0.1:0",
        "--log-max",
        "200 MiB",
        "--shards",
        "1",
    ]);
    let plain = plain.expect(0, &[]).stdout;
    assert!(plain.lines().last().is_some_and(|line| line.starts_with("0 errors, ")), "{plain}");
    let left: Vec<_> =
        std::fs::read_dir(&data).expect("it is there").flatten().map(|file| file.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "a probe was left: {left:?}");
}

#[test]
fn what_a_server_would_refuse_is_exit_code_four() {
    let scratch = Scratch::new("refused");
    let (data, missing) = (scratch.join("data"), scratch.join("missing"));
    let refused = |said: Finished, name: &str, words: &str| {
        let said = said.expect(4, &[]);
        assert_eq!(said.json()["starts"], false);
        let finding = finding(&said, name);
        assert!(finding["level"] == "error" && finding.to_string().contains(words), "{finding}");
    };
    refused(check(&missing, &["--shards", "1"]), "data directory", "auriga format --data");
    assert!(!missing.exists(), "nothing is made");
    format(&data);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let asked = ["check", "--json", "--shards", "1", "--data", text(&data), "--listen", &address];
    refused(run_auriga(&asked), "port", "taken by another process");
    refused(check(&data, &["--window", "1"]), "configuration", "--window 1: expected 60 to");
    refused(check(&data, &["--shards", "1", "--prefault", "1 TiB"]), "memory", "ask for less");
    let mut command =
        auriga(&["check", "--json", "--shards", "1", "--data", text(&data), "--listen", "127.0.0.1:0"]);
    // SAFETY: setrlimit is async-signal-safe and the limit lives for the call.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 4_096, rlim_max: 4_096 };
            match libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    refused(run(command), "memlock", "LimitMEMLOCK=infinity");
}

/// Data in memory is not durable, and a check says so as the server would.
#[test]
fn a_directory_in_memory_is_an_error() {
    let kind =
        std::process::Command::new("stat").args(["-f", "-c", "%T", "/dev/shm"]).output().expect("stat runs");
    if String::from_utf8_lossy(&kind.stdout).trim() != "tmpfs" {
        return not_run("a check of a directory on tmpfs", "/dev/shm is none");
    }
    let said = check(Path::new("/dev/shm"), &["--shards", "1"]).expect(4, &[]);
    for name in ["file system", "direct I/O"] {
        assert_eq!(finding(&said, name)["level"], "error", "{name}");
    }
}

/// The commands that a help lists, but for help itself.
fn commands(path: &[&str]) -> Vec<String> {
    let help = run_auriga(&[path, &["--help"]].concat()).expect(0, &[]).stdout;
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help").map(String::from).collect()
}

#[test]
fn every_command_has_a_man_page_and_every_shell_its_completions() {
    let scratch = Scratch::new("generate");
    let folder = text(scratch.path());
    run_auriga(&["generate", "--man", folder, "--completions", folder]).expect(0, &[]);
    let read =
        |name: &str| std::fs::read_to_string(scratch.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let first = commands(&[]);
    assert!(first.len() > 8 && first.iter().any(|name| name == "start"), "{first:?}");
    for name in &first {
        let page = read(&std::format!("auriga-{name}.1"));
        assert!(page.contains(".SH SYNOPSIS") && page.contains(name.as_str()), "{page}");
        for inner in commands(&[name]) {
            assert!(
                read(&std::format!("auriga-{name}-{inner}.1")).contains(".SH SYNOPSIS"),
                "{name} {inner}"
            );
        }
        for shell in ["auriga.bash", "_auriga", "auriga.fish"] {
            assert!(read(shell).contains(name.as_str()), "{name} in {shell}");
        }
    }
    let start = read("auriga-start.1");
    for word in ["log\\-max", "AURIGA_LOG_MAX", "256 GiB"] {
        assert!(start.contains(word), "{word} is missing in {start}");
    }
    assert!(read("auriga.1").contains(".SH NAME") && !scratch.join("auriga-generate.1").exists());
    run_auriga(&["generate", "--man", "/nowhere"]).expect(4, &["/nowhere", "name a directory that is there"]);
    run_auriga(&["generate"]).expect(2, &["--man"]);
}
