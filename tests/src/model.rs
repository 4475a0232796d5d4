//! The reference model: what every log means, written to be read in one sitting.
//!
//! One thread, one map of accounts, one event after another in position order. Results and final state of the engine
//! must be byte-identical to the model's, whatever the number of shards. It is an independent witness: it shares the
//! record types and the code enums with the engine and nothing else, and the precedence of the codes is the order of
//! the `if`s below. It never tries to be fast.

use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};
use std::collections::BTreeMap;

/// What became of the transfer that consumed an id.
#[expect(clippy::large_enum_variant, reason = "a model is small")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was created.
    Created {
        /// As it was sent.
        asked: Transfer,
        /// As it was executed: with its timestamp, the amount that was moved, and what a post or void takes over from
        /// the pending transfer.
        done: Transfer,
    },
    /// It was refused for a reason that a look at the ledger gave, or belonged to a chain that was; the id stays burnt.
    Refused,
}

/// What became of a pending transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing yet.
    Pending,
    /// Its amount or a part of it was posted.
    Posted,
    /// It was voided.
    Voided,
    /// Its time ran out.
    Expired,
}

/// What an epoch's cut says, as far as answers hang on it. Times in nanoseconds, compared in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Ids older than this are forgotten; 0 if none is.
    pub horizon: u64,
    /// Ids later than this are in the future; `u64::MAX` if ids have no time.
    pub ids_through: u64,
    /// Accounts are at their limit.
    pub accounts_limited: bool,
    /// Transfer ids are at their limit.
    pub ids_limited: bool,
    /// Pending transfers are at their limit.
    pub pendings_limited: bool,
}

impl Default for Terms {
    /// Nothing is refused.
    fn default() -> Self {
        Self {
            horizon: 0,
            ids_through: u64::MAX,
            accounts_limited: false,
            ids_limited: false,
            pendings_limited: false,
        }
    }
}

impl Terms {
    /// Whether nothing is known of this id any more.
    pub fn is_forgotten(&self, id: u128) -> bool {
        id_time(id) < u128::from(self.horizon.div_ceil(1_000_000))
    }

    fn is_ahead(&self, id: u128) -> bool {
        self.ids_through != u64::MAX && id_time(id) > u128::from(self.ids_through / 1_000_000)
    }
}

/// The whole ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// Of the epoch whose requests are executed. Ids that are forgotten stay in `ids`: nothing asks for them any more.
    pub terms: Terms,
    accounts: BTreeMap<u128, Account>,
    ids: BTreeMap<u128, Outcome>,
    /// Every created pending transfer.
    pendings: BTreeMap<u128, Status>,
}

impl Model {
    /// Executes a request to create accounts; event i has the timestamp `first_timestamp` + i (nanoseconds).
    /// One answer per event: `None` for created.
    pub fn create_accounts(
        &mut self,
        first_timestamp: u64,
        accounts: &[Account],
    ) -> Vec<Option<AccountCode>> {
        let mut codes = Vec::new();
        for chain in accounts.chunk_by(|account, _| account.flags & AccountFlags::LINKED != 0) {
            self.create_account_chain(first_timestamp + codes.len() as u64, chain, &mut codes);
        }
        codes
    }

    /// Executes a request to create transfers; event i has the timestamp `first_timestamp` + i (nanoseconds).
    /// One answer per event: `None` for created.
    pub fn create_transfers(
        &mut self,
        first_timestamp: u64,
        transfers: &[Transfer],
    ) -> Vec<Option<TransferCode>> {
        let mut codes = Vec::new();
        for chain in transfers.chunk_by(|transfer, _| transfer.flags & TransferFlags::LINKED != 0) {
            self.create_transfer_chain(first_timestamp + codes.len() as u64, chain, &mut codes);
        }
        codes
    }

    /// Executes the end of an epoch: releases what every pending transfer with a deadline up to `through` (nanoseconds)
    /// still reserves.
    pub fn expire(&mut self, through: u64) {
        let pending: Vec<u128> = self
            .pendings
            .iter()
            .filter(|(_, status)| **status == Status::Pending)
            .map(|(id, _)| *id)
            .collect();
        for id in pending {
            let transfer = *self.transfer(id).expect("a pending transfer was created");
            if deadline(&transfer).is_some_and(|deadline| deadline <= through) {
                self.release(&transfer, 0);
                self.reopen(&transfer);
                self.pendings.insert(id, Status::Expired);
            }
        }
    }

