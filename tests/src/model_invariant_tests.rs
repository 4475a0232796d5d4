//! Tests of the reference model: what must hold after every epoch of every random log, counted from its transfers.

use crate::model::{Model, Outcome, Status};
use crate::random_log::{Events, RandomLog, TIME_START};
use crate::random_log_faults::{CLAIMS, CLOSING};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Transfer};
use std::collections::{BTreeMap, BTreeSet};

const SEEDS: u64 = 1_000;

/// What the transfers that were created add up to.
#[derive(Default)]
struct Sums {
    /// Pending debits, posted debits, pending credits, posted credits.
    balances: BTreeMap<u128, [u128; 4]>,
    /// Accounts that a pending transfer keeps closed.
    closed: BTreeSet<u128>,
}

impl Sums {
    fn new(model: &Model) -> Self {
        let mut sums = Self::default();
        for outcome in model.ids().values() {
            if let Outcome::Created { done, .. } = outcome {
                sums.add(model, done);
            }
        }
        sums
    }

    fn add(&mut self, model: &Model, done: &Transfer) {
        let pending = done.flags & TransferFlags::PENDING != 0;
        let ended = pending && model.pendings()[&done.id] != Status::Pending;
        if ended || done.flags & TransferFlags::VOID_PENDING_TRANSFER != 0 {
            return;
        }
        let place = usize::from(!pending);
        self.balances.entry(done.debit_account_id).or_default()[place] += done.amount;
        self.balances.entry(done.credit_account_id).or_default()[place + 2] += done.amount;
        if done.flags & TransferFlags::CLOSING_DEBIT != 0 {
            self.closed.insert(done.debit_account_id);
        }
        if done.flags & TransferFlags::CLOSING_CREDIT != 0 {
            self.closed.insert(done.credit_account_id);
        }
    }

    fn check(&self, account: &Account) {
        let found =
            [account.debits_pending, account.debits_posted, account.credits_pending, account.credits_posted];
        let untouched = !self.balances.contains_key(&account.id);
        assert_eq!(found, self.balances.get(&account.id).copied().unwrap_or_default());
        let [debits, credits] = [(found[0], found[1]), (found[2], found[3])]
            .map(|(pending, posted)| pending.checked_add(posted).expect("both sums together fit 128 bits"));
        if account.flags & AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS != 0 {
            assert!(debits <= account.credits_posted);
        }
        if account.flags & AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS != 0 {
            assert!(credits <= account.debits_posted);
        }
        let closed = account.flags & AccountFlags::CLOSED != 0;
        // Only one that was created closed can be closed by nothing, and nothing has ever touched it.
        assert!(closed == self.closed.contains(&account.id) || closed && untouched);
    }
}

/// Every claim that was created ended its pending transfer, and nothing else has.
fn check_claims(model: &Model) {
    let mut claimed = BTreeMap::new();
    for outcome in model.ids().values() {
        let Outcome::Created { done, .. } = outcome else { continue };
        if done.flags & CLAIMS == 0 {
            assert_eq!(model.pendings().contains_key(&done.id), done.flags & TransferFlags::PENDING != 0);
            continue;
        }
        let post = done.flags & TransferFlags::POST_PENDING_TRANSFER != 0;
        let pending =
            model.transfer(done.pending_id).expect("a created claim has a created pending transfer");
        assert!(done.amount <= pending.amount && (post || done.amount == pending.amount));
        assert!(!post || pending.flags & CLOSING == 0, "what it closed takes no post");
        let status = if post { Status::Posted } else { Status::Voided };
        assert_eq!(claimed.insert(pending.id, status), None, "a pending transfer is claimed once");
    }
    for (id, status) in model.pendings() {
        let unclaimed = matches!(status, Status::Pending | Status::Expired);
        assert_eq!(claimed.get(id), Some(status).filter(|_| !unclaimed));
    }
}

#[test]
fn balances_are_what_the_created_transfers_add_up_to() {
    for seed in 0..SEEDS {
        let (mut model, mut timestamp) = (Model::default(), TIME_START);
        for epoch in RandomLog::new(seed).epochs {
            timestamp += epoch.pause;
            let through = timestamp.saturating_sub(epoch.expire_back);
            for request in &epoch.requests {
                match &request.events {
                    Events::Accounts(accounts) => drop(model.create_accounts(timestamp, accounts)),
                    Events::Transfers(transfers) => drop(model.create_transfers(timestamp, transfers)),
                }
                timestamp += request.events.len() as u64;
            }
            model.expire(through);
            let sums = Sums::new(&model);
            model.accounts().values().for_each(|account| sums.check(account));
            check_claims(&model);
        }
    }
}
