//! Which faults a run has, and how often.

use fastrand::Rng;

/// The faults of a life.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// Of reads for requests, fail or bring other bytes.
    pub(crate) bad_reads_percent: u8,
    /// Of starts, read something wrong once.
    pub(crate) bad_starts_percent: u8,
    /// Between two lives something rots.
    pub(crate) rot_percent: u8,
    /// Of errands, fail.
    errands_fail_percent: u8,
    /// Of log and checkpoint writes, one in so many fails; 0: none.
    writes_fail_one_in: u32,
    /// Something stands still for long now and then.
    pub(crate) stalls: bool,
    /// The wall clock is set now and then.
    pub(crate) jumps: bool,
    /// The disk is full now and then.
    pub(crate) fills: bool,
}

impl Weather {
    /// The weather of a run.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self {
            bad_reads_percent: [0, 0, 0, 20][rng.usize(..4)],
            bad_starts_percent: [0, 0, 30][rng.usize(..3)],
            rot_percent: [0, 20, 60][rng.usize(..3)],
            errands_fail_percent: [0, 8, 30][rng.usize(..3)],
            writes_fail_one_in: [0, 0, 300, 50][rng.usize(..4)],
            stalls: rng.u8(..4) == 0,
            jumps: rng.u8(..4) == 0,
            fills: rng.u8(..4) == 0,
        }
    }

    pub(crate) fn errand_fails(&self, rng: &mut Rng) -> bool {
        rng.u8(..100) < self.errands_fail_percent
    }

    pub(crate) fn write_fails(&self, rng: &mut Rng) -> bool {
        self.writes_fail_one_in > 0 && rng.u32(..self.writes_fail_one_in) == 0
    }
}
