//! The events of a batch: what each of its transfers is, drawn one after the other.

use crate::draw::{AMOUNT_MAX, Draw, Draws};
use crate::mix::{CHAIN, Mix, Part};
use crate::workload::{CODE, LEDGER, Names};
use auriga_wire::Transfer;
use auriga_wire::record::TransferFlags;
use std::iter::Take;
use std::ops::Range;

/// Seconds until a pending transfer expires: a year, so none does while it matters.
pub const TIMEOUT_SECONDS: u32 = 365 * 24 * 3_600;
/// Resolutions are dealt out in parts of this many: one posts a part, one voids, the others post in full.
const RESOLUTION_PARTS: u64 = 8;

/// What a transfer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Moves the amount.
    Plain,
    /// Reserves the amount.
    Pending,
    /// Moves the amount, of what an earlier one has reserved.
    Post {
        /// What was reserved.
        reserved: u64,
    },
    /// Gives the amount back that an earlier one has reserved.
    Void,
}

/// A transfer without its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its accounts and amount.
    pub draw: Draw,
    /// What it does.
    pub kind: Kind,
    /// Whether the next one belongs to the same chain.
    pub linked: bool,
}

/// The events of one batch, one after the other.
#[derive(Debug)]
pub struct Events {
    /// The kinds of transfers.
    pub(crate) mix: Mix,
    /// Draws of the batch.
    pub(crate) draws: Draws,
    /// Draws of the batch whose pending transfers are resolved, as many as it has.
    pub(crate) resolved: Option<Take<Draws>>,
    /// Whether it is the turn of even ones to reserve and of odd ones to resolve.
    pub(crate) even_reserves: bool,
    /// The indexes that are left.
    pub(crate) indexes: Range<u32>,
}

impl Iterator for Events {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        let index = self.indexes.next()?;
        let draw = self.draws.draw();
        let reserved = self.resolved.as_mut().and_then(Take::next);
        Some(match self.mix.part(index) {
            Part::Plain => Event { draw, kind: Kind::Plain, linked: false },
            Part::Chain => {
                let linked = index % CHAIN != CHAIN - 1 && !self.indexes.is_empty();
                Event { draw, kind: Kind::Plain, linked }
            }
            Part::TwoPhase { even } if even == self.even_reserves => {
                Event { draw, kind: Kind::Pending, linked: false }
            }
            Part::TwoPhase { .. } => match reserved {
                Some(reserved) => resolution(reserved, draw.amount),
                None => Event { draw, kind: Kind::Plain, linked: false },
            },
        })
    }
}

/// What becomes of a pending transfer; `chance` is from 1 to `AMOUNT_MAX`.
fn resolution(reserved: Draw, chance: u64) -> Event {
    let (part, share) = ((chance - 1) % RESOLUTION_PARTS, (chance - 1) / RESOLUTION_PARTS);
    let post = |amount| (Draw { amount, ..reserved }, Kind::Post { reserved: reserved.amount });
    let (draw, kind) = match part {
        0 => (reserved, Kind::Void),
        1 => post(1 + (reserved.amount - 1) * share / (AMOUNT_MAX / RESOLUTION_PARTS)),
        _ => post(reserved.amount),
    };
    Event { draw, kind, linked: false }
}

impl Event {
    /// The event as a transfer. Posts and voids name everything that they may leave out, so that they are found again
    /// as they were sent.
    #[inline]
    pub(crate) fn transfer(&self, id: u128, resolved_id: u128, names: Names) -> Transfer {
        let Self { draw: Draw { debit, credit, amount }, kind, linked } = *self;
        let (flags, pending_id, timeout) = match kind {
            Kind::Plain if linked => (TransferFlags::LINKED, 0, 0),
            Kind::Plain => (0, 0, 0),
            Kind::Pending => (TransferFlags::PENDING, 0, TIMEOUT_SECONDS),
            Kind::Post { .. } => (TransferFlags::POST_PENDING_TRANSFER, resolved_id, 0),
            Kind::Void => (TransferFlags::VOID_PENDING_TRANSFER, resolved_id, 0),
        };
        Transfer {
            id,
            debit_account_id: names.id(debit),
            credit_account_id: names.id(credit),
            amount: u128::from(amount),
            pending_id,
            timeout,
            ledger: LEDGER,
            code: CODE,
            flags,
            ..Transfer::default()
        }
    }
}
