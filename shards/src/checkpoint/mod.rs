//! Checkpoints: the state after an epoch, on disk, so that a start need not replay the whole log and the log need not be kept.
//!
//! 1. Shard 0 chooses an epoch ([`plan`]). In the gap behind it every shard freezes its state, and goes on: what is changed later
//!    is kept as it was.
//! 2. Each shard writes what it owns as a part ([`take`]), sheet by sheet, into one of two slots.
//! 3. Each part is made durable and read back ([`verify`]). Then the manifest is written, which makes the slot a checkpoint.
//! 4. What lies before the checkpoint in the other slot is not needed any more: that one is the last resort.
//!
//! A start takes the newest one that is whole ([`load`]): every shard reads all parts and keeps its own records, so checkpoints
//! belong to no number of shards. The bytes are described in `../log/FORMAT.md`.

pub mod load;
pub mod manifest;
pub mod plan;
pub mod sheet;
pub mod take;
pub mod verify;

use crate::log::Sector;
use manifest::Part;
use std::fmt;

/// Checkpoints that a directory has room for: one stays whole while the other is written.
pub const SLOTS: usize = 2;
/// Format: bytes of a manifest.
pub const MANIFEST_SIZE: usize = 8_192;

/// A file of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum File {
    /// What a shard owned.
    Part {
        /// The checkpoint's slot.
        slot: u8,
        /// The part's number, from 0.
        part: u16,
    },
    /// What makes a slot's parts a checkpoint.
    Manifest {
        /// The slot.
        slot: u8,
    },
}

impl fmt::Display for File {
    /// The file's name below the data directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part { slot, part } => write!(f, "checkpoints/{slot}/part-{part:03}"),
            Self::Manifest { slot } => write!(f, "checkpoints/{slot}/manifest"),
        }
    }
}

/// Work on the files of checkpoints that a shard leaves to a housekeeping thread, because it may take long.
#[derive(Debug)]
pub enum Errand {
    /// Of shard 0: remove the slot's manifest and parts of a former checkpoint, durably.
    Clear {
        /// The slot.
        slot: u8,
        /// History must durably have this epoch first, that of the other slot: what it lacks is told again by a replay, which
        /// begins in a slot that history has reached.
        history_through: u64,
    },
    /// Make the file of a part, with room for so many sheets.
    Make {
        /// The slot.
        slot: u8,
        /// The part.
        part: u16,
        /// Sheets.
        sheets: u32,
    },
    /// Make a part durable, read it back and check it.
    Verify {
        /// The slot.
        slot: u8,
        /// The part.
        part: u16,
        /// The checkpoint's epoch.
        epoch: u64,
        /// What it must be.
        expected: Part,
    },
    /// Of shard 0: write the manifest, durably, all at once, when history durably has its epoch. So the newest checkpoint is one
    /// that a start can begin with.
    Seal {
        /// The slot.
        slot: u8,
        /// Its epoch.
        epoch: u64,
        /// Its bytes.
        manifest: Vec<Sector>,
    },
    /// Of shard 0: the log through this epoch is not needed any more.
    Recycle {
        /// The epoch.
        through: u64,
    },
}

impl Errand {
    /// Whether it is one of the plan, and not of a shard's part.
    pub fn is_of_plan(&self) -> bool {
        !matches!(self, Self::Make { .. } | Self::Verify { .. })
    }
}

/// What became of an errand, or why it could not be done: a text for the operator.
pub type ErrandEnd = Result<ErrandDone, String>;

/// An errand that was done.
#[derive(Debug)]
pub enum ErrandDone {
    /// [`Errand::Clear`].
    Cleared,
    /// [`Errand::Make`].
    Made,
    /// [`Errand::Verify`].
    Verified {
        /// The part's share of the digest.
        digest: u128,
    },
    /// [`Errand::Seal`].
    Sealed,
    /// [`Errand::Recycle`].
    Recycled,
}
