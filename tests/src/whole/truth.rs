//! What the log on the disk says: read back without the engine's recovery, and executed on the reference model.

use super::disk::Disk;
use crate::exact::expected::execute_transfers;
use crate::exact::logged::terms_of;
use crate::model::{Model, Status, Terms};
use auriga_shards::execute::Execution;
use auriga_shards::execute::epoch::OwnBlock;
use auriga_shards::limits::{SECTOR_SIZE, UNIT_SIZE};
use auriga_shards::log::block::{Block, Place};
use auriga_shards::log::cut::Cut;
use auriga_shards::log::segment::{cut_place, stream_place};
use auriga_shards::pacer::LogEnd;
use auriga_shards::place::{Placement, Position, ShardId};
use auriga_shards::shard::whole_digest;
use auriga_wire::record::TransferFlags;
use auriga_wire::{Account, Command, EventResult, Header, Transfer};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An epoch of the log and what it leads to.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) time: u64,
    pub(crate) units: u64,
    pub(crate) incarnation: u64,
    pub(crate) accounts: u64,
    /// Remembered ids.
    pub(crate) ids: u64,
    pub(crate) pendings: u64,
    pub(crate) terms: Terms,
    pub(crate) digest: u128,
}

/// A request of the log, and what the model says to it.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) position: Position,
    pub(crate) timestamp: u64,
    pub(crate) body: Vec<u8>,
    /// Of the events that were not created as they were sent.
    pub(crate) results: Vec<EventResult>,
}

/// The log and the states that it leads to.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) model: Model,
    /// Every consumed id: where.
    pub(crate) ids: BTreeMap<u128, Position>,
    /// Epoch 1 and those that follow.
    pub(crate) epochs: Vec<Epoch>,
    /// By the client's number.
    pub(crate) requests: HashMap<u64, Logged>,
    pub(crate) end: LogEnd,
    /// Something that is not the log's continuation lies in the slot behind its end.
    pub(crate) tail: bool,
    /// By stream: where its last block ends.
    pub(crate) stream_ends: BTreeMap<u16, u64>,
    accounts: HashMap<u128, Vec<(u64, Account)>>,
    transfers: HashMap<u128, (u64, Transfer)>,
    /// One shard, for the digest.
    reference: Execution,
    newest: (u64, u64),
}

impl Truth {
    pub(crate) fn new() -> Self {
        Self {
            model: Model::default(),
            ids: BTreeMap::new(),
            epochs: Vec::new(),
            requests: HashMap::new(),
            end: LogEnd::default(),
            tail: false,
            stream_ends: BTreeMap::new(),
            accounts: HashMap::new(),
            transfers: HashMap::new(),
            reference: Execution::new(ShardId(0), Placement::new(1, 0)),
            newest: (0, 0),
        }
    }

    /// Reads what was logged since. `newest_request` tells whether a request may be among it.
    pub(crate) fn read(&mut self, disk: &mut Disk, may_come: impl Fn(u64) -> bool) -> Result<(), String> {
        let mut sector = vec![0; SECTOR_SIZE];
        loop {
            let epoch = self.end.epoch + 1;
            let (file, offset) = cut_place(epoch);
            disk.read(file, offset, &mut sector);
            self.tail = sector.iter().any(|byte| *byte != 0);
            let Ok((cut, checksum)) = Cut::decode(&disk.identity, &sector) else { break };
            self.end.incarnation = self.end.incarnation.max(cut.incarnation);
            let Some(blocks) = open_blocks(&cut, disk) else { break };
            self.check_cut(&cut)?;
            disk.commit(file, offset, SECTOR_SIZE);
            for entry in &cut.blocks {
                let (file, offset) = stream_place(entry.stream, entry.offset);
                disk.commit(file, offset, entry.size());
                self.stream_ends.insert(entry.stream, entry.offset + entry.size() as u64);
            }
            self.execute(&cut, blocks, &may_come)?;
            self.end.epoch = epoch;
            self.end.checksum = checksum;
            self.end.time_end = cut.time + cut.units() as u64 + 1;
            self.end.expired_through = cut.expire_through;
            self.end.horizon = cut.horizon;
        }
        for epoch in self.end.epoch + 2..=disk.cuts_through.min(self.end.epoch + 8) {
            let (file, offset) = cut_place(epoch);
            disk.read(file, offset, &mut sector);
            if sector.iter().any(|byte| *byte != 0) {
                let end = self.end.epoch;
                return Err(format!(
                    "the log ends at epoch {end}, and there are bytes in the slot of {epoch}"
                ));
            }
        }
        Ok(())
    }

    /// What a pacer must have seen to when it wrote the cut.
    fn check_cut(&self, cut: &Cut) -> Result<(), String> {
        let end = &self.end;
        let last = self.epochs.last().map_or(0, |epoch| epoch.incarnation);
        let chained = (cut.epoch, cut.previous) == (end.epoch + 1, end.checksum);
        let proves = cut.committed_through == end.epoch;
        let expires = (end.expired_through..=cut.time).contains(&cut.expire_through);
        let opens = cut.incarnation == last || cut.incarnation > last && cut.blocks.is_empty();
        let forgets = (end.horizon..=cut.time).contains(&cut.horizon) && cut.horizon < cut.ids_through;
        if chained && proves && opens && expires && forgets && cut.time >= end.time_end {
            return Ok(());
        }
        Err(format!(
            "a cut in the log that doesn't continue it: {cut:?} behind {end:?} of incarnation {last}"
        ))
    }

