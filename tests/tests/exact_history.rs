//! The history against the reference model's past, on random logs.
//!
//! `AURIGA_SEED` is the first seed (default 0), `AURIGA_SEEDS` how many (default: about 15 seconds on two cores).
//! Run with `--nocapture` for the figures.

use auriga_tests::history::compare;
use auriga_tests::seeds::run_seeds;

const SEEDS_DEFAULT: u64 = 300;
/// From so many seeds on, whatever can occur must have occurred.
const SEEDS_FOR_ALL: u64 = 100;

#[test]
fn history_is_what_the_model_has_been_through() {
    let runs = run_seeds(SEEDS_DEFAULT, compare);
    let tally = runs.tally;
    println!("{:.1} s: {tally:?}", runs.seconds);
    if runs.seeds >= SEEDS_FOR_ALL {
        let counts = [tally.commits, tally.reopenings, tally.lost, tally.found];
        let counts = counts.iter().chain(&tally.pages).chain(&tally.records);
        assert!(counts.copied().all(|count| count > 0), "{tally:?}");
    }
}
