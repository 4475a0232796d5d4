//! What recovery accepts: epoch after epoch as the continuation of the one before, and why it stops.
//!
//! 1. A cut that is good, numbered next, chained to its predecessor and of no older incarnation continues the log.
//! 2. The first slot that holds none ends it, and so does the first epoch with a block that isn't what its cut says.
//! 3. What lies behind the end tells what the end means. One flush is in flight at a time, so a good later cut whose
//!    `committed_through` reaches the hole proves that the epoch was durable once: damage, the start is refused.
//!    Otherwise the hole was being written when the power went: it is dropped, and said.
//!    A good cut that continues another one than the slot before it holds proves the same of that slot.
//! 4. A checkpoint proves the epochs that it holds. A start from one looks at its own cut, too, if the log has that: if it isn't
//!    there and nothing continues it, the cut log is not the one that was written.
//! 5. The opening cut of the new incarnation then takes the hole's slot, so that what was dropped stays dropped. A second
//!    one behind it, before the first request, shows if the drive ever brings the old cut back.

use super::cut::Cut;
use super::segment::{cut_place, stream_place};
use super::{Damage, File, Identity};
use crate::limits::SECTOR_SIZE;
use crate::pacer::LogEnd;
use std::fmt;

/// What is said of a slot that nothing was written to.
const EMPTY: &str = "the slot is empty";

/// A block that a replay could not accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDamage {
    /// Its epoch.
    pub epoch: u64,
    /// Its stream.
    pub stream: u16,
    /// Its byte offset in the stream.
    pub offset: u64,
    /// What is wrong.
    pub damage: Damage,
}

/// A hole in the log at or below what was proven durable. The start is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The epoch that can't be read.
    pub epoch: u64,
    /// The file that is damaged.
    pub file: File,
    /// Byte offset in it.
    pub offset: u64,
    /// What is wrong there.
    pub damage: Damage,
    /// Through which epoch a later cut, or a checkpoint, says that all was durable.
    pub proven: u64,
    /// It isn't damage: a binary of another version wrote the epoch.
    pub other_version: bool,
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, file, offset, damage, proven, other_version } = self;
        if *other_version {
            return write!(f, "epoch {epoch}, {file} at byte {offset}: {damage}. Nothing was changed");
        }
        write!(
            f,
            "the log is damaged: epoch {epoch}, {file} at byte {offset}: {damage}. A later cut, or a checkpoint, proves that epochs \
             through {proven} were durable, so acknowledged transfers are missing. Nothing was changed. Restore the \
             file from a copy of this directory, or the directory from a backup; keep the damaged one"
        )
    }
}

/// What recovery says of an epoch that it dropped: no later cut proves that it was ever durable as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The epoch.
    pub epoch: u64,
    /// Why.
    pub damage: Damage,
}

/// The reader of the cut log.
#[derive(Debug)]
pub struct Recovery {
    identity: Identity,
    /// The epoch whose state it goes on from; 0 for none.
    from: u64,
    /// What is wrong with the cut of that epoch, as long as nothing continues it.
    from_is_missing: Option<Damage>,
    from_is_dropped: bool,
    /// The log so far, blocks not looked at.
    end: LogEnd,
    /// Where and why the log stopped, if it has.
    stopped: Option<(File, u64, u64, Damage)>,
    /// Highest `committed_through` of any good cut, or epoch of a checkpoint.
    proven: u64,
    /// First epoch that a binary of another version wrote.
    other_version: Option<u64>,
}

impl Recovery {
    /// A recovery of the log behind `from`, the end of what a checkpoint holds or of nothing.
    pub fn new(identity: Identity, from: LogEnd) -> Self {
        Self {
            identity,
            from: from.epoch,
            from_is_missing: None,
            from_is_dropped: false,
            end: from,
            stopped: None,
            proven: from.epoch,
            other_version: None,
        }
    }

    /// What a checkpoint says of a log that has its epochs from `log_from` on: those through `proven` were durable.
    pub fn prove(&mut self, log_from: u64, proven: u64) {
        self.proven = self.proven.max(proven);
        self.from_is_missing = (1..=self.from).contains(&log_from).then(|| Damage(EMPTY.into()));
    }

    /// Where the log ends, as far as its cuts were read.
    pub fn end(&self) -> LogEnd {
        self.end
    }

    /// Takes the sector in the slot of `epoch`; slots come in order, from the epoch's that the log goes on from if it has that
    /// slot. Returns the cut if it continues the log.
    pub fn take(&mut self, epoch: u64, sector: &[u8]) -> Option<Cut> {
        if epoch == self.from {
            self.from_is_missing = check_cut(&self.identity, sector, self.end.checksum).err();
            self.from_is_dropped = self.is_dropped(sector);
            return None;
        }
        if sector.iter().all(|byte| *byte == 0) {
            self.stop(epoch, || Damage(EMPTY.into()));
            return None;
        }
        if let Some(other) = Cut::other_version(sector) {
            // A good epoch that this binary can't read is no end of the log.
            self.proven = self.proven.max(epoch);
            self.other_version = self.other_version.or(Some(epoch));
            self.stop(epoch, || Damage(other));
            return None;
        }
        let (cut, checksum) = match Cut::decode(&self.identity, sector) {
            Ok(good) => good,
            Err(damage) => {
                self.stop(epoch, || damage);
                return None;
            }
        };
        self.proven = self.proven.max(cut.committed_through);
        let incarnation = self.end.incarnation;
        self.end.incarnation = incarnation.max(cut.incarnation);
        if self.stopped.is_some() {
            return None;
        }
        if cut.epoch == epoch && cut.committed_through == self.end.epoch && cut.previous != self.end.checksum
        {
            self.stop_at_the_cut_before(&cut);
            return None;
        }
        if let Err(damage) = self.continues(epoch, incarnation, &cut) {
            self.stop(epoch, || damage);
            return None;
        }
        self.from_is_missing = None;
        self.end.epoch = cut.epoch;
        self.end.checksum = checksum;
        self.end.time_end = cut.time + cut.units() as u64 + 1;
        self.end.expired_through = cut.expire_through;
        self.end.horizon = cut.horizon;
        Some(cut)
    }

