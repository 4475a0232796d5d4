//! `auriga inspect --verify`: a data directory checked end to end, and what is wrong where. Nothing is written.
//!
//! 1. Every file of the log: there, whole, and with the header of its place.
//! 2. Every cut from the first that the log has, chained to the one before; every block that a cut names, down to the checksum of
//!    every request; and that no two blocks share a byte.
//! 3. Both checkpoints: manifest, parts, and every record's hash, against the digest and the log.
//! 4. The state of each checkpoint against a replay of the log from the one before, or from the beginning.

use super::Progress;
use super::cuts::{self, Blocks, at};
use super::repair::Repair;
use super::replay::{Replayed, replay};
use crate::cli::print_json;
use crate::directory::{Directory, refuse_newer};
use crate::failure::{Failure, Kind, Outcome};
use crate::output::say;
use auriga_shards::checkpoint::manifest::Manifest;
use auriga_shards::checkpoint::sheet::SHEET_SIZE;
use auriga_shards::checkpoint::verify::PartCheck;
use auriga_shards::checkpoint::{File as CheckpointFile, SLOTS};
use auriga_shards::lead::Found;
use auriga_shards::limits::{SECTOR_SIZE, STREAMS};
use auriga_shards::log::Damage;
use auriga_shards::log::cut::Cut;
use auriga_shards::log::recover::Recovery;
use auriga_shards::log::segment::{cut_place, stream_place};
use auriga_shards::pacer::LogEnd;
use auriga_shards::shard::whole_digest;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};

/// Something that is wrong.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// File, and byte in it.
    pub place: String,
    /// What was found and what was expected.
    pub what: String,
    /// What mends it without loss.
    pub repair: Option<Repair>,
}

/// What a check has seen.
#[derive(Debug, Default, Serialize)]
pub struct Verified {
    /// What is wrong; nothing, if the directory is good.
    pub findings: Vec<Finding>,
    /// What is as it may be, and worth to be known.
    pub notes: Vec<String>,
    /// The first epoch that the log has.
    pub log_from: u64,
    /// The newest epoch.
    pub epoch: u64,
    /// Good cuts.
    pub cuts: u64,
    /// Good blocks.
    pub blocks: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Epochs of the good checkpoints.
    pub checkpoints: Vec<u64>,
    /// Of these, those whose state was compared with a replay.
    pub compared: Vec<u64>,
    /// Accounts at the end.
    pub accounts: usize,
    /// Remembered ids at the end.
    pub ids: usize,
    /// Hash of the whole state at the end, 32 hexadecimal digits.
    pub digest: Option<String>,
}

/// Checks a directory and prints what was seen.
pub fn run(directory: &Directory, json: bool) -> Outcome<()> {
    let _unused = directory.lock_as_reader()?;
    let verified = verify(directory)?;
    if json {
        print_json(&verified)?;
    } else {
        print(&verified);
    }
    match verified.findings.len() {
        0 => Ok(()),
        count => Err(Failure::damaged(format!(
            "{} is damaged: {count} finding{}. Nothing was changed",
            directory.path.display(),
            if count == 1 { "" } else { "s" }
        ))),
    }
}

fn print(verified: &Verified) {
    let Verified { log_from, epoch, cuts, blocks, bytes, .. } = verified;
    say!("epochs         {log_from} to {epoch}");
    say!("checked        {cuts} cuts, {blocks} blocks, {bytes} bytes");
    for epoch in &verified.checkpoints {
        let compared = if verified.compared.contains(epoch) { ", as a replay says" } else { "" };
        say!("checkpoint     after epoch {epoch}: good{compared}");
    }
    if let Some(digest) = &verified.digest {
        say!("accounts       {}", verified.accounts);
        say!("transfer ids   {}", verified.ids);
        say!("digest         {digest}");
    }
    for note in &verified.notes {
        say!("note           {note}");
    }
    for Finding { place, what, repair } in &verified.findings {
        say!("damage         {place}: {what}");
        match repair {
            Some(repair) => say!("               can be mended without loss (auriga repair): {repair}"),
            None => say!("               restore the file from a copy, or the directory from a backup"),
        }
    }
    if verified.findings.is_empty() {
        say!("good");
    }
}

