//! Copying an object inside the store.

use super::{Error, Meta, Op, Place, Request, Store};
use futures_util::TryStreamExt as _;
use tokio_util::io::StreamReader;

/// A server copies objects below this length with one request and longer ones in parts of it: the longest segment in
/// one, and 20 GiB in parts that each end in time.
const PART_BYTES: u64 = 64 << 20;

/// Parts that a server copies at once.
const PARTS_AT_ONCE: usize = 4;

impl Store {
    /// Copies an object: on a server without its bytes coming here, elsewhere through this process in bounded memory.
    /// The copy is durable, and whole or not there; what was at `to` is replaced.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is nothing at `from`.
    pub async fn copy(&self, from: &str, to: &str) -> Result<Meta, Error> {
        debug_assert_ne!(from, to, "a copy has another key");
        let absent = || Error::NotFound { op: Op::Copy, key: from.to_owned() };
        let size_bytes = self.stat(from).await?.ok_or_else(absent)?.size_bytes;
        match &self.place {
            Place::Bucket(_) => {
                let op = if size_bytes < PART_BYTES { &self.op } else { &self.large };
                let copying = op.copy_with(from, to).source_content_length_hint(size_bytes);
                let copying = copying.chunk(PART_BYTES as usize).concurrent(PARTS_AT_ONCE);
                let copying = async { copying.await.map_err(|source| Error::of(Op::Copy, from, source)) };
                let copied = self.timed(Request::Copy, copying).await?;
                Ok(Meta { size_bytes, etag: copied.etag().map(str::to_owned) })
            }
            Place::Folder(_) | Place::Memory => {
                let stream = self.stream(from, 0..size_bytes).await?;
                let reader = StreamReader::new(Box::pin(stream.map_err(std::io::Error::other)));
                self.put_from(to, reader, size_bytes).await.map_err(|error| match error {
                    // What could not be read is the store's own.
                    Error::Source { source, .. } => Error::of_io(Op::Copy, from, source),
                    other => other,
                })
            }
        }
    }
}
