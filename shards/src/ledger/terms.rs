//! What an epoch's cut says of creations that needs no look at the ledger: which ids are of its time, and which kinds of
//! events a limit keeps out.

use auriga_wire::Transfer;
use auriga_wire::record::TransferFlags;

/// Nanoseconds in a millisecond, the unit of an id's time.
pub const MILLISECOND_NS: u64 = 1_000_000;

/// Kinds of creations that the epoch refuses because a limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limited(pub u8);

impl Limited {
    /// Accounts.
    pub const ACCOUNTS: u8 = 1;
    /// Transfers: each consumes an id.
    pub const IDS: u8 = 1 << 1;
    /// Pending transfers.
    pub const PENDINGS: u8 = 1 << 2;
    /// Every bit that has a meaning.
    pub const KNOWN: u8 = (1 << 3) - 1;

    /// Whether this kind is refused.
    pub fn is(self, kind: u8) -> bool {
        self.0 & kind != 0
    }
}

/// The terms of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Ids older than this are forgotten, milliseconds.
    pub ids_from_ms: u64,
    /// Ids later than this are in the future, milliseconds.
    pub ids_through_ms: u64,
    /// What is refused.
    pub limited: Limited,
}

impl Terms {
    /// Terms from a cut: times in nanoseconds, `u64::MAX` for no end.
    pub fn new(horizon: u64, ids_through: u64, limited: Limited) -> Self {
        let ids_through_ms = if ids_through == u64::MAX { u64::MAX } else { ids_through / MILLISECOND_NS };
        Self { ids_from_ms: horizon.div_ceil(MILLISECOND_NS), ids_through_ms, limited }
    }

    /// Whether ids of this time are forgotten.
    #[inline]
    pub fn is_forgotten(&self, id: u128) -> bool {
        id_ms(id) < self.ids_from_ms
    }

    /// Whether an id's time is ahead of what the epoch takes.
    #[inline]
    pub fn is_ahead(&self, id: u128) -> bool {
        id_ms(id) > self.ids_through_ms
    }

    /// Whether a limit keeps the transfer out.
    #[inline]
    pub fn is_limited(&self, transfer: &Transfer) -> bool {
        let is_pending = transfer.flags & TransferFlags::PENDING != 0;
        self.limited.is(Limited::IDS) || is_pending && self.limited.is(Limited::PENDINGS)
    }
}

impl Default for Terms {
    /// Everything is taken.
    fn default() -> Self {
        Self::new(0, u64::MAX, Limited::default())
    }
}

/// The time of a time-ordered id, milliseconds since the Unix epoch.
#[inline]
pub fn id_ms(id: u128) -> u64 {
    (id >> 80) as u64
}
