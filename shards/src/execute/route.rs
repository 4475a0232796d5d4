//! Route: from the records of this shard's blocks to what the shards of the accounts and ids have to know.

use super::mail::{Mail, Sorter};
use super::message::{Claim, Detail, Leg, LegId, LegKind, NewAccount, Note, Reserve, Special};
use super::outcome::Outcomes;
use crate::ledger::ids::content_hash;
use crate::ledger::rules::{Rank, Side, deadline, refuse_account, refuse_transfer};
use crate::ledger::terms::Terms;
use crate::log::block::Block;
use crate::place::{Placement, ShardId};
use auriga_wire::frame::Command;
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Transfer};

/// The arrival shard's part of an epoch.
#[derive(Debug)]
pub struct Router {
    placement: Placement,
    legs: Sorter<Leg>,
    notes: Sorter<Note>,
    accounts: Sorter<NewAccount>,
    reserves: Sorter<Reserve>,
    claims: Sorter<Claim>,
    special: Special,
}

/// What a router needs of its shard for a while.
pub struct Desk<'a> {
    /// The epoch.
    pub epoch: u64,
    /// Its time, nanoseconds.
    pub time: u64,
    /// Its terms.
    pub terms: Terms,
    /// Results of what arrived here.
    pub outcomes: &'a mut Outcomes,
    /// The way out.
    pub mail: &'a mut Mail,
}

