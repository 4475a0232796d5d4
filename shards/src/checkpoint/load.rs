//! Taking the state from a checkpoint: every shard reads all parts and keeps what it owns.

use super::File;
use super::manifest::Manifest;
use super::sheet::{PartChecksum, SHEET_SIZE, SheetPlace, open_sheet};
use crate::execute::Execution;
use crate::ledger::saved::SavedKind;
use crate::log::{Damage, Identity, expect};
use crate::place::ShardId;
use crate::step::{Output, Outputs};
use auriga_wire::Account;
use auriga_wire::record::AccountFlags;

/// Sheets that are read at once.
const SHEETS_READ: u32 = 8;

/// The load of a checkpoint under way, on one shard.
#[derive(Debug)]
pub struct Loader {
    identity: Identity,
    shard: ShardId,
    slot: u8,
    manifest: Manifest,
    part: u16,
    sheet: u32,
    checksum: PartChecksum,
}

impl Loader {
    /// Begins to load into an empty state.
    pub fn new(
        identity: Identity,
        shard: ShardId,
        (slot, manifest): (u8, Manifest),
        execution: &mut Execution,
        out: &mut Outputs,
    ) -> Self {
        let ids = &mut execution.ledger.ids;
        let shards = u64::from(execution.ledger.placement.shards());
        ids.forget_before(manifest.end.ids_from_ms());
        ids.expect((manifest.held.ids / shards) as usize);
        let checksum = PartChecksum::default();
        let loader = Self { identity, shard, slot, manifest, part: 0, sheet: 0, checksum };
        loader.read(out);
        loader
    }

    fn file(&self) -> File {
        File::Part { slot: self.slot, part: self.part }
    }

    fn sheets(&self) -> u32 {
        self.manifest.parts[usize::from(self.part)].sheets
    }

    fn read(&self, out: &mut Outputs) {
        let count = (self.sheets() - self.sheet).min(SHEETS_READ);
        out.push(Output::ReadSheets { file: self.file(), first: self.sheet, count });
    }

    /// Takes sheets that were read. The manifest if all is there and as it should be, or what is damaged.
    pub fn take(
        &mut self,
        bytes: Result<&[u8], String>,
        execution: &mut Execution,
        out: &mut Outputs,
    ) -> Option<Result<Manifest, Damage>> {
        let end = bytes.map_err(Damage).and_then(|bytes| self.take_sheets(bytes, execution));
        match end {
            Err(damage) => {
                let at = u64::from(self.sheet) * SHEET_SIZE as u64;
                Some(Err(Damage(format!("{} at byte {at}: {damage}", self.file()))))
            }
            Ok(false) => {
                self.read(out);
                None
            }
            Ok(true) => {
                execution.ledger.ids.expect(0);
                execution.go_on_from(&self.manifest.end);
                Some(Ok(self.manifest.clone()))
            }
        }
    }

    /// Whether these were the last.
    fn take_sheets(&mut self, bytes: &[u8], execution: &mut Execution) -> Result<bool, Damage> {
        for sheet in bytes.chunks(SHEET_SIZE) {
            let place = SheetPlace { epoch: self.manifest.end.epoch, part: self.part, number: self.sheet };
            let (kind, records, checksum) = open_sheet(&self.identity, &place, sheet)?;
            self.checksum.add(checksum);
            for record in records.chunks_exact(kind.size()) {
                if kind == SavedKind::Account {
                    let account: Account = bytemuck::pod_read_unaligned(record);
                    if account.flags & AccountFlags::CLOSED != 0 {
                        execution.note_closed(account.id);
                    }
                }
                execution.ledger.restore(self.shard, kind, record).map_err(Damage)?;
            }
            self.sheet += 1;
        }
        while self.sheet == self.sheets() {
            let expected = self.manifest.parts[usize::from(self.part)].checksum;
            expect("checksum of the checkpoint's part", self.checksum.get(), expected)?;
            if usize::from(self.part) + 1 == self.manifest.parts.len() {
                return Ok(true);
            }
            self.part += 1;
            (self.sheet, self.checksum) = (0, PartChecksum::default());
        }
        Ok(false)
    }
}
