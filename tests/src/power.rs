//! Power cuts: a server on ext4 in an emulated machine, whose disk is a process of ours that notes every write and flush, so that
//! the power can fail afterwards at any moment of it. `../power/README.md` says what this shows and what it doesn't.
//!
//! A **position** counts what happened at the disk. Clients note the position at which a request left and at which its answer
//! was there: what was answered at or before a position was acknowledged when the disk had just done what comes before it.

pub mod age;
pub mod cut;
pub mod guest;
pub mod life;
pub mod nbd;
pub mod record;
pub mod tools;

#[cfg(test)]
mod nbd_tests;
#[cfg(test)]
mod record_tests;
