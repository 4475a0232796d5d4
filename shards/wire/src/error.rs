//! What can go wrong for a client, and how long and how often it tries.

use crate::frame::{Fault, REQUEST_RECORDS_MAX};
use std::time::Duration;
use std::{fmt, io};

/// How a client connects and how patient it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest silence of the server while a reply is due.
    pub read_timeout: Duration,
    /// Longest time in which the server takes no byte of a request.
    pub write_timeout: Duration,
    /// The cluster that is meant; 0: any.
    pub cluster: u64,
    /// How often [`crate::Client`] tries a request before it gives up; at least 1. Between attempts it waits 50 ms,
    /// then twice as long each time, at most 2 s.
    pub attempts: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            cluster: 0,
            attempts: 5,
        }
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub enum Error {
    /// No connection could be made.
    Connect {
        /// The server's address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The connection was lost, or the server kept silent for too long. What was sent may have been executed or not:
    /// send it again, with the same ids.
    Lost {
        /// The server's address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server refused the whole request, or the connection; nothing of it was executed.
    Refused(Fault),
    /// The server's bytes can't be a reply. What was sent may have been executed or not.
    BadReply(Fault),
    /// A request of this many items can't be sent; nothing was.
    Items(usize),
}

impl Error {
    /// Whether the same request may succeed later, unchanged: safe for creations, because they carry their ids.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Lost { .. } => true,
            Self::Refused(fault) => fault.code.is_transient(),
            Self::BadReply(fault) => fault.code == crate::FaultCode::BadChecksum,
            Self::Items(_) => false,
        }
    }

    /// Whether the request may have been executed all the same.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::BadReply(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { address, source } => {
                write!(f, "cannot connect to {address}: {source}; is the server running there?")
            }
            Self::Lost { address, source } => {
                write!(
                    f,
                    "lost the connection to {address}: {source}; what was sent may have been executed or not"
                )
            }
            Self::Refused(fault) => write!(f, "the server refused the request: {fault}"),
            Self::BadReply(fault) => write!(f, "the server's reply can't be used: {fault}"),
            Self::Items(found) => {
                write!(
                    f,
                    "a request of {found} items can't be sent: expected 1 to {REQUEST_RECORDS_MAX}; split it"
                )
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect { source, .. } | Self::Lost { source, .. } => Some(source),
            Self::Refused(fault) | Self::BadReply(fault) => Some(fault),
            Self::Items(_) => None,
        }
    }
}
