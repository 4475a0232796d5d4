//! `auriga backup`: a copy of a data directory, taken while a server runs on it.
//!
//! 1. No file goes while it is copied: `keep` is locked, so the server removes nothing and begins no checkpoint.
//! 2. The copy shows the state after the newest epoch that a cut says was durable, or, if no server runs, that a start would find.
//!    Later epochs are left out.
//! 3. What was copied is checked end to end, as `inspect --verify` does, and the list of files is written last.

use super::copy::{Entry, List, Said, copy};
use super::cuts::{self, Blocks};
use super::verify::verify;
use super::{Progress, no_checkpoint};
use crate::cli::BackupArguments;
use crate::directory::{self, Directory};
use crate::failure::{Failure, Outcome};
use crate::output::say;
use auriga_shards::checkpoint::manifest::Manifest;
use auriga_shards::checkpoint::sheet::SHEET_SIZE;
use auriga_shards::checkpoint::{File as CheckpointFile, MANIFEST_SIZE, SLOTS};
use auriga_shards::lead::Found;
use auriga_shards::limits::{CUT_SEGMENT_SLOTS, SECTOR_SIZE, STREAM_SEGMENT_SIZE, STREAMS};
use auriga_shards::log::File as LogFile;
use auriga_shards::log::cut::Cut;
use auriga_shards::log::recover::Recovery;
use auriga_shards::log::segment::cut_place;
use std::path::PathBuf;

/// What is to be copied: the source, its name in the backup, its size and the bytes that matter.
struct Copied {
    from: PathBuf,
    name: String,
    size: u64,
    used: u64,
}

/// Makes a backup.
pub fn run(asked: &BackupArguments) -> Outcome<()> {
    let directory = Directory::look(&asked.data)?.with_readable_archive(asked.archive.clone())?;
    let backup = &asked.backup;
    let kept = directory.keep_files()?;
    // If no server runs, none may begin: it would write behind the last epoch.
    let stopped = directory.lock_as_reader().ok();
    let found =
        Found { manifests: directory.manifests()?, log_from: directory.log_from()?, ..Found::default() };
    let (through, stream_ends) = newest_epoch(&directory, &found, stopped.is_some())?;
    let files = choose(&directory, &found, through, &stream_ends)?;
    let size = files.iter().map(|file| file.used).sum();
    directory::make(backup, |path| directory::check_free(path, size))?;
    let mut list = List {
        format: directory::FORMAT,
        cluster: directory.identity.cluster,
        ids: directory.identity.id_mode.name().into(),
        epoch: through,
        log_from: found.log_from,
        accounts: 0,
        digest: String::new(),
        files: Vec::new(),
    };
    let unfinished =
        |failure: Failure| failure.and_then(&format!("Remove {}: it is not whole", backup.display()));
    let mut said = Said { progress: &mut Progress::new("copied"), done: 0, of: size };
    for Copied { from, name, size, used } in files {
        let checksum = copy(&from, &backup.join(&name), used, used, &mut said).map_err(unfinished)?;
        list.files.push(Entry { name, used, size, checksum: format!("{checksum:032x}") });
    }
    drop((kept, stopped));
    directory::sync_all_directories(backup)?;
    directory::write_identity(backup, &directory.identity)?;
    let verified = verify(&Directory::backup(backup, directory.identity))?;
    let digest = verified.digest.filter(|_| verified.findings.is_empty() && verified.epoch == through);
    let Some(digest) = digest else {
        let what: Vec<_> = verified.findings.iter().map(|f| format!("{}: {}", f.place, f.what)).collect();
        return Err(Failure::damaged(format!(
            "what was copied to {} is not good, as is then what it was copied from: {}. Check that with auriga inspect --verify",
            backup.display(),
            what.join("; ")
        )));
    };
    (list.accounts, list.digest) = (verified.accounts as u64, digest);
    list.write(backup)?;
    directory::sync_directory(backup)?;
    say!("backed up {} to {}", directory.path.display(), backup.display());
    say!("epoch          {through}");
    say!("accounts       {}", list.accounts);
    say!("digest         {}", list.digest);
    say!("bytes          {}", list.used());
    if found.log_from > 1 {
        say!(
            "note           the log begins with epoch {}: history before it can't be built from this backup. Keep the archive, or \
             name it (--archive)",
            found.log_from
        );
    }
    Ok(())
}

