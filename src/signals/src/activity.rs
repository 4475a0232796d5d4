//! Whether anything goes on, for a thread that may rest if not.

use crate::sync::{AtomicBool, Ordering};

/// Whether something has gone on since it was last asked.
///
/// Those who note it do so for every request and every turn, so a note costs a load where there is one already. That one may
/// have been taken just now: such a note is lost, and the next is not. So the rest must have a bound in time.
#[derive(Debug)]
pub struct Activity {
    noted: AtomicBool,
}

impl Activity {
    /// Something goes on from the beginning.
    pub fn new() -> Self {
        Self { noted: AtomicBool::new(true) }
    }

    /// Something goes on. Whether that is news: who rests is to be woken.
    #[inline]
    pub fn note(&self) -> bool {
        let is_news = !self.is_noted();
        if is_news {
            self.noted.store(true, Ordering::Relaxed);
        }
        is_news
    }

    /// Whether something goes on.
    #[inline]
    pub fn is_noted(&self) -> bool {
        self.noted.load(Ordering::Relaxed)
    }

    /// Whether something has gone on since the last call.
    pub fn take(&self) -> bool {
        self.is_noted() && self.noted.swap(false, Ordering::Relaxed)
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}
