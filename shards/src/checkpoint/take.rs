//! A shard's part of a checkpoint: frozen in the gap after an epoch, written while later epochs execute.

use super::manifest::Part;
use super::sheet::{PartChecksum, Sheet, SheetPlace};
use super::{Errand, ErrandDone, ErrandEnd, File};
use crate::ledger::Ledger;
use crate::ledger::saved::{SavedDone, SavedId, SavedKind, SavedPending};
use crate::log::Identity;
use crate::pacer::{Counts, Holdings};
use crate::place::{Position, ShardId};
use crate::step::{Output, Outputs};

/// Sheets of a shard that are under way: one is filled while the other is written.
const SHEETS: usize = 2;

/// A part that is durable and was read back.
#[derive(Clone, Debug)]
pub struct PartReport {
    /// The part.
    pub part: Part,
    /// The sum of the hashes of its records.
    pub digest: u128,
    /// Number and time of the newest epoch that changed anything.
    pub newest: (u64, u64),
    /// What the shard holds.
    pub held: Counts,
    /// As in [`super::manifest::Manifest`].
    pub ids_from: u64,
    /// As in [`super::manifest::Manifest`].
    pub pendings_from: u64,
}

/// What a shard has to say of its part.
pub type Taken = Result<PartReport, String>;

/// A shard's part in checkpoints.
#[derive(Debug)]
pub struct Taker {
    identity: Identity,
    shard: ShardId,
    taking: Option<Taking>,
    /// Memory for sheets; empty if there is no checkpoint.
    spare: Vec<Sheet>,
}

/// A checkpoint that is being taken.
#[derive(Debug)]
struct Taking {
    epoch: u64,
    slot: u8,
    report: PartReport,
    checksum: PartChecksum,
    /// What was taken last: records of one kind, and how many bytes of them have found room.
    kind: SavedKind,
    records: Vec<u8>,
    at: usize,
    /// Everything was taken.
    is_whole: bool,
    under_way: usize,
    /// It came to nothing: memory and errands under way are awaited.
    given_up: bool,
    /// An errand is under way.
    waits: bool,
}

impl Taker {
    /// No checkpoint.
    pub fn new(identity: Identity, shard: ShardId) -> Self {
        Self { identity, shard, taking: None, spare: Vec::new() }
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.taking.is_none()
    }

    /// Freezes the state, which is that after `epoch`, and asks for the part's file.
    pub fn begin(
        &mut self,
        epoch: u64,
        slot: u8,
        newest: (u64, u64),
        ledger: &mut Ledger,
        out: &mut Outputs,
    ) {
        assert!(self.is_idle(), "one checkpoint is taken at a time");
        ledger.freeze();
        let (ids, done) = ledger.ids.frozen_count();
        let counts = [
            (SavedKind::Account, ledger.accounts.len()),
            (SavedKind::Id, ids),
            (SavedKind::Done, done),
            (SavedKind::Pending, ledger.pendings.len()),
        ];
        let sheets: usize = counts.into_iter().map(|(kind, count)| count.div_ceil(Sheet::room(kind))).sum();
        let report = PartReport {
            part: Part::default(),
            digest: 0,
            newest,
            held: Holdings::of(ledger).held,
            ids_from: u64::MAX,
            pendings_from: u64::MAX,
        };
        self.taking = Some(Taking {
            epoch,
            slot,
            report,
            checksum: PartChecksum::default(),
            kind: SavedKind::Account,
            records: Vec::new(),
            at: 0,
            is_whole: false,
            under_way: 0,
            given_up: false,
            waits: true,
        });
        let sheets = (sheets as u32).max(1);
        out.push(Output::Errand(Errand::Make { slot, part: self.shard.0, sheets }));
    }

    /// An errand has ended. Returns what there is to say of the part, when there is.
    pub fn errand_ended(&mut self, end: ErrandEnd, ledger: &mut Ledger, out: &mut Outputs) -> Option<Taken> {
        let taking = self.taking.as_mut().expect("errands belong to a checkpoint");
        taking.waits = false;
        match end {
            _ if taking.given_up => {}
            Ok(ErrandDone::Made) => {
                self.spare.resize_with(SHEETS, Sheet::new);
                self.go_on(ledger, out);
            }
            Ok(ErrandDone::Verified { digest }) => {
                let report = PartReport { digest, ..taking.report.clone() };
                self.taking = None;
                self.spare = Vec::new();
                return Some(Ok(report));
            }
            Ok(other) => unreachable!("{other:?} is no errand of a part"),
            Err(why) => {
                self.give_up(ledger);
                return Some(Err(why));
            }
        }
        self.end_if_given_up()
    }

