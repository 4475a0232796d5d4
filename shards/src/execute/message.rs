//! What shards tell each other while they execute an epoch.

use crate::chunk::{Chunk, Item, Kind};
use crate::ledger::ids::{Consumed, Status};
use crate::ledger::rules::{Balance, Half, Rank, Side};
use crate::place::Position;
use auriga_wire::record::TransferFlags;
use auriga_wire::{Account, Transfer};
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
        /// What the sender's blocks hold beyond plain transfers.
        special: Special,
    },
    /// Route lane: that was all that this epoch's blocks ask for.
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
                Kind::Legs
                | Kind::Notes
                | Kind::Accounts
                | Kind::Reserves
                | Kind::Claims
                | Kind::Releases
                | Kind::Closings
                | Kind::Wanted => Lane::Route,
                _ => Lane::Control,
            },
            _ => Lane::Control,
        }
    }
}

/// What an epoch, or one shard's part of it, holds beyond plain and pending transfers: it changes how legs are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// Posts or voids: a balance can get better in ways that its legs don't show.
    pub claims: bool,
    /// Balancing or closing transfers, or linked accounts: every account is tracked.
    pub track_all: bool,
}

impl Special {
    /// Adds another shard's.
    pub fn add(&mut self, other: Self) {
        self.claims |= other.claims;
        self.track_all |= other.track_all;
    }
}

/// Bits of what a leg is.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct LegKind(pub u8);

impl LegKind {
    /// On the credit side.
    pub const CREDIT: u8 = 1;
    /// The amount is only reserved.
    pub const PENDING: u8 = 1 << 1;
    /// Closes its account.
    pub const CLOSING: u8 = 1 << 2;
    /// The amount is at most what this account has.
    pub const BALANCING: u8 = 1 << 3;
    /// The amount is bounded by one of the two accounts.
    pub const VARIABLE: u8 = 1 << 4;
    /// Of a linked chain.
    pub const LINKED: u8 = 1 << 5;
    /// The transfer's deadline is beyond the end of time.
    pub const LATE: u8 = 1 << 6;

    /// The kind of a transfer's leg. Links are the caller's.
    pub fn new(flags: u16, side: Side) -> Self {
        type F = TransferFlags;
        let (balancing, closing) = match side {
            Side::Debit => (F::BALANCING_DEBIT, F::CLOSING_DEBIT),
            Side::Credit => (F::BALANCING_CREDIT, F::CLOSING_CREDIT),
        };
        let bit = |set: u16, bit: u8| if flags & set != 0 { bit } else { 0 };
        Self(
            bit(F::PENDING, Self::PENDING)
                | bit(closing, Self::CLOSING)
                | bit(balancing, Self::BALANCING)
                | bit(F::BALANCING, Self::VARIABLE)
                | if side == Side::Credit { Self::CREDIT } else { 0 },
        )
    }

    /// Whether it has this bit.
    #[inline]
    pub fn is(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Which side of the transfer it is.
    #[inline]
    pub fn side(self) -> Side {
        if self.is(Self::CREDIT) { Side::Credit } else { Side::Debit }
    }

    /// The half that moves this amount.
    #[inline]
    pub fn half(self, amount: u128) -> Half {
        Half { side: self.side(), pending: self.is(Self::PENDING), amount }
    }
}

/// Half of a transfer, for the shard of one of its accounts: 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Leg {
    /// The account.
    pub account: u128,
    /// The transfer's amount; the most it can be, if it is variable.
    pub amount: u128,
    /// The transfer's ledger.
    pub ledger: u32,
    /// What identifies it in the epoch.
    pub id: LegId,
    /// Padding.
    pub pad: [u8; 2],
}

/// What identifies a leg beside its account and amount: 10 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct LegId {
    /// The transfer's index in the epoch.
    pub index: u16,
    /// Index of the first transfer of its chain; its own if it is in none.
    pub unit: u16,
    /// Shard of the other leg.
    pub peer: u16,
    /// Shard of the transfer's id.
    pub id_shard: u16,
    /// What it is.
    pub kind: LegKind,
    /// Padding.
    pub pad: u8,
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
    /// Shards of the legs; of a wide one its unit, and nothing.
    pub legs_or_unit: [u16; 2],
    /// Bits.
    pub kind: u8,
    /// Padding.
    pub pad: u8,
}

