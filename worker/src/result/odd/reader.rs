//! Segments of a result of which some tracks were taken apart: those from the scratch, the others from the store.

use super::room::Room;
use crate::result::Source;
use crate::storage;
use domain::retry::{Classify, Fault};
use domain::segment::Track;
use media::files::FolderSegments;
use media::mux::{Fetched, SegmentReader, SegmentRef};
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;
use thiserror::Error;

/// Where the segments are; the scratch lasts as long as this.
#[derive(Debug)]
pub struct Segments {
    pub(super) taken: BTreeSet<Track>,
    pub(super) folder: FolderSegments,
    pub(super) stored: Source,
    pub(super) _room: Room,
}

/// A segment cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// In the scratch.
    #[error("read scratch")]
    Scratch(#[source] io::Error),
    /// In the store.
    #[error(transparent)]
    Storage(storage::Error),
}

impl Classify for ReadError {
    fn fault(&self) -> Fault {
        match self {
            ReadError::Scratch(_) => Fault::Transient,
            ReadError::Storage(source) => source.fault(),
        }
    }

    fn class(&self) -> &'static str {
        match self {
            ReadError::Scratch(_) => "scratch",
            ReadError::Storage(source) => source.class(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            ReadError::Scratch(_) => None,
            ReadError::Storage(source) => source.retry_after(),
        }
    }
}

impl SegmentReader for Segments {
    type Error = ReadError;

    async fn read(&self, segment: SegmentRef) -> Result<Fetched, ReadError> {
        if self.taken.contains(&segment.track) {
            self.folder.read(segment).await.map_err(ReadError::Scratch)
        } else {
            SegmentReader::read(&self.stored, segment).await.map_err(ReadError::Storage)
        }
    }
}
