//! Reading transfers back from the log by their remembered positions.
//!
//! First the cut of each epoch, which says where its blocks lie, then the units, neighbours in one read. What comes back
//! is compared with what the id's shard remembers, so damage is noticed and never served.

use crate::ledger::ids::{check_of, content_hash};
use crate::limits::{BLOCK_SIZE_MAX, QUERY_READS_MAX, SECTOR_SIZE, UNIT_SIZE};
use crate::log::cut::Cut;
use crate::log::segment::{cut_place, stream_place};
use crate::log::{Damage, File, Identity};
use crate::place::Position;
use crate::query::{As, Located};
use auriga_wire::Transfer;
use std::collections::VecDeque;
use std::ops::Range;

/// Units between two wanted ones that are read along rather than skipped.
const GAP_UNITS: u64 = 256;

/// A read that a fetch asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The fetch's own number for it.
    pub slot: usize,
    /// The file.
    pub file: File,
    /// Byte offset in the file; a multiple of the sector.
    pub offset: u64,
    /// Bytes; a multiple of the sector.
    pub size: usize,
}

/// A transfer that is read.
#[derive(Clone, Copy, Debug)]
struct Item {
    position: u64,
    check: u32,
    index: u32,
    /// It is what the wanted one ended.
    is_pending: bool,
}

#[derive(Debug)]
enum Pending {
    Cut(Range<usize>),
    Run(Run),
}

/// Neighbouring units of one block.
#[derive(Clone, Debug)]
struct Run {
    items: Range<usize>,
    file: File,
    offset: u64,
    size: usize,
    /// By item: where in the read its unit starts.
    first_unit: u64,
    first_index: u16,
    time: u64,
}

/// A fetch under way.
#[derive(Debug)]
pub struct Fetch {
    identity: Identity,
    wanted: Vec<Located>,
    /// The transfers and the pending ones that they ended, by position.
    items: Vec<Item>,
    /// First item whose epoch's cut has not been asked for.
    next: usize,
    runs: VecDeque<Run>,
    reads: Vec<Option<Pending>>,
    found: Vec<(u32, Transfer)>,
    pending: Vec<(u32, Transfer)>,
    /// The first failure, once there is one.
    failed: Option<Damage>,
}

impl Fetch {
    /// A fetch of these transfers.
    pub fn new(identity: Identity, mut wanted: Vec<Located>) -> Self {
        wanted.sort_unstable_by_key(|located| located.index);
        let mut items = Vec::with_capacity(wanted.len());
        for located in &wanted {
            let Located { position, pending, check, pending_check, index, executed, .. } = *located;
            items.push(Item { position, check, index, is_pending: false });
            if executed == As::Resolved as u32 {
                items.push(Item { position: pending, check: pending_check, index, is_pending: true });
            }
        }
        items.sort_unstable_by_key(|item| item.position);
        let found = Vec::with_capacity(wanted.len());
        let reads = (0..QUERY_READS_MAX).map(|_| None).collect();
        let (runs, pending) = (VecDeque::new(), Vec::new());
        Self { identity, wanted, items, next: 0, runs, reads, found, pending, failed: None }
    }

    /// Whether everything was read.
    pub fn is_done(&self) -> bool {
        self.next == self.items.len() && self.runs.is_empty() && self.reads.iter().all(Option::is_none)
    }

    /// The transfers as they were executed, with their index in the request, in its order.
    pub fn into_found(mut self) -> Vec<(u32, Transfer)> {
        self.found.sort_unstable_by_key(|(index, _)| *index);
        self.pending.sort_unstable_by_key(|(index, _)| *index);
        let mut pending = self.pending.iter().peekable();
        for (located, (index, transfer)) in self.wanted.iter().zip(&mut self.found) {
            let ended = pending.next_if(|(of, _)| of == index).map(|(_, ended)| ended);
            *transfer = located.complete(transfer, ended);
        }
        self.found
    }

    /// The next read, if one can be started now.
    pub fn next_read(&mut self) -> Option<Read> {
        let slot = self.reads.iter().position(Option::is_none)?;
        if let Some(run) = self.runs.pop_front() {
            let read = Read { slot, file: run.file, offset: run.offset, size: run.size };
            self.reads[slot] = Some(Pending::Run(run));
            return Some(read);
        }
        let epoch = Position(self.items.get(self.next)?.position).epoch();
        let same = |item: &&Item| Position(item.position).epoch() == epoch;
        let count = self.items[self.next..].iter().take_while(same).count();
        let items = self.next..self.next + count;
        self.next = items.end;
        self.reads[slot] = Some(Pending::Cut(items));
        let (file, offset) = cut_place(epoch);
        Some(Read { slot, file, offset, size: SECTOR_SIZE })
    }

