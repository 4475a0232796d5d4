//! What `auriga-bench run` can be told.

use crate::arrivals::Process;
use crate::budget::{self, Budget};
use crate::draw::Drawn;
use crate::outputs::OutputArgs;
use crate::schedule;
use crate::sizes::Sizes;
use crate::workload::{Mix, WORKERS_MAX, Workload};
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use std::path::PathBuf;

/// How much is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Verify {
    /// Every balance and every acknowledged transfer.
    All,
    /// Every balance, and the transfers of a sample of the requests.
    Sample,
    /// Nothing.
    None,
}

/// What to send, how fast, for how long.
#[derive(Clone, Debug, clap::Args)]
#[command(args_override_self = true)]
pub struct RunArgs {
    /// The server
    #[arg(long, default_value = "127.0.0.1:7400", value_name = "HOST:PORT")]
    pub address: String,
    /// Accounts that transfers move between: ids 1 to N, created if they are missing
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    pub accounts: u32,
    /// Transfers a request
    #[arg(long, default_value_t = 8_190, value_parser = clap::value_parser!(u32).range(1..=REQUEST_RECORDS_MAX as i64))]
    pub batch: u32,
    /// Transfers a request, drawn for each, instead of --batch: fixed:N, uniform:MIN..MAX, log-uniform:MIN..MAX, choice:SIZE=SHARE,...
    #[arg(long, value_name = "DISTRIBUTION", overrides_with = "batch")]
    pub sizes: Option<Sizes>,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=i64::from(schedule::IN_FLIGHT_MAX)))]
    pub in_flight: u32,
    /// Connections
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub connections: u32,
    /// Threads that generate load; each has its part of the connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=i64::from(WORKERS_MAX)))]
    pub workers: u8,
    /// How accounts are drawn: uniform, zipf:EXPONENT, or ping-pong (of fixed pairs, a transfer and the same one back)
    #[arg(long, default_value = "uniform", value_name = "DISTRIBUTION")]
    pub accounts_drawn: Drawn,
    /// Share of transfers that touch a hot account, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub hot_share: f64,
    /// The hot accounts: 1 to N
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub hot_accounts: u32,
    /// Share of transfers that are meant to be refused, because their credit account is not there, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub failing_share: f64,
    /// Transfers a second in an open loop, with latency from the intended send time [default: as fast as possible]
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// What separates the requests of an open loop
    #[arg(long, value_enum, default_value_t = Process::Constant)]
    pub arrivals: Process,
    /// Seconds of load before the measured ones
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub warm_up: f64,
    /// Measured seconds
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// Phases to run instead, each with its time and rate: a TOML file, see bench/README.md
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rate", "warm_up", "seconds"])]
    pub schedule: Option<PathBuf>,
    /// Divides all times of the schedule
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    pub shorten: Option<f64>,
    /// Print the phases and the disk space that they need, and do nothing
    #[arg(long)]
    pub plan: bool,
    /// Seed of accounts and amounts; ids differ from run to run all the same
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Kind of work
    #[arg(long, value_enum, default_value_t = Workload::Plain)]
    pub workload: Workload,
    /// Kinds of work by their shares, instead: as in plain=8,two-phase=4,linked=4,lookup=1,query=1,account=1
    #[arg(long, value_name = "SHARES", conflicts_with = "workload")]
    pub mix: Option<Mix>,
    /// How much is verified afterwards
    #[arg(long, value_enum, default_value_t = Verify::All)]
    pub verify: Verify,
    /// MiB of memory for what is remembered of requests, some 16 bytes each and 8 for a refused transfer; of older ones a sample is
    /// remembered beyond that
    #[arg(long, value_name = "MIB", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub verify_memory: u32,
    /// Seconds without any answer after which the run fails
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    pub timeout: f64,
    /// File for the time and latency of every measured request that creates transfers, as CSV
    #[arg(long, value_name = "FILE")]
    pub requests: Option<PathBuf>,
    /// The files that it leaves.
    #[command(flatten)]
    pub outputs: OutputArgs,
    /// Write a report for people: one HTML file that needs no other
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// What must be reached, or the exit code is 1, as in p99<10ms or refused<=0; may be repeated
    #[arg(long, value_name = "BUDGET", value_parser = budget::of_a_run)]
    pub require: Vec<Budget>,
    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub json: bool,
}

impl RunArgs {
    /// The sizes of requests.
    pub fn sizes(&self) -> Sizes {
        self.sizes.unwrap_or(Sizes::Fixed(self.batch))
    }

    /// The kinds of work.
    pub fn mix(&self) -> Mix {
        self.mix.unwrap_or_else(|| self.workload.mix())
    }

    /// The name of the work.
    pub fn work(&self) -> String {
        self.mix.map_or_else(|| self.workload.name().into(), |mix| mix.to_string())
    }

    /// Requests sent for each one that creates transfers, on average.
    pub fn requests_per_batch(&self) -> f64 {
        let (lookups, queries) = self.mix().reads();
        1.0 + lookups + queries + self.new_accounts().min(1.0)
    }

    /// Accounts that are created after each of these, on average.
    pub fn new_accounts(&self) -> f64 {
        self.mix().new_accounts() * self.sizes().mean()
    }
}

fn number(text: &str, what: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("found `{text}`, expected {what}"))?;
    if range.contains(&value) { Ok(value) } else { Err(format!("found {value}, expected {what}")) }
}

fn share(text: &str) -> Result<f64, String> {
    number(text, "a share from 0 to 1", 0.0..=1.0)
}

/// Reads a factor.
pub fn factor(text: &str) -> Result<f64, String> {
    number(text, "a factor from 0.001 to 1,000,000", 0.001..=1e6)
}

fn rate(text: &str) -> Result<f64, String> {
    let (min, max) = schedule::RATE;
    number(text, "0.001 to 1,000,000,000 transfers a second", min..=max)
}

/// Reads a number of seconds.
pub fn seconds(text: &str) -> Result<f64, String> {
    number(text, "0 to 1,000,000 seconds", 0.0..=1e6)
}
