//! What a worker of the load generator shows while it works.

use crate::sync::{AtomicU64, Ordering};

/// What a worker shows while it works. Written by it alone, read by the progress bar; on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Glance {
    created: AtomicU64,
    refused: AtomicU64,
    errors: AtomicU64,
    p99_ns: AtomicU64,
}

impl Glance {
    /// Transfers created and refused in this phase.
    pub fn show(&self, created: u64, refused: u64) {
        self.created.store(created, Ordering::Relaxed);
        self.refused.store(refused, Ordering::Relaxed);
    }

    /// Requests refused as a whole in this phase.
    pub fn show_errors(&self, errors: u64) {
        self.errors.store(errors, Ordering::Relaxed);
    }

    /// The p99 latency of the last second.
    pub fn show_p99(&self, nanoseconds: u64) {
        self.p99_ns.store(nanoseconds, Ordering::Relaxed);
    }

    /// Transfers created in this phase.
    pub fn created(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
    }

    /// Transfers refused in this phase.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Requests refused as a whole in this phase.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// The p99 latency of the last second, nanoseconds.
    pub fn p99_ns(&self) -> u64 {
        self.p99_ns.load(Ordering::Relaxed)
    }
}
