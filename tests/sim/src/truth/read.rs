//! Reading the log, and executing it.

use super::{Epoch, Logged, Outcomes, Truth};
use crate::disk::Disk;
use crate::invariants::{Broken, Invariant, broken, model};
use auriga_shards::execute::epoch::OwnBlock;
use auriga_shards::limits::{SECTOR_SIZE, UNIT_SIZE};
use auriga_shards::log::Identity;
use auriga_shards::log::block::{Block, Place};
use auriga_shards::log::cut::{BlockEntry, Cut};
use auriga_shards::log::segment::{cut_place, stream_place};
use auriga_shards::pacer::LogEnd;
use auriga_shards::place::Position;
use auriga_shards::shard::whole_digest;
use auriga_tests::exact::{execute_transfers, terms_of};
use auriga_tests::model::Status;
use auriga_wire::record::TransferFlags;
use auriga_wire::{Account, Command, EventResult, Header, Transfer};
use std::collections::BTreeSet;

/// Slots behind the log's end that must be empty.
const SLOTS_EMPTY: u64 = 8;

impl Truth {
    /// Reads what was logged since. `may_come` tells whether an epoch and a request may be among it.
    pub(crate) fn read(
        &mut self,
        disk: &mut Disk,
        may_come: impl Fn(Coming<'_>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let mut sector = vec![0; SECTOR_SIZE];
        loop {
            let epoch = self.end.epoch + 1;
            let (file, offset) = cut_place(epoch);
            disk.read(file, offset, &mut sector);
            self.tail = sector.iter().any(|byte| *byte != 0);
            let Ok((cut, checksum)) = Cut::decode(&disk.identity, &sector) else { break };
            let is_durable = disk.is_durable((file, offset), SECTOR_SIZE);
            let is_hidden = self.hides_lost && self.has_lost(epoch, checksum);
            if !is_durable || is_hidden || !disk.was_asked((file, offset), &sector) {
                break;
            }
            self.end.incarnation = self.end.incarnation.max(cut.incarnation);
            let Some(blocks) = read_blocks(&cut, disk) else { break };
            may_come(Coming::Cut(&cut, checksum))?;
            self.check_cut(&cut)?;
            disk.commit((file, offset), SECTOR_SIZE);
            for entry in &cut.blocks {
                disk.commit(stream_place(entry.stream, entry.offset), entry.size());
            }
            self.execute(&disk.identity, cut, checksum, blocks, &may_come)?;
        }
        let end = self.end.epoch;
        self.reached = self.reached.max(end);
        for epoch in self.reached + 2..=disk.cuts_through.min(self.reached + SLOTS_EMPTY) {
            let (file, offset) = cut_place(epoch);
            disk.read(file, offset, &mut sector);
            if sector.iter().any(|byte| *byte != 0) && !disk.is_damaged((file, offset), SECTOR_SIZE) {
                let what = format!("the log ends at epoch {end}, and there are bytes in the slot of {epoch}");
                return broken(Invariant::Contract, what);
            }
        }
        Ok(())
    }

    /// Forgets the epochs behind this one. Returns the numbers of their requests.
    pub(crate) fn roll_back(&mut self, disk: &mut Disk, to: u64) -> Result<BTreeSet<u64>, Broken> {
        let epochs = std::mem::take(&mut self.epochs);
        let reached = self.reached;
        let before = std::mem::replace(self, Self { reached, ..Self::new() });
        for Epoch { cut, blocks, end, .. } in epochs {
            if cut.epoch <= to {
                self.execute(&disk.identity, cut, end.checksum, blocks, |_| Ok(()))?;
                continue;
            }
            disk.uncommit(cut_place(cut.epoch), SECTOR_SIZE);
            for entry in &cut.blocks {
                disk.uncommit(stream_place(entry.stream, entry.offset), entry.size());
            }
            self.lost = Some((cut, end.checksum, blocks));
            self.hides_lost = true;
        }
        let requests = before.requests.into_keys();
        Ok(requests.filter(|number| !self.requests.contains_key(number)).collect())
    }

    /// The epoch that was dropped is there again: a checkpoint has its state.
    pub(crate) fn find_lost(&mut self, disk: &mut Disk) -> Result<(), Broken> {
        let Some((cut, checksum, blocks)) = self.lost.take() else { return Ok(()) };
        disk.commit(cut_place(cut.epoch), SECTOR_SIZE);
        for entry in &cut.blocks {
            disk.commit(stream_place(entry.stream, entry.offset), entry.size());
        }
        self.execute(&disk.identity, cut, checksum, blocks, |_| Ok(()))
    }

    /// What a pacer must have seen to when it wrote the cut.
    fn check_cut(&self, cut: &Cut) -> Result<(), Broken> {
        let end = &self.end;
        let last = self.epochs.last().map_or(0, |epoch| epoch.cut.incarnation);
        let chained = (cut.epoch, cut.previous) == (end.epoch + 1, end.checksum);
        let proves = cut.committed_through == end.epoch;
        let expires = (end.expired_through..=cut.time).contains(&cut.expire_through);
        let opens = cut.incarnation == last || cut.incarnation > last && cut.blocks.is_empty();
        let forgets = (end.horizon..=cut.time).contains(&cut.horizon) && cut.horizon < cut.ids_through;
        if chained && proves && opens && expires && forgets && cut.time >= end.time_end {
            return Ok(());
        }
        let what = format!("a cut doesn't continue the log: {cut:?} behind {end:?} of incarnation {last}");
        broken(Invariant::Contract, what)
    }

    fn execute(
        &mut self,
        identity: &Identity,
        cut: Cut,
        checksum: u128,
        bytes: Vec<Vec<u8>>,
        may_come: impl Fn(Coming<'_>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.model.terms = terms_of(&cut);
        let blocks = open_blocks(identity, &cut, &bytes)?;
        let mut outcomes = Vec::new();
        for OwnBlock { base, block } in &blocks {
            let mut of_block = Outcomes::default();
            for (unit, command, body) in block.requests() {
                let at = usize::from(unit - 1) * UNIT_SIZE;
                let header: Header = bytemuck::pod_read_unaligned(&block.bytes()[at..at + UNIT_SIZE]);
                may_come(Coming::Request(header.request, cut.epoch))?;
                let first = *base + unit;
                let results = self.execute_request(&cut, (first, unit), command, body, &mut of_block);
                let logged = Logged {
                    position: Position::new(cut.epoch, first),
                    timestamp: cut.time + u64::from(first),
                    results,
                };
                if let Some(twice) = self.requests.insert(header.request, logged) {
                    let what = format!("request {} is in the log twice: {twice:?}", header.request);
                    return broken(Invariant::Acknowledged, what);
                }
            }
            outcomes.push(of_block);
        }
        let before = (self.end.expired_through, self.end.horizon);
        let is_idle = cut.blocks.is_empty() && before == (cut.expire_through, cut.horizon);
        self.expire(&cut);
        if !is_idle {
            self.newest = (cut.epoch, cut.time);
        }
        self.reference.begin(&cut, blocks);
        self.reference.take_own();
        self.end_epoch(cut, checksum, bytes, outcomes, is_idle)
    }

    fn end_epoch(
        &mut self,
        cut: Cut,
        checksum: u128,
        blocks: Vec<Vec<u8>>,
        outcomes: Vec<Outcomes>,
        is_idle: bool,
    ) -> Result<(), Broken> {
        for entry in &cut.blocks {
            self.stream_ends.insert(entry.stream, entry.offset + entry.size() as u64);
        }
        self.end = LogEnd {
            epoch: cut.epoch,
            checksum,
            time_end: cut.time + cut.units() as u64 + 1,
            incarnation: self.end.incarnation.max(cut.incarnation),
            expired_through: cut.expire_through,
            horizon: cut.horizon,
        };
        if let (true, Some(last)) = (is_idle, self.epochs.last()) {
            let Epoch { accounts, ids, pendings, terms, state_digest, digest, .. } = *last;
            let end = self.end;
            let epoch =
                Epoch { cut, end, blocks, accounts, ids, pendings, terms, state_digest, digest, outcomes };
            self.epochs.push(epoch);
            return Ok(());
        }
        model::is_state(self, &self.reference)?;
        let state_digest = self.reference.ledger.digest();
        let open = self.model.pendings().values().filter(|status| **status == Status::Pending);
        self.epochs.push(Epoch {
            cut,
            end: self.end,
            blocks,
            accounts: self.model.accounts().len() as u64,
            ids: self.ids.keys().filter(|id| !self.model.terms.is_forgotten(**id)).count() as u64,
            pendings: open.count() as u64,
            terms: self.model.terms,
            state_digest,
            digest: whole_digest(state_digest, self.newest),
            outcomes,
        });
        Ok(())
    }

    fn execute_request(
        &mut self,
        cut: &Cut,
        (first, unit): (u16, u16),
        command: Command,
        body: &[u8],
        outcomes: &mut Outcomes,
    ) -> Vec<EventResult> {
        let mut results = Vec::new();
        let mut touched = BTreeSet::new();
        if command == Command::CreateAccounts {
            let accounts: Vec<Account> = bytemuck::pod_collect_to_vec(body);
            let time = cut.time + u64::from(first);
            let codes = self.model.create_accounts(time, &accounts);
            for ((i, account), code) in (0..).zip(&accounts).zip(codes) {
                match code {
                    Some(code) => results.push(EventResult::refused(i, code.number())),
                    None => {
                        let timestamp = time + u64::from(i);
                        self.created_accounts.push(Account { timestamp, ..*account });
                    }
                }
            }
            touched.extend(accounts.iter().map(|account| account.id));
        } else {
            let transfers: Vec<Transfer> = bytemuck::pod_collect_to_vec(body);
            let known: BTreeSet<u128> = transfers.iter().map(|transfer| transfer.id).collect();
            let known: BTreeSet<u128> = known.into_iter().filter(|id| self.ids.contains_key(id)).collect();
            let position = Position::new(cut.epoch, first);
            let codes = execute_transfers(&mut self.model, cut.time, position, &transfers, &mut self.ids);
            for ((i, sent), code) in (0..).zip(&transfers).zip(codes) {
                let done =
                    self.model.transfer(sent.id).filter(|_| sent.flags & TransferFlags::BALANCING != 0);
                match (code, done) {
                    (Some(code), _) => results.push(EventResult::refused(i, code.number())),
                    (None, Some(done)) => {
                        outcomes.amounts.push((unit + i as u16, done.amount));
                        if done.amount < sent.amount {
                            results.push(EventResult::created(i, done.amount));
                        }
                    }
                    _ => {}
                }
                if code.is_none() {
                    let created = self.model.transfer(sent.id).expect("the model has created it");
                    self.created_transfers.push(*created);
                    if sent.flags & TransferFlags::RESOLVING != 0 {
                        outcomes.ended.push((unit + i as u16, created.amount));
                    }
                }
            }
            for transfer in transfers.iter().filter(|transfer| !known.contains(&transfer.id)) {
                if let Some(created) = self.model.transfer(transfer.id) {
                    touched.extend([created.debit_account_id, created.credit_account_id]);
                    self.transfers.insert(created.id, (cut.epoch, *created));
                }
            }
        }
        let refused = results.iter().filter(|result| result.is_refused());
        outcomes.refused.extend(refused.map(|result| unit + result.index as u16));
        for id in touched {
            self.note_account(cut.epoch, id);
        }
        results
    }

    /// The end of an epoch.
    fn expire(&mut self, cut: &Cut) {
        let expires = |(_, status): &(&u128, &Status)| **status == Status::Pending;
        let pending: Vec<u128> = self.model.pendings().iter().filter(expires).map(|(id, _)| *id).collect();
        self.model.expire(cut.expire_through);
        for id in pending {
            if self.model.pendings()[&id] == Status::Expired {
                let expired = *self.model.transfer(id).expect("it was created");
                self.note_account(cut.epoch, expired.debit_account_id);
                self.note_account(cut.epoch, expired.credit_account_id);
            }
        }
    }

    fn note_account(&mut self, epoch: u64, id: u128) {
        let Some(account) = self.model.accounts().get(&id) else { return };
        let history = self.accounts.entry(id).or_default();
        match history.last_mut() {
            Some((of, last)) if *of == epoch => *last = *account,
            _ => history.push((epoch, *account)),
        }
    }
}

/// What is about to be taken for a part of the log.
pub(crate) enum Coming<'a> {
    /// A cut with its checksum.
    Cut(&'a Cut, u128),
    /// A request by its number, in this epoch.
    Request(u64, u64),
}

/// The bytes of the epoch's blocks, if all of them are there as they were written.
fn read_blocks(cut: &Cut, disk: &Disk) -> Option<Vec<Vec<u8>>> {
    let read = |entry: &BlockEntry| {
        let (file, at) = stream_place(entry.stream, entry.offset);
        let mut bytes = vec![0; entry.size()];
        disk.read(file, at, &mut bytes);
        // One that was written there for another epoch is as whole, and has another checksum.
        let is_it = bytes.starts_with(&entry.checksum.to_le_bytes());
        let is_it = is_it && disk.is_durable((file, at), entry.size());
        let is_whole = is_it && disk.was_asked((file, at), &bytes[..entry.units as usize * UNIT_SIZE]);
        is_whole.then_some(bytes)
    };
    cut.blocks.iter().map(read).collect()
}

fn open_blocks(identity: &Identity, cut: &Cut, blocks: &[Vec<u8>]) -> Result<Vec<OwnBlock>, Broken> {
    let opened = cut.bases().zip(blocks).map(|((base, entry), bytes)| {
        let mut block = Block::with_size(entry.size());
        block.memory_mut().copy_from_slice(bytes);
        let place = Place::of(identity.cluster, cut.incarnation, cut.epoch, entry);
        match block.open(entry, &place) {
            Ok(()) => Ok(OwnBlock { base: base as u16, block }),
            Err(damage) => {
                broken(Invariant::Contract, format!("a block of epoch {}: {}", cut.epoch, damage.0))
            }
        }
    });
    opened.collect()
}
