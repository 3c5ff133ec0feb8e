//! Segments read ahead of the writer, bounded in bytes.
//!
//! Segments are asked for in the order in which the writer comes to need them, so the one it waits for is always among
//! those under way or the very next: the bound can delay a read, it can never block one.

#![forbid(unsafe_code)]

use super::{Change, Fetched, Guard, Options, SegmentReader, SegmentRef};
use crate::index::IndexReader;
use crate::layout::{Chunk, Layout, SegmentInput, Source};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::FuturesUnordered;
use std::collections::HashMap;

/// Most reads under way at once, however small the segments are: the store is shared.
const READS_MAX: usize = 32;

/// Track and segment, both counted from 0.
type Place = (usize, usize);

type Arrival<E> = (Place, SegmentRef, Result<Fetched, E>);

/// Why a segment cannot be used.
pub(super) enum Error<R> {
    Read { segment: SegmentRef, source: R },
    Changed { segment: SegmentRef, change: Change },
}

impl<R: std::error::Error + 'static> Error<R> {
    pub(super) fn into_mux<S: std::error::Error + 'static>(self) -> super::Error<R, S> {
        match self {
            Error::Read { segment: SegmentRef { track, index, .. }, source } => {
                super::Error::Read { track, segment: index, source }
            }
            Error::Changed { segment: SegmentRef { track, index, .. }, change } => {
                super::Error::SourceChanged { track, segment: index, change }
            }
        }
    }
}

pub(super) struct ReadAhead<'a, R: SegmentReader> {
    layout: &'a Layout,
    reader: &'a R,
    window_bytes: u64,
    guard: Guard,
    /// The first chunk whose segment has perhaps not been asked for.
    next_chunk: usize,
    /// How many segments of each track have been asked for; they are asked for in order.
    requested: Vec<usize>,
    reading: FuturesUnordered<BoxFuture<'a, Arrival<R::Error>>>,
    /// Bytes of segments, and where in the object they begin.
    held: HashMap<Place, (u64, Bytes)>,
    /// The segment of each track that the writer was last given.
    current: Vec<Option<usize>>,
    /// Bytes under way and held.
    outstanding_bytes: u64,
    segments: u64,
    read_bytes: u64,
}

impl<'a, R: SegmentReader> ReadAhead<'a, R> {
    pub(super) fn new(layout: &'a Layout, reader: &'a R, options: &Options) -> ReadAhead<'a, R> {
        let tracks = layout.times().len();
        ReadAhead {
            layout,
            reader,
            window_bytes: options.read_ahead_bytes,
            guard: options.guard,
            next_chunk: 0,
            requested: vec![0; tracks],
            reading: FuturesUnordered::new(),
            held: HashMap::new(),
            current: vec![None; tracks],
            outstanding_bytes: 0,
            segments: 0,
            read_bytes: 0,
        }
    }

    pub(super) fn segments(&self) -> u64 {
        self.segments
    }

    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Asks for segments as long as the window has room.
    pub(super) fn fill(&mut self) {
        while let Some((track, n)) = self.next_unrequested() {
            let size_bytes = self.layout.segment_of(track, n).size_bytes;
            let fits = self.outstanding_bytes.saturating_add(size_bytes) <= self.window_bytes;
            if self.reading.len() >= READS_MAX || (!fits && self.outstanding_bytes > 0) {
                return;
            }
            self.request(track, n);
        }
    }

    fn next_unrequested(&mut self) -> Option<Place> {
        loop {
            let chunk = self.layout.chunks().get(self.next_chunk)?;
            match chunk.segment() {
                Some(n) if n >= self.requested[chunk.track] => return Some((chunk.track, n)),
                Some(_) | None => self.next_chunk += 1,
            }
        }
    }

    fn request(&mut self, n: usize, segment: usize) {
        let (input, place) = (self.layout.segment_of(n, segment), (n, segment));
        let track = self.layout.init(n).track;
        let SegmentInput { index, size_bytes, sha256, .. } = *input;
        let wanted = SegmentRef { track, index, size_bytes, sha256, payload_at: payload_at(input) };
        self.requested[n] = segment + 1;
        self.outstanding_bytes += wanted.size_bytes;
        let reader = self.reader;
        self.reading.push(async move { (place, wanted, reader.read(wanted).await) }.boxed());
    }

    /// Waits for one read to end and keeps its bytes; waits for ever when none is under way.
    pub(super) async fn arrive(&mut self) -> Result<(), Error<R::Error>> {
        if self.reading.is_empty() {
            std::future::pending::<()>().await;
        }
        let Some((place, segment, read)) = self.reading.next().await else { return Ok(()) };
        let fetched = read.map_err(|source| Error::Read { segment, source })?;
        let (init, input) = (self.layout.init(place.0), self.layout.segment_of(place.0, place.1));
        let checked = self.guard.check(init, input, &segment, &fetched);
        checked.map_err(|change| Error::Changed { segment, change })?;
        self.segments += 1;
        self.read_bytes += fetched.bytes.len() as u64;
        self.held.insert(place, (fetched.from, fetched.bytes));
        self.fill();
        Ok(())
    }

    /// The bytes of a chunk. Chunks are taken in the order of the layout.
    pub(super) async fn take(&mut self, chunk: &Chunk) -> Result<Bytes, Error<R::Error>> {
        let (track, n, offset) = match chunk.source {
            Source::Segment { n, offset } => (chunk.track, n as usize, offset),
            Source::Silence => return Ok(self.layout.silence(chunk).unwrap_or_default()),
        };
        if self.current[track] != Some(n) {
            if let Some(done) = self.current[track].replace(n)
                && self.held.remove(&(track, done)).is_some()
            {
                self.outstanding_bytes -= self.layout.segment_of(track, done).size_bytes;
            }
            if self.requested[track] <= n {
                self.request(track, n);
            }
            self.fill();
        }
        loop {
            if let Some((from, bytes)) = self.held.get(&(track, n)) {
                // The layout has checked that every chunk lies inside its segment, and the guard its length.
                let start = (offset - from) as usize;
                return Ok(bytes.slice(start..start + chunk.len as usize));
            }
            self.arrive().await?;
        }
    }
}

/// The first byte of a segment that belongs to a sample.
fn payload_at(input: &SegmentInput) -> u64 {
    let index = IndexReader::open(&input.packed).ok();
    let ranges = index.iter().flat_map(IndexReader::fragments).flat_map(|fragment| fragment.ranges());
    ranges.map(|range| range.offset).min().unwrap_or(0)
}
