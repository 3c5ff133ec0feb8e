//! Where every byte of a result goes, known before the first one is written.
//!
//! A layout is made of initialization sections and packed sample indexes alone: no segment is read. It holds the
//! packed indexes, one entry a chunk and nothing a sample; the header is generated in pieces.
//! The same tracks give the same bytes: no time of day, no version string, a fixed interleave. Whoever changes what
//! comes out raises `domain::mux::LAYOUT_VERSION`.

#![forbid(unsafe_code)]

mod chunk;
mod header;
mod places;
mod survey;
mod table;
mod timeline;

pub use chunk::{Chunk, Source};
pub use header::HeaderPieces;
pub use places::{Recorded, SegmentPlace};
pub use timeline::{Jump, MOVIE_TIMESCALE, SILENCE_SECONDS_MAX, Silence, TrackTimes};

use crate::index::{Damaged, IndexReader};
use crate::init::Init;
use bytes::Bytes;
use domain::id::Sha256;
use domain::mux::{Fill, LAYOUT_VERSION, ResultFacts, TrackFacts};
use domain::retry::{Classify, Fault};
use domain::segment::Track;
use header::HeaderSize;
use survey::Surveyed;
use table::Counts;
use thiserror::Error;
use timeline::Timeline;

/// One segment of a track, as its row tells it.
#[derive(Debug, Clone)]
pub struct SegmentInput {
    /// Index of the segment, from 1.
    pub index: u32,
    /// Length of the object.
    pub size_bytes: u64,
    /// Digest of the object, if it is known; a reader's bytes are held to it.
    pub sha256: Option<Sha256>,
    /// Its packed sample index.
    pub packed: Bytes,
    /// What is added to its decode times, in units of the track's timescale.
    pub shift: i64,
    /// The object is damaged, and only the samples of its index are whole.
    pub salvaged: bool,
}

/// One track of a result.
#[derive(Debug, Clone)]
pub struct TrackInput {
    /// Its initialization section.
    pub init: Init,
    /// Its segments, in the order of the timeline.
    pub segments: Vec<SegmentInput>,
    /// What fills a stretch without samples. A track that has no silent frame ([`crate::silence::frame`]) is held, and so
    /// is what is shorter than a frame, or more than [`SILENCE_SECONDS_MAX`] in all.
    pub fill: Fill,
}

/// Why tracks cannot be laid out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// There is nothing to lay out.
    #[error("there is no track")]
    NoTrack,
    /// A track has no sample.
    #[error("the {track} track has no samples")]
    Empty {
        /// Which track.
        track: Track,
    },
    /// A stored sample index cannot be read.
    #[error("read sample index of {track} segment {segment}")]
    Index {
        /// Which track.
        track: Track,
        /// Index of the segment.
        segment: u32,
        /// What is wrong with it.
        #[source]
        source: Damaged,
    },
    /// An index tells of bytes behind the end of its segment.
    #[error("the sample index of {track} segment {segment} reaches behind its end")]
    OutsideSegment {
        /// Which track.
        track: Track,
        /// Index of the segment.
        segment: u32,
    },
    /// Time stamps go back further than the last sample is long.
    #[error("{track} segment {segment} begins {overlap_ms} ms before the segments before it end")]
    TfdtBack {
        /// Which track.
        track: Track,
        /// Index of the segment.
        segment: u32,
        /// How far they go back, rounded down.
        overlap_ms: u64,
    },
    /// A segment is moved out of the range in which times can be added up.
    #[error("{track} segment {segment} cannot be moved as far as the plan says")]
    ShiftOutOfRange {
        /// Which track.
        track: Track,
        /// Index of the segment.
        segment: u32,
    },
    /// A gap is longer than the duration of one sample can say.
    #[error("the gap before {track} segment {segment} is too long for one sample")]
    GapTooLong {
        /// Which track.
        track: Track,
        /// Index of the segment.
        segment: u32,
    },
    /// A time or a size does not fit its field.
    #[error("the {track} track has times or sizes that a result cannot express")]
    OutOfRange {
        /// Which track.
        track: Track,
    },
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        Fault::Permanent
    }

    fn class(&self) -> &'static str {
        match self {
            Error::NoTrack | Error::Empty { .. } => "empty",
            Error::Index { source, .. } => source.class(),
            Error::OutsideSegment { .. } => "index-damaged",
            Error::TfdtBack { .. } => "tfdt-back",
            Error::GapTooLong { .. } => "gap-too-long",
            Error::ShiftOutOfRange { .. } | Error::OutOfRange { .. } => "out-of-range",
        }
    }
}

