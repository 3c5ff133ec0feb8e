//! Reading an object or a range of it: all of what was asked for, or an error.

use super::{Error, Op, Place, Request, Store};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use std::ops::Range;

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

    /// The bytes `range` of an object.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, [`Error::Short`] when it ends before the range does.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        self.get_range_of(key, range, None).await
    }

    /// The same of the object that has this entity tag, where the store has tags: for objects that others write, and may
    /// write again between two looks.
    ///
    /// # Errors
    /// As [`Store::get_range`]; [`Error::Changed`] when the object has another tag by now.
    pub async fn get_range_of(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes, Error> {
        let read = async {
            let mut pieces = self.pieces(key, range, etag).await?;
            let first = pieces.next().await?.unwrap_or_default();
            if pieces.found == pieces.expected {
                return Ok(first);
            }
            let mut bytes = BytesMut::with_capacity(pieces.expected as usize);
            bytes.extend_from_slice(&first);
            while let Some(piece) = pieces.next().await? {
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes.freeze())
        };
        // Each piece has its time, and all of them together no more than one: a server that trickles is a slow server.
        let slow = |source| Error::Unavailable { op: Op::Get, key: key.to_owned(), source: Box::new(source) };
        let bounded = async { tokio::time::timeout(self.patience, read).await.map_err(slow)? };
        self.timed(Request::Get, bounded).await
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
        let reading = self.op.reader_with(key);
        let reading = match etag {
            Some(etag) if matches!(self.place, Place::Bucket(_)) => reading.if_match(etag),
            Some(_) | None => reading,
        };
        let expected = range.end.saturating_sub(range.start);
        let buffers = reading.await.map_err(failed)?.into_stream(range.clone()).await.map_err(failed)?;
        Ok(Pieces { buffers, store: self.clone(), key: key.to_owned(), range, expected, found: 0 })
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
