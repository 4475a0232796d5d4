//! Random and damaged bytes for every parser of outside bytes that the engine has: frames, the log, checkpoints, topology files.
//!
//! Each target runs a fixed number of random inputs; `FUZZ_ITERATIONS` sets another one. A failure prints the seed, which
//! `BOLERO_RANDOM_SEED` takes. `cargo bolero test -p auriga-tests NAME` runs a target with a coverage-guided engine.
#![allow(clippy::unwrap_used, reason = "a test's panic is its failure")]

mod checkpoint;
mod frames;
mod log;
mod topology;

/// Inputs that a target tries.
fn iterations() -> usize {
    match std::env::var("FUZZ_ITERATIONS") {
        Ok(count) => count.parse().expect("FUZZ_ITERATIONS is a number"),
        Err(_) => 100_000,
    }
}

/// Damage: at a place (taken modulo the length) a byte is changed by this mask.
type Flips = Vec<(u32, u8)>;

/// Applies damage; says whether anything has changed.
fn damage(bytes: &mut [u8], flips: &Flips) -> bool {
    let before = bytes.to_vec();
    for (place, mask) in flips {
        let place = *place as usize % bytes.len();
        bytes[place] ^= mask;
    }
    bytes != before
}