    /// A sheet was written. Returns what there is to say of the part, when there is.
    pub fn written(&mut self, sheet: Sheet, ledger: &mut Ledger, out: &mut Outputs) -> Option<Taken> {
        let taking = self.taking.as_mut().expect("sheets belong to a checkpoint");
        taking.under_way -= 1;
        if !taking.given_up {
            self.spare.push(sheet);
            self.go_on(ledger, out);
        }
        self.end_if_given_up()
    }

    /// The checkpoint comes to nothing. Returns what there is to say of the part, when there is; it may have been said.
    pub fn give_up(&mut self, ledger: &mut Ledger) -> Option<Taken> {
        if let Some(taking) = &mut self.taking {
            taking.given_up = true;
            ledger.melt();
        }
        self.end_if_given_up()
    }

    /// Ends a checkpoint that was given up, if no memory of it is under way.
    fn end_if_given_up(&mut self) -> Option<Taken> {
        let done = |taking: &Taking| taking.given_up && !taking.waits && taking.under_way == 0;
        self.taking.as_ref().is_some_and(done).then(|| {
            self.taking = None;
            self.spare = Vec::new();
            Err("another shard's part has failed".into())
        })
    }

    /// Fills the sheets that there is memory for.
    fn go_on(&mut self, ledger: &mut Ledger, out: &mut Outputs) {
        let taking = self.taking.as_mut().expect("called with a checkpoint");
        while let Some(mut sheet) = self.spare.pop() {
            sheet.clear();
            taking.fill(&mut sheet, ledger);
            let number = taking.report.part.sheets;
            // A part has a sheet, if there is nothing for it, too.
            if sheet.is_empty() && number > 0 {
                self.spare.push(sheet);
                break;
            }
            let place = SheetPlace { epoch: taking.epoch, part: self.shard.0, number };
            taking.checksum.add(sheet.seal(&self.identity, &place));
            taking.report.part.sheets += 1;
            taking.report.part.bytes += sheet.bytes().len() as u64;
            taking.under_way += 1;
            let file = File::Part { slot: taking.slot, part: self.shard.0 };
            out.push(Output::WriteSheet { file, number, sheet });
        }
        if taking.is_whole && taking.under_way == 0 && !taking.waits {
            let Part { sheets, bytes, .. } = taking.report.part;
            taking.report.part = Part::new(sheets, bytes, taking.checksum.get());
            taking.waits = true;
            out.push(Output::Errand(Errand::Verify {
                slot: taking.slot,
                part: self.shard.0,
                epoch: taking.epoch,
                expected: taking.report.part,
            }));
        }
    }
}

impl Taking {
    /// Fills a sheet with records of one kind, as long as there are any.
    fn fill(&mut self, sheet: &mut Sheet, ledger: &mut Ledger) {
        loop {
            if self.at == self.records.len() {
                self.records.clear();
                self.at = 0;
                let Some(kind) = ledger.take(&mut self.records) else {
                    self.is_whole = true;
                    return;
                };
                self.kind = kind;
                self.note_positions();
            }
            self.at += sheet.push(self.kind, &self.records[self.at..]);
            if self.at < self.records.len() {
                return;
            }
        }
    }

    /// Notes how far back the log is needed for what was taken.
    fn note_positions(&mut self) {
        let records = self.records.chunks_exact(self.kind.size());
        let oldest = |positions: &mut dyn Iterator<Item = u64>| {
            positions.min().map_or(u64::MAX, |position| Position(position).epoch())
        };
        let PartReport { ids_from, pendings_from, .. } = &mut self.report;
        match self.kind {
            SavedKind::Account => {}
            SavedKind::Id => {
                let ids = records.map(bytemuck::pod_read_unaligned::<SavedId>);
                *ids_from = (*ids_from).min(oldest(&mut ids.map(|id| id.position)));
            }
            SavedKind::Done => {
                let done = records.map(bytemuck::pod_read_unaligned::<SavedDone>);
                let ended = done.filter(|done| done.pending != 0).map(|done| done.pending);
                *pendings_from = (*pendings_from).min(oldest(&mut { ended }));
            }
            SavedKind::Pending => {
                let pendings = records.map(bytemuck::pod_read_unaligned::<SavedPending>);
                *pendings_from = (*pendings_from).min(oldest(&mut pendings.map(|pending| pending.position)));
            }
        }
    }
}
