//! `auriga repair`: mends what is damaged and can be had again from what is not. It says first what it would do; nothing that
//! somebody could miss is lost by it.

use super::verify::{Finding, verify};
use crate::cli::RepairArguments;
use crate::directory::{self, Directory, cannot};
use crate::failure::{Failure, Outcome};
use crate::output::say;
use auriga_shards::checkpoint::File as CheckpointFile;
use auriga_shards::log::File as LogFile;
use serde::Serialize;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

/// A way to mend something without loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// The header of a segment says no more than its name and the directory: it is written again.
    Header {
        /// The segment.
        #[serde(serialize_with = "as_text")]
        file: LogFile,
    },
    /// A damaged checkpoint is no use; the log and the other one have all that is in it. Its manifest is removed.
    Checkpoint {
        /// Its slot.
        slot: u8,
    },
}

fn as_text<S: serde::Serializer>(file: &LogFile, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(file)
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { file } => write!(f, "write the header of {file} again; nothing is lost"),
            Self::Checkpoint { slot } => write!(
                f,
                "remove {}; nothing is lost: a start replays the log from the other one, or from its beginning",
                CheckpointFile::Manifest { slot: *slot }
            ),
        }
    }
}

/// Lists what can be mended, and mends it if that was asked for.
pub fn run(asked: &RepairArguments) -> Outcome<()> {
    let directory = Directory::look(&asked.data)?.with_readable_archive(asked.archive.clone())?;
    let _unused = directory.lock_as_reader()?;
    let mut repairs: Vec<Repair> = Vec::new();
    let mut left = 0;
    for Finding { place, what, repair } in verify(&directory)?.findings {
        say!("damage         {place}: {what}");
        match repair {
            Some(repair) if !repairs.contains(&repair) => repairs.push(repair),
            Some(_) => {}
            None => left += 1,
        }
    }
    for repair in &repairs {
        say!("to do          {repair}");
    }
    if repairs.is_empty() && left == 0 {
        say!("good: there is nothing to do");
        return Ok(());
    }
    if left > 0 {
        return Err(Failure::damaged(format!(
            "{left} of the findings can't be mended without loss, so nothing was changed. Restore these files from a copy, or the \
             directory from a backup"
        )));
    }
    if !asked.apply {
        say!("nothing was changed: to do it, add --apply");
        return Ok(());
    }
    for repair in repairs {
        mend(&directory, repair)?;
        say!("done           {repair}");
    }
    match verify(&directory)?.findings.len() {
        0 => Ok(()),
        count => Err(Failure::failed(format!("{count} findings are left: see auriga inspect --verify"))),
    }
}

fn mend(directory: &Directory, repair: Repair) -> Outcome<()> {
    match repair {
        Repair::Header { file } => {
            let path = directory.file(file);
            let written = OpenOptions::new().write(true).open(&path).and_then(|opened| {
                opened.write_all_at(&file.header(&directory.identity), 0)?;
                opened.sync_all()
            });
            written.map_err(|e| cannot("write", &path, &e))
        }
        Repair::Checkpoint { slot } => {
            let path = directory.path.join(CheckpointFile::Manifest { slot }.to_string());
            fs::remove_file(&path).map_err(|e| cannot("remove", &path, &e))?;
            directory::sync_directory(super::cuts::folder(&path))
        }
    }
}