    /// Every account by its id, with its balances and the timestamp of its creation.
    pub fn accounts(&self) -> &BTreeMap<u128, Account> {
        &self.accounts
    }

    /// Every consumed transfer id with what became of it.
    pub fn ids(&self) -> &BTreeMap<u128, Outcome> {
        &self.ids
    }

    /// Every created pending transfer with what became of it.
    pub fn pendings(&self) -> &BTreeMap<u128, Status> {
        &self.pendings
    }

    /// The created transfer with this id, as it was executed.
    pub fn transfer(&self, id: u128) -> Option<&Transfer> {
        match self.ids.get(&id) {
            Some(Outcome::Created { done, .. }) => Some(done),
            Some(Outcome::Refused) | None => None,
        }
    }

    /// All or none. A single account is a chain of one.
    fn create_account_chain(
        &mut self,
        first_timestamp: u64,
        chain: &[Account],
        codes: &mut Vec<Option<AccountCode>>,
    ) {
        let before = self.accounts.clone();
        let malformed = chain
            .iter()
            .position(|account| self.check_account(account).and(check_account_fields(account)).is_err());
        let failed = chain.iter().enumerate().skip(malformed.unwrap_or(0)).find_map(|(i, account)| {
            self.create_account(first_timestamp + i as u64, account).err().map(|code| (i, code))
        });
        codes.extend(chain.iter().map(|_| failed.map(|_| AccountCode::LinkedEventFailed)));
        if let Some((i, code)) = failed {
            self.accounts = before;
            let place = codes.len() - chain.len() + i;
            codes[place] = Some(code);
        }
    }

    /// What is wrong with the account before its id is looked up.
    fn check_account(&self, account: &Account) -> Result<(), AccountCode> {
        check_account_envelope(account)?;
        if self.terms.accounts_limited {
            return Err(AccountCode::LimitReached);
        }
        Ok(())
    }

    /// What is wrong with the transfer before its id is looked up.
    fn check_transfer(&self, transfer: &Transfer) -> Result<(), TransferCode> {
        check_transfer_envelope(transfer)?;
        if self.terms.is_forgotten(transfer.id) {
            return Err(TransferCode::IdExpired);
        }
        if self.terms.is_ahead(transfer.id) {
            return Err(TransferCode::IdInTheFuture);
        }
        let is_pending = transfer.flags & TransferFlags::PENDING != 0;
        if self.terms.ids_limited || is_pending && self.terms.pendings_limited {
            return Err(TransferCode::LimitReached);
        }
        Ok(())
    }

    /// A refused account leaves no trace.
    fn create_account(&mut self, timestamp: u64, account: &Account) -> Result<(), AccountCode> {
        self.check_account(account)?;
        if let Some(original) = self.accounts.get(&account.id) {
            return Err(compare_accounts(original, account));
        }
        check_account_fields(account)?;
        self.accounts.insert(account.id, Account { timestamp, ..*account });
        Ok(())
    }

    /// All or none; if none, all ids are burnt together. A malformed member fails its chain before anything is looked
    /// at, and burns nothing. A single transfer is a chain of one.
    fn create_transfer_chain(
        &mut self,
        first_timestamp: u64,
        chain: &[Transfer],
        codes: &mut Vec<Option<TransferCode>>,
    ) {
        let (accounts, pendings) = (self.accounts.clone(), self.pendings.clone());
        let new_ids: Vec<u128> =
            chain.iter().map(|transfer| transfer.id).filter(|id| !self.ids.contains_key(id)).collect();
        let malformed = chain
            .iter()
            .position(|transfer| self.check_transfer(transfer).and(check_transfer_fields(transfer)).is_err());
        let failed = chain.iter().enumerate().skip(malformed.unwrap_or(0)).find_map(|(i, transfer)| {
            self.create_transfer(first_timestamp + i as u64, transfer).err().map(|code| (i, code))
        });
        codes.extend(chain.iter().map(|_| failed.map(|_| TransferCode::LinkedEventFailed)));
        if let Some((i, code)) = failed {
            (self.accounts, self.pendings) = (accounts, pendings);
            let place = codes.len() - chain.len() + i;
            codes[place] = Some(code);
            if malformed.is_none() {
                self.ids.extend(new_ids.into_iter().map(|id| (id, Outcome::Refused)));
            }
        }
    }

