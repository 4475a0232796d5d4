//! Why the program can't go on, and the exit code that says so.

use auriga_wire::{Error, FaultCode};
use std::fmt;

/// What ends the program before it could say that the money is right.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for, or a file that was named, makes no sense: exit code 2.
    Usage(String),
    /// The load or its verification failed: exit code 1.
    Failed(String),
    /// The connection was lost, or the server refuses for now: the same may succeed later. Exit code 1.
    Lost(String),
    /// The surroundings don't allow it (no server, refused connection): exit code 4.
    Environment(String),
}

impl Failure {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Lost(_) => 1,
            Self::Usage(_) => 2,
            Self::Environment(_) => 4,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(text) | Self::Failed(text) | Self::Lost(text) | Self::Environment(text)) = self;
        f.write_str(text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Connect { .. } => Self::Environment(text),
            Error::Refused(fault) => match fault.code {
                FaultCode::TooManyConnections
                | FaultCode::WrongCluster
                | FaultCode::NotReady
                | FaultCode::ShuttingDown
                | FaultCode::UnknownVersion => Self::Environment(text),
                code if code.is_transient() => Self::Lost(text),
                _ => Self::Failed(text),
            },
            Error::BadReply(fault)
                if matches!(fault.code, FaultCode::BadMagic | FaultCode::UnknownVersion) =>
            {
                Self::Environment(text)
            }
            Error::Lost { .. } => Self::Lost(text),
            Error::BadReply(fault) if fault.code == FaultCode::BadChecksum => Self::Lost(text),
            Error::BadReply(_) | Error::Items(_) => Self::Failed(text),
        }
    }
}
