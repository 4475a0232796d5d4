//! The accounts of one shard: 64 hot bytes each in a dense array, the rest beside it, and an index.

use super::index::Index;
use super::pages::Pages;
use super::rules::{Balance, Half, Side, Sums, compare_accounts};
use auriga_wire::record::AccountFlags;
use auriga_wire::{Account, AccountCode};

/// What a transfer touches of an account: one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Hot {
    /// Posted debits.
    debits: u128,
    /// Posted credits.
    credits: u128,
    /// The account's id.
    pub id: u128,
    /// The account's ledger.
    pub ledger: u32,
    /// The account's number among those that the running epoch tracks; valid only if that entry names the account back
    /// (a sparse set, so that nothing has to be reset between epochs).
    pub tracked: u32,
    /// `AccountFlags`
    pub flags: u16,
    /// Whether a pending sum isn't 0: only then are they looked at.
    has_pending: bool,
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
    pending: Pages<Pending>,
    sheet: Vec<Hot>,
    pending_sheet: Vec<Pending>,
}

/// The pending sums of an account.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    debits: u128,
    credits: u128,
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

    /// The slot that [`Accounts::find`] will likely find, its hot line asked for.
    #[inline]
    pub fn likely(&self, hash: u64) -> Option<u32> {
        let slot = self.index.likely(hash)?;
        super::prefetch(&self.hot[slot]);
        Some(slot)
    }

    /// The slot of an account, which [`Accounts::likely`] has looked for.
    #[inline]
    pub fn find_likely(&self, likely: Option<u32>, hash: u64, id: u128) -> Option<u32> {
        let slot = likely?;
        if self.hot[slot].id == id { Some(slot) } else { self.find(hash, id) }
    }

    /// Asks for the line of the index that [`Accounts::find`] will read.
    #[inline]
    pub fn prefetch_index(&self, hash: u64) {
        self.index.prefetch(hash);
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

    /// An account's balance.
    #[inline]
    pub fn balance(&self, slot: u32) -> Balance {
        let hot = &self.hot[slot];
        let pending = if hot.has_pending { self.pending[slot] } else { Pending::default() };
        Balance {
            debits: Sums { pending: pending.debits, posted: hot.debits },
            credits: Sums { pending: pending.credits, posted: hot.credits },
        }
    }

    /// Sets an account's balance.
    #[inline]
    pub fn set_balance(&mut self, slot: u32, balance: &Balance) {
        let hot = &mut self.hot[slot];
        (hot.debits, hot.credits) = (balance.debits.posted, balance.credits.posted);
        let pending = Pending { debits: balance.debits.pending, credits: balance.credits.pending };
        let has_pending = pending.debits != 0 || pending.credits != 0;
        if has_pending || hot.has_pending {
            hot.has_pending = has_pending;
            self.pending[slot] = pending;
        }
    }

    /// Posts an amount to one side of an account without pending sums. `false`, and nothing changed, if it has some or if the sum
    /// would overflow: then [`Accounts::balance`] knows more.
    #[inline]
    pub fn post(&mut self, slot: u32, side: Side, amount: u128) -> bool {
        let hot = &mut self.hot[slot];
        let sum = match side {
            Side::Debit => &mut hot.debits,
            Side::Credit => &mut hot.credits,
        };
        match sum.checked_add(amount) {
            Some(posted) if !hot.has_pending => {
                *sum = posted;
                true
            }
            _ => false,
        }
    }

    /// Adds half a transfer that was not refused.
    #[inline]
    pub fn add(&mut self, slot: u32, half: Half) {
        let mut balance = self.balance(slot);
        balance.add(half);
        self.set_balance(slot, &balance);
    }

    /// Takes a half back that was added.
    #[inline]
    pub fn take_back(&mut self, slot: u32, half: Half) {
        let mut balance = self.balance(slot);
        balance.take_back(half);
        self.set_balance(slot, &balance);
    }

    /// Ends the reservation of a pending transfer's half, and posts some of it.
    pub fn resolve(&mut self, slot: u32, side: Side, reserved: u128, posted: u128) {
        let mut balance = self.balance(slot);
        balance.resolve(side, reserved, posted);
        self.set_balance(slot, &balance);
    }

    /// Closes or opens an account.
    pub fn set_closed(&mut self, slot: u32, closed: bool) {
        let flags = &mut self.hot[slot].flags;
        *flags = if closed { *flags | AccountFlags::CLOSED } else { *flags & !AccountFlags::CLOSED };
    }

    /// Forgets the newest account, that of a chain which failed. Panics if it isn't the newest.
    pub fn forget(&mut self, hash: u64, slot: u32) {
        assert_eq!(slot as usize + 1, self.len(), "accounts of a chain are forgotten newest first");
        self.index.remove(hash, slot);
        self.hot.pop();
        self.cold.pop();
        self.pending.pop();
    }

    /// Creates an account whose record has no static fault, or says how it exists already.
    pub fn create(&mut self, hash: u64, account: &Account, timestamp: u64) -> Result<u32, AccountCode> {
        if let Some(code) = self.exists(hash, account) {
            return Err(code);
        }
        let slot = self.hot.push(Hot {
            debits: 0,
            credits: 0,
            id: account.id,
            ledger: account.ledger,
            tracked: 0,
            flags: account.flags,
            has_pending: false,
        });
        self.pending.push(Pending::default());
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
        record(&self.hot[slot], &self.cold[slot], &self.pending[slot])
    }

    /// Every account's record, in the order of creation.
    pub fn records(&self) -> impl Iterator<Item = Account> {
        (0..self.len() as u32).map(|slot| self.record(slot))
    }

    /// Freezes what there is, until [`Accounts::take`] has taken it all.
    pub fn freeze(&mut self) {
        self.hot.freeze();
        self.pending.freeze();
    }

    /// Nothing is frozen any more.
    pub fn melt(&mut self) {
        self.hot.melt();
        self.pending.melt();
    }

    /// Bytes that are in use because accounts are frozen.
    pub fn kept_bytes(&self) -> usize {
        self.hot.kept_bytes() + self.pending.kept_bytes()
    }

    /// Takes some of what was frozen, as it was then. `false` if all is taken.
    pub fn take(&mut self, mut take: impl FnMut(&Account)) -> bool {
        let is_frozen = self.hot.is_frozen();
        let first = self.hot.take_sheet(&mut self.sheet);
        self.pending.take_sheet(&mut self.pending_sheet);
        for ((slot, hot), pending) in (first..).zip(&self.sheet).zip(&self.pending_sheet) {
            take(&record(hot, &self.cold[slot], pending));
        }
        is_frozen
    }

    /// Puts an account back that a checkpoint holds; fails if it is there.
    pub fn restore(&mut self, hash: u64, saved: &Account) -> Result<(), String> {
        let created = self.create(hash, saved, saved.timestamp);
        let slot = created.map_err(|_| format!("account {}: found twice, expected once", saved.id))?;
        self.set_balance(
            slot,
            &Balance {
                debits: Sums { pending: saved.debits_pending, posted: saved.debits_posted },
                credits: Sums { pending: saved.credits_pending, posted: saved.credits_posted },
            },
        );
        Ok(())
    }
}

fn record(hot: &Hot, cold: &Cold, pending: &Pending) -> Account {
    Account {
        id: hot.id,
        debits_pending: pending.debits,
        debits_posted: hot.debits,
        credits_pending: pending.credits,
        credits_posted: hot.credits,
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
