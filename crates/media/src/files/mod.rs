//! Readers and sinks over the local file system, for commands that need no store.
//!
//! Blocking calls run on threads for blocking calls, one at a time per read or write.

#![forbid(unsafe_code)]

mod aside;
mod buffers;
mod direct;
mod stamp;

pub use aside::AsideFile;
pub use stamp::{Stamp, Stamps};

use crate::mux::{Fetched, SegmentReader, SegmentRef, Tag};
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
    stamps: Arc<Stamps>,
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
            stamps: Arc::default(),
            buffers: Arc::default(),
            turns: Arc::new(Semaphore::new(READS_MAX)),
        }
    }

    /// The same segments, of which those that still have their stamps are what they were.
    pub fn stamped(self, stamps: Stamps) -> FolderSegments {
        FolderSegments { stamps: Arc::new(stamps), ..self }
    }
}

impl SegmentReader for FolderSegments {
    type Error = io::Error;

    async fn read(&self, segment: SegmentRef) -> Result<Fetched, io::Error> {
        let name = domain::segment::Name::Media(segment.index).to_string();
        let path = self.folder.join(segment.track.as_str()).join(name);
        let buffers = Arc::clone(&self.buffers);
        let _turn = self.turns.acquire().await.map_err(io::Error::other)?;
        let stamp = self.stamps.of(segment.track, segment.index);
        blocking(move || fetch(&path, &segment, stamp, &buffers)).await
    }
}

/// Reads a segment: from its first sample on where its stamp vouches for the rest, else all of it. Never more than one byte
/// behind its end: it may have grown since anybody looked.
fn fetch(path: &Path, segment: &SegmentRef, stamp: Option<Stamp>, buffers: &Arc<Buffers>) -> io::Result<Fetched> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let (from, tag) = match stamp {
        Some(stamp) if Stamp::of(&metadata) == stamp => (segment.payload_at, Tag::Same),
        Some(_) | None => (0, Tag::Unknown),
    };
    let end = metadata.len().min(segment.size_bytes.saturating_add(1));
    let bytes = read(&file, from, end.saturating_sub(from), buffers)?;
    Ok(Fetched { bytes, from, tag })
}

/// Reads so many bytes of a file, or fewer at its end.
fn read(file: &File, from: u64, len: u64, buffers: &Arc<Buffers>) -> io::Result<Bytes> {
    let mut buffer = buffers.take(usize::try_from(len).map_err(io::Error::other)?);
    let mut found = 0;
    while found < buffer.len() {
        match file.read_at(&mut buffer[found..], from + found as u64) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::FileTimes;
    use std::time::{Duration, SystemTime};

    /// Reads the only segment with what was noted of it before `change`.
    fn read_after(change: impl Fn(&Path)) -> Fetched {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment_001.m4s");
        std::fs::write(&path, b"heads and payload").unwrap();
        assert_eq!(Stamp::settled(&std::fs::metadata(&path).unwrap()), None, "it may be written to again");
        let hours_ago = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(3600));
        File::options().write(true).open(&path).unwrap().set_times(hours_ago).unwrap();
        let stamp = Stamp::settled(&std::fs::metadata(&path).unwrap());
        assert!(stamp.is_some());
        change(&path);
        let segment =
            SegmentRef { track: domain::segment::Track::Video, index: 1, size_bytes: 17, sha256: None, payload_at: 10 };
        fetch(&path, &segment, stamp, &Arc::default()).unwrap()
    }

    #[test]
    fn heads_are_left_out_of_a_file_that_is_the_same_and_of_no_other() {
        let same = read_after(|_| {});
        assert_eq!((&same.bytes[..], same.from, same.tag), (&b"payload"[..], 10, Tag::Same));
        let other = read_after(|path| std::fs::write(path, b"HEADS and payload").unwrap());
        assert_eq!((&other.bytes[..], other.from, other.tag), (&b"HEADS and payload"[..], 0, Tag::Unknown));
        let replaced = read_after(|path| {
            let (aside, before) = (path.with_extension("new"), std::fs::metadata(path).unwrap());
            std::fs::write(&aside, b"HEADS and payload").unwrap();
            let times = FileTimes::new().set_modified(before.modified().unwrap());
            File::options().write(true).open(&aside).unwrap().set_times(times).unwrap();
            std::fs::rename(&aside, path).unwrap();
        });
        assert_eq!((replaced.from, replaced.tag), (0, Tag::Unknown));
        let grown = read_after(|path| std::fs::write(path, b"heads and payload and more").unwrap());
        assert_eq!((grown.bytes.len(), grown.tag), (18, Tag::Unknown));
    }
}
