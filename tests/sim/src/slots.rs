//! The files of checkpoints: what was written is there at once, and durable when it was made so.

use crate::World;
use crate::disk::{Fate, Rot, SECTOR_PARTS};
use crate::invariants::{Broken, Invariant, broken};
use auriga_shards::checkpoint::manifest::{Manifest, Part};
use auriga_shards::checkpoint::sheet::{SHEET_SIZE, Sheet};
use auriga_shards::checkpoint::verify::PartCheck;
use auriga_shards::checkpoint::{Errand, ErrandDone, ErrandEnd, File, SLOTS};
use auriga_shards::ledger::saved::SavedKind;
use auriga_shards::limits::SECTOR_SIZE;
use auriga_shards::log::Identity;
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes before the records of a sheet, as FORMAT.md says.
const SHEET_HEADER_SIZE: usize = 64;

#[derive(Debug, Default)]
struct PartFile {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// As it was when the checkpoint before was whole.
    older: Vec<u8>,
    /// Sheets that are not durable.
    loose: BTreeSet<u32>,
}

/// A checkpoint as it was when it became whole: its manifest, and of each part's sheets the bytes that matter.
#[derive(Debug)]
struct Whole {
    epoch: u64,
    /// Checksum of its cut.
    cut: u128,
    manifest: Vec<u8>,
    parts: Vec<Vec<Vec<u8>>>,
}

/// The slots of one directory.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    parts: BTreeMap<(u8, u16), PartFile>,
    manifests: [Option<Vec<u8>>; SLOTS],
    older_manifests: [Option<Vec<u8>>; SLOTS],
    whole: [Option<Whole>; SLOTS],
}

impl Slots {
    pub(crate) fn manifests(&self, identity: &Identity) -> [Option<Manifest>; SLOTS] {
        let decode = |bytes: &Vec<u8>| Manifest::decode(identity, bytes).ok();
        [self.manifests[0].as_ref().and_then(decode), self.manifests[1].as_ref().and_then(decode)]
    }

    /// By slot: the epoch of the checkpoint that is there as it became whole, and the checksum of its cut.
    pub(crate) fn good(&self) -> [Option<(u64, u128)>; SLOTS] {
        [0, 1].map(|slot| {
            let whole = self.whole[slot].as_ref().filter(|whole| self.is_good(slot, whole));
            whole.map(|whole| (whole.epoch, whole.cut))
        })
    }

    /// By slot: the epoch of the checkpoint whose manifest can be read, whatever became of its parts.
    pub(crate) fn sealed(&self) -> [Option<u64>; SLOTS] {
        [0, 1].map(|slot| {
            let whole = self.whole[slot].as_ref()?;
            (self.manifests[slot].as_ref() == Some(&whole.manifest)).then_some(whole.epoch)
        })
    }

    /// Whether a checkpoint is not as it became whole.
    pub(crate) fn has_damage(&self) -> bool {
        [0, 1].iter().any(|slot| self.whole[*slot].as_ref().is_some_and(|whole| !self.is_good(*slot, whole)))
    }

    fn is_good(&self, slot: usize, whole: &Whole) -> bool {
        let part_is_good = |(part, sheets): (u16, &Vec<Vec<u8>>)| {
            let bytes = &self.parts[&(slot as u8, part)].bytes;
            let mut found = bytes.chunks(SHEET_SIZE);
            sheets.iter().all(|sheet| found.next().is_some_and(|found| found.starts_with(sheet)))
        };
        self.manifests[slot].as_ref() == Some(&whole.manifest) && (0..).zip(&whole.parts).all(part_is_good)
    }

    fn part(&mut self, file: File) -> &mut PartFile {
        let File::Part { slot, part } = file else { unreachable!("sheets lie in parts") };
        self.parts.get_mut(&(slot, part)).expect("a part is made before it is used")
    }

    /// Whether a sheet may be written: the file has room, and is no whole checkpoint's.
    pub(crate) fn check_write(&mut self, file: File, number: u32) -> Result<(), String> {
        let File::Part { slot, .. } = file else { unreachable!("sheets lie in parts") };
        if self.manifests[usize::from(slot)].is_some() {
            return Err(format!("a write to {file}, of a whole checkpoint"));
        }
        let size = self.part(file).bytes.len();
        let fits = (number as usize + 1) * SHEET_SIZE <= size;
        if fits { Ok(()) } else { Err(format!("sheet {number} of {file}, which has {size} bytes")) }
    }

    pub(crate) fn write(&mut self, file: File, number: u32, sheet: &Sheet) {
        let at = number as usize * SHEET_SIZE;
        let part = self.part(file);
        part.bytes[at..at + sheet.bytes().len()].copy_from_slice(sheet.bytes());
        part.loose.insert(number);
    }

