//! Other ledgers, driven with the load generator's plain workload, so that they can be compared with Auriga on one machine.
//!
//! `bench/peers` starts the servers and calls this program: `run` drives one that is there and verifies its money, `compare` puts the
//! results of several runs side by side. It is a crate of its own, because the drivers of other ledgers bring what Auriga does not
//! want near it, a second asynchronous runtime among it.

mod args;
mod compare;
mod durable;
mod peer;
mod postgres;
mod redis;
mod run;
mod verify;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Drives other ledgers with the load generator's work, verifies their money, and compares them with Auriga.
///
/// Exit codes: 0 all is well, 1 failed or not verified, 2 usage, 4 environment (no connection, settings that are not durable, ...).
#[derive(Debug, Parser)]
#[command(name = "auriga-peer", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Drive a server that holds nothing yet, measure it, verify balances and transfers
    Run(args::RunArgs),
    /// Compare the results of runs, read from stdin: lines of a name, a number of connections and a run's JSON
    Compare(args::CompareArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Compare(args) => compare::run(&args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "auriga-peer: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
