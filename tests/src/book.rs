//! The books that a test keeps of a ledger: what it was told, and whether the server still says the same.

use crate::harness::wait_until;
use crate::load::{Choice, Sent, Told, account, limited_account};
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Client, Error, FaultCode, Filter, FilterFlags, Page, Transfer, TransferCode};
use std::collections::BTreeMap;

/// Older transfers that a check looks at again.
const SAMPLE: usize = 500;
/// Accounts whose history a check looks at.
const HISTORIES: usize = 5;
/// Retries of each kind in a check.
const RETRIES: usize = 200;

/// What an account's transfers come to.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    debits_pending: u128,
    debits_posted: u128,
    credits_pending: u128,
    credits_posted: u128,
}

/// What the clients of one data directory know.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Acknowledged accounts, without balances.
    accounts: BTreeMap<u128, Account>,
    /// Of what is known to be created.
    balances: BTreeMap<u128, Sums>,
    /// Known to be created, pending, and neither posted nor voided.
    pendings: BTreeMap<u128, Transfer>,
    created: Vec<Transfer>,
    /// Transfers of `created` that were looked up since the last restart but one.
    checked: usize,
    refused: Vec<Transfer>,
    /// Sent, never answered, and not there when looked up.
    absent: Vec<Transfer>,
    /// Sent and not resolved.
    unknown: Vec<Transfer>,
    turned_away: usize,
    next_account: u128,
    /// Unanswered transfers that turned out to be created, or not to be.
    pub resolved: (usize, usize),
}

impl Book {
    /// Creates accounts, from an id on, and notes them; every fourth has a limit.
    #[track_caller]
    pub fn open_accounts_from(&mut self, id: u128, client: &mut Client, count: usize) {
        self.next_account = self.next_account.max(id);
        self.open_accounts(client, count);
    }

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

    /// The accounts and open pending transfers, to choose from.
    pub fn choice_of_two_phases(&self) -> Choice {
        Choice { pendings: Some(self.pendings.values().copied().collect()), ..self.choice() }
    }

    /// The accounts, to choose from.
    pub fn choice(&self) -> Choice {
        let limited = |account: &&Account| account.flags & AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS != 0;
        let (limited, open): (Vec<_>, Vec<_>) = self.accounts.values().partition(limited);
        let ids = |accounts: Vec<&Account>| accounts.iter().map(|account| account.id).collect();
        Choice { open: ids(open), limited: ids(limited), pendings: None }
    }

    /// Transfers known to be created.
    pub fn created(&self) -> &[Transfer] {
        &self.created
    }

    /// Transfers known to be refused.
    pub fn refused(&self) -> &[Transfer] {
        &self.refused
    }

    /// Transfers whose whole request was refused.
    pub fn turned_away(&self) -> usize {
        self.turned_away
    }

    /// Pending transfers known to be open.
    pub fn pendings(&self) -> usize {
        self.pendings.len()
    }

    /// Notes what clients sent and were told.
    pub fn note(&mut self, all: Vec<Sent>) {
        for Sent { transfer, told, .. } in all {
            match told {
                Told::Created(timestamp) => self.note_created(Transfer { timestamp, ..transfer }),
                Told::Refused(code) => {
                    let code = TransferCode::from_number(code).expect("a known code");
                    assert!(self.may_be_refused(&transfer, code), "{code} for {transfer:?}");
                    self.refused.push(transfer);
                }
                Told::Nothing => self.unknown.push(transfer),
                Told::TurnedAway(_) => {
                    self.turned_away += 1;
                    self.absent.push(transfer);
                }
            }
        }
    }

    fn note_created(&mut self, transfer: Transfer) {
        type F = TransferFlags;
        let (mut pending, mut posted) = (0, transfer.amount);
        if transfer.flags & F::PENDING != 0 {
            (pending, posted) = (transfer.amount, 0);
            self.pendings.insert(transfer.id, transfer);
        }
        let mut released = 0;
        if transfer.flags & F::RESOLVING != 0 {
            let ended = self.pendings.remove(&transfer.pending_id);
            released = ended.expect("a pending transfer is ended once").amount;
        }
        if transfer.flags & F::VOID_PENDING_TRANSFER != 0 {
            posted = 0;
        }
        let debits = self.balances.entry(transfer.debit_account_id).or_default();
        debits.debits_pending = debits.debits_pending + pending - released;
        debits.debits_posted += posted;
        let credits = self.balances.entry(transfer.credit_account_id).or_default();
        credits.credits_pending = credits.credits_pending + pending - released;
        credits.credits_posted += posted;
        self.created.push(transfer);
    }