/// The newest epoch that a copy can hold, and by stream where the blocks through it end.
fn newest_epoch(directory: &Directory, found: &Found, stopped: bool) -> Outcome<(u64, Box<[u64; STREAMS]>)> {
    let from = cuts::beginning(directory, found)?;
    let mut recovery = Recovery::new(directory.identity, from);
    let of_checkpoints = found.manifests.iter().flatten().map(|manifest| manifest.end.epoch).max();
    recovery.prove(found.log_from, of_checkpoints.unwrap_or(0));
    // A server writes behind what was written when this began; that is not looked at.
    let end = if stopped { u64::MAX } else { directory.log_end(found.log_from)? };
    let mut last: Option<Cut> = None;
    let mut proven = from.epoch;
    cuts::each_slot(directory, from.epoch.max(found.log_from), |epoch, sector| {
        if epoch > end {
            return Ok(false);
        }
        if let Some(cut) = recovery.take(epoch, sector.map_err(Failure::environment)?) {
            proven = proven.max(cut.committed_through);
            last = Some(cut);
        }
        Ok(true)
    })?;
    recovery.finish(None).map_err(|hole| Failure::log(&hole, directory))?;
    let mut through = proven;
    if let Some(cut) = last.filter(|_| stopped) {
        let mut blocks = Blocks::new(directory);
        if cut.blocks.iter().all(|entry| blocks.check(&cut, entry).is_ok()) {
            through = cut.epoch;
        }
    }
    let mut ends = Box::new([0; STREAMS]);
    cuts::each_slot(directory, found.log_from, |epoch, sector| {
        let decoded = sector.ok().and_then(|sector| Cut::decode(&directory.identity, sector).ok());
        for block in decoded.iter().filter(|_| epoch <= through).flat_map(|(cut, _)| &cut.blocks) {
            let end: &mut u64 = &mut ends[usize::from(block.stream)];
            *end = (*end).max(block.offset + block.size() as u64);
        }
        Ok(epoch < through)
    })?;
    Ok((through, ends))
}

fn choose(
    directory: &Directory,
    found: &Found,
    through: u64,
    stream_ends: &[u64; STREAMS],
) -> Outcome<Vec<Copied>> {
    let mut files = Vec::new();
    for name in directory.unchecked_log_files()? {
        let used = match name {
            LogFile::Cuts { segment } => {
                let before = u64::from(segment) * CUT_SEGMENT_SLOTS;
                through.saturating_sub(before).min(CUT_SEGMENT_SLOTS) * SECTOR_SIZE as u64
            }
            LogFile::Stream { stream, segment } => {
                let before = u64::from(segment) * STREAM_SEGMENT_SIZE;
                stream_ends[usize::from(stream)].saturating_sub(before).min(STREAM_SEGMENT_SIZE)
            }
        };
        // The cut log has a file, though it may have no cut.
        if used > 0 || name == cut_place(found.log_from).0 {
            let (from, size) = (directory.file(name), name.size());
            files.push(Copied { from, name: name.to_string(), size, used: SECTOR_SIZE as u64 + used });
        }
    }
    let may_be =
        |manifest: &Manifest| manifest.end.epoch <= through && manifest.end.epoch + 1 >= found.log_from;
    let newest = (0..SLOTS as u8).zip(&found.manifests).filter_map(|(slot, m)| Some((slot, m.as_ref()?)));
    let newest =
        newest.filter(|(_, manifest)| may_be(manifest)).max_by_key(|(_, manifest)| manifest.end.epoch);
    if newest.is_none() && found.log_from > 1 {
        return Err(no_checkpoint(directory, found.log_from));
    }
    if let Some((slot, manifest)) = newest {
        let parts = (0..).zip(&manifest.parts).map(|(part, of)| {
            (CheckpointFile::Part { slot, part }, u64::from(of.sheets) * SHEET_SIZE as u64)
        });
        let all = parts.chain([(CheckpointFile::Manifest { slot }, MANIFEST_SIZE as u64)]);
        files.extend(all.map(|(name, size)| {
            let name = name.to_string();
            Copied { from: directory.path.join(&name), name, size, used: size }
        }));
    }
    Ok(files)
}
