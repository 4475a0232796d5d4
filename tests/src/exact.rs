//! The comparison of the engine with the reference model: the same log through both, for several numbers of shards.
//!
//! The shards run in one thread, in randomly chosen legal steps: any shard that may begin its next epoch, any message
//! at the head of a ring that its receiver wants. Compared are every answer, and at the last moment of each shard's gap
//! after each epoch its accounts byte for byte and its ids with their outcomes and positions.

pub(crate) mod expected;
mod gap;
pub(crate) mod logged;
mod shards;

use crate::random_log::RandomLog;
use crate::seeds::Count;
use auriga_wire::{AccountCode, TransferCode};
use expected::Expected;
pub use expected::{execute_transfers, status};
use fastrand::Rng;
use logged::Logged;
pub use logged::terms_of;
use shards::Shards;
use std::collections::BTreeMap;
use std::fmt;

/// The numbers of shards that every log runs on.
pub const SHARDS: [u16; 4] = [1, 2, 3, 8];

/// What the engine did otherwise than the model.
#[derive(Debug)]
pub struct Mismatch {
    /// Number of shards.
    pub shards: u16,
    /// The epoch.
    pub epoch: u64,
    /// The event or the part of the state.
    pub what: String,
    /// What the model has.
    pub expected: String,
    /// What the engine has.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shards, epoch, what, expected, found } = self;
        write!(
            f,
            "mismatch on {shards} shards, epoch {epoch}, {what}:\n  expected {expected}\n  found    {found}"
        )
    }
}

impl std::error::Error for Mismatch {}

/// What was compared, and what occurred while it was; sums over all numbers of shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers to transfers compared.
    pub transfers: u64,
    /// Answers to accounts compared.
    pub accounts: u64,
    /// Epochs with blocks, by the hops that they took.
    pub epochs_by_hops: BTreeMap<u8, u64>,
    /// Epochs that a shard began while another was still in the one before.
    pub begun_ahead: u64,
    /// Legs and ids that were held in the vote.
    pub held: u64,
    /// Most messages that were in a ring of the route lane.
    pub route_slots: usize,
    /// Most messages that were in a ring of the control lane.
    pub control_slots: usize,
    /// Refused accounts by code.
    pub account_codes: BTreeMap<AccountCode, u64>,
    /// Refused transfers by code.
    pub transfer_codes: BTreeMap<TransferCode, u64>,
}

impl Count for Tally {
    fn add(&mut self, other: &Self) {
        fn add_all<K: Ord + Copy>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            for (key, count) in from {
                *to.entry(*key).or_default() += count;
            }
        }
        self.transfers += other.transfers;
        self.accounts += other.accounts;
        self.begun_ahead += other.begun_ahead;
        self.held += other.held;
        self.route_slots = self.route_slots.max(other.route_slots);
        self.control_slots = self.control_slots.max(other.control_slots);
        add_all(&mut self.epochs_by_hops, &other.epochs_by_hops);
        add_all(&mut self.account_codes, &other.account_codes);
        add_all(&mut self.transfer_codes, &other.transfer_codes);
    }
}

/// Runs a log on the model and on the engine with each of these numbers of shards. The seed chooses the empty epochs,
/// the times, the placement and the steps.
pub fn compare(log: &RandomLog, shards: &[u16], seed: u64) -> Result<Tally, Mismatch> {
    let mut rng = Rng::with_seed(seed);
    let logged = Logged::new(log, &mut rng);
    let expected = Expected::new(&logged);
    let mut tally = Tally::default();
    let mut digests: Option<Vec<u128>> = None;
    for shards in shards {
        let run = Shards::new(*shards, &logged, &expected, rng.fork()).run()?;
        tally.add(&run.tally);
        let first = digests.get_or_insert_with(|| run.digests.clone());
        if let Some(epoch) = (0..first.len()).find(|epoch| first[*epoch] != run.digests[*epoch]) {
            return Err(Mismatch {
                shards: *shards,
                epoch: epoch as u64 + 1,
                what: "digest".into(),
                expected: format!("{:032x} as on the first number of shards", first[epoch]),
                found: format!("{:032x}", run.digests[epoch]),
            });
        }
    }
    Ok(tally)
}
