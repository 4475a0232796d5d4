//! How far a server is, from its first shard that serves to its last executor that has ended.

use crate::sync::{AtomicBool, AtomicUsize, Ordering};

/// How far a server of so many shards is. Nothing of it is ever taken back, and who sees a step sees what was done before it.
#[derive(Debug)]
pub struct Lifecycle {
    shards: usize,
    serving: AtomicUsize,
    stopping: AtomicBool,
    drained: AtomicUsize,
    failed: AtomicBool,
    ended: AtomicBool,
}

impl Lifecycle {
    /// A server whose shards don't serve yet.
    pub fn new(shards: usize) -> Self {
        Self {
            shards,
            serving: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            drained: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// One more shard serves. Whether it is the last: now the server does.
    pub fn serve(&self) -> bool {
        self.serving.fetch_add(1, Ordering::AcqRel) + 1 == self.shards
    }

    /// Whether all shards serve, or have.
    pub fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Acquire) == self.shards
    }

    /// The server is to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether it is to stop.
    #[inline]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The server can't go on.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether it can't go on.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// One more shard has nothing left to do after a stop.
    pub fn drain(&self) {
        self.drained.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether the executors are to end: all shards are drained, or the server can't go on.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.has_failed() || self.drained.load(Ordering::Acquire) == self.shards
    }

    /// Every executor has ended.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether every executor has ended.
    #[inline]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}
