//! Auriga's load generator: drives a server, measures it, and verifies the money afterwards.
//!
//! Of the engine it depends on the wire crate alone: what it knows of a server, it knows from the socket. See `README.md`. As a library it
//! hands its commands to `main`, what it sends to the measurements in `micro`, and what it sends and says to `peer`.

pub mod args;
mod arrivals;
pub mod ask;
pub mod budget;
pub mod compare;
pub mod differences;
pub mod draw;
mod drive;
pub mod environment;
mod event;
pub mod failure;
pub mod figures;
mod generator;
pub mod grow;
mod kept;
mod load;
mod mix;
pub mod model;
mod money;
mod outline;
pub mod outputs;
mod page;
mod phase;
mod progress;
pub mod replay;
pub mod report;
pub mod run;
mod schedule;
mod series;
pub mod sizes;
mod steps;
mod table;
mod timeline;
mod verify;
pub mod workload;
