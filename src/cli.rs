//! The command line: what can be asked, and how an answer becomes output and an exit code.

use crate::check;
use crate::config::{self, Refused};
use crate::failure::{Failure, Kind, Outcome};
use crate::logging;
use crate::offline::{backup, inspect, repair, restore};
use crate::options::{Options, StartArguments};
use crate::output::say;
use crate::{directory, histograms, server, status, top, topology};
use auriga_shards::log::{IdMode, Identity};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a server is asked if nothing else is said.
pub(crate) const ADDRESS: &str = "127.0.0.1:7400";

/// Auriga: a ledger engine that runs on every core.
///
/// Exit codes: 0 ok, 1 failed or not verified, 2 usage, 3 damaged data, 4 environment.
#[derive(Parser, Debug)]
#[command(version, about, long_about, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Make a data directory that holds an empty ledger
    Format(FormatArguments),
    /// Serve a data directory, until SIGTERM or SIGINT
    Start(Box<StartArguments>),
    /// Ask a running server how it is
    Status(StatusArguments),
    /// Show what each core of a running server does, again and again
    Top(top::Arguments),
    /// Show latencies by core and stage, of a running server or of its histogram logs, as tables and plots
    Histograms(Box<histograms::Arguments>),
    /// Say what a data directory holds; reads only, the server must not run
    Inspect(InspectArguments),
    /// Copy a data directory, also while a server runs on it
    Backup(BackupArguments),
    /// Make a data directory from a backup
    Restore(RestoreArguments),
    /// Mend what is damaged and can be mended without loss; the server must not run
    Repair(RepairArguments),
    /// Say which CPUs this machine has and which of them run shards
    #[command(subcommand)]
    Topology(topology::Command),
    /// Say which configuration counts, or print the shipped one
    #[command(subcommand)]
    Config(config::command::Command),
    /// Hold this machine against what a server needs: what was found, what is needed, what to do; exit code 4 if a server would not start
    Check(Box<check::Arguments>),
    /// Write man pages and shell completions, for packages
    #[command(hide = true)]
    Generate(auriga_manual::Arguments),
    /// Print the version
    Version,
}

