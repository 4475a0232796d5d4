//! What an executor shows of itself to the thread that looks whether it lives.

use crate::sync::{AtomicU64, Ordering};

/// What an executor shows of itself. Written by it alone; on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Heart {
    beats: AtomicU64,
    replayed: AtomicU64,
}

impl Heart {
    /// It has done a turn and looked at its I/O.
    #[inline]
    pub fn beat(&self) {
        self.beats.store(self.beats.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// How often it has. The same number as before: it has done nothing since.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// It has replayed the log through this epoch.
    #[inline]
    pub fn show_replayed(&self, epoch: u64) {
        self.replayed.store(epoch, Ordering::Relaxed);
    }

    /// The last epoch that it has replayed; 0: none.
    pub fn replayed(&self) -> u64 {
        self.replayed.load(Ordering::Relaxed)
    }
}
