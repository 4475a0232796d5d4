//! Names that are made durable, and the end of a process that can't go on with its disk. When a sync fails nobody knows what the disk holds, and the next one may say that all is well: the process
//! ends, as after a write that failed. What could not be tried, without a descriptor for one, may be tried again.

use crate::directory::cannot;
use std::fs::File;
use std::io;
use std::path::Path;

/// What to do when a write or a sync has failed.
const UNKNOWN_NOW: &str = "What the disk holds is unknown now, so this process ends. Check the disk, then start again: everything \
                           acknowledged is recovered";

/// The folder of a file. It is opened before anything is changed in it: descriptors may be short.
pub struct Folder<'a> {
    opened: File,
    path: &'a Path,
}

impl<'a> Folder<'a> {
    /// Opens the folder that a file is in.
    pub fn of(file: &'a Path) -> io::Result<Self> {
        Self::open(file.parent().unwrap_or(Path::new("/")))
    }

    /// Opens a folder.
    pub fn open(path: &'a Path) -> io::Result<Self> {
        Ok(Self { opened: File::open(path)?, path })
    }

    /// Makes the names in it durable, or ends the process.
    pub fn make_durable(&self) {
        if let Err(e) = self.opened.sync_all() {
            fail(&cannot("sync", self.path, &e).message);
        }
    }
}

/// Ends the process at once, because a write or a sync has failed.
pub fn fail(what: &str) -> ! {
    end(&format!("{what}. {UNKNOWN_NOW}"))
}

/// Ends the process at once.
pub fn end(message: &str) -> ! {
    tracing::error!("{message}");
    crate::logging::tell_failure(&message);
    std::process::exit(crate::failure::Kind::Environment as i32)
}
