//! What the program can be told.

use crate::peer::System;
use auriga_bench::args::seconds;
use auriga_wire::frame::REQUEST_RECORDS_MAX;

/// Most connections; each has a thread.
const CONNECTIONS_MAX: i64 = 1_000;

/// Whom to drive, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// Which ledger, and how it is asked
    #[arg(long, value_enum)]
    pub system: System,
    /// The server: `host=/tmp/socket user=NAME dbname=NAME` or `postgres://...`; `redis://...` or `unix:///tmp/socket`
    #[arg(long)]
    pub address: String,
    /// Accounts that transfers move between: ids 1 to N, created
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    pub accounts: u32,
    /// Transfers a request
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=REQUEST_RECORDS_MAX as i64))]
    pub batch: u32,
    /// Connections, each with a thread and one request under way
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=CONNECTIONS_MAX))]
    pub connections: u32,
    /// Seconds of load before the measured ones
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub warm_up: f64,
    /// Measured seconds
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// Seed of accounts and amounts; ids differ from run to run all the same
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub json: bool,
}

/// What to compare.
#[derive(Clone, Debug, clap::Args)]
pub struct CompareArgs {
    /// A system that is not installed, and the package that it would come with
    #[arg(long, value_name = "NAME=PACKAGE", value_parser = absent)]
    pub absent: Vec<Absent>,
    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub json: bool,
}

/// A system that is not installed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Absent {
    /// The system.
    pub name: String,
    /// The Debian package that brings it.
    pub package: String,
}

fn absent(text: &str) -> Result<Absent, String> {
    match text.split_once('=') {
        Some((name, package)) if !name.is_empty() && !package.is_empty() => {
            Ok(Absent { name: name.into(), package: package.into() })
        }
        _ => Err(format!("found `{text}`, expected NAME=PACKAGE")),
    }
}
