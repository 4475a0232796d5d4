//! Whole-system tests of Auriga

pub mod book;
pub mod exact;
pub mod harness;
pub mod load;
pub mod model;
pub mod random_log;
pub mod seeds;
pub mod whole;

mod random_log_faults;
mod random_log_plots;
mod random_log_writer;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod random_log_tests;
