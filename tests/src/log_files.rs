//! The log of a stopped server, as files: where its cuts and blocks lie, and how to damage them.

use auriga_shards::limits::SECTOR_SIZE;
use auriga_shards::log::cut::{BlockEntry, Cut};
use auriga_shards::log::recover::Recovery;
use auriga_shards::log::segment::{cut_place, stream_place};
use auriga_shards::log::{File, IdMode, Identity};
use auriga_shards::pacer::LogEnd;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// Of directories that the harness formats.
pub const IDENTITY: Identity = Identity { cluster: 7, id_mode: IdMode::Time };

/// The log in a data directory.
#[derive(Debug)]
pub struct LogFiles<'a> {
    data: &'a Path,
    /// Its cuts, by epoch from 1.
    pub cuts: Vec<Cut>,
}

/// A part of a file.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    /// The file.
    pub file: File,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: usize,
}

impl Area {
    /// Where a cut lies.
    pub fn of_cut(epoch: u64) -> Self {
        let (file, offset) = cut_place(epoch);
        Self { file, offset, size: SECTOR_SIZE }
    }

    /// Where a block lies.
    pub fn of_block(block: &BlockEntry) -> Self {
        let (file, offset) = stream_place(block.stream, block.offset);
        Self { file, offset, size: block.size() }
    }
}

impl<'a> LogFiles<'a> {
    /// Reads the cut log, as far as it is good.
    pub fn read(data: &'a Path) -> Self {
        let mut log = Self { data, cuts: Vec::new() };
        let mut recovery = Recovery::new(IDENTITY, LogEnd::default());
        while let Some(cut) =
            recovery.take(log.cuts.len() as u64 + 1, &log.bytes(Area::of_cut(log.cuts.len() as u64 + 1)))
        {
            log.cuts.push(cut);
        }
        log
    }

    /// The path of a file.
    pub fn path(&self, file: File) -> PathBuf {
        self.data.join(file.to_string())
    }

    /// The epochs that have blocks.
    pub fn with_blocks(&self) -> Vec<&Cut> {
        self.cuts.iter().filter(|cut| !cut.blocks.is_empty()).collect()
    }

    /// The bytes of an area.
    pub fn bytes(&self, area: Area) -> Vec<u8> {
        let mut bytes = vec![0; area.size];
        let file = fs::File::open(self.path(area.file)).expect("the file is there");
        file.read_exact_at(&mut bytes, area.offset).expect("the file has these bytes");
        bytes
    }

    /// Writes bytes at the start of an area.
    pub fn write(&self, area: Area, bytes: &[u8]) {
        assert!(bytes.len() <= area.size, "what is written belongs to the area");
        let file = OpenOptions::new().write(true).open(self.path(area.file)).expect("the file is there");
        file.write_all_at(bytes, area.offset).expect("the bytes are written");
        file.sync_all().expect("the bytes are durable: the server reads past the cache");
    }

    /// Changes an area.
    pub fn change(&self, area: Area, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.bytes(area);
        change(&mut bytes);
        self.write(area, &bytes);
    }

    /// Makes the log end with its last epoch that has blocks, as a kill before the seal leaves it. Returns that epoch.
    pub fn unseal(&mut self) -> Cut {
        while self.cuts.last().is_some_and(|cut| cut.blocks.is_empty()) {
            let seal = self.cuts.pop().expect("looked at");
            self.change(Area::of_cut(seal.epoch), |bytes| bytes.fill(0));
        }
        self.cuts.last().expect("an epoch with blocks").clone()
    }
}

/// Writes the checksum that cuts and segment headers have into their first bytes.
pub fn reseal(sector: &mut [u8]) {
    let checksum = xxh3_128(&sector[16..SECTOR_SIZE]);
    sector[..16].copy_from_slice(&checksum.to_le_bytes());
}

/// A hash of every file in a data directory but the lock, which every start writes its process into, and history, which can be
/// built from the others at any time.
pub fn hashes(data: &Path) -> BTreeMap<PathBuf, u128> {
    let mut hashes = all_hashes(data);
    hashes.retain(|path, _| !path.starts_with(data.join("history")) && *path != data.join("lock"));
    hashes
}

/// A hash of every file in a data directory.
pub fn all_hashes(data: &Path) -> BTreeMap<PathBuf, u128> {
    let mut hashes = BTreeMap::new();
    let mut folders = vec![data.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the directory is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                hashes.insert(path.clone(), 0);
                folders.push(path);
            } else {
                hashes.insert(path.clone(), xxh3_128(&fs::read(&path).expect("the file can be read")));
            }
        }
    }
    hashes
}
