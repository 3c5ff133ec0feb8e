//! Readers and sinks over the local file system, for commands that need no store.
//!
//! Blocking calls run on threads for blocking calls, one at a time per read or write.

#![forbid(unsafe_code)]

mod aside;
mod buffers;
mod direct;

pub use aside::AsideFile;

use crate::mux::{Fetched, SegmentReader, SegmentRef};
use crate::readback::RangedReader;
use buffers::Buffers;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Runs a blocking call elsewhere; a panic in it is an error of the call.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(call).await.map_err(io::Error::other)?
}

/// Segments of a folder laid out like a recording: `video/segment_001.m4s` and so on.
#[derive(Debug, Clone)]
pub struct FolderSegments {
    folder: PathBuf,
    buffers: Arc<Buffers>,
    turns: Arc<Semaphore>,
}

/// Files read at once. A disk gains nothing from more, and each takes a thread with memory of its own.
const READS_MAX: usize = 4;

impl FolderSegments {
    /// Segments below `folder`.
    pub fn new(folder: &Path) -> FolderSegments {
        FolderSegments {
            folder: folder.to_owned(),
            buffers: Arc::default(),
            turns: Arc::new(Semaphore::new(READS_MAX)),
        }
    }
}

impl SegmentReader for FolderSegments {
    type Error = io::Error;

    async fn read(&self, segment: SegmentRef) -> Result<Fetched, io::Error> {
        let name = domain::segment::Name::Media(segment.index).to_string();
        let path = self.folder.join(segment.track.as_str()).join(name);
        let buffers = Arc::clone(&self.buffers);
        let _turn = self.turns.acquire().await.map_err(io::Error::other)?;
        let read = move || read_up_to(&path, segment.size_bytes.saturating_add(1), &buffers);
        blocking(read).await.map(Fetched::untagged)
    }
}

/// Reads a file, but never more than `max_bytes`: it may have grown since anybody looked.
fn read_up_to(path: &Path, max_bytes: u64, buffers: &Arc<Buffers>) -> io::Result<Bytes> {
    let file = File::open(path)?;
    let size_bytes = file.metadata()?.len().min(max_bytes);
    let mut buffer = buffers.take(usize::try_from(size_bytes).map_err(io::Error::other)?);
    let mut found = 0;
    while found < buffer.len() {
        match file.read_at(&mut buffer[found..], found as u64) {
            // It has shrunk since it was looked at; whoever wanted it compares lengths.
            Ok(0) => break,
            Ok(read) => found += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(found);
    Ok(Bytes::from_owner(buffer))
}

/// Ranges of one file.
#[derive(Debug, Clone)]
pub struct FileRanges {
    file: Arc<File>,
    size_bytes: u64,
}

impl FileRanges {
    /// Opens a file.
    pub async fn open(path: &Path) -> io::Result<FileRanges> {
        let path = path.to_owned();
        blocking(move || {
            let file = File::open(path)?;
            let size_bytes = file.metadata()?.len();
            Ok(FileRanges { file: Arc::new(file), size_bytes })
        })
        .await
    }

    /// Length of the file when it was opened.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

impl RangedReader for FileRanges {
    type Error = io::Error;

    async fn read(&self, at: u64, len: u64) -> Result<Bytes, io::Error> {
        let file = Arc::clone(&self.file);
        let len = usize::try_from(len).map_err(io::Error::other)?;
        blocking(move || {
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, at)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }
}
