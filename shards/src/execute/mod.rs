//! How the shards execute an epoch together: exactly, without locks, in at most four hops.
//!
//! Route: the arrival shard sends a leg to each account's shard and a note to the id's. Vote: who sees a reason
//! against it tells all concerned; silence is consent; what can't be told yet is held. A post or void goes to the shard of
//! its pending transfer, which tells the accounts' shards along with the votes what it does. Only if something is held
//! anywhere: gather what is open at one shard, solve it there serially, scatter its refusals. With one shard, the serial
//! loop runs instead.

pub mod epoch;
pub mod mail;
pub mod message;
pub mod outcome;
mod register;
mod route;
mod serial;
mod solve;
mod verdicts;
mod vote;

pub use epoch::Execution;
