//! The whole shards against the reference model, through power failures, on a fake disk.
//!
//! `AURIGA_SEED` is the first seed (default 0), `AURIGA_SEEDS` how many (default: about 45 seconds on two cores).
//! Run with `--nocapture` for the table.

use auriga_tests::whole::{SHARDS, Tally, run};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

const SEEDS_DEFAULT: u64 = 3_000;
const THREADS: usize = 2;
/// From so many seeds on, whatever can occur must have occurred.
const SEEDS_FOR_ALL: u64 = 1_000;

#[test]
fn whole_shards_do_what_the_model_says_through_power_failures() {
    let first = number_from_environment("AURIGA_SEED", 0);
    let seeds = number_from_environment("AURIGA_SEEDS", SEEDS_DEFAULT);
    assert!(seeds > 0, "AURIGA_SEEDS: found 0, expected at least 1");
    println!("seeds {first} to {}, on {SHARDS:?} shards", first + seeds - 1);
    let start = Instant::now();
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let sum = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut tally = Tally::default();
                while !failed.load(Relaxed) {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= first + seeds {
                        break;
                    }
                    match catch_unwind(AssertUnwindSafe(|| run(seed))) {
                        Ok(Ok(counted)) => tally.add(&counted),
                        Ok(Err(mismatch)) => {
                            failed.store(true, Relaxed);
                            println!("seed {seed}: {mismatch}");
                        }
                        Err(_) => {
                            failed.store(true, Relaxed);
                            println!("seed {seed}: the engine panicked (message above)");
                        }
                    }
                }
                sum.lock().expect("no thread panics with the lock").add(&tally);
            });
        }
    });
    assert!(!failed.into_inner(), "see above; AURIGA_SEED=<seed> AURIGA_SEEDS=1 repeats it");
    let tally = sum.into_inner().expect("no thread panics with the lock");
    print_tally(&tally, start.elapsed().as_secs_f64());
    if seeds >= SEEDS_FOR_ALL {
        check_tally(&tally);
    }
}

fn number_from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: found {text:?}, expected a number")),
        Err(_) => default,
    }
}

fn print_tally(tally: &Tally, seconds: f64) {
    println!(
        "{seconds:.1} s: {} requests with {} events, {} look-ups",
        tally.requests, tally.events, tally.look_ups
    );
    println!(
        "{} steps, {} starts, {} power failures ({} before serving)",
        tally.steps, tally.starts, tally.crashes, tally.crashes_in_replay
    );
    let [lost, done, torn] = tally.fates;
    println!(
        "writes under way then: {lost} lost, {done} done, {torn} torn; {} epochs dropped, {} creations left open",
        tally.dropped, tally.unknown
    );
    println!(
        "{} look-ups saw more than they had to; {} requests deferred",
        tally.look_ups_behind, tally.deferred
    );
    println!(
        "{} bad reads for requests, {} noticed; damaged logs: never",
        tally.bad_reads, tally.damage_found
    );
    for (name, count) in &tally.faults {
        println!("{count:>9} {name}");
    }
}

/// Fails if something that can occur did not.
fn check_tally(tally: &Tally) {
    assert!(tally.fates.iter().all(|count| *count > 0), "writes at a power failure: {:?}", tally.fates);
    assert!(tally.dropped > 0 && tally.crashes_in_replay > 0 && tally.unknown > 0, "{tally:?}");
    assert!(tally.look_ups_behind > 0 && tally.deferred > 0 && tally.damage_found > 0, "{tally:?}");
    let faults: Vec<_> = tally.faults.keys().copied().collect();
    assert_eq!(faults, ["damaged_data", "limit_reached", "log_full", "not_ready"]);
}
