//! How a command ends when it can't do what it was asked: a message that names cause and fix, and an exit code.

use crate::directory::Directory;
use auriga_shards::log::recover::Hole;
use std::fmt;

/// Why a command failed; the number is the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It failed, or what was to be verified is not so.
    Failed = 1,
    /// It was asked wrongly.
    Usage = 2,
    /// The data is damaged.
    Damaged = 3,
    /// The machine, or what surrounds the process, does not allow it.
    Environment = 4,
}

/// A failure for a person to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// What was found, what was expected, what to do.
    pub message: String,
}

impl Failure {
    /// It failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, message: message.into() }
    }

    /// It was asked wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into() }
    }

    /// The data is damaged.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self { kind: Kind::Damaged, message: message.into() }
    }

    /// The log can't be replayed.
    pub fn log(hole: &Hole, directory: &Directory) -> Self {
        let kind = if hole.other_version { Kind::Environment } else { Kind::Damaged };
        let hint = match directory.begins_with(hole.file) {
            Some(first) => format!(
                ". The log has {first} and not what comes before: if that was let go behind a checkpoint, what is missing is the \
                 checkpoint, or a history that goes on from it (--history off starts without one), or --archive"
            ),
            None => String::new(),
        };
        Self { kind, message: format!("{hole}{hint}") }
    }

    /// The log has no beginning any more, and no checkpoint that it continues can be loaded. With how far history has got, if one
    /// is kept.
    pub fn no_checkpoint(log: &str, directory: &Directory, history: Option<u64>) -> Self {
        let history = history.map_or(String::new(), |newest| {
            format!(
                " History has got to epoch {newest}, and is built from there: if that is what is missing, start with \
                 --history off, or with the --archive that the log was moved to."
            )
        });
        Self::damaged(format!(
            "{log}, and no checkpoint in {} can be loaded from which it goes on.{history} Restore the directory from a backup, and \
             keep this one",
            directory.path.join("checkpoints").display()
        ))
    }

    /// With something more to do.
    pub fn and_then(self, what: &str) -> Self {
        Self { message: format!("{}. {what}", self.message), ..self }
    }

    /// The machine does not allow it.
    pub fn environment(message: impl Into<String>) -> Self {
        Self { kind: Kind::Environment, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What a command returns.
pub type Outcome<T> = Result<T, Failure>;
