//! Whole-system tests of Auriga

pub mod book;
pub mod copy;
pub mod exact;
pub mod full;
pub mod harness;
pub mod history;
pub mod load;
pub mod log_files;
pub mod model;
pub mod power;
pub mod random_log;
pub mod scrape;
pub mod seeds;
pub mod threads;

mod random_log_balances;
mod random_log_chains;
mod random_log_faults;
mod random_log_pending;
mod random_log_plots;
mod random_log_shape;
mod random_log_writer;

#[cfg(test)]
mod model_chain_tests;
#[cfg(test)]
mod model_invariant_tests;
#[cfg(test)]
mod model_pending_tests;
#[cfg(test)]
mod model_terms_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod model_walk_tests;
#[cfg(test)]
mod random_log_tests;
#[cfg(test)]
mod random_log_witness;
#[cfg(test)]
mod random_log_witness_kinds;
