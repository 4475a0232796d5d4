//! How far history has got, and who waits for it.

use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// What is known of history outside of its threads, and what its builder is asked for. The builder alone publishes.
#[derive(Debug, Default)]
pub struct HistoryProgress {
    epoch: AtomicU64,
    time: AtomicU64,
    durable: AtomicU64,
    to_be_durable: AtomicBool,
    wanted: AtomicBool,
}

impl HistoryProgress {
    /// Every epoch through this one can be asked about: who sees it sees what history has of it.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The time of the last event, nanoseconds. Asked after [`HistoryProgress::epoch`] it is that epoch's, or a later one's.
    pub fn time(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    /// Every epoch through this one can be asked about; `time` is that of their last event, nanoseconds. Whether that is news.
    pub fn publish(&self, epoch: u64, time: u64) -> bool {
        self.time.store(time, Ordering::Relaxed);
        self.epoch.swap(epoch, Ordering::AcqRel) != epoch
    }

    /// Every epoch up to this one is durable in the store: who sees it sees that it was written.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Every epoch up to this one is durable in the store.
    pub fn note_durable(&self, epoch: u64) {
        self.durable.store(epoch, Ordering::Release);
    }

    /// Asks for what is known to be made durable. The builder is to be woken after this.
    pub fn ask_durable(&self) {
        self.to_be_durable.store(true, Ordering::Relaxed);
    }

    /// Whether that was asked since the last call.
    pub fn take_ask_durable(&self) -> bool {
        self.to_be_durable.load(Ordering::Relaxed) && self.to_be_durable.swap(false, Ordering::Relaxed)
    }

    /// Whether somebody waits for an epoch. The builder is to be woken after this if so.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Whether somebody waits for an epoch.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}
