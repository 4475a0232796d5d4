//! The variable-shape answers, `status`, `histograms` and `activity`, in rkyv's checked format.

use crate::code::FaultCode;
use crate::frame::Fault;
use rkyv::{Archive, Deserialize, Serialize};

/// What a server says of itself. Counts are since the start of the process unless a field says otherwise.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// `replaying` while the log is read at a start, then `serving`.
    pub state: String,
    /// The newest epoch that the log had at the start: `epoch` gets there while it is replayed.
    pub log_end: u64,
    /// The cluster that the data directory was formatted for.
    pub cluster: u64,
    /// How many times the directory was started.
    pub incarnation: u64,
    /// `time` or `any`.
    pub id_mode: String,
    /// Number of shards.
    pub shards: u32,
    /// Time since the start of the process, nanoseconds.
    pub uptime_ns: u64,
    /// Newest epoch with requests whose effects this answer includes, all incarnations; 0 if there is none.
    pub epoch: u64,
    /// Time of that epoch, nanoseconds.
    pub time_ns: u64,
    /// Accounts that exist, all incarnations.
    pub accounts: u64,
    /// Bound on accounts.
    pub accounts_max: u64,
    /// Transfer ids that are remembered, all incarnations.
    pub ids: u64,
    /// Bound on remembered ids.
    pub ids_max: u64,
    /// How long time-ordered ids are remembered, nanoseconds.
    pub window_ns: u64,
    /// Pending transfers, all incarnations.
    pub pendings: u64,
    /// Bound on them.
    pub pendings_max: u64,
    /// Transfers created.
    pub transfers_created: u64,
    /// Transfers refused.
    pub transfers_refused: u64,
    /// Bytes of log blocks and cuts written.
    pub bytes_logged: u64,
    /// Bytes that the log's files have on the disk, prepared room included.
    pub log_bytes: u64,
    /// Bound on them.
    pub log_bytes_max: u64,
    /// The first epoch that the log still has.
    pub log_from: u64,
    /// The newest checkpoint of this start shows the state after this epoch; 0: none was taken.
    pub checkpoint_epoch: u64,
    /// Bytes of it.
    pub checkpoint_bytes: u64,
    /// Time since it was taken, nanoseconds.
    pub checkpoint_age_ns: u64,
    /// Questions about the past see every epoch up to this one; none if no history is kept.
    pub history_epoch: Option<u64>,
    /// The time of the last event of that epoch, nanoseconds.
    pub history_time_ns: u64,
    /// Epochs flushed.
    pub flushes: u64,
    /// Open connections.
    pub connections: u64,
    /// Connections that the server closed, by reason (a [`crate::FaultCode`] name, or `client_closed`, `stalled`, ...).
    pub closed: Vec<(String, u64)>,
    /// Sum of hashes over the whole state after `epoch`; only when it was asked for.
    pub digest: Option<u128>,
    /// Transfer ids with an earlier time are forgotten, Unix milliseconds, as the newest epoch of this start says; 0: none are, or there was no
    /// epoch yet.
    pub ids_from_ms: u64,
    /// How the server was started: each key of its configuration that has a value, and the value as people write it.
    pub settings: Vec<(String, String)>,
}

/// One shard's histograms.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct ShardHistograms {
    /// The shard.
    pub shard: u32,
    /// The CPU that its executor is pinned to.
    pub cpu: u32,
    /// Number of shards that the server runs.
    pub shards: u32,
    /// A histogram per stage.
    pub stages: Vec<StageHistogram>,
}

/// The latency histogram of one stage.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct StageHistogram {
    /// `arrive`, `flush`, `execute`, `reply` or `total`.
    pub stage: String,
    /// HdrHistogram V2 encoding (uncompressed), values in nanoseconds.
    pub v2: Vec<u8>,
}

/// What each core does. Counts are since the start of the process: two answers and the time between them give rates.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Activity {
    /// Time since the start of the process, nanoseconds.
    pub uptime_ns: u64,
    /// By core.
    pub cores: Vec<CoreActivity>,
    /// Debits and credits of the last seconds, estimated from those that were looked at. 0 if nobody asked before.
    pub hits: u64,
    /// The accounts with most of them, by core in no order.
    pub hottest: Vec<HotAccount>,
}

/// What a core does.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct CoreActivity {
    /// The shard.
    pub shard: u32,
    /// The CPU that its executor is pinned to.
    pub cpu: u32,
    /// For how long its thread has run and not only looked for work, nanoseconds.
    pub busy_ns: u64,
    /// Transfers that have arrived here and were not refused with their request.
    pub transfers: u64,
    /// Requests under way: whole in memory and not answered. 0 if nobody asked before.
    pub under_way: u64,
    /// Open connections.
    pub connections: u64,
}

/// An account that stands out.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct HotAccount {
    /// The account.
    pub account: u128,
    /// The shard that owns it.
    pub shard: u32,
    /// How many of the hits were its own, at least.
    pub hits: u64,
}

macro_rules! codec {
    ($name:ident, $what:literal) => {
        impl $name {
            /// The body of a reply that carries this.
            pub fn encode(&self) -> Vec<u8> {
                rkyv::to_bytes::<rkyv::rancor::Error>(self).expect("a report is encoded into memory").to_vec()
            }

            /// Reads the body of a reply, checked; `body` must lie at a multiple of 16.
            pub fn decode(body: &[u8]) -> Result<Self, Fault> {
                rkyv::from_bytes::<Self, rkyv::rancor::Error>(body).map_err(|error| {
                    let text = format!("the {} bytes of {} can't be read: {error}", body.len(), $what);
                    Fault::new(FaultCode::BadSize, text)
                })
            }
        }
    };
}

codec!(Status, "a status");
codec!(ShardHistograms, "a shard's histograms");
codec!(Activity, "what cores do");
