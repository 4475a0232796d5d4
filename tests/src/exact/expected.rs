//! What the reference model says to a written log.

use super::logged::{Logged, LoggedEpoch, Placed};
use crate::model::Model;
use crate::random_log::Events;
use auriga_shards::place::Position;
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};

/// The answers to one request; `None` for created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Codes {
    Accounts(Vec<Option<AccountCode>>),
    Transfers(Vec<Option<TransferCode>>),
}

/// A consumed transfer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) id: u128,
    /// Of the transfer that consumed it.
    pub(crate) position: Position,
    pub(crate) created: bool,
}

/// What an epoch leads to.
#[derive(Debug)]
pub(crate) struct ExpectedEpoch {
    /// By request.
    pub(crate) codes: Vec<Codes>,
    /// Every account after the epoch, by id.
    pub(crate) accounts: Vec<Account>,
}

/// What a log leads to.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) epochs: Vec<ExpectedEpoch>,
    /// Every id consumed, by id. What became of one never changes after its epoch.
    pub(crate) ids: Vec<Id>,
}

impl Expected {
    /// Executes the log on the model.
    pub(crate) fn new(logged: &Logged) -> Self {
        let mut model = Model::default();
        let (mut epochs, mut ids) = (Vec::new(), Vec::new());
        for epoch in &logged.epochs {
            let codes = epoch.requests.iter().map(|request| execute(&mut model, epoch, request, &mut ids));
            let codes = codes.collect();
            epochs.push(ExpectedEpoch { codes, accounts: model.accounts().values().copied().collect() });
        }
        assert_eq!(ids.len(), model.ids().len(), "an id is consumed once");
        ids.sort_unstable();
        Self { epochs, ids }
    }
}

fn execute(model: &mut Model, epoch: &LoggedEpoch, request: &Placed, ids: &mut Vec<Id>) -> Codes {
    match &request.events {
        Events::Accounts(accounts) => {
            Codes::Accounts(model.create_accounts(epoch.cut.time + u64::from(request.first), accounts))
        }
        Events::Transfers(transfers) => {
            let transfers = transfers.iter().zip(request.indexes());
            Codes::Transfers(
                transfers.map(|(t, index)| execute_transfer(model, epoch, t, index, ids)).collect(),
            )
        }
    }
}

/// One by one, to see which transfer consumes an id.
fn execute_transfer(
    model: &mut Model,
    epoch: &LoggedEpoch,
    transfer: &Transfer,
    index: u16,
    ids: &mut Vec<Id>,
) -> Option<TransferCode> {
    let timestamp = epoch.cut.time + u64::from(index);
    let consumed_before = model.ids().contains_key(&transfer.id);
    let code = model.create_transfers(timestamp, &[*transfer])[0];
    if !consumed_before && model.ids().contains_key(&transfer.id) {
        let position = Position::new(epoch.cut.epoch, index);
        let created = model.transfer(transfer.id).map(|t| t.timestamp);
        assert!(created.is_none_or(|found| found == timestamp), "the model stamps what it creates");
        ids.push(Id { id: transfer.id, position, created: created.is_some() });
    }
    code
}
