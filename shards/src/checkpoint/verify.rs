//! Reading a part back: whether it is what its shard has written.

use super::manifest::Part;
use super::sheet::{PartChecksum, SheetPlace, open_sheet};
use crate::log::{Damage, Identity, expect};

/// The check of one part, sheet by sheet.
#[derive(Debug)]
pub struct PartCheck {
    identity: Identity,
    place: SheetPlace,
    checksum: PartChecksum,
    digest: u128,
}

impl PartCheck {
    /// Begins with the first sheet.
    pub fn new(identity: Identity, epoch: u64, part: u16) -> Self {
        let place = SheetPlace { epoch, part, number: 0 };
        Self { identity, place, checksum: PartChecksum::default(), digest: 0 }
    }

    /// Takes the next sheet, [`super::sheet::SHEET_SIZE`] bytes.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        let (kind, records, checksum) = open_sheet(&self.identity, &self.place, bytes)?;
        self.place.number += 1;
        self.checksum.add(checksum);
        for record in records.chunks_exact(kind.size()) {
            self.digest = self.digest.wrapping_add(kind.hash(record));
        }
        Ok(())
    }

    /// All sheets are there: whether the part is the expected one, and the sum of the hashes of its records.
    pub fn finish(self, expected: &Part) -> Result<u128, Damage> {
        expect("sheets of the checkpoint's part", self.place.number, expected.sheets)?;
        expect("checksum of the checkpoint's part", self.checksum.get(), expected.checksum)?;
        Ok(self.digest)
    }
}