    fn create_transfer(&mut self, timestamp: u64, transfer: &Transfer) -> Result<(), TransferCode> {
        self.check_transfer(transfer)?;
        match self.ids.get(&transfer.id) {
            Some(Outcome::Created { asked, .. }) => return Err(compare_transfers(asked, transfer)),
            Some(Outcome::Refused) => return Err(TransferCode::IdAlreadyFailed),
            None => {}
        }
        check_transfer_fields(transfer)?;

        // From here on the answer depends on the ledger, and the id is consumed whatever it is.
        let done = if transfer.flags & RESOLVING != 0 {
            self.resolve(timestamp, transfer)
        } else {
            self.move_money(timestamp, transfer)
        };
        let outcome = match done {
            Ok(done) => Outcome::Created { asked: *transfer, done },
            Err(_) => Outcome::Refused,
        };
        self.ids.insert(transfer.id, outcome);
        done.map(|_| ())
    }

    /// Adds the amount to the debits of one account and the credits of the other, or changes nothing.
    fn move_money(&mut self, timestamp: u64, transfer: &Transfer) -> Result<Transfer, TransferCode> {
        let Some(mut debit) = self.accounts.get(&transfer.debit_account_id).copied() else {
            return Err(TransferCode::DebitAccountNotFound);
        };
        let Some(mut credit) = self.accounts.get(&transfer.credit_account_id).copied() else {
            return Err(TransferCode::CreditAccountNotFound);
        };
        if debit.ledger != credit.ledger {
            return Err(TransferCode::AccountsMustHaveTheSameLedger);
        }
        if transfer.ledger != debit.ledger {
            return Err(TransferCode::TransferMustHaveTheSameLedgerAsAccounts);
        }
        if debit.flags & AccountFlags::CLOSED != 0 {
            return Err(TransferCode::DebitAccountAlreadyClosed);
        }
        if credit.flags & AccountFlags::CLOSED != 0 {
            return Err(TransferCode::CreditAccountAlreadyClosed);
        }

        // Both sums of an account together always fit 128 bits: a transfer after which they would not is refused.
        let (debits, credits) =
            (debit.debits_pending + debit.debits_posted, credit.credits_pending + credit.credits_posted);
        let mut amount = transfer.amount;
        if transfer.flags & TransferFlags::BALANCING_DEBIT != 0 {
            amount = amount.min(debit.credits_posted.saturating_sub(debits));
        }
        if transfer.flags & TransferFlags::BALANCING_CREDIT != 0 {
            amount = amount.min(credit.debits_posted.saturating_sub(credits));
        }
        let is_pending = transfer.flags & TransferFlags::PENDING != 0;
        let overflows = |sum: u128| sum.checked_add(amount).is_none();
        if is_pending && overflows(debit.debits_pending) {
            return Err(TransferCode::OverflowsDebitsPending);
        }
        if is_pending && overflows(credit.credits_pending) {
            return Err(TransferCode::OverflowsCreditsPending);
        }
        if overflows(debit.debits_posted) {
            return Err(TransferCode::OverflowsDebitsPosted);
        }
        if overflows(credit.credits_posted) {
            return Err(TransferCode::OverflowsCreditsPosted);
        }
        if overflows(debits) {
            return Err(TransferCode::OverflowsDebits);
        }
        if overflows(credits) {
            return Err(TransferCode::OverflowsCredits);
        }
        let done = Transfer { timestamp, amount, ..*transfer };
        if deadline(&done).is_some_and(|deadline| deadline > TIME_MAX) {
            return Err(TransferCode::OverflowsTimeout);
        }
        if debit.flags & AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS != 0
            && debits + amount > debit.credits_posted
        {
            return Err(TransferCode::ExceedsCredits);
        }
        if credit.flags & AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS != 0
            && credits + amount > credit.debits_posted
        {
            return Err(TransferCode::ExceedsDebits);
        }

        if is_pending {
            debit.debits_pending += amount;
            credit.credits_pending += amount;
            self.pendings.insert(transfer.id, Status::Pending);
        } else {
            debit.debits_posted += amount;
            credit.credits_posted += amount;
        }
        if transfer.flags & TransferFlags::CLOSING_DEBIT != 0 {
            debit.flags |= AccountFlags::CLOSED;
        }
        if transfer.flags & TransferFlags::CLOSING_CREDIT != 0 {
            credit.flags |= AccountFlags::CLOSED;
        }
        // The two accounts differ (checked with the fields), so neither insertion undoes the other.
        self.accounts.insert(debit.id, debit);
        self.accounts.insert(credit.id, credit);
        Ok(done)
    }