    /// A read failed or brought damage: nothing more is read.
    pub fn fail(&mut self, damage: Damage) {
        self.failed.get_or_insert(damage);
        self.stop();
    }

    /// Nothing more is read.
    pub fn stop(&mut self) {
        self.next = self.items.len();
        self.runs.clear();
    }

    /// The first damage that was read.
    pub fn damage(&self) -> Option<&Damage> {
        self.failed.as_ref()
    }

    /// Takes what was read, or why it could not be.
    pub fn take(&mut self, slot: usize, bytes: Result<&[u8], Damage>) -> Result<(), Damage> {
        let pending = self.reads[slot].take().expect("what is read was asked for");
        if let Some(damage) = &self.failed {
            return Err(damage.clone());
        }
        let (file, offset) = match &pending {
            Pending::Cut(items) => cut_place(Position(self.items[items.start].position).epoch()),
            Pending::Run(run) => (run.file, run.offset),
        };
        let taken = bytes.and_then(|bytes| match pending {
            Pending::Cut(items) => self.take_cut(items, bytes),
            Pending::Run(run) => self.take_run(&run, bytes),
        });
        taken.map_err(|damage| Damage(format!("{file}, read at byte {offset}: {damage}")))
    }

    fn take_cut(&mut self, items: Range<usize>, bytes: &[u8]) -> Result<(), Damage> {
        let epoch = Position(self.items[items.start].position).epoch();
        let (cut, _) = Cut::decode(&self.identity, bytes)?;
        if cut.epoch != epoch {
            return Err(Damage(format!("cut in the slot of epoch {epoch}: found epoch {}", cut.epoch)));
        }
        let mut open: Option<Run> = None;
        for item in items {
            let index = Position(self.items[item].position).index();
            let (stream, unit_offset) = cut.locate(index).ok_or_else(|| {
                Damage(format!("epoch {epoch} has no unit {index}: its cut is of another log"))
            })?;
            let (file, at) = stream_place(stream.0, unit_offset);
            if let Some(run) = &mut open
                && run.extend(file, at)
            {
                run.items.end = item + 1;
                continue;
            }
            let offset = at - at % SECTOR_SIZE as u64;
            let first_unit = (at - offset) / UNIT_SIZE as u64;
            let run = Run {
                items: item..item + 1,
                file,
                offset,
                size: SECTOR_SIZE,
                first_unit,
                first_index: index,
                time: cut.time,
            };
            self.runs.extend(open.replace(run));
        }
        self.runs.extend(open);
        Ok(())
    }

    fn take_run(&mut self, run: &Run, bytes: &[u8]) -> Result<(), Damage> {
        for item in &self.items[run.items.clone()] {
            let index = Position(item.position).index();
            let unit = run.first_unit as usize + usize::from(index - run.first_index);
            let record = &bytes[unit * UNIT_SIZE..(unit + 1) * UNIT_SIZE];
            let mut transfer: Transfer = bytemuck::pod_read_unaligned(record);
            if check_of(transfer.id, content_hash(&transfer)) != item.check {
                let at = run.offset + (unit * UNIT_SIZE) as u64;
                return Err(Damage(format!("at byte {at} is not the transfer that was logged there")));
            }
            transfer.timestamp = run.time + u64::from(index);
            let list = if item.is_pending { &mut self.pending } else { &mut self.found };
            list.push((item.index, transfer));
        }
        Ok(())
    }
}

impl Run {
    /// Lets the run reach the unit at `at`, if that is near enough.
    fn extend(&mut self, file: File, at: u64) -> bool {
        let end = self.offset + self.size as u64;
        let needed = (at + UNIT_SIZE as u64).next_multiple_of(SECTOR_SIZE as u64);
        if file != self.file || at > end + GAP_UNITS * UNIT_SIZE as u64 {
            return false;
        }
        let size = (needed - self.offset) as usize;
        if size > BLOCK_SIZE_MAX {
            return false;
        }
        self.size = self.size.max(size);
        true
    }
}
