//! The fake files of checkpoints: what was written is there at once, and durable when it was made so.

use super::World;
use super::disk::{Fate, SECTOR_PARTS};
use auriga_shards::checkpoint::manifest::{Manifest, Part};
use auriga_shards::checkpoint::sheet::{SHEET_SIZE, Sheet};
use auriga_shards::checkpoint::verify::PartCheck;
use auriga_shards::checkpoint::{Errand, ErrandDone, ErrandEnd, File, SLOTS};
use auriga_shards::log::Identity;
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// One in so many errands fails.
const FAILS_ONE_IN: u32 = 12;

#[derive(Debug, Default)]
struct PartFile {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Sheets that are not durable.
    loose: BTreeSet<u32>,
}

/// The slots of one directory.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    parts: BTreeMap<(u8, u16), PartFile>,
    manifests: [Option<Vec<u8>>; SLOTS],
    /// What lies there is damaged.
    pub(crate) rotten: [bool; SLOTS],
}

impl Slots {
    pub(crate) fn manifests(&self, identity: &Identity) -> [Option<Manifest>; SLOTS] {
        let decode = |bytes: &Vec<u8>| Manifest::decode(identity, bytes).ok();
        [self.manifests[0].as_ref().and_then(decode), self.manifests[1].as_ref().and_then(decode)]
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

    pub(crate) fn read(&mut self, file: File, first: u32, count: u32) -> Vec<u8> {
        let [from, end] = [first, first + count].map(|sheet| sheet as usize * SHEET_SIZE);
        self.part(file).bytes[from..end].to_vec()
    }

    /// The power goes: of what is not durable, chance decides.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        for part in self.parts.values_mut() {
            part.durable.resize(part.bytes.len(), 0);
            for number in std::mem::take(&mut part.loose) {
                let at = number as usize * SHEET_SIZE;
                let fate = Fate::draw(rng);
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
    }

    /// Damages a byte of a slot's checkpoint that matters.
    pub(crate) fn rot(&mut self, slot: u8, identity: &Identity, rng: &mut Rng) {
        self.rotten[usize::from(slot)] = true;
        let [one, other] = self.manifests(identity);
        let manifest = [one, other][usize::from(slot)].take().expect("only a checkpoint rots");
        if rng.u8(..4) == 0 {
            let bytes = self.manifests[usize::from(slot)].as_mut().expect("it was decoded");
            let at = rng.usize(..bytes.len());
            bytes[at] ^= 1 << rng.u32(..8);
            return;
        }
        let part = rng.usize(..manifest.parts.len());
        let sheet = rng.u32(..manifest.parts[part].sheets) as usize * SHEET_SIZE;
        // The header is there in any sheet.
        let at = sheet + rng.usize(..48);
        self.part(File::Part { slot, part: part as u16 }).bytes[at] ^= 1 << rng.u32(..8);
    }
}

/// Does an errand.
pub(crate) fn run(errand: &Errand, world: &mut World) -> Result<ErrandEnd, String> {
    if world.rng.u32(..FAILS_ONE_IN) == 0 && !matches!(errand, Errand::Recycle { .. }) {
        return Ok(Err("the drive says no".into()));
    }
    let slots = &mut world.disk.slots;
    let done = match errand {
        Errand::Clear { slot, .. } => {
            slots.manifests[usize::from(*slot)] = None;
            slots.rotten[usize::from(*slot)] = false;
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
            let digest = verify(&file.bytes, world.disk.identity, *epoch, *part, expected)?;
            ErrandDone::Verified { digest }
        }
        Errand::Seal { slot, manifest } => {
            let bytes: Vec<u8> = bytemuck::cast_slice(manifest).to_vec();
            let decoded = Manifest::decode(&world.disk.identity, &bytes).map_err(|damage| damage.0)?;
            for part in 0..decoded.parts.len() as u16 {
                let file = slots.part(File::Part { slot: *slot, part });
                if !file.loose.is_empty() {
                    return Err(format!("a manifest over part {part}, which is not durable"));
                }
            }
            slots.manifests[usize::from(*slot)] = Some(bytes);
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

/// Removes what the log need not keep, all of it.
fn recycle(through: u64, world: &mut World) -> Result<(), String> {
    let manifests = world.disk.slots.manifests(&world.disk.identity);
    let oldest = manifests.iter().flatten().map(|manifest| manifest.end.epoch).min().unwrap_or(0);
    if manifests.iter().any(Option::is_none) || through > oldest {
        return Err(format!("the log through {through} is to go, and the checkpoints are {manifests:?}"));
    }
    super::check::read(world)?;
    world.tally.recycled += (through + 1).saturating_sub(world.disk.log_from);
    world.disk.remove_log(through);
    Ok(())
}