/// Checks a directory that no server writes to.
pub fn verify(directory: &Directory) -> Outcome<Verified> {
    let mut check = Check {
        directory,
        seen: Verified { log_from: directory.log_from()?, ..Verified::default() },
        proven: 0,
        stream_ends: Box::new([0; STREAMS]),
        blocks: Blocks::new(directory),
        manifests: [None, None],
        progress: Progress::new("checked"),
        size: 0,
    };
    check.files()?;
    check.checkpoints()?;
    check.log()?;
    check.offer_repairs();
    check.compare()?;
    Ok(check.seen)
}

struct Check<'a> {
    directory: &'a Directory,
    seen: Verified,
    /// Every epoch up to this one was durable, some cut or checkpoint says.
    proven: u64,
    /// By stream: where the blocks that were seen end.
    stream_ends: Box<[u64; STREAMS]>,
    blocks: Blocks<'a>,
    /// The good checkpoints.
    manifests: [Option<Manifest>; SLOTS],
    progress: Progress,
    /// Bytes of all files of the log.
    size: u64,
}

impl Check<'_> {
    fn finding(&mut self, place: String, what: impl Into<String>) {
        self.seen.findings.push(Finding { place, what: what.into(), repair: None });
    }

    fn files(&mut self) -> Outcome<()> {
        let files = self.directory.unchecked_log_files()?;
        self.size = files.iter().map(|file| file.size()).sum();
        for file in &files {
            if let Err(failure) = self.directory.check_file(*file) {
                if failure.kind != Kind::Damaged {
                    return Err(failure);
                }
                let repair =
                    self.directory.has_damaged_header(*file).then_some(Repair::Header { file: *file });
                let place = self.directory.file(*file).display().to_string();
                let what = failure.message.trim_start_matches(&place).trim_start_matches(": ").into();
                self.seen.findings.push(Finding { place, what, repair });
            }
        }
        for check in [self.directory.check_cuts(&files), self.directory.check_beginning(&files)] {
            if let Err(failure) = check {
                self.finding(self.directory.path.display().to_string(), failure.message);
            }
        }
        for path in self.directory.leftovers() {
            self.seen.notes.push(format!("{}: was being made; a start ignores it", path.display()));
        }
        Ok(())
    }

    fn checkpoints(&mut self) -> Outcome<()> {
        for slot in 0..SLOTS as u8 {
            let name = CheckpointFile::Manifest { slot };
            let path = self.directory.path.join(name.to_string());
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => {
                    self.finding(name.to_string(), e.to_string());
                    continue;
                }
            };
            refuse_newer(&path, &bytes)?;
            let manifest = match Manifest::decode(&self.directory.identity, &bytes) {
                Ok(manifest) => manifest,
                Err(Damage(what)) => {
                    self.finding(name.to_string(), what);
                    continue;
                }
            };
            self.proven = self.proven.max(manifest.end.epoch);
            match self.check_parts(slot, &manifest) {
                Ok(()) => {
                    self.seen.checkpoints.push(manifest.end.epoch);
                    self.manifests[usize::from(slot)] = Some(manifest);
                }
                Err((place, what)) => self.finding(place, what),
            }
        }
        self.seen.checkpoints.sort_unstable();
        Ok(())
    }

    fn check_parts(&self, slot: u8, manifest: &Manifest) -> Result<(), (String, String)> {
        let mut digest = 0u128;
        let mut sheet = vec![0; SHEET_SIZE];
        for (number, expected) in (0..).zip(&manifest.parts) {
            let name = CheckpointFile::Part { slot, part: number };
            let path = self.directory.path.join(name.to_string());
            let mut file = File::open(&path).map_err(|e| (name.to_string(), e.to_string()))?;
            let mut check = PartCheck::new(self.directory.identity, manifest.end.epoch, number);
            for number in 0..expected.sheets {
                let place = || at(name, u64::from(number) * SHEET_SIZE as u64);
                file.read_exact(&mut sheet).map_err(|e| (place(), e.to_string()))?;
                check.take(&sheet).map_err(|Damage(what)| (place(), what))?;
            }
            let part = check.finish(expected).map_err(|Damage(what)| (name.to_string(), what))?;
            digest = digest.wrapping_add(part);
        }
        if digest != manifest.digest {
            let what =
                format!("digest of its records: found {digest:032x}, expected {:032x}", manifest.digest);
            return Err((CheckpointFile::Manifest { slot }.to_string(), what));
        }
        Ok(())
    }

    fn log(&mut self) -> Outcome<()> {
        let directory = self.directory;
        let from = self.seen.log_from;
        cuts::each_slot(directory, from, |epoch, sector| {
            let cut = sector.ok().and_then(|sector| Cut::decode(&directory.identity, sector).ok());
            if let Some((cut, _)) = cut.filter(|(cut, _)| cut.epoch == epoch) {
                self.proven = self.proven.max(cut.committed_through);
            }
            Ok(true)
        })?;
        // What the first cut continues is known at the very beginning only; behind damage the log is taken up again.
        let mut recovery = (from == 1).then(|| Recovery::new(directory.identity, LogEnd::default()));
        let mut next = from;
        cuts::each_slot(directory, from, |epoch, sector| {
            next = epoch + 1;
            let sector = match sector {
                Ok(sector) => sector,
                Err(failure) => {
                    recovery = None;
                    return Ok(self.bad_cut(epoch, false, &failure));
                }
            };
            if let Some(reader) = &mut recovery {
                if let Some(cut) = reader.take(epoch, sector) {
                    let checksum = reader.end().checksum;
                    return self.good_cut(&cut, checksum);
                }
                let (of, what) = match reader.finish(None) {
                    Err(hole) if hole.other_version => return Err(Failure::log(&hole, directory)),
                    Err(hole) => (hole.epoch, hole.damage.0),
                    Ok((_, Some(dropped))) => (dropped.epoch, dropped.damage.0),
                    Ok((_, None)) => (epoch, "the slot is empty".into()),
                };
                recovery = None;
                let is_empty = sector.iter().all(|byte| *byte == 0);
                if !self.bad_cut(of, is_empty, &what) {
                    return Ok(false);
                }
                if of == epoch {
                    return Ok(true);
                }
            }
            match Cut::decode(&directory.identity, sector) {
                Ok((cut, checksum)) if cut.epoch == epoch => {
                    recovery = Some(Recovery::new(directory.identity, cuts::end_behind(&cut, checksum)));
                    self.good_cut(&cut, checksum)
                }
                Ok((cut, _)) => {
                    let what = format!("epoch of the cut: found {}, expected {epoch}", cut.epoch);
                    Ok(self.bad_cut(epoch, false, &what))
                }
                Err(Damage(what)) => {
                    let is_empty = sector.iter().all(|byte| *byte == 0);
                    Ok(self.bad_cut(epoch, is_empty, &what))
                }
            }
        })?;
        if next <= self.proven {
            self.bad_cut(next, true, "the cut log ends before");
        }
        Ok(())
    }

    /// Whether the log goes on behind it.
    fn bad_cut(&mut self, epoch: u64, is_empty: bool, what: &str) -> bool {
        let (file, offset) = cut_place(epoch);
        self.bad_epoch(epoch, &at(file, offset), is_empty, what)
    }

    fn bad_epoch(&mut self, epoch: u64, place: &str, is_empty: bool, what: &str) -> bool {
        if epoch <= self.proven {
            let proven = self.proven;
            self.finding(
                place.into(),
                format!("epoch {epoch}, and epochs through {proven} were durable: {what}"),
            );
            return true;
        }
        if !is_empty {
            self.seen.notes.push(format!(
                "{place}: epoch {epoch} was being written when the server went down; a start drops it: {what}"
            ));
        }
        false
    }

    /// Checks what a cut says of blocks and checkpoints. Whether the log goes on behind it.
    fn good_cut(&mut self, cut: &Cut, checksum: u128) -> Outcome<bool> {
        let epoch = cut.epoch;
        for slot in 0..SLOTS as u8 {
            let end = self.manifests[usize::from(slot)].as_ref().map(|manifest| manifest.end);
            if let Some(end) = end.filter(|end| end.epoch == epoch && end.checksum != checksum) {
                let what = format!(
                    "checksum of the cut of epoch {epoch}: found {:032x}, the log has {checksum:032x}",
                    end.checksum
                );
                self.finding(CheckpointFile::Manifest { slot }.to_string(), what);
                self.manifests[usize::from(slot)] = None;
                self.seen.checkpoints.retain(|good| *good != epoch);
            }
        }
        for entry in &cut.blocks {
            let (file, offset) = stream_place(entry.stream, entry.offset);
            if let Err(Damage(what)) = self.blocks.check(cut, entry) {
                if !self.bad_epoch(epoch, &at(file, offset), false, &what) {
                    return Ok(false);
                }
                continue;
            }
            let end = &mut self.stream_ends[usize::from(entry.stream)];
            if entry.offset < *end {
                let what = format!("epoch {epoch}: the block before ends at byte {end} of the stream");
                *end = (*end).max(entry.offset + entry.size() as u64);
                self.finding(at(file, offset), what);
                continue;
            }
            *end = entry.offset + entry.size() as u64;
            self.seen.blocks += 1;
            self.seen.bytes += entry.size() as u64;
        }
        self.seen.cuts += 1;
        self.seen.bytes += SECTOR_SIZE as u64;
        self.seen.epoch = epoch;
        self.progress.say(self.seen.bytes, self.size);
        Ok(true)
    }

    /// A checkpoint that is damaged is no use to anybody, and not needed if a start finds another way.
    fn offer_repairs(&mut self) {
        let log_from = self.seen.log_from;
        let may_be = |manifest: &Manifest| manifest.end.epoch + 1 >= log_from;
        if log_from > 1 && !self.manifests.iter().flatten().any(may_be) {
            return;
        }
        for slot in 0..SLOTS as u8 {
            let folder = CheckpointFile::Manifest { slot }.to_string().replace("manifest", "");
            for finding in self.seen.findings.iter_mut().filter(|f| f.place.starts_with(&folder)) {
                finding.repair = Some(Repair::Checkpoint { slot });
            }
        }
    }

    /// Compares checkpoints with replays, if there is no doubt about the log.
    fn compare(&mut self) -> Outcome<()> {
        let log = |finding: &Finding| !finding.place.starts_with("checkpoints/");
        if self.seen.findings.iter().any(log) {
            self.seen.notes.push("nothing was replayed, because the log is damaged".into());
            return Ok(());
        }
        let log_from = self.seen.log_from;
        let mut good: Vec<(usize, Manifest)> =
            self.manifests.iter().cloned().enumerate().filter_map(|(slot, m)| Some((slot, m?))).collect();
        good.retain(|(_, manifest)| manifest.end.epoch + 1 >= log_from);
        good.sort_unstable_by_key(|(_, manifest)| manifest.end.epoch);
        let with = |from: Option<&(usize, Manifest)>| {
            let mut manifests = [None, None];
            if let Some((slot, manifest)) = from {
                manifests[*slot] = Some(manifest.clone());
            }
            Found { manifests, log_from, ..Found::default() }
        };
        let mut from = None;
        for next in &good {
            let (slot, manifest) = next;
            if from.is_some() || log_from == 1 {
                let Replayed { digest, epoch, .. } = replay(self.directory, with(from), manifest.end.epoch)?;
                let expected = whole_digest(manifest.digest, manifest.newest);
                if (digest, epoch) == (expected, manifest.end.epoch) {
                    self.seen.compared.push(epoch);
                } else {
                    let place = CheckpointFile::Manifest { slot: *slot as u8 }.to_string();
                    let what = format!(
                        "digest after epoch {}: found {expected:032x}, a replay gives {digest:032x} after epoch {epoch}",
                        manifest.end.epoch
                    );
                    self.finding(place, what);
                }
            }
            from = Some(next);
        }
        if from.is_none() && log_from > 1 {
            self.finding(
                self.directory.path.join("checkpoints").display().to_string(),
                format!(
                    "the log begins with epoch {log_from}, and there is no checkpoint from which it goes on"
                ),
            );
            return Ok(());
        }
        let Replayed { accounts, ids, digest, .. } = replay(self.directory, with(from), u64::MAX)?;
        (self.seen.accounts, self.seen.ids) = (accounts, ids);
        self.seen.digest = Some(format!("{digest:032x}"));
        Ok(())
    }
}
