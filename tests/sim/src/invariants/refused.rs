//! What was refused is never present: no request that was refused as a whole comes into the log, in this life or a later one,
//! and no event that a reply says is refused is created.

use super::{Broken, Invariant, broken};
use crate::World;
use crate::clients::{Answer, Ask, Sent};
use auriga_tests::random_log::Events;
use auriga_wire::{EventResult, FaultCode};
use std::collections::BTreeSet;

/// Creations that were refused as a whole, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Refused(BTreeSet<u64>);

impl Refused {
    /// A request is about to be taken for a part of the log.
    pub(crate) fn check_request(&self, number: u64, epoch: u64) -> Result<(), Broken> {
        if self.0.contains(&number) {
            return broken(
                Invariant::Refused,
                format!("request {number} was refused, and is in epoch {epoch}"),
            );
        }
        Ok(())
    }
}

/// A request that was refused as a whole: for a good reason, and it is not in the log.
pub(crate) fn check_whole(
    world: &mut World,
    sent: &Sent,
    answer: &Answer,
    code: FaultCode,
    was_full: bool,
) -> Result<(), Broken> {
    let is_logged = world.truth.requests.contains_key(&sent.number);
    let World { tally, limits, history, memory, .. } = world;
    *tally.faults.entry(code.name()).or_default() += 1;
    let creates = sent.ask.is_creation();
    let asks_history = matches!(sent.ask, Ask::Past(..) | Ask::Transfers(_)) || creates;
    let fine = match code {
        FaultCode::NotReady => !is_logged,
        FaultCode::LogFull => !is_logged && was_full && creates,
        FaultCode::LimitReached => !is_logged && limits.ids_max < u64::from(u32::MAX),
        // The request is executed; only what the reply should say of a duplicate can't be read.
        FaultCode::DamagedData => is_logged == creates && tally.bad_reads + tally.harmless > 0,
        FaultCode::HistoryOff => history.is_none() && matches!(sent.ask, Ask::Past(..)),
        FaultCode::HistoryBehind => history.is_some() && asks_history && is_logged == creates,
        _ => false,
    };
    if !fine {
        let text = String::from_utf8_lossy(&answer.body);
        return broken(Invariant::Refused, format!("{sent:?} was refused: {code}, {text}"));
    }
    if creates && !is_logged {
        memory.refused.0.insert(sent.number);
    }
    Ok(())
}

/// The events of an acknowledged request that its reply says are refused.
pub(crate) fn check_events(world: &World, sent: &Sent, answer: &Answer) -> Result<(), Broken> {
    let results: Vec<EventResult> = bytemuck::pod_collect_to_vec(&answer.body);
    let model = &world.truth.model;
    for result in results.iter().filter(|result| result.is_refused()) {
        let at = answer.timestamp + u64::from(result.index);
        let index = result.index as usize;
        let created = match &sent.ask {
            Ask::Create(Events::Transfers(all)) => model.transfer(all[index].id).map(|t| t.timestamp),
            Ask::Create(Events::Accounts(all)) => model.accounts().get(&all[index].id).map(|a| a.timestamp),
            _ => None,
        };
        if created == Some(at) {
            let what = format!("event {index} of request {} was refused, and is created", sent.number);
            return broken(Invariant::Refused, what);
        }
    }
    Ok(())
}
