//! One track of the segmenter: gives packets their durations, decides where a segment ends, counts.

use super::super::Error;
use super::super::fragment::Fragmenter;
use super::matrix::Matrix;
use super::{Event, Sink, TrackSummary};
use domain::segment::{Span, Track};
use ffmpeg_next::codec::Parameters;
use ffmpeg_next::mathematics::Rescale as _;
use ffmpeg_next::{Packet, Rational};
use std::collections::VecDeque;
use std::time::Duration;

/// Everything that is fixed when a track is opened.
pub(super) struct Settings {
    pub(super) track: Track,
    pub(super) parameters: Parameters,
    /// Time base of the packets that will come.
    pub(super) time_base: Rational,
    /// First presented moment of the track on the shared clock, in `time_base`; what the container says, or hopes.
    pub(super) start: i64,
    pub(super) target: Duration,
    /// Duration of a packet when nothing follows it and it has none of its own, in `time_base`.
    pub(super) nominal: i64,
    /// How the picture is to be shown; `None` = as it is, or sound.
    pub(super) matrix: Option<Matrix>,
}

/// A track being cut.
pub(super) struct Segmenter {
    track: Track,
    fragmenter: Fragmenter,
    from: Rational,
    to: Rational,
    start: i64,
    target: i64,
    tolerance: i64,
    nominal: i64,
    matrix: Option<Matrix>,
    /// The newest packet: it is written when the next one tells how long it lasts.
    held: Option<Packet>,
    first_dts: Option<i64>,
    /// Decode time of the open segment's first packet, once it has one.
    open: Option<i64>,
    /// The next cut is at the first sync sample presented here or later, on the shared clock.
    boundary: i64,
    /// Segments of the source that are still to begin: when, on the shared clock, and their indexes.
    pieces: VecDeque<(i64, u32)>,
    /// The source's segment that is being written; `None` where the source has none.
    piece: Option<u32>,
    last_end: i64,
    summary: TrackSummary,
}

impl Segmenter {
    pub(super) fn open(settings: Settings) -> Result<Segmenter, Error> {
        let Settings { track, parameters, time_base: from, start, target, nominal, matrix } = settings;
        let fragmenter = Fragmenter::open(track, parameters, from)?;
        let to = fragmenter.time_base();
        let ticks = |duration: Duration| (duration.as_micros() as i64).rescale(Rational(1, 1_000_000), to).max(1);
        // One millisecond: timestamps of some containers are rounded to it.
        let tolerance = ticks(Duration::from_millis(1));
        let timescale = u32::try_from(to.denominator()).unwrap_or(1);
        let summary = TrackSummary { track, last_index: 0, packets: 0, bytes: 0, start: i64::MAX, end: 0, timescale };
        Ok(Segmenter {
            track,
            fragmenter,
            from,
            to,
            start: start.rescale(from, to).max(0),
            target: ticks(target),
            tolerance,
            nominal: nominal.rescale(from, to).max(1),
            matrix,
            held: None,
            first_dts: None,
            open: None,
            boundary: 0,
            pieces: VecDeque::new(),
            piece: None,
            last_end: i64::MIN,
            summary,
        })
    }

    /// A segment of the source begins at `at`, in the track's time base on the shared clock. From the first one on what
    /// is made has the source's indexes, and a segment that is longer than the target comes in several parts.
    pub(super) fn begin_piece(&mut self, at: i64, index: u32) {
        if self.piece.is_none() {
            self.piece = Some(index);
        } else {
            self.pieces.push_back((at.rescale(self.from, self.to), index));
        }
    }

    /// Takes the next packet in decode order, stamped on the shared clock in the track's time base.
    pub(super) fn push(&mut self, mut packet: Packet, sink: &mut Sink) -> Result<(), Error> {
        packet.rescale_ts(self.from, self.to);
        let (Some(pts), Some(dts)) = (packet.pts(), packet.dts()) else {
            return Err(self.wrong("no timestamp"));
        };
        if self.held.is_none() && self.first_dts.is_none() {
            self.begin(pts);
        }
        let (pts, dts) = (pts - self.start, dts - self.start);
        packet.set_pts(Some(pts));
        packet.set_dts(Some(dts));
        if let Some(held) = self.held.take() {
            let delta = dts - held.dts().unwrap_or(dts);
            if delta <= 0 {
                return Err(self.wrong("a decode time that does not grow"));
            }
            self.write(held, delta, sink)?;
        }
        if packet.is_key() {
            let moment = pts + self.start;
            let piece = self.piece_at(moment);
            if self.open.is_some() && (piece.is_some() || moment + self.tolerance >= self.boundary) {
                self.cut(sink)?;
                self.boundary = self.boundary_after(moment);
            }
            self.piece = piece.or(self.piece);
        }
        self.held = Some(packet);
        Ok(())
    }

