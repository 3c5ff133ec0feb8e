//! Bytes on their way into a folder.

use super::uri::Place;
use super::{Error, Uri};
use domain::id::{RecordingId, Sha256};
use domain::segment::{Name, Track};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

/// Bytes collected before they go to the volume: one hop to a blocking thread each.
const BUFFER_BYTES: usize = 256 << 10;

/// One body on its way in: written aside. Dropped before `commit`, it leaves nothing.
#[derive(Debug)]
pub(super) struct Incoming {
    aside: PathBuf,
    received: PathBuf,
    recording: RecordingId,
    track: Track,
    name: Name,
    object: String,
    /// Away while a blocking thread writes to it, and after the commit.
    file: Option<File>,
    buffer: Vec<u8>,
}

impl Incoming {
    pub(super) async fn begin(
        aside: PathBuf,
        received: PathBuf,
        recording: RecordingId,
        track: Track,
        name: Name,
        object: String,
    ) -> Result<Self, Error> {
        let path = aside.clone();
        let created = blocking(move || File::options().write(true).create_new(true).open(path)).await;
        let file = created.map_err(|source| Error::of("stage", &object, source))?;
        let (file, buffer) = (Some(file), Vec::with_capacity(BUFFER_BYTES));
        Ok(Self { aside, received, recording, track, name, object, file, buffer })
    }

    /// Appends bytes of the body; when the volume has no room left this can only be dropped.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Makes the bytes durable under a name that tells whose they are. Nothing is left when the volume fails.
    pub(super) async fn commit(mut self, sha256: Sha256) -> Result<Uri, Error> {
        self.flush().await?;
        let (recording, track, name) = (self.recording.clone(), self.track, self.name);
        let uri = Uri { recording, track, name, nonce: uuid::Uuid::new_v4(), place: Place::Local { sha256 } };
        let file_name = uri.file_name().expect("what lies in a folder has a file name");
        let Some(file) = self.file.take() else { return Err(self.broken()) };
        let (aside, received, target) = (self.aside.clone(), self.received.clone(), self.received.join(file_name));
        // The order matters: bytes, then their name, then the folder that holds the name. A crash in between leaves
        // either nothing or whole bytes under a whole name.
        let synced = blocking(move || {
            file.sync_all()?;
            std::fs::rename(aside, target)?;
            File::open(received)?.sync_all()
        });
        synced.await.map_err(|source| Error::of("stage", &self.object, source))?;
        Ok(uri)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let Some(mut file) = self.file.take() else { return Err(self.broken()) };
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = blocking(move || {
            file.write_all(&buffer)?;
            buffer.clear();
            Ok((file, buffer))
        });
        let (file, buffer) = written.await.map_err(|source| Error::of("stage", &self.object, source))?;
        (self.file, self.buffer) = (Some(file), buffer);
        Ok(())
    }

    /// An earlier write failed or was cut.
    fn broken(&self) -> Error {
        Error::of("stage", &self.object, std::io::Error::from(std::io::ErrorKind::BrokenPipe))
    }
}

/// Whatever was not committed is not acknowledged: a body that broke off, a refusal, a client that went away.
impl Drop for Incoming {
    fn drop(&mut self) {
        // After a commit the name is gone already. One unlink is short enough for the thread that drops.
        let _ = std::fs::remove_file(&self.aside);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