#[derive(Args, Debug)]
pub(crate) struct FormatArguments {
    /// The directory: new or empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The cluster's number [default: random]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=directory::CLUSTER_MAX))]
    cluster: Option<u64>,
    /// Which transfer ids it takes
    #[arg(long, value_enum, default_value = "time")]
    ids: Ids,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Ids {
    /// Time-ordered: 48 bits of milliseconds, 80 random bits
    Time,
    /// Any; none is ever forgotten
    Any,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArguments {
    /// The server
    #[arg(long, value_name = "ADDRESS:PORT", default_value = ADDRESS)]
    pub(crate) address: String,
    /// Compute the digest of the whole state, too: takes about a second for 50 million ids
    #[arg(long)]
    pub(crate) digest: bool,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArguments {
    /// The directory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Replay the log in memory and compute the digest of the state
    #[arg(long)]
    pub(crate) digest: bool,
    /// Leave out what is behind this epoch
    #[arg(long, value_name = "EPOCH")]
    pub(crate) through: Option<u64>,
    /// Check everything end to end, and say what is wrong where
    #[arg(long, conflicts_with_all = ["digest", "through"])]
    pub(crate) verify: bool,
    /// Where the server has moved the beginning of the log (its --archive)
    #[arg(long, value_name = "DIR")]
    pub(crate) archive: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct BackupArguments {
    /// Where the backup goes: a new or empty directory
    #[arg(value_name = "BACKUP")]
    pub(crate) backup: PathBuf,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where the server moves the beginning of the log (its --archive): it becomes part of the backup
    #[arg(long, value_name = "DIR")]
    pub(crate) archive: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct RestoreArguments {
    /// The backup
    #[arg(value_name = "BACKUP")]
    pub(crate) backup: PathBuf,
    /// The data directory to make: new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct RepairArguments {
    /// The directory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where the server has moved the beginning of the log (its --archive)
    #[arg(long, value_name = "DIR")]
    pub(crate) archive: Option<PathBuf>,
    /// Do it: without this, only what would be done is listed
    #[arg(long)]
    pub(crate) apply: bool,
}

impl Command {
    /// The options of a start, if the command takes them.
    pub(crate) fn configured(&mut self) -> Option<&mut StartArguments> {
        match self {
            Self::Start(asked) => Some(asked),
            Self::Config(config::command::Command::Check(asked)) => Some(&mut asked.start),
            Self::Check(asked) => Some(&mut asked.start),
            _ => None,
        }
    }
}

/// Runs the command that was typed; returns the exit code.
pub(crate) fn main() -> i32 {
    let command = match config::read(std::env::args_os()) {
        Ok(cli) => cli.command,
        Err(Refused::Typed(error)) => {
            let _ = error.print();
            return if error.use_stderr() { Kind::Usage as i32 } else { 0 };
        }
        Err(Refused::Configuration(failure)) => return tell(&failure),
    };
    let begun = match &command {
        Command::Start(asked) => {
            logging::start(&asked.log, asked.log_format);
            Ok(())
        }
        _ => logging::start_of_command(),
    };
    let ended = begun.and_then(|()| run(command));
    logging::tell_all_hidden();
    ended.unwrap_or_else(|failure| tell(&failure))
}

/// Says why the command ends, and returns the exit code.
fn tell(failure: &Failure) -> i32 {
    logging::tell_failure(failure);
    failure.kind as i32
}

fn run(command: Command) -> Outcome<i32> {
    match command {
        Command::Format(asked) => {
            let cluster = asked.cluster.unwrap_or_else(|| server::random_number() & directory::CLUSTER_MAX);
            let id_mode = match asked.ids {
                Ids::Time => IdMode::Time,
                Ids::Any => IdMode::Any,
            };
            directory::format(&asked.data, &Identity { cluster, id_mode })?;
            say!("formatted {} for cluster {cluster}, ids = {}", asked.data.display(), id_mode.name());
            Ok(0)
        }
        Command::Start(asked) => start(*asked).map(|()| 0),
        Command::Status(asked) => status::run(&asked).map(|()| 0),
        Command::Top(asked) => top::run(&asked).map(|()| 0),
        Command::Histograms(asked) => histograms::run(&asked).map(|()| 0),
        Command::Inspect(asked) => inspect::run(&asked).map(|()| 0),
        Command::Backup(asked) => backup::run(&asked).map(|()| 0),
        Command::Restore(asked) => restore::run(&asked).map(|()| 0),
        Command::Repair(asked) => repair::run(&asked).map(|()| 0),
        Command::Topology(command) => topology::run(&command),
        Command::Config(command) => config::command::run(&command),
        Command::Check(asked) => check::run(&asked),
        Command::Generate(asked) => {
            auriga_manual::generate(&config::described(), &asked).map_err(Failure::environment)?;
            Ok(0)
        }
        Command::Version => {
            say!("auriga {}", env!("CARGO_PKG_VERSION"));
            Ok(0)
        }
    }
}

fn start(asked: StartArguments) -> Outcome<()> {
    let options = Options::new(asked)?;
    server::run(options, |shared| {
        if let Err(e) = stop_on_signal(&shared) {
            tracing::warn!("signals are not handled: {e}");
        }
    })
}

/// The first SIGTERM or SIGINT stops the server; the second ends the process at once.
fn stop_on_signal(shared: &Arc<server::Shared>) -> std::io::Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])?;
    let shared = Arc::clone(shared);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for (count, _) in signals.forever().enumerate() {
            if count > 0 {
                tracing::warn!("a second signal: ending at once");
                std::process::exit(0);
            }
            tracing::info!("stopping: answering what is under way");
            shared.stop();
        }
    })?;
    Ok(())
}

/// Prints a value as one JSON line.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Outcome<()> {
    let text = serde_json::to_string(value).map_err(|e| Failure::failed(format!("can't write JSON: {e}")))?;
    say!("{text}");
    Ok(())
}
