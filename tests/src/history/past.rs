//! What the model's past was: every created account and transfer, and every balance, in lists that are searched from
//! end to end.
//!
//! Sums are kept here from the transfers as the model executed them; at the end of each epoch they must be the model's.

use crate::exact::logged::{LoggedEpoch, Placed};
use crate::model::{Model, Status};
use crate::random_log::Events;
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, AccountBalance, Filter, FilterFlags, Transfer};
use std::collections::BTreeMap;

/// An account's sums after a transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Balance {
    account_id: u128,
    credit: bool,
    transfer: Transfer,
    after: AccountBalance,
}

/// What became of an event that was not created as it was sent, by its index in the epoch.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) refused: Vec<u16>,
    pub(crate) amounts: Vec<(u16, u128)>,
}

/// A ledger and all that was.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) model: Model,
    /// As they were created.
    pub(crate) accounts: Vec<Account>,
    /// As they were executed.
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) balances: Vec<Balance>,
    /// Each account with its sums.
    sums: BTreeMap<u128, Account>,
    /// Pending transfers that nothing has ended.
    open: BTreeMap<u128, Transfer>,
}

impl Past {
    /// Executes an epoch.
    pub(crate) fn execute(&mut self, epoch: &LoggedEpoch) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for request in &epoch.requests {
            let timestamp = epoch.cut.time + u64::from(request.first);
            match &request.events {
                Events::Accounts(accounts) => {
                    self.create_accounts(request, timestamp, accounts, &mut outcomes);
                }
                Events::Transfers(transfers) => {
                    self.create_transfers(request, timestamp, transfers, &mut outcomes);
                }
            }
        }
        self.model.expire(epoch.cut.expire_through);
        self.expire();
        self.check_sums();
        outcomes
    }

    fn create_accounts(
        &mut self,
        request: &Placed,
        first: u64,
        accounts: &[Account],
        outcomes: &mut Outcomes,
    ) {
        let codes = self.model.create_accounts(first, accounts);
        for (i, ((index, account), code)) in request.indexes().zip(accounts).zip(codes).enumerate() {
            if code.is_some() {
                outcomes.refused.push(index);
                continue;
            }
            let account = Account { timestamp: first + i as u64, ..*account };
            self.accounts.push(account);
            self.sums.insert(account.id, account);
        }
    }

    fn create_transfers(
        &mut self,
        request: &Placed,
        first: u64,
        transfers: &[Transfer],
        outcomes: &mut Outcomes,
    ) {
        let codes = self.model.create_transfers(first, transfers);
        for ((index, sent), code) in request.indexes().zip(transfers).zip(codes) {
            if code.is_some() {
                outcomes.refused.push(index);
                continue;
            }
            let done = *self.model.transfer(sent.id).expect("it was created");
            if sent.flags & TransferFlags::BALANCING != 0 && done.amount != sent.amount {
                outcomes.amounts.push((index, done.amount));
            }
            self.transfers.push(done);
            self.apply(&done);
        }
    }

    /// Changes the sums of both accounts, and remembers them if they have a history.
    fn apply(&mut self, done: &Transfer) {
        let moves = if done.flags & TransferFlags::PENDING != 0 {
            self.open.insert(done.id, *done);
            self.add_pending(done, u128::wrapping_add);
            0
        } else if done.flags & TransferFlags::RESOLVING != 0 {
            let pending = self.open.remove(&done.pending_id).expect("it was open");
            self.add_pending(&pending, u128::wrapping_sub);
            if done.flags & TransferFlags::POST_PENDING_TRANSFER != 0 { done.amount } else { 0 }
        } else {
            done.amount
        };
        self.account(done.debit_account_id).debits_posted += moves;
        self.account(done.credit_account_id).credits_posted += moves;
        for (account_id, credit) in [(done.debit_account_id, false), (done.credit_account_id, true)] {
            let account = *self.account(account_id);
            if account.flags & AccountFlags::HISTORY != 0 {
                let after = balance(&account, done.timestamp);
                self.balances.push(Balance { account_id, credit, transfer: *done, after });
            }
        }
    }

    fn add_pending(&mut self, pending: &Transfer, add: fn(u128, u128) -> u128) {
        let debits = &mut self.account(pending.debit_account_id).debits_pending;
        *debits = add(*debits, pending.amount);
        let credits = &mut self.account(pending.credit_account_id).credits_pending;
        *credits = add(*credits, pending.amount);
    }

    /// Releases what the model has expired.
    fn expire(&mut self) {
        let expired: Vec<Transfer> = self
            .open
            .values()
            .filter(|pending| self.model.pendings()[&pending.id] == Status::Expired)
            .copied()
            .collect();
        for pending in expired {
            self.open.remove(&pending.id);
            self.add_pending(&pending, u128::wrapping_sub);
        }
    }

    fn account(&mut self, id: u128) -> &mut Account {
        self.sums.get_mut(&id).expect("a transfer's accounts exist")
    }

    fn check_sums(&self) {
        assert!(self.sums.keys().eq(self.model.accounts().keys()), "the same accounts");
        for (ours, model) in self.sums.values().zip(self.model.accounts().values()) {
            assert_eq!(balance(ours, 0), balance(model, 0), "sums of account {}", ours.id);
        }
    }

    /// The answer to a question about an account's transfers, as of a time.
    pub(crate) fn account_transfers(&self, filter: &Filter, now: u64) -> Vec<Transfer> {
        let wanted = self.transfers.iter().filter(|transfer| {
            fits(filter, now, transfer)
                && (filter.is(FilterFlags::DEBITS) && transfer.debit_account_id == filter.account_id
                    || filter.is(FilterFlags::CREDITS) && transfer.credit_account_id == filter.account_id)
        });
        ordered(filter, wanted.copied())
    }

    /// The answer to a question about an account's balances.
    pub(crate) fn account_balances(&self, filter: &Filter, now: u64) -> Vec<AccountBalance> {
        let wanted = self.balances.iter().filter(|balance| {
            balance.account_id == filter.account_id
                && fits(filter, now, &balance.transfer)
                && filter.is(if balance.credit { FilterFlags::CREDITS } else { FilterFlags::DEBITS })
        });
        ordered(filter, wanted.map(|balance| balance.after))
    }

    /// The answer to a question about transfers.
    pub(crate) fn query_transfers(&self, filter: &Filter, now: u64) -> Vec<Transfer> {
        ordered(filter, self.transfers.iter().filter(|transfer| fits(filter, now, transfer)).copied())
    }

    /// The answer to a question about accounts.
    pub(crate) fn query_accounts(&self, filter: &Filter, now: u64) -> Vec<Account> {
        let wanted = self.accounts.iter().filter(|account| {
            let as_transfer = Transfer {
                user_data_128: account.user_data_128,
                user_data_64: account.user_data_64,
                user_data_32: account.user_data_32,
                ledger: account.ledger,
                code: account.code,
                timestamp: account.timestamp,
                ..Transfer::default()
            };
            fits(filter, now, &as_transfer)
        });
        ordered(filter, wanted.copied())
    }
}

fn balance(account: &Account, timestamp: u64) -> AccountBalance {
    AccountBalance {
        debits_pending: account.debits_pending,
        debits_posted: account.debits_posted,
        credits_pending: account.credits_pending,
        credits_posted: account.credits_posted,
        timestamp,
        reserved: [0; 7],
    }
}

fn fits(filter: &Filter, now: u64, transfer: &Transfer) -> bool {
    transfer.timestamp <= now
        && transfer.timestamp >= filter.timestamp_min
        && (filter.timestamp_max == 0 || transfer.timestamp <= filter.timestamp_max)
        && (filter.user_data_128 == 0 || filter.user_data_128 == transfer.user_data_128)
        && (filter.user_data_64 == 0 || filter.user_data_64 == transfer.user_data_64)
        && (filter.user_data_32 == 0 || filter.user_data_32 == transfer.user_data_32)
        && (filter.ledger == 0 || filter.ledger == transfer.ledger)
        && (filter.code == 0 || filter.code == transfer.code)
}

fn ordered<T>(filter: &Filter, records: impl Iterator<Item = T>) -> Vec<T> {
    let mut records: Vec<T> = records.collect();
    if filter.is(FilterFlags::REVERSED) {
        records.reverse();
    }
    records
}
