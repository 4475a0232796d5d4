//! The shard: what one pinned core owns of the ledger and of its log, as a pure state machine.
//!
//! Closed input in, list of outputs out ([`shard::Shard::step`]). Nothing in this crate starts a thread, reads a
//! clock, opens a file or a socket, draws a random number or takes a lock; clippy refuses the names. The server and
//! the tests drive the same code.

pub mod answer;
pub mod arrival;
pub mod buckets;
pub mod checkpoint;
pub mod chunk;
pub mod commit;
pub mod execute;
pub mod fetch;
pub mod histograms;
pub mod lead;
pub mod ledger;
pub mod limits;
pub mod log;
pub mod mesh;
pub mod pacer;
pub mod past;
pub mod place;
pub mod query;
pub mod replay;
pub mod reply;
pub mod shard;
pub mod step;