/// Where an event stands.
#[derive(Clone, Copy)]
struct Event {
    index: u16,
    unit: u16,
    linked: bool,
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
            reserves: Sorter::new(shards),
            claims: Sorter::new(shards),
            special: Special::default(),
        }
    }

    /// Sends everything that a block's records ask for. `base` is the block's first index in the epoch.
    pub fn route(&mut self, block: &Block, base: u16, desk: &mut Desk<'_>) {
        for (unit, command, body) in block.requests() {
            let first = base + unit;
            match command {
                Command::CreateAccounts => self.route_accounts(bytemuck::cast_slice(body), first, desk),
                Command::CreateTransfers => self.route_transfers(bytemuck::cast_slice(body), first, desk),
                _ => unreachable!("a block holds creations only"),
            }
        }
    }

    /// Sends what is left over. Returns what was special in the blocks routed since the last time.
    pub fn flush(&mut self, mail: &mut Mail) -> Special {
        self.accounts.flush(mail);
        self.legs.flush(mail);
        self.notes.flush(mail);
        self.reserves.flush(mail);
        self.claims.flush(mail);
        std::mem::take(&mut self.special)
    }

    fn route_transfers(&mut self, transfers: &[Transfer], first: u16, desk: &mut Desk<'_>) {
        let mut index = first;
        let mut chain: Option<(Event, u16, Option<u16>)> = None;
        for (at, t) in transfers.iter().enumerate() {
            if chain.is_none() && t.flags & TransferFlags::LINKED != 0 {
                chain = Some(begin_chain(&transfers[at..], index, desk));
            }
            match chain {
                None => self.route_transfer(t, Event { index, unit: index, linked: false }, desk),
                Some((event, last, malformed)) => {
                    if malformed.is_none_or(|malformed| malformed == index) {
                        self.route_transfer(t, Event { index, ..event }, desk);
                    }
                    chain.take_if(|_| last == index);
                }
            }
            index = index.wrapping_add(1);
        }
    }

    /// No chunk of legs is sent before the accounts that came before its legs. Those that came after may be sent before
    /// it, too: the receiver tells them by their position.
    #[inline(always)]
    fn push_leg(&mut self, leg: Leg, to: ShardId, desk: &mut Desk<'_>) {
        if !self.legs.has_room(to) {
            self.accounts.flush_to(desk.mail, to);
        }
        self.legs.push(desk.mail, desk.epoch, to, leg);
    }

    #[inline]
    fn route_transfer(&mut self, t: &Transfer, event: Event, desk: &mut Desk<'_>) {
        let fault = refuse_transfer(t, &desk.terms);
        if let Some(code) = fault {
            let rank = Rank::of(code);
            desk.outcomes.refuse(event.index, rank, Detail::NONE);
            if rank < Rank::EXISTS_FIRST {
                return;
            }
        }
        let owner = |id| self.placement.owner(self.placement.hash(id));
        let claims = fault.is_none() && t.flags & TransferFlags::RESOLVING != 0;
        let (debit, credit, id) = (owner(t.debit_account_id), owner(t.credit_account_id), owner(t.id));
        let is_wide = event.linked || claims;
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        let note = Note {
            id: t.id,
            content: content_hash(t),
            index: event.index,
            legs_or_unit: if is_wide { [event.unit, 0] } else { [debit.0, credit.0] },
            kind: bit(fault.is_some(), Note::PROBE)
                | bit(is_wide, Note::WIDE)
                | bit(t.flags & TransferFlags::PENDING != 0, Note::PENDING)
                | bit(t.flags & TransferFlags::BALANCING != 0, Note::VARIABLE),
            pad: 0,
        };
        self.notes.push(desk.mail, desk.epoch, id, note);
        if fault.is_some() {
            return;
        }
        if claims {
            return self.route_claim(t, event, desk);
        }
        if t.flags & TransferFlags::PENDING != 0 {
            self.route_reserve(t, event.index, id, desk);
        }
        self.special.track_all |= t.flags & (TransferFlags::BALANCING | TransferFlags::CLOSING) != 0;
        let late = deadline(desk.time + u64::from(event.index), t.timeout).is_err();
        let leg = |account, peer: ShardId, side| {
            let mut kind = LegKind::new(t.flags, side);
            kind.0 |= bit(event.linked, LegKind::LINKED) | bit(late, LegKind::LATE);
            let id =
                LegId { index: event.index, unit: event.unit, peer: peer.0, id_shard: id.0, kind, pad: 0 };
            Leg { account, amount: t.amount, ledger: t.ledger, id, pad: [0; 2] }
        };
        self.push_leg(leg(t.debit_account_id, credit, Side::Debit), debit, desk);
        self.push_leg(leg(t.credit_account_id, debit, Side::Credit), credit, desk);
    }

    fn route_reserve(&mut self, t: &Transfer, index: u16, to: ShardId, desk: &mut Desk<'_>) {
        let reserve = Reserve {
            debit_account_id: t.debit_account_id,
            credit_account_id: t.credit_account_id,
            amount: t.amount,
            timeout: t.timeout,
            ledger: t.ledger,
            index,
            code: t.code,
            flags: t.flags,
            pad: 0,
        };
        self.reserves.push(desk.mail, desk.epoch, to, reserve);
    }

    fn route_claim(&mut self, t: &Transfer, event: Event, desk: &mut Desk<'_>) {
        self.special.claims = true;
        let claim = Claim {
            pending_id: t.pending_id,
            debit_account_id: t.debit_account_id,
            credit_account_id: t.credit_account_id,
            amount: t.amount,
            ledger: t.ledger,
            index: event.index,
            unit: event.unit,
            code: t.code,
            flags: t.flags,
            id_shard: self.placement.owner(self.placement.hash(t.id)).0,
            pad: 0,
        };
        let to = self.placement.owner(self.placement.hash(t.pending_id));
        self.claims.push(desk.mail, desk.epoch, to, claim);
    }

    fn route_accounts(&mut self, accounts: &[Account], first: u16, desk: &mut Desk<'_>) {
        let mut index = first;
        for chain in accounts.chunk_by(|account, _| account.flags & AccountFlags::LINKED != 0) {
            let (unit, linked) = (index, chain.len() > 1);
            let malformed = chain.iter().position(|account| refuse_account(account, &desk.terms).is_some());
            if linked {
                self.special.track_all = true;
                desk.outcomes.chain(unit, unit + (chain.len() - 1) as u16);
            }
            for (at, account) in chain.iter().enumerate() {
                if malformed.is_none_or(|malformed| malformed == at) {
                    self.route_account(account, Event { index, unit, linked }, desk);
                }
                index = index.wrapping_add(1);
            }
        }
    }

    fn route_account(&mut self, account: &Account, event: Event, desk: &mut Desk<'_>) {
        let fault = refuse_account(account, &desk.terms);
        if let Some(code) = fault {
            let rank = Rank::of_account(code);
            desk.outcomes.refuse(event.index, rank, Detail::NONE);
            if rank < Rank::ACCOUNT_EXISTS_FIRST {
                return;
            }
        }
        let to = self.placement.owner(self.placement.hash(account.id));
        let new = NewAccount {
            account: *account,
            index: event.index,
            unit: event.unit,
            probe: u8::from(fault.is_some()),
            linked: u8::from(event.linked),
            pad: [0; 10],
        };
        self.accounts.push(desk.mail, desk.epoch, to, new);
    }
}

/// Where the chain at the head of `rest` begins, its last index, and that of its first malformed member.
#[cold]
fn begin_chain(rest: &[Transfer], first: u16, desk: &mut Desk<'_>) -> (Event, u16, Option<u16>) {
    let before_last = rest.iter().take_while(|t| t.flags & TransferFlags::LINKED != 0).count();
    let malformed = rest[..=before_last].iter().position(|t| refuse_transfer(t, &desk.terms).is_some());
    let last = first + before_last as u16;
    desk.outcomes.chain(first, last);
    (Event { index: first, unit: first, linked: true }, last, malformed.map(|at| first + at as u16))
}
