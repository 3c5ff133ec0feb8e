//! Readers and sinks over the local file system, for commands that need no store.
//!
//! Blocking calls run on threads for blocking calls, one at a time per read or write.

#![forbid(unsafe_code)]

use crate::mux::{Fetched, ResultSink, SegmentReader, SegmentRef};
use crate::readback::RangedReader;
use bytes::Bytes;
use std::fs::{self, File, TryLockError};
use std::io::{self, IoSlice, Read as _, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
}

impl FolderSegments {
    /// Segments below `folder`.
    pub fn new(folder: &Path) -> FolderSegments {
        FolderSegments { folder: folder.to_owned() }
    }
}

impl SegmentReader for FolderSegments {
    type Error = io::Error;

    async fn read(&self, segment: SegmentRef) -> Result<Fetched, io::Error> {
        let name = domain::segment::Name::Media(segment.index).to_string();
        let path = self.folder.join(segment.track.as_str()).join(name);
        blocking(move || read_up_to(&path, segment.size_bytes.saturating_add(1))).await.map(Fetched::untagged)
    }
}

/// Reads a file, but never more than `max_bytes`: it may have grown since anybody looked.
fn read_up_to(path: &Path, max_bytes: u64) -> io::Result<Bytes> {
    let file = File::open(path)?;
    let size_bytes = file.metadata()?.len().min(max_bytes);
    let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).map_err(io::Error::other)?);
    file.take(size_bytes).read_to_end(&mut bytes)?;
    Ok(Bytes::from(bytes))
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

/// A file that appears whole or not at all: written aside, synced, renamed. Dropped before that, it leaves nothing.
#[derive(Debug)]
pub struct AsideFile {
    aside: PathBuf,
    path: PathBuf,
    /// Locked as long as this is there, so that its name aside is nobody else's.
    file: Arc<File>,
    /// Nothing that was given is missing: no write has failed or was dropped.
    whole: bool,
    published: bool,
}

/// Between opening a file aside and locking it a rival may publish it, each time: so often is bad luck.
const CLAIMS_MAX: u32 = 16;

impl AsideFile {
    /// Begins a file that is to appear at `path`. Fails when another process is writing the same one.
    pub async fn create(path: &Path) -> io::Result<AsideFile> {
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(".part");
        let (aside, path) = (path.with_file_name(name), path.to_owned());
        let of = aside.clone();
        let file = blocking(move || {
            for _ in 0..CLAIMS_MAX {
                if let Some(file) = claim(&of)? {
                    return Ok(file);
                }
            }
            Err(io::ErrorKind::WouldBlock.into())
        });
        Ok(AsideFile { aside, path, file: Arc::new(file.await?), whole: true, published: false })
    }

    /// Where the bytes are until they are published.
    pub fn aside(&self) -> &Path {
        &self.aside
    }

    /// Makes the file appear under its name, durably.
    pub async fn publish(mut self) -> io::Result<()> {
        if !self.whole {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let (file, from, to) = (Arc::clone(&self.file), self.aside.clone(), self.path.clone());
        let synced = blocking(move || {
            file.sync_all()?;
            fs::rename(&from, &to)?;
            // The name is durable when the folder is. A path without a folder lies in the current one.
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
            Ok(File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()))
        })
        .await?;
        // The name aside is free for others from here on, whatever the folder said.
        self.published = true;
        synced
    }
}

/// Opens and empties the file aside when it is free. What a killed process left behind is overwritten; what a living one
/// writes is not. `None` when a rival published the very file in between: to empty it would destroy a result.
fn claim(aside: &Path) -> io::Result<Option<File>> {
    let file = File::options().write(true).create(true).truncate(false).open(aside)?;
    match file.try_lock() {
        Ok(()) => {}
        // A file system without locks cannot tell.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(error) => return Err(error.into()),
    }
    let (ours, there) = (file.metadata()?, fs::metadata(aside));
    if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
        return Ok(None);
    }
    file.set_len(0)?;
    Ok(Some(file))
}

impl Drop for AsideFile {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = fs::remove_file(&self.aside)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(error = %error, "unfinished file is left behind");
        }
    }
}

impl ResultSink for AsideFile {
    type Error = io::Error;

    /// A write that is dropped half way gives the file up: later ones fail.
    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<(), io::Error> {
        if !std::mem::replace(&mut self.whole, false) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let file = Arc::clone(&self.file);
        blocking(move || {
            let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut slices = slices.as_mut_slice();
            IoSlice::advance_slices(&mut slices, 0);
            while !slices.is_empty() {
                match (&*file).write_vectored(slices) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => IoSlice::advance_slices(&mut slices, written),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
        .await?;
        self.whole = true;
        Ok(())
    }
}
