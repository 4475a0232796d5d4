//! What concerns pending transfers, chains, balancing and closing, as it occurs in random logs.

use crate::model::{Outcome, Status};
use crate::random_log_faults::{BALANCING, CLAIMS, CLOSING};
use crate::random_log_witness::{Before, Witness};
use crate::random_log_writer::{SECOND, allowance};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};
use std::collections::{BTreeMap, BTreeSet};

/// What a log that is not plain is for, beyond the codes.
pub(crate) const KIND_SITUATIONS: [&str; 61] = [
    "pending created",
    "pending with a timeout created",
    "posted in the epoch of the pending one",
    "posted in a later epoch",
    "voided in the epoch of the pending one",
    "voided in a later epoch",
    "posted in part",
    "posted zero",
    "posted all by the largest amount",
    "voided by its amount",
    "claim with fields spelled out",
    "claim with fields of zero",
    "second claim in the epoch of the first",
    "second claim in a later epoch",
    "claim on a refused one",
    "claim on a missing one",
    "claim on one of a failed chain",
    "claim on one that is due and not expired yet",
    "claim on one that has expired",
    "claim just before the deadline",
    "claim just after the deadline",
    "expired at the end of an epoch",
    "due at the end of an epoch and not expired",
    "room used that the epoch has released",
    "room missing before the epoch releases it",
    "chain created",
    "chain of more than six created",
    "chain with a pending and its claim created",
    "chain created that spends what it brings",
    "chain failed at its first member",
    "chain failed in the middle",
    "chain failed at its last member",
    "chain failed for money",
    "chain failed for an account",
    "chain failed for a pending transfer",
    "chain failed for a duplicate",
    "chain failed for a duplicate within",
    "chain failed for a malformed member",
    "chain failed after a claim",
    "claimed after a failed chain had claimed it",
    "member of a created chain again",
    "member of a failed chain again",
    "account chain created",
    "account chain failed",
    "account of a failed chain created singly",
    "account of a failed chain missed",
    "account of a chain of the epoch used",
    "balanced to zero",
    "balanced to less",
    "balanced and all moved",
    "balanced on both sides",
    "balancing transfer posted",
    "account closed",
    "account created closed",
    "transfer on an account closed in the epoch",
    "transfer on an account closed before the epoch",
    "post on a closed account",
    "void on a closed account",
    "reopened by a void",
    "reopened by expiry",
    "transfer on an account reopened in the epoch",
];

/// How near to a deadline something comes that an error of some events would put on its other side, nanoseconds.
const NEAR: u64 = 1_000;

/// What was seen of a log so far.
#[derive(Default)]
pub(crate) struct KindsSeen {
    /// Pending transfers that were claimed, and in which epoch.
    claimed: BTreeMap<u128, usize>,
    claimed_by_failed_chain: BTreeSet<u128>,
    of_created_chain: BTreeSet<u128>,
    of_failed_chain: BTreeSet<u128>,
    pub(crate) accounts_of_failed_chain: BTreeSet<u128>,
    /// In this epoch.
    accounts_of_chain: BTreeSet<u128>,
    closed: BTreeSet<u128>,
    reopened: BTreeSet<u128>,
    /// What this epoch has released, by account and side (credit side: true).
    released: BTreeMap<(u128, bool), u128>,
    /// Accounts and sides that lacked money in this epoch before anything was released.
    lacking: BTreeSet<(u128, bool)>,
}

impl KindsSeen {
    pub(crate) fn begin_epoch(&mut self) {
        self.accounts_of_chain.clear();
        self.closed.clear();
        self.reopened.clear();
        self.released.clear();
        self.lacking.clear();
    }
}

impl Witness {
    pub(crate) fn watch_kind(&mut self, transfer: &Transfer, before: &Before, code: Option<TransferCode>) {
        let created = matches!(before.outcome, Some(Outcome::Created { .. }));
        let again = created && self.kinds.of_created_chain.contains(&transfer.id);
        self.saw("member of a created chain again", again);
        let again = before.outcome.is_some() && self.kinds.of_failed_chain.contains(&transfer.id);
        self.saw("member of a failed chain again", again);
        if transfer.flags & CLAIMS != 0 {
            self.watch_claim(transfer, before, code);
        } else {
            self.watch_release(transfer, code);
            self.watch_balancing(transfer, code);
            self.watch_closing(transfer, code);
        }
    }