/// A result before it is written.
#[derive(Debug)]
pub struct Layout {
    tracks: Vec<LaidTrack>,
    chunks: Vec<Chunk>,
    size: HeaderSize,
    payload_bytes: u64,
}

/// One track with its place on the common timeline.
#[derive(Debug)]
pub(crate) struct LaidTrack {
    pub(crate) input: TrackInput,
    timeline: Timeline,
    times: TrackTimes,
    counts: Counts,
    /// As many silent frames as a chunk has at most.
    silence: Bytes,
}

impl Layout {
    /// Lays tracks out in the order given, as this build does.
    pub fn new(tracks: Vec<TrackInput>) -> Result<Layout, Error> {
        Layout::of_version(LAYOUT_VERSION, tracks)
    }

    /// Lays tracks out as a plan of `layout_version` was to be: one of [`domain::mux::LAYOUT_VERSIONS`].
    pub fn of_version(layout_version: u32, tracks: Vec<TrackInput>) -> Result<Layout, Error> {
        if tracks.is_empty() {
            return Err(Error::NoTrack);
        }
        let (mut timelines, mut silences, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
        for (n, track) in tracks.iter().enumerate() {
            let Surveyed { timeline, cuts, silence } = survey::survey(n, track)?;
            timelines.push(timeline);
            silences.push(silence);
            lanes.push((track.init.timescale, cuts));
        }
        let times = timeline::place(&tracks, &timelines, layout_version)?;
        let chunks = chunk::interleave(lanes);
        let laid = tracks.into_iter().zip(timelines).zip(times).zip(silences).enumerate();
        let laid = laid.map(|(n, (((input, timeline), times), silence))| {
            let counts = Counts::of(&input, &timeline, times.composition_bias, chunks.iter().filter(|c| c.track == n));
            LaidTrack { input, timeline, times, counts, silence }
        });
        let tracks: Vec<_> = laid.collect();
        let payload_bytes = chunks.iter().map(|chunk| chunk.len).sum();
        let size = HeaderSize::of(&tracks, &chunks, payload_bytes)?;
        Ok(Layout { tracks, chunks, size, payload_bytes })
    }

    /// Length of the result.
    pub fn size_bytes(&self) -> u64 {
        self.size.total_bytes() + self.payload_bytes
    }

    /// Length of everything before the first sample.
    pub fn header_bytes(&self) -> u64 {
        self.size.total_bytes()
    }

    /// Everything before the first sample, in pieces of about 64 KiB.
    pub fn header(&self) -> HeaderPieces<'_> {
        HeaderPieces::of(self)
    }

    /// What follows the header, in order.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Initialization section of track `n`, counted from 0.
    pub fn init(&self, n: usize) -> &Init {
        &self.tracks[n].input.init
    }

    /// The segment that a chunk is cut from; `None` = its bytes are [`Layout::silence`].
    pub fn segment(&self, chunk: &Chunk) -> Option<&SegmentInput> {
        chunk.segment().map(|n| self.segment_of(chunk.track, n))
    }

    /// The bytes of a chunk that comes from no segment.
    pub fn silence(&self, chunk: &Chunk) -> Option<Bytes> {
        match chunk.source {
            Source::Segment { .. } => None,
            Source::Silence => Some(self.tracks[chunk.track].silence.slice(..chunk.len as usize)),
        }
    }

    /// Segment `n` of track `track`, both counted from 0.
    pub(crate) fn segment_of(&self, track: usize, n: usize) -> &SegmentInput {
        &self.tracks[track].input.segments[n]
    }

    /// The tracks' places on the common timeline, in the order of the result.
    pub fn times(&self) -> impl ExactSizeIterator<Item = &TrackTimes> {
        self.tracks.iter().map(|track| &track.times)
    }

    /// What the stored result must be.
    pub fn expected(&self) -> ResultFacts {
        let tracks = self.tracks.iter().map(|track| TrackFacts {
            track: track.input.init.track,
            samples: track.timeline.samples,
            payload_bytes: track.timeline.payload_bytes,
            duration: track.timeline.duration(),
            timescale: track.input.init.timescale,
        });
        ResultFacts { size_bytes: self.size_bytes(), faststart: true, tracks: tracks.collect() }
    }
}

impl TrackInput {
    fn reader<'a>(&self, segment: &'a SegmentInput) -> Result<IndexReader<'a>, Error> {
        let track = self.init.track;
        IndexReader::open(&segment.packed).map_err(|source| Error::Index { track, segment: segment.index, source })
    }
}