impl Note {
    /// The transfer has a fault of its own: it has no legs, consumes nothing, and only asks whether the id was.
    pub const PROBE: u8 = 1;
    /// Of a linked chain, or a post or void: refusals concern every shard.
    pub const WIDE: u8 = 1 << 1;
    /// Of a pending transfer.
    pub const PENDING: u8 = 1 << 2;
    /// Of a balancing transfer.
    pub const VARIABLE: u8 = 1 << 3;

    /// Whether it has this bit.
    pub fn is(&self, bit: u8) -> bool {
        self.kind & bit != 0
    }

    /// Index of the first transfer of its chain.
    pub fn unit(&self) -> u16 {
        if self.is(Self::WIDE) { self.legs_or_unit[0] } else { self.index }
    }
}

/// What the shard of a pending transfer's id has to know to end it: 64 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Reserve {
    /// The debit account.
    pub debit_account_id: u128,
    /// The credit account.
    pub credit_account_id: u128,
    /// The amount; the most it can be, if it is variable.
    pub amount: u128,
    /// Seconds; 0 for none.
    pub timeout: u32,
    /// The transfer's ledger.
    pub ledger: u32,
    /// The transfer's index in the epoch.
    pub index: u16,
    /// The transfer's code.
    pub code: u16,
    /// The transfer's flags.
    pub flags: u16,
    /// Padding.
    pub pad: u16,
}

/// A post or void, for the shard of the pending transfer's id: 80 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Claim {
    /// The pending transfer.
    pub pending_id: u128,
    /// As asked for; 0 for the pending one's.
    pub debit_account_id: u128,
    /// As asked for; 0 for the pending one's.
    pub credit_account_id: u128,
    /// As asked for.
    pub amount: u128,
    /// As asked for; 0 for the pending one's.
    pub ledger: u32,
    /// The transfer's index in the epoch.
    pub index: u16,
    /// Index of the first transfer of its chain.
    pub unit: u16,
    /// As asked for; 0 for the pending one's.
    pub code: u16,
    /// The transfer's flags.
    pub flags: u16,
    /// Shard of the transfer's id.
    pub id_shard: u16,
    /// Padding.
    pub pad: u16,
}

impl Claim {
    /// The fields that are compared with the pending transfer's.
    pub fn transfer(&self) -> Transfer {
        Transfer {
            debit_account_id: self.debit_account_id,
            credit_account_id: self.credit_account_id,
            amount: self.amount,
            pending_id: self.pending_id,
            ledger: self.ledger,
            code: self.code,
            flags: self.flags,
            ..Transfer::default()
        }
    }

    /// Whether it voids.
    pub fn is_void(&self) -> bool {
        self.flags & TransferFlags::VOID_PENDING_TRANSFER != 0
    }
}

/// No index.
pub const NO_INDEX: u16 = u16::MAX;
/// No slot: the account doesn't exist, or not yet.
pub const NO_SLOT: u32 = u32::MAX;

/// What a post or void does to one account, from the shard of the pending transfer: 64 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct ClaimLeg {
    /// The account.
    pub account: u128,
    /// What the pending transfer had reserved.
    pub reserved: u128,
    /// What is posted of it.
    pub posted: u128,
    /// The account's slot, as the receiver has found it; [`NO_SLOT`] if it has not.
    pub slot: u32,
    /// The post's or void's index in the epoch.
    pub index: u16,
    /// Index of the first transfer of its chain.
    pub unit: u16,
    /// Index of the pending transfer if its amount is variable and not known yet, else [`NO_INDEX`].
    pub variable: u16,
    /// 0 debit, 1 credit.
    pub credit: u8,
    /// 1 if a closed account refuses it: a post.
    pub is_post: u8,
    /// 1 if it opens the account: a void of what had closed it.
    pub reopens: u8,
    /// Padding.
    pub pad: [u8; 3],
}

