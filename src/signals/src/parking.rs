//! Whether a thread sleeps, so that it is woken only if it does.

use crate::sync::{AtomicBool, Ordering, fence};

/// Whether one thread sleeps, or is about to.
///
/// 1. Who has work for it makes that visible, fences, then looks whether it is parked: [`Parking::must_be_woken`].
/// 2. The thread says that it is parked, fences, then looks for work: [`Parking::park`].
///
/// So one of the two sees the other: the thread does not sleep behind work for which it is not woken.
#[derive(Debug, Default)]
pub struct Parking {
    parked: AtomicBool,
}

impl Parking {
    /// Whether the thread is to be woken, by the caller alone. To be called after the work was made visible.
    #[inline]
    pub fn must_be_woken(&self) -> bool {
        fence(Ordering::SeqCst);
        self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::AcqRel)
    }

    /// The thread is about to sleep; it must look for work once more after this.
    #[inline]
    pub fn park(&self) {
        self.parked.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The thread is awake, and looks for work after this.
    #[inline]
    pub fn unpark(&self) {
        self.parked.store(false, Ordering::Relaxed);
    }
}
