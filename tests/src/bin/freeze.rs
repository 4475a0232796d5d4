//! Stops one thread of a process, as if it hung, until the process ends: `freeze THREAD`. For the guest of `tests/run vm`.

use auriga_tests::threads::Frozen;
use std::process::ExitCode;

fn main() -> ExitCode {
    let thread = std::env::args().nth(1).and_then(|thread| thread.parse().ok());
    let Some(thread) = thread else {
        eprintln!("freeze: expected the number of a thread");
        return ExitCode::from(2);
    };
    match Frozen::new(thread) {
        Ok(frozen) => {
            frozen.wait();
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("freeze: thread {thread} can't be stopped: {e}");
            ExitCode::from(4)
        }
    }
}
