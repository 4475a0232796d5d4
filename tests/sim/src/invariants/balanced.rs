//! Debits equal credits: in every ledger, posted and pending, over all shards after the same epoch.

use super::{Broken, Invariant, broken};
use auriga_wire::Account;
use std::collections::BTreeMap;

/// By ledger: what debits exceed credits by, posted and pending, modulo 2^128.
#[derive(Debug, Default)]
pub(crate) struct Sums(BTreeMap<u32, [u128; 2]>);

impl Sums {
    /// Adds accounts.
    pub(crate) fn add(&mut self, accounts: impl Iterator<Item = Account>) {
        for account in accounts {
            let [posted, pending] = self.0.entry(account.ledger).or_default();
            *posted = posted.wrapping_add(account.debits_posted).wrapping_sub(account.credits_posted);
            *pending = pending.wrapping_add(account.debits_pending).wrapping_sub(account.credits_pending);
        }
    }

    /// All accounts were added.
    pub(crate) fn check(&self, epoch: u64) -> Result<(), Broken> {
        match self.0.iter().find(|(_, sums)| **sums != [0; 2]) {
            None => Ok(()),
            Some((ledger, [posted, pending])) => {
                let what = format!(
                    "after epoch {epoch} the debits of ledger {ledger} exceed its credits by {posted} posted and {pending} \
                     pending, modulo 2^128"
                );
                broken(Invariant::Balanced, what)
            }
        }
    }
}
