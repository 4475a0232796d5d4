//! A number that several threads count.

use crate::sync::{AtomicU64, Ordering};

/// A number that several threads count. Nothing is lost of what they add and take away; nothing else is told by it.
#[derive(Debug, Default)]
pub struct Count {
    number: AtomicU64,
}

impl Count {
    /// Beginning with a number.
    pub fn new(number: u64) -> Self {
        Self { number: AtomicU64::new(number) }
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// Adds to it.
    pub fn add(&self, number: u64) {
        self.number.fetch_add(number, Ordering::Relaxed);
    }

    /// Takes from it what was added before.
    pub fn take_away(&self, number: u64) {
        self.number.fetch_sub(number, Ordering::Relaxed);
    }
}