    /// Posts or voids a pending transfer.
    fn resolve(&mut self, timestamp: u64, transfer: &Transfer) -> Result<Transfer, TransferCode> {
        let is_void = transfer.flags & TransferFlags::VOID_PENDING_TRANSFER != 0;
        let is_open = self.pendings.get(&transfer.pending_id) == Some(&Status::Pending);
        if !is_open && self.terms.is_forgotten(transfer.pending_id) {
            return Err(TransferCode::PendingIdExpired);
        }
        let Some(pending) = self.transfer(transfer.pending_id).copied() else {
            return Err(TransferCode::PendingTransferNotFound);
        };
        match self.pendings.get(&pending.id) {
            None => return Err(TransferCode::PendingTransferNotPending),
            Some(Status::Posted) => return Err(TransferCode::PendingTransferAlreadyPosted),
            Some(Status::Voided) => return Err(TransferCode::PendingTransferAlreadyVoided),
            Some(Status::Expired) => return Err(TransferCode::PendingTransferExpired),
            Some(Status::Pending) => {}
        }
        if deadline(&pending).is_some_and(|deadline| deadline <= timestamp) {
            return Err(TransferCode::PendingTransferExpired);
        }
        // A field that is 0 is taken over; user data may differ.
        if transfer.debit_account_id != 0 && transfer.debit_account_id != pending.debit_account_id {
            return Err(TransferCode::PendingTransferHasDifferentDebitAccountId);
        }
        if transfer.credit_account_id != 0 && transfer.credit_account_id != pending.credit_account_id {
            return Err(TransferCode::PendingTransferHasDifferentCreditAccountId);
        }
        if transfer.ledger != 0 && transfer.ledger != pending.ledger {
            return Err(TransferCode::PendingTransferHasDifferentLedger);
        }
        if transfer.code != 0 && transfer.code != pending.code {
            return Err(TransferCode::PendingTransferHasDifferentCode);
        }
        let all = if is_void { 0 } else { u128::MAX };
        let amount = if transfer.amount == all { pending.amount } else { transfer.amount };
        if amount > pending.amount {
            return Err(TransferCode::ExceedsPendingTransferAmount);
        }
        if is_void && amount < pending.amount {
            return Err(TransferCode::PendingTransferHasDifferentAmount);
        }
        if !is_void && self.accounts[&pending.debit_account_id].flags & AccountFlags::CLOSED != 0 {
            return Err(TransferCode::DebitAccountAlreadyClosed);
        }
        if !is_void && self.accounts[&pending.credit_account_id].flags & AccountFlags::CLOSED != 0 {
            return Err(TransferCode::CreditAccountAlreadyClosed);
        }

        if is_void {
            self.release(&pending, 0);
            self.reopen(&pending);
            self.pendings.insert(pending.id, Status::Voided);
        } else {
            self.release(&pending, amount);
            self.pendings.insert(pending.id, Status::Posted);
        }
        Ok(Transfer {
            timestamp,
            amount,
            debit_account_id: pending.debit_account_id,
            credit_account_id: pending.credit_account_id,
            user_data_128: or_else(transfer.user_data_128, pending.user_data_128),
            user_data_64: or_else(transfer.user_data_64, pending.user_data_64),
            user_data_32: or_else(transfer.user_data_32, pending.user_data_32),
            ledger: pending.ledger,
            code: pending.code,
            ..*transfer
        })
    }

    /// Takes a pending transfer's amount from the pending sums and adds `posted` to the posted ones.
    fn release(&mut self, pending: &Transfer, posted: u128) {
        let debit = self.accounts.get_mut(&pending.debit_account_id).expect("accounts stay");
        debit.debits_pending -= pending.amount;
        debit.debits_posted += posted;
        let credit = self.accounts.get_mut(&pending.credit_account_id).expect("accounts stay");
        credit.credits_pending -= pending.amount;
        credit.credits_posted += posted;
    }

