//! Requests are logged in the order in which they were sent: those of a connection, and each behind whatever any client had been
//! answered when it was sent.

use super::{Broken, Invariant, broken};
use crate::clients::Sent;
use crate::truth::Truth;
use auriga_shards::arrival::ConnectionId;
use auriga_shards::place::Position;
use std::collections::BTreeMap;

/// The requests of a life, in the order in which they were sent.
pub(crate) fn check(truth: &Truth, sent: &[Sent]) -> Result<(), Broken> {
    let mut last: BTreeMap<ConnectionId, Position> = BTreeMap::new();
    for sent in sent {
        let Some(logged) = truth.requests.get(&sent.number) else { continue };
        let before = last.insert(sent.connection, logged.position);
        if before.is_some_and(|before| before >= logged.position) {
            let what = format!("request {} overtook one of its connection", sent.number);
            return broken(Invariant::Order, what);
        }
        if logged.timestamp <= sent.told_before
            || truth.epoch_through(sent.told_before) >= logged.position.epoch()
        {
            let what = "is logged in an epoch that was answered before it was sent";
            return broken(
                Invariant::Order,
                format!("request {} {what}: {:?}", sent.number, logged.position),
            );
        }
    }
    Ok(())
}
