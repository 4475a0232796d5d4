//! That a thread has begun, for the one that has started it.

use crate::sync::{AtomicBool, Ordering, Thread, current};

/// That a thread has begun. It is made by the one that waits for that, which may be parked meanwhile.
#[derive(Debug)]
pub struct Begin {
    begun: AtomicBool,
    starter: Thread,
}

impl Begin {
    /// For a thread that the calling one is about to start.
    pub fn of_thread_to_start() -> Self {
        Self { begun: AtomicBool::new(false), starter: current() }
    }

    /// It has begun; the starter is unparked.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.starter.unpark();
    }

    /// Whether it has begun. Then what it did before is seen.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }
}
