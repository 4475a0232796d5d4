//! Sheets: the pieces that a part of a checkpoint is written in, each with its own checksum.

use crate::ledger::saved::SavedKind;
use crate::limits::SECTOR_SIZE;
use crate::log::{Damage, Identity, Sector, expect};
use bytemuck::{Pod, Zeroable};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

const MAGIC: u32 = u32::from_le_bytes(*b"AUCP");
/// The version of the format of parts.
pub const VERSION: u16 = 1;
/// Format: bytes from one sheet to the next.
pub const SHEET_SIZE: usize = 256 << 10;

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct SheetHeader {
    /// xxh3-128 of the rest of the header and of the records.
    checksum: u128,
    magic: u32,
    version: u16,
    kind: u8,
    id_mode: u8,
    cluster: u64,
    /// The checkpoint shows the state after this epoch.
    epoch: u64,
    /// Its number in the part.
    number: u32,
    /// Records.
    count: u32,
    part: u16,
    reserved: [u8; 14],
}

const HEADER_SIZE: usize = size_of::<SheetHeader>();
const _: () = assert!(HEADER_SIZE == 64);

/// Where a sheet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SheetPlace {
    /// The checkpoint's epoch.
    pub epoch: u64,
    /// The part's number.
    pub part: u16,
    /// The sheet's number in it.
    pub number: u32,
}

/// A sheet in memory, at an address that direct I/O can take.
pub struct Sheet {
    sectors: Vec<Sector>,
    kind: SavedKind,
    used: usize,
    count: u32,
}

impl std::fmt::Debug for Sheet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sheet").field("count", &self.count).field("used", &self.used).finish_non_exhaustive()
    }
}

impl Default for Sheet {
    fn default() -> Self {
        Self::new()
    }
}

impl Sheet {
    /// Records of a kind that fit one sheet.
    pub fn room(kind: SavedKind) -> usize {
        (SHEET_SIZE - HEADER_SIZE) / kind.size()
    }

    /// An empty sheet.
    pub fn new() -> Self {
        let sectors = bytemuck::allocation::zeroed_vec(SHEET_SIZE / SECTOR_SIZE);
        Self { sectors, kind: SavedKind::Account, used: HEADER_SIZE, count: 0 }
    }

    /// Whether there is no record in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Removes all records.
    pub fn clear(&mut self) {
        (self.used, self.count) = (HEADER_SIZE, 0);
    }

    /// Appends as many of the records as have room; returns how many bytes of them that are. A sheet holds one kind.
    pub fn push(&mut self, kind: SavedKind, records: &[u8]) -> usize {
        if self.is_empty() {
            self.kind = kind;
        } else if self.kind != kind {
            return 0;
        }
        let count = (records.len() / kind.size()).min(Self::room(kind) - self.count as usize);
        let size = count * kind.size();
        let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut self.sectors);
        memory[self.used..self.used + size].copy_from_slice(&records[..size]);
        self.used += size;
        self.count += count as u32;
        size
    }

    /// Writes the header; returns the checksum.
    pub fn seal(&mut self, identity: &Identity, place: &SheetPlace) -> u128 {
        let header = SheetHeader {
            checksum: 0,
            magic: MAGIC,
            version: VERSION,
            kind: self.kind as u8,
            id_mode: identity.id_mode as u8,
            cluster: identity.cluster,
            epoch: place.epoch,
            number: place.number,
            count: self.count,
            part: place.part,
            reserved: [0; 14],
        };
        let used = self.used;
        let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut self.sectors);
        memory[..HEADER_SIZE].copy_from_slice(bytemuck::bytes_of(&header));
        memory[used..used.next_multiple_of(SECTOR_SIZE)].fill(0);
        let checksum = xxh3_128(&memory[16..used]);
        memory[..16].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }

    /// What is written: whole sectors.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.sectors)[..self.used.next_multiple_of(SECTOR_SIZE)]
    }
}

/// Checks a sheet that was read; returns its kind, its records and its checksum.
pub fn open_sheet<'a>(
    identity: &Identity,
    place: &SheetPlace,
    bytes: &'a [u8],
) -> Result<(SavedKind, &'a [u8], u128), Damage> {
    let header: SheetHeader = bytemuck::pod_read_unaligned(&bytes[..HEADER_SIZE]);
    expect("magic of the checkpoint's sheet", header.magic, MAGIC)?;
    let kind = SavedKind::from_number(header.kind)
        .ok_or_else(|| Damage(format!("kind of the checkpoint's sheet: found {}", header.kind)))?;
    let count = header.count as usize;
    if count > Sheet::room(kind) {
        let room = Sheet::room(kind);
        return Err(Damage(format!(
            "records of the checkpoint's sheet: found {count}, expected at most {room}"
        )));
    }
    let used = HEADER_SIZE + count * kind.size();
    expect("checksum of the checkpoint's sheet", xxh3_128(&bytes[16..used]), header.checksum)?;
    expect("format version of the checkpoint's sheet", header.version, VERSION)?;
    expect("cluster of the checkpoint's sheet", header.cluster, identity.cluster)?;
    expect("id mode of the checkpoint's sheet", header.id_mode, identity.id_mode as u8)?;
    let found = SheetPlace { epoch: header.epoch, part: header.part, number: header.number };
    expect("place of the checkpoint's sheet", found, *place)?;
    Ok((kind, &bytes[HEADER_SIZE..used], header.checksum))
}

/// The checksum of a part: of all its sheets' checksums.
#[derive(Default)]
pub struct PartChecksum(Xxh3);

impl PartChecksum {
    /// Takes the next sheet's.
    pub fn add(&mut self, sheet: u128) {
        self.0.update(&sheet.to_le_bytes());
    }

    /// That of the sheets so far.
    pub fn get(&self) -> u128 {
        self.0.digest128()
    }
}

impl std::fmt::Debug for PartChecksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartChecksum({:032x})", self.get())
    }
}
