//! One thing to send: its name, and its bytes in memory or on disk.

use crate::Error;
use bytes::Bytes;
use domain::segment::{Name, Track};
use std::fmt;
use std::path::PathBuf;
use tokio::sync::OwnedSemaphorePermit;

/// An initialization section or a segment that the server has not yet acknowledged.
pub(crate) struct Segment {
    pub(crate) track: Track,
    pub(crate) name: Name,
    pub(crate) size_bytes: u64,
    pub(crate) body: Body,
}

/// Where the bytes are.
pub(crate) enum Body {
    /// In memory; the permit is the place they take in the bound, given back when this is dropped.
    Memory { bytes: Bytes, _room: OwnedSemaphorePermit },
    /// In the folder of unsent segments, removed when acknowledged; without a permit when it came after the failure.
    File { path: PathBuf, _room: Option<OwnedSemaphorePermit> },
}

impl Segment {
    /// The bytes, read from disk when they are there.
    pub(crate) async fn bytes(&self) -> Result<Bytes, Error> {
        match &self.body {
            Body::Memory { bytes, .. } => Ok(bytes.clone()),
            Body::File { path, .. } => match tokio::fs::read(path).await {
                Ok(bytes) => Ok(bytes.into()),
                Err(source) => Err(Error::Folder { operation: "read unsent segment", path: path.clone(), source }),
            },
        }
    }

    /// Called when the server has it: the copy on disk goes, but that of an initialization section waits until no
    /// segment needs it (`Folder::left`).
    pub(crate) async fn acknowledged(self) -> Result<(), Error> {
        match self.body {
            Body::Memory { .. } => Ok(()),
            Body::File { .. } if self.name == Name::Init => Ok(()),
            Body::File { path, .. } => match tokio::fs::remove_file(&path).await {
                Ok(()) => Ok(()),
                Err(source) => Err(Error::Folder { operation: "remove sent segment", path, source }),
            },
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.track, self.name)
    }
}
