//! A file that appears whole or not at all.

#![forbid(unsafe_code)]

use super::blocking;
use super::direct::Direct;
use crate::mux::ResultSink;
use bytes::Bytes;
use std::fs::{self, File, TryLockError};
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that appears whole or not at all: written aside, synced, renamed. Dropped before that, it leaves nothing.
#[derive(Debug)]
pub struct AsideFile {
    aside: PathBuf,
    path: PathBuf,
    /// Locked as long as this is there, so that its name aside is nobody else's.
    file: Arc<File>,
    /// Past the page cache, where the file system lets us.
    direct: Option<Direct>,
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
        let (file, direct) = blocking(move || {
            for _ in 0..CLAIMS_MAX {
                if let Some(file) = claim(&of)? {
                    let file = Arc::new(file);
                    let direct = Direct::open(&of, &file);
                    return Ok((file, direct));
                }
            }
            Err(io::ErrorKind::WouldBlock.into())
        })
        .await?;
        Ok(AsideFile { aside, path, file, direct, whole: true, published: false })
    }

    /// Where the bytes are until they are published.
    pub fn aside(&self) -> &Path {
        &self.aside
    }

    /// Lets everything that was given be seen by whoever reads it.
    pub async fn flush(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.whole, false) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if let Some(direct) = &mut self.direct {
            direct.flush().await?;
        }
        self.whole = true;
        Ok(())
    }

    /// Makes the file appear under its name, durably.
    pub async fn publish(mut self) -> io::Result<()> {
        self.flush().await?;
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
        match &mut self.direct {
            Some(direct) => direct.write(&pieces).await?,
            None => write_all(Arc::clone(&self.file), pieces).await?,
        }
        self.whole = true;
        Ok(())
    }
}

/// Appends the pieces through the page cache.
async fn write_all(file: Arc<File>, pieces: Vec<Bytes>) -> io::Result<()> {
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
    .await
}
