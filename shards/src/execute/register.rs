//! The register: each check of an id where the id is. Duplicates, and the pending transfers that posts and voids are about.

use super::epoch::Plan;
use super::mail::{Mail, Sorter};
use super::message::{
    Claim, ClaimLeg, Closing, Detail, Ending, NO_INDEX, NO_SLOT, Note, OpenClaim, OpenNote, Release, Reserve,
    Vote, refusal_of,
};
use super::verdicts::{Told, Verdicts};
use super::vote::Booth;
use crate::ledger::Ledger;
use crate::ledger::ids::{Consumed, Done, IdNumber, Status};
use crate::ledger::pendings::Pending;
use crate::ledger::rules::{Rank, deadline, refuse_claim};
use crate::place::{Placement, Position, ShardId};
use auriga_wire::TransferCode;
use auriga_wire::record::TransferFlags;
use std::collections::BTreeMap;

/// An id's line of the index is asked for so many notes before it is worked on.
const AHEAD: usize = 24;
/// Notes whose line is asked for and that are not worked on; a power of two.
const RING: usize = 32;
const _: () = assert!(RING > AHEAD && RING.is_power_of_two());
/// Posts and voids are looked up in groups, so that the memory of one is fetched while others are worked on.
const GROUP: usize = 32;
/// Counters of closed accounts, by hash.
const FILTER: usize = 1 << 16;

/// An id that the epoch consumed.
#[derive(Clone, Copy, Debug)]
struct NewId {
    number: IdNumber,
    index: u16,
    unit: u16,
    kind: u8,
}

/// A duplicate of an id that the epoch consumed.
#[derive(Clone, Copy, Debug)]
struct Duplicate {
    index: u16,
    unit: u16,
    original_unit: u16,
}

/// Not among the pending transfers of the shard yet.
const OF_EPOCH: u32 = u32::MAX;

/// A claimed pending transfer of this shard.
#[derive(Clone, Copy, Debug)]
struct Claimed {
    pending: Pending,
    /// Among the pending transfers of the shard; of one of this epoch [`OF_EPOCH`].
    number: u32,
    /// Of this epoch: its chain; and whether its amount is variable.
    opened_unit: Option<u16>,
    variable: bool,
    claims: u32,
}

/// A claim that is not refused by what the pending transfer was before the epoch.
#[derive(Clone, Copy, Debug)]
struct OpenedClaim {
    claim: Claim,
    /// Place among the claimed.
    claimed: u32,
    rank: Rank,
}

/// The id side of one shard in one epoch.
#[derive(Debug)]
pub struct Register {
    placement: Placement,
    consumed: Vec<NewId>,
    duplicates: Vec<Duplicate>,
    reserves: Vec<Reserve>,
    claims: Vec<Claim>,
    claimed: Vec<Claimed>,
    open_claims: Vec<OpenedClaim>,
    /// How many closed accounts have each hash, on all shards.
    closed: Vec<u32>,
    /// What posts and voids whose ids are here do.
    endings: Vec<Ending>,
    claim_legs: Sorter<ClaimLeg>,
    endings_out: Sorter<Ending>,
    releases: Sorter<Release>,
    notes_out: Sorter<OpenNote>,
    claims_out: Sorter<OpenClaim>,
}

impl Register {
    /// A register for this placement.
    pub fn new(placement: Placement) -> Self {
        let shards = placement.shards();
        Self {
            placement,
            consumed: Vec::new(),
            duplicates: Vec::new(),
            reserves: Vec::new(),
            claims: Vec::new(),
            claimed: Vec::new(),
            open_claims: Vec::new(),
            closed: vec![0; FILTER],
            endings: Vec::new(),
            claim_legs: Sorter::new(shards),
            endings_out: Sorter::new(shards),
            releases: Sorter::new(shards),
            notes_out: Sorter::new(shards),
            claims_out: Sorter::new(shards),
        }
    }

    /// Forgets the epoch before.
    pub fn clear(&mut self) {
        self.consumed.clear();
        self.duplicates.clear();
        self.reserves.clear();
        self.claims.clear();
        self.claimed.clear();
        self.open_claims.clear();
        self.endings.clear();
    }

