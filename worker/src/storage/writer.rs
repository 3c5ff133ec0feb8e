//! An object on its way into the store, part by part.

use super::{Error, Meta, Op, Place, Request, Store};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};

/// Parts on their way at once. While one is, the next lies full beside it and the one behind is being filled: three in
/// memory. More of them on their way would have to be recalled when the write is taken back, and a server that has such a
/// part already keeps it, to be paid for, after the upload that it belongs to is gone.
const PARTS_AT_ONCE: usize = 1;

/// A folder has no such parts: what is still being written of a file that was taken back goes with it.
const PIECES_AT_ONCE: usize = 2;

/// Written to a file at once. It costs no request, so there is no reason to hold more of it.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// Writes one object. Only `close` makes it appear; dropped before, it leaves no object.
pub struct ObjectWriter {
    store: Store,
    key: String,
    size_bytes: u64,
    /// Gone while a piece is taken, and once closed or aborted.
    writer: Option<opendal::Writer>,
    taking: Option<Taking>,
}

/// A piece that is being taken. It is never dropped half way: the story is that a mux is cancelled while its server is
/// asked to begin an upload; the server begins one, nobody hears its number, and nobody can take it back.
type Taking = BoxFuture<'static, (opendal::Writer, opendal::Result<()>)>;

impl ObjectWriter {
    pub(super) async fn begin(store: Store, key: &str, part_bytes: usize) -> Result<Self, Error> {
        let (at_once, bytes) = match &store.place {
            Place::Folder(folder) => {
                folder.require_there(key).await?;
                (PIECES_AT_ONCE, part_bytes.min(PIECE_BYTES_MAX))
            }
            Place::Bucket(_) | Place::Memory => (PARTS_AT_ONCE, part_bytes),
        };
        let writing = store.large.writer_with(key).chunk(bytes).concurrent(at_once);
        let writer = writing.await.map_err(|source| Error::of(Op::Put, key, source))?;
        Ok(Self { store, key: key.to_owned(), size_bytes: 0, writer: Some(writer), taking: None })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The store did not take them; the writer can only be dropped or aborted then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.size_bytes += bytes.len() as u64;
        let store = self.store.clone();
        store.timed(Request::Part, self.take(bytes)).await
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), Error> {
        let mut writer =
            self.writer.take().expect("a writer is there until it is closed, and takes one piece at a time");
        let taking = async move {
            let taken = writer.write(bytes).await;
            (writer, taken)
        };
        let (writer, taken) = self.taking.insert(taking.boxed()).await;
        self.taking = None;
        self.writer = Some(writer);
        taken.map_err(|source| Error::of(Op::Put, &self.key, source))
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
        let writer = self.writer.as_mut().expect("a writer is there until it is closed");
        // Dropped on the way or failed, it is still there to be taken back.
        let written = writer.close().await.map_err(|source| Error::of(Op::Put, &self.key, source))?;
        self.writer = None;
        self.store.written(&self.key, self.size_bytes, &written).await
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
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let key = std::mem::take(&mut self.key);
        match (self.writer.take(), self.taking.take()) {
            (Some(writer), _) => drop(runtime.spawn(async move { abort(writer, &key).await })),
            (None, Some(taking)) => drop(runtime.spawn(async move { abort(taking.await.0, &key).await })),
            (None, None) => {}
        }
    }
}
