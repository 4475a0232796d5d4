//! The units and the drop-ins that are made for them, as systemd reads them.

use crate::root::{installed, repository, verify};
use auriga_tests::harness::{Finished, run, run_auriga, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SERVICES: [&str; 3] = ["auriga.service", "auriga-check.service", "auriga-format.service"];
/// Of 100, where 0 is a service that can do nothing.
const EXPOSURE_MAX: u32 = 15;

/// systemd warns of much, and succeeds.
#[track_caller]
fn expect_silence(verified: Finished) {
    let verified = verified.expect(0, &[]);
    assert_eq!((verified.stdout.as_str(), verified.stderr.as_str()), ("", ""));
}

fn examples() -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join("numa-topology/examples")).expect("it is there");
    entries.map(|entry| entry.expect("it can be read").path()).collect()
}

/// Has drop-ins written into a root.
fn write_drop_ins(root: &Path, arguments: &[&str]) -> Vec<PathBuf> {
    let overrides = root.join("etc/systemd/system");
    let written = run_auriga(&[&["topology", "systemd", "--output", text(&overrides)], arguments].concat())
        .expect(0, &[]);
    written.stdout.lines().map(PathBuf::from).collect()
}

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    let root = installed("verify");
    for unit in SERVICES.iter().chain(&["auriga.slice"]) {
        expect_silence(verify(root.path(), &[unit]));
    }
    expect_silence(verify(root.path(), &SERVICES));
}

/// It would say nothing of the server that is started then.
#[test]
fn the_preflight_is_given_what_the_server_is_given() {
    let given = |unit: &str, line: &str| {
        let text = fs::read_to_string(repository().join("systemd").join(unit)).expect("it is there");
        let found = text.lines().find_map(|found| found.strip_prefix(line)).map(str::to_owned);
        found.unwrap_or_else(|| panic!("{line} is missing in {unit}"))
    };
    let of_server = given("auriga.service", "ExecStart=/usr/bin/auriga start ");
    assert!(of_server.contains("$TOPOLOGY $OPTIONS"), "{of_server}");
    assert_eq!(given("auriga.service", "ExecStartPre=/usr/bin/auriga check "), of_server);
    assert_eq!(given("auriga-check.service", "ExecStart=/usr/bin/auriga check "), of_server);
}

/// Else silence would mean nothing.
#[test]
fn systemd_says_so_if_a_unit_is_wrong() {
    let wrong = [
        ("Colour=blue", "Unknown key"),
        ("NUMAMask=%i", "NUMA"),
        ("SystemCallFilter=io_uring_boil", "io_uring_boil"),
        ("WatchdogSec=soon", "soon"),
        ("ExecStartPost=/usr/bin/not-there", "not-there"),
    ];
    let root = installed("wrong");
    let directory = root.join("etc/systemd/system/auriga.service.d");
    fs::create_dir_all(&directory).expect("made");
    for (line, word) in wrong {
        fs::write(directory.join("wrong.conf"), format!("[Service]\n{line}\n")).expect("written");
        let said = verify(root.path(), &["auriga.service"]).stderr;
        assert!(said.contains(word), "{line}: {said}");
    }
}

#[test]
fn no_service_is_more_exposed_than_it_has_to_be() {
    let root = installed("exposure");
    let security = |unit: &str, max: u32| {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=true", "--no-pager", "--root", text(root.path())]);
        run({
            command.arg(format!("--threshold={max}")).arg(unit);
            command
        })
    };
    for unit in SERVICES {
        let scored = security(unit, EXPOSURE_MAX);
        let score = scored.stdout.lines().last().unwrap_or_default().to_string();
        eprintln!("{score}");
        assert_eq!(scored.code, Some(0), "{}", scored.stdout);
        assert!(score.contains("Overall exposure level"), "{}", scored.stdout);
        assert_ne!(security(unit, 0).code, Some(0), "every service is more exposed than not at all");
    }
}

#[test]
fn drop_ins_of_every_example_are_understood() {
    for example in examples() {
        let is_alone = fs::read_to_string(&example).expect("read").lines().all(|line| line != "cpus = []");
        let root = installed("drop-ins");
        let file = text(&example);
        let alone: &[&str] = if is_alone { &["--file", file, "--alone"] } else { &["--file", file] };
        let written = write_drop_ins(root.path(), alone);
        assert_eq!(written.len(), if is_alone { 6 } else { 2 }, "{file}: {written:?}");
        expect_silence(verify(root.path(), &SERVICES));
        // They were read: with a mistake in one, it is not silent.
        let service = &written[0];
        let good = fs::read_to_string(service).expect("read");
        assert!(good.contains(&format!("--topology={file}")), "{good}");
        fs::write(service, good.replace("NUMAMask=", "NUMAMask=x")).expect("written");
        let said = verify(root.path(), &["auriga.service"]).stderr;
        assert!(said.contains("NUMA"), "{file}: {said}");
    }
}

#[test]
fn drop_ins_are_for_this_machine_and_for_units_that_are_named() {
    let root = installed("own");
    let units = ["--unit", "ledger.service", "--unit", "auriga.service"];
    let written = write_drop_ins(root.path(), &units);
    let overrides = root.join("etc/systemd/system");
    let expected =
        ["ledger", "auriga"].map(|unit| overrides.join(format!("{unit}.service.d/50-auriga-topology.conf")));
    assert_eq!(written, expected);
    expect_silence(verify(root.path(), &["auriga.service"]));
    let printed = run_auriga(&[&["topology", "systemd"], &units[..]].concat()).expect(0, &[]).stdout;
    let text_of = |path: &PathBuf| fs::read_to_string(path).expect("read");
    assert!(printed.starts_with("# ledger.service.d/50-auriga-topology.conf\n"), "{printed}");
    assert!(printed.contains(&text_of(&written[0])), "{printed}");
    assert!(!printed.contains("--topology="), "what discover finds at each start is in no file:\n{printed}");
    let help = run_auriga(&["topology", "systemd", "--help"]).expect(0, &[]).stdout;
    assert!(help.contains("Usage: auriga topology systemd"), "{help}");
}

#[test]
fn drop_ins_that_can_not_be_are_refused() {
    let root = installed("refused");
    let odd = root.join("a topology.toml");
    let vm = repository().join("numa-topology/examples/vm-2-cpus.toml");
    fs::copy(&vm, &odd).expect("copied");
    let cases: [(&[&str], i32, &[&str]); 5] = [
        (&["--unit", "auriga"], 2, &["--unit auriga", "auriga.service"]),
        (&["--unit", "../x.service"], 2, &["--unit ../x.service"]),
        (&["--file", text(&odd)], 2, &["a topology.toml", "/etc/auriga/topology.toml"]),
        (&["--file", text(&vm), "--alone"], 2, &["--alone", "[housekeeping]"]),
        (&["--file", "/nowhere.toml"], 4, &["/nowhere.toml"]),
    ];
    for (arguments, code, words) in cases {
        run_auriga(&[&["topology", "systemd"], arguments].concat()).expect(code, words);
    }
    run_auriga(&["topology", "systemd", "--file", text(&vm), "--output", "/proc/no"])
        .expect(4, &["/proc/no", "--output"]);
}
