//! Watches random logs and counts what occurs in them: codes, and what concerns transfers of any kind.

use crate::model::{Model, Outcome, Status};
use crate::random_log::{Events, RandomLog, TIME_START};
use crate::random_log_witness_kinds::{KIND_SITUATIONS, KindsSeen};
use crate::random_log_writer::{allowance, headroom};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// What a log is for, beyond the codes.
pub(crate) const SITUATIONS: [&str; 21] = [
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
    "forgotten pending transfer claimed",
    "created though a limit is reached",
];

/// How often something occurred, and in how many logs.
pub(crate) struct Tally<K> {
    counts: BTreeMap<K, (usize, BTreeSet<u64>)>,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        let counts = BTreeMap::new();
        Self { counts }
    }
}

impl<K: Ord + Display> Tally<K> {
    pub(crate) fn count(&mut self, seed: u64, key: K) {
        let (events, seeds) = self.counts.entry(key).or_default();
        *events += 1;
        seeds.insert(seed);
    }

    fn seeds(&self, key: &K) -> usize {
        self.counts.get(key).map_or(0, |(_, seeds)| seeds.len())
    }

    pub(crate) fn print(&self, title: &str) {
        println!("{title:<50} {:>9} {:>9}", "events", "seeds");
        for (key, (events, seeds)) in &self.counts {
            println!("{:<50} {events:>9} {:>9}", key.to_string(), seeds.len());
        }
    }

    /// `expected` occur in `seeds_min` logs at least, `absent` never.
    pub(crate) fn check(&self, expected: impl IntoIterator<Item = K>, absent: &[K], seeds_min: usize) {
        for key in expected {
            let seeds = self.seeds(&key);
            if absent.contains(&key) {
                assert_eq!(seeds, 0, "{key} can't occur");
            } else {
                assert!(seeds >= seeds_min, "{key}: in {seeds} logs, expected {seeds_min}");
            }
        }
    }
}

/// Executes logs on the model and counts what occurs.
#[derive(Default)]
pub(crate) struct Witness {
    pub(crate) seed: u64,
    pub(crate) model: Model,
    pub(crate) epoch: usize,
    pub(crate) timestamp: u64,
    at_epoch_start: BTreeMap<u128, Account>,
    /// Per transfer id: how often it was used, and the epoch in which it was consumed.
    pub(crate) uses: BTreeMap<u128, (usize, Option<usize>)>,
    /// Accounts that a transfer of this epoch missed.
    missed: BTreeSet<u128>,
    /// Accounts on which this epoch has applied a transfer that also touched a limited account.
    gated: BTreeSet<u128>,
    /// What this epoch has refused for lack of money, by account and side (credit side: true).
    refused: BTreeMap<(u128, bool), u128>,
    pub(crate) kinds: KindsSeen,
    pub(crate) account_codes: Tally<AccountCode>,
    pub(crate) transfer_codes: Tally<TransferCode>,
    pub(crate) situations: Tally<&'static str>,
}

/// What the model says before a transfer or its chain is executed.
pub(crate) struct Before {
    pub(crate) outcome: Option<Outcome>,
    /// Of the transfer `pending_id`.
    pub(crate) status: Option<Status>,
    pub(crate) accounts: [Option<Account>; 2],
}

impl Before {
    fn new(model: &Model, transfer: &Transfer) -> Self {
        let account = |id| model.accounts().get(&id).copied();
        Self {
            outcome: model.ids().get(&transfer.id).copied(),
            status: model.pendings().get(&transfer.pending_id).copied(),
            accounts: [account(transfer.debit_account_id), account(transfer.credit_account_id)],
        }
    }
}

impl Witness {
    pub(crate) fn watch(&mut self, seed: u64) {
        (self.seed, self.model, self.timestamp) = (seed, Model::default(), TIME_START);
        self.uses.clear();
        self.kinds = KindsSeen::default();
        for (number, epoch) in RandomLog::new(seed).epochs.iter().enumerate() {
            (self.epoch, self.at_epoch_start) = (number, self.model.accounts().clone());
            self.timestamp += epoch.pause;
            let through = self.timestamp.saturating_sub(epoch.expire_back);
            self.missed.clear();
            self.gated.clear();
            self.refused.clear();
            self.kinds.begin_epoch();
            self.model.terms = epoch.terms;
            for request in &epoch.requests {
                self.watch_events(&request.events);
            }
            self.watch_expiry(through);
        }
    }

