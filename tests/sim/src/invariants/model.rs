//! The state is the reference model's at every cut: what all shards hold after an epoch is what one thread has that executes the
//! log from start to end.
//!
//! For each epoch of the log the model is compared, byte for byte, with a shard that is alone; its digest is then what the digests
//! of all shards must add up to whenever they are seen after that epoch. At rest, and when a start serves, everything is compared
//! byte for byte.

use super::balanced::Sums;
use super::{Broken, Invariant, broken, compare};
use crate::machine::Machine;
use crate::truth::Truth;
use auriga_shards::execute::Execution;
use auriga_shards::place::ShardId;
use auriga_shards::shard::whole_digest;
use auriga_tests::exact::status;
use auriga_wire::Account;
use std::collections::BTreeMap;

/// Epochs after which some shards were seen, and not all, so many at most.
const OPEN_MAX: usize = 64;

/// What was seen of the shards of one life.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// By shard: the newest epoch that it was seen after.
    newest: Vec<u64>,
    open: BTreeMap<u64, AfterEpoch>,
}

#[derive(Debug, Default)]
struct AfterEpoch {
    shards: usize,
    digest: u128,
    sums: Sums,
}

/// Looks at a shard: whether it is after an epoch, and all others were, too.
pub(crate) fn look_at(machine: &mut Machine<'_>, shard: ShardId) -> Result<(), Broken> {
    let Machine { shards, seen, world, fortune, bound, .. } = machine;
    let execution = shards[shard.index()].execution();
    let Some(epoch) = execution.state_epoch() else { return Ok(()) };
    seen.newest.resize(shards.len(), 0);
    // What lies behind a hole may be executed before it is found; no one is told of it.
    if epoch <= seen.newest[shard.index()] || bound.is_some_and(|bound| epoch > bound) {
        return Ok(());
    }
    seen.newest[shard.index()] = epoch;
    let after = seen.open.entry(epoch).or_default();
    after.shards += 1;
    after.digest = after.digest.wrapping_add(execution.ledger.digest());
    after.sums.add(execution.ledger.accounts.records());
    if after.shards < shards.len() {
        if seen.open.len() > OPEN_MAX {
            seen.open.pop_first();
        }
        return Ok(());
    }
    let after = seen.open.remove(&epoch).expect("it is there");
    after.sums.check(epoch)?;
    if world.truth.end.epoch < epoch {
        super::read(world)?;
    }
    let Some(expected) = world.truth.epoch(epoch) else {
        let what = format!("epoch {epoch} is executed, and the disk doesn't have it durably");
        return broken(Invariant::Acknowledged, what);
    };
    let again = world.memory.digests.see(epoch, after.digest, fortune.life)?;
    world.tally.cuts += 1;
    world.tally.cuts_again += u64::from(again);
    let what = format_args!("digest of the state after epoch {epoch}");
    compare(Invariant::Model, what, &expected.state_digest, &after.digest)
}

impl Seen {
    /// A shard has begun anew, without a state or with that of a checkpoint.
    pub(crate) fn begin_anew(&mut self) {
        *self = Self::default();
    }
}

/// Compares the shards' state with the model's. Nothing may have been logged since the truth was read.
pub(crate) fn is_state_of(machine: &Machine<'_>) -> Result<(), Broken> {
    let (truth, placement) = (&machine.world.truth, machine.placement);
    let mut digest = 0u128;
    for (number, shard) in placement.all().zip(&machine.shards) {
        let is_own = |id: u128| placement.owner(placement.hash(id)) == number;
        compare_with(truth, shard.execution(), format_args!("shard {number}"), is_own)?;
        digest = digest.wrapping_add(shard.execution().ledger.digest());
    }
    compare(Invariant::Model, "the digest", &truth.state_digest(), &digest)?;
    if let [shard] = &machine.shards[..] {
        let whole = truth.epochs.last().map_or(whole_digest(0, (0, 0)), |epoch| epoch.digest);
        compare(Invariant::Model, "the digest of the whole", &whole, &shard.digest())?;
    }
    Ok(())
}

/// Compares one shard that has executed the whole log with the model.
pub(crate) fn is_state(truth: &Truth, alone: &Execution) -> Result<(), Broken> {
    compare_with(truth, alone, format_args!("a single shard after epoch {}", truth.end.epoch), |_| true)
}

fn compare_with(
    truth: &Truth,
    execution: &Execution,
    who: std::fmt::Arguments<'_>,
    is_own: impl Fn(u128) -> bool,
) -> Result<(), Broken> {
    let ledger = &execution.ledger;
    let mut accounts: Vec<Account> = ledger.accounts.records().collect();
    accounts.sort_unstable_by_key(|account| account.id);
    let model = truth.model.accounts().values().filter(|account| is_own(account.id));
    compare(Invariant::Model, format_args!("accounts of {who}"), &model.copied().collect(), &accounts)?;
    let mut ids: Vec<_> = ledger.ids.iter().collect();
    ids.sort_unstable();
    let remembered = |id: u128| !truth.model.terms.is_forgotten(id);
    let model = truth.ids.iter().filter(|(id, _)| is_own(**id) && remembered(**id));
    let model = model.map(|(id, position)| (*id, *position, status(&truth.model, *id))).collect();
    compare(Invariant::Model, format_args!("ids of {who}"), &model, &ids)
}
