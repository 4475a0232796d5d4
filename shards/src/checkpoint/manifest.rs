//! The manifest: what makes the parts of a slot a checkpoint. It is written last, when every part is durable and was read back.

use super::MANIFEST_SIZE;
use crate::limits::{CUT_SEGMENT_SLOTS, SECTOR_SIZE, STREAMS};
use crate::log::{Damage, IdMode, Identity, Sector, expect};
use crate::pacer::{Counts, LogEnd};
use bytemuck::{Pod, Zeroable};
use xxhash_rust::xxh3::xxh3_128;

const MAGIC: u32 = u32::from_le_bytes(*b"AUCM");
/// The version of the format of manifests.
pub const VERSION: u16 = 1;
/// The format of the sheets that manifests of this version name: sheets of a newer one come with manifests of a newer one, which a start
/// refuses.
const SHEETS: u16 = 1;
const _: () = assert!(SHEETS == super::sheet::VERSION, "a new format of sheets is one of manifests, too");
/// The last epoch that has a slot: the numbers of segments have 32 bits.
const EPOCH_MAX: u64 = CUT_SEGMENT_SLOTS << 32;

/// A part as the manifest names it: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Part {
    /// Of all its sheets' checksums.
    pub checksum: u128,
    /// Bytes that are in use in its sheets.
    pub bytes: u64,
    /// Its sheets.
    pub sheets: u32,
    reserved: u32,
}

impl Part {
    /// A part.
    pub fn new(sheets: u32, bytes: u64, checksum: u128) -> Self {
        Self { checksum, bytes, sheets, reserved: 0 }
    }
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct ManifestHeader {
    /// xxh3-128 of everything behind it.
    checksum: u128,
    /// Checksum of the epoch's cut.
    cut: u128,
    /// Of the state, without the newest epoch.
    digest: u128,
    magic: u32,
    version: u16,
    rules: u16,
    cluster: u64,
    epoch: u64,
    incarnation: u64,
    time_end: u64,
    expired_through: u64,
    horizon: u64,
    newest_epoch: u64,
    newest_time: u64,
    accounts: u64,
    ids: u64,
    pendings: u64,
    ids_from: u64,
    pendings_from: u64,
    parts: u16,
    id_mode: u8,
    reserved: [u8; 93],
}

const HEADER_SIZE: usize = 256;
const PARTS_AT: usize = HEADER_SIZE;
const ENDS_AT: usize = PARTS_AT + STREAMS * size_of::<Part>();
const _: () = assert!(size_of::<ManifestHeader>() == HEADER_SIZE);
const _: () = assert!(ENDS_AT + STREAMS * size_of::<u64>() <= MANIFEST_SIZE);

/// A whole checkpoint: the state after an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The log as it was after the epoch; it goes on behind it.
    pub end: LogEnd,
    /// Number and time of the newest epoch that changed anything.
    pub newest: (u64, u64),
    /// Sum of the hashes of all records.
    pub digest: u128,
    /// What the state holds.
    pub held: Counts,
    /// The oldest epoch with the transfer of a remembered id; `u64::MAX` if there is none.
    pub ids_from: u64,
    /// The oldest epoch with a pending transfer that is open, or whose post or void is remembered; `u64::MAX` if there is none.
    pub pendings_from: u64,
    /// Its parts.
    pub parts: Vec<Part>,
    /// By stream: where its next block may begin.
    pub stream_ends: Box<[u64; STREAMS]>,
}

