//! The end of a vote, on the account side: what is open goes to the coordinator; what is decided is settled.

use super::{Booth, TrackedLeg, Voter, slot_of};
use crate::execute::epoch::Plan;
use crate::execute::message::{
    ClaimLeg, Closing, LegId, LegKind, NO_INDEX, NO_SLOT, OpenAccount, OpenLeg, balance_to,
};
use crate::execute::verdicts::Verdicts;
use crate::ledger::Ledger;
use crate::ledger::rules::Side;
use crate::place::ShardId;
use auriga_wire::record::AccountFlags;

impl Voter {
    /// All votes are in and something is held: sends what is open here to the coordinator.
    pub fn send_open(&mut self, coordinator: ShardId, booth: &mut Booth<'_>) {
        self.claim_legs.sort_unstable_by_key(|leg| (leg.index, leg.credit));
        let claim_legs = std::mem::take(&mut self.claim_legs);
        for leg in &claim_legs {
            let is_held = leg.is_post == 1 && booth.verdicts.unit_held(leg.unit);
            if is_held && let Some(account) = self.claimed_account(leg, booth.ledger) {
                self.tracked[account as usize].any_held = true;
            }
        }
        self.send_candidates(coordinator, booth);
        let tracked_legs = std::mem::take(&mut self.tracked_legs);
        let mut claims = claim_legs.iter().peekable();
        for leg in &tracked_legs {
            while let Some(claim) = claims.next_if(|claim| claim.index < leg.leg.index) {
                self.send_claim_leg(claim, coordinator, booth);
            }
            self.send_leg(leg, coordinator, booth);
        }
        for claim in claims {
            self.send_claim_leg(claim, coordinator, booth);
        }
        (self.tracked_legs, self.claim_legs) = (tracked_legs, claim_legs);
        self.open_legs.flush(booth.mail);
        self.open_accounts.flush(booth.mail);
    }

    /// Number among the tracked accounts of what a post or void is about. None if the account doesn't exist: then its
    /// pending transfer is of this epoch and refused.
    fn claimed_account(&mut self, leg: &ClaimLeg, ledger: &mut Ledger) -> Option<u32> {
        match slot_of_claim(leg, ledger) {
            Some(slot) => Some(self.track(slot, ledger)),
            None => self.candidate_before(leg.account, leg.index).map(|(_, number)| number),
        }
    }

    fn send_candidates(&mut self, coordinator: ShardId, booth: &mut Booth<'_>) {
        for candidate in &self.candidates {
            let new = &candidate.new;
            let unit_refused = booth.verdicts.unit_refused(new.unit);
            if !self.tracked[candidate.number as usize].any_held || unit_refused && new.linked == 0 {
                continue;
            }
            let open = OpenAccount {
                account: new.account,
                number: candidate.number,
                index: new.index,
                unit: new.unit,
                probe: new.probe,
                linked: new.linked,
                unit_refused: u8::from(unit_refused),
                pad: [0; 5],
            };
            self.open_accounts.push(booth.mail, booth.epoch.number, coordinator, open);
        }
    }

    fn send_leg(&mut self, leg: &TrackedLeg, coordinator: ShardId, booth: &mut Booth<'_>) {
        let account = &mut self.tracked[leg.account as usize];
        let id = leg.leg;
        let (unit_refused, refused) =
            (booth.verdicts.unit_refused(id.unit), booth.verdicts.is_refused(id.index));
        if !account.any_held || unit_refused && !leg.held && !id.kind.is(LegKind::LINKED) {
            return;
        }
        if !unit_refused && !booth.verdicts.unit_held(id.unit) {
            account.known.add(id.kind.half(leg.amount));
            if id.kind.is(LegKind::CLOSING) {
                account.flags |= AccountFlags::CLOSED;
            }
            return;
        }
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        let open = OpenLeg {
            amount: leg.amount,
            reserved: 0,
            known: balance_to(&account.known),
            account: leg.account,
            ledger: leg.ledger,
            id,
            flags: account.flags,
            variable: NO_INDEX,
            is: bit(leg.held, OpenLeg::HELD)
                | bit(refused, OpenLeg::REFUSED)
                | bit(unit_refused, OpenLeg::UNIT_REFUSED)
                | bit(leg.uncertain, OpenLeg::UNCERTAIN),
            pad: [0; 9],
        };
        self.open_legs.push(booth.mail, booth.epoch.number, coordinator, open);
    }

