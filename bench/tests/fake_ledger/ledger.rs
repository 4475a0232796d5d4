//! The rules: plain transfers, two-phase ones, chains; and the manners in which they are broken.

use super::Manner;
use auriga_wire::record::TransferFlags;
use auriga_wire::{Account, AccountCode, EventResult, Transfer, TransferCode};
use std::collections::HashMap;

/// Which of the things of a kind goes wrong.
const UNLUCKY: u64 = 50;

/// The account that is forgotten, or the last one for which there is room.
const ACCOUNTS_MAX: u64 = 300;

#[derive(Default)]
pub struct Ledger {
    pub manner: Manner,
    pub time: u64,
    pub requests: u64,
    accounts: HashMap<u128, Account>,
    /// By id; without content if the transfer was refused.
    transfers: HashMap<u128, Option<Transfer>>,
    /// Pending transfers that are neither posted nor voided.
    open: HashMap<u128, Transfer>,
    /// Accounts that were asked for and were not there.
    asked: u64,
    created: u64,
    posts: u64,
    voids: u64,
    chains: u64,
    lookups: u64,
    /// Whether money was invented.
    invented: bool,
}

impl Ledger {
    pub fn new(manner: Manner) -> Self {
        Self { manner, ..Self::default() }
    }

    pub fn create_accounts(&mut self, accounts: &[Account]) -> Vec<EventResult> {
        let mut refusals = Vec::new();
        for (index, account) in (0..).zip(accounts) {
            self.time += 1;
            if self.accounts.contains_key(&account.id) {
                refusals.push(EventResult::refused(index, AccountCode::Exists.number()));
                continue;
            }
            self.asked += 1;
            match self.manner {
                Manner::ForgetsAnAccount if self.asked == ACCOUNTS_MAX => continue,
                Manner::FillsUpWithAccounts if self.asked > ACCOUNTS_MAX => {
                    refusals.push(EventResult::refused(index, AccountCode::LimitReached.number()));
                    continue;
                }
                _ => {}
            }
            self.accounts.insert(account.id, Account { timestamp: self.time, ..*account });
        }
        refusals
    }

    pub fn create_transfers(&mut self, transfers: &[Transfer]) -> Vec<EventResult> {
        let mut refusals = Vec::new();
        let mut first = 0;
        for chain in transfers.chunk_by(|one, _| one.flags & TransferFlags::LINKED != 0) {
            let codes = self.create_chain(chain);
            let refused = (first..).zip(codes).filter_map(|(index, code)| Some((index, code?)));
            refusals.extend(refused.map(|(index, code)| EventResult::refused(index, code.number())));
            first += chain.len() as u32;
        }
        refusals
    }

    /// All of the chain or nothing; a transfer alone is a chain of one. The codes of what was refused.
    fn create_chain(&mut self, chain: &[Transfer]) -> Vec<Option<TransferCode>> {
        self.chains += u64::from(chain.len() > 1);
        let unlucky = chain.len() > 1 && self.chains == UNLUCKY;
        let half = match self.manner {
            Manner::AppliesHalfAChain | Manner::RefusesHalfAChain if unlucky => chain.len() / 2,
            _ => 0,
        };
        let sides = chain.iter().flat_map(|transfer| [transfer.debit_account_id, transfer.credit_account_id]);
        let before: Vec<Account> = sides.filter_map(|id| self.accounts.get(&id).copied()).collect();
        let mut codes = Vec::new();
        for (place, transfer) in chain.iter().enumerate() {
            self.time += 1;
            codes.push(match half > 0 && place >= half {
                true => Some(TransferCode::ExceedsCredits),
                false => self.create(transfer),
            });
        }
        let Some(failed) = codes.iter().position(Option::is_some) else {
            return codes;
        };
        for (place, transfer) in chain.iter().enumerate().skip(match self.manner {
            Manner::RefusesHalfAChain => half,
            _ => 0,
        }) {
            self.transfers.insert(transfer.id, None);
            if place != failed {
                codes[place] = Some(TransferCode::LinkedEventFailed);
            }
        }
        if half == 0 {
            // Enough to undo a chain of plain transfers; those of two phases come alone.
            self.accounts.extend(before.into_iter().map(|account| (account.id, account)));
        }
        codes
    }

