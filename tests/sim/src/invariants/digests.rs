//! Digests are equal across restarts: what all shards add up to after an epoch is the same in every life that comes to be after
//! it, whether it executed the epoch, replayed it or took it from a checkpoint, and on every number of shards.

use super::{Broken, Invariant, compare};
use std::collections::BTreeMap;

/// By epoch: the digest of the shards' state, and in which life it was first seen.
#[derive(Debug, Default)]
pub(crate) struct Digests(BTreeMap<u64, (u128, u32)>);

impl Digests {
    /// All shards are after this epoch. Returns whether an earlier life was, too.
    pub(crate) fn see(&mut self, epoch: u64, digest: u128, life: u32) -> Result<bool, Broken> {
        let (first, seen) = *self.0.entry(epoch).or_insert((digest, life));
        let what = format_args!("digest of the state after epoch {epoch}, in life {life} as in life {seen}");
        compare(Invariant::Digests, what, &first, &digest)?;
        Ok(seen < life)
    }

    /// The epochs behind this one are gone.
    pub(crate) fn roll_back(&mut self, epoch: u64) {
        self.0.split_off(&(epoch + 1));
    }
}