    fn send_claim_leg(&mut self, leg: &ClaimLeg, coordinator: ShardId, booth: &mut Booth<'_>) {
        let Some(number) = self.claimed_account(leg, booth.ledger) else { return };
        let account = &mut self.tracked[number as usize];
        if !account.any_held {
            return;
        }
        let unit_refused = booth.verdicts.unit_refused(leg.unit);
        if !unit_refused && !booth.verdicts.unit_held(leg.unit) {
            account.known.resolve(leg.side(), leg.reserved, leg.posted);
            if leg.reopens == 1 {
                account.flags &= !AccountFlags::CLOSED;
            }
            return;
        }
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        let own = booth.mail.shard().0;
        let open = OpenLeg {
            amount: leg.posted,
            reserved: leg.reserved,
            known: balance_to(&account.known),
            account: number,
            ledger: 0,
            id: LegId {
                index: leg.index,
                unit: leg.unit,
                peer: own,
                id_shard: own,
                kind: LegKind(if leg.credit == 1 { LegKind::CREDIT } else { 0 }),
                pad: 0,
            },
            flags: account.flags,
            variable: leg.variable,
            is: OpenLeg::CLAIM
                | bit(leg.is_post == 1, OpenLeg::HELD)
                | bit(leg.reopens == 1, OpenLeg::REOPENS)
                | bit(booth.verdicts.is_refused(leg.index), OpenLeg::REFUSED)
                | bit(unit_refused, OpenLeg::UNIT_REFUSED),
            pad: [0; 9],
        };
        self.open_legs.push(booth.mail, booth.epoch.number, coordinator, open);
    }

    /// Everything is decided: who was not refused is created.
    pub fn settle(&mut self, ledger: &mut Ledger, verdicts: &Verdicts, plan: &Plan) {
        if verdicts.any_refused() {
            for leg in &self.applied {
                if verdicts.unit_refused(leg.leg.unit) {
                    ledger.accounts.take_back(leg.slot, leg.leg.kind.half(leg.amount));
                }
            }
        }
        for candidate in &self.candidates {
            let new = &candidate.new;
            if new.probe == 0 && !verdicts.unit_refused(new.unit) {
                let hash = ledger.placement.hash(new.account.id);
                let timestamp = plan.time + u64::from(new.index);
                let created = ledger.accounts.create(hash, &new.account, timestamp);
                self.tracked[candidate.number as usize].slot = created.expect("one candidate is created");
            }
        }
        // In position order: a post or void may have made the room for a later leg.
        self.claim_legs.sort_unstable_by_key(|leg| (leg.index, leg.credit));
        let (claim_legs, tracked_legs) =
            (std::mem::take(&mut self.claim_legs), std::mem::take(&mut self.tracked_legs));
        let mut claims = claim_legs.iter().peekable();
        for leg in &tracked_legs {
            while let Some(claim) = claims.next_if(|claim| claim.index < leg.leg.index) {
                self.settle_claim_leg(claim, ledger, verdicts);
            }
            self.settle_leg(leg, ledger, verdicts);
        }
        for claim in claims {
            self.settle_claim_leg(claim, ledger, verdicts);
        }
        (self.claim_legs, self.tracked_legs) = (claim_legs, tracked_legs);
        self.settle_releases(ledger);
    }

    fn settle_leg(&mut self, leg: &TrackedLeg, ledger: &mut Ledger, verdicts: &Verdicts) {
        if verdicts.unit_refused(leg.leg.unit) {
            return;
        }
        let slot = self.tracked[leg.account as usize].slot;
        let kind = leg.leg.kind;
        let amount = if kind.is(LegKind::VARIABLE) { verdicts.amount(leg.leg.index) } else { leg.amount };
        ledger.accounts.add(slot, kind.half(amount));
        if kind.is(LegKind::CLOSING) {
            self.set_closed(slot, true, ledger);
        }
    }

    fn settle_claim_leg(&mut self, leg: &ClaimLeg, ledger: &mut Ledger, verdicts: &Verdicts) {
        if verdicts.unit_refused(leg.unit) {
            return;
        }
        let (reserved, posted) = match leg.variable {
            NO_INDEX => (leg.reserved, leg.posted),
            opened => {
                let posted = if leg.is_post == 1 { verdicts.amount(leg.index) } else { 0 };
                (verdicts.amount(opened), posted)
            }
        };
        let slot = slot_of_claim(leg, ledger).expect("accounts of a created transfer stay");
        ledger.accounts.resolve(slot, leg.side(), reserved, posted);
        if leg.reopens == 1 {
            self.set_closed(slot, false, ledger);
        }
    }

    fn settle_releases(&mut self, ledger: &mut Ledger) {
        for release in std::mem::take(&mut self.releases) {
            let slot = slot_of(release.account, ledger);
            let side = if release.credit == 0 { Side::Debit } else { Side::Credit };
            ledger.accounts.resolve(slot, side, release.reserved, 0);
            if release.reopens == 1 {
                self.set_closed(slot, false, ledger);
            }
        }
    }

    fn set_closed(&mut self, slot: u32, closed: bool, ledger: &mut Ledger) {
        ledger.accounts.set_closed(slot, closed);
        let account = ledger.accounts.hot(slot).id;
        self.closings.push(Closing { account, closed: u8::from(closed), pad: [0; 15] });
    }
}

/// The slot of a claimed account. One that was created in this epoch may have come behind the claim.
fn slot_of_claim(leg: &ClaimLeg, ledger: &Ledger) -> Option<u32> {
    match leg.slot {
        NO_SLOT => ledger.accounts.find(ledger.placement.hash(leg.account), leg.account),
        slot => Some(slot),
    }
}
