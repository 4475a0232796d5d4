//! Cuts: the record that closes an epoch, one sector each, chained by their checksums.

use super::{Damage, IdMode, Identity, expect};
use crate::chunk::{Item, Kind};
use crate::ledger::terms::{Limited, Terms};
use crate::limits::{BLOCK_UNITS_MAX, EPOCH_BLOCKS_MAX, EPOCH_UNITS_MAX, SECTOR_SIZE, STREAMS, UNIT_SIZE};
use crate::place::StreamId;
use bytemuck::{Pod, Zeroable};

const MAGIC: u32 = u32::from_le_bytes(*b"AUCT");
/// The version of the cut format.
pub const VERSION: u16 = 3;
/// The format of the blocks that cuts of this version name: blocks of another one come with cuts of another one, which a start refuses.
const BLOCKS: u16 = 1;
const _: () = assert!(BLOCKS == super::block::VERSION, "a new format of blocks is one of cuts, too");
/// The version of the ledger's rules that this binary holds.
pub const RULES: u16 = 3;

/// A block as its cut names it: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct BlockEntry {
    /// The block's checksum.
    pub checksum: u128,
    /// Byte offset in the stream.
    pub offset: u64,
    /// Units, the block's header included.
    pub units: u32,
    /// The stream.
    pub stream: u16,
    reserved: u16,
}

impl BlockEntry {
    /// The entry of a sealed block.
    pub fn new(stream: u16, units: u32, offset: u64, checksum: u128) -> Self {
        Self { checksum, offset, units, stream, reserved: 0 }
    }

    /// Bytes of the block in the log.
    pub fn size(&self) -> usize {
        (self.units as usize * UNIT_SIZE).next_multiple_of(SECTOR_SIZE)
    }
}

impl Item for BlockEntry {
    const KIND: Kind = Kind::Sealed;
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
struct CutHeader {
    /// xxh3-128 of the sector from byte 16 on.
    checksum: u128,
    /// Checksum of the cut before; 0 for the first.
    previous: u128,
    magic: u32,
    version: u16,
    rules: u16,
    cluster: u64,
    incarnation: u64,
    epoch: u64,
    time: u64,
    committed_through: u64,
    horizon: u64,
    expire_through: u64,
    ids_through: u64,
    blocks: u32,
    id_mode: u8,
    limited: u8,
    reserved: [u8; 146],
}

const HEADER_SIZE: usize = 256;
const _: () = assert!(size_of::<CutHeader>() == HEADER_SIZE);
const _: () =
    assert!(HEADER_SIZE + EPOCH_BLOCKS_MAX * size_of::<BlockEntry>() <= SECTOR_SIZE, "a cut is one sector");

/// The end of an epoch, and with it the epoch's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Number of the epoch, from 1.
    pub epoch: u64,
    /// The epoch's time in nanoseconds: the timestamp of its first unit.
    pub time: u64,
    /// The start that wrote it.
    pub incarnation: u64,
    /// Checksum of the cut before; 0 for the first.
    pub previous: u128,
    /// Every epoch up to this one was durable when the cut was written.
    pub committed_through: u64,
    /// Ids older than this time are forgotten, nanoseconds; 0 if none is ever. Never less than the cut before says.
    pub horizon: u64,
    /// Ids later than this time are in the future, nanoseconds; `u64::MAX` if ids have no time.
    pub ids_through: u64,
    /// Kinds of creations that the epoch refuses because of a limit.
    pub limited: Limited,
    /// Pending transfers with a deadline up to this time expire at the end of the epoch, nanoseconds. Never less than the cut
    /// before says, and not more than the epoch's time.
    pub expire_through: u64,
    /// The epoch's blocks, by stream.
    pub blocks: Vec<BlockEntry>,
}

/// A cut's sector, aligned for direct I/O.
#[repr(C, align(4096))]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct CutSector(pub [u8; SECTOR_SIZE]);

/// A cut's sector as chunks carry it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct CutImage([u128; SECTOR_SIZE / 16]);

impl Item for CutImage {
    const KIND: Kind = Kind::Cut;
}

impl CutImage {
    /// A copy of a sector.
    pub fn new(sector: &[u8]) -> Self {
        bytemuck::pod_read_unaligned(sector)
    }

    /// The sector's bytes.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::bytes_of(self)
    }
}

impl CutSector {
    /// A sector of zeros.
    pub fn new() -> Box<Self> {
        bytemuck::allocation::zeroed_box()
    }
}

impl std::fmt::Debug for CutSector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CutSector")
    }
}

fn checksum(sector: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(&sector[16..SECTOR_SIZE])
}

