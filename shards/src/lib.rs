//! The shard: what one pinned core owns of the ledger and of its log, as a pure state machine.
//!
//! Closed input in, list of outputs out ([`shard::Shard::step`]). Nothing in this crate starts a thread, reads a
//! clock, opens a file or a socket, draws a random number or takes a lock; clippy refuses the names. The server and
//! the tests drive the same code.

pub mod chunk;
pub mod execute;
pub mod fetch;
pub mod ledger;
pub mod limits;
pub mod log;
pub mod pacer;
pub mod place;
pub mod query;
