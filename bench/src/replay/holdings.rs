//! What accounts hold, and what the rows of a file change in it.

use auriga_wire::Account;
use auriga_wire::Transfer;
use auriga_wire::record::TransferFlags;
use std::collections::HashMap;

/// An account's four sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Of pending debits.
    pub debits_pending: u128,
    /// Of posted debits.
    pub debits_posted: u128,
    /// Of pending credits.
    pub credits_pending: u128,
    /// Of posted credits.
    pub credits_posted: u128,
}

impl Sums {
    /// What an account holds.
    pub fn of(account: &Account) -> Self {
        let Account { debits_pending, debits_posted, credits_pending, credits_posted, .. } = *account;
        Self { debits_pending, debits_posted, credits_pending, credits_posted }
    }

    /// With others on top.
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            debits_pending: self.debits_pending.wrapping_add(other.debits_pending),
            debits_posted: self.debits_posted.wrapping_add(other.debits_posted),
            credits_pending: self.credits_pending.wrapping_add(other.credits_pending),
            credits_posted: self.credits_posted.wrapping_add(other.credits_posted),
        }
    }
}

/// The sums of many accounts. Modulo 2^128: the ledger refuses what would exceed that, so no true sum does.
#[derive(Debug, Default)]
pub struct Holdings(HashMap<u128, Sums>);

impl Holdings {
    /// An account holds this.
    pub fn set(&mut self, account: u128, sums: Sums) {
        self.0.insert(account, sums);
    }

    /// What an account holds; nothing, if nobody has said so.
    pub fn get(&self, account: u128) -> Sums {
        self.0.get(&account).copied().unwrap_or_default()
    }

    /// A transfer has been created; `reserved` is what the pending transfer that it ended had reserved.
    pub fn apply(&mut self, transfer: &Transfer, reserved: u128) {
        let Transfer { debit_account_id, credit_account_id, amount, flags, .. } = *transfer;
        let is = |flag| flags & flag != 0;
        let (pending, released, posted) = if is(TransferFlags::PENDING) {
            (amount, 0, 0)
        } else if is(TransferFlags::POST_PENDING_TRANSFER) {
            (0, reserved, if amount == u128::MAX { reserved } else { amount })
        } else if is(TransferFlags::VOID_PENDING_TRANSFER) {
            (0, reserved, 0)
        } else {
            (0, 0, amount)
        };
        let change = |sums: (&mut u128, &mut u128)| {
            *sums.0 = sums.0.wrapping_add(pending).wrapping_sub(released);
            *sums.1 = sums.1.wrapping_add(posted);
        };
        let debit = self.0.entry(debit_account_id).or_default();
        change((&mut debit.debits_pending, &mut debit.debits_posted));
        let credit = self.0.entry(credit_account_id).or_default();
        change((&mut credit.credits_pending, &mut credit.credits_posted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_reserves_posts_or_gives_back() {
        let mut all = Holdings::default();
        let (post, void) = (TransferFlags::POST_PENDING_TRANSFER, TransferFlags::VOID_PENDING_TRANSFER);
        // Flags, amount, what was reserved; then what is pending and posted.
        let cases = [
            (0, 7, 0, (0, 7)),
            (TransferFlags::PENDING, 100, 0, (100, 7)),
            (TransferFlags::PENDING, 30, 0, (130, 7)),
            (TransferFlags::PENDING, 5, 0, (135, 7)),
            (post, 60, 100, (35, 67)),
            (void, 0, 30, (5, 67)),
            (post, u128::MAX, 5, (0, 72)),
        ];
        for (flags, amount, reserved, (pending, posted)) in cases {
            let transfer =
                Transfer { debit_account_id: 1, credit_account_id: 2, amount, flags, ..Transfer::default() };
            all.apply(&transfer, reserved);
            let debits = Sums { debits_pending: pending, debits_posted: posted, ..Sums::default() };
            let credits = Sums { credits_pending: pending, credits_posted: posted, ..Sums::default() };
            assert_eq!(
                (all.get(1), all.get(2), all.get(3)),
                (debits, credits, Sums::default()),
                "{flags} {amount}"
            );
        }
    }
}
