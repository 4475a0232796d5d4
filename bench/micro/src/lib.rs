//! What the stages of the engine cost, and what the machine allows.
//!
//! Everything here drives the engine's own code: [`log`] makes committed epochs of what the load generator sends, [`shards`]
//! executes them on any number of shards in this process, [`stage`] stops between the stages of that, [`whole`] doesn't. The benchmarks count
//! instructions and time of these; [`parts`] and [`disk`] measure what `bench/limits` is made of, [`echo`] what `bench/small` is held
//! against, and [`steps`] what [`model`] computes other machines from. See `README.md`.

pub mod disk;
pub mod echo;
pub mod instructions;
pub mod limit;
pub mod log;
pub mod loopback;
mod median;
pub mod memory;
pub mod model;
pub mod parts;
pub mod shards;
pub mod stage;
pub mod steps;
pub mod whole;
