//! The seam: what a ledger must be able to do to be driven and verified. One file for each that can.

use crate::postgres::{Manner, Postgres};
use crate::redis::Redis;
use auriga_bench::failure::Failure;
use auriga_wire::Transfer;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time without an answer.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Settings by name, as the server tells them.
pub type Settings = BTreeMap<String, String>;

/// What an account holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Sum of its posted debits.
    pub debits: i64,
    /// Sum of its posted credits.
    pub credits: i64,
}

/// A server, seen from the connection that prepares it and looks at it afterwards.
pub trait Peer {
    /// The settings that matter, the version among them.
    fn settings(&mut self) -> Result<Settings, Failure>;

    /// Settings that must be so, or an acknowledged transfer may be lost.
    fn durable(&self) -> &'static [(&'static str, &'static str)];

    /// Creates what the transfers need, and accounts 1 to `accounts`. Fails if the server holds anything yet.
    fn create(&mut self, accounts: u32) -> Result<(), Failure>;

    /// A new connection that sends transfers.
    fn sender(&mut self) -> Result<Box<dyn Sender>, Failure>;

    /// What every account holds, by id.
    fn balances(&mut self) -> Result<BTreeMap<u128, Balance>, Failure>;

    /// How many transfers there are.
    fn count(&mut self) -> Result<u64, Failure>;

    /// The transfers with these ids, which ascend, in their order; what is not there is left out. Timestamps are 0.
    fn transfers(&mut self, ids: &[u128]) -> Result<Vec<Transfer>, Failure>;
}

/// A connection that sends transfers, from a thread of its own.
pub trait Sender: Send {
    /// Applies these plain transfers and returns when all are durable; says how often it had to try again. Fails if one was not applied.
    fn send(&mut self, transfers: &[Transfer]) -> Result<u64, Failure>;
}

/// The ledgers, and the ways in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum System {
    /// PostgreSQL, a transaction of prepared statements for each transfer
    Postgres,
    /// PostgreSQL, a call of a function on the server for each request
    PostgresBatched,
    /// Redis, a call of a script for each request
    Redis,
}

impl System {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::PostgresBatched => "postgres-batched",
            Self::Redis => "redis",
        }
    }

    /// Most transfers of a request.
    pub const fn batch_max(self) -> Option<u32> {
        match self {
            Self::Postgres => Some(1),
            Self::PostgresBatched | Self::Redis => None,
        }
    }

    /// Connects to a server.
    pub fn connect(self, address: &str) -> Result<Box<dyn Peer>, Failure> {
        Ok(match self {
            Self::Postgres => Box::new(Postgres::connect(address, Manner::Statements)?),
            Self::PostgresBatched => Box::new(Postgres::connect(address, Manner::Function)?),
            Self::Redis => Box::new(Redis::connect(address)?),
        })
    }
}

/// Fails if not all transfers of a request were applied.
pub fn all_applied(applied: usize, sent: usize) -> Result<(), Failure> {
    if applied == sent {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "of a request with {sent} transfers {applied} were applied, expected all: does something else write to this server?"
    )))
}
