//! The sums of accounts with a history: brought up to date in each commit, with what they were after each transfer.

use crate::Error;
use crate::packed::{BALANCES_MAX, Balance, Reference, Sums, encode_balances};
use crate::sieve::Sieve;
use crate::store::{Key, SUMS, Store};
use crate::write::Batch;
use auriga_wire::Transfer;
use fjall::{Readable, Snapshot};
use std::collections::BTreeSet;

/// What is added to and taken from one side of an account.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change {
    pub(crate) reserve: u128,
    pub(crate) release: u128,
    pub(crate) post: u128,
}

/// A change of an account.
#[derive(Clone, Copy, Debug)]
struct Leg {
    account: u128,
    credit: bool,
    change: Change,
    /// The transfer that made it; `None`: a pending transfer expired.
    transfer: Option<Reference>,
}

/// Changes that are collected for the next commit.
#[derive(Debug)]
pub(crate) struct Histories {
    sieve: Sieve,
    created: BTreeSet<u128>,
    legs: Vec<Leg>,
}

impl Histories {
    /// Reads which accounts have a history.
    pub(crate) fn open(store: &Store) -> Result<Self, Error> {
        let mut sieve = Sieve::new();
        for entry in store.snapshot().prefix(&store.state, [SUMS]) {
            let key = entry.key().map_err(|source| store.error("read", source))?;
            let id = key[1..].try_into().map_err(|_| store.damaged("found sums of no account"))?;
            sieve.insert(u128::from_be_bytes(id));
        }
        Ok(Self { sieve, created: BTreeSet::new(), legs: Vec::new() })
    }

    /// An account with a history was created.
    pub(crate) fn create(&mut self, account: u128) {
        self.sieve.insert(account);
        self.created.insert(account);
    }

    /// A transfer changed both its accounts; without a page it expired.
    pub(crate) fn change(&mut self, transfer: &Transfer, change: Change, page: Option<u64>) {
        for (account, credit) in [(transfer.debit_account_id, false), (transfer.credit_account_id, true)] {
            if self.sieve.may_have(account) {
                let timestamp = transfer.timestamp;
                let transfer = page.map(|page| Reference { timestamp, page, credit });
                self.legs.push(Leg { account, credit, change, transfer });
            }
        }
    }

    /// Bytes that are collected.
    pub(crate) fn size(&self) -> usize {
        self.legs.len() * size_of::<Leg>() + self.created.len() * 64
    }

    pub(crate) fn write(&mut self, batch: &mut Batch, store: &Store) -> Result<(), Error> {
        let snapshot = store.snapshot();
        self.legs.sort_by_key(|leg| leg.account);
        for legs in self.legs.chunk_by(|a, b| a.account == b.account) {
            let account = legs[0].account;
            let before = if self.created.remove(&account) {
                Some(Sums::default())
            } else {
                read_sums(store, &snapshot, account)?
            };
            if let Some(sums) = before {
                write_legs(batch, store, sums, legs)?;
            }
        }
        self.legs.clear();
        for account in std::mem::take(&mut self.created) {
            write_sums(batch, store, account, Sums::default());
        }
        Ok(())
    }
}

/// The newest sums; `None` if the account has no history.
fn read_sums(store: &Store, snapshot: &Snapshot, account: u128) -> Result<Option<Sums>, Error> {
    let Some(bytes) = store.get(snapshot, &store.state, sums_key(account).bytes())? else { return Ok(None) };
    if bytes.len() != size_of::<Sums>() {
        return Err(store.damaged(format!("found sums of {} bytes, expected 64", bytes.len())));
    }
    Ok(Some(bytemuck::pod_read_unaligned(&bytes)))
}

fn write_sums(batch: &mut Batch, store: &Store, account: u128, sums: Sums) {
    batch.insert(&store.state, sums_key(account).bytes(), bytemuck::bytes_of(&sums));
}

/// Applies the changes of one account.
fn write_legs(batch: &mut Batch, store: &Store, mut sums: Sums, legs: &[Leg]) -> Result<(), Error> {
    let account = legs[0].account;
    let mut balances = Vec::new();
    for leg in legs {
        sums = apply(sums, leg).ok_or_else(|| {
            store.damaged(format!(
                "account {account}: found the sums {sums:?}, to which {leg:?} can't be applied"
            ))
        })?;
        balances.extend(leg.transfer.map(|transfer| Balance { transfer, sums }));
    }
    for entry in balances.chunks(BALANCES_MAX) {
        let first = entry[0].transfer.timestamp;
        let key = balances_list(account).and(&first.to_be_bytes());
        batch.insert(&store.balances, key.bytes(), encode_balances(first, entry));
    }
    write_sums(batch, store, account, sums);
    Ok(())
}

/// The sums after a change; `None` if it doesn't fit them.
fn apply(mut sums: Sums, leg: &Leg) -> Option<Sums> {
    let side = if leg.credit { 2 } else { 0 };
    let Change { reserve, release, post } = leg.change;
    sums[side] = sums[side].checked_add(reserve)?.checked_sub(release)?;
    sums[side + 1] = sums[side + 1].checked_add(post)?;
    Some(sums)
}

fn sums_key(account: u128) -> Key {
    Key::of(&[&[SUMS], &account.to_be_bytes()])
}

/// What all keys of an account's balances begin with; a timestamp follows.
pub(crate) fn balances_list(account: u128) -> Key {
    Key::of(&[&account.to_be_bytes()])
}
