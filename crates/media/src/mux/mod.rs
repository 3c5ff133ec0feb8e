//! Writes a result in one pass: the header, then the chunks, each segment read once and whole.
//!
//! Where segments come from and where the result goes are the caller's: a reader, a sink. Nothing is written twice or
//! looked at again, so a sink need only append. The future may be dropped at any await; the sink is then incomplete
//! and the caller gives it up.

#![forbid(unsafe_code)]

mod ahead;
mod guard;

pub use guard::{Change, Fetched, Guard, Tag};

use crate::layout::Layout;
use ahead::ReadAhead;
use bytes::Bytes;
use domain::id::Sha256;
use domain::retry::{Classify, Fault};
use domain::segment::Track;
use futures_util::future::{Either, select};
use sha2::Digest as _;
use std::pin::pin;
use std::time::Duration;
use thiserror::Error;

/// Pieces are handed to the sink when so many bytes have come together.
const BATCH_BYTES: u64 = 1 << 20;

/// At most so many pieces at once; sound alone has chunks of a few kilobytes.
const BATCH_PIECES: usize = 256;

/// Which segment is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRef {
    /// Its track.
    pub track: Track,
    /// Its index, from 1.
    pub index: u32,
    /// Length of the object when the plan was made.
    pub size_bytes: u64,
    /// Digest of the object when the plan was made, if it is known.
    pub sha256: Option<Sha256>,
    /// Nothing before this byte of it comes into the result: heads, of which everything is known.
    pub payload_at: u64,
}

/// Gives whole segments. Several reads are under way at once.
pub trait SegmentReader: Sync {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// All bytes of one segment, and whether the store says that they are those of the plan. If it does, those before
    /// [`SegmentRef::payload_at`] may be left out: of a recording at a low rate they are a fiftieth.
    fn read(&self, segment: SegmentRef) -> impl Future<Output = Result<Fetched, Self::Error>> + Send;
}

/// Takes the result from front to back.
pub trait ResultSink: Send {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Appends the pieces in order.
    fn write(&mut self, pieces: Vec<Bytes>) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Whether the output is hashed on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hashing {
    /// It is not.
    Off,
    /// SHA-256 of the whole object.
    #[default]
    Sha256,
}

/// How a result is written. Nothing here changes its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Segments are read ahead up to this many bytes; a longer segment is read alone.
    pub read_ahead_bytes: u64,
    /// Whether the output is hashed.
    pub hashing: Hashing,
    /// What segments are held to.
    pub guard: Guard,
}

impl Default for Options {
    fn default() -> Options {
        Options { read_ahead_bytes: 8 << 20, hashing: Hashing::default(), guard: Guard::default() }
    }
}

/// How far a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that the sink has taken.
    pub done_bytes: u64,
    /// Length of the result.
    pub total_bytes: u64,
}

/// The payload of one track, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload {
    /// Which track.
    pub track: Track,
    /// CRC-32C (RFC 3720 §12.1) of all its samples in the order of decoding; `None` when nothing was hashed. Cheap, and
    /// enough to tell whether two results hold the same samples.
    pub crc32c: Option<u32>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuxReport {
    /// Length of the result.
    pub size_bytes: u64,
    /// Digest of the result, if it was asked for.
    pub sha256: Option<Sha256>,
    /// What was written of each track, in the order of the result.
    pub payload: Vec<Payload>,
    /// Segments read; each counts once.
    pub segments: u64,
    /// Bytes read.
    pub read_bytes: u64,
}

/// Why a result was not written. `R` is the reader's error, `S` the sink's.
#[derive(Debug, Error)]
pub enum Error<R: std::error::Error + 'static, S: std::error::Error + 'static> {
    /// A segment cannot be read.
    #[error("read {track} segment {segment}")]
    Read {
        /// Its track.
        track: Track,
        /// Its index.
        segment: u32,
        /// Why.
        #[source]
        source: R,
    },
    /// The sink does not take the result.
    #[error("write result at byte {at}")]
    Write {
        /// Bytes written before.
        at: u64,
        /// Why.
        #[source]
        source: S,
    },
    /// A segment is not what it was when the plan was made.
    #[error("{track} segment {segment} has changed since the plan was made")]
    SourceChanged {
        /// Its track.
        track: Track,
        /// Its index.
        segment: u32,
        /// In which way.
        #[source]
        change: Change,
    },
}

