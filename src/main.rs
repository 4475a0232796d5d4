//! The server of Auriga: the outside world, the wiring and the command line. No ledger rule is here.

mod buffers;
mod check;
mod checkpointer;
mod cli;
mod clock;
mod config;
mod connection;
mod directory;
mod doorbell;
mod durable;
mod executor;
mod failure;
#[cfg(test)]
mod fuzz;
mod gate;
mod gauge;
mod histograms;
mod hottest;
mod keeper;
mod logging;
mod manager;
mod memory;
mod metrics;
mod monitor;
mod offline;
mod options;
mod output;
mod owner;
mod past;
mod readiness;
mod room;
mod runtime;
mod server;
mod socket;
mod status;
mod storage;
mod top;
mod topology;

#[global_allocator]
static MEMORY: memory::Memory = memory::Memory;

fn main() {
    std::process::exit(cli::main());
}
