//! A replay in memory, by the very shard that a server would run, alone. Reads are made at once, writes never.

use super::no_checkpoint;
use crate::clock;
use crate::directory::Directory;
use crate::failure::{Failure, Outcome};
use auriga_shards::checkpoint::plan::Policy;
use auriga_shards::checkpoint::sheet::SHEET_SIZE;
use auriga_shards::lead::Found;
use auriga_shards::limits::{Limits, SECTOR_SIZE};
use auriga_shards::log::segment::cut_place;
use auriga_shards::place::{Placement, ShardId};
use auriga_shards::shard::{Config, Shard};
use auriga_shards::step::{Input, Output, Outputs};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes of the cut log that are read at once.
const CUTS_READ: usize = 4 << 20;

/// What a replay ends with.
pub struct Replayed {
    /// The newest epoch.
    pub epoch: u64,
    /// Accounts.
    pub accounts: usize,
    /// Remembered ids.
    pub ids: usize,
    /// Hash of the whole state.
    pub digest: u128,
    /// The epoch behind the end that a start would drop, and why.
    pub dropped: Option<String>,
}

/// Replays the log from what was found, as far as it is good, and no further than the epoch `through`.
pub fn replay(directory: &Directory, found: Found, through: u64) -> Outcome<Replayed> {
    let config = Config {
        history: false,
        shard: ShardId(0),
        placement: Placement::new(1, 0),
        identity: directory.identity,
        limits: Limits::default(),
        cpu: 0,
        accept_clock: true,
        checkpoints: Policy { every: 0, ..Policy::default() },
    };
    let mut shard = Shard::new(config, Box::new(|_| {}));
    let mut out = Outputs::default();
    shard.step(clock::now(), Input::Recover(Box::new(found)), &mut out);
    loop {
        while shard.can_begin() {
            shard.step(clock::now(), Input::Begin, &mut out);
        }
        let todo = std::mem::take(&mut out.list);
        if todo.is_empty() {
            return Err(Failure::failed("the replay came to a standstill"));
        }
        for output in todo {
            match output {
                Output::ReadCuts { first } => {
                    let (bytes, end) = read_slots(directory, first, through)?;
                    shard.step(clock::now(), Input::CutsRead { first, bytes: &bytes, end }, &mut out);
                }
                Output::ReadBlock { epoch, entry, file, offset, mut block } => {
                    let read = File::open(directory.file(file));
                    let read = read.and_then(|file| file.read_exact_at(block.memory_mut(), offset));
                    let failure = read.err().map(|e| e.to_string());
                    shard.step(clock::now(), Input::BlockRead { epoch, entry, block, failure }, &mut out);
                }
                Output::ReadSheets { file, first, count } => {
                    let mut bytes = vec![0; count as usize * SHEET_SIZE];
                    let read = File::open(directory.path.join(file.to_string()));
                    let read = read.and_then(|file| {
                        file.read_exact_at(&mut bytes, u64::from(first) * SHEET_SIZE as u64)
                    });
                    let bytes = read.map(|()| &bytes[..]).map_err(|e| e.to_string());
                    shard.step(clock::now(), Input::SheetsRead(bytes), &mut out);
                }
                Output::CheckpointDamaged(damage) => eprintln!("auriga: a checkpoint is damaged: {damage}"),
                Output::NoCheckpoint { log_from } => return Err(no_checkpoint(directory, log_from)),
                Output::Damaged(hole) => return Err(Failure::log(&hole, directory)),
                Output::Recovered { end, dropped } => {
                    let ledger = &shard.execution().ledger;
                    return Ok(Replayed {
                        epoch: end.epoch,
                        accounts: ledger.accounts.len(),
                        ids: ledger.ids.len(),
                        digest: shard.digest(),
                        dropped: dropped.map(|d| format!("epoch {} would be dropped: {}", d.epoch, d.damage)),
                    });
                }
                _ => {}
            }
        }
    }
}

/// Slots from `first` on, of one file, and whether none follows.
fn read_slots(directory: &Directory, first: u64, through: u64) -> Outcome<(Vec<u8>, bool)> {
    let (file, offset) = cut_place(first);
    let path = directory.file(file);
    if first > through || !path.exists() {
        return Ok((Vec::new(), true));
    }
    let failed = |e: std::io::Error| Failure::environment(format!("can't read {}: {e}", path.display()));
    let opened = File::open(&path).map_err(failed)?;
    let size = opened.metadata().map_err(failed)?.len();
    let wanted = (through - first).saturating_add(1).saturating_mul(SECTOR_SIZE as u64);
    let mut bytes = vec![0; size.saturating_sub(offset).min(wanted).min(CUTS_READ as u64) as usize];
    opened.read_exact_at(&mut bytes, offset).map_err(failed)?;
    let next = first + (bytes.len() / SECTOR_SIZE) as u64;
    let (next_file, _) = cut_place(next);
    let is_last =
        if next_file == file { cut_place(next).1 >= size } else { !directory.file(next_file).exists() };
    Ok((bytes, next > through || is_last))
}
