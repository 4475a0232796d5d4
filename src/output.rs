//! What commands say on stdout.

use crate::failure::{Failure, Kind};
use std::io::{ErrorKind, Write};

/// A line, as with `println!`.
macro_rules! say {
    ($($text:tt)*) => {{
        crate::output::write(&(format!($($text)*) + "\n"));
    }};
}
pub(crate) use say;

/// Writes text; `false` if nobody reads it any more: who closes a pipe early has read enough. Ends the process if it can't be written
/// for another reason.
pub fn write(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(e) if e.kind() == ErrorKind::BrokenPipe => false,
        Err(e) => {
            crate::logging::tell_failure(&Failure::environment(format!("can't write to stdout: {e}")));
            std::process::exit(Kind::Environment as i32)
        }
    }
}