    /// Whether a transfer as clients here send them can be refused with a code, at its first try.
    fn may_be_refused(&self, transfer: &Transfer, code: TransferCode) -> bool {
        type C = TransferCode;
        let is_limited =
            self.accounts.get(&transfer.debit_account_id).is_some_and(|account| account.flags != 0);
        match code {
            C::ExceedsCredits => is_limited && transfer.flags & TransferFlags::RESOLVING == 0,
            C::CreditAccountNotFound => transfer.credit_account_id == u128::MAX - 1,
            // Several clients may try to end the same one.
            C::PendingTransferAlreadyPosted | C::PendingTransferAlreadyVoided => {
                transfer.flags & TransferFlags::RESOLVING != 0
            }
            _ => false,
        }
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

    /// Holds history against the books: all transfers of some accounts, in order.
    #[track_caller]
    pub fn check_history(&self, client: &mut Client, random: &mut fastrand::Rng) {
        let accounts: Vec<_> = self.accounts.keys().copied().collect();
        for _ in 0..HISTORIES.min(accounts.len()) {
            let account = accounts[random.usize(..accounts.len())];
            let is_of_it = |t: &&Transfer| [t.debit_account_id, t.credit_account_id].contains(&account);
            let mut known: Vec<_> = self.created.iter().filter(is_of_it).copied().collect();
            known.sort_unstable_by_key(|transfer| transfer.timestamp);
            let flags = FilterFlags::SIDES | FilterFlags::ACKNOWLEDGED;
            let limit = REQUEST_RECORDS_MAX as u32;
            let mut filter = Filter { account_id: account, flags, limit, ..Filter::default() };
            let mut found = Vec::new();
            loop {
                let page = ask_history(client, &filter);
                found.extend(page.records);
                if page.cursor == 0 {
                    break;
                }
                filter = filter.next(page.cursor);
            }
            assert_eq!(found.len(), known.len(), "transfers of account {account} in history");
            assert!(found == known, "history of account {account} is another than what was acknowledged");
        }
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
        match result {
            None => self.absent.push(*transfer),
            Some(Ok(timestamp)) => self.note_created(Transfer { timestamp, ..*transfer }),
            Some(Err(code)) => {
                let failed_before = code == TransferCode::IdAlreadyFailed
                    && [
                        TransferCode::ExceedsCredits,
                        TransferCode::CreditAccountNotFound,
                        TransferCode::PendingTransferAlreadyPosted,
                    ]
                    .into_iter()
                    .any(|code| self.may_be_refused(transfer, code));
                assert!(failed_before || self.may_be_refused(transfer, code), "{code} for {transfer:?}");
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
        let (mut debits, mut credits) = ([0; 2], [0; 2]);
        for batch in self.accounts.values().collect::<Vec<_>>().chunks(REQUEST_RECORDS_MAX) {
            let ids: Vec<_> = batch.iter().map(|account| account.id).collect();
            let found = client.lookup_accounts(&ids).expect("looked up");
            assert_eq!(found.len(), batch.len(), "every acknowledged account is there");
            for (found, known) in found.iter().zip(batch) {
                let Sums { debits_pending, debits_posted, credits_pending, credits_posted } =
                    self.balances.get(&known.id).copied().unwrap_or_default();
                let expected =
                    Account { debits_pending, debits_posted, credits_pending, credits_posted, ..**known };
                assert_eq!(*found, expected);
                let limited = known.flags & AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS != 0;
                assert!(
                    !limited || debits_posted + debits_pending <= credits_posted,
                    "{found:?} exceeds its limit"
                );
                for (sum, part) in debits.iter_mut().zip([debits_posted, debits_pending]) {
                    *sum += part;
                }
                for (sum, part) in credits.iter_mut().zip([credits_posted, credits_pending]) {
                    *sum += part;
                }
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

/// An account's transfers, as soon as history has got to what is acknowledged: until then it refuses, for now.
#[track_caller]
fn ask_history(client: &mut Client, filter: &Filter) -> Page<Transfer> {
    let mut page = None;
    wait_until("history has all that is acknowledged", || {
        match client.account_transfers(filter) {
            Ok(found) => page = Some(found),
            Err(Error::Refused(fault)) if fault.code == FaultCode::HistoryBehind => {}
            Err(error) => panic!("history answers: {error}"),
        }
        page.is_some()
    });
    page.expect("waited for")
}