    fn watch_claim(&mut self, transfer: &Transfer, before: &Before, code: Option<TransferCode>) {
        use TransferCode::*;
        let pending_id = transfer.pending_id;
        let claimed_here = self.kinds.claimed.get(&pending_id) == Some(&self.epoch);
        let twice = matches!(code, Some(PendingTransferAlreadyPosted | PendingTransferAlreadyVoided));
        self.saw("second claim in the epoch of the first", twice && claimed_here);
        self.saw("second claim in a later epoch", twice && !claimed_here);
        let not_found = code == Some(PendingTransferNotFound);
        let refused = self.model.ids().contains_key(&pending_id);
        let of_chain = self.kinds.of_failed_chain.contains(&pending_id);
        self.saw("claim on a refused one", not_found && refused && !of_chain);
        self.saw("claim on a missing one", not_found && !refused);
        self.saw("claim on one of a failed chain", not_found && of_chain);
        let expired = code == Some(PendingTransferExpired);
        self.saw(
            "claim on one that is due and not expired yet",
            expired && before.status == Some(Status::Pending),
        );
        self.saw("claim on one that has expired", expired && before.status == Some(Status::Expired));
        let closed = matches!(code, Some(DebitAccountAlreadyClosed | CreditAccountAlreadyClosed));
        self.saw("post on a closed account", closed);
        let Some(pending) = self.model.transfer(pending_id).copied() else { return };
        let deadline = pending.timestamp + u64::from(pending.timeout) * SECOND;
        let near = pending.timeout != 0 && deadline.abs_diff(self.timestamp) < NEAR;
        self.saw("claim just before the deadline", near && code.is_none());
        self.saw("claim just after the deadline", near && expired);
        if let Some(done) = self.model.transfer(transfer.id).copied().filter(|_| code.is_none()) {
            self.watch_created_claim(transfer, &done, &pending);
        }
    }

    fn watch_created_claim(&mut self, transfer: &Transfer, done: &Transfer, pending: &Transfer) {
        let here = self.uses.get(&pending.id).is_some_and(|(_, epoch)| epoch.is_none_or(|e| e == self.epoch));
        let post = transfer.flags & TransferFlags::POST_PENDING_TRANSFER != 0;
        self.saw("posted in the epoch of the pending one", post && here);
        self.saw("posted in a later epoch", post && !here);
        self.saw("voided in the epoch of the pending one", !post && here);
        self.saw("voided in a later epoch", !post && !here);
        self.saw("posted in part", post && done.amount != 0 && done.amount < pending.amount);
        self.saw("posted zero", post && done.amount == 0 && pending.amount != 0);
        self.saw("posted all by the largest amount", post && transfer.amount == u128::MAX);
        self.saw("voided by its amount", !post && transfer.amount != 0);
        self.saw("claim with fields spelled out", transfer.debit_account_id != 0);
        let zero = transfer.debit_account_id == 0 && transfer.ledger == 0;
        self.saw("claim with fields of zero", zero);
        self.saw("balancing transfer posted", post && pending.flags & BALANCING != 0 && pending.amount != 0);
        let again = self.kinds.claimed_by_failed_chain.contains(&pending.id);
        self.saw("claimed after a failed chain had claimed it", again);
        self.kinds.claimed.insert(pending.id, self.epoch);
        let released = pending.amount - if post { done.amount } else { 0 };
        for side in sides(pending) {
            let sum = self.kinds.released.entry(side).or_default();
            *sum = sum.saturating_add(released);
        }
        if post {
            return;
        }
        let closed = |id: &u128| is_closed(&self.model.accounts()[id]);
        let still_closed = closed(&pending.debit_account_id) || closed(&pending.credit_account_id);
        self.saw("void on a closed account", still_closed);
        self.saw("reopened by a void", pending.flags & CLOSING != 0);
        if pending.flags & CLOSING != 0 {
            self.kinds.reopened.extend([pending.debit_account_id, pending.credit_account_id]);
        }
    }