    fn execute(
        &mut self,
        cut: &Cut,
        blocks: Vec<OwnBlock>,
        may_come: impl Fn(u64) -> bool,
    ) -> Result<(), String> {
        self.model.terms = terms_of(cut);
        for OwnBlock { base, block } in &blocks {
            for (unit, command, body) in block.requests() {
                let at = usize::from(unit - 1) * UNIT_SIZE;
                let header: Header = bytemuck::pod_read_unaligned(&block.bytes()[at..at + UNIT_SIZE]);
                if !may_come(header.request) {
                    return Err(format!("request {} came back in epoch {}", header.request, cut.epoch));
                }
                let first = *base + unit;
                let results = self.execute_request(cut, first, command, body);
                let logged = Logged {
                    position: Position::new(cut.epoch, first),
                    timestamp: cut.time + u64::from(first),
                    body: body.to_vec(),
                    results,
                };
                if let Some(twice) = self.requests.insert(header.request, logged) {
                    return Err(format!("request {} is in the log twice: {twice:?}", header.request));
                }
            }
        }
        let before = (self.end.expired_through, self.end.horizon);
        let is_idle = cut.blocks.is_empty() && before == (cut.expire_through, cut.horizon);
        self.expire(cut);
        if !is_idle {
            self.newest = (cut.epoch, cut.time);
        }
        self.reference.begin(cut, blocks);
        self.reference.take_own();
        self.epochs.push(Epoch {
            time: cut.time,
            units: cut.units() as u64,
            incarnation: cut.incarnation,
            accounts: self.model.accounts().len() as u64,
            ids: self.ids.keys().filter(|id| !self.model.terms.is_forgotten(**id)).count() as u64,
            pendings: self.model.pendings().values().filter(|status| **status == Status::Pending).count()
                as u64,
            terms: self.model.terms,
            digest: match self.epochs.last() {
                Some(last) if is_idle => last.digest,
                _ => whole_digest(self.reference.ledger.digest(), self.newest),
            },
        });
        Ok(())
    }

    fn execute_request(&mut self, cut: &Cut, first: u16, command: Command, body: &[u8]) -> Vec<EventResult> {
        let mut results = Vec::new();
        let mut touched = BTreeSet::new();
        if command == Command::CreateAccounts {
            let accounts: Vec<Account> = bytemuck::pod_collect_to_vec(body);
            let codes = self.model.create_accounts(cut.time + u64::from(first), &accounts);
            let refused = (0..).zip(codes).filter_map(|(i, code)| Some((i, code?.number())));
            results.extend(refused.map(|(i, code)| EventResult::refused(i, code)));
            touched.extend(accounts.iter().map(|account| account.id));
        } else {
            let transfers: Vec<Transfer> = bytemuck::pod_collect_to_vec(body);
            let known: BTreeSet<u128> = self.ids.keys().copied().collect();
            let position = Position::new(cut.epoch, first);
            let codes = execute_transfers(&mut self.model, cut.time, position, &transfers, &mut self.ids);
            for ((i, sent), code) in (0..).zip(&transfers).zip(codes) {
                let done =
                    self.model.transfer(sent.id).filter(|_| sent.flags & TransferFlags::BALANCING != 0);
                match (code, done) {
                    (Some(code), _) => results.push(EventResult::refused(i, code.number())),
                    (None, Some(done)) if done.amount < sent.amount => {
                        results.push(EventResult::created(i, done.amount));
                    }
                    _ => {}
                }
            }
            for transfer in transfers.iter().filter(|transfer| !known.contains(&transfer.id)) {
                if let Some(created) = self.model.transfer(transfer.id) {
                    touched.extend([created.debit_account_id, created.credit_account_id]);
                    self.transfers.insert(created.id, (cut.epoch, *created));
                }
            }
        }
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

    /// Digest of the whole state, without the newest epoch's number.
    pub(crate) fn digest(&self) -> u128 {
        self.reference.ledger.digest()
    }

    /// The newest epoch that has a record with a timestamp not above this one.
    pub(crate) fn epoch_through(&self, timestamp: u64) -> u64 {
        // Units 0 and 1 are headers.
        let after = self.epochs.partition_point(|epoch| epoch.time + 2 <= timestamp);
        self.with_blocks(after as u64)
    }

    /// The newest epoch with blocks up to this one.
    pub(crate) fn with_blocks(&self, epoch: u64) -> u64 {
        let newest = self.epochs[..epoch as usize].iter().rposition(|epoch| epoch.units > 0);
        newest.map_or(0, |index| index as u64 + 1)
    }

    /// The account as it was after an epoch.
    pub(crate) fn account(&self, id: u128, epoch: u64) -> Option<&Account> {
        let history = self.accounts.get(&id)?;
        let after = history.partition_point(|(changed, _)| *changed <= epoch);
        Some(&history[after.checked_sub(1)?].1)
    }

    /// The transfer, if it was created by the end of an epoch and is not forgotten then.
    pub(crate) fn transfer(&self, id: u128, epoch: u64) -> Option<&Transfer> {
        let terms = self.epochs.get(epoch.checked_sub(1)? as usize)?.terms;
        let found = self.transfers.get(&id).filter(|_| !terms.is_forgotten(id));
        found.filter(|(created, _)| *created <= epoch).map(|(_, transfer)| transfer)
    }
}

/// The epoch's blocks, if all of them are good.
fn open_blocks(cut: &Cut, disk: &Disk) -> Option<Vec<OwnBlock>> {
    cut.bases()
        .map(|(base, entry)| {
            let mut block = Block::with_size(entry.size());
            let (file, at) = stream_place(entry.stream, entry.offset);
            disk.read(file, at, block.memory_mut());
            let place = Place {
                cluster: disk.identity.cluster,
                incarnation: cut.incarnation,
                epoch: cut.epoch,
                stream: entry.stream,
                offset: entry.offset,
            };
            block.open(entry, &place).ok()?;
            Some(OwnBlock { base: base as u16, block })
        })
        .collect()
}
