//! The measuring and computing side of `bench/limits`, `bench/small`, `bench/instructions` and `bench/model`.

use auriga_micro::instructions::Table;
use auriga_micro::limit::{Report, Turn};
use auriga_micro::model::{self, Assumed, Forecast, Host, check};
use auriga_micro::steps::Steps;
use auriga_micro::{disk, echo, parts};
use auriga_shards::limits::STREAMS;
use clap::{Parser, Subcommand};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Measures what the machine allows and what the engine's stages cost. Called by bench/limits, bench/instructions and
/// bench/model.
///
/// Exit codes: 0 all is well, 1 failed, 2 usage, 4 the machine lacks something.
#[derive(Debug, Parser)]
#[command(name = "auriga-micro", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure every part of the limit once, and print it as a line of JSON
    Parts {
        /// A directory on the disk of the log
        #[arg(long)]
        data: PathBuf,
        /// Shards whose blocks a flush writes
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=STREAMS as i64))]
        shards: u16,
    },
    /// Tell what the turns in a file come to: lines of `parts`, and of the server
    Limit {
        /// The file
        turns: PathBuf,
        /// Print one JSON object as the last line
        #[arg(long)]
        json: bool,
    },
    /// Measure what small requests can't do without, and print it as a line of JSON: microseconds of a durable write of 4 KiB and of a
    /// round trip over loopback (medians), and messages a second that are only answered
    Small {
        /// A directory on the disk of the log
        #[arg(long)]
        data: PathBuf,
        /// Threads that answer
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=STREAMS as i64))]
        shards: u16,
        /// Connections with one message each under way
        #[arg(long)]
        connections: u16,
        /// Time of the messages, seconds
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
    },
    /// Print the table of what gungraun has counted
    Instructions {
        /// What it printed with --output-format=json
        counted: PathBuf,
        /// What `rustc --version` says
        #[arg(long)]
        compiler: String,
        /// Compare with this table instead
        #[arg(long, value_name = "TABLE")]
        check: Option<PathBuf>,
    },
    /// Measure what each step costs, and print the table
    Steps {
        /// A directory on a disk
        #[arg(long)]
        data: PathBuf,
    },
    /// Check what can be foretold of this machine, then compute what others would do
    Model {
        /// The table of `steps`
        steps: PathBuf,
        /// The table of `instructions`
        #[arg(long)]
        instructions: PathBuf,
        /// Assume another value of what can't be measured here
        #[arg(long, value_name = "NAME=VALUE")]
        assume: Vec<String>,
        /// Print one JSON object as the last line
        #[arg(long)]
        json: bool,
    },
}

/// Machines that are computed: cores, each on so many sockets.
const CORES: [u16; 3] = [16, 64, 128];
const SOCKETS: [u16; 3] = [1, 2, 4];

/// Why it ends, and with which code.
struct Failure(u8, String);

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(text) => {
            let written = writeln!(std::io::stdout(), "{text}");
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(Failure(code, text)) => {
            let _ = writeln!(std::io::stderr(), "auriga-micro: {text}");
            ExitCode::from(code)
        }
    }
}

fn run(command: Command) -> Result<String, Failure> {
    match command {
        Command::Parts { data, shards } => {
            let parts = parts::measure(&data, shards).map_err(|error| {
                Failure(4, format!("the parts can't be measured in {}: {error}", data.display()))
            })?;
            Ok(serde_json::to_string(&Turn::Parts(parts)).expect("figures are numbers"))
        }
        Command::Small { data, shards, connections, seconds } => {
            let failed = |error| {
                Failure(4, format!("small requests can't be measured in {}: {error}", data.display()))
            };
            let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
            let rate = echo::rate(connections.into(), shards.into(), Duration::from_secs(seconds));
            let measured = serde_json::json!({
                "write_us": micros(disk::cut(&data).map_err(failed)?),
                "round_trip_us": micros(echo::round_trip().map_err(failed)?),
                "answered_per_second": rate.map_err(failed)?,
            });
            Ok(measured.to_string())
        }
        Command::Limit { turns, json } => {
            let turns = read(&turns)?;
            let turns: Result<Vec<Turn>, _> = turns.lines().map(serde_json::from_str).collect();
            let turns = turns.map_err(|error| Failure(1, format!("a turn can't be read: {error}")))?;
            let cores = std::thread::available_parallelism()
                .map_err(|error| Failure(4, format!("the number of cores is not known: {error}")))?;
            let report = Report::new(&turns, cores.get() as u32).map_err(|why| Failure(1, why))?;
            let mut text = report.table();
            if json {
                text.push('\n');
                text.push_str(&serde_json::to_string(&report).expect("figures are numbers"));
            }
            Ok(text)
        }
        Command::Instructions { counted, compiler, check } => {
            let table = Table::counted(&read(&counted)?, &compiler).map_err(|why| Failure(1, why))?;
            match check {
                None => Ok(table.to_string().trim_end().into()),
                Some(committed) => {
                    let committed = read(&committed)?.parse().map_err(|why| Failure(1, why))?;
                    table.compare(&committed).map_err(|why| Failure(1, why))
                }
            }
        }
        Command::Steps { data } => {
            let steps = Steps::measure(&data).map_err(|error| {
                Failure(4, format!("the steps can't be measured in {}: {error}", data.display()))
            })?;
            Ok(steps.to_string().trim_end().into())
        }
        Command::Model { steps, instructions, assume, json } => {
            let steps: Steps = read(&steps)?.parse().map_err(|why| Failure(1, why))?;
            let assumed = assume.iter().try_fold(Assumed::new(&steps), |assumed, one| assumed.with(one));
            let assumed = assumed.map_err(|why| Failure(2, why))?;
            let counted: Table = read(&instructions)?.parse().map_err(|why| Failure(1, why))?;
            let mut text = check::check(&steps, &counted).map_err(|why| Failure(1, why))?;
            let hosts = CORES.iter().flat_map(|cores| SOCKETS.map(|sockets| Host { cores: *cores, sockets }));
            let forecasts: Vec<Forecast> = hosts.map(|host| Forecast::new(&steps, &assumed, host)).collect();
            text.push_str(&model::table(&forecasts, &assumed));
            if json {
                text.push('\n');
                text.push_str(&model::json(&forecasts, &assumed, &steps));
            }
            Ok(text)
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure(4, format!("can't read {}: {error}", path.display())))
}