    /// Whether the limits of both accounts hold only because the epoch has released something.
    fn watch_release(&mut self, transfer: &Transfer, code: Option<TransferCode>) {
        let pending = transfer.flags & TransferFlags::PENDING != 0;
        self.saw("pending created", code.is_none() && pending);
        self.saw("pending with a timeout created", code.is_none() && transfer.timeout != 0);
        for side in sides(transfer) {
            let lacks = match side.1 {
                false => code == Some(TransferCode::ExceedsCredits),
                true => code == Some(TransferCode::ExceedsDebits),
            };
            if lacks && !self.kinds.released.contains_key(&side) {
                self.kinds.lacking.insert(side);
            }
            let left = self.model.accounts().get(&side.0).and_then(|account| allowance(account, side.1));
            let released = self.kinds.released.get(&side).copied().unwrap_or_default();
            let used = code.is_none() && left.is_some_and(|left| left < released);
            self.saw("room used that the epoch has released", used);
            let lacked = self.kinds.lacking.contains(&side);
            self.saw("room missing before the epoch releases it", used && lacked);
        }
    }

    fn watch_balancing(&mut self, transfer: &Transfer, code: Option<TransferCode>) {
        let Some(done) = self.model.transfer(transfer.id).copied() else { return };
        if code.is_some() || transfer.flags & BALANCING == 0 {
            return;
        }
        let (asked, done) = (transfer.amount, done.amount);
        self.saw("balanced to zero", done == 0 && asked != 0);
        self.saw("balanced to less", done != 0 && done < asked);
        self.saw("balanced and all moved", done != 0 && done == asked);
        self.saw(
            "balanced on both sides",
            transfer.flags & BALANCING == BALANCING && done != 0 && done < asked,
        );
    }

    fn watch_closing(&mut self, transfer: &Transfer, code: Option<TransferCode>) {
        use TransferCode::*;
        let closed = match code {
            Some(DebitAccountAlreadyClosed) => Some(transfer.debit_account_id),
            Some(CreditAccountAlreadyClosed) => Some(transfer.credit_account_id),
            _ => None,
        };
        if let Some(id) = closed {
            let here = self.kinds.closed.contains(&id);
            self.saw("transfer on an account closed in the epoch", here);
            self.saw("transfer on an account closed before the epoch", !here);
        }
        if code.is_some() {
            return;
        }
        let reopened = sides(transfer).iter().any(|(id, _)| self.kinds.reopened.contains(id));
        self.saw("transfer on an account reopened in the epoch", reopened);
        self.saw("account closed", transfer.flags & CLOSING != 0);
        if transfer.flags & TransferFlags::CLOSING_DEBIT != 0 {
            self.kinds.closed.insert(transfer.debit_account_id);
        }
        if transfer.flags & TransferFlags::CLOSING_CREDIT != 0 {
            self.kinds.closed.insert(transfer.credit_account_id);
        }
        let of_chain = sides(transfer).iter().any(|(id, _)| self.kinds.accounts_of_chain.contains(id));
        self.saw("account of a chain of the epoch used", of_chain);
    }

    pub(crate) fn watch_chain(
        &mut self,
        chain: &[Transfer],
        before: &[Before],
        codes: &[Option<TransferCode>],
    ) {
        let ids = chain.iter().map(|transfer| transfer.id);
        let failed = codes.iter().position(|code| *code != Some(TransferCode::LinkedEventFailed));
        let claim_of_own =
            |claim: &Transfer| claim.flags & CLAIMS != 0 && chain.iter().any(|t| t.id == claim.pending_id);
        let failed = failed.expect("a chain that failed has one other code");
        let Some(code) = codes[failed] else {
            self.kinds.of_created_chain.extend(ids);
            self.saw("chain created", true);
            self.saw("chain of more than six created", chain.len() > 6);
            self.saw("chain with a pending and its claim created", chain.iter().any(claim_of_own));
            let spends = chain.iter().zip(before).any(|(transfer, before)| needs_more(transfer, before));
            self.saw("chain created that spends what it brings", spends);
            return;
        };
        self.saw("chain failed at its first member", failed == 0);
        self.saw("chain failed at its last member", failed + 1 == chain.len());
        self.saw("chain failed in the middle", failed != 0 && failed + 1 < chain.len());
        let is_open = |at: &usize| before[*at].status == Some(Status::Pending);
        let claims = (0..failed).filter(is_open).map(|at| chain[at].pending_id);
        let claims: Vec<u128> = claims.collect();
        self.watch_failed_chain(chain, failed, before, code);
        let burnt = ids.clone().any(|id| self.model.ids().get(&id) == Some(&Outcome::Refused));
        self.saw("chain failed after a claim", burnt && !claims.is_empty());
        if burnt {
            self.kinds.claimed_by_failed_chain.extend(claims);
            self.kinds.of_failed_chain.extend(ids);
        }
    }

