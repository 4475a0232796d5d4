//! What each core does, for those who look, and whether anybody does.

use crate::sync::{AtomicU64, Ordering};

/// What a core has done since the start. Shown by it alone, a hundred times a second at most; on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Busy {
    busy_ns: AtomicU64,
    transfers: AtomicU64,
    under_way: AtomicU64,
}

impl Busy {
    /// For so many nanoseconds its thread has run and not only looked for work, and so many transfers have arrived; requests that are
    /// under way.
    pub fn show(&self, busy_ns: u64, transfers: u64, under_way: u64) {
        self.busy_ns.store(busy_ns, Ordering::Relaxed);
        self.transfers.store(transfers, Ordering::Relaxed);
        self.under_way.store(under_way, Ordering::Relaxed);
    }

    /// Nanoseconds at work.
    pub fn busy_ns(&self) -> u64 {
        self.busy_ns.load(Ordering::Relaxed)
    }

    /// Transfers that have arrived.
    pub fn transfers(&self) -> u64 {
        self.transfers.load(Ordering::Relaxed)
    }

    /// Requests under way.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }
}

/// Until when somebody looks: what costs something is done only then.
#[derive(Debug, Default)]
pub struct Watch {
    until_ns: AtomicU64,
}

impl Watch {
    /// Somebody looks, and will look again before this time.
    pub fn look_until(&self, time_ns: u64) {
        self.until_ns.fetch_max(time_ns, Ordering::Relaxed);
    }

    /// Whether somebody looks at this time.
    pub fn is_watched(&self, now_ns: u64) -> bool {
        now_ns < self.until_ns.load(Ordering::Relaxed)
    }
}
