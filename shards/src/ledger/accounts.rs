//! The accounts of one shard: 64 hot bytes each in a dense array, the rest beside it, and an index.

use super::index::Index;
use super::pages::Pages;
use super::rules::{Balance, compare_accounts};
use auriga_wire::{Account, AccountCode};

/// What a transfer touches of an account: one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Hot {
    /// The two sums that legs change.
    pub balance: Balance,
    /// The account's id.
    pub id: u128,
    /// The account's ledger.
    pub ledger: u32,
    /// The account's number among those that the running epoch tracks; valid only if that entry names the account back
    /// (a sparse set, so that nothing has to be reset between epochs).
    pub tracked: u32,
    /// `AccountFlags`
    pub flags: u16,
}

const _: () = assert!(size_of::<Hot>() == 64);

/// What only look-ups read.
#[derive(Clone, Copy, Debug)]
struct Cold {
    user_data_128: u128,
    user_data_64: u64,
    timestamp: u64,
    user_data_32: u32,
    code: u16,
}

/// The accounts of one shard. A slot is an account's number in the order of creation.
#[derive(Debug, Default)]
pub struct Accounts {
    index: Index,
    hot: Pages<Hot>,
    cold: Pages<Cold>,
}

impl Accounts {
    /// Number of accounts.
    pub fn len(&self) -> usize {
        self.hot.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hot.is_empty()
    }

    /// The slot of an account.
    #[inline]
    pub fn find(&self, hash: u64, id: u128) -> Option<u32> {
        self.index.find(hash, |slot| self.hot[slot].id == id)
    }

    /// Asks for the line of the index that [`Accounts::find`] will read.
    #[inline]
    pub fn prefetch_index(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    /// Asks for an account's hot line.
    #[inline]
    pub fn prefetch(&self, slot: u32) {
        super::prefetch(&self.hot[slot]);
    }

    /// An account's hot state.
    #[inline]
    pub fn hot(&self, slot: u32) -> &Hot {
        &self.hot[slot]
    }

    /// An account's hot state, to change it.
    #[inline]
    pub fn hot_mut(&mut self, slot: u32) -> &mut Hot {
        &mut self.hot[slot]
    }

    /// Creates an account whose record has no static fault, or says how it exists already.
    pub fn create(&mut self, hash: u64, account: &Account, timestamp: u64) -> Result<u32, AccountCode> {
        if let Some(code) = self.exists(hash, account) {
            return Err(code);
        }
        let slot = self.hot.push(Hot {
            balance: Balance::default(),
            id: account.id,
            ledger: account.ledger,
            tracked: 0,
            flags: account.flags,
        });
        let cold = self.cold.push(Cold {
            user_data_128: account.user_data_128,
            user_data_64: account.user_data_64,
            timestamp,
            user_data_32: account.user_data_32,
            code: account.code,
        });
        assert_eq!(slot, cold, "hot and cold halves go together");
        self.index.insert(hash, slot);
        Ok(slot)
    }

    /// How the account exists, if it does.
    pub fn exists(&self, hash: u64, account: &Account) -> Option<AccountCode> {
        self.find(hash, account.id).map(|slot| compare_accounts(account, &self.record(slot)))
    }

    /// When the account was created, nanoseconds of epoch time.
    pub fn timestamp(&self, slot: u32) -> u64 {
        self.cold[slot].timestamp
    }

    /// The account's record with its balances.
    pub fn record(&self, slot: u32) -> Account {
        let (hot, cold) = (&self.hot[slot], &self.cold[slot]);
        Account {
            id: hot.id,
            debits_posted: hot.balance.debits,
            credits_posted: hot.balance.credits,
            user_data_128: cold.user_data_128,
            user_data_64: cold.user_data_64,
            user_data_32: cold.user_data_32,
            ledger: hot.ledger,
            code: cold.code,
            flags: hot.flags,
            timestamp: cold.timestamp,
            ..Account::default()
        }
    }

    /// Every account's record, in the order of creation.
    pub fn records(&self) -> impl Iterator<Item = Account> {
        (0..self.len() as u32).map(|slot| self.record(slot))
    }
}
