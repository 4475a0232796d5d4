//! Route: from the records of this shard's blocks to legs, notes and accounts for the shards that own them.

use super::mail::{Mail, Sorter};
use super::message::{Detail, Leg, NewAccount, Note};
use super::outcome::Outcomes;
use crate::ledger::ids::content_hash;
use crate::ledger::rules::{Rank, refuse_account, refuse_transfer};
use crate::log::block::Block;
use crate::place::{Placement, ShardId};
use auriga_wire::frame::Command;
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};

/// The arrival shard's part of an epoch.
#[derive(Debug)]
pub struct Router {
    placement: Placement,
    legs: Sorter<Leg>,
    notes: Sorter<Note>,
    accounts: Sorter<NewAccount>,
}

impl Router {
    /// A router for this placement.
    pub fn new(placement: Placement) -> Self {
        let shards = placement.shards();
        Self {
            placement,
            legs: Sorter::new(shards),
            notes: Sorter::new(shards),
            accounts: Sorter::new(shards),
        }
    }

    /// Sends everything that a block's records ask for. `base` is the block's first index in the epoch.
    pub fn route(&mut self, block: &Block, base: u16, epoch: u64, outcomes: &mut Outcomes, mail: &mut Mail) {
        for (unit, command, body) in block.requests() {
            let first = base + unit;
            match command {
                Command::CreateAccounts => {
                    for (account, index) in
                        bytemuck::cast_slice::<u8, Account>(body).iter().zip(first..=u16::MAX)
                    {
                        self.route_account(account, index, epoch, outcomes, mail);
                    }
                }
                Command::CreateTransfers => {
                    for (transfer, index) in
                        bytemuck::cast_slice::<u8, Transfer>(body).iter().zip(first..=u16::MAX)
                    {
                        self.route_transfer(transfer, index, epoch, outcomes, mail);
                    }
                }
                _ => unreachable!("a block holds creations only"),
            }
        }
    }

    /// Sends what is left over.
    pub fn flush(&mut self, mail: &mut Mail) {
        self.accounts.flush(mail);
        self.legs.flush(mail);
        self.notes.flush(mail);
    }

    /// No chunk of legs is sent before the accounts that came before its legs. Those that came after may be sent before
    /// it, too: the receiver tells them by their position.
    #[inline]
    fn push_leg(&mut self, leg: Leg, to: ShardId, epoch: u64, mail: &mut Mail) {
        if !self.legs.has_room(to) {
            self.accounts.flush_to(mail, to);
        }
        self.legs.push(mail, epoch, to, leg);
    }

    #[inline]
    fn route_transfer(
        &mut self,
        t: &Transfer,
        index: u16,
        epoch: u64,
        outcomes: &mut Outcomes,
        mail: &mut Mail,
    ) {
        let fault = refuse_transfer(t);
        if let Some(code) = fault {
            let rank = Rank::of(code);
            outcomes.refuse(index, rank, Detail::NONE);
            if rank < Rank::of(TransferCode::ExistsWithDifferentFlags) {
                return;
            }
        }
        let owner = |id| self.placement.owner(self.placement.hash(id));
        let (debit, credit, id) = (owner(t.debit_account_id), owner(t.credit_account_id), owner(t.id));
        let note = Note {
            id: t.id,
            content: content_hash(t),
            index,
            debit_shard: debit.0,
            credit_shard: credit.0,
            probe: u8::from(fault.is_some()),
            pad: 0,
        };
        self.notes.push(mail, epoch, id, note);
        if fault.is_some() {
            return;
        }
        let leg = |account, peer, side| Leg {
            account,
            amount: t.amount,
            ledger: t.ledger,
            index,
            peer,
            id_shard: id.0,
            side,
            pad: [0; 5],
        };
        self.push_leg(leg(t.debit_account_id, credit.0, 0), debit, epoch, mail);
        self.push_leg(leg(t.credit_account_id, debit.0, 1), credit, epoch, mail);
    }

    fn route_account(
        &mut self,
        account: &Account,
        index: u16,
        epoch: u64,
        outcomes: &mut Outcomes,
        mail: &mut Mail,
    ) {
        let fault = refuse_account(account);
        if let Some(code) = fault {
            let rank = Rank::of_account(code);
            outcomes.refuse(index, rank, Detail::NONE);
            if rank < Rank::of_account(AccountCode::ExistsWithDifferentFlags) {
                return;
            }
        }
        let to = self.placement.owner(self.placement.hash(account.id));
        let new = NewAccount { account: *account, index, probe: u8::from(fault.is_some()), pad: [0; 13] };
        self.accounts.push(mail, epoch, to, new);
    }
}
