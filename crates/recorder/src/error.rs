//! What can end a recording, and the exit code that says so (CONTRACTS §2).

use crate::client::Refusal;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// A recording ended before it was whole.
#[derive(Debug, Error)]
pub enum Error {
    /// A word on the command line cannot be used.
    #[error("{what}")]
    Usage {
        /// What is wrong and what is allowed.
        what: String,
    },
    /// The source could not be opened, read or encoded.
    #[error("record {source_name}")]
    Source {
        /// The source as it was named.
        source_name: String,
        /// Why.
        #[source]
        source: media::ff::Error,
    },
    /// The server answered, and the answer was no.
    #[error("{operation}: {refusal}")]
    Refused {
        /// What was asked for.
        operation: String,
        /// The answer.
        refusal: Box<Refusal>,
    },
    /// The server gave no usable answer for as long as we were willing to wait.
    #[error("{operation}: no usable answer for {waited:?}")]
    Unreachable {
        /// What was asked for.
        operation: String,
        /// How long it was tried.
        waited: Duration,
        /// What the last attempt met.
        #[source]
        source: crate::client::Fault,
    },
    /// A segment that was made earlier is not one.
    #[error("read {}", path.display())]
    Segment {
        /// Where it lies.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: media::defect::Defect,
    },
    /// A folder of ours could not be written or read.
    #[error("{operation} {}", path.display())]
    Folder {
        /// What was tried.
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The client could not be set up.
    #[error("set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// A thread of the recorder ended without a result.
    #[error("{0} stopped unexpectedly")]
    Crashed(&'static str),
}

impl Error {
    /// The process exit code: 1 failed, 2 usage, 4 not found, 5 refused by state or policy, 6 server unreachable,
    /// 7 token.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage { .. } => 2,
            Error::Source { source: media::ff::Error::Setting { .. }, .. } => 2,
            Error::Source { source, .. } if source.is_not_found() => 4,
            Error::Source { .. }
            | Error::Segment { .. }
            | Error::Folder { .. }
            | Error::Client(_)
            | Error::Crashed(_) => 1,
            Error::Refused { refusal, .. } => match refusal.status {
                401 | 403 => 7,
                404 => 4,
                409 | 410 => 5,
                _ => 1,
            },
            Error::Unreachable { .. } => 6,
        }
    }

    /// A short word for machines: the server's own code where it gave one.
    pub fn code(&self) -> &str {
        match self {
            Error::Usage { .. } => "usage",
            Error::Source { .. } => "source",
            Error::Refused { refusal, .. } => &refusal.code,
            Error::Unreachable { .. } => "unreachable",
            Error::Segment { .. } => "segment",
            Error::Folder { .. } => "folder",
            Error::Client(_) => "client",
            Error::Crashed(_) => "crashed",
        }
    }
}
