//! The engine against the reference model, on random logs and on 1, 2, 3 and 8 shards.
//!
//! `AURIGA_SEED` is the first seed (default 0), `AURIGA_SEEDS` how many (default: about a minute on two cores).
//! Run with `--nocapture` for the tables.

use auriga_tests::exact::{SHARDS, Tally, compare};
use auriga_tests::random_log::RandomLog;
use auriga_tests::seeds::{SEEDS_FOR_ALL, run_seeds};
use auriga_wire::{AccountCode, TransferCode};
use std::collections::BTreeMap;
use std::fmt::Display;

const SEEDS_DEFAULT: u64 = 30_000;

/// A frame with an open chain is refused before.
const ACCOUNT_CODES_ABSENT: [AccountCode; 1] = [AccountCode::LinkedEventChainOpen];
/// The same; and the random logs' time is far from its end, which `exact_cases` has a case for.
const TRANSFER_CODES_ABSENT: [TransferCode; 2] =
    [TransferCode::LinkedEventChainOpen, TransferCode::OverflowsTimeout];

#[test]
fn random_logs_give_what_the_model_gives() {
    let runs = run_seeds(SEEDS_DEFAULT, |seed| compare(&RandomLog::new(seed), &SHARDS, seed));
    print_tally(&runs.tally, runs.seconds);
    if runs.seeds >= SEEDS_FOR_ALL {
        check_tally(&runs.tally);
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