    fn watch_failed_chain(
        &mut self,
        chain: &[Transfer],
        failed: usize,
        before: &[Before],
        code: TransferCode,
    ) {
        use TransferCode::*;
        self.saw("chain failed for money", matches!(code, ExceedsCredits | ExceedsDebits));
        self.saw("chain failed for an account", matches!(code, DebitAccountNotFound | CreditAccountNotFound));
        let for_pending = matches!(
            code,
            PendingTransferNotFound
                | PendingTransferNotPending
                | PendingTransferAlreadyPosted
                | PendingTransferAlreadyVoided
                | PendingTransferExpired
                | ExceedsPendingTransferAmount
        );
        self.saw("chain failed for a pending transfer", for_pending);
        let (id, outcome) = (chain[failed].id, before[failed].outcome);
        let within = outcome.is_none() && chain[..failed].iter().any(|transfer| transfer.id == id);
        let burnt = self.model.ids().contains_key(&id);
        self.saw("chain failed for a duplicate", outcome.is_some());
        self.saw("chain failed for a duplicate within", within && burnt);
        self.saw("chain failed for a malformed member", outcome.is_none() && !burnt);
    }

    pub(crate) fn watch_account_chain(&mut self, chain: &[Account], codes: &[Option<AccountCode>]) {
        let created = codes[0].is_none();
        let ids = chain.iter().map(|account| account.id);
        let closed = chain.iter().any(is_closed);
        self.saw("account created closed", created && closed);
        if chain.len() == 1 {
            let again = self.kinds.accounts_of_failed_chain.contains(&chain[0].id);
            self.saw("account of a failed chain created singly", created && again);
            return;
        }
        self.saw("account chain created", created);
        self.saw("account chain failed", !created);
        if created {
            self.kinds.accounts_of_chain.extend(ids);
        } else {
            self.kinds.accounts_of_failed_chain.extend(ids);
        }
    }

    /// Ends the epoch.
    pub(crate) fn watch_expiry(&mut self, through: u64) {
        let before = self.model.pendings().clone();
        self.model.expire(through);
        for id in before.into_iter().filter(|(_, status)| *status == Status::Pending).map(|(id, _)| id) {
            let pending = *self.model.transfer(id).expect("a pending transfer was created");
            let deadline = pending.timestamp + u64::from(pending.timeout) * SECOND;
            let due = pending.timeout != 0 && deadline <= self.timestamp;
            let expired = self.model.pendings()[&id] == Status::Expired;
            self.saw("expired at the end of an epoch", expired);
            self.saw("due at the end of an epoch and not expired", due && !expired);
            self.saw("reopened by expiry", expired && pending.flags & CLOSING != 0);
        }
    }
}

fn sides(transfer: &Transfer) -> [(u128, bool); 2] {
    [(transfer.debit_account_id, false), (transfer.credit_account_id, true)]
}

fn is_closed(account: &Account) -> bool {
    account.flags & AccountFlags::CLOSED != 0
}

/// Whether the transfer needs more than there was before its chain.
fn needs_more(transfer: &Transfer, before: &Before) -> bool {
    let [debit, credit] = before.accounts;
    let left = [
        debit.and_then(|account| allowance(&account, false)),
        credit.and_then(|account| allowance(&account, true)),
    ];
    transfer.flags & (CLAIMS | BALANCING) == 0
        && left.into_iter().flatten().any(|left| left < transfer.amount)
}
