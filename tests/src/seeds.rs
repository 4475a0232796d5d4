//! Random tests by seed: which seeds, on how many threads, and what to say when one fails.
//!
//! `AURIGA_SEED` is the first seed (default 0), `AURIGA_SEEDS` how many.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

const THREADS: usize = 2;
/// From so many seeds on, whatever can occur must have occurred.
pub const SEEDS_FOR_ALL: u64 = 1_000;

/// What runs of several seeds counted.
pub trait Count: Default + Send {
    /// Adds what another run counted.
    fn add(&mut self, other: &Self);
}

/// What all the runs counted.
pub struct Runs<T> {
    /// Their sum.
    pub tally: T,
    /// How many seeds.
    pub seeds: u64,
    /// How long they took.
    pub seconds: f64,
}

/// Runs the seeds of the environment, `seeds_default` of them if it says nothing.
///
/// # Panics
///
/// If a seed fails; it is printed.
pub fn run_seeds<T: Count, E: Display>(
    seeds_default: u64,
    run: impl Fn(u64) -> Result<T, E> + Sync,
) -> Runs<T> {
    let first = number_from_environment("AURIGA_SEED", 0);
    let seeds = number_from_environment("AURIGA_SEEDS", seeds_default);
    assert!(seeds > 0, "AURIGA_SEEDS: found 0, expected at least 1");
    println!("seeds {first} to {}", first + seeds - 1);
    let seeds: Vec<u64> = (first..first + seeds).collect();
    let runs = run_each(&seeds, run);
    runs.unwrap_or_else(|failed| panic!("see above; AURIGA_SEED={} AURIGA_SEEDS=1 repeats it", failed.seed))
}

/// A seed that failed; why was printed.
#[derive(Debug)]
pub struct Failed {
    /// The lowest, if several threads found one.
    pub seed: u64,
}

/// Runs these seeds until one fails, which is printed.
pub fn run_each<T: Count, E: Display>(
    seeds: &[u64],
    run: impl Fn(u64) -> Result<T, E> + Sync,
) -> Result<Runs<T>, Failed> {
    let start = Instant::now();
    let (next, failed) = (AtomicUsize::new(0), AtomicU64::new(u64::MAX));
    let sum = Mutex::new(T::default());
    let fail = |seed: u64, what: &dyn Display| {
        failed.fetch_min(seed, Relaxed);
        println!("seed {seed}: {what}");
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut tally = T::default();
                while failed.load(Relaxed) == u64::MAX {
                    let Some(seed) = seeds.get(next.fetch_add(1, Relaxed)).copied() else { break };
                    match catch_unwind(AssertUnwindSafe(|| run(seed))) {
                        Ok(Ok(counted)) => tally.add(&counted),
                        Ok(Err(mismatch)) => fail(seed, &mismatch),
                        Err(_) => fail(seed, &"the engine panicked (message above)"),
                    }
                }
                sum.lock().expect("no thread panics with the lock").add(&tally);
            });
        }
    });
    let tally = sum.into_inner().expect("no thread panics with the lock");
    let seconds = start.elapsed().as_secs_f64();
    match failed.into_inner() {
        u64::MAX => Ok(Runs { tally, seeds: seeds.len() as u64, seconds }),
        seed => Err(Failed { seed }),
    }
}

fn number_from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: found {text:?}, expected a number")),
        Err(_) => default,
    }
}
