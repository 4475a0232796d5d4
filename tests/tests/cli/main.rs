//! The command line: what each command prints, and how it ends when the machine or the data don't allow it.

mod clock;
mod environment;
mod output;
mod signals;
