//! Blocks: the requests of one shard in one epoch, as they came, behind one header.
//!
//! A block is built in the buffer that is written: frames are copied in as they arrive, [`Block::seal`] adds the header.
//! Its checksum covers the header and the headers of its frames; a frame's header holds the checksum of its body, so
//! every byte is covered and none is hashed twice.

use super::{Damage, Sector, expect};
use crate::limits::{BLOCK_SIZE_MAX, SECTOR_SIZE, UNIT_SIZE};
use crate::log::cut::BlockEntry;
use auriga_wire::Transfer;
use auriga_wire::frame::{Command, Frame, Header};
use bytemuck::{Pod, Zeroable};
use xxhash_rust::xxh3::Xxh3;

const MAGIC: u32 = u32::from_le_bytes(*b"AUBK");
/// The version of the block format.
pub const VERSION: u16 = 1;

/// The first unit of a block.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
struct BlockHeader {
    /// xxh3-128 of the rest of this header and of every frame's header.
    checksum: u128,
    magic: u32,
    version: u16,
    stream: u16,
    cluster: u64,
    incarnation: u64,
    epoch: u64,
    /// Byte offset of the block in its stream.
    offset: u64,
    /// Units of the block, this one included.
    units: u32,
    frames: u32,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<BlockHeader>() == UNIT_SIZE);

/// Where and when a block belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the cluster.
    pub cluster: u64,
    /// The start that wrote it.
    pub incarnation: u64,
    /// The epoch that it is part of.
    pub epoch: u64,
    /// Its stream.
    pub stream: u16,
    /// Its byte offset in the stream.
    pub offset: u64,
}

impl Place {
    /// That of a block as its epoch's cut names it.
    pub fn of(cluster: u64, incarnation: u64, epoch: u64, entry: &BlockEntry) -> Self {
        Self { cluster, incarnation, epoch, stream: entry.stream, offset: entry.offset }
    }
}

/// A block in memory, at an address that direct I/O can take.
pub struct Block {
    sectors: Vec<Sector>,
    units: usize,
    frames: u32,
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block")
            .field("units", &self.units)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

impl Block {
    /// An empty block with room for the largest.
    pub fn new() -> Self {
        Self::with_size(BLOCK_SIZE_MAX)
    }

    /// An empty block with room for `size` bytes; to read one of that size from the log, or to fill it.
    pub fn with_size(size: usize) -> Self {
        let sectors = bytemuck::allocation::zeroed_vec(size.div_ceil(SECTOR_SIZE));
        Self { sectors, units: 1, frames: 0 }
    }

    /// Makes it a block for reading one of `size` bytes from the log, in the memory that it has if that is enough.
    pub fn make_room(&mut self, size: usize) {
        self.sectors.resize(size.div_ceil(SECTOR_SIZE), Sector::zeroed());
        self.clear();
    }

    /// Removes all frames.
    pub fn clear(&mut self) {
        self.units = 1;
        self.frames = 0;
    }

    /// Whether there is no frame in it.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Units in use, the block's header included.
    pub fn units(&self) -> usize {
        self.units
    }

    /// Whether a frame of `size` bytes has room.
    pub fn fits(&self, size: usize) -> bool {
        self.units * UNIT_SIZE + size <= size_of_val(&self.sectors[..])
    }

    /// Appends a checked frame and returns its first unit. Panics if it doesn't fit.
    pub fn push(&mut self, frame: &[u8]) -> u16 {
        assert!(
            self.fits(frame.len()) && frame.len().is_multiple_of(UNIT_SIZE),
            "frames are whole units and fit"
        );
        let unit = self.units;
        let start = unit * UNIT_SIZE;
        self.memory_mut()[start..start + frame.len()].copy_from_slice(frame);
        self.units += frame.len() / UNIT_SIZE;
        self.frames += 1;
        unit as u16
    }

    /// Writes the header and returns the block's entry for the cut. What is written afterwards is [`Block::bytes`].
    pub fn seal(&mut self, place: &Place) -> BlockEntry {
        let end = self.units * UNIT_SIZE;
        let padded = end.next_multiple_of(SECTOR_SIZE);
        self.memory_mut()[end..padded].fill(0);
        let mut header = BlockHeader {
            checksum: 0,
            magic: MAGIC,
            version: VERSION,
            stream: place.stream,
            cluster: place.cluster,
            incarnation: place.incarnation,
            epoch: place.epoch,
            offset: place.offset,
            units: self.units as u32,
            frames: self.frames,
            reserved: [0; 8],
        };
        header.checksum = self.checksum(&header);
        self.memory_mut()[..UNIT_SIZE].copy_from_slice(bytemuck::bytes_of(&header));
        BlockEntry::new(place.stream, self.units as u32, place.offset, header.checksum)
    }