impl<R, S> Classify for Error<R, S>
where
    R: std::error::Error + Classify + 'static,
    S: std::error::Error + Classify + 'static,
{
    fn fault(&self) -> Fault {
        match self {
            Error::Read { source, .. } => source.fault(),
            Error::Write { source, .. } => source.fault(),
            Error::SourceChanged { .. } => Fault::Permanent,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Read { source, .. } => source.class(),
            Error::Write { source, .. } => source.class(),
            Error::SourceChanged { .. } => "source-changed",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Read { source, .. } => source.retry_after(),
            Error::Write { source, .. } => source.retry_after(),
            Error::SourceChanged { .. } => None,
        }
    }
}

/// The error of writing what a reader gives into a sink.
pub type ErrorOf<R, S> = Error<<R as SegmentReader>::Error, <S as ResultSink>::Error>;

/// Writes a result. The sink is not closed: that is the caller's commit point.
pub async fn write<R: SegmentReader, S: ResultSink>(
    layout: &Layout,
    reader: &R,
    sink: &mut S,
    options: &Options,
    progress: impl FnMut(Progress) + Send,
) -> Result<MuxReport, ErrorOf<R, S>> {
    let mut ahead = ReadAhead::new(layout, reader, options);
    let mut output = Output::new(layout, sink, options.hashing, progress);
    ahead.fill();
    for piece in layout.header() {
        output.push(piece, &mut ahead).await?;
    }
    for chunk in layout.chunks() {
        let piece = ahead.take(chunk).await.map_err(ahead::Error::into_mux)?;
        output.sum(chunk.track, &piece);
        output.push(piece, &mut ahead).await?;
    }
    output.flush(&mut ahead).await?;
    debug_assert_eq!(output.done_bytes, layout.size_bytes(), "the layout is what was written");
    let payload = output.payload(layout);
    let sha256 = output.hash.map(|hash| Sha256(hash.finalize().into()));
    Ok(MuxReport {
        size_bytes: output.done_bytes,
        sha256,
        payload,
        segments: ahead.segments(),
        read_bytes: ahead.read_bytes(),
    })
}

/// Collects pieces and hands them to the sink while segments go on arriving.
struct Output<'a, S, P> {
    sink: &'a mut S,
    progress: P,
    hash: Option<sha2::Sha256>,
    /// Checksum of each track so far.
    sums: Vec<u32>,
    batch: Vec<Bytes>,
    batch_bytes: u64,
    done_bytes: u64,
    total_bytes: u64,
}

impl<'a, S: ResultSink, P: FnMut(Progress) + Send> Output<'a, S, P> {
    fn new(layout: &Layout, sink: &'a mut S, hashing: Hashing, progress: P) -> Output<'a, S, P> {
        let hash = match hashing {
            Hashing::Off => None,
            Hashing::Sha256 => Some(sha2::Sha256::new()),
        };
        let total_bytes = layout.size_bytes();
        let sums = vec![0; layout.times().len()];
        Output { sink, progress, hash, sums, batch: Vec::new(), batch_bytes: 0, done_bytes: 0, total_bytes }
    }

    /// Takes a piece of a track into its checksum.
    fn sum(&mut self, track: usize, piece: &[u8]) {
        if self.hash.is_some() {
            self.sums[track] = crc32c::crc32c_append(self.sums[track], piece);
        }
    }

    fn payload(&self, layout: &Layout) -> Vec<Payload> {
        let of = |(n, sum): (usize, &u32)| Payload {
            track: layout.init(n).track,
            crc32c: self.hash.is_some().then_some(*sum),
        };
        self.sums.iter().enumerate().map(of).collect()
    }

    async fn push<R: SegmentReader>(
        &mut self,
        piece: Bytes,
        ahead: &mut ReadAhead<'_, R>,
    ) -> Result<(), ErrorOf<R, S>> {
        if let Some(hash) = &mut self.hash {
            hash.update(&piece);
        }
        self.batch_bytes += piece.len() as u64;
        self.batch.push(piece);
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_PIECES {
            self.flush(ahead).await
        } else {
            Ok(())
        }
    }

    async fn flush<R: SegmentReader>(&mut self, ahead: &mut ReadAhead<'_, R>) -> Result<(), ErrorOf<R, S>> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let at = self.done_bytes;
        let mut writing = pin!(self.sink.write(std::mem::take(&mut self.batch)));
        loop {
            let written = match select(writing.as_mut(), pin!(ahead.arrive())).await {
                Either::Left((written, _)) => written,
                Either::Right((arrived, _)) => {
                    arrived.map_err(ahead::Error::into_mux)?;
                    continue;
                }
            };
            written.map_err(|source| Error::Write { at, source })?;
            self.done_bytes += std::mem::take(&mut self.batch_bytes);
            (self.progress)(Progress { done_bytes: self.done_bytes, total_bytes: self.total_bytes });
            return Ok(());
        }
    }
}
