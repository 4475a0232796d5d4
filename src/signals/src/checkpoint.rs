//! The newest checkpoint: three numbers that belong together.

use crate::sync::{AtomicU64, Ordering, fence};

/// The numbers of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its epoch; 0: there was none.
    pub epoch: u64,
    /// Its size.
    pub bytes: u64,
    /// When it became whole, nanoseconds since the start.
    pub at_ns: u64,
}

/// The newest checkpoint. One thread writes it; others read the numbers of one checkpoint, never of two.
///
/// There are two places, which are written in turn; how often that was done says which one is the newest.
///
/// 1. A reader takes the count, reads that place, fences, and looks at the count again.
/// 2. The writer fences before it writes to the other place, and counts after.
/// 3. If the reader has seen a number of a later checkpoint in its place, then the writer had counted the one between: the
///    reader sees another count, and reads again.
///
/// So a reader never waits for the writer, not even for one that was interrupted halfway.
#[derive(Debug, Default)]
pub struct LastCheckpoint {
    written: AtomicU64,
    places: [[AtomicU64; 3]; 2],
}

impl LastCheckpoint {
    /// A checkpoint is whole. By one thread alone.
    pub fn set(&self, checkpoint: Checkpoint) {
        let Checkpoint { epoch, bytes, at_ns } = checkpoint;
        let written = self.written.load(Ordering::Relaxed) + 1;
        fence(Ordering::Release);
        for (number, value) in self.place(written).iter().zip([epoch, bytes, at_ns]) {
            number.store(value, Ordering::Relaxed);
        }
        self.written.store(written, Ordering::Release);
    }

    /// The newest checkpoint.
    pub fn get(&self) -> Checkpoint {
        loop {
            let written = self.written.load(Ordering::Acquire);
            let [epoch, bytes, at_ns] =
                self.place(written).each_ref().map(|number| number.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if self.written.load(Ordering::Relaxed) == written {
                return Checkpoint { epoch, bytes, at_ns };
            }
        }
    }

    fn place(&self, written: u64) -> &[AtomicU64; 3] {
        &self.places[(written % 2) as usize]
    }
}
