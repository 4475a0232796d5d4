//! The books that a test keeps of a ledger: what it was told, and whether the server still says the same.

use crate::load::{Choice, Sent, Told, account, limited_account};
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::record::AccountFlags;
use auriga_wire::{Account, Client, Transfer, TransferCode};
use std::collections::BTreeMap;

/// Older transfers that a check looks at again.
const SAMPLE: usize = 500;
/// Retries of each kind in a check.
const RETRIES: usize = 200;

/// What the clients of one data directory know.
#[derive(Debug, Default)]
pub struct Book {
    /// Acknowledged accounts, without balances.
    accounts: BTreeMap<u128, Account>,
    /// By debits and credits, of what is known to be created.
    balances: BTreeMap<u128, (u128, u128)>,
    created: Vec<Transfer>,
    /// Transfers of `created` that were looked up since the last restart but one.
    checked: usize,
    refused: Vec<Transfer>,
    /// Sent, never answered, and not there when looked up.
    absent: Vec<Transfer>,
    /// Sent and not resolved.
    unknown: Vec<Transfer>,
    next_account: u128,
    /// Unanswered transfers that turned out to be created, or not to be.
    pub resolved: (usize, usize),
}

impl Book {
    /// Creates accounts and notes them; every fourth has a limit.
    #[track_caller]
    pub fn open_accounts(&mut self, client: &mut Client, count: usize) {
        let ids = self.next_account + 1..=self.next_account + count as u128;
        self.next_account += count as u128;
        let accounts: Vec<_> =
            ids.map(|id| if id % 4 == 0 { limited_account(id) } else { account(id, 0) }).collect();
        let created = client.create_accounts(&accounts).expect("accounts are created");
        assert_eq!(created.not_applied().count(), 0, "every account is created");
        for (timestamp, account) in (created.first_timestamp..).zip(accounts) {
            self.accounts.insert(account.id, Account { timestamp, ..account });
        }
    }

    /// The accounts, to choose from.
    pub fn choice(&self) -> Choice {
        let limited = |account: &&Account| account.flags & AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS != 0;
        let (limited, open): (Vec<_>, Vec<_>) = self.accounts.values().partition(limited);
        let ids = |accounts: Vec<&Account>| accounts.iter().map(|account| account.id).collect();
        Choice { open: ids(open), limited: ids(limited) }
    }

    /// Transfers known to be created.
    pub fn created(&self) -> &[Transfer] {
        &self.created
    }

    /// Transfers known to be refused.
    pub fn refused(&self) -> &[Transfer] {
        &self.refused
    }

    /// Notes what clients sent and were told.
    pub fn note(&mut self, all: Vec<Sent>) {
        for Sent { transfer, told } in all {
            match told {
                Told::Created(timestamp) => self.note_created(Transfer { timestamp, ..transfer }),
                Told::Refused(code) => {
                    let expected = [TransferCode::ExceedsCredits, TransferCode::CreditAccountNotFound];
                    assert!(expected.iter().any(|e| e.number() == code), "code {code} for {transfer:?}");
                    self.refused.push(transfer);
                }
                Told::Nothing => self.unknown.push(transfer),
                Told::TurnedAway(_) => self.absent.push(transfer),
            }
        }
    }

    fn note_created(&mut self, transfer: Transfer) {
        self.balances.entry(transfer.debit_account_id).or_default().0 += transfer.amount;
        self.balances.entry(transfer.credit_account_id).or_default().1 += transfer.amount;
        self.created.push(transfer);
    }

    /// Holds the server against the books, after a restart. `everything`: all transfers, not the new ones and a sample.
    #[track_caller]
    pub fn check(&mut self, client: &mut Client, random: &mut fastrand::Rng, everything: bool) {
        self.resolve(client, random);
        let new = if everything { 0 } else { self.checked };
        for batch in self.created[new..].chunks(REQUEST_RECORDS_MAX) {
            expect_all(client, batch);
        }
        let sample: Vec<_> = (0..SAMPLE.min(new)).map(|_| self.created[random.usize(..new)]).collect();
        expect_all(client, &sample);
        self.checked = self.created.len();
        for batch in self.refused.iter().chain(&self.absent).collect::<Vec<_>>().chunks(REQUEST_RECORDS_MAX) {
            let ids: Vec<_> = batch.iter().map(|transfer| transfer.id).collect();
            let found = client.lookup_transfers(&ids).expect("looked up");
            assert!(
                found.is_empty(),
                "{} refused or absent transfers came back, as {:?}",
                found.len(),
                found[0]
            );
        }
        self.retry_known(client, random);
        self.check_balances(client);
    }

