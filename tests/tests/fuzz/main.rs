//! Random and damaged bytes for every parser of outside bytes that the engine has: frames, the log, checkpoints, topology files.
//!
//! Parsers that only one program has are fuzzed beside it, in tests named `fuzz`: command line, identity file and names of the
//! server, tables of the load generator, records of history. How long a target runs is said in `tests/fuzzing`.
#![allow(clippy::unwrap_used, reason = "a test's panic is its failure")]

mod checkpoint;
mod frames;
mod log;
mod topology;
