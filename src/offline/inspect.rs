//! `auriga inspect`: what a data directory holds, read offline and without changing anything.

use super::cuts;
use super::replay::{Replayed, replay};
use super::verify;
use crate::cli::{InspectArguments, print_json};
use crate::directory::Directory;
use crate::failure::{Failure, Outcome};
use crate::output::say;
use auriga_shards::checkpoint::manifest::Manifest;
use auriga_shards::lead::Found;
use auriga_shards::limits::SECTOR_SIZE;
use auriga_shards::log::recover::Recovery;
use serde::Serialize;

/// What is said of a directory.
#[derive(Serialize)]
struct Report {
    cluster: u64,
    ids: &'static str,
    incarnation: u64,
    /// Newest epoch whose cut continues the log (with `--digest`: and whose blocks are good).
    epoch: u64,
    time_ns: u64,
    cuts: u64,
    blocks: u64,
    bytes_logged: u64,
    files: usize,
    files_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

/// What a replay ends with.
#[derive(Serialize)]
struct State {
    accounts: usize,
    ids_remembered: usize,
    digest: String,
    dropped: Option<String>,
}

/// Prints the report.
pub(crate) fn run(asked: &InspectArguments) -> Outcome<()> {
    let directory = Directory::look(&asked.data)?.with_readable_archive(asked.archive.clone())?;
    if asked.verify {
        return verify::run(&directory, asked.json);
    }
    let _unused = directory.lock_as_reader()?;
    let files = directory.log_files()?;
    let mut report = Report {
        cluster: directory.identity.cluster,
        ids: directory.identity.id_mode.name(),
        incarnation: 0,
        epoch: 0,
        time_ns: 0,
        cuts: 0,
        blocks: 0,
        bytes_logged: 0,
        files: files.len(),
        files_bytes: files.iter().map(|file| file.size()).sum(),
        state: None,
    };
    let found =
        Found { manifests: directory.manifests()?, log_from: directory.log_from()?, ..Found::default() };
    let through = asked.through.unwrap_or(u64::MAX);
    read_cuts(&directory, &found, through, &mut report)?;
    if asked.digest {
        let may_be = |manifest: &Manifest| manifest.end.epoch <= through;
        let found = Found { manifests: found.manifests.map(|manifest| manifest.filter(may_be)), ..found };
        let Replayed { accounts, ids, digest, dropped, .. } = replay(&directory, found, through)?;
        report.state =
            Some(State { accounts, ids_remembered: ids, digest: format!("{digest:032x}"), dropped });
    }
    if asked.json {
        return print_json(&report);
    }
    say!("cluster        {}", report.cluster);
    say!("ids            {}", report.ids);
    say!("starts         {}", report.incarnation);
    say!("last epoch     {}", report.epoch);
    say!("its time       {} ns", report.time_ns);
    say!("cuts           {}", report.cuts);
    say!("blocks         {}", report.blocks);
    say!("logged         {} bytes", report.bytes_logged);
    say!("files          {} with {} bytes", report.files, report.files_bytes);
    if let Some(state) = &report.state {
        say!("accounts       {}", state.accounts);
        say!("transfer ids   {}", state.ids_remembered);
        say!("digest         {}", state.digest);
        if let Some(dropped) = &state.dropped {
            say!("at the end     {dropped}");
        }
    }
    Ok(())
}

fn read_cuts(directory: &Directory, found: &Found, through: u64, report: &mut Report) -> Outcome<()> {
    let from = cuts::beginning(directory, found)?;
    let mut recovery = Recovery::new(directory.identity, from);
    let proven = found.manifests.iter().flatten().map(|manifest| manifest.end.epoch).max();
    recovery.prove(found.log_from, proven.unwrap_or(0).min(through));
    cuts::each_slot(directory, from.epoch.max(found.log_from), |epoch, sector| {
        if epoch > through {
            return Ok(false);
        }
        let sector = sector.map_err(Failure::environment)?;
        if let Some(cut) = recovery.take(epoch, sector) {
            report.cuts += 1;
            report.blocks += cut.blocks.len() as u64;
            report.bytes_logged += (SECTOR_SIZE + cut.blocks.iter().map(|b| b.size()).sum::<usize>()) as u64;
            (report.epoch, report.time_ns) = (cut.epoch, cut.time);
        }
        Ok(true)
    })?;
    report.incarnation = recovery.end().incarnation;
    recovery.finish(None).map(|_| ()).map_err(|hole| Failure::log(&hole, directory))
}
