//! The seeds that every run of the tests takes: those of `seeds.txt`, and the first few thousand.

use auriga_sim::{Tally, run};
use auriga_tests::seeds::{SEEDS_FOR_ALL, run_each, run_seeds};
use std::collections::BTreeMap;

/// About 75 seconds on two cores.
const SEEDS_DEFAULT: u64 = 3_000;
/// Seeds that are run twice.
const SEEDS_TWICE: u64 = 60;

/// A line of `seeds.txt`.
#[derive(Debug)]
struct Listed {
    seed: u64,
    /// What the seed must reach, by the name that the tally gives it; otherwise it is there for what it once found.
    reaches: Option<&'static str>,
}

/// Lines `SEED found: WHAT` and `SEED reaches: COUNT`; those that begin with # say more.
fn listed() -> Vec<Listed> {
    let lines = include_str!("../seeds.txt").lines();
    let lines = lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parse = |line: &'static str| {
        let (seed, rest) = line.split_once(' ')?;
        let (kind, what) = rest.split_once(": ")?;
        let reaches = (kind == "reaches").then_some(what);
        let known = kind == "found" || kind == "reaches";
        Some(Listed { seed: seed.parse().ok()?, reaches }).filter(|_| known)
    };
    lines.map(|line| parse(line).unwrap_or_else(|| panic!("seeds.txt: {line:?}"))).collect()
}

#[test]
fn seeds_that_found_something_hold() {
    let listed = listed();
    assert!(listed.len() > 10, "found {} lines in seeds.txt", listed.len());
    for Listed { seed, reaches } in listed {
        let tally = run(seed).unwrap_or_else(|mismatch| panic!("seed {seed}: {mismatch}"));
        let Some(name) = reaches else { continue };
        let count = tally.counts().into_iter().find(|(counted, _)| *counted == name);
        let (_, count) = count.unwrap_or_else(|| panic!("seed {seed}: nothing counts {name:?}"));
        assert!(count > 0, "seed {seed} does not reach {name:?} any more: find another that does");
    }
}

#[test]
fn a_seed_replays_to_the_byte() {
    let traces = |seeds: &mut dyn Iterator<Item = u64>| -> BTreeMap<u64, u128> {
        let trace = |seed| run(seed).unwrap_or_else(|mismatch| panic!("seed {seed}: {mismatch}")).trace;
        seeds.map(|seed| (seed, trace(seed))).collect()
    };
    let here = traces(&mut (0..SEEDS_TWICE));
    // In another order, beside others, on a thread of their own.
    let there = std::thread::scope(|scope| {
        let odd = scope.spawn(|| traces(&mut (0..SEEDS_TWICE).rev().filter(|seed| seed % 2 == 1)));
        let even = scope.spawn(|| traces(&mut (0..SEEDS_TWICE).rev().filter(|seed| seed % 2 == 0)));
        let mut all = odd.join().expect("it has not panicked");
        all.extend(even.join().expect("it has not panicked"));
        all
    });
    let different: Vec<_> = here.keys().filter(|seed| here[seed] != there[seed]).collect();
    assert!(different.is_empty(), "seeds {different:?} run otherwise the second time");
    let mut all: Vec<_> = here.values().collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len() as u64, SEEDS_TWICE, "two seeds run alike");
}

/// `AURIGA_SEED` is the first seed (default 0), `AURIGA_SEEDS` how many. Run with `--nocapture` for the table.
#[test]
fn every_invariant_holds() {
    let runs = run_seeds(SEEDS_DEFAULT, run);
    println!("{}\n{} seeds in {:.1} s", runs.tally, runs.seeds, runs.seconds);
    if runs.seeds >= SEEDS_FOR_ALL {
        check_tally(&runs.tally);
    }
}

/// Fails if something that can occur did not.
fn check_tally(tally: &Tally) {
    for (name, count) in tally.counts() {
        assert!(count > 0, "{name}: none");
    }
    let faults: Vec<_> = tally.faults.keys().copied().collect();
    let expected =
        ["damaged_data", "history_behind", "history_off", "limit_reached", "log_full", "not_ready"];
    assert_eq!(faults, expected, "requests refused as a whole");
    let kinds = ["flipped bit", "misplaced sector", "stale sector", "zeros"];
    let places = ["blocks", "checkpoints", "cuts", "reads for requests", "reads of starts"];
    for (kind, place) in kinds.iter().flat_map(|kind| places.map(|place| (*kind, place))) {
        assert!(tally.damage.contains_key(&(kind, place)), "{kind} in {place}: none");
    }
    for place in ["reads for requests", "reads of starts"] {
        assert!(tally.damage.contains_key(&("failure", place)), "failure in {place}: none");
    }
}

#[test]
fn a_seed_that_fails_is_named() {
    let fails = |seed: u64| if seed == 7 { Err("on purpose") } else { Ok(Tally::default()) };
    assert_eq!(run_each(&[5, 6, 7], fails).err().map(|failed| failed.seed), Some(7));
    assert!(run_each(&[5, 6], fails).is_ok());
}
