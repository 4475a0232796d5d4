//! The history of a ledger, built from its log and kept in a directory of its own, to answer questions about the past.
//!
//! One thread drives the [`Builder`] through the committed epochs; any other threads ask [`Reader`]s. A reader sees
//! what was committed, one moment of it in each question. Nothing here decides anything about the ledger: all of it
//! can be deleted and is built again from the log. The store below has worker threads of its own for its files; this
//! crate has none, reads no clock and draws no random number. `README.md` beside it has the layout of the keys.

mod batch;
mod builder;
mod error;
#[cfg(test)]
mod fuzz;
mod index;
mod outcome;
mod packed;
mod pendings;
mod query;
mod read;
mod recent;
mod record;
mod sieve;
mod store;
mod sums;
mod write;

pub use builder::Builder;
pub use error::Error;
pub use outcome::{BlockOutcome, Epoch};
pub use query::{Page, RECORDS_EXAMINED_MAX, Reader};
pub use store::{FORMAT_VERSION, Options, Progress};