    /// The source's segment that begins with what is presented at `moment`.
    fn piece_at(&mut self, moment: i64) -> Option<u32> {
        let begun = self.pieces.partition_point(|(at, _)| *at <= moment + self.tolerance);
        self.pieces.drain(..begun).next_back().map(|(_, index)| index)
    }

    /// Settles where the track begins, now that its first packet is here. Priming and leading pictures lie before the
    /// start that the container tells; a first packet behind it means that the container was wrong, and an empty edit
    /// in the initialization section, which is the muxer's way to say so, is read by few players.
    fn begin(&mut self, first_pts: i64) {
        self.start = self.start.max(first_pts);
        self.fragmenter.set_offset(self.start.unsigned_abs());
        self.boundary = self.boundary_after(self.start);
    }

    /// Writes what is held back and ends the last segment. `None`: the track never had a packet.
    pub(super) fn finish(mut self, sink: &mut Sink) -> Result<Option<TrackSummary>, Error> {
        let Some(held) = self.held.take() else { return Ok(None) };
        let duration = if held.duration() > 0 { held.duration() } else { self.nominal };
        self.write(held, duration, sink)?;
        self.cut(sink)?;
        Ok(Some(self.summary))
    }

    fn write(&mut self, mut packet: Packet, duration: i64, sink: &mut Sink) -> Result<(), Error> {
        packet.set_duration(duration);
        let (pts, dts) = (packet.pts().unwrap_or(0), packet.dts().unwrap_or(0));
        self.nominal = duration;
        self.last_end = dts + duration;
        self.open.get_or_insert(dts);
        self.summary.packets += 1;
        // Priming lies before the start and is never presented.
        self.summary.start = self.summary.start.min(pts.max(0) + self.start);
        self.summary.end = self.summary.end.max(pts + duration + self.start);
        self.fragmenter.write(&mut packet)?;
        if self.first_dts.is_none() {
            self.first_dts = Some(dts);
            let mut bytes = self.fragmenter.flush()?;
            if let Some(matrix) = &self.matrix {
                matrix.put_into(&mut bytes);
            }
            self.summary.bytes += bytes.len() as u64;
            return emit(sink, Event::Init { track: self.track, bytes });
        }
        Ok(())
    }

    fn cut(&mut self, sink: &mut Sink) -> Result<(), Error> {
        let (Some(open), Some(first_dts)) = (self.open.take(), self.first_dts) else { return Ok(()) };
        let bytes = self.fragmenter.flush()?;
        self.summary.last_index += 1;
        self.summary.bytes += bytes.len() as u64;
        let ticks = |value: i64| u64::try_from(value).unwrap_or(0);
        // The muxer counts decode times from the first packet; the fragmenter adds the track's start.
        let span = Span {
            timescale: self.summary.timescale,
            start: ticks(open - first_dts + self.start),
            duration: ticks(self.last_end - open),
        };
        let index = self.piece.unwrap_or(self.summary.last_index);
        emit(sink, Event::Segment { track: self.track, index, bytes, span })
    }

    /// The first multiple of the target that lies after `moment` by more than the tolerance.
    fn boundary_after(&self, moment: i64) -> i64 {
        ((moment.max(0) + self.tolerance) / self.target + 1) * self.target
    }

    fn wrong(&self, what: &'static str) -> Error {
        Error::Timestamps {
            track: self.track.as_str(),
            object: "the source".to_owned(),
            what,
            packet: self.summary.packets,
        }
    }
}

fn emit(sink: &mut Sink, event: Event) -> Result<(), Error> {
    if sink(event).is_break() { Err(Error::Abandoned) } else { Ok(()) }
}
