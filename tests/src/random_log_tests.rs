//! Tests of the random logs: they are legal, and everything that they are for does occur.
//! Run with `--nocapture` for the tables.

use crate::model::{Model, Outcome};
use crate::random_log::{EPOCH_EVENTS_MAX, EPOCHS_MAX, Events, RandomLog, STREAMS};
use crate::random_log_writer::{allowance, headroom};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

const SEEDS: u64 = 3_000;
/// Of the seeds, one in so many at least has each code and each situation.
const SEEDS_PER_OCCURRENCE_MAX: usize = 50;

/// Chains come with a later version.
const ACCOUNT_CODES_ABSENT: [AccountCode; 2] =
    [AccountCode::LinkedEventFailed, AccountCode::LinkedEventChainOpen];
/// Chains come with a later version, and while no flag is supported, no created transfer has other flags.
const TRANSFER_CODES_ABSENT: [TransferCode; 3] = [
    TransferCode::LinkedEventFailed,
    TransferCode::LinkedEventChainOpen,
    TransferCode::ExistsWithDifferentFlags,
];

/// What a log is for, beyond the codes.
const SITUATIONS: [&str; 19] = [
    "account created",
    "transfer created",
    "zero amount created",
    "retry in the epoch of a created one",
    "retry in the epoch of a refused one",
    "retry in a later epoch of a created one",
    "retry in a later epoch of a refused one",
    "third or later use of an id",
    "malformed, then created with its id",
    "money spent that came in the epoch",
    "money missing that went in the epoch",
    "overflow on a limited account",
    "overflow on two unlimited accounts",
    "overflow due to the epoch",
    "overflow due to a limited account of the epoch",
    "room left by a refused one of the epoch",
    "account of the epoch used",
    "account created after a transfer missed it",
    "linked in the middle of a request",
];

/// How often something occurred, and in how many logs.
struct Tally<K> {
    counts: BTreeMap<K, (usize, BTreeSet<u64>)>,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        let counts = BTreeMap::new();
        Self { counts }
    }
}

impl<K: Ord + Display> Tally<K> {
    fn count(&mut self, seed: u64, key: K) {
        let (events, seeds) = self.counts.entry(key).or_default();
        *events += 1;
        seeds.insert(seed);
    }

    fn seeds(&self, key: &K) -> usize {
        self.counts.get(key).map_or(0, |(_, seeds)| seeds.len())
    }

    fn print(&self, title: &str) {
        println!("{title:<50} {:>9} {:>9}", "events", "seeds");
        for (key, (events, seeds)) in &self.counts {
            println!("{:<50} {events:>9} {:>9}", key.to_string(), seeds.len());
        }
    }

    /// `expected` occur often, `absent` never.
    fn check(&self, expected: impl IntoIterator<Item = K>, absent: &[K]) {
        for key in expected {
            let seeds = self.seeds(&key);
            if absent.contains(&key) {
                assert_eq!(seeds, 0, "{key} can't occur in this version");
            } else {
                let seeds_min = SEEDS as usize / SEEDS_PER_OCCURRENCE_MAX;
                assert!(seeds >= seeds_min, "{key}: in {seeds} logs, expected {seeds_min}");
            }
        }
    }
}

/// Executes logs on the model and counts what occurs.
#[derive(Default)]
struct Witness {
    seed: u64,
    model: Model,
    epoch: usize,
    at_epoch_start: BTreeMap<u128, Account>,
    /// Per transfer id: how often it was used, and the epoch in which it was consumed.
    uses: BTreeMap<u128, (usize, Option<usize>)>,
    /// Accounts that a transfer of this epoch missed.
    missed: BTreeSet<u128>,
    /// Accounts on which this epoch has applied a transfer that also touched a limited account.
    gated: BTreeSet<u128>,
    /// What this epoch has refused for lack of money, by account and side (credit side: true).
    refused: BTreeMap<(u128, bool), u128>,
    timestamp: u64,
    account_codes: Tally<AccountCode>,
    transfer_codes: Tally<TransferCode>,
    situations: Tally<&'static str>,
}

impl Witness {
    fn watch(&mut self, seed: u64) {
        (self.seed, self.model, self.timestamp) = (seed, Model::default(), 1);
        self.uses.clear();
        for (epoch, requests) in RandomLog::new(seed).epochs.iter().enumerate() {
            (self.epoch, self.at_epoch_start) = (epoch, self.model.accounts().clone());
            self.missed.clear();
            self.gated.clear();
            self.refused.clear();
            for request in requests {
                match &request.events {
                    Events::Accounts(accounts) => accounts.iter().for_each(|a| self.watch_account(a)),
                    Events::Transfers(transfers) => transfers.iter().for_each(|t| self.watch_transfer(t)),
                }
            }
        }
    }

    fn saw(&mut self, situation: &'static str, condition: bool) {
        assert!(SITUATIONS.contains(&situation), "{situation} is not in the list");
        if condition {
            self.situations.count(self.seed, situation);
        }
    }

    fn watch_account(&mut self, account: &Account) {
        let code = self.model.create_accounts(self.timestamp, &[*account])[0];
        self.timestamp += 1;
        self.saw("account created", code.is_none());
        let missed = self.missed.contains(&account.id);
        self.saw("account created after a transfer missed it", code.is_none() && missed);
        self.saw("linked in the middle of a request", account.flags & AccountFlags::LINKED != 0);
        if let Some(code) = code {
            self.account_codes.count(self.seed, code);
        }
    }

