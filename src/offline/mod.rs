//! What is done with a data directory from outside of a server: looking at it, checking it end to end, copying it while a server
//! runs, bringing a copy back, and mending what can be mended without loss.

pub mod backup;
mod copy;
mod cuts;
pub mod inspect;
pub mod repair;
mod replay;
pub mod restore;
pub mod verify;

use crate::directory::Directory;
use crate::failure::{Failure, Outcome};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Says on a terminal how far something is, now and then.
struct Progress {
    what: &'static str,
    said: Option<Instant>,
}

impl Progress {
    fn new(what: &'static str) -> Self {
        Self { what, said: std::io::stderr().is_terminal().then(Instant::now) }
    }

    fn say(&mut self, done: u64, of: u64) {
        if let Some(said) = &mut self.said
            && said.elapsed() >= Duration::from_secs(1)
        {
            *said = Instant::now();
            eprintln!("{}: {} of {} MiB", self.what, done >> 20, of >> 20);
        }
    }
}

/// What a start says as well, if nothing is there that the log goes on from.
fn no_checkpoint(directory: &Directory, log_from: u64) -> Failure {
    Failure::no_checkpoint(&format!("the log begins with epoch {log_from}"), directory, None)
}