impl ClaimLeg {
    /// Which side it is.
    pub fn side(&self) -> Side {
        if self.credit == 0 { Side::Debit } else { Side::Credit }
    }
}

/// What a post or void does, for the shard of its id: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Ending {
    /// What it moves, unless the pending transfer is variable.
    pub amount: u128,
    /// Where the pending transfer lies.
    pub pending: u64,
    /// What that is known by.
    pub check: u32,
    /// The post's or void's index in the epoch.
    pub index: u16,
    /// 1 if the pending transfer is variable.
    pub is_variable: u16,
}

/// What an expired pending transfer gives back to one account: 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Release {
    /// The account.
    pub account: u128,
    /// What was reserved.
    pub reserved: u128,
    /// 0 debit, 1 credit.
    pub credit: u8,
    /// 1 if it opens the account.
    pub reopens: u8,
    /// Padding.
    pub pad: [u8; 14],
}

/// An account that the epoch before closed or opened, for every shard: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Closing {
    /// The account.
    pub account: u128,
    /// 1 closed, 0 opened.
    pub closed: u8,
    /// Padding.
    pub pad: [u8; 15],
}

/// An account to create: 144 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct NewAccount {
    /// The account.
    pub account: Account,
    /// The event's index in the epoch.
    pub index: u16,
    /// Index of the first account of its chain.
    pub unit: u16,
    /// 1 if it has a fault of its own: it only asks whether the account exists.
    pub probe: u8,
    /// 1 if it is of a linked chain.
    pub linked: u8,
    /// Padding.
    pub pad: [u8; 10],
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

/// How a duplicate of what has ended before is refused.
#[cold]
pub fn refusal_of(consumed: &Consumed) -> (Rank, Detail) {
    match consumed.status {
        Status::Refused => (Rank::ID_ALREADY_FAILED, Detail::NONE),
        _ => (Rank::EXISTS, Detail::original(consumed)),
    }
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

/// A refusal or a hold of one event: 32 bytes. Silence is consent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Vote {
    detail: u64,
    check: u32,
    /// The event's index in the epoch.
    pub index: u16,
    /// Index of the first event of its chain.
    pub unit: u16,
    /// [`Rank`] of the refusal.
    pub rank: u8,
    ballot: u8,
    pad: [u8; 14],
}

impl Vote {
    /// A refusal.
    pub fn refuse(index: u16, unit: u16, rank: Rank, detail: Detail) -> Self {
        let (detail, check) = (detail.value, detail.check);
        Self { detail, check, index, unit, rank: rank.0, ballot: Ballot::Refused as u8, pad: [0; 14] }
    }

    /// A leg that can't tell yet.
    pub fn hold(index: u16, unit: u16) -> Self {
        Self { ballot: Ballot::Held as u8, ..Self::refuse(index, unit, Rank::CREATED, Detail::NONE) }
    }

    /// A duplicate whose original was refused.
    pub fn original_refused(index: u16, unit: u16) -> Self {
        let vote = Self::refuse(index, unit, Rank::ID_ALREADY_FAILED, Detail::NONE);
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

/// A leg, or what a post or void does to an account, that is open after the vote, for the coordinator: 128 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct OpenLeg {
    /// The transfer's amount; of a post what is posted.
    pub amount: u128,
    /// Of a post or void: what was reserved.
    pub reserved: u128,
    /// The account's sums with all that is decided before this leg: pending and posted debits, pending and posted credits.
    pub known: [u128; 4],
    /// The account's number among those that the sender tracks.
    pub account: u32,
    /// The transfer's ledger.
    pub ledger: u32,
    /// What identifies it.
    pub id: LegId,
    /// The account's flags.
    pub flags: u16,
    /// Of a post or void of a variable pending transfer of this epoch: that one's index, else [`NO_INDEX`].
    pub variable: u16,
    /// Bits.
    pub is: u8,
    /// Padding.
    pub pad: [u8; 9],
}

impl OpenLeg {
    /// Its check is still to be made.
    pub const HELD: u8 = 1;
    /// The event is refused already: the check can only change the code.
    pub const REFUSED: u8 = 1 << 1;
    /// Its unit is refused already.
    pub const UNIT_REFUSED: u8 = 1 << 2;
    /// Of a post or void.
    pub const CLAIM: u8 = 1 << 3;
    /// Opens the account.
    pub const REOPENS: u8 = 1 << 4;
    /// Whether the account exists is open, too.
    pub const UNCERTAIN: u8 = 1 << 5;