    /// Sends what the pending transfers that expire at the end of the epoch give back. No post or void of the epoch can
    /// come before: each is later than their deadlines.
    pub fn send_releases(&mut self, through: u64, epoch: u64, ledger: &Ledger, mail: &mut Mail) {
        for pending in ledger.pendings.due(through) {
            let halves = [
                (pending.debit_account_id, 0, TransferFlags::CLOSING_DEBIT),
                (pending.credit_account_id, 1, TransferFlags::CLOSING_CREDIT),
            ];
            for (account, credit, closing) in halves {
                let to = self.placement.owner(self.placement.hash(account));
                let reopens = u8::from(pending.flags & closing != 0);
                let release = Release { account, reserved: pending.amount, credit, reopens, pad: [0; 14] };
                self.releases.push(mail, epoch, to, release);
            }
        }
        self.releases.flush(mail);
    }

    /// Takes id notes, in position order.
    pub fn take_notes(&mut self, notes: &[Note], booth: &mut Booth<'_>) {
        let mut hashes = [0; RING];
        for at in 0..notes.len() + AHEAD {
            if let Some(note) = notes.get(at) {
                let hash = self.placement.hash(note.id);
                booth.ledger.ids.prefetch(hash, note.id);
                hashes[at % RING] = hash;
            }
            let now = at.wrapping_sub(AHEAD);
            if let Some(note) = notes.get(now) {
                self.take_note(note, hashes[now % RING], booth);
            }
        }
    }

    #[inline]
    fn take_note(&mut self, note: &Note, hash: u64, booth: &mut Booth<'_>) {
        let ids = &mut booth.ledger.ids;
        if note.is(Note::PROBE) {
            if let Some(consumed) = ids.find(hash, note.id, note.content) {
                self.refuse_duplicate(note, consumed, booth);
            }
            return;
        }
        let position = Position::new(booth.epoch.number, note.index);
        match ids.find_or_consume(hash, note.id, position, note.content) {
            Ok(consumed) => self.refuse_duplicate(note, consumed, booth),
            Err(number) => {
                let (index, unit, kind) = (note.index, note.unit(), note.kind);
                self.consumed.push(NewId { number, index, unit, kind });
            }
        }
    }

    /// A duplicate is refused whatever became of its original; only the code may have to wait for that.
    #[cold]
    fn refuse_duplicate(&mut self, note: &Note, consumed: Consumed, booth: &mut Booth<'_>) {
        let (index, unit) = (note.index, note.unit());
        let (rank, detail) = if consumed.position.epoch() == booth.epoch.number {
            let original = self.new_id(consumed.position.index());
            // Within a chain the original was created as far as its duplicate can see.
            if original.unit != unit {
                self.duplicates.push(Duplicate { index, unit, original_unit: original.unit });
                booth.verdicts.count_held();
            }
            (Rank::EXISTS, Detail::original(&consumed))
        } else {
            refusal_of(&consumed)
        };
        let told = if note.is(Note::WIDE) {
            Told::All
        } else if note.is(Note::PROBE) {
            Told::Some([booth.epoch.arrival(index); 3])
        } else {
            let [debit, credit] = note.legs_or_unit.map(ShardId);
            Told::Some([debit, credit, credit])
        };
        booth.refuse(&Vote::refuse(index, unit, rank, detail), told);
    }

    /// The id that the transfer with this index consumed.
    fn new_id(&self, index: u16) -> NewId {
        let found = self.consumed.binary_search_by_key(&index, |new| new.index);
        self.consumed[found.expect("the epoch has consumed it")]
    }

    /// Takes what pending transfers reserve.
    pub fn take_reserves(&mut self, reserves: &[Reserve]) {
        self.reserves.extend_from_slice(reserves);
    }

    /// Takes posts and voids; judged when all notes are there.
    pub fn take_claims(&mut self, claims: &[Claim]) {
        self.claims.extend_from_slice(claims);
    }

    /// Takes which accounts were closed or opened.
    pub fn take_closings(&mut self, closings: &[Closing]) {
        for closing in closings {
            let count = &mut self.closed[filter_place(&self.placement, closing.account)];
            *count = if closing.closed == 1 { *count + 1 } else { *count - 1 };
        }
    }

