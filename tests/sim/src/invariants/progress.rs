//! After the faults have stopped, the engine makes progress: the last life of a run has none; everything that its clients send is
//! answered, within a bound of steps, and then it is at rest: every ring empty, every buffer at home, the last commit proven. At
//! last every account and every transfer is looked up, and must be there.

use super::{Broken, Invariant, broken};
use crate::machine::Machine;

/// More steps than any life takes that makes progress.
pub(crate) const STEPS_MAX: u64 = 2_000_000;

/// Nothing can happen any more: everything must be answered, idle and equal to the model.
pub(crate) fn at_rest(machine: &mut Machine<'_>) -> Result<(), Broken> {
    let unanswered = machine.world.clients.unanswered().count();
    if unanswered > 0 || !machine.serves() {
        let what = format!("standstill with {unanswered} requests unanswered\n{}", machine.dump());
        return broken(Invariant::Progress, what);
    }
    if !machine.shards.iter().all(|shard| shard.is_idle()) || !machine.is_tidy() {
        let what = format!("at rest, but not idle, or with a chunk away from home\n{}", machine.dump());
        return broken(Invariant::Progress, what);
    }
    super::read(machine.world)?;
    super::model::is_state_of(machine)
}

/// It has gone on for too long.
pub(crate) fn no_end(machine: &Machine<'_>) -> Result<(), Broken> {
    broken(Invariant::Progress, format!("no end after {STEPS_MAX} steps\n{}", machine.dump()))
}