    /// Whether it has this bit.
    pub fn is(&self, bit: u8) -> bool {
        self.is & bit != 0
    }

    /// The account's balance with all that is decided before this leg.
    pub fn balance(&self) -> Balance {
        balance_from(self.known)
    }
}

/// A balance as messages carry it.
pub fn balance_to(balance: &Balance) -> [u128; 4] {
    [balance.debits.pending, balance.debits.posted, balance.credits.pending, balance.credits.posted]
}

/// A balance as messages carry it.
pub fn balance_from([a, b, c, d]: [u128; 4]) -> Balance {
    use crate::ledger::rules::Sums;
    Balance { debits: Sums { pending: a, posted: b }, credits: Sums { pending: c, posted: d } }
}

/// A duplicate whose original is in the same epoch, for the coordinator: 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct OpenNote {
    /// The duplicate's index in the epoch.
    pub index: u16,
    /// Index of the first transfer of its chain.
    pub unit: u16,
    /// Index of the first transfer of the original's chain.
    pub original_unit: u16,
    /// 1 if the votes have refused the original.
    pub original_refused: u8,
    /// Padding.
    pub pad: [u8; 9],
}

/// A post or void whose pending transfer's state is open, for the coordinator: 64 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct OpenClaim {
    /// The amount that is asked for.
    pub asked: u128,
    /// The pending transfer's; the most it can be, if it is variable.
    pub amount: u128,
    /// The pending transfer's number among the sender's claimed ones.
    pub pending: u32,
    /// The post's or void's index in the epoch.
    pub index: u16,
    /// Index of the first transfer of its chain.
    pub unit: u16,
    /// If the pending transfer is of this epoch: index of the first transfer of its chain, else [`NO_INDEX`].
    pub opened_unit: u16,
    /// Its own index if it is variable, too, else [`NO_INDEX`].
    pub variable: u16,
    /// Rank of its refusal by the pending transfer's fields.
    pub rank: u8,
    /// 1 if it voids.
    pub is_void: u8,
    /// 1 if the votes have refused the pending transfer.
    pub opened_refused: u8,
    /// 1 if its unit is refused already.
    pub unit_refused: u8,
    /// 1 if the pending transfer's id is forgotten.
    pub is_forgotten: u8,
    /// Padding.
    pub pad: [u8; 15],
}

/// An account whose creation is open, for the coordinator: 144 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct OpenAccount {
    /// The account.
    pub account: Account,
    /// The account's number among those that the sender tracks.
    pub number: u32,
    /// The event's index in the epoch.
    pub index: u16,
    /// Index of the first account of its chain.
    pub unit: u16,
    /// 1 if it only asks whether the account exists.
    pub probe: u8,
    /// 1 if it is of a linked chain.
    pub linked: u8,
    /// 1 if its unit is refused already.
    pub unit_refused: u8,
    /// Padding.
    pub pad: [u8; 5],
}

/// What a variable transfer moves, from the coordinator to every shard: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Amount {
    /// The amount.
    pub amount: u128,
    /// The transfer's index in the epoch.
    pub index: u16,
    /// Padding.
    pub pad: [u8; 14],
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
    Reserve = Reserves, 64;
    Claim = Claims, 80;
    Release = Releases, 48;
    Closing = Closings, 32;
    ClaimLeg = ClaimLegs, 64;
    Ending = Endings, 32;
    Vote = Votes, 32;
    OpenLeg = OpenLegs, 128;
    OpenNote = OpenNotes, 16;
    OpenClaim = OpenClaims, 64;
    OpenAccount = OpenAccounts, 144;
    Amount = Amounts, 32;
}
