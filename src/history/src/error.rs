//! What can go wrong.

use std::fmt;
use std::path::PathBuf;

/// Why history can't be built or read.
#[derive(Debug)]
pub enum Error {
    /// The store could not be opened, read or written: the disk is full or broken, or another process has it open.
    Store {
        /// The directory.
        directory: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the store said.
        source: fjall::Error,
    },
    /// Another version of Auriga wrote the directory.
    OtherVersion {
        /// The directory.
        directory: PathBuf,
        /// The format version found.
        found: u32,
        /// The format version of this binary.
        expected: u32,
    },
    /// The directory is another cluster's.
    OtherCluster {
        /// The directory.
        directory: PathBuf,
        /// The cluster found.
        found: u64,
        /// The cluster asked for.
        expected: u64,
    },
    /// What the store holds contradicts itself or the log.
    Damaged {
        /// The directory.
        directory: PathBuf,
        /// What was found, and what was expected.
        what: String,
    },
    /// The builder has failed before; what it had collected is lost. Open the directory again.
    Failed {
        /// The directory.
        directory: PathBuf,
    },
}

const DELETE: &str = "delete the directory: it is built again from the log";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store { directory, action, source } => {
                write!(f, "history in {}: could not {action}: ", directory.display())?;
                match source {
                    fjall::Error::Io(error) => write!(f, "{error}"),
                    fjall::Error::Locked => f.write_str("another process has it open"),
                    other => write!(f, "{other:?}"),
                }
            }
            Self::OtherVersion { directory, found, expected } => write!(
                f,
                "history in {}: found format version {found}, expected {expected}: {DELETE}",
                directory.display()
            ),
            Self::OtherCluster { directory, found, expected } => write!(
                f,
                "history in {}: found that of cluster {found}, expected {expected}: name the right directory, or {DELETE}",
                directory.display()
            ),
            Self::Damaged { directory, what } => {
                write!(f, "history in {}: {what}: {DELETE}", directory.display())
            }
            Self::Failed { directory } => write!(
                f,
                "history in {}: found a builder that has failed, expected a working one: open the directory again",
                directory.display()
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store { source, .. } => Some(source),
            _ => None,
        }
    }
}