    fn watch_transfer(&mut self, transfer: &Transfer) {
        let outcome_before = self.model.ids().get(&transfer.id).copied();
        let code = self.model.create_transfers(self.timestamp, &[*transfer])[0];
        self.timestamp += 1;
        if let Some(code) = code {
            self.transfer_codes.count(self.seed, code);
        }
        self.saw("linked in the middle of a request", transfer.flags & TransferFlags::LINKED != 0);
        self.saw("transfer created", code.is_none());
        self.saw("zero amount created", code.is_none() && transfer.amount == 0);
        self.watch_id(transfer, outcome_before, code);
        self.watch_accounts(transfer, code);
        self.watch_undone_money(transfer, code);
        self.watch_money(transfer, code);
    }

    fn watch_id(&mut self, transfer: &Transfer, before: Option<Outcome>, code: Option<TransferCode>) {
        let consumed = self.model.ids().contains_key(&transfer.id);
        let epoch = self.epoch;
        let (uses, consumed_in) = self.uses.entry(transfer.id).or_default();
        let (earlier_uses, consumed_before) = (*uses, *consumed_in);
        *uses += 1;
        if consumed {
            consumed_in.get_or_insert(epoch);
        }
        let here = consumed_before == Some(epoch);
        let created = matches!(before, Some(Outcome::Created(_)));
        let refused = matches!(before, Some(Outcome::Refused));
        self.saw("retry in the epoch of a created one", here && created);
        self.saw("retry in the epoch of a refused one", here && refused);
        self.saw("retry in a later epoch of a created one", !here && created);
        self.saw("retry in a later epoch of a refused one", !here && refused);
        self.saw("third or later use of an id", before.is_some() && earlier_uses >= 2);
        self.saw("malformed, then created with its id", earlier_uses > 0 && code.is_none());
    }

    fn watch_accounts(&mut self, transfer: &Transfer, code: Option<TransferCode>) {
        let ids = [transfer.debit_account_id, transfer.credit_account_id];
        match code {
            Some(TransferCode::DebitAccountNotFound) => drop(self.missed.insert(ids[0])),
            Some(TransferCode::CreditAccountNotFound) => drop(self.missed.insert(ids[1])),
            _ => {}
        }
        let of_the_epoch = ids.iter().any(|id| !self.at_epoch_start.contains_key(id));
        self.saw("account of the epoch used", code.is_none() && of_the_epoch);
        if code.is_none() && self.touches_a_limit(transfer) {
            self.gated.extend(ids);
        }
    }

    /// Money that an engine may have counted for a while, until its transfer was refused on the other side.
    fn watch_undone_money(&mut self, transfer: &Transfer, code: Option<TransferCode>) {
        let sides = [(transfer.debit_account_id, false), (transfer.credit_account_id, true)];
        for side in sides {
            let refused = self.refused.entry(side).or_default();
            match code {
                None => {
                    let room = headroom(&self.model.accounts()[&side.0], side.1);
                    let needed = *refused > room;
                    self.saw("room left by a refused one of the epoch", needed);
                }
                Some(TransferCode::ExceedsCredits | TransferCode::ExceedsDebits) => {
                    *refused = refused.saturating_add(transfer.amount);
                }
                Some(_) => {}
            }
        }
    }

    /// Compares the answer with what the balances at the start of the epoch would have given.
    fn watch_money(&mut self, transfer: &Transfer, code: Option<TransferCode>) {
        use TransferCode::*;
        let overflow = matches!(code, Some(OverflowsDebitsPosted | OverflowsCreditsPosted));
        let limited = self.touches_a_limit(transfer);
        self.saw("overflow on a limited account", overflow && limited);
        self.saw("overflow on two unlimited accounts", overflow && !limited);

        let start = |id| self.at_epoch_start.get(id);
        let (Some(debit), Some(credit)) =
            (start(&transfer.debit_account_id), start(&transfer.credit_account_id))
        else {
            return;
        };
        let room = headroom(debit, false).min(headroom(credit, true));
        let allowances = [allowance(debit, false), allowance(credit, true)];
        let exceeded_at_start = allowances.into_iter().flatten().any(|a| a < transfer.amount);
        let exceeds = matches!(code, Some(ExceedsCredits | ExceedsDebits));
        let due_to_epoch = overflow && transfer.amount <= room;
        let gated = match code {
            Some(OverflowsDebitsPosted) => self.gated.contains(&transfer.debit_account_id),
            _ => self.gated.contains(&transfer.credit_account_id),
        };
        self.saw("overflow due to the epoch", due_to_epoch);
        self.saw("overflow due to a limited account of the epoch", due_to_epoch && gated);
        self.saw("money spent that came in the epoch", code.is_none() && exceeded_at_start);
        self.saw("money missing that went in the epoch", exceeds && !exceeded_at_start);
    }

    fn touches_a_limit(&self, transfer: &Transfer) -> bool {
        [transfer.debit_account_id, transfer.credit_account_id]
            .iter()
            .filter_map(|id| self.model.accounts().get(id))
            .any(|account| account.flags != 0)
    }
}

#[test]
fn every_code_and_every_situation_occurs() {
    let mut witness = Witness::default();
    for seed in 0..SEEDS {
        witness.watch(seed);
    }
    witness.account_codes.print("account codes");
    witness.transfer_codes.print("transfer codes");
    witness.situations.print("situations");
    witness.account_codes.check(AccountCode::ALL.iter().copied(), &ACCOUNT_CODES_ABSENT);
    witness.transfer_codes.check(TransferCode::ALL.iter().copied(), &TRANSFER_CODES_ABSENT);
    witness.situations.check(SITUATIONS, &[]);
}

#[test]
fn every_log_is_legal() {
    let (mut neighbours, mut several_in_a_stream, mut several_streams) = (0, 0, 0);
    for seed in 0..SEEDS {
        let log = RandomLog::new(seed);
        assert!((1..=EPOCHS_MAX).contains(&log.epochs.len()), "seed {seed}");
        for requests in &log.epochs {
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