    /// Looks up what was never answered; sends some of it again.
    #[track_caller]
    fn resolve(&mut self, client: &mut Client, random: &mut fastrand::Rng) {
        let unknown = std::mem::take(&mut self.unknown);
        for batch in unknown.chunks(REQUEST_RECORDS_MAX) {
            let ids: Vec<_> = batch.iter().map(|transfer| transfer.id).collect();
            let found = client.lookup_transfers(&ids).expect("looked up");
            let found: BTreeMap<_, _> = found.into_iter().map(|transfer| (transfer.id, transfer)).collect();
            self.resolved.0 += found.len();
            self.resolved.1 += batch.len() - found.len();
            let retry = random.bool();
            let results = if retry { send_again(client, batch) } else { Vec::new() };
            for (i, transfer) in batch.iter().enumerate() {
                let result = results.get(i).copied();
                match found.get(&transfer.id) {
                    Some(there) => {
                        let sent = Transfer { timestamp: there.timestamp, ..*transfer };
                        assert_eq!(*there, sent, "the transfer that is there is the one that was sent");
                        assert!(there.timestamp > 0);
                        let exists = Err(TransferCode::Exists);
                        assert!(result.is_none_or(|result| result == exists), "{result:?} for {transfer:?}");
                        self.note_created(*there);
                    }
                    None => self.note_retry(transfer, result),
                }
            }
        }
    }

    /// Notes what became of the second try of a transfer that was not there.
    #[track_caller]
    fn note_retry(&mut self, transfer: &Transfer, result: Option<Result<u64, TransferCode>>) {
        let may_be_refused = transfer.credit_account_id == u128::MAX - 1
            || self.accounts[&transfer.debit_account_id].flags != 0;
        match result {
            None => self.absent.push(*transfer),
            Some(Ok(timestamp)) => self.note_created(Transfer { timestamp, ..*transfer }),
            Some(Err(code)) => {
                let refusals = [
                    TransferCode::ExceedsCredits,
                    TransferCode::CreditAccountNotFound,
                    TransferCode::IdAlreadyFailed,
                ];
                assert!(may_be_refused && refusals.contains(&code), "{code} for {transfer:?}");
                self.refused.push(*transfer);
            }
        }
    }

    /// Sends some known transfers again: what was created exists, what was refused stays refused, and another content
    /// is told apart.
    #[track_caller]
    fn retry_known(&mut self, client: &mut Client, random: &mut fastrand::Rng) {
        let pick = |from: &[Transfer], random: &mut fastrand::Rng| -> Vec<Transfer> {
            let count = if from.is_empty() { 0 } else { RETRIES };
            let plain = |transfer: Transfer| Transfer { timestamp: 0, ..transfer };
            (0..count).map(|_| plain(from[random.usize(..from.len())])).collect()
        };
        let created = pick(&self.created, random);
        let other: Vec<_> = created.iter().map(|t| Transfer { amount: t.amount + 1, ..*t }).collect();
        let expected = [
            (created, TransferCode::Exists),
            (other, TransferCode::ExistsWithDifferentAmount),
            (pick(&self.refused, random), TransferCode::IdAlreadyFailed),
        ];
        for (batch, code) in expected {
            for result in if batch.is_empty() { Vec::new() } else { send_again(client, &batch) } {
                assert_eq!(result, Err(code), "for what was sent again");
            }
        }
    }

    #[track_caller]
    fn check_balances(&self, client: &mut Client) {
        let (mut debits, mut credits) = (0, 0);
        for batch in self.accounts.values().collect::<Vec<_>>().chunks(REQUEST_RECORDS_MAX) {
            let ids: Vec<_> = batch.iter().map(|account| account.id).collect();
            let found = client.lookup_accounts(&ids).expect("looked up");
            assert_eq!(found.len(), batch.len(), "every acknowledged account is there");
            for (found, known) in found.iter().zip(batch) {
                let (debits_posted, credits_posted) =
                    self.balances.get(&known.id).copied().unwrap_or_default();
                assert_eq!(*found, Account { debits_posted, credits_posted, ..**known });
                let limited = known.flags & AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS != 0;
                assert!(!limited || debits_posted <= credits_posted, "{found:?} exceeds its limit");
                debits += found.debits_posted;
                credits += found.credits_posted;
            }
        }
        assert_eq!(debits, credits, "debits equal credits");
    }
}

/// Fails unless all these transfers are there as they are known.
#[track_caller]
fn expect_all(client: &mut Client, batch: &[Transfer]) {
    if batch.is_empty() {
        return;
    }
    let ids: Vec<_> = batch.iter().map(|transfer| transfer.id).collect();
    let found = client.lookup_transfers(&ids).expect("looked up");
    assert_eq!(found.len(), batch.len(), "acknowledged transfers are missing");
    for (found, known) in found.iter().zip(batch) {
        assert_eq!(found, known, "an acknowledged transfer has changed");
    }
}

/// Sends a batch that was sent before; the timestamp or the code of each.
#[track_caller]
fn send_again(client: &mut Client, batch: &[Transfer]) -> Vec<Result<u64, TransferCode>> {
    let answer = client.create_transfers(batch).expect("the batch is answered");
    assert!(!answer.retried, "the connection stays");
    let mut results: Vec<_> = (answer.first_timestamp..).take(batch.len()).map(Ok).collect();
    for refusal in answer.refusals {
        results[refusal.index as usize] = Err(TransferCode::from_number(refusal.code).expect("a known code"));
    }
    results
}
