//! What an operator writes, with any content: the command line and its numbers, the identity file, names of files of the log.

use crate::cli::Command;
use crate::config;
use crate::directory::{parse_identity, parse_name};
use crate::options::{Options, StartArguments, least_log_size};
use auriga_fuzzing::{Flips, damage, inputs};
use auriga_numa_topology::{Housekeeping, SHARDS_MAX, ShardPlace, Topology};
use auriga_shards::log::IdMode;
use auriga_wire::frame::FRAME_SIZE_MAX;
use std::path::Path;

/// Options of `start` whose values are numbers.
const NUMBERS: [&str; 13] = [
    "--accounts-max",
    "--ids-max",
    "--window",
    "--pendings-max",
    "--log-max",
    "--checkpoint-every",
    "--checkpoint-memory",
    "--connections-max",
    "--requests-max",
    "--replies-max",
    "--prefault",
    "--spin",
    "--histogram-interval",
];
/// Others, of any command.
const OTHERS: [&str; 15] = [
    "--data",
    "--cluster",
    "--listen",
    "--shards",
    "--topology",
    "--archive",
    "--histogram-log",
    "--history",
    "--accept-clock",
    "--digest",
    "--json",
    "--ids",
    "--through",
    "--verify",
    "--apply",
];
const COMMANDS: [&str; 9] =
    ["start", "format", "inspect", "status", "topology", "version", "backup", "restore", "repair"];

fn option(number: u8) -> &'static str {
    let all = NUMBERS.len() + OTHERS.len();
    NUMBERS.iter().chain(&OTHERS).nth(usize::from(number) % all).expect("below their number")
}

/// Shards on CPUs that needn't be there: nothing is started.
fn topology(shards: usize) -> Topology {
    let shards = (0..shards as u32).map(|cpu| ShardPlace { cpu, node: 0 }).collect();
    Topology { shards, housekeeping: Housekeeping::default() }
}

/// What is taken can be reckoned with.
fn check(options: &Options) {
    let shards = options.shards();
    assert!(options.large_buffers_per_shard() >= 1);
    assert!(options.unsent_max_per_shard() >= FRAME_SIZE_MAX);
    assert!(options.log_max >= least_log_size(shards as u64));
    assert!(u64::try_from(options.histogram_interval.as_nanos()).is_ok_and(|ns| ns < u64::MAX / 2));
    assert!(options.spin_ns < 1 << 32 && options.limits.window_ns < u64::MAX / 2);
    assert!(options.checkpoints().kept_max <= usize::MAX / shards);
    assert!(options.prefault_per_shard() <= 1 << 40);
}

fn start(words: &[String]) -> Option<StartArguments> {
    match config::read(words).ok()?.command {
        Command::Start(asked) => Some(*asked),
        _ => None,
    }
}

#[test]
fn a_command_line_of_any_words() {
    inputs!((u8, Vec<(u8, u8, String, u64)>), 10).for_each(|(command, words)| {
        let mut line = vec!["auriga".to_string(), COMMANDS[usize::from(*command) % COMMANDS.len()].into()];
        for (kind, flag, text, number) in words {
            match kind % 4 {
                0 => line.push(text.clone()),
                1 => line.push(number.to_string()),
                2 => line.push(option(*flag).into()),
                _ => line.push(format!("{}={number}", option(*flag))),
            }
        }
        if let Some(asked) = start(&line)
            && let Ok(options) = Options::on(topology(2), asked)
        {
            check(&options);
        }
    });
}

#[test]
fn numbers_of_any_size() {
    inputs!((u8, Vec<(u8, u8, u64)>), 10).for_each(|(shards, numbers)| {
        let mut line: Vec<String> = ["auriga", "start", "--data", "d"].map(String::from).into();
        let mut asked_for = [false; NUMBERS.len()];
        for (flag, shift, number) in numbers {
            let flag = usize::from(*flag) % NUMBERS.len();
            if !std::mem::replace(&mut asked_for[flag], true) {
                // Of every length.
                line.extend([NUMBERS[flag].to_string(), (number >> (shift % 64)).to_string()]);
            }
        }
        let Some(asked) = start(&line) else { return };
        match Options::on(topology(1 + usize::from(*shards) % SHARDS_MAX), asked) {
            Ok(options) => check(&options),
            Err(failure) => assert!(failure.message.contains("expected"), "{failure}"),
        }
    });
}

const GOOD: &str = "format = 1\ncluster = 7\nids = \"time\"\n";

fn identity(text: &str) {
    if let Ok(identity) = parse_identity(Path::new("auriga.toml"), text) {
        assert!([IdMode::Time, IdMode::Any].contains(&identity.id_mode));
    }
}

#[test]
fn an_identity_file_of_any_text() {
    inputs!((String, u64, String), 2).for_each(|(text, number, ids)| {
        identity(text);
        identity(&format!("format = 1\ncluster = {number}\nids = {ids:?}\n"));
    });
}

#[test]
fn a_damaged_identity_file() {
    assert!(parse_identity(Path::new("auriga.toml"), GOOD).is_ok());
    inputs!(Flips).for_each(|flips| {
        let mut bytes = GOOD.as_bytes().to_vec();
        damage(&mut bytes, flips);
        identity(&String::from_utf8_lossy(&bytes));
    });
}

/// A name is that of a file of the log, or of nothing: never of another file.
#[test]
fn a_file_name_of_any_text() {
    inputs!((bool, u8, String, u64, u64)).for_each(|(is_cut, kind, text, one, other)| {
        let folder = Path::new(if *is_cut { "d/cuts" } else { "d/streams" });
        let name = match kind % 5 {
            0 => text.clone(),
            1 => format!("{one}-{other}.log"),
            2 => format!("{:03}-{:08}.log", one % 1_000, other % 100_000_000),
            3 => format!("{:08}.log", other % 10_000_000_000),
            _ => format!("{text}{one}.log"),
        };
        if let Some(file) = parse_name(folder, &name) {
            assert_eq!(Path::new("d").join(file.to_string()), folder.join(&name));
        }
    });
}
