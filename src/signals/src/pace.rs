//! What is said now and then.

use crate::sync::{AtomicU64, Ordering};
use std::time::Duration;

/// When something was last said. By one thread: two at once could both say it.
#[derive(Debug)]
pub struct Pace {
    every: Duration,
    said_ns: AtomicU64,
}

impl Pace {
    /// For what is said at most so often, for the first time so long after the beginning.
    pub fn new(every: Duration) -> Self {
        Self { every, said_ns: AtomicU64::new(0) }
    }

    /// Whether it is time to say it, so long after the beginning. Then it is taken for said.
    pub fn is_time(&self, now: Duration) -> bool {
        let said = Duration::from_nanos(self.said_ns.load(Ordering::Relaxed));
        let is_time = now.saturating_sub(said) >= self.every;
        if is_time {
            self.said_ns.store(now.as_nanos() as u64, Ordering::Relaxed);
        }
        is_time
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_once_in_each_interval() {
        let pace = Pace::new(Duration::from_secs(1));
        let said: Vec<_> =
            (0..=25).filter(|tenth| pace.is_time(Duration::from_millis(tenth * 100))).collect();
        assert_eq!(said, [10, 20]);
    }
}
