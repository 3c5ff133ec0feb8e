//! The way of one stream: copied, or encoded again by the segmenter's own lanes.

use super::super::super::Error;
use super::super::super::input::Input;
use super::super::lane::{self, Picture, Sound};
use super::super::matrix::Matrix;
use super::super::{Event, Options, Sink};
use super::copier::Copier;
use super::view::{View, piece_of};
use super::{Source, TrackReport};
use domain::segment::Track;
use ffmpeg_next::mathematics::Rescale as _;
use ffmpeg_next::{Packet, Rational, ffi};
use std::ops::ControlFlow;
use std::time::Duration;

/// Nanoseconds, the clock that all tracks share.
pub(super) const NANOS: Rational = Rational(1, 1_000_000_000);

/// Times of what is encoded again must not jump further than this: each second of a still picture is encoded.
const JUMP_MAX: Duration = Duration::from_secs(3600);

/// A stream that is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) track: Track,
    pub(super) stream: usize,
    pub(super) encode: bool,
    pub(super) streams_left_out: u64,
}

/// How far before 0 presentation begins, where a container's clock begins anywhere. In a transport stream whose 33 bits
/// turn over soon after its beginning libavformat counts up to 0; what lies before 0 elsewhere is priming.
pub(super) fn before_zero_ns(input: &Input, wanted: &[Wanted]) -> i64 {
    if input.context.format().name() != "mpegts" {
        return 0;
    }
    let streams = wanted.iter().filter_map(|wanted| input.context.stream(wanted.stream));
    let starts = streams.filter(|stream| stream.start_time() != ffi::AV_NOPTS_VALUE);
    starts.map(|stream| stream.start_time().rescale(stream.time_base(), NANOS)).min().unwrap_or(0).min(0)
}

/// One stream on its way.
pub(super) enum Lane {
    Copy(Box<Copier>),
    Encode(Box<Encoder>),
}

impl Lane {
    pub(super) fn open(
        input: &Input,
        source: &Source,
        view: &View<'_>,
        wanted: Wanted,
        zero_ns: i64,
    ) -> Result<Lane, Error> {
        let no_stream = || Error::NoStream { object: source.name.clone() };
        let stream = input.context.stream(wanted.stream).ok_or_else(no_stream)?;
        let report = TrackReport {
            track: wanted.track,
            codec: stream.parameters().id().name().to_owned(),
            encoded_as: None,
            packets: 0,
            left_out: 0,
            moved: 0,
            streams_left_out: wanted.streams_left_out,
            start_ms: 0,
            losses: Vec::new(),
            copies: Vec::new(),
        };
        Ok(if wanted.encode {
            Lane::Encode(Box::new(Encoder::open(&stream, report, zero_ns, view)?))
        } else {
            Lane::Copy(Box::new(Copier::open(&stream, report, zero_ns, view)?))
        })
    }

    /// `lost`: the source has lost something between the packet before and this one.
    pub(super) fn push(&mut self, packet: Packet, lost: bool, sink: &mut Sink) -> Result<(), Error> {
        match self {
            Lane::Copy(lane) => lane.push(packet, lost, sink),
            Lane::Encode(lane) => lane.push(packet, sink),
        }
    }

    /// `None`: there was no packet.
    pub(super) fn finish(self, sink: &mut Sink) -> Result<Option<TrackReport>, Error> {
        match self {
            Lane::Copy(lane) => lane.finish(sink),
            Lane::Encode(lane) => lane.finish(sink),
        }
    }
}

/// A stream that is decoded and encoded as H.264 or AAC.
pub(super) struct Encoder {
    lane: lane::Lane,
    report: TrackReport,
    time_base: Rational,
    /// Subtracted from every time, in `time_base`.
    zero: i64,
    last: Option<i64>,
    /// Where the source's segments begin, in the order of reading.
    pieces: Vec<(u32, u64)>,
    /// Number of the one that the newest packet lies in.
    piece: Option<usize>,
    /// Copies of segments: they get what their originals get, like those of a stream that is copied.
    copies: Vec<(u32, u32)>,
}

impl Encoder {
    fn open(
        stream: &ffmpeg_next::Stream<'_>,
        mut report: TrackReport,
        zero_ns: i64,
        view: &View<'_>,
    ) -> Result<Encoder, Error> {
        let time_base = stream.time_base();
        let zero = zero_ns.rescale(NANOS, time_base);
        let start = if stream.start_time() == ffi::AV_NOPTS_VALUE { 0 } else { stream.start_time() };
        let settings = lane::Stream {
            parameters: stream.parameters().clone(),
            time_base,
            frame_rate: stream.avg_frame_rate(),
            start: (start - zero).max(0),
            target: Options::default().target,
            matrix: Matrix::of(stream),
        };
        let lane = match report.track {
            Track::Video => lane::Lane::Picture(Box::new(Picture::open(settings)?)),
            Track::Audio => lane::Lane::Sound(Box::new(Sound::open(settings)?)),
        };
        let target = match report.track {
            Track::Video => "H.264",
            Track::Audio => "AAC",
        };
        report.encoded_as = Some(target.to_owned());
        let (pieces, copies) = (view.pieces.clone(), view.copies.clone());
        Ok(Encoder { lane, report, time_base, zero, last: None, pieces, piece: None, copies })
    }

    fn push(&mut self, mut packet: Packet, sink: &mut Sink) -> Result<(), Error> {
        packet.set_pts(packet.pts().map(|pts| pts - self.zero));
        packet.set_dts(packet.dts().map(|dts| dts - self.zero));
        if let Some(pts) = packet.pts() {
            let far = (JUMP_MAX.as_secs() as i64).rescale(Rational(1, 1), self.time_base);
            if self.last.is_some_and(|last| pts.saturating_sub(last).saturating_abs() > far) {
                let (track, packet) = (self.report.track.as_str(), self.report.packets);
                let what = "a jump of more than an hour";
                return Err(Error::Timestamps { track, object: "the input".to_owned(), what, packet });
            }
            self.last = Some(pts);
        }
        self.begin_piece(&packet);
        self.report.packets += 1;
        self.lane.push(packet, &mut with_copies(&self.copies, sink))
    }

    /// Tells the lane when a packet is the first one of a segment of the source.
    fn begin_piece(&mut self, packet: &Packet) {
        let (Some((piece, index)), Some(at)) = (piece_of(&self.pieces, packet), packet.pts().or(packet.dts())) else {
            return;
        };
        if self.piece.is_none_or(|before| before < piece) {
            self.piece = Some(piece);
            self.lane.begin_piece(at, index);
        }
    }

    fn finish(self, sink: &mut Sink) -> Result<Option<TrackReport>, Error> {
        let Some(summary) = self.lane.finish(&mut with_copies(&self.copies, sink))? else { return Ok(None) };
        Ok(Some(TrackReport { packets: summary.packets, ..self.report }))
    }
}

/// A sink that gets each segment under the names of its copies too, and those first.
fn with_copies<'a>(copies: &'a [(u32, u32)], sink: &'a mut Sink) -> impl FnMut(Event) -> ControlFlow<()> + 'a {
    move |event| {
        if let Event::Segment { track, index, bytes, span } = &event {
            for (copy, _) in copies.iter().filter(|(_, of)| of == index) {
                sink(Event::Segment { track: *track, index: *copy, bytes: bytes.clone(), span: *span })?;
            }
        }
        sink(event)
    }
}
