//! Every acknowledged transfer is present exactly once: in the log at the end of the life that acknowledged it, with the results
//! that its client was told, and in every later life at the same place.
//!
//! What the design doesn't promise: there is one copy of the log. If the newest epoch rots before a later cut proves it (5 ms, or
//! the next epoch), it looks like one that was never finished, and is dropped (FORMAT.md, story 4). Such an epoch is forgotten
//! here, too; it must have been the last one, and unproven ([`super::damage`]).

use super::{Broken, Invariant, broken, compare};
use crate::World;
use crate::clients::{Answer, Ask, Sent};
use crate::truth::Truth;
use auriga_shards::place::Position;
use auriga_tests::random_log::Events;
use auriga_wire::EventResult;
use std::collections::BTreeMap;

/// Acknowledged requests by their numbers, and where they are logged.
#[derive(Debug, Default)]
pub(crate) struct Promised(BTreeMap<u64, Position>);

impl Promised {
    /// Whether all of them are where they were.
    pub(crate) fn check(&self, truth: &Truth) -> Result<(), Broken> {
        let place = |number: &u64| truth.requests.get(number).map(|logged| logged.position);
        match self.0.iter().find(|(number, position)| place(number) != Some(**position)) {
            None => Ok(()),
            Some((number, position)) => {
                let found = place(number);
                let what = format!("request {number} was acknowledged at {position:?}, found {found:?}");
                broken(Invariant::Acknowledged, what)
            }
        }
    }

    /// The epochs behind this one are gone, and the design can't promise otherwise.
    pub(crate) fn roll_back(&mut self, epoch: u64) {
        self.0.retain(|_, position| position.epoch() <= epoch);
    }
}

/// A reply to a creation.
pub(crate) fn check(world: &mut World, sent: &Sent, answer: &Answer) -> Result<(), Broken> {
    let World { truth, tally, memory, .. } = world;
    let Some(logged) = truth.requests.get(&sent.number) else {
        let what = format!("an acknowledged request is not in the log: {sent:?}");
        return broken(Invariant::Acknowledged, what);
    };
    let Ask::Create(events) = &sent.ask else { unreachable!("only creations are acknowledged") };
    tally.requests += 1;
    tally.events += events.len() as u64;
    let found: Vec<EventResult> = bytemuck::pod_collect_to_vec(&answer.body);
    let what = format_args!("results of request {} at {:?}", sent.number, logged.position);
    compare(Invariant::Acknowledged, what, &logged.results, &found)?;
    let what = format_args!("timestamp of request {}", sent.number);
    compare(Invariant::Acknowledged, what, &logged.timestamp, &answer.timestamp)?;
    memory.promised.0.insert(sent.number, logged.position);
    if let Events::Transfers(transfers) = events {
        let refused: Vec<u32> = found.iter().filter(|r| r.is_refused()).map(|r| r.index).collect();
        for (index, transfer) in (0u32..).zip(transfers) {
            let at = answer.timestamp + u64::from(index);
            let timestamp = truth.model.transfer(transfer.id).map(|created| created.timestamp);
            if refused.binary_search(&index).is_err() && timestamp != Some(at) {
                let what = format!("{transfer:?} was acknowledged as created at {at}, found {timestamp:?}");
                return broken(Invariant::Acknowledged, what);
            }
        }
    }
    Ok(())
}