impl Cut {
    /// Writes the cut into a sector and returns its checksum, which the next cut names.
    pub fn encode(&self, identity: &Identity, sector: &mut CutSector) -> u128 {
        assert!(self.blocks.len() <= EPOCH_BLOCKS_MAX, "the pacer bounds an epoch's blocks");
        let header = CutHeader {
            checksum: 0,
            previous: self.previous,
            magic: MAGIC,
            version: VERSION,
            rules: RULES,
            cluster: identity.cluster,
            incarnation: self.incarnation,
            epoch: self.epoch,
            time: self.time,
            committed_through: self.committed_through,
            horizon: self.horizon,
            expire_through: self.expire_through,
            blocks: self.blocks.len() as u32,
            ids_through: self.ids_through,
            id_mode: identity.id_mode as u8,
            limited: self.limited.0,
            reserved: [0; 146],
        };
        let entries: &[u8] = bytemuck::cast_slice(&self.blocks);
        sector.0.fill(0);
        sector.0[..HEADER_SIZE].copy_from_slice(bytemuck::bytes_of(&header));
        sector.0[HEADER_SIZE..HEADER_SIZE + entries.len()].copy_from_slice(entries);
        let checksum = checksum(&sector.0);
        sector.0[..16].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }

    /// Reads a sector that holds a cut of this directory; also returns its checksum. Whether it continues the cut
    /// before is [`super::recover`]'s question.
    pub fn decode(identity: &Identity, sector: &[u8]) -> Result<(Self, u128), Damage> {
        Self::decode_into(identity, sector, Vec::new())
    }

    /// Which other version than this binary's wrote a sector that holds a whole cut, if one did.
    pub fn other_version(sector: &[u8]) -> Option<String> {
        let header: CutHeader = bytemuck::pod_read_unaligned(&sector[..HEADER_SIZE]);
        let whole = header.magic == MAGIC && checksum(sector) == header.checksum;
        (whole && (header.version, header.rules) != (VERSION, RULES)).then(|| {
            format!(
                "cut format {} and rules {}, this binary reads {VERSION} and {RULES}: start the version that wrote it",
                header.version, header.rules
            )
        })
    }

    /// [`Cut::decode`] with memory for the blocks.
    pub fn decode_into(
        identity: &Identity,
        sector: &[u8],
        mut blocks: Vec<BlockEntry>,
    ) -> Result<(Self, u128), Damage> {
        let header: CutHeader = bytemuck::pod_read_unaligned(&sector[..HEADER_SIZE]);
        expect("cut magic", header.magic, MAGIC)?;
        expect("checksum of the cut", checksum(sector), header.checksum)?;
        expect("cut format version", header.version, VERSION)?;
        expect("rules version", header.rules, RULES)?;
        expect("cluster of the cut", header.cluster, identity.cluster)?;
        expect("id mode of the cut", IdMode::from_number(header.id_mode), Some(identity.id_mode))?;
        let count = header.blocks as usize;
        if count > EPOCH_BLOCKS_MAX {
            return Err(Damage(format!(
                "blocks of the cut: found {count}, expected at most {EPOCH_BLOCKS_MAX}"
            )));
        }
        let entries = sector[HEADER_SIZE..].chunks_exact(size_of::<BlockEntry>()).take(count);
        blocks.clear();
        blocks.extend(entries.map(bytemuck::pod_read_unaligned::<BlockEntry>));
        let cut = Self {
            epoch: header.epoch,
            time: header.time,
            incarnation: header.incarnation,
            previous: header.previous,
            committed_through: header.committed_through,
            horizon: header.horizon,
            ids_through: header.ids_through,
            limited: Limited(header.limited),
            expire_through: header.expire_through,
            blocks,
        };
        expect("limits of the cut", header.limited & !Limited::KNOWN, 0)?;
        cut.check_blocks()?;
        Ok((cut, header.checksum))
    }

    fn check_blocks(&self) -> Result<(), Damage> {
        let sane = |b: &BlockEntry| {
            usize::from(b.stream) < STREAMS
                && (2..=BLOCK_UNITS_MAX).contains(&(b.units as usize))
                && b.offset.is_multiple_of(SECTOR_SIZE as u64)
        };
        if !self.blocks.iter().all(sane) || !self.blocks.is_sorted_by(|a, b| a.stream < b.stream) {
            return Err(Damage(format!(
                "blocks of the cut of epoch {}: not what a pacer writes",
                self.epoch
            )));
        }
        if self.units() > EPOCH_UNITS_MAX {
            return Err(Damage(format!(
                "units of epoch {}: found {}, expected at most {EPOCH_UNITS_MAX}",
                self.epoch,
                self.units()
            )));
        }
        Ok(())
    }

    /// What it says of ids and limits.
    pub fn terms(&self) -> Terms {
        Terms::new(self.horizon, self.ids_through, self.limited)
    }

    /// Units of all blocks.
    pub fn units(&self) -> usize {
        self.blocks.iter().map(|b| b.units as usize).sum()
    }

    /// Each block's first index in the epoch, and its entry.
    pub fn bases(&self) -> impl Iterator<Item = (u32, &BlockEntry)> {
        self.blocks.iter().scan(0, |base, block| {
            let first = *base;
            *base += block.units;
            Some((first, block))
        })
    }

    /// The stream and the byte offset in it of the unit with this index.
    pub fn locate(&self, index: u16) -> Option<(StreamId, u64)> {
        let index = u32::from(index);
        let (base, block) =
            self.bases().find(|(base, block)| (*base..*base + block.units).contains(&index))?;
        Some((StreamId(block.stream), block.offset + u64::from(index - base) * UNIT_SIZE as u64))
    }
}
