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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was created; the record has the timestamp that it got.
    Created(Transfer),
    /// It was refused for a reason that a look at the ledger gave; the id stays burnt.
    Refused,
}

/// The whole ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    accounts: BTreeMap<u128, Account>,
    ids: BTreeMap<u128, Outcome>,
}

impl Model {
    /// Executes a request to create accounts; event i has the timestamp `first_timestamp` + i (nanoseconds).
    /// One answer per event: `None` for created.
    pub fn create_accounts(
        &mut self,
        first_timestamp: u64,
        accounts: &[Account],
    ) -> Vec<Option<AccountCode>> {
        (first_timestamp..)
            .zip(accounts)
            .map(|(timestamp, account)| self.create_account(timestamp, account).err())
            .collect()
    }

    /// Executes a request to create transfers; event i has the timestamp `first_timestamp` + i (nanoseconds).
    /// One answer per event: `None` for created.
    pub fn create_transfers(
        &mut self,
        first_timestamp: u64,
        transfers: &[Transfer],
    ) -> Vec<Option<TransferCode>> {
        (first_timestamp..)
            .zip(transfers)
            .map(|(timestamp, transfer)| self.create_transfer(timestamp, transfer).err())
            .collect()
    }

    /// Every account by its id, with its balances and the timestamp of its creation.
    pub fn accounts(&self) -> &BTreeMap<u128, Account> {
        &self.accounts
    }

    /// Every consumed transfer id with what became of it.
    pub fn ids(&self) -> &BTreeMap<u128, Outcome> {
        &self.ids
    }

    /// The created transfer with this id, with its timestamp.
    pub fn transfer(&self, id: u128) -> Option<&Transfer> {
        match self.ids.get(&id) {
            Some(Outcome::Created(transfer)) => Some(transfer),
            Some(Outcome::Refused) | None => None,
        }
    }

    /// A refused account leaves no trace.
    fn create_account(&mut self, timestamp: u64, account: &Account) -> Result<(), AccountCode> {
        check_account_envelope(account)?;
        if let Some(original) = self.accounts.get(&account.id) {
            return Err(compare_accounts(original, account));
        }
        check_account_fields(account)?;
        self.accounts.insert(account.id, Account { timestamp, ..*account });
        Ok(())
    }

    fn create_transfer(&mut self, timestamp: u64, transfer: &Transfer) -> Result<(), TransferCode> {
        check_transfer_envelope(transfer)?;
        match self.ids.get(&transfer.id) {
            Some(Outcome::Created(original)) => return Err(compare_transfers(original, transfer)),
            Some(Outcome::Refused) => return Err(TransferCode::IdAlreadyFailed),
            None => {}
        }
        check_transfer_fields(transfer)?;

        // From here on the answer depends on the ledger, and the id is consumed whatever it is.
        let result = self.move_money(transfer);
        let outcome = match result {
            Ok(()) => Outcome::Created(Transfer { timestamp, ..*transfer }),
            Err(_) => Outcome::Refused,
        };
        self.ids.insert(transfer.id, outcome);
        result
    }

    /// Adds the amount to the debits of one account and the credits of the other, or changes nothing.
    fn move_money(&mut self, transfer: &Transfer) -> Result<(), TransferCode> {
        let Some(debit) = self.accounts.get(&transfer.debit_account_id).copied() else {
            return Err(TransferCode::DebitAccountNotFound);
        };
        let Some(credit) = self.accounts.get(&transfer.credit_account_id).copied() else {
            return Err(TransferCode::CreditAccountNotFound);
        };
        if debit.ledger != credit.ledger {
            return Err(TransferCode::AccountsMustHaveTheSameLedger);
        }
        if transfer.ledger != debit.ledger {
            return Err(TransferCode::TransferMustHaveTheSameLedgerAsAccounts);
        }
        let Some(debits_posted) = debit.debits_posted.checked_add(transfer.amount) else {
            return Err(TransferCode::OverflowsDebitsPosted);
        };
        let Some(credits_posted) = credit.credits_posted.checked_add(transfer.amount) else {
            return Err(TransferCode::OverflowsCreditsPosted);
        };
        if debit.flags & AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS != 0
            && exceeds(debit.debits_pending, debits_posted, debit.credits_posted)
        {
            return Err(TransferCode::ExceedsCredits);
        }
        if credit.flags & AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS != 0
            && exceeds(credit.credits_pending, credits_posted, credit.debits_posted)
        {
            return Err(TransferCode::ExceedsDebits);
        }
        // The two accounts differ (checked with the fields), so neither insertion undoes the other.
        let debit = Account { debits_posted, ..debit };
        let credit = Account { credits_posted, ..credit };
        self.accounts.insert(debit.id, debit);
        self.accounts.insert(credit.id, credit);
        Ok(())
    }
}

/// Whether pending + posted is more than the limit. A sum that does not fit 128 bits is more than any limit.
fn exceeds(pending: u128, posted: u128, limit: u128) -> bool {
    pending.checked_add(posted).is_none_or(|sum| sum > limit)
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
    if account.flags & !AccountFlags::LIMITS != 0 {
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
    if account.flags != original.flags {
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
    if transfer.flags != 0 {
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
    if transfer.timeout != 0 {
        return Err(TransferCode::TimeoutReservedForPendingTransfer);
    }
    if transfer.ledger == 0 {
        return Err(TransferCode::LedgerMustNotBeZero);
    }
    if transfer.code == 0 {
        return Err(TransferCode::CodeMustNotBeZero);
    }
    Ok(())
}