    /// Sheets of a part, or why they can't be read.
    pub(crate) fn read(&self, file: File, first: u32, count: u32) -> Result<Vec<u8>, String> {
        let File::Part { slot, part } = file else { unreachable!("sheets lie in parts") };
        let [from, end] = [first, first + count].map(|sheet| sheet as usize * SHEET_SIZE);
        let bytes = self.parts.get(&(slot, part)).and_then(|part| part.bytes.get(from..end));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| format!("{file} ends before byte {end}"))
    }

    /// The power goes: of what is not durable, chance decides.
    pub(crate) fn lose_power(&mut self, rng: &mut Rng) -> Vec<Fate> {
        let mut fates = Vec::new();
        for part in self.parts.values_mut() {
            part.durable.resize(part.bytes.len(), 0);
            for number in std::mem::take(&mut part.loose) {
                let at = number as usize * SHEET_SIZE;
                let fate = Fate::draw(rng);
                fates.push(fate);
                for from in (at..at + SHEET_SIZE).step_by(SECTOR_PARTS) {
                    let is_lost = fate == Fate::Lost || fate == Fate::Torn && rng.bool();
                    if is_lost {
                        let range = from..from + SECTOR_PARTS;
                        part.bytes[range.clone()].copy_from_slice(&part.durable[range]);
                    }
                }
            }
            part.durable.clone_from(&part.bytes);
        }
        fates
    }

    /// Damages a checkpoint: its manifest or a sheet. Returns whether anything that matters is another.
    pub(crate) fn damage(&mut self, slot: u8, rot: Rot, rng: &mut Rng) -> bool {
        let index = usize::from(slot);
        let Some(whole) = &self.whole[index] else { return false };
        let parts: Vec<usize> = whole.parts.iter().map(Vec::len).collect();
        if rng.u8(..4) == 0 {
            self.damage_manifest(index, rot, rng);
        } else {
            let part = rng.usize(..parts.len());
            let sheet = rng.usize(..parts[part]);
            let matters = self.whole[index].as_ref().map_or(0, |whole| whole.parts[part][sheet].len());
            // In what matters, or anywhere.
            let byte = if rng.u8(..4) > 0 { rng.usize(..matters) } else { rng.usize(..SHEET_SIZE) };
            self.damage_sheet((slot, part as u16), sheet * SHEET_SIZE, byte, rot, rng);
        }
        self.good()[index].is_none()
    }

    fn damage_manifest(&mut self, slot: usize, rot: Rot, rng: &mut Rng) {
        let Some(bytes) = &mut self.manifests[slot] else { return };
        match rot {
            Rot::Flipped => {
                let at = rng.usize(..bytes.len());
                bytes[at] ^= 1 << rng.u32(..8);
            }
            Rot::Zeros => bytes.fill(0),
            Rot::Stale => self.manifests[slot] = self.older_manifests[slot].clone(),
            Rot::Misplaced => self.manifests[slot] = self.manifests[1 - slot].clone(),
        }
    }

    fn damage_sheet(&mut self, name: (u8, u16), at: usize, byte: usize, rot: Rot, rng: &mut Rng) {
        let sheet = at..at + SHEET_SIZE;
        let wrong = match rot {
            Rot::Flipped => None,
            Rot::Zeros => Some(vec![0; SHEET_SIZE]),
            Rot::Stale => self.parts[&name].older.get(sheet.clone()).map(<[u8]>::to_vec),
            Rot::Misplaced => {
                let others: Vec<_> = self.parts.iter().filter(|(other, _)| **other != name).collect();
                let other = (!others.is_empty()).then(|| others[rng.usize(..others.len())].1);
                other.and_then(|other| other.bytes.get(..SHEET_SIZE)).map(<[u8]>::to_vec)
            }
        };
        let file = self.parts.get_mut(&name).expect("a whole checkpoint has its parts");
        match wrong {
            // A whole sheet, or a sector of it.
            Some(wrong) if rng.bool() => file.bytes[sheet].copy_from_slice(&wrong),
            Some(wrong) => {
                let sector = byte / SECTOR_SIZE * SECTOR_SIZE;
                file.bytes[at + sector..][..SECTOR_SIZE]
                    .copy_from_slice(&wrong[sector..sector + SECTOR_SIZE]);
            }
            None => file.bytes[at + byte] ^= 1 << rng.u32(..8),
        }
    }

    /// Restores every checkpoint.
    pub(crate) fn restore(&mut self) {
        for slot in 0..SLOTS {
            let Some(whole) = &self.whole[slot] else { continue };
            self.manifests[slot] = Some(whole.manifest.clone());
            for (part, sheets) in (0..).zip(&whole.parts) {
                let file = self.parts.get_mut(&(slot as u8, part)).expect("it was whole");
                for (bytes, sheet) in file.bytes.chunks_mut(SHEET_SIZE).zip(sheets) {
                    bytes[..sheet.len()].copy_from_slice(sheet);
                }
            }
        }
    }

    fn clear(&mut self, slot: u8) {
        let index = usize::from(slot);
        if let Some(whole) = self.whole[index].take() {
            self.older_manifests[index] = Some(whole.manifest);
            for ((_, _), part) in self.parts.range_mut((slot, 0)..=(slot, u16::MAX)) {
                part.older.clone_from(&part.bytes);
            }
        }
        self.manifests[index] = None;
    }

    fn seal(&mut self, slot: u8, bytes: Vec<u8>, manifest: &Manifest) -> Result<(), String> {
        let mut parts = Vec::new();
        for (number, part) in (0..).zip(&manifest.parts) {
            let file = self.part(File::Part { slot, part: number });
            if !file.loose.is_empty() {
                return Err(format!("a manifest over part {number}, which is not durable"));
            }
            let sheets = file.bytes.chunks(SHEET_SIZE).take(part.sheets as usize);
            parts.push(sheets.map(|sheet| sheet[..matters(sheet)].to_vec()).collect());
        }
        let index = usize::from(slot);
        self.whole[index] = Some(Whole {
            epoch: manifest.end.epoch,
            cut: manifest.end.checksum,
            manifest: bytes.clone(),
            parts,
        });
        self.manifests[index] = Some(bytes);
        Ok(())
    }
}

