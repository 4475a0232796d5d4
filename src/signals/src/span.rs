//! Addresses that all threads take parts of.

use crate::sync::{AtomicU64, Ordering};

/// A span of addresses, of [`Span::SIZE`] and beginning at a multiple of it: each part is taken by one thread.
#[derive(Debug)]
pub struct Span {
    /// The address of the next part; at a multiple of the size there is none.
    next: AtomicU64,
}

/// A span that has no part of the wanted size left.
#[derive(Debug)]
pub struct Spent(u64);

impl Span {
    /// Bytes of a span.
    pub const SIZE: u64 = 256 << 20;

    /// A span that is spent.
    #[cfg(not(loom))]
    pub const fn spent() -> Self {
        Self { next: AtomicU64::new(0) }
    }

    /// As above, of what loom watches.
    #[cfg(loom)]
    pub fn spent() -> Self {
        Self { next: AtomicU64::new(0) }
    }

    /// Takes the next so many bytes; returns their address.
    pub fn take(&self, size: u64) -> Result<u64, Spent> {
        let mut next = self.next.load(Ordering::Relaxed);
        loop {
            if next.next_multiple_of(Self::SIZE) - next < size {
                return Err(Spent(next));
            }
            // Only addresses pass from thread to thread, and the kernel puts the memory there.
            match self.next.compare_exchange_weak(next, next + size, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(taken) => return Ok(taken),
                Err(other) => next = other,
            }
        }
    }

    /// Goes on with a new span, of which the first so many bytes are taken already. `false` if another thread's came first.
    pub fn renew(&self, spent: &Spent, start: u64, taken: u64) -> bool {
        let (new, order) = (start + taken, Ordering::Relaxed);
        self.next.compare_exchange(spent.0, new, order, order).is_ok()
    }
}