    fn watch_events(&mut self, events: &Events) {
        match events {
            Events::Accounts(accounts) => {
                for chain in accounts.chunk_by(|account, _| account.flags & AccountFlags::LINKED != 0) {
                    self.watch_accounts(chain);
                }
            }
            Events::Transfers(transfers) => {
                for chain in transfers.chunk_by(|transfer, _| transfer.flags & TransferFlags::LINKED != 0) {
                    self.watch_transfers(chain);
                }
            }
        }
    }

    pub(crate) fn saw(&mut self, situation: &'static str, condition: bool) {
        let listed = SITUATIONS.contains(&situation) || KIND_SITUATIONS.contains(&situation);
        assert!(listed, "{situation} is not in a list");
        if condition {
            self.situations.count(self.seed, situation);
        }
    }

    /// A chain, or a single account.
    fn watch_accounts(&mut self, chain: &[Account]) {
        let codes = self.model.create_accounts(self.timestamp, chain);
        self.timestamp += chain.len() as u64;
        self.watch_account_chain(chain, &codes);
        for (account, code) in chain.iter().zip(codes) {
            self.saw("account created", code.is_none());
            let missed = self.missed.contains(&account.id);
            self.saw("account created after a transfer missed it", code.is_none() && missed);
            self.saw("linked in the middle of a request", account.flags & AccountFlags::LINKED != 0);
            if let Some(code) = code {
                self.account_codes.count(self.seed, code);
            }
        }
    }

    /// A chain, or a single transfer.
    fn watch_transfers(&mut self, chain: &[Transfer]) {
        let before: Vec<Before> = chain.iter().map(|transfer| Before::new(&self.model, transfer)).collect();
        let codes = self.model.create_transfers(self.timestamp, chain);
        for ((transfer, before), code) in chain.iter().zip(&before).zip(&codes) {
            if let Some(code) = code {
                self.transfer_codes.count(self.seed, *code);
            }
            self.saw("linked in the middle of a request", transfer.flags & TransferFlags::LINKED != 0);
            self.saw("transfer created", code.is_none());
            self.saw("zero amount created", code.is_none() && transfer.amount == 0);
            self.watch_kind(transfer, before, *code);
            self.watch_id(transfer, before.outcome, *code);
            self.watch_missed(transfer, *code);
            if chain.len() == 1 && transfer.flags & !TransferFlags::PENDING == 0 {
                self.watch_ends(transfer, *code);
                self.watch_undone_money(transfer, *code);
                self.watch_money(transfer, *code);
            }
            self.timestamp += 1;
        }
        if chain.len() > 1 {
            self.watch_chain(chain, &before, &codes);
        }
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
        let created = matches!(before, Some(Outcome::Created { .. }));
        let refused = matches!(before, Some(Outcome::Refused));
        self.saw("retry in the epoch of a created one", here && created);
        self.saw("retry in the epoch of a refused one", here && refused);
        self.saw("retry in a later epoch of a created one", !here && created);
        self.saw("retry in a later epoch of a refused one", !here && refused);
        self.saw("third or later use of an id", before.is_some() && earlier_uses >= 2);
        self.saw("malformed, then created with its id", earlier_uses > 0 && code.is_none());
        let terms = self.model.terms;
        let forgotten = transfer.pending_id != 0 && terms.is_forgotten(transfer.pending_id);
        self.saw("forgotten pending transfer claimed", code.is_none() && forgotten);
        let limited = terms.pendings_limited || terms.accounts_limited;
        self.saw("created though a limit is reached", code.is_none() && limited);
    }

    /// An account that isn't there yet.
    fn watch_missed(&mut self, transfer: &Transfer, code: Option<TransferCode>) {
        let missed = match code {
            Some(TransferCode::DebitAccountNotFound) => transfer.debit_account_id,
            Some(TransferCode::CreditAccountNotFound) => transfer.credit_account_id,
            _ => return,
        };
        self.missed.insert(missed);
        let of_chain = self.kinds.accounts_of_failed_chain.contains(&missed);
        self.saw("account of a failed chain missed", of_chain);
    }

    /// The two accounts of a transfer.
    fn watch_ends(&mut self, transfer: &Transfer, code: Option<TransferCode>) {
        let ids = [transfer.debit_account_id, transfer.credit_account_id];
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
            .any(|account| account.flags & AccountFlags::LIMITS != 0)
    }
}