/// Bytes of a whole sheet that matter: its header and its records.
fn matters(sheet: &[u8]) -> usize {
    let kind = SavedKind::from_number(sheet[22]).expect("a whole sheet has a kind");
    let records: u32 = bytemuck::pod_read_unaligned(&sheet[44..48]);
    SHEET_HEADER_SIZE + records as usize * kind.size()
}

/// Whether an errand goes on only when history has got further.
pub(crate) fn waits(errand: &Errand, world: &mut World) -> bool {
    match (errand, &mut world.history) {
        (Errand::Seal { epoch, .. }, Some(history)) => history.make_durable(*epoch).is_err(),
        _ => false,
    }
}

/// Does an errand.
pub(crate) fn run(errand: &Errand, world: &mut World) -> Result<ErrandEnd, Broken> {
    let may_fail = !matches!(errand, Errand::Recycle { .. });
    if may_fail && world.weather.errand_fails(&mut world.rng) {
        world.tally.errands_failed += 1;
        return Ok(Err("the drive says no".into()));
    }
    let contract = |what: String| Broken { invariant: Invariant::Contract, what };
    let slots = &mut world.disk.slots;
    let done = match errand {
        Errand::Clear { slot, history_through } => {
            if let Some(history) = &mut world.history
                && let Err(behind) = history.make_durable(*history_through)
            {
                return Ok(Err(behind));
            }
            slots.clear(*slot);
            ErrandDone::Cleared
        }
        Errand::Make { slot, part, sheets } => {
            let file = slots.parts.entry((*slot, *part)).or_default();
            let size = (*sheets as usize * SHEET_SIZE).max(file.bytes.len());
            file.bytes.resize(size, 0);
            ErrandDone::Made
        }
        Errand::Verify { slot, part, epoch, expected } => {
            let file = slots.part(File::Part { slot: *slot, part: *part });
            file.loose.clear();
            file.durable.clone_from(&file.bytes);
            let digest = verify(&file.bytes, world.disk.identity, *epoch, *part, expected);
            ErrandDone::Verified { digest: digest.map_err(contract)? }
        }
        Errand::Seal { slot, manifest, .. } => {
            let bytes: Vec<u8> = bytemuck::cast_slice(manifest).to_vec();
            let decoded = Manifest::decode(&world.disk.identity, &bytes);
            let decoded = decoded.map_err(|damage| contract(damage.0))?;
            slots.seal(*slot, bytes, &decoded).map_err(contract)?;
            world.tally.checkpoints += 1;
            ErrandDone::Sealed
        }
        Errand::Recycle { through } => {
            recycle(*through, world)?;
            ErrandDone::Recycled
        }
    };
    Ok(Ok(done))
}

fn verify(bytes: &[u8], identity: Identity, epoch: u64, part: u16, expected: &Part) -> Result<u128, String> {
    let mut check = PartCheck::new(identity, epoch, part);
    for sheet in bytes.chunks(SHEET_SIZE).take(expected.sheets as usize) {
        check.take(sheet).map_err(|damage| damage.0)?;
    }
    check.finish(expected).map_err(|damage| damage.0)
}

/// Removes what the log need not keep. Nothing may go that a start needs, even one without the newer checkpoint.
pub(crate) fn recycle(through: u64, world: &mut World) -> Result<(), Broken> {
    let sealed = world.disk.slots.whole.iter().flatten().map(|whole| whole.epoch);
    let (count, oldest) = (sealed.clone().count(), sealed.min().unwrap_or(0));
    if count < SLOTS || through > oldest {
        let slots = &world.disk.slots;
        let what =
            format!("the log through {through} is to go, and the checkpoints are {:?}", slots.sealed());
        return broken(Invariant::Contract, what);
    }
    crate::invariants::read(world)?;
    world.tally.recycled += world.disk.remove_log(through);
    Ok(())
}
