//! The command line: what each command prints, and how it ends when the machine or the data don't allow it. And the load
//! generator, against a server as it is shipped.

mod check;
mod clock;
mod config;
mod environment;
mod forgotten;
mod histograms;
mod logs;
mod lost;
mod metrics;
mod output;
mod replay;
mod signals;
mod top;
mod topology;
mod workloads;
