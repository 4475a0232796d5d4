//! What shards tell each other while they execute an epoch.

use crate::chunk::{Chunk, Item, Kind};
use crate::ledger::ids::Consumed;
use crate::ledger::rules::{Rank, Side};
use crate::place::Position;
use auriga_wire::Account;
use bytemuck::{Pod, Zeroable};

/// Which ring of a pair a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Drained in shard order and only when the receiver wants it: epoch E+1 may lie there while E is executed.
    Route,
    /// Drained at any time.
    Control,
}

/// A message from one shard to another.
#[derive(Debug)]
pub enum Message {
    /// Messages of one kind.
    Chunk(Chunk),
    /// A chunk that was read, on its way home.
    Return(Chunk),
    /// Route lane: what follows belongs to this epoch; every look-up for the gap before it has been sent.
    Start {
        /// The epoch.
        epoch: u64,
    },
    /// Route lane: that was all of this epoch's legs, notes and accounts.
    Routed {
        /// The epoch.
        epoch: u64,
    },
    /// Those were all votes; so many of the sender's legs and notes are held.
    Voted {
        /// The epoch.
        epoch: u64,
        /// Held legs and notes.
        held: u32,
    },
    /// To the coordinator: those were all open legs and notes.
    Gathered {
        /// The epoch.
        epoch: u64,
    },
    /// From the coordinator: those were all its refusals.
    Scattered {
        /// The epoch.
        epoch: u64,
    },
    /// Between a shard and the pacer, on commits and the log.
    Pace(crate::pacer::Pace),
    /// Between the arrival shard of a look-up and the others.
    Query(crate::query::QueryMessage),
}

impl Message {
    /// The lane that the message takes.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Start { .. } | Self::Routed { .. } => Lane::Route,
            Self::Query(query) => query.lane(),
            Self::Chunk(chunk) => match chunk.kind() {
                Kind::Legs | Kind::Notes | Kind::Accounts | Kind::Wanted => Lane::Route,
                _ => Lane::Control,
            },
            _ => Lane::Control,
        }
    }
}

/// Half of a transfer, for the shard of one of its accounts: 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Leg {
    /// The account.
    pub account: u128,
    /// The transfer's amount.
    pub amount: u128,
    /// The transfer's ledger.
    pub ledger: u32,
    /// The transfer's index in the epoch.
    pub index: u16,
    /// Shard of the other leg.
    pub peer: u16,
    /// Shard of the transfer's id.
    pub id_shard: u16,
    /// 0 debit, 1 credit.
    pub side: u8,
    /// Padding.
    pub pad: [u8; 5],
}

impl Leg {
    /// Which side of the transfer it is.
    #[inline]
    pub fn side(&self) -> Side {
        side_from(self.side)
    }
}

fn side_from(number: u8) -> Side {
    if number == 0 { Side::Debit } else { Side::Credit }
}

/// A transfer's id, for its shard: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Note {
    /// The id.
    pub id: u128,
    /// Hash of the compared fields.
    pub content: u64,
    /// The transfer's index in the epoch.
    pub index: u16,
    /// Shard of the debit leg.
    pub debit_shard: u16,
    /// Shard of the credit leg.
    pub credit_shard: u16,
    /// 1 if the transfer has a fault of its own: it has no legs, consumes nothing, and only asks whether the id was.
    pub probe: u8,
    /// Padding.
    pub pad: u8,
}

/// An account to create: 144 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct NewAccount {
    /// The account.
    pub account: Account,
    /// The event's index in the epoch.
    pub index: u16,
    /// 1 if it has a fault of its own: it only asks whether the account exists.
    pub probe: u8,
    /// Padding.
    pub pad: [u8; 13],
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ballot {
    /// The event is refused, with this rank.
    Refused = 0,
    /// A leg can't tell yet.
    Held = 1,
    /// For a duplicate that was answered `exists`: its original was refused after all.
    OriginalRefused = 2,
}

/// What a refusal adds to its rank: 12 bytes, all 0 for most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    value: u64,
    check: u32,
}

/// The transfer that a duplicate repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// Where it lies.
    pub position: Position,
    /// Whether the duplicate's content is the same.
    pub same: bool,
    /// What its content is known by, see [`crate::ledger::ids::check_of`].
    pub check: u32,
}

