//! Reading an object or a range of it: all of what was asked for, or an error.

use super::{Error, Op, Place, Request, Store};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use std::ops::Range;

/// An object as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    /// Its bytes, or as many of them as were wanted.
    pub bytes: Bytes,
    /// The entity tag that it had, where the store has tags.
    pub etag: Option<String>,
}

impl Store {
    /// The whole object.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn get(&self, key: &str) -> Result<Bytes, Error> {
        let get = async {
            match self.op.read(key).await {
                Ok(buffer) => Ok(buffer.to_bytes()),
                Err(source) => Err(self.honest(Error::of(Op::Get, key, source)).await),
            }
        };
        self.timed(Request::Get, get).await
    }

    /// An object and its entity tag, but no more than `max_bytes` of it: others may write it, and make it longer than it
    /// was when somebody last looked. With a `condition` only the object that has this entity tag, where the store takes
    /// conditions.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, [`Error::Changed`] when it has another tag than the condition.
    pub async fn get_at_most(&self, key: &str, max_bytes: u64, condition: Option<&str>) -> Result<Got, Error> {
        let read = async {
            let failed = |source| Error::of(Op::Get, key, source);
            let reading = self.reading(key, condition).await?;
            let mut buffers = match self.place {
                // A file of unknown length is read into 2 MiB at once, all of which are held by a segment of a few kilobytes.
                Place::Folder(_) => reading.into_stream(0..max_bytes).await,
                // A server may refuse a range that ends behind the object.
                Place::Bucket(_) | Place::Memory => reading.into_stream(..).await,
            }
            .map_err(failed)?;
            let mut found = Gathered::of_at_most(max_bytes);
            while found.len() < max_bytes {
                match buffers.next().await {
                    None => break,
                    Some(Ok(buffer)) => found.push(buffer.to_bytes()),
                    // The file has ended before the range.
                    Some(Err(source)) if self.is_folder() && source.kind() == opendal::ErrorKind::RangeNotSatisfied => {
                        break;
                    }
                    Some(Err(source)) => return Err(self.honest(failed(source)).await),
                }
            }
            let etag = etag_of(&mut buffers).await;
            let mut bytes = found.bytes();
            bytes.truncate(usize::try_from(max_bytes).unwrap_or(usize::MAX));
            Ok(Got { bytes, etag })
        };
        self.bounded(key, read).await
    }

    /// The bytes `range` of an object.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, [`Error::Short`] when it ends before the range does.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        self.get_range_of(key, range, None).await.map(|got| got.bytes)
    }

    /// The same of the object that has this entity tag, where the store has tags: for objects that others write, and may
    /// write again between two looks.
    ///
    /// # Errors
    /// As [`Store::get_range`]; [`Error::Changed`] when the object has another tag by now.
    pub async fn get_range_of(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Got, Error> {
        let read = async {
            let mut pieces = self.pieces(key, range, etag).await?;
            let mut found = Gathered::of_at_most(pieces.expected);
            while let Some(piece) = pieces.next().await? {
                found.push(piece);
            }
            Ok(Got { bytes: found.bytes(), etag: etag_of(&mut pieces.buffers).await })
        };
        self.bounded(key, read).await
    }

    /// Each piece has its time, and all of them together no more than one: a server that trickles is a slow server.
    async fn bounded<T>(&self, key: &str, read: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let slow = |source| Error::Unavailable { op: Op::Get, key: key.to_owned(), source: Box::new(source) };
        let bounded = async { tokio::time::timeout(self.patience, read).await.map_err(slow)? };
        self.timed(Request::Get, bounded).await
    }

    /// Begins to read an object, on condition of its entity tag where the store has tags.
    async fn reading(&self, key: &str, condition: Option<&str>) -> Result<opendal::Reader, Error> {
        let reading = self.op.reader_with(key);
        let reading = match condition {
            Some(etag) if matches!(self.place, Place::Bucket(_)) && is_entity_tag(etag) => reading.if_match(etag),
            Some(_) | None => reading,
        };
        reading.await.map_err(|source| Error::of(Op::Get, key, source))
    }

    /// Makes sure that the place itself is there, before an object that is not is given up for lost. A server answers a
    /// look at an object alike when its whole bucket is missing, and only a read of one tells; a folder that is not mounted
    /// any more looks like an empty one, but for the folder that was made when it was opened.
    ///
    /// # Errors
    /// The place is not there, or cannot be asked.
    pub async fn require_there(&self, key: &str) -> Result<(), Error> {
        if let Place::Folder(folder) = &self.place {
            return folder.require_there(key).await;
        }
        match self.get_range(key, 0..1).await {
            Ok(_) | Err(Error::NotFound { .. } | Error::Short { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The bytes `range` of an object, piece by piece, with bounded memory: the answer to one request. The first piece
    /// is there when this returns.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, [`Error::Short`] when it ends before the range begins; later errors come
    /// through the stream.
    pub async fn stream(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let begin = async {
            let mut pieces = self.pieces(key, range, None).await?;
            let first = pieces.next().await?;
            Ok((pieces, first))
        };
        let (pieces, first) = self.timed(Request::Get, begin).await?;
        let others = stream::try_unfold(pieces, async |mut pieces| {
            let piece = pieces.next().await?;
            Ok(piece.map(|piece| (piece, pieces)))
        });
        Ok(stream::iter(first.map(Ok)).chain(others))
    }

    async fn pieces(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Pieces, Error> {
        let failed = |source| Error::of(Op::Get, key, source);
        let expected = range.end.saturating_sub(range.start);
        let buffers = self.reading(key, etag).await?.into_stream(range.clone()).await.map_err(failed)?;
        Ok(Pieces { buffers, store: self.clone(), key: key.to_owned(), range, expected, found: 0 })
    }
}

/// Whether this is written as an entity tag is (RFC 9110, 8.8.3). Only that may be sent as a condition: where a listing
/// tells of no tag, something else is noted in its place.
pub(crate) fn is_entity_tag(text: &str) -> bool {
    text.len() >= 2 && text.starts_with(['"', 'W']) && text.ends_with('"')
}

/// The entity tag of the answer that bytes came with; a folder tells of none.
async fn etag_of(buffers: &mut opendal::BufferStream) -> Option<String> {
    buffers.metadata().await.ok().and_then(|meta| meta.etag().map(str::to_owned))
}

/// Room that is made before it is known how much comes: a segment, and not what a stranger's file may have.
const ROOM_BYTES: u64 = 4 << 20;

/// The pieces of an object put together. Each is copied and let go: it is a slice of what its connection has received, all
/// of which would stay with it.
struct Gathered {
    /// What came alone is not copied.
    first: Bytes,
    all: BytesMut,
    most_bytes: u64,
}

impl Gathered {
    fn of_at_most(most_bytes: u64) -> Gathered {
        Gathered { first: Bytes::new(), all: BytesMut::new(), most_bytes }
    }

    fn len(&self) -> u64 {
        self.first.len().max(self.all.len()) as u64
    }

    fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.reserve(self.most_bytes.min(ROOM_BYTES) as usize);
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&piece);
    }

    fn bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

/// A read under way that ends with the last byte asked for, or with an error.
struct Pieces {
    buffers: opendal::BufferStream,
    store: Store,
    key: String,
    range: Range<u64>,
    expected: u64,
    found: u64,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.found == self.expected {
            return Ok(None);
        }
        match self.buffers.next().await {
            Some(Ok(buffer)) => {
                self.found += buffer.len() as u64;
                if self.found > self.expected { Err(self.short()) } else { Ok(Some(buffer.to_bytes())) }
            }
            None => Err(self.short()),
            Some(Err(source)) => Err(self.failed(source).await),
        }
    }

    /// A range that ends after the object is told from a server that failed by looking at the object: both end early,
    /// and one of them will do so for ever.
    async fn failed(&mut self, source: opendal::Error) -> Error {
        use opendal::ErrorKind;
        match source.kind() {
            ErrorKind::RangeNotSatisfied => self.short(),
            ErrorKind::Unexpected => match self.store.stat(&self.key).await {
                Ok(Some(meta)) if meta.size_bytes < self.range.end => {
                    self.found = meta.size_bytes.saturating_sub(self.range.start);
                    self.short()
                }
                Ok(_) | Err(_) => Error::of(Op::Get, &self.key, source),
            },
            _ => self.store.honest(Error::of(Op::Get, &self.key, source)).await,
        }
    }

    fn short(&self) -> Error {
        Error::Short { op: Op::Get, key: self.key.clone(), expected: self.expected, found: self.found }
    }
}