    /// Opens the accounts that a pending transfer had closed.
    fn reopen(&mut self, pending: &Transfer) {
        if pending.flags & TransferFlags::CLOSING_DEBIT != 0 {
            let debit = self.accounts.get_mut(&pending.debit_account_id).expect("accounts stay");
            debit.flags &= !AccountFlags::CLOSED;
        }
        if pending.flags & TransferFlags::CLOSING_CREDIT != 0 {
            let credit = self.accounts.get_mut(&pending.credit_account_id).expect("accounts stay");
            credit.flags &= !AccountFlags::CLOSED;
        }
    }
}

/// Flags of a transfer that ends a pending one.
const RESOLVING: u16 = TransferFlags::POST_PENDING_TRANSFER | TransferFlags::VOID_PENDING_TRANSFER;
/// The last moment, nanoseconds.
const TIME_MAX: u64 = i64::MAX as u64;

/// The time of a time-ordered id, milliseconds.
fn id_time(id: u128) -> u128 {
    id >> 80
}

/// The moment from which a created transfer can't be posted or voided any more, if there is one, nanoseconds.
fn deadline(transfer: &Transfer) -> Option<u64> {
    (transfer.timeout != 0)
        .then(|| transfer.timestamp.saturating_add(u64::from(transfer.timeout) * 1_000_000_000))
}

/// A value, or the other if it is 0.
fn or_else<T: Default + PartialEq>(value: T, other: T) -> T {
    if value == T::default() { other } else { value }
}

/// What is wrong with the account before its id is looked up.
fn check_account_envelope(account: &Account) -> Result<(), AccountCode> {
    if account.timestamp != 0 {
        return Err(AccountCode::TimestampMustBeZero);
    }
    if account.reserved != 0 {
        return Err(AccountCode::ReservedField);
    }
    if account.flags & !AccountFlags::KNOWN != 0 {
        return Err(AccountCode::ReservedFlag);
    }
    if account.flags & AccountFlags::IMPORTED != 0 {
        return Err(AccountCode::FlagNotSupportedYet);
    }
    if account.id == 0 {
        return Err(AccountCode::IdMustNotBeZero);
    }
    if account.id == u128::MAX {
        return Err(AccountCode::IdMustNotBeIntMax);
    }
    Ok(())
}

/// The answer to an account whose id exists.
fn compare_accounts(original: &Account, account: &Account) -> AccountCode {
    // Whether it is closed may have changed since it was created.
    if (account.flags ^ original.flags) & !AccountFlags::CLOSED != 0 {
        return AccountCode::ExistsWithDifferentFlags;
    }
    if account.user_data_128 != original.user_data_128 {
        return AccountCode::ExistsWithDifferentUserData128;
    }
    if account.user_data_64 != original.user_data_64 {
        return AccountCode::ExistsWithDifferentUserData64;
    }
    if account.user_data_32 != original.user_data_32 {
        return AccountCode::ExistsWithDifferentUserData32;
    }
    if account.ledger != original.ledger {
        return AccountCode::ExistsWithDifferentLedger;
    }
    if account.code != original.code {
        return AccountCode::ExistsWithDifferentCode;
    }
    AccountCode::Exists
}

/// What is wrong with an account whose id is new.
fn check_account_fields(account: &Account) -> Result<(), AccountCode> {
    if account.flags & AccountFlags::LIMITS == AccountFlags::LIMITS {
        return Err(AccountCode::FlagsAreMutuallyExclusive);
    }
    if account.debits_pending != 0 {
        return Err(AccountCode::DebitsPendingMustBeZero);
    }
    if account.debits_posted != 0 {
        return Err(AccountCode::DebitsPostedMustBeZero);
    }
    if account.credits_pending != 0 {
        return Err(AccountCode::CreditsPendingMustBeZero);
    }
    if account.credits_posted != 0 {
        return Err(AccountCode::CreditsPostedMustBeZero);
    }
    if account.ledger == 0 {
        return Err(AccountCode::LedgerMustNotBeZero);
    }
    if account.code == 0 {
        return Err(AccountCode::CodeMustNotBeZero);
    }
    Ok(())
}

/// What is wrong with the transfer before its id is looked up.
fn check_transfer_envelope(transfer: &Transfer) -> Result<(), TransferCode> {
    if transfer.timestamp != 0 {
        return Err(TransferCode::TimestampMustBeZero);
    }
    if transfer.flags & !TransferFlags::KNOWN != 0 {
        return Err(TransferCode::ReservedFlag);
    }
    if transfer.flags & TransferFlags::IMPORTED != 0 {
        return Err(TransferCode::FlagNotSupportedYet);
    }
    if transfer.id == 0 {
        return Err(TransferCode::IdMustNotBeZero);
    }
    if transfer.id == u128::MAX {
        return Err(TransferCode::IdMustNotBeIntMax);
    }
    Ok(())
}

