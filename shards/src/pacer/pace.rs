//! What shards and the pacer tell each other.

use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::take::Taken;
use crate::execute::message::Message;
use crate::ledger::Ledger;
use crate::limits::EXPIRE_MAX;
use crate::log::Damage;

/// What a shard and the pacer tell each other.
#[derive(Clone, Debug)]
pub enum Pace {
    /// To the pacer: a block waits, with so many units.
    Pending {
        /// Units of the front block.
        units: u32,
    },
    /// To a shard: seal your front block, if it has at most `grant` units, for this epoch.
    Close {
        /// The epoch.
        epoch: u64,
        /// Most units that the block may have; 0: none.
        grant: u32,
    },
    /// To the pacer: sealed (the block's entry came before, if there is one), and so many units wait in the next block.
    Sealed {
        /// The epoch.
        epoch: u64,
        /// Units of the next front block; 0 if there is none.
        pending: u32,
        /// What the sealed block asks for.
        asked: Counts,
    },
    /// To the pacer: every block of the epoch at this shard is durable (in a replay: read and good).
    Durable {
        /// The epoch.
        epoch: u64,
    },
    /// To the pacer, in a replay: a block of the epoch is not what its cut says.
    Damaged(Box<crate::log::recover::BlockDamage>),
    /// To a shard: the epoch is committed.
    Commit {
        /// The epoch.
        epoch: u64,
        /// What all shards held, as far as the pacer knew.
        held: Counts,
    },
    /// To the pacer: executed.
    Executed {
        /// The epoch.
        epoch: u64,
        /// What the shard holds after it.
        holdings: Holdings,
    },
    /// To a shard, in a replay: forget what was announced and not committed.
    Discard,
    /// To a shard: the log is replayed, this incarnation's opening cuts are durable, requests may come.
    Serve {
        /// This start's number.
        incarnation: u64,
    },
    /// To a shard: whether the cut log has no room for more than what is accepted.
    LogFull(bool),
    /// To a shard: the state after this epoch is to be a checkpoint.
    Checkpoint {
        /// The epoch, which no shard has executed.
        epoch: u64,
        /// Where it is written.
        slot: u8,
    },
    /// To shard 0: the part of the checkpoint, or why there is none.
    Part(Box<Taken>),
    /// To a shard: the checkpoint comes to nothing.
    GiveUp,
    /// To a shard: the log has no epochs before this one.
    LogFrom(u64),
    /// To a shard, before a replay: forget your state and take that of the checkpoint in this slot, or none.
    Load(Option<Box<(u8, Manifest)>>),
    /// To shard 0: the state is loaded, with this digest and so much in it; or what is damaged.
    Loaded(Box<Result<(u128, Holdings), Damage>>),
}

/// Counts of what is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accounts.
    pub accounts: u64,
    /// Remembered ids; as transfers that may consume one.
    pub ids: u64,
    /// Pending transfers.
    pub pendings: u64,
}

impl Counts {
    /// Things of every kind.
    pub fn in_all(&self) -> u64 {
        self.accounts + self.ids + self.pendings
    }
}

impl std::ops::Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            accounts: self.accounts + other.accounts,
            ids: self.ids + other.ids,
            pendings: self.pendings + other.pendings,
        }
    }
}

/// What a shard holds, as far as the pacer has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// How much.
    pub held: Counts,
    /// A horizon that frees a part of the ids' memory, nanoseconds.
    pub horizon_for_room: u64,
    /// The first deadline of a pending transfer, nanoseconds of epoch time; `u64::MAX` if there is none.
    pub first_due: u64,
    /// Up to this time no more than the shard's share of [`EXPIRE_MAX`] are due.
    pub due_through: u64,
}

impl Default for Holdings {
    fn default() -> Self {
        Self { held: Counts::default(), horizon_for_room: 0, first_due: u64::MAX, due_through: u64::MAX }
    }
}

impl Holdings {
    /// What this ledger holds.
    pub fn of(ledger: &Ledger) -> Self {
        let share = EXPIRE_MAX / usize::from(ledger.placement.shards());
        let (first_due, due_through) = ledger.pendings.due_bounds(share);
        let held = Counts {
            accounts: ledger.accounts.len() as u64,
            ids: ledger.ids.len() as u64,
            pendings: ledger.pendings.len() as u64,
        };
        Self { held, horizon_for_room: ledger.ids.horizon_for_room(), first_due, due_through }
    }
}

impl Pace {
    /// Whether this is said to shard 0, for its leading part.
    pub fn is_for_pacer(&self) -> bool {
        matches!(
            self,
            Self::Pending { .. }
                | Self::Sealed { .. }
                | Self::Durable { .. }
                | Self::Damaged(_)
                | Self::Executed { .. }
                | Self::Part(_)
                | Self::Loaded(_)
        )
    }
}

impl From<Pace> for Message {
    fn from(pace: Pace) -> Self {
        Self::Pace(pace)
    }
}
