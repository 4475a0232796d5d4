//! The engine against the reference model, on random logs and on 1, 2, 3 and 8 shards.
//!
//! `AURIGA_SEED` is the first seed (default 0), `AURIGA_SEEDS` how many (default: about a minute on two cores).
//! Run with `--nocapture` for the tables.

use auriga_tests::exact::{SHARDS, Tally, compare};
use auriga_tests::random_log::RandomLog;
use auriga_wire::{AccountCode, TransferCode};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

const SEEDS_DEFAULT: u64 = 50_000;
const THREADS: usize = 2;
/// From so many seeds on, whatever can occur must have occurred.
const SEEDS_FOR_ALL: u64 = 1_000;

/// Chains come with a later version.
const ACCOUNT_CODES_ABSENT: [AccountCode; 2] =
    [AccountCode::LinkedEventFailed, AccountCode::LinkedEventChainOpen];
/// Chains come with a later version, and while no flag is supported, no created transfer has other flags.
const TRANSFER_CODES_ABSENT: [TransferCode; 3] = [
    TransferCode::LinkedEventFailed,
    TransferCode::LinkedEventChainOpen,
    TransferCode::ExistsWithDifferentFlags,
];

#[test]
fn random_logs_give_what_the_model_gives() {
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
                    match catch_unwind(AssertUnwindSafe(|| compare(&RandomLog::new(seed), &SHARDS, seed))) {
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
    println!("{seconds:.1} s: {} transfers and {} accounts compared", tally.transfers, tally.accounts);
    println!("{} legs and ids held, {} epochs begun ahead of another shard", tally.held, tally.begun_ahead);
    println!(
        "{} and {} messages in a route and a control ring at most",
        tally.route_slots, tally.control_slots
    );
    for (hops, epochs) in &tally.epochs_by_hops {
        println!("{epochs:>9} epochs in {hops} hops");
    }
    print_codes("refused accounts", &tally.account_codes);
    print_codes("refused transfers", &tally.transfer_codes);
}

fn print_codes(title: &str, counts: &BTreeMap<impl Display, u64>) {
    println!("{title}");
    for (code, count) in counts {
        println!("{count:>9} {code}");
    }
}

/// Fails if something that can occur did not.
fn check_tally(tally: &Tally) {
    for code in AccountCode::ALL {
        let occurs = !ACCOUNT_CODES_ABSENT.contains(code);
        assert_eq!(tally.account_codes.contains_key(code), occurs, "whether {code} occurs");
    }
    for code in TransferCode::ALL {
        let occurs = !TRANSFER_CODES_ABSENT.contains(code);
        assert_eq!(tally.transfer_codes.contains_key(code), occurs, "whether {code} occurs");
    }
    assert!(tally.epochs_by_hops.keys().eq(&[0, 2, 4]), "hops: {:?}", tally.epochs_by_hops);
    assert!(tally.held > 0 && tally.begun_ahead > 0, "nothing was held, or no shard was ahead");
}
