//! An object on its way into the store, part by part.

use super::{Error, Meta, Op, Place, Request, Store};
use bytes::Bytes;

/// Parts in flight while the next one is filled: hides one round trip, costs one part of memory.
const PARTS_AHEAD: usize = 2;

/// Writes one object. Only `close` makes it appear; dropped before, it leaves no object.
pub struct ObjectWriter {
    store: Store,
    key: String,
    size_bytes: u64,
    /// Gone once closed or aborted.
    writer: Option<opendal::Writer>,
}

impl ObjectWriter {
    pub(super) async fn begin(store: Store, key: &str, part_bytes: usize) -> Result<Self, Error> {
        if let Place::Folder(folder) = &store.place {
            folder.require_there(key).await?;
        }
        let writing = store.large.writer_with(key).chunk(part_bytes).concurrent(PARTS_AHEAD);
        let writer = writing.await.map_err(|source| Error::of(Op::Put, key, source))?;
        Ok(Self { store, key: key.to_owned(), size_bytes: 0, writer: Some(writer) })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The store did not take them; the writer can only be dropped or aborted then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.size_bytes += bytes.len() as u64;
        let writer = self.writer.as_mut().expect("a writer is there until it is closed");
        let key = &self.key;
        let part = async { writer.write(bytes).await.map_err(|source| Error::of(Op::Put, key, source)) };
        self.store.timed(Request::Part, part).await
    }

    /// Makes the object appear, durable and whole.
    ///
    /// # Errors
    /// The store could not finish it; nothing appears then.
    pub async fn close(self) -> Result<Meta, Error> {
        let store = self.store.clone();
        store.timed(Request::Finish, self.finish()).await
    }

    async fn finish(mut self) -> Result<Meta, Error> {
        // The folder of the key may have been emptied and taken away since the writer was begun.
        let _held = self.store.hold(&self.key).await?;
        let mut writer = self.writer.take().expect("a writer is there until it is closed");
        match writer.close().await {
            Ok(written) => self.store.written(&self.key, self.size_bytes, &written).await,
            Err(source) => {
                self.writer = Some(writer);
                Err(Error::of(Op::Put, &self.key, source))
            }
        }
    }

    /// Takes back what was written so far.
    pub async fn abort(mut self) {
        if let Some(writer) = self.writer.take() {
            abort(writer, &self.key).await;
        }
    }
}

async fn abort(mut writer: opendal::Writer, key: &str) {
    // Best effort: what stays is no object, and a folder's remains or a server's parts are taken away by age.
    if let Err(error) = writer.abort().await {
        tracing::debug!(storage.key = key, error = %error, "unfinished write not taken back");
    }
}

/// A mux that is cancelled drops its writer at whatever await it stands; the parts it wrote cost money until they are
/// taken back.
impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if let (Some(writer), Ok(runtime)) = (self.writer.take(), tokio::runtime::Handle::try_current()) {
            let key = std::mem::take(&mut self.key);
            runtime.spawn(async move { abort(writer, &key).await });
        }
    }
}
