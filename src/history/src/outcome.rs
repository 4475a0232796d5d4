//! What the builder is told: the log's blocks, and what execution made of them.

/// A committed and executed epoch.
#[derive(Clone, Copy, Debug)]
pub struct Epoch<'a> {
    /// Its number.
    pub number: u64,
    /// Checksum of its cut.
    pub checksum: u128,
    /// The timestamp of its unit 0, nanoseconds.
    pub time: u64,
    /// At its end pending transfers with a deadline up to this time expired, nanoseconds. Never less than the epoch
    /// before says, and not more than the epoch's time.
    pub expire_through: u64,
    /// Its blocks, by their first unit.
    pub blocks: &'a [BlockOutcome<'a>],
}

/// A block and what became of its events.
#[derive(Clone, Copy, Debug)]
pub struct BlockOutcome<'a> {
    /// The index in the epoch of the block's first unit.
    pub base: u16,
    /// The block as logged, checked.
    pub bytes: &'a [u8],
    /// Events that were refused: their unit indexes in the block, ascending.
    pub refused: &'a [u16],
    /// Balancing transfers that moved another amount than was asked for: unit index in the block, ascending, and amount.
    pub amounts: &'a [(u16, u128)],
}

impl BlockOutcome<'_> {
    /// Whether the event at this unit of the block was refused.
    pub(crate) fn is_refused(&self, unit: u16) -> bool {
        !self.refused.is_empty() && self.refused.binary_search(&unit).is_ok()
    }

    /// What the balancing transfer at this unit moved, if not what was asked for.
    pub(crate) fn amount(&self, unit: u16) -> Option<u128> {
        let at = self.amounts.binary_search_by_key(&unit, |(unit, _)| *unit).ok()?;
        Some(self.amounts[at].1)
    }
}