    /// Whether a start has dropped the epoch that this goes on from: the checkpoint shows a state that no other start has.
    ///
    /// 1. An epoch is committed, nothing proves it yet, and its state becomes a checkpoint.
    /// 2. Its cut rots, and the manifest can't be read. A start drops the epoch, and puts its opening cut into the slot.
    /// 3. The next start reads the manifest, and the log doesn't continue what it says.
    pub fn is_other_log(&self) -> bool {
        self.from_is_dropped
    }

    /// Whether the slot of the epoch that this goes on from has the cut of a later start.
    fn is_dropped(&self, sector: &[u8]) -> bool {
        Cut::decode(&self.identity, sector).is_ok_and(|(cut, checksum)| {
            cut.epoch == self.end.epoch
                && cut.incarnation > self.end.incarnation
                && checksum != self.end.checksum
        })
    }

    /// 1. An epoch was being written when the power went; a start dropped it and put its opening cut into the slot.
    /// 2. The drive brings the dropped cut back into the slot. It continues the log as it did when it was written.
    /// 3. The cut behind it names the opening cut and says that all before was durable: so it is the slot before that is
    ///    damaged, and not this cut that was never finished.
    fn stop_at_the_cut_before(&mut self, cut: &Cut) {
        let (found, expected) = (self.end.checksum, cut.previous);
        self.stop(self.end.epoch.max(1), || {
            Damage(format!(
                "the next cut continues another one: checksum {found:032x}, expected {expected:032x}"
            ))
        });
    }

    fn continues(&self, epoch: u64, incarnation: u64, cut: &Cut) -> Result<(), Damage> {
        super::expect("epoch of the cut", cut.epoch, epoch)?;
        super::expect("cut before this one", cut.previous, self.end.checksum)?;
        if cut.incarnation < incarnation || cut.committed_through >= epoch || cut.time < self.end.time_end {
            return Err(Damage(format!(
                "the cut of epoch {epoch} is of incarnation {} and time {}, the log before it of {incarnation} and {}",
                cut.incarnation, cut.time, self.end.time_end
            )));
        }
        if !(self.end.expired_through..=cut.time).contains(&cut.expire_through) {
            return Err(Damage(format!(
                "the cut of epoch {epoch} expires through {}, expected {} to {}",
                cut.expire_through, self.end.expired_through, cut.time
            )));
        }
        if cut.horizon < self.end.horizon {
            return Err(Damage(format!(
                "the cut of epoch {epoch} has the horizon {}, expected {} or later",
                cut.horizon, self.end.horizon
            )));
        }
        Ok(())
    }

    fn stop(&mut self, epoch: u64, damage: impl FnOnce() -> Damage) {
        if self.stopped.is_none() {
            let (file, offset) = cut_place(epoch);
            self.stopped = Some((file, offset, epoch, damage()));
        }
    }

    /// Every slot was read, and the blocks through the last good epoch: `block` is the first that is not. `before` is the
    /// end of the log in front of it. Says where the log ends and what was dropped, or why it can't be started.
    pub fn finish(
        &self,
        block: Option<(BlockDamage, LogEnd)>,
    ) -> Result<(LogEnd, Option<Dropped>), Box<Hole>> {
        let (end, other, mut hole) = match block {
            Some((block, before)) => {
                let (file, offset) = stream_place(block.stream, block.offset);
                (before, None, Some((file, offset, block.epoch, block.damage)))
            }
            None => (self.end, self.other_version, self.stopped.clone()),
        };
        if let Some(damage) = &self.from_is_missing {
            let ((file, offset), damage) = (cut_place(self.from), damage.clone());
            let (epoch, proven) = (self.from, self.proven);
            return Err(Box::new(Hole { epoch, file, offset, damage, proven, other_version: false }));
        }
        let end = LogEnd { incarnation: self.end.incarnation, ..end };
        if hole.is_none() && end.epoch < self.proven {
            let ((file, offset), epoch) = (cut_place(end.epoch + 1), end.epoch + 1);
            hole = Some((file, offset, epoch, Damage("the cut log ends before".into())));
        }
        let Some((file, offset, epoch, damage)) = hole else {
            return Ok((end, None));
        };
        if epoch <= self.proven {
            let other_version = other == Some(epoch);
            return Err(Box::new(Hole { epoch, file, offset, damage, proven: self.proven, other_version }));
        }
        let empty = damage.0 == EMPTY;
        Ok((end, (!empty).then_some(Dropped { epoch, damage })))
    }
}

/// Checks that a slot holds the cut with this checksum.
pub fn check_cut(identity: &Identity, sector: &[u8], expected: u128) -> Result<(), Damage> {
    if sector.iter().all(|byte| *byte == 0) {
        return Err(Damage(EMPTY.into()));
    }
    let (_, found) = Cut::decode(identity, sector)?;
    super::expect("checksum of the cut", found, expected)
}

/// Bytes of a cut's slot.
pub const SLOT_SIZE: usize = SECTOR_SIZE;
