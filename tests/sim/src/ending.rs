//! How a server dies, and what is left on the disk.

use crate::World;
use crate::choice::MOOD_STEPS_MAX;
use crate::disk::Fate;
use crate::invariants::{Broken, Invariant, broken};
use crate::machine::{Death, Machine};
use crate::operations::{Phase, Work};
use crate::slots;
use crate::tally::Tally;
use crate::trace::Mark;
use auriga_shards::checkpoint::Errand;
use auriga_shards::pacer::LogEnd;

/// How far the clock may be from the log's time at a start that takes it for granted, nanoseconds: ahead and behind.
const CLOCK_AHEAD_MAX_NS: i128 = 90 * 86_400 * 1_000_000_000;
const CLOCK_BEHIND_MAX_NS: i128 = 60 * 1_000_000_000;

impl Machine<'_> {
    /// The moment has come; often only once a write is under way.
    pub(crate) fn death_is_due(&self) -> bool {
        let Some(at) = self.fortune.death else { return false };
        let writes = self.operations.iter().any(|operation| operation.work.is_write());
        let steps = if self.fortune.dies_later { self.steps - self.steps_before_serving } else { self.steps };
        steps >= at && (writes || at % 4 == 0 || steps > at + MOOD_STEPS_MAX)
    }

    /// The power goes, or the process is killed.
    pub(crate) fn die(&mut self) {
        self.death = Some(if self.world.rng.bool() { Death::Power } else { Death::Killed });
    }

    /// A write fails: the server ends, and nobody knows what became of it.
    pub(crate) fn fail(&mut self) {
        self.death = Some(Death::FailedWrite);
    }

    /// A start has replayed the log: whether the clock is too far from the log's time.
    pub(crate) fn look_at_clock(&mut self, end: &LogEnd) {
        let ahead_ns = i128::from(self.clock.wall_ns) - i128::from(end.time_end);
        let fine = (-CLOCK_BEHIND_MAX_NS..=CLOCK_AHEAD_MAX_NS).contains(&ahead_ns);
        self.clock_is_away = !fine && !self.accepts_clock && end.epoch > 0;
    }

    /// The start is refused because of the clock.
    pub(crate) fn clock_is_away(&mut self, ahead_ns: i128) -> Result<(), Broken> {
        if !self.clock_is_away {
            let what = format!("the start is refused: the clock is away by {ahead_ns} ns");
            return broken(Invariant::Time, what);
        }
        self.world.tally.clock_away += 1;
        self.death = Some(Death::Refused);
        Ok(())
    }

    /// What the disk holds when the process has ended.
    pub(crate) fn end(&mut self) -> Result<(), Broken> {
        self.world.truth.hides_lost = false;
        let Some(death) = self.death else {
            // It was at rest and is stopped: nothing is under way.
            return Ok(());
        };
        self.count(death);
        self.world.trace.note(Mark::Fault, &[death as u64], &[]);
        let operations = std::mem::take(&mut self.operations);
        let World { rng, disk, tally, .. } = &mut *self.world;
        let mut fates = Vec::new();
        if death == Death::Power {
            fates = disk.lose_power(rng);
        }
        for operation in &operations {
            if let (Some((file, offset, bytes)), Phase::Asked) = (operation.work.written(), operation.phase) {
                let fate = Fate::draw(rng);
                fates.push(fate);
                disk.end_write(file, offset, bytes, fate, rng);
            }
        }
        // What is in the drive's cache is durable before the next start reads it: it flushes first.
        disk.end_flush(u64::MAX);
        note_fates(&fates, tally);
        for operation in operations {
            match operation.work {
                Work::Errand(errand) if self.world.rng.bool() => self.interrupt(&errand)?,
                Work::WriteSheet { file, number, sheet } if self.world.rng.bool() => {
                    self.world.disk.slots.write(file, number, &sheet);
                }
                _ => {}
            }
        }
        let World { disk, rng, history, tally, .. } = &mut *self.world;
        if death == Death::Power {
            note_fates(&disk.slots.lose_power(rng), tally);
        }
        if let Some(history) = history {
            history.stop(death == Death::Power, rng);
        }
        Ok(())
    }

    /// An errand is done, though nobody hears of it; a part of the log may be removed, and not the rest.
    fn interrupt(&mut self, errand: &Errand) -> Result<(), Broken> {
        if let Errand::Recycle { through } = errand {
            let from = self.world.disk.log_from;
            if from <= *through {
                let through = self.world.rng.u64(from..=*through);
                return slots::recycle(through, self.world);
            }
        }
        if slots::waits(errand, self.world) {
            return Ok(());
        }
        slots::run(errand, self.world).map(|_| ())
    }

    fn count(&mut self, death: Death) {
        let loads = self.loaded.is_none() && self.operations.iter().any(Self::is_load);
        let tally = &mut self.world.tally;
        match death {
            Death::Power => tally.power_failures += 1,
            Death::Killed => tally.kills += 1,
            Death::FailedWrite => tally.failed_writes += 1,
            Death::Refused => return,
        }
        tally.deaths_in_replay += u64::from(self.serving.iter().all(Option::is_none));
        tally.deaths_in_load += u64::from(loads);
    }

    fn is_load(operation: &crate::operations::Operation) -> bool {
        matches!(operation.work, Work::ReadSheets { .. })
    }
}

/// Counts what became of writes, in the order in which they were made.
fn note_fates(fates: &[Fate], tally: &mut Tally) {
    for fate in fates {
        match fate {
            Fate::Lost => tally.lost += 1,
            Fate::Done => tally.done += 1,
            Fate::Torn => tally.torn += 1,
        }
    }
    let lost = fates.iter().position(|fate| *fate == Fate::Lost);
    let outlived = lost.is_some_and(|lost| fates[lost..].contains(&Fate::Done));
    tally.reordered += u64::from(outlived);
}
