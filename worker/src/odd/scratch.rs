//! A folder of its own for the segments that libavformat makes, gone when it is dropped.

use crate::child::{Odd, Pieces};
use bytes::Bytes;
use domain::segment::{Name, Track};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Names of scratches begin with this.
pub const SCRATCH_PREFIX: &str = ".spool-scratch-";

/// Segments in the layout of a recording. A process that is killed leaves its scratch behind.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    kept: BTreeSet<(Track, Name)>,
}

impl Scratch {
    /// A new one in `folder`, which must have room for all that is recast.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new_in(folder: &Path) -> io::Result<Scratch> {
        let folder = tempfile::Builder::new().prefix(SCRATCH_PREFIX).tempdir_in(folder)?;
        Ok(Scratch { folder, kept: BTreeSet::new() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether libavformat gave this piece.
    pub fn has(&self, track: Track, name: Name) -> bool {
        self.kept.contains(&(track, name))
    }

    /// Lets `name` in it be what lies at `target`.
    ///
    /// # Errors
    /// The link cannot be made.
    pub async fn link(&self, name: &str, target: &Path) -> io::Result<()> {
        let target = tokio::fs::canonicalize(target).await?;
        tokio::fs::symlink(target, self.path().join(name)).await
    }

    /// Puts something unreadable where a segment of `odd` gave no packet, so that it is told as damaged and not as one that
    /// nobody has ever sent: a last one would be missed by nobody. An empty one stays empty.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn mark_silent(&mut self, odd: &Odd) -> io::Result<()> {
        for &track in &odd.tracks {
            if !self.kept.contains(&(track, Name::Init)) {
                continue;
            }
            for (n, &(index, at)) in odd.pieces.iter().enumerate() {
                let end = odd.pieces.get(n + 1).map_or(odd.size_bytes, |(_, next)| *next);
                let (name, bytes): (_, &[u8]) = (Name::Media(index), if end > at { b"\0" } else { b"" });
                if !self.kept.contains(&(track, name)) {
                    self.take(track, name, Bytes::from_static(bytes)).await?;
                }
            }
        }
        Ok(())
    }

    fn place(&self, track: Track, name: Name) -> PathBuf {
        self.path().join(track.as_str()).join(name.to_string())
    }
}

impl Pieces for Scratch {
    async fn take(&mut self, track: Track, name: Name, bytes: Bytes) -> io::Result<()> {
        let place = self.place(track, name);
        if name == Name::Init {
            tokio::fs::create_dir(self.path().join(track.as_str())).await?;
        }
        // A segment comes in parts; only what was never taken may not be there yet.
        let (again, mut how) = (self.kept.contains(&(track, name)), tokio::fs::OpenOptions::new());
        let mut file = how.append(true).create_new(!again).open(place).await?;
        tokio::io::AsyncWriteExt::write_all(&mut file, &bytes).await?;
        tokio::io::AsyncWriteExt::flush(&mut file).await?;
        self.kept.insert((track, name));
        Ok(())
    }
}
