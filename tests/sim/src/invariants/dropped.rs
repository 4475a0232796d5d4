//! Dropped epochs never return: once a start has served, no cut that was written before and is not in the log comes into it any
//! more, and no request of an earlier life.
//!
//! A start that dies before it serves has promised nothing: what it dropped may be there again for the next one (FORMAT.md,
//! story 6).

use super::{Broken, Invariant, broken};
use crate::truth::Truth;
use auriga_shards::log::cut::Cut;
use std::collections::BTreeSet;

/// Numbers from here on are requests of a log that was there before the first life.
const GIVEN: u64 = u64::MAX / 2;

/// Cuts and requests that are gone.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    /// Checksums of cuts that were written since the last start that served, dead ones included.
    written: BTreeSet<u128>,
    gone: BTreeSet<u128>,
    /// Requests of an epoch that a start has dropped that has not served yet.
    may_return: BTreeSet<u64>,
}

impl Dropped {
    /// A cut is being written.
    pub(crate) fn write(&mut self, checksum: u128) {
        self.written.insert(checksum);
    }

    /// A start has dropped the epochs with these cuts and requests.
    pub(crate) fn drop_epochs(&mut self, cuts: impl Iterator<Item = u128>, requests: BTreeSet<u64>) {
        self.written.extend(cuts);
        self.may_return.extend(requests);
    }

    /// A start serves: what was written and is not in the log is gone.
    pub(crate) fn serve(&mut self, truth: &Truth) {
        let logged: BTreeSet<u128> = truth.epochs.iter().map(|epoch| epoch.end.checksum).collect();
        self.gone.extend(std::mem::take(&mut self.written).difference(&logged));
        self.may_return.clear();
    }

    /// A cut is about to be taken for a part of the log.
    pub(crate) fn check_cut(&self, cut: &Cut, checksum: u128) -> Result<(), Broken> {
        if self.gone.contains(&checksum) {
            let Cut { epoch, incarnation, .. } = cut;
            let what = format!("epoch {epoch} of incarnation {incarnation} was dropped, and came back");
            return broken(Invariant::Dropped, what);
        }
        Ok(())
    }

    /// A request is about to be taken for a part of the log; those of this life begin with `first`.
    pub(crate) fn check_request(&self, number: u64, epoch: u64, first: u64) -> Result<(), Broken> {
        if number >= first || number > GIVEN || self.may_return.contains(&number) {
            return Ok(());
        }
        broken(Invariant::Dropped, format!("request {number} of an earlier life came back in epoch {epoch}"))
    }
}
