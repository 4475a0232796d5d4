//! The load generator's command line.

use auriga_bench::failure::Failure;
use auriga_bench::{args, ask, compare, grow, replay, run};
use clap::{CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Drives an Auriga server, measures it, and verifies the money afterwards.
///
/// Exit codes: 0 all is well, 1 failed, not verified or a budget missed, 2 usage, 4 environment (no connection, ...).
#[derive(Debug, Parser)]
#[command(name = "auriga-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate load, measure it, verify balances and transfers
    Run(Box<args::RunArgs>),
    /// Send transfers from a CSV file and compare the balances
    Replay(replay::ReplayArgs),
    /// Ask for the newest transfers of random accounts, and measure the answers
    Ask(ask::AskArgs),
    /// Compare runs, or groups of repeated runs, by the JSON that run --json has printed
    Compare(compare::CompareArgs),
    /// Create so many accounts, transfers and pending transfers
    Grow(grow::GrowArgs),
    /// Write man pages and shell completions, for packages
    #[command(hide = true)]
    Generate(auriga_manual::Arguments),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Ask(args) => ask::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Grow(args) => grow::run(&args),
        Command::Generate(args) => {
            auriga_manual::generate(&Cli::command(), &args).map(|()| true).map_err(Failure::Environment)
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "auriga-bench: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
