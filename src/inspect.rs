//! `auriga inspect`: what a data directory holds, read offline and without changing anything. With `--digest` the log is
//! replayed by the very shard that a server would run, alone.

use crate::cli::{InspectArguments, print_json};
use crate::clock;
use crate::directory::Directory;
use crate::failure::{Failure, Outcome};
use auriga_shards::checkpoint::plan::Policy;
use auriga_shards::checkpoint::sheet::SHEET_SIZE;
use auriga_shards::lead::Found;
use auriga_shards::limits::{Limits, SECTOR_SIZE};
use auriga_shards::log::recover::Recovery;
use auriga_shards::log::segment::cut_place;
use auriga_shards::log::{Damage, File as LogFile};
use auriga_shards::pacer::LogEnd;
use auriga_shards::place::{Placement, ShardId};
use auriga_shards::shard::{Config, Shard};
use auriga_shards::step::{Input, Output, Outputs};
use serde::Serialize;
use std::fs::File;
use std::os::unix::fs::FileExt;

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
    let directory = Directory::look(&asked.data)?;
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
        Found { manifests: directory.manifests(), log_from: directory.log_from()?, ..Found::default() };
    read_cuts(&directory, &found, &files, &mut report)?;
    if asked.digest {
        report.state = Some(replay(&directory, found)?);
    }
    if asked.json {
        return print_json(&report);
    }
    println!("cluster        {}", report.cluster);
    println!("ids            {}", report.ids);
    println!("starts         {}", report.incarnation);
    println!("last epoch     {}", report.epoch);
    println!("its time       {} ns", report.time_ns);
    println!("cuts           {}", report.cuts);
    println!("blocks         {}", report.blocks);
    println!("logged         {} bytes", report.bytes_logged);
    println!("files          {} with {} bytes", report.files, report.files_bytes);
    if let Some(state) = &report.state {
        println!("accounts       {}", state.accounts);
        println!("transfer ids   {}", state.ids_remembered);
        println!("digest         {}", state.digest);
        if let Some(dropped) = &state.dropped {
            println!("at the end     {dropped}");
        }
    }
    Ok(())
}

fn read_cuts(directory: &Directory, found: &Found, files: &[LogFile], report: &mut Report) -> Outcome<()> {
    // The oldest checkpoint says what the cut behind it continues.
    let from = found.manifests.iter().flatten().map(|manifest| manifest.end).min_by_key(|end| end.epoch);
    let from = from.filter(|_| found.log_from > 1).unwrap_or_default();
    if from.epoch + 1 < found.log_from {
        return Err(no_checkpoint(found.log_from));
    }
    let mut recovery = Recovery::new(directory.identity, from);
    let mut epoch = found.log_from;
    for file in files.iter().filter(|file| matches!(file, LogFile::Cuts { .. })) {
        let bytes = std::fs::read(directory.file(*file)).map_err(|e| {
            Failure::environment(format!("can't read {}: {e}", directory.file(*file).display()))
        })?;
        for sector in bytes[SECTOR_SIZE..].chunks_exact(SECTOR_SIZE) {
            if epoch <= from.epoch {
                epoch += 1;
                continue;
            }
            if let Some(cut) = recovery.take(epoch, sector) {
                report.cuts += 1;
                report.blocks += cut.blocks.len() as u64;
                report.bytes_logged +=
                    (SECTOR_SIZE + cut.blocks.iter().map(|b| b.size()).sum::<usize>()) as u64;
                (report.epoch, report.time_ns) = (cut.epoch, cut.time);
            }
            epoch += 1;
        }
    }
    report.incarnation = recovery.end().incarnation;
    recovery.finish(None).map(|_| ()).map_err(|hole| Failure::log(&hole))
}

fn no_checkpoint(log_from: u64) -> Failure {
    Failure::damaged(format!(
        "the log begins with epoch {log_from}, and there is no checkpoint from which it goes on. Restore the directory from a \
         backup, and keep this one"
    ))
}

/// Replays the log in one shard; reads are made at once, writes never.
fn replay(directory: &Directory, found: Found) -> Outcome<State> {
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
    let mut end: Option<(LogEnd, Option<String>)> = None;
    while end.is_none() {
        let todo = std::mem::take(&mut out.list);
        if todo.is_empty() {
            return Err(Failure::failed("the replay came to a standstill"));
        }
        for output in todo {
            match output {
                Output::ReadCuts { first } => {
                    let (bytes, last) = read_slots(directory, first)?;
                    let input = Input::CutsRead { first, bytes: &bytes, end: last };
                    shard.step(clock::now(), input, &mut out);
                }
                Output::ReadBlock { epoch, entry, file, offset, mut block } => {
                    let read = File::open(directory.file(file));
                    let read = read.and_then(|file| file.read_exact_at(block.memory_mut(), offset));
                    let failure = read.err().map(|e| Damage(e.to_string()).0);
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
                Output::NoCheckpoint { log_from } => return Err(no_checkpoint(log_from)),
                Output::Damaged(hole) => return Err(Failure::log(&hole)),
                Output::Recovered { end: found, dropped } => {
                    let dropped =
                        dropped.map(|d| format!("epoch {} would be dropped: {}", d.epoch, d.damage));
                    end = Some((found, dropped));
                }
                _ => {}
            }
        }
    }
    let (_, dropped) = end.unwrap_or_default();
    let ledger = &shard.execution().ledger;
    Ok(State {
        accounts: ledger.accounts.len(),
        ids_remembered: ledger.ids.len(),
        digest: format!("{:032x}", shard.digest()),
        dropped,
    })
}

/// Cut slots from `first` to the end of their file, and whether no file follows.
fn read_slots(directory: &Directory, first: u64) -> Outcome<(Vec<u8>, bool)> {
    let (file, offset) = cut_place(first);
    let path = directory.file(file);
    if !path.exists() {
        return Ok((Vec::new(), true));
    }
    let mut bytes = vec![0; ((file.size() - offset) as usize).min(4 << 20)];
    let read = File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, offset));
    read.map_err(|e| Failure::environment(format!("can't read {}: {e}", path.display())))?;
    let (next, _) = cut_place(first + (bytes.len() / SECTOR_SIZE) as u64);
    let last = next != file && !directory.file(next).exists();
    Ok((bytes, last))
}