    /// Judges the posts and voids. Every note is here, and every account that is closed is known.
    pub fn judge_claims(&mut self, may_close: bool, booth: &mut Booth<'_>) {
        if self.claims.is_empty() {
            return;
        }
        let claims = std::mem::take(&mut self.claims);
        let mut opened = BTreeMap::new();
        for group in claims.chunks(GROUP) {
            for claim in group {
                booth.ledger.pendings.prefetch(self.placement.hash(claim.pending_id));
            }
            for claim in group {
                match self.find(claim, &mut opened, booth.ledger, booth.epoch) {
                    Ok(claimed) => self.judge(claim, claimed, booth),
                    Err(code) => refuse(claim, Rank::of(code), booth),
                }
            }
        }
        self.claims = claims;
        let open_claims = std::mem::take(&mut self.open_claims);
        for open in &open_claims {
            let claimed = &self.claimed[open.claimed as usize];
            let pending = &claimed.pending;
            let closable = open_to_closing(&self.closed, &self.placement, pending) || may_close;
            let is_open =
                claimed.claims > 1 || claimed.opened_unit.is_some() || closable && !open.claim.is_void();
            if open.rank == Rank::CREATED {
                self.send_legs(open, booth);
                if is_open {
                    let (index, unit) = (open.claim.index, open.claim.unit);
                    booth.verdicts.hold(index, unit, Told::All, booth.epoch, booth.mail);
                }
            } else {
                refuse(&open.claim, open.rank, booth);
                if is_open {
                    booth.verdicts.count_held();
                }
            }
        }
        self.open_claims = open_claims;
        self.claim_legs.flush(booth.mail);
        self.endings_out.flush(booth.mail);
    }

    /// The place among the claimed of what a claim is about; an error if it can't be claimed whatever the epoch brings.
    /// `opened` has the places of what was opened in the epoch, by index.
    fn find(
        &mut self,
        claim: &Claim,
        opened: &mut BTreeMap<u16, u32>,
        ledger: &mut Ledger,
        plan: &Plan,
    ) -> Result<u32, TransferCode> {
        let hash = self.placement.hash(claim.pending_id);
        if let Some(number) = ledger.pendings.find(hash, claim.pending_id) {
            let place = ledger.pendings.mark(number);
            if self.claimed.get(place as usize).is_some_and(|claimed| claimed.number == number) {
                return Ok(place);
            }
            let pending = *ledger.pendings.get(number);
            let place =
                self.claim(Claimed { pending, number, opened_unit: None, variable: false, claims: 0 });
            ledger.pendings.set_mark(number, place);
            return Ok(place);
        }
        if plan.terms.is_forgotten(claim.pending_id) {
            return Err(TransferCode::PendingIdExpired);
        }
        let consumed =
            ledger.ids.find(hash, claim.pending_id, 0).ok_or(TransferCode::PendingTransferNotFound)?;
        let position = consumed.position;
        if position.epoch() != plan.number {
            return Err(consumed.status.refuses_claim());
        }
        if position.index() > claim.index {
            return Err(TransferCode::PendingTransferNotFound);
        }
        if let Some(place) = opened.get(&position.index()) {
            return Ok(*place);
        }
        let new = self.new_id(position.index());
        let pending = self.reserved(&new, plan, ledger);
        let place = self.claim(Claimed {
            pending,
            number: OF_EPOCH,
            opened_unit: Some(new.unit),
            variable: new.kind & Note::VARIABLE != 0,
            claims: 0,
        });
        opened.insert(position.index(), place);
        Ok(place)
    }

    fn claim(&mut self, claimed: Claimed) -> u32 {
        self.claimed.push(claimed);
        (self.claimed.len() - 1) as u32
    }

    /// What a transfer of this epoch reserves; flags without `pending` if it isn't a pending one.
    fn reserved(&self, new: &NewId, plan: &Plan, ledger: &Ledger) -> Pending {
        let found = self.reserves.binary_search_by_key(&new.index, |reserve| reserve.index);
        let reserve = found.map_or(bytemuck::Zeroable::zeroed(), |at| self.reserves[at]);
        pending_from(new.number, &reserve, plan, ledger)
    }