impl Manifest {
    /// Its bytes: whole sectors.
    pub fn encode(&self, identity: &Identity) -> Vec<Sector> {
        assert!(self.parts.len() <= STREAMS, "a shard has a stream, so parts are no more than streams");
        let header = ManifestHeader {
            checksum: 0,
            cut: self.end.checksum,
            digest: self.digest,
            magic: MAGIC,
            version: VERSION,
            rules: crate::log::cut::RULES,
            cluster: identity.cluster,
            epoch: self.end.epoch,
            incarnation: self.end.incarnation,
            time_end: self.end.time_end,
            expired_through: self.end.expired_through,
            horizon: self.end.horizon,
            newest_epoch: self.newest.0,
            newest_time: self.newest.1,
            accounts: self.held.accounts,
            ids: self.held.ids,
            pendings: self.held.pendings,
            ids_from: self.ids_from,
            pendings_from: self.pendings_from,
            parts: self.parts.len() as u16,
            id_mode: identity.id_mode as u8,
            reserved: [0; 93],
        };
        let mut sectors: Vec<Sector> = bytemuck::allocation::zeroed_vec(MANIFEST_SIZE / SECTOR_SIZE);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut sectors);
        bytes[..HEADER_SIZE].copy_from_slice(bytemuck::bytes_of(&header));
        let parts: &[u8] = bytemuck::cast_slice(&self.parts);
        bytes[PARTS_AT..PARTS_AT + parts.len()].copy_from_slice(parts);
        let ends: &[u8] = bytemuck::cast_slice(&self.stream_ends[..]);
        bytes[ENDS_AT..ENDS_AT + ends.len()].copy_from_slice(ends);
        let checksum = xxh3_128(&bytes[16..]);
        bytes[..16].copy_from_slice(&checksum.to_le_bytes());
        sectors
    }

    /// Which newer version than this binary's wrote a whole manifest, if one did. In every version the checksum is that of all other
    /// bytes.
    pub fn newer(bytes: &[u8]) -> Option<String> {
        let header: ManifestHeader = bytemuck::pod_read_unaligned(bytes.get(..HEADER_SIZE)?);
        let whole = header.magic == MAGIC && xxh3_128(&bytes[16..]) == header.checksum;
        (whole && (header.version > VERSION || header.rules > crate::log::cut::RULES)).then(|| {
            format!(
                "manifest format {} and rules {}, this binary reads up to {VERSION} and {}: start the newer one that wrote it",
                header.version,
                header.rules,
                crate::log::cut::RULES
            )
        })
    }

    /// Reads the manifest of a checkpoint of this directory.
    pub fn decode(identity: &Identity, bytes: &[u8]) -> Result<Self, Damage> {
        expect("bytes of the manifest", bytes.len(), MANIFEST_SIZE)?;
        let header: ManifestHeader = bytemuck::pod_read_unaligned(&bytes[..HEADER_SIZE]);
        expect("magic of the manifest", header.magic, MAGIC)?;
        expect("checksum of the manifest", xxh3_128(&bytes[16..]), header.checksum)?;
        expect("format version of the manifest", header.version, VERSION)?;
        expect("rules version of the manifest", header.rules, crate::log::cut::RULES)?;
        expect("cluster of the manifest", header.cluster, identity.cluster)?;
        expect("id mode of the manifest", IdMode::from_number(header.id_mode), Some(identity.id_mode))?;
        if !(1..=EPOCH_MAX).contains(&header.epoch) {
            let found = header.epoch;
            return Err(Damage(format!("epoch of the manifest: found {found}, expected 1 to {EPOCH_MAX}")));
        }
        let parts = usize::from(header.parts);
        if !(1..=STREAMS).contains(&parts) {
            return Err(Damage(format!("parts of the manifest: found {parts}, expected 1 to {STREAMS}")));
        }
        let parts = bytes[PARTS_AT..ENDS_AT].chunks_exact(size_of::<Part>()).take(parts);
        let parts: Vec<Part> = parts.map(bytemuck::pod_read_unaligned).collect();
        if parts.iter().any(|part| part.sheets == 0) {
            return Err(Damage("sheets of a part in the manifest: found none, expected 1 or more".into()));
        }
        let ends = bytes[ENDS_AT..].chunks_exact(size_of::<u64>());
        let mut stream_ends = Box::new([0; STREAMS]);
        for (end, bytes) in stream_ends.iter_mut().zip(ends) {
            *end = bytemuck::pod_read_unaligned(bytes);
        }
        Ok(Self {
            end: LogEnd {
                epoch: header.epoch,
                checksum: header.cut,
                time_end: header.time_end,
                incarnation: header.incarnation,
                expired_through: header.expired_through,
                horizon: header.horizon,
            },
            newest: (header.newest_epoch, header.newest_time),
            digest: header.digest,
            held: Counts { accounts: header.accounts, ids: header.ids, pendings: header.pendings },
            ids_from: header.ids_from,
            pendings_from: header.pendings_from,
            parts,
            stream_ends,
        })
    }
}
