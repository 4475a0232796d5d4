//! What the log takes of the disk.

use crate::count::Count;
use crate::sync::{AtomicU64, Ordering};

/// What the log takes of the disk, and what the next checkpoint will.
#[derive(Debug)]
pub struct Usage {
    /// Bytes of all segments, and of those that are kept to be used again.
    pub bytes: Count,
    log_from: AtomicU64,
    checkpoint: AtomicU64,
}

impl Usage {
    /// A log of so many bytes that begins with an epoch.
    pub fn new(bytes: u64, log_from: u64) -> Self {
        Self { bytes: Count::new(bytes), log_from: AtomicU64::new(log_from), checkpoint: AtomicU64::new(0) }
    }

    /// The first epoch that the log still has.
    pub fn log_from(&self) -> u64 {
        self.log_from.load(Ordering::Relaxed)
    }

    /// The log begins with this epoch now.
    pub fn begin_log(&self, epoch: u64) {
        self.log_from.store(epoch, Ordering::Relaxed);
    }

    /// Bytes that the next checkpoint has at most.
    pub fn checkpoint(&self) -> u64 {
        self.checkpoint.load(Ordering::Relaxed)
    }

    /// The next checkpoint has at most so many bytes.
    pub fn expect_checkpoint(&self, bytes: u64) {
        self.checkpoint.store(bytes, Ordering::Relaxed);
    }
}
