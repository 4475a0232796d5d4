//! When a request is refused, or has to wait, because there is no room.

use super::Shard;
use crate::arrival::ConnectionId;
use crate::limits::FACTS_MAX;
use crate::step::{Output, Outputs};
use auriga_wire::frame::Command;
use auriga_wire::{Fault, FaultCode};

impl Shard {
    /// Why no batch of this kind is taken now.
    pub(super) fn refuse_batch(&self, command: Command) -> Option<Fault> {
        if self.log_full {
            return Some(log_full());
        }
        if self.facts >= FACTS_MAX {
            return Some(Fault::new(
                FaultCode::HistoryBehind,
                "history is too far behind to remember what it has to take in: wait, look at its disk, or start with \
                 --history off",
            ));
        }
        let (what, found, max) = match command {
            Command::CreateAccounts => {
                ("accounts", self.held_in_all.accounts, self.config.limits.accounts_max)
            }
            _ => ("transfer ids", self.held_in_all.ids, self.config.limits.ids_max),
        };
        (found >= max).then(|| {
            let message =
                format!("the ledger holds {found} {what}, the limit is {max}: start with a higher limit");
            Fault::new(FaultCode::LimitReached, message)
        })
    }

    pub(super) fn defer(&mut self, caller: ConnectionId, out: &mut Outputs) {
        self.deferred = true;
        out.push(Output::Deferred(caller));
    }

    pub(super) fn make_room(&mut self, out: &mut Outputs) {
        if std::mem::take(&mut self.deferred) {
            out.push(Output::Room);
        }
    }
}

pub(super) fn log_full() -> Fault {
    let message =
        "the disk or the log's bound is full: free space or raise --log-max, then send the batch again";
    Fault::new(FaultCode::LogFull, message)
}