    /// Checks that the memory, filled from the log, is the block that the cut names, down to every record.
    pub fn open(&mut self, entry: &BlockEntry, place: &Place) -> Result<(), Damage> {
        self.units = entry.units as usize;
        let header: BlockHeader = bytemuck::pod_read_unaligned(&self.memory()[..UNIT_SIZE]);
        expect("block magic", header.magic, MAGIC)?;
        expect("block format version", header.version, VERSION)?;
        expect("cluster of the block", header.cluster, place.cluster)?;
        expect("stream of the block", header.stream, place.stream)?;
        expect("epoch of the block", header.epoch, place.epoch)?;
        expect("incarnation of the block", header.incarnation, place.incarnation)?;
        expect("offset that the block says it has", header.offset, place.offset)?;
        expect("units of the block", header.units, entry.units)?;
        expect("checksum of the block in its header and its cut", header.checksum, entry.checksum)?;
        self.frames = 0;
        let mut unit = 1;
        while unit < self.units {
            let frame = self.check_frame(unit)?;
            unit += frame.bytes().len() / UNIT_SIZE;
            self.frames += 1;
        }
        expect("frames of the block", self.frames, header.frames)?;
        expect("checksum of the block's bytes", self.checksum(&header), header.checksum)
    }

    fn check_frame(&self, unit: usize) -> Result<Frame<'_>, Damage> {
        let bytes = &self.memory()[unit * UNIT_SIZE..self.units * UNIT_SIZE];
        let damage =
            |fault: auriga_wire::Fault| Damage(format!("request at unit {unit} of the block: {fault}"));
        let size = Header::peek(bytes).map_err(damage)?.size as usize;
        let bytes = bytes
            .get(..size)
            .ok_or_else(|| Damage(format!("request at unit {unit} passes the block's end")))?;
        let (command, frame) = Frame::check(bytes).map_err(damage)?;
        if !command.writes() {
            return Err(Damage(format!("request at unit {unit}: {command:?} does not belong in the log")));
        }
        Ok(frame)
    }

    fn checksum(&self, header: &BlockHeader) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(&bytemuck::bytes_of(header)[16..]);
        for (_, header) in self.headers() {
            hash.update(bytemuck::bytes_of(&header));
        }
        hash.digest128()
    }

    /// The headers of its frames, each with the frame's first unit.
    fn headers(&self) -> impl Iterator<Item = (usize, Header)> {
        headers(&self.memory()[..self.units * UNIT_SIZE])
    }

    /// Its frames in order: the unit of the first record, the command and the body.
    pub fn requests(&self) -> impl Iterator<Item = (u16, Command, &[u8])> {
        requests(&self.memory()[..self.units * UNIT_SIZE])
    }

    /// The transfer at a unit.
    pub fn transfer(&self, unit: usize) -> Transfer {
        bytemuck::pod_read_unaligned(&self.memory()[unit * UNIT_SIZE..(unit + 1) * UNIT_SIZE])
    }

    /// What lies in the log: the used bytes, to the end of their sector.
    pub fn bytes(&self) -> &[u8] {
        &self.memory()[..(self.units * UNIT_SIZE).next_multiple_of(SECTOR_SIZE)]
    }

    /// All of the block's memory.
    pub fn memory_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.sectors)
    }

    fn memory(&self) -> &[u8] {
        bytemuck::cast_slice(&self.sectors)
    }
}

/// The frames of a checked block as it lies in the log, of any alignment: the unit of the first record, the command and
/// the body.
///
/// # Panics
///
/// If the bytes are not those of a block that was checked.
pub fn logged_requests(block: &[u8]) -> impl Iterator<Item = (u16, Command, &[u8])> {
    let header: BlockHeader = bytemuck::pod_read_unaligned(&block[..UNIT_SIZE]);
    requests(&block[..header.units as usize * UNIT_SIZE])
}

fn requests(units: &[u8]) -> impl Iterator<Item = (u16, Command, &[u8])> {
    headers(units).map(|(unit, header)| {
        let command = Command::from_number(header.command).expect("a frame in a block was checked");
        let body = (unit + 1) * UNIT_SIZE..unit * UNIT_SIZE + header.size as usize;
        ((unit + 1) as u16, command, &units[body])
    })
}

fn headers(units: &[u8]) -> impl Iterator<Item = (usize, Header)> {
    let mut unit = 1;
    std::iter::from_fn(move || {
        let at = unit;
        let bytes = units.get(at * UNIT_SIZE..(at + 1) * UNIT_SIZE)?;
        let header: Header = bytemuck::pod_read_unaligned(bytes);
        unit += (header.size as usize / UNIT_SIZE).max(1);
        Some((at, header))
    })
}

impl Default for Block {
    fn default() -> Self {
        Self::new()
    }
}