    fn judge(&mut self, claim: &Claim, claimed: u32, booth: &mut Booth<'_>) {
        let found = &mut self.claimed[claimed as usize];
        found.claims += 1;
        let timestamp = booth.epoch.time + u64::from(claim.index);
        let mut asked = claim.transfer();
        if found.variable {
            // Its amount is not known: whatever is asked for fits so far.
            asked.amount = if claim.is_void() { 0 } else { u128::MAX };
        }
        let rank = if found.pending.flags & TransferFlags::PENDING == 0 {
            Rank::of(TransferCode::PendingTransferNotPending)
        } else {
            match refuse_claim(&asked, &found.pending, timestamp) {
                Ok(_) => Rank::CREATED,
                Err(code) => Rank::of(code),
            }
        };
        self.open_claims.push(OpenedClaim { claim: *claim, claimed, rank });
    }

    fn send_legs(&mut self, open: &OpenedClaim, booth: &mut Booth<'_>) {
        let claim = &open.claim;
        let claimed = &self.claimed[open.claimed as usize];
        let pending = &claimed.pending;
        let is_void = claim.is_void();
        let amount = match (is_void, claim.amount) {
            (true, _) | (false, u128::MAX) => pending.amount,
            (false, asked) => asked,
        };
        let posted = if is_void { 0 } else { amount };
        let ending = Ending {
            amount,
            pending: pending.position.0,
            check: pending.check,
            index: claim.index,
            is_variable: u16::from(claimed.variable),
        };
        self.endings_out.push(booth.mail, booth.epoch.number, ShardId(claim.id_shard), ending);
        let halves = [
            (pending.debit_account_id, 0, TransferFlags::CLOSING_DEBIT),
            (pending.credit_account_id, 1, TransferFlags::CLOSING_CREDIT),
        ];
        for (account, credit, closing) in halves {
            let leg = ClaimLeg {
                account,
                reserved: pending.amount,
                posted,
                slot: NO_SLOT,
                index: claim.index,
                unit: claim.unit,
                variable: if claimed.variable { pending.position.index() } else { NO_INDEX },
                credit,
                is_post: u8::from(!is_void),
                reopens: u8::from(is_void && pending.flags & closing != 0),
                pad: [0; 3],
            };
            let to = self.placement.owner(self.placement.hash(account));
            self.claim_legs.push(booth.mail, booth.epoch.number, to, leg);
        }
    }

    /// Takes what posts and voids do whose ids are here.
    pub fn take_endings(&mut self, endings: &[Ending]) {
        self.endings.extend_from_slice(endings);
    }

    /// All votes are in and something is held: sends what is open here to the coordinator.
    pub fn send_open(&mut self, coordinator: ShardId, booth: &mut Booth<'_>) {
        let epoch = booth.epoch.number;
        for duplicate in &self.duplicates {
            let open = OpenNote {
                index: duplicate.index,
                unit: duplicate.unit,
                original_unit: duplicate.original_unit,
                original_refused: u8::from(booth.verdicts.unit_refused(duplicate.original_unit)),
                pad: [0; 9],
            };
            self.notes_out.push(booth.mail, epoch, coordinator, open);
        }
        for open in &self.open_claims {
            let claimed = &self.claimed[open.claimed as usize];
            if claimed.claims < 2 && claimed.opened_unit.is_none() {
                continue;
            }
            let claim = &open.claim;
            // Within a chain the pending transfer was created as far as its claim can see.
            let opened_unit = claimed.opened_unit.filter(|unit| *unit != claim.unit);
            let item = OpenClaim {
                asked: claim.amount,
                amount: claimed.pending.amount,
                pending: open.claimed,
                index: claim.index,
                unit: claim.unit,
                opened_unit: opened_unit.unwrap_or(NO_INDEX),
                variable: if claimed.variable { claimed.pending.position.index() } else { NO_INDEX },
                rank: open.rank.0,
                is_void: u8::from(claim.is_void()),
                opened_refused: u8::from(opened_unit.is_some_and(|unit| booth.verdicts.unit_refused(unit))),
                unit_refused: u8::from(booth.verdicts.unit_refused(claim.unit)),
                is_forgotten: u8::from(booth.epoch.terms.is_forgotten(claim.pending_id)),
                pad: [0; 15],
            };
            self.claims_out.push(booth.mail, epoch, coordinator, item);
        }
        self.notes_out.flush(booth.mail);
        self.claims_out.flush(booth.mail);
    }