    fn create(&mut self, transfer: &Transfer) -> Option<TransferCode> {
        if self.transfers.contains_key(&transfer.id) {
            return Some(TransferCode::Exists);
        }
        let mut made = Transfer { timestamp: self.time, ..*transfer };
        let code = match transfer.id.is_multiple_of(10) && self.manner == Manner::RefusesSome {
            true => Some(TransferCode::ExceedsCredits),
            false => self.apply(&made),
        };
        if code.is_some() {
            self.transfers.insert(transfer.id, None);
            return code;
        }
        self.created += 1;
        let unlucky = self.created == 500;
        made.amount += u128::from(unlucky && self.manner == Manner::RewritesATransfer);
        let forgotten = unlucky && self.manner == Manner::ForgetsATransfer;
        self.transfers.insert(transfer.id, (!forgotten).then_some(made));
        None
    }

    fn apply(&mut self, transfer: &Transfer) -> Option<TransferCode> {
        let (debit, credit) = (transfer.debit_account_id, transfer.credit_account_id);
        if !self.accounts.contains_key(&debit) {
            return Some(TransferCode::DebitAccountNotFound);
        }
        if !self.accounts.contains_key(&credit) {
            return Some(TransferCode::CreditAccountNotFound);
        }
        if transfer.flags & TransferFlags::RESOLVING != 0 {
            return self.resolve(transfer);
        }
        if transfer.flags & TransferFlags::PENDING != 0 {
            self.open.insert(transfer.id, *transfer);
            self.reserve(debit, credit, transfer.amount);
            return None;
        }
        // The first that is posted at once, whichever kind of transfer the 500th is.
        let invents = self.manner == Manner::InventsMoney && self.created + 1 >= 500 && !self.invented;
        self.invented |= invents;
        self.accounts.entry(debit).and_modify(|account| account.debits_posted += transfer.amount);
        let credited = transfer.amount + u128::from(invents);
        self.accounts.entry(credit).and_modify(|account| account.credits_posted += credited);
        None
    }

    fn reserve(&mut self, debit: u128, credit: u128, amount: u128) {
        self.accounts.entry(debit).and_modify(|account| account.debits_pending += amount);
        self.accounts.entry(credit).and_modify(|account| account.credits_pending += amount);
    }

    fn resolve(&mut self, transfer: &Transfer) -> Option<TransferCode> {
        let posts = transfer.flags & TransferFlags::POST_PENDING_TRANSFER != 0;
        self.posts += u64::from(posts);
        self.voids += u64::from(!posts);
        match self.manner {
            Manner::DeniesAPending if posts && self.posts == UNLUCKY => {
                return Some(TransferCode::PendingTransferNotFound);
            }
            Manner::LosesAPost if posts && self.posts == UNLUCKY => return None,
            Manner::ForgetsAVoid if !posts && self.voids == UNLUCKY => return None,
            _ => {}
        }
        let Some(pending) = self.open.remove(&transfer.pending_id) else {
            return Some(TransferCode::PendingTransferNotFound);
        };
        let Transfer { debit_account_id, credit_account_id, amount, .. } = pending;
        self.accounts.entry(debit_account_id).and_modify(|account| account.debits_pending -= amount);
        self.accounts.entry(credit_account_id).and_modify(|account| account.credits_pending -= amount);
        if posts {
            let posted = transfer.amount;
            self.accounts.entry(debit_account_id).and_modify(|account| account.debits_posted += posted);
            self.accounts.entry(credit_account_id).and_modify(|account| account.credits_posted += posted);
        }
        None
    }

    pub fn look_accounts_up(&self, ids: &[u128]) -> Vec<Account> {
        ids.iter().filter_map(|id| self.accounts.get(id).copied()).collect()
    }

    pub fn look_transfers_up(&mut self, ids: &[u128]) -> Vec<Transfer> {
        self.lookups += 1;
        let mut found: Vec<Transfer> =
            ids.iter().filter_map(|id| self.transfers.get(id).copied().flatten()).collect();
        if self.manner == Manner::LooksUpWrongOnce && self.lookups == 1 {
            found[0].amount += 1;
        }
        found
    }
}
