//! What threads tell each other without a lock or a ring: flags and numbers, each with the promise that it makes.
//!
//! No other part of the server or of the load generator names an atomic. What several threads use has a model of how they do in
//! `tests/loom`: loom runs it in every order with up to three interruptions, and with every value that a load may then see. Nothing here waits, makes a system call
//! or allocates; who sleeps and who wakes is its callers' business.

mod activity;
mod begin;
mod board;
mod busy;
mod checkpoint;
mod count;
mod glance;
mod heart;
mod history;
mod lifecycle;
mod pace;
mod parking;
mod repeats;
mod span;
mod sync;
mod usage;

pub use activity::Activity;
pub use begin::Begin;
pub use board::Board;
pub use busy::{Busy, Watch};
pub use checkpoint::{Checkpoint, LastCheckpoint};
pub use count::Count;
pub use glance::Glance;
pub use heart::Heart;
pub use history::HistoryProgress;
pub use lifecycle::Lifecycle;
pub use pace::Pace;
pub use parking::Parking;
pub use repeats::{Noted, Repeats};
pub use span::{Span, Spent};
pub use usage::Usage;