    /// Everything is decided: who was not refused is created.
    pub fn settle(&mut self, ledger: &mut Ledger, verdicts: &Verdicts, plan: &Plan) {
        self.endings.sort_unstable_by_key(|ending| ending.index);
        let (mut endings, mut reserves) = (self.endings.iter().peekable(), self.reserves.iter().peekable());
        for new in &self.consumed {
            while endings.next_if(|ending| ending.index < new.index).is_some() {}
            while reserves.next_if(|reserve| reserve.index < new.index).is_some() {}
            if verdicts.unit_refused(new.unit) {
                ledger.ids.set_status(new.number, Status::Refused);
                continue;
            }
            if new.kind & Note::VARIABLE != 0 {
                let amount = verdicts.amount(new.index);
                ledger.ids.set_done(new.number, Done { amount, pending: None });
            }
            if let Some(ending) = endings.next_if(|ending| ending.index == new.index) {
                let amount = if ending.is_variable == 1 { verdicts.amount(new.index) } else { ending.amount };
                let pending = Some((Position(ending.pending), ending.check));
                ledger.ids.set_done(new.number, Done { amount, pending });
            }
            if new.kind & Note::PENDING != 0 {
                let mut reserve = **reserves.peek().expect("a pending transfer says what it reserves");
                if new.kind & Note::VARIABLE != 0 {
                    reserve.amount = verdicts.amount(new.index);
                }
                let pending = pending_from(new.number, &reserve, plan, ledger);
                ledger.ids.set_status(new.number, Status::Pending);
                ledger.pendings.insert(self.placement.hash(pending.id), pending);
            }
        }
        for open in &self.open_claims {
            if !verdicts.unit_refused(open.claim.unit) {
                let status = if open.claim.is_void() { Status::Voided } else { Status::Posted };
                end(&self.claimed[open.claimed as usize], status, ledger);
            }
        }
        ledger.pendings.expire(&self.placement, plan.expire_through, |expired| {
            ledger.ids.set_ended(expired.number, expired.id, Status::Expired);
        });
        ledger.ids.forget_before(plan.terms.ids_from_ms);
    }
}

fn refuse(claim: &Claim, rank: Rank, booth: &mut Booth<'_>) {
    booth.refuse(&Vote::refuse(claim.index, claim.unit, rank, Detail::NONE), Told::All);
}

fn end(claimed: &Claimed, status: Status, ledger: &mut Ledger) {
    let id = claimed.pending.id;
    let hash = ledger.placement.hash(id);
    let number = match claimed.number {
        OF_EPOCH => ledger.pendings.find(hash, id).expect("a pending transfer is ended once"),
        number => number,
    };
    let ended = ledger.pendings.remove(hash, number);
    ledger.ids.set_ended(ended.number, id, status);
}

/// What the transfer of this epoch whose id has this number reserves.
fn pending_from(number: IdNumber, reserve: &Reserve, plan: &Plan, ledger: &Ledger) -> Pending {
    let position = ledger.ids.position(number);
    let timestamp = plan.time + u64::from(position.index());
    Pending {
        id: ledger.ids.id(number),
        debit_account_id: reserve.debit_account_id,
        credit_account_id: reserve.credit_account_id,
        amount: reserve.amount,
        deadline: deadline(timestamp, reserve.timeout).unwrap_or(None),
        position,
        number,
        check: ledger.ids.check(number),
        ledger: reserve.ledger,
        code: reserve.code,
        flags: reserve.flags,
    }
}

fn filter_place(placement: &Placement, account: u128) -> usize {
    (placement.hash(account) >> 7) as usize % FILTER
}

/// Whether one of the accounts may be closed.
fn open_to_closing(closed: &[u32], placement: &Placement, pending: &Pending) -> bool {
    [pending.debit_account_id, pending.credit_account_id]
        .into_iter()
        .any(|account| closed[filter_place(placement, account)] > 0)
}
