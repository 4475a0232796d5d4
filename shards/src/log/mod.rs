//! The log as bytes: blocks of client requests, the cuts that close epochs, segments, and what recovery accepts.
//! `FORMAT.md` beside this file is the one description of the format. Bytes in, bytes out: no file here.

pub mod block;
pub mod cut;
pub mod recover;
pub mod segment;

use crate::limits::SECTOR_SIZE;
use std::fmt;

/// What all bytes of one data directory have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Number of the cluster that the directory was formatted for.
    pub cluster: u64,
    /// Whether ids must be time-ordered.
    pub id_mode: IdMode,
}

/// Which transfer ids a directory takes; chosen when it is formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IdMode {
    /// Time-ordered ids.
    Time = 1,
    /// Any ids; none is ever forgotten.
    Any = 2,
}

impl IdMode {
    /// The mode with this number in the log.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Time),
            2 => Some(Self::Any),
            _ => None,
        }
    }

    /// The mode with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Time, Self::Any].into_iter().find(|mode| mode.name() == name)
    }

    /// The mode's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Any => "any",
        }
    }
}

/// What is read and written at once, aligned for direct I/O.
#[repr(C, align(4096))]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Sector(pub [u8; SECTOR_SIZE]);

/// A file of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum File {
    /// A segment of the cut log.
    Cuts {
        /// Its number, from 0.
        segment: u32,
    },
    /// A segment of a stream.
    Stream {
        /// The stream's number.
        stream: u16,
        /// Its number, from 0.
        segment: u32,
    },
}

impl File {
    /// The first one of its sequence.
    pub fn first(self) -> Self {
        match self {
            Self::Cuts { .. } => Self::Cuts { segment: 0 },
            Self::Stream { stream, .. } => Self::Stream { stream, segment: 0 },
        }
    }
}

impl fmt::Display for File {
    /// The file's name below the data directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cuts { segment } => write!(f, "cuts/{segment:08}.log"),
            Self::Stream { stream, segment } => write!(f, "streams/{stream:03}-{segment:08}.log"),
        }
    }
}

/// What is wrong with bytes of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage(pub String);

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fails with what was found where something else was expected.
pub(crate) fn expect<T: PartialEq + fmt::Debug + Copy>(
    what: &str,
    found: T,
    expected: T,
) -> Result<(), Damage> {
    if found == expected {
        return Ok(());
    }
    Err(Damage(format!("{what}: found {found:?}, expected {expected:?}")))
}
