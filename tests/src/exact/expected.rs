//! What the reference model says to a written log.

use super::logged::{Logged, LoggedEpoch, Placed, terms_of};
use crate::model::{self, Model};
use crate::random_log::Events;
use auriga_shards::ledger::ids::Status;
use auriga_shards::place::Position;
use auriga_wire::record::TransferFlags;
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};
use std::collections::BTreeMap;

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
    pub(crate) status: Status,
}

/// What a pending transfer has reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reserved {
    pub(crate) id: u128,
    pub(crate) debit_account_id: u128,
    pub(crate) credit_account_id: u128,
    pub(crate) amount: u128,
}

/// What an epoch leads to.
#[derive(Debug)]
pub(crate) struct ExpectedEpoch {
    /// By request.
    pub(crate) codes: Vec<Codes>,
    /// Every account after the epoch, by id.
    pub(crate) accounts: Vec<Account>,
    /// Every consumed id after the epoch, by id.
    pub(crate) ids: Vec<Id>,
    /// Every pending transfer after the epoch, by id.
    pub(crate) pendings: Vec<Reserved>,
}

/// What a log leads to.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) epochs: Vec<ExpectedEpoch>,
    /// Every created transfer, as it was executed.
    pub(crate) model: Model,
}

impl Expected {
    /// Executes the log on the model.
    pub(crate) fn new(logged: &Logged) -> Self {
        let mut model = Model::default();
        let (mut epochs, mut positions) = (Vec::new(), BTreeMap::new());
        for epoch in &logged.epochs {
            model.terms = terms_of(&epoch.cut);
            let codes =
                epoch.requests.iter().map(|request| execute(&mut model, epoch, request, &mut positions));
            let codes = codes.collect();
            model.expire(epoch.cut.expire_through);
            assert_eq!(positions.len(), model.ids().len(), "an id is consumed once");
            let remembered = positions.iter().filter(|(id, _)| !model.terms.is_forgotten(**id));
            let ids = remembered.map(|(id, position)| Id {
                id: *id,
                position: *position,
                status: status(&model, *id),
            });
            let pendings = model.pendings().iter().filter(|(_, status)| **status == model::Status::Pending);
            let pendings = pendings.map(|(id, _)| reserved(model.transfer(*id).expect("it was created")));
            epochs.push(ExpectedEpoch {
                codes,
                accounts: model.accounts().values().copied().collect(),
                ids: ids.collect(),
                pendings: pendings.collect(),
            });
        }
        Self { epochs, model }
    }
}

fn reserved(pending: &Transfer) -> Reserved {
    Reserved {
        id: pending.id,
        debit_account_id: pending.debit_account_id,
        credit_account_id: pending.credit_account_id,
        amount: pending.amount,
    }
}

/// What the model says of a consumed id.
pub fn status(model: &Model, id: u128) -> Status {
    match (model.transfer(id), model.pendings().get(&id)) {
        (None, _) => Status::Refused,
        (Some(_), None) => Status::Created,
        (Some(_), Some(model::Status::Pending)) => Status::Pending,
        (Some(_), Some(model::Status::Posted)) => Status::Posted,
        (Some(_), Some(model::Status::Voided)) => Status::Voided,
        (Some(_), Some(model::Status::Expired)) => Status::Expired,
    }
}

fn execute(
    model: &mut Model,
    epoch: &LoggedEpoch,
    request: &Placed,
    positions: &mut BTreeMap<u128, Position>,
) -> Codes {
    let position = Position::new(epoch.cut.epoch, request.first);
    match &request.events {
        Events::Accounts(accounts) => {
            Codes::Accounts(model.create_accounts(epoch.cut.time + u64::from(request.first), accounts))
        }
        Events::Transfers(transfers) => {
            Codes::Transfers(execute_transfers(model, epoch.cut.time, position, transfers, positions))
        }
    }
}

/// Executes transfers chain by chain, to see which one consumes an id: its position goes into `positions`. `time` is the
/// epoch's (nanoseconds), `first` the first one's position. One answer per transfer: `None` for created.
pub fn execute_transfers(
    model: &mut Model,
    time: u64,
    first: Position,
    transfers: &[Transfer],
    positions: &mut BTreeMap<u128, Position>,
) -> Vec<Option<TransferCode>> {
    let mut codes = Vec::new();
    for chain in transfers.chunk_by(|transfer, _| transfer.flags & TransferFlags::LINKED != 0) {
        let index = first.index() + codes.len() as u16;
        codes.extend(model.create_transfers(time + u64::from(index), chain));
        for (transfer, index) in chain.iter().zip(index..=u16::MAX) {
            if model.ids().contains_key(&transfer.id) {
                positions.entry(transfer.id).or_insert(Position::new(first.epoch(), index));
            }
        }
    }
    codes
}
