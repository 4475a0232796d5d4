//! What is limited stays within its bound: accounts, remembered ids, pending transfers.

use super::{Broken, Invariant, broken};
use crate::World;
use crate::truth::Epoch;

/// Nothing that is limited grows beyond its bound.
pub(crate) fn check(world: &World) -> Result<(), Broken> {
    let World { truth, limits, epochs_given, .. } = world;
    let counts = |epoch: &Epoch| [epoch.accounts, epoch.ids, epoch.pendings];
    let bounds = [limits.accounts_max, limits.ids_max, limits.pendings_max];
    for pair in truth.epochs.windows(2).skip(*epochs_given) {
        for ((before, after), max) in counts(&pair[0]).into_iter().zip(counts(&pair[1])).zip(bounds) {
            if after > max && after > before {
                let epoch = pair[1].cut.epoch;
                let what = format!("epoch {epoch} makes {after} of what at most {max} may be");
                return broken(Invariant::Limits, what);
            }
        }
    }
    Ok(())
}
