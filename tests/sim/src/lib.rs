//! The simulator: the real shards, log, recovery, checkpoints and pacer, in one thread, over a simulated disk, clock and clients.
//!
//! A run is a pure function of its seed: a server lives several times on one disk, each time with another number of shards, and
//! dies at any step. What happens next is drawn from the legal steps: a message is received, a write ends, a request comes. Which
//! request comes before which is the shards' to decide, so the truth is read from the log: the reference model executes what lies
//! on the disk, and everything that the engine says or holds must be what the model has. See `README.md`.

mod choice;
mod clients;
mod decay;
mod disk;
mod ending;
mod history;
mod invariants;
mod keeper;
mod machine;
mod operations;
mod perform;
mod slots;
mod spoil;
mod tally;
mod trace;
mod truth;
mod weather;
mod world;

pub use invariants::Invariant;
use machine::{Death, Fortune, Machine};
use std::fmt;
pub use tally::Tally;
use weather::Weather;
use world::World;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The numbers of shards that a server is started with.
pub const SHARDS: [u16; 4] = [1, 2, 3, 8];
/// Most lives of a server.
const LIVES_MAX: u32 = 8;
/// When the first server is started.
const WALL_NS: u64 = 1_700_000_000_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// What the engine did otherwise than it must.
#[derive(Debug)]
pub struct Mismatch {
    /// What doesn't hold.
    pub invariant: Invariant,
    /// Number of shards.
    pub shards: u16,
    /// Number of the server's life, from 0.
    pub life: u32,
    /// Steps of that life.
    pub step: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, shards, life, step, what } = self;
        write!(f, "mismatch on {shards} shards, life {life}, step {step}, invariant {invariant}: {what}")
    }
}

impl std::error::Error for Mismatch {}

/// Runs one server through all its lives.
pub fn run(seed: u64) -> Result<Tally, Mismatch> {
    let start =
        |invariants::Broken { invariant, what }| Mismatch { invariant, shards: 0, life: 0, step: 0, what };
    let mut world = World::new(seed).map_err(start)?;
    let lives = world.rng.u32(1..=LIVES_MAX);
    for life in 0..lives {
        let is_last = life + 1 == lives;
        if is_last {
            world.restore(true).map_err(start)?;
        } else if life > 0 {
            world.rot().map_err(start)?;
        }
        let rng = &mut world.rng;
        let steps_max = [20, 100, 500, 3_000][rng.usize(..4)];
        let fortune = Fortune {
            life,
            shards: SHARDS[rng.usize(..SHARDS.len())],
            death: (!is_last).then(|| rng.u64(1..steps_max)),
            dies_later: rng.u8(..5) > 0,
            early: rng.bool(),
            audit: is_last,
            stops: rng.u8(..8) == 0,
            weather: if is_last { Weather::default() } else { world.weather },
        };
        let death = Machine::new(&mut world, fortune).run()?;
        // Who is refused restores what is damaged; what was read wrong may be read well the next time.
        world.restore(death == Some(Death::Refused)).map_err(start)?;
    }
    let World { trace, mut tally, .. } = world;
    tally.trace = xxh3_128_with_seed(&trace.get().to_le_bytes(), seed);
    Ok(tally)
}
