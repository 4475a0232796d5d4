//! The whole shards against the reference model, through power failures, on a fake disk.
//!
//! `AURIGA_SEED` is the first seed (default 0), `AURIGA_SEEDS` how many (default: about 45 seconds on two cores).
//! Run with `--nocapture` for the table.

use auriga_tests::seeds::{SEEDS_FOR_ALL, run_seeds};
use auriga_tests::whole::{Tally, run};

const SEEDS_DEFAULT: u64 = 3_000;

#[test]
fn whole_shards_do_what_the_model_says_through_power_failures() {
    let runs = run_seeds(SEEDS_DEFAULT, run);
    print_tally(&runs.tally, runs.seconds);
    if runs.seeds >= SEEDS_FOR_ALL {
        check_tally(&runs.tally);
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
    println!(
        "{} checkpoints, {} loaded, {} damaged; {} epochs removed from the log",
        tally.checkpoints, tally.loads, tally.checkpoints_damaged, tally.recycled
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
    assert!(tally.checkpoints > 0 && tally.loads > 0, "{tally:?}");
    assert!(tally.checkpoints_damaged > 0 && tally.recycled > 0, "{tally:?}");
    let faults: Vec<_> = tally.faults.keys().copied().collect();
    assert_eq!(faults, ["damaged_data", "limit_reached", "log_full", "not_ready"]);
}
