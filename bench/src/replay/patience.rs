//! How long a server that doesn't answer is waited for.

use crate::failure::Failure;
use auriga_wire::{Client, Error, Options};
use std::time::{Duration, Instant};

/// Wait before the next attempt to reach the server.
const PAUSE: Duration = Duration::from_millis(200);

/// The time without progress so far, and how long it may get.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    progress: Instant,
    waiting: bool,
    reached: bool,
}

impl Patience {
    /// So many seconds of it.
    pub fn new(seconds: f64) -> Self {
        let limit = Duration::from_secs_f64(seconds);
        Self { limit, progress: Instant::now(), waiting: false, reached: false }
    }

    /// The server has answered.
    pub fn renew(&mut self) {
        self.progress = Instant::now();
        self.reached = true;
        if std::mem::take(&mut self.waiting) {
            eprintln!("auriga-bench: the server answers again");
        }
    }

    /// Waits a little after a failure that may pass; returns it if it can't or if it has been too long.
    pub fn wait(&mut self, failure: Failure) -> Result<(), Failure> {
        let may_pass = match failure {
            Failure::Lost(_) => true,
            // A server that was never there is told at once.
            Failure::Environment(_) => self.reached,
            Failure::Usage(_) | Failure::Failed(_) => false,
        };
        if !may_pass || self.progress.elapsed() >= self.limit {
            return Err(failure);
        }
        if !std::mem::replace(&mut self.waiting, true) {
            eprintln!("auriga-bench: {failure}; trying again for {} s", self.limit.as_secs_f64());
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }

    /// Repeats `request` with a fresh client until it is answered.
    pub fn insist<T>(
        &mut self,
        address: &str,
        mut request: impl FnMut(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        loop {
            match Client::connect(address, options()).and_then(|mut client| request(&mut client)) {
                Ok(answer) => {
                    self.renew();
                    return Ok(answer);
                }
                Err(error) => self.wait(error.into())?,
            }
        }
    }
}

/// Brief waits and single attempts: patience is had here.
pub fn options() -> Options {
    let brief = Duration::from_secs(10);
    Options {
        connect_timeout: brief,
        read_timeout: brief,
        write_timeout: brief,
        attempts: 1,
        ..Options::default()
    }
}