impl Detail {
    /// Nothing to add.
    pub const NONE: Self = Self { value: 0, check: 0 };
    const SAME: u64 = 1 << 63;

    /// With a wrong ledger: the account's.
    pub fn ledger(ledger: u32) -> Self {
        Self { value: u64::from(ledger), check: 0 }
    }

    /// With `exists`: the original.
    pub fn original(consumed: &Consumed) -> Self {
        let same = if consumed.same { Self::SAME } else { 0 };
        Self { value: consumed.position.0 | same, check: consumed.check }
    }

    /// The ledger that was found.
    pub fn as_ledger(self) -> u32 {
        self.value as u32
    }

    /// The original that was found.
    pub fn as_original(self) -> Original {
        let position = Position(self.value & !Self::SAME);
        Original { position, same: self.value & Self::SAME != 0, check: self.check }
    }
}

/// A refusal or a hold of one event: 16 bytes. Silence is consent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Vote {
    detail: u64,
    check: u32,
    /// The event's index in the epoch.
    pub index: u16,
    /// [`Rank`] of the refusal.
    pub rank: u8,
    ballot: u8,
}

impl Vote {
    /// A refusal.
    pub fn refuse(index: u16, rank: Rank, detail: Detail) -> Self {
        Self { detail: detail.value, check: detail.check, index, rank: rank.0, ballot: Ballot::Refused as u8 }
    }

    /// A leg that can't tell yet.
    pub fn hold(index: u16) -> Self {
        Self { ballot: Ballot::Held as u8, ..Self::refuse(index, Rank::CREATED, Detail::NONE) }
    }

    /// A duplicate whose original was refused.
    pub fn original_refused(index: u16) -> Self {
        let vote = Self::refuse(index, Rank::ID_ALREADY_FAILED, Detail::NONE);
        Self { ballot: Ballot::OriginalRefused as u8, ..vote }
    }

    /// What a refusal adds to its rank.
    pub fn detail(&self) -> Detail {
        Detail { value: self.detail, check: self.check }
    }

    /// What the vote says.
    pub fn ballot(&self) -> Ballot {
        match self.ballot {
            0 => Ballot::Refused,
            1 => Ballot::Held,
            _ => Ballot::OriginalRefused,
        }
    }
}

/// A leg whose transfer is open after the vote, for the coordinator: 64 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct OpenLeg {
    /// The transfer's amount.
    pub amount: u128,
    /// The account's debits with all that is decided before this leg.
    pub debits: u128,
    /// The account's credits with all that is decided before this leg.
    pub credits: u128,
    /// The account's number among those that the sender tracks.
    pub account: u32,
    /// The transfer's index in the epoch.
    pub index: u16,
    /// Shard of the other leg.
    pub peer: u16,
    /// Shard of the transfer's id.
    pub id_shard: u16,
    /// The account's flags.
    pub flags: u16,
    /// 0 debit, 1 credit.
    pub side: u8,
    /// 1 if this leg is held: its check is still to be made.
    pub held: u8,
    /// 1 if the transfer is refused already: the check can only change the code.
    pub refused: u8,
    /// Padding.
    pub pad: u8,
}

impl OpenLeg {
    /// Which side of the transfer it is.
    pub fn side(&self) -> Side {
        side_from(self.side)
    }
}

/// A duplicate whose original is in the same epoch, for the coordinator: 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct OpenNote {
    /// The duplicate's index in the epoch.
    pub index: u16,
    /// The original's.
    pub original: u16,
    /// 1 if the votes have refused the original.
    pub original_refused: u8,
    /// Padding.
    pub pad: [u8; 11],
}

macro_rules! items {
    ($($item:ty = $kind:ident, $size:literal;)*) => {
        $(
            impl Item for $item {
                const KIND: Kind = Kind::$kind;
            }
            const _: () = assert!(size_of::<$item>() == $size);
        )*
    };
}

items! {
    Leg = Legs, 48;
    Note = Notes, 32;
    NewAccount = Accounts, 144;
    Vote = Votes, 16;
    OpenLeg = OpenLegs, 64;
    OpenNote = OpenNotes, 16;
}
