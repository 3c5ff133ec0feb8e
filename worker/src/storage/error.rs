//! Why the store did not do what it was asked.

use domain::retry::{Classify, Fault};
use std::fmt;
use thiserror::Error;

/// What was asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Open it.
    Open,
    /// Check that it works.
    Check,
    /// Read an object or a range of it.
    Get,
    /// Write an object.
    Put,
    /// Copy an object inside the store.
    Copy,
    /// Look at an object.
    Stat,
    /// List a prefix.
    List,
    /// Delete objects.
    Delete,
    /// Sign a URL.
    Presign,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::Open => "open store",
            Op::Check => "check store",
            Op::Get => "get",
            Op::Put => "put",
            Op::Copy => "copy",
            Op::Stat => "stat",
            Op::List => "list",
            Op::Delete => "delete",
            Op::Presign => "presign",
        })
    }
}

/// Why the store did not do what it was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such object.
    #[error("{op} {key}: object not found")]
    NotFound {
        /// What was asked.
        op: Op,
        /// Of which object.
        key: String,
    },
    /// The store is away, slow, full, or said something unexpected.
    #[error("{op} {key}: store unavailable")]
    Unavailable {
        /// What was asked.
        op: Op,
        /// Of which object or prefix.
        key: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store will say the same again: no permission, or settings it cannot work with.
    #[error("{op} {key}: refused by the store")]
    Refused {
        /// What was asked.
        op: Op,
        /// Of which object or prefix.
        key: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such bucket.
    #[error("{op} {key}: no such bucket, see storage.bucket")]
    NoBucket {
        /// What was asked.
        op: Op,
        /// Of which object or prefix.
        key: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store said that it did what it did not do.
    #[error("check store {key}: {what}")]
    Broken {
        /// Prefix of the objects of the self-test.
        key: String,
        /// What was found.
        what: &'static str,
    },
    /// The address that clients reach does not do what the internal one does.
    #[error("check store {key}: {method} through storage.public_endpoint")]
    Public {
        /// Of the presigned request.
        method: String,
        /// Prefix of the objects of the self-test.
        key: String,
        /// What was answered.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An object has another length than expected.
    #[error("{op} {key}: {found} bytes instead of {expected}")]
    Short {
        /// What was asked.
        op: Op,
        /// Of which object.
        key: String,
        /// Length it should have.
        expected: u64,
        /// Length it has.
        found: u64,
    },
    /// An object is another one than it was.
    #[error("{op} {key}: the object was replaced")]
    Changed {
        /// What was asked.
        op: Op,
        /// Of which object.
        key: String,
    },
    /// The bytes to be written could not be read: not the store's fault.
    #[error("put {key}: read the bytes to be written")]
    Source {
        /// Which object.
        key: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Sorts what the store's client said. What is not known to be permanent may clear: a full disk is one of them.
    pub(super) fn of(op: Op, key: &str, source: opendal::Error) -> Error {
        use opendal::ErrorKind;
        let key = key.to_owned();
        match source.kind() {
            ErrorKind::NotFound => Error::NotFound { op, key },
            ErrorKind::ConditionNotMatch => Error::Changed { op, key },
            // Opening apart, the client says so of a server that does not know the bucket.
            ErrorKind::ConfigInvalid => Error::NoBucket { op, key, source: Box::new(source) },
            ErrorKind::PermissionDenied | ErrorKind::Unsupported => {
                Error::Refused { op, key, source: Box::new(source) }
            }
            _ => Error::Unavailable { op, key, source: Box::new(source) },
        }
    }

    /// The same for an error that came through a stream.
    pub(super) fn of_io(op: Op, key: &str, source: std::io::Error) -> Error {
        let key = key.to_owned();
        match source.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound { op, key },
            std::io::ErrorKind::PermissionDenied => Error::Refused { op, key, source: Box::new(source) },
            _ => Error::Unavailable { op, key, source: Box::new(source) },
        }
    }

    /// There is no such object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound { .. })
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Error::Unavailable { .. } => Fault::Transient,
            Error::NotFound { .. }
            | Error::Refused { .. }
            | Error::NoBucket { .. }
            | Error::Broken { .. }
            | Error::Public { .. }
            | Error::Changed { .. }
            | Error::Short { .. }
            | Error::Source { .. } => Fault::Permanent,
        }
    }

    fn class(&self) -> &'static str {
        "storage"
    }
}
