//! Segments: the files that streams and the cut log are cut into. One header sector, then data.

use super::{Damage, File, Identity, expect};
use crate::limits::{CUT_SEGMENT_SLOTS, SECTOR_SIZE, STREAM_SEGMENT_SIZE};
use bytemuck::{Pod, Zeroable};

const MAGIC: u32 = u32::from_le_bytes(*b"AUSG");
/// The version of the segment format.
pub const VERSION: u16 = 1;

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct SegmentHeader {
    /// xxh3-128 of the sector from byte 16 on.
    checksum: u128,
    magic: u32,
    version: u16,
    /// 1 for cuts, 2 for a stream.
    kind: u8,
    id_mode: u8,
    cluster: u64,
    segment: u32,
    stream: u16,
    reserved: [u8; 10],
}

const HEADER_SIZE: usize = size_of::<SegmentHeader>();

impl File {
    fn numbers(self) -> (u8, u16, u32) {
        match self {
            Self::Cuts { segment } => (1, 0, segment),
            Self::Stream { stream, segment } => (2, stream, segment),
        }
    }

    /// Bytes of the whole file.
    pub fn size(self) -> u64 {
        SECTOR_SIZE as u64
            + match self {
                Self::Cuts { .. } => CUT_SEGMENT_SLOTS * SECTOR_SIZE as u64,
                Self::Stream { .. } => STREAM_SEGMENT_SIZE,
            }
    }

    /// The first sector of the file.
    pub fn header(self, identity: &Identity) -> [u8; SECTOR_SIZE] {
        let (kind, stream, segment) = self.numbers();
        let header = SegmentHeader {
            checksum: 0,
            magic: MAGIC,
            version: VERSION,
            kind,
            id_mode: identity.id_mode as u8,
            cluster: identity.cluster,
            segment,
            stream,
            reserved: [0; 10],
        };
        let mut sector = [0; SECTOR_SIZE];
        sector[..HEADER_SIZE].copy_from_slice(bytemuck::bytes_of(&header));
        let checksum = xxhash_rust::xxh3::xxh3_128(&sector[16..]);
        sector[..16].copy_from_slice(&checksum.to_le_bytes());
        sector
    }

    /// Which newer version than this binary's wrote the first sector of a file, if one did.
    pub fn newer_version(sector: &[u8]) -> Option<String> {
        let header: SegmentHeader = bytemuck::pod_read_unaligned(&sector[..HEADER_SIZE]);
        let found = header.version;
        (Self::is_header(sector) && found > VERSION).then(|| {
            format!(
                "segment format version: found {found}, this binary reads up to {VERSION}: start the newer one that wrote it"
            )
        })
    }

    /// Whether a sector is the header of any segment.
    pub fn is_header(sector: &[u8]) -> bool {
        let header: SegmentHeader = bytemuck::pod_read_unaligned(&sector[..HEADER_SIZE]);
        header.magic == MAGIC && checksum(sector) == header.checksum
    }

    /// Checks the first sector of the file.
    pub fn check_header(self, identity: &Identity, sector: &[u8]) -> Result<(), Damage> {
        let (kind, stream, segment) = self.numbers();
        let header: SegmentHeader = bytemuck::pod_read_unaligned(&sector[..HEADER_SIZE]);
        expect("segment magic", header.magic, MAGIC)?;
        expect("checksum of the segment's header", checksum(sector), header.checksum)?;
        expect("segment format version", header.version, VERSION)?;
        expect("cluster of the segment", header.cluster, identity.cluster)?;
        expect("id mode of the segment", header.id_mode, identity.id_mode as u8)?;
        expect(
            "kind, stream and number of the segment",
            (header.kind, header.stream, header.segment),
            (kind, stream, segment),
        )
    }
}

fn checksum(sector: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(&sector[16..SECTOR_SIZE])
}

/// Where the cut of an epoch (from 1) lies.
pub fn cut_place(epoch: u64) -> (File, u64) {
    let slot = epoch.checked_sub(1).expect("epochs are numbered from 1");
    let file = File::Cuts { segment: (slot / CUT_SEGMENT_SLOTS) as u32 };
    (file, SECTOR_SIZE as u64 * (1 + slot % CUT_SEGMENT_SLOTS))
}

/// Where the byte at `offset` of a stream lies.
pub fn stream_place(stream: u16, offset: u64) -> (File, u64) {
    let file = File::Stream { stream, segment: (offset / STREAM_SEGMENT_SIZE) as u32 };
    (file, SECTOR_SIZE as u64 + offset % STREAM_SEGMENT_SIZE)
}

/// The offset at or after `end` where a block of `size` bytes can lie: blocks don't pass the end of a segment.
pub fn next_block_offset(end: u64, size: u64) -> u64 {
    let left = STREAM_SEGMENT_SIZE - end % STREAM_SEGMENT_SIZE;
    if size <= left { end } else { end + left }
}
