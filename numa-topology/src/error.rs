//! What can go wrong here, each with what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::plan::SHARDS_MAX;

/// A failure to read, plan or place; the text says what was found, where, and what to do.
#[derive(Debug)]
pub enum Error {
    /// hwloc could not describe this machine.
    Discover {
        /// What hwloc said.
        detail: String,
    },
    /// A synthetic description that hwloc does not understand.
    Synthetic {
        /// The description.
        description: String,
        /// What hwloc said.
        detail: String,
    },
    /// A recorded description that hwloc does not understand.
    Xml {
        /// What hwloc said.
        detail: String,
    },
    /// A directory whose disk could not be looked for.
    Disk {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A topology file that could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A topology file whose content is not one.
    Parse(ParseError),
    /// A number of shards outside `1..=SHARDS_MAX`.
    ShardCount {
        /// The number asked for.
        asked: usize,
    },
    /// No CPU is allowed, or no allowed node has memory.
    NothingUsable,
    /// The kernel refused to place the calling thread or its memory, or to tell where pages are.
    Kernel {
        /// What was asked of it.
        asked: String,
        /// Its answer.
        source: io::Error,
        /// What to do.
        fix: &'static str,
    },
}

/// Where and why a topology file is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The file, if the text came from one.
    pub path: Option<PathBuf>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key concerned, if there is one.
    pub key: Option<String>,
    /// What was found and expected.
    pub message: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Discover { detail } => write!(
                f,
                "cannot read this machine's topology: {detail}; hwloc reads /sys/devices/system: see that /sys \
                 is mounted and readable, and that no HWLOC_* variable is set by mistake"
            ),
            Error::Synthetic { description, detail } => write!(
                f,
                "hwloc refuses the synthetic topology \"{description}\": {detail}; an example is \
                 \"pack:2 [numa] core:4 pu:2\""
            ),
            Error::Xml { detail } => write!(
                f,
                "hwloc refuses the recorded topology: {detail}; expected what `lstopo --of xml` writes"
            ),
            Error::Disk { path, source } => write!(
                f,
                "cannot tell on which disk {} lies: {source}; name a directory that exists",
                path.display()
            ),
            Error::Read { path, source } => write!(
                f,
                "cannot read the topology file {}: {source}; `auriga topology discover` writes one",
                path.display()
            ),
            Error::Parse(error) => error.fmt(f),
            Error::ShardCount { asked } => write!(
                f,
                "{asked} shards asked for, expected 1 to {SHARDS_MAX}; leave the number out to get one per \
                 usable core"
            ),
            Error::NothingUsable => write!(
                f,
                "no CPU is allowed, or no allowed NUMA node has memory; widen the affinity mask (taskset, \
                 CPUAffinity=) or the cgroup cpuset (AllowedCPUs=, AllowedMemoryNodes=, --cpuset-cpus, \
                 --cpuset-mems)"
            ),
            Error::Kernel { asked, source, fix } => write!(f, "cannot {asked}: {source}; {fix}"),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}:{}:{}", path.display(), self.line, self.column)?,
            None => write!(f, "line {}, column {}", self.line, self.column)?,
        }
        if let Some(key) = &self.key {
            write!(f, ", key `{key}`")?;
        }
        write!(f, ": {}; {}", self.message, self.fix)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Read { source, .. } | Error::Disk { source, .. } | Error::Kernel { source, .. } => {
                Some(source)
            }
            Error::Parse(error) => Some(error),
            _ => None,
        }
    }
}

impl std::error::Error for ParseError {}
