//! Tests of the random logs: they are legal, and everything that they are for does occur.
//! Run with `--nocapture` for the tables.

use crate::random_log::{EPOCH_EVENTS_MAX, EPOCHS_MAX, Epoch, Events, RandomLog, STREAMS};
use crate::random_log_witness::{SITUATIONS, Witness};
use crate::random_log_witness_kinds::KIND_SITUATIONS;
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{AccountCode, TransferCode};

const SEEDS: u64 = 3_000;
/// Of the seeds, one in so many at least has each code and each situation.
const SEEDS_PER_OCCURRENCE_MAX: usize = 60;

/// A request whose chain is open is refused as a whole.
const ACCOUNT_CODES_ABSENT: [AccountCode; 1] = [AccountCode::LinkedEventChainOpen];
/// As for accounts; and no timeout reaches the end of time.
const TRANSFER_CODES_ABSENT: [TransferCode; 2] =
    [TransferCode::LinkedEventChainOpen, TransferCode::OverflowsTimeout];

#[test]
fn every_code_and_every_situation_occurs() {
    let mut witness = Witness::default();
    for seed in 0..SEEDS {
        witness.watch(seed);
    }
    witness.account_codes.print("account codes");
    witness.transfer_codes.print("transfer codes");
    witness.situations.print("situations");
    let seeds_min = SEEDS as usize / SEEDS_PER_OCCURRENCE_MAX;
    witness.account_codes.check(AccountCode::ALL.iter().copied(), &ACCOUNT_CODES_ABSENT, seeds_min);
    witness.transfer_codes.check(TransferCode::ALL.iter().copied(), &TRANSFER_CODES_ABSENT, seeds_min);
    witness.situations.check(SITUATIONS.into_iter().chain(KIND_SITUATIONS), &[], seeds_min);
}

/// Whether all the transfers of an epoch are plain ones.
fn is_plain(epoch: &Epoch) -> bool {
    epoch.requests.iter().all(|request| match &request.events {
        Events::Accounts(_) => true,
        Events::Transfers(transfers) => transfers
            .iter()
            .all(|transfer| transfer.flags & TransferFlags::KNOWN & !TransferFlags::IMPORTED == 0),
    })
}

#[test]
fn many_logs_and_epochs_are_plain() {
    let (mut plain_logs, mut plain_epochs_of_others) = (0, 0);
    for seed in 0..SEEDS {
        let log = RandomLog::new(seed);
        let plain = log.epochs.iter().filter(|epoch| is_plain(epoch)).count();
        if plain == log.epochs.len() {
            plain_logs += 1;
        } else {
            plain_epochs_of_others += plain;
        }
    }
    println!("{plain_logs} plain logs, {plain_epochs_of_others} plain epochs of other logs");
    assert!((SEEDS * 35 / 100..SEEDS * 60 / 100).contains(&plain_logs));
    assert!(plain_epochs_of_others > SEEDS as usize / 10);
}

#[test]
fn every_log_is_legal() {
    let (mut neighbours, mut several_in_a_stream, mut several_streams) = (0, 0, 0);
    for seed in 0..SEEDS {
        let log = RandomLog::new(seed);
        assert!((1..=EPOCHS_MAX).contains(&log.epochs.len()), "seed {seed}");
        for Epoch { requests, .. } in &log.epochs {
            let events: usize = requests.iter().map(|request| request.events.len()).sum();
            assert!((1..=EPOCH_EVENTS_MAX).contains(&events), "seed {seed}");
            for request in requests {
                assert!(request.stream < STREAMS, "seed {seed}");
                let open = match &request.events {
                    Events::Accounts(accounts) => accounts.last().map(|a| a.flags & AccountFlags::LINKED),
                    Events::Transfers(transfers) => transfers.last().map(|t| t.flags & TransferFlags::LINKED),
                };
                assert_eq!(open, Some(0), "seed {seed}: empty, or a chain is open");
            }
            for pair in requests.windows(2) {
                assert!(pair[0].stream <= pair[1].stream, "seed {seed}");
                several_in_a_stream += usize::from(pair[0].stream == pair[1].stream);
                several_streams += usize::from(pair[0].stream < pair[1].stream);
                neighbours += usize::from(pair[0].stream + 1 == pair[1].stream);
            }
        }
    }
    assert!(several_in_a_stream.min(several_streams).min(neighbours) > 1_000);
}

#[test]
fn a_log_is_a_function_of_its_seed() {
    let logs: Vec<RandomLog> = (0..100).map(RandomLog::new).collect();
    for (seed, log) in (0..).zip(&logs) {
        assert_eq!(*log, RandomLog::new(seed), "seed {seed}");
    }
    assert!(logs.windows(2).all(|pair| pair[0] != pair[1]));
}
