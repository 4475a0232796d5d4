//! The ledger's state on one shard, and the rules of what a transfer may do. No message, no shard, no log here.

pub mod accounts;
pub mod ids;
pub mod index;
pub mod pages;
pub mod pendings;
pub mod rules;
pub mod saved;
pub mod terms;

/// Asks the CPU for the cache line of `place`.
#[inline]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing into the program and can't fault; SSE is part of x86_64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(std::ptr::from_ref(place).cast::<i8>(), _MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

use crate::place::Placement;
use accounts::Accounts;
use ids::Ids;
use pendings::Pendings;
use saved::{SavedKind, SavedPending};

/// What one shard holds of the ledger.
#[derive(Debug)]
pub struct Ledger {
    /// Which shard owns what.
    pub placement: Placement,
    /// This shard's accounts.
    pub accounts: Accounts,
    /// This shard's transfer ids.
    pub ids: Ids,
    /// This shard's pending transfers.
    pub pendings: Pendings,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(placement: Placement) -> Self {
        Self { placement, accounts: Accounts::default(), ids: Ids::default(), pendings: Pendings::default() }
    }

    /// The sum, modulo 2^128, of a hash of every account, every remembered id with its outcome, and every pending transfer, as
    /// checkpoints hold them.
    /// Neither order nor sharding changes it: the digests of all shards add up to that of the whole state.
    pub fn digest(&self) -> u128 {
        let hash = |kind: SavedKind, record: &[u8]| kind.hash(record);
        let accounts = self.accounts.records().map(|a| hash(SavedKind::Account, bytemuck::bytes_of(&a)));
        let ids = self.ids.entries().map(|id| hash(SavedKind::Id, bytemuck::bytes_of(id)));
        let done = self.ids.all_done().map(|done| hash(SavedKind::Done, bytemuck::bytes_of(&done)));
        let pendings = self.pendings.iter().map(SavedPending::new);
        let pendings = pendings.map(|saved| hash(SavedKind::Pending, bytemuck::bytes_of(&saved)));
        accounts.chain(ids).chain(done).chain(pendings).fold(0, u128::wrapping_add)
    }
}
