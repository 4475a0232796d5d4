//! The atomics that everything here is made of: the machine's, or those that loom watches.

#[cfg(loom)]
pub use loom::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
    thread::{Thread, current},
};
#[cfg(not(loom))]
pub use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
    thread::{Thread, current},
};
