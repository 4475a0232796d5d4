//! Auriga's wire format: the records, frames and result codes that cross a socket and lie in the log,
//! and a client that speaks them.
//!
//! This crate owns the bytes; `WIRE.md` beside it is their one description. It depends on nothing else of
//! Auriga, so that the load generator and other programs can. Only [`client`], [`pipeline`] and [`ids`] touch
//! sockets, clocks or randomness; the engine uses the other modules alone.

pub mod buffer;
pub mod client;
pub mod code;
pub mod error;
pub mod filter;
pub mod frame;
pub mod ids;
pub mod pipeline;
pub mod record;
pub mod reply;
pub mod report;
pub mod request;

pub use buffer::AlignedBuffer;
pub use client::{Client, Created, Page};
pub use code::{AccountCode, FaultCode, TransferCode};
pub use error::{Error, Options};
pub use filter::{Filter, FilterFlags};
pub use frame::{Command, Fault, Frame, Header};
pub use ids::IdGenerator;
pub use pipeline::Pipeline;
pub use record::{Account, AccountBalance, EventResult, Transfer};
pub use reply::{Reply, ReplyBody, ReplyReader};
pub use request::RequestFrame;
