//! The log's time runs with the monotonic clock, whatever the wall clock does: between two cuts of a start it goes no faster than
//! a sixteenth beside it, but for the nanosecond that every record takes. One wrong clock must not expire everything.

use super::{Broken, Invariant, broken};
use auriga_shards::log::cut::Cut;

/// The cuts of this life.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// Time and end of the newest.
    last: Option<(u64, u64)>,
    /// When the two newest were written, monotonic nanoseconds: the epoch between them was closed later than the first.
    written: [u64; 2],
}

impl Cuts {
    /// A server starts.
    pub(crate) fn start(&mut self, now_ns: u64) {
        *self = Self { last: None, written: [now_ns; 2] };
    }

    /// A cut is written.
    pub(crate) fn write(&mut self, cut: &Cut, now_ns: u64) -> Result<(), Broken> {
        let [before, newest] = self.written;
        self.written = [newest, now_ns];
        if let Some((time, end)) = self.last.replace((cut.time, cut.time + cut.units() as u64 + 1)) {
            let elapsed = now_ns - before;
            let latest = end.max(time + elapsed + elapsed / 16 + 1);
            if cut.time > latest {
                let what = format!(
                    "epoch {} has the time {}, expected {latest} at most: the one before has {time}, and that was at most \
                     {elapsed} ns ago",
                    cut.epoch, cut.time
                );
                return broken(Invariant::Time, what);
            }
        }
        Ok(())
    }
}