/// The answer to a transfer whose id belongs to one that was created, well-formed or not.
fn compare_transfers(original: &Transfer, transfer: &Transfer) -> TransferCode {
    if transfer.flags != original.flags {
        return TransferCode::ExistsWithDifferentFlags;
    }
    if transfer.pending_id != original.pending_id {
        return TransferCode::ExistsWithDifferentPendingId;
    }
    if transfer.timeout != original.timeout {
        return TransferCode::ExistsWithDifferentTimeout;
    }
    if transfer.debit_account_id != original.debit_account_id {
        return TransferCode::ExistsWithDifferentDebitAccountId;
    }
    if transfer.credit_account_id != original.credit_account_id {
        return TransferCode::ExistsWithDifferentCreditAccountId;
    }
    if transfer.amount != original.amount {
        return TransferCode::ExistsWithDifferentAmount;
    }
    if transfer.user_data_128 != original.user_data_128 {
        return TransferCode::ExistsWithDifferentUserData128;
    }
    if transfer.user_data_64 != original.user_data_64 {
        return TransferCode::ExistsWithDifferentUserData64;
    }
    if transfer.user_data_32 != original.user_data_32 {
        return TransferCode::ExistsWithDifferentUserData32;
    }
    if transfer.ledger != original.ledger {
        return TransferCode::ExistsWithDifferentLedger;
    }
    if transfer.code != original.code {
        return TransferCode::ExistsWithDifferentCode;
    }
    TransferCode::Exists
}

/// What is wrong with a transfer whose id is new. Such a transfer leaves its id free.
fn check_transfer_fields(transfer: &Transfer) -> Result<(), TransferCode> {
    const CLOSING: u16 = TransferFlags::CLOSING_DEBIT | TransferFlags::CLOSING_CREDIT;
    const BALANCING: u16 = TransferFlags::BALANCING_DEBIT | TransferFlags::BALANCING_CREDIT;
    let resolving = transfer.flags & RESOLVING;
    if resolving != 0 {
        if resolving == RESOLVING || transfer.flags & (TransferFlags::PENDING | BALANCING | CLOSING) != 0 {
            return Err(TransferCode::FlagsAreMutuallyExclusive);
        }
        if transfer.pending_id == 0 {
            return Err(TransferCode::PendingIdMustNotBeZero);
        }
        if transfer.pending_id == u128::MAX {
            return Err(TransferCode::PendingIdMustNotBeIntMax);
        }
        if transfer.pending_id == transfer.id {
            return Err(TransferCode::PendingIdMustBeDifferent);
        }
        if transfer.timeout != 0 {
            return Err(TransferCode::TimeoutReservedForPendingTransfer);
        }
        return Ok(());
    }
    if transfer.debit_account_id == 0 {
        return Err(TransferCode::DebitAccountIdMustNotBeZero);
    }
    if transfer.debit_account_id == u128::MAX {
        return Err(TransferCode::DebitAccountIdMustNotBeIntMax);
    }
    if transfer.credit_account_id == 0 {
        return Err(TransferCode::CreditAccountIdMustNotBeZero);
    }
    if transfer.credit_account_id == u128::MAX {
        return Err(TransferCode::CreditAccountIdMustNotBeIntMax);
    }
    if transfer.debit_account_id == transfer.credit_account_id {
        return Err(TransferCode::AccountsMustBeDifferent);
    }
    if transfer.pending_id != 0 {
        return Err(TransferCode::PendingIdMustBeZero);
    }
    if transfer.flags & TransferFlags::PENDING == 0 && transfer.timeout != 0 {
        return Err(TransferCode::TimeoutReservedForPendingTransfer);
    }
    if transfer.flags & TransferFlags::PENDING == 0 && transfer.flags & CLOSING != 0 {
        return Err(TransferCode::ClosingTransferMustBePending);
    }
    if transfer.ledger == 0 {
        return Err(TransferCode::LedgerMustNotBeZero);
    }
    if transfer.code == 0 {
        return Err(TransferCode::CodeMustNotBeZero);
    }
    Ok(())
}
