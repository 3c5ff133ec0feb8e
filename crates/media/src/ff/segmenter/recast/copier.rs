//! One stream copied packet by packet into segments.

use super::super::super::Error;
use super::super::super::fragment::Fragmenter;
use super::super::matrix::Matrix;
use super::super::{Event, Sink};
use super::TrackReport;
use super::adts::{self, Stripper};
use super::codecs;
use super::lanes::NANOS;
use super::sound::SampleClock;
use super::view::{View, piece_of};
use domain::segment::{Span, Track};
use ffmpeg_next::codec::Parameters;
use ffmpeg_next::mathematics::Rescale as _;
use ffmpeg_next::packet::side_data;
use ffmpeg_next::{Packet, Rational, Stream};

/// Milliseconds.
const MILLIS: Rational = Rational(1, 1_000);

/// A segment ends at the first key frame from here on, in milliseconds.
const TARGET_MS: i64 = 2_000;

/// Where there is no key frame, as in recordings of browsers, it ends here all the same: what is open lies in memory.
const LONGEST_MS: i64 = 10_000;

/// For the same reason it ends when it is so large.
const LARGEST_BYTES: u64 = 8 << 20;

/// A packet of sound that comes so much later than the one before it ends leaves a hole, which is told; a shorter one is
/// rounding, and the packet before it lasts until it.
const HOLE_MS: i64 = 100;

/// Decode times that go back by less than this are put right and counted; what goes back further is another clock.
const BACK_MS: i64 = 1_000;

/// Packets without decode time at the beginning that are kept until the container tells one: the deepest reordering of
/// H.264 and HEVC is 16 frames.
const WAITING_MAX: usize = 32;

/// Copies one stream.
pub(super) struct Copier {
    report: TrackReport,
    fragmenter: Fragmenter,
    parameters: Parameters,
    from: Rational,
    to: Rational,
    /// Subtracted from every time of the stream, in `from`.
    zero: i64,
    adts: Option<Stripper>,
    clock: Option<SampleClock>,
    waiting: Vec<Packet>,
    /// The newest packet, in `to` from the track's start: it is written when the next one tells how long it lasts.
    held: Option<Packet>,
    last_delta: i64,
    /// First presented moment of the track.
    start: Option<i64>,
    /// Where the source's segments begin, in the order of reading.
    pieces: Vec<(u32, u64)>,
    /// Copies of segments: they get what their originals get, so that whoever judges the segments sees that they are alike.
    copies: Vec<(u32, u32)>,
    open: Option<Open>,
    /// How the source is to be shown, where it says so.
    matrix: Option<Matrix>,
    presented: bool,
    /// Packets at the end that are not presented.
    tail: u64,
    /// The source has lost something before the packet that comes next.
    lost: bool,
}

/// The segment that is being filled.
struct Open {
    /// Number of the source's segment in the order of reading, and its index.
    piece: usize,
    index: u32,
    /// Decode time of its first packet, from the track's start.
    since: i64,
    /// The same of its newest fragment.
    fragment_since: i64,
    end: i64,
    /// Payload of its newest fragment.
    fragment_bytes: u64,
}

impl Open {
    fn at(since: i64, piece: usize, index: u32) -> Open {
        Open { piece, index, since, fragment_since: since, end: since, fragment_bytes: 0 }
    }
}

impl Copier {
    pub(super) fn open(
        stream: &Stream<'_>,
        report: TrackReport,
        zero_ns: i64,
        view: &View<'_>,
    ) -> Result<Copier, Error> {
        let (parameters, from) = (stream.parameters().clone(), stream.time_base());
        let fragmenter = Fragmenter::open(report.track, parameters.clone(), from)?;
        let to = fragmenter.time_base();
        let rate = codecs::sample_rate(&parameters);
        // One unit of the container, in samples, rounded up.
        let unit = |rate: i32| i64::from(rate) * i64::from(from.numerator()) / i64::from(from.denominator().max(1)) + 1;
        let counted = report.track == Track::Audio && rate > 0 && to == Rational(1, rate);
        let clock = counted.then(|| SampleClock::new(unit(rate), codecs::priming_samples(&parameters)));
        let matrix = Matrix::of(stream);
        let zero = zero_ns.rescale(NANOS, from);
        let (pieces, copies) = (view.pieces.clone(), view.copies.clone());
        let (waiting, held, start, open, adts) = (Vec::new(), None, None, None, None);
        let (last_delta, presented, tail, lost) = (0, false, 0, false);
        Ok(Copier {
            report,
            fragmenter,
            parameters,
            from,
            to,
            zero,
            adts,
            clock,
            waiting,
            held,
            last_delta,
            start,
            pieces,
            copies,
            open,
            matrix,
            presented,
            tail,
            lost,
        })
    }

    /// Takes the next packet of the stream, in decode order. `lost`: the source has lost something before it.
    pub(super) fn push(&mut self, packet: Packet, lost: bool, sink: &mut Sink) -> Result<(), Error> {
        self.lost |= lost;
        if codecs::is_discarded(&packet) {
            // Before anything is presented it is priming, or what the first picture refers to.
            if self.presented {
                self.tail += 1;
                return Ok(());
            }
        } else if self.tail > 0 {
            return Err(self.wrong("a cut by its edit list that is not at its beginning or end"));
        } else {
            self.presented = true;
        }
        let first = self.start.is_none() && self.waiting.is_empty();
        if first && self.report.track == Track::Video && !packet.is_key() {
            self.report.left_out += 1;
            return Ok(());
        }
        let mut packet = self.without_header(packet, first)?;
        let stamped = packet.pts().or(packet.dts()).ok_or_else(|| self.wrong("no timestamp"))?;
        packet.set_pts(Some(stamped));
        if self.report.track == Track::Audio {
            packet.set_dts(Some(stamped));
        }
        match packet.dts() {
            Some(dts) => self.end_waiting(dts, sink)?,
            None if self.waiting.len() < WAITING_MAX => {
                self.waiting.push(packet);
                return Ok(());
            }
            None => {
                self.order_waiting(sink)?;
                packet.set_dts(packet.pts());
            }
        }
        self.place(packet, sink)
    }

    /// Writes what is held back and ends the last segment. `None`: there was no packet.
    pub(super) fn finish(mut self, sink: &mut Sink) -> Result<Option<TrackReport>, Error> {
        self.order_waiting(sink)?;
        let Some(held) = self.held.take() else { return Ok(None) };
        let own = held.duration();
        self.write(held, if own > 0 { own } else { self.last_delta.max(1) }, sink)?;
        self.end_segment(sink)?;
        self.report.left_out += self.tail;
        Ok(Some(self.report))
    }

    fn without_header(&mut self, packet: Packet, first: bool) -> Result<Packet, Error> {
        if first && self.adts.is_none() && self.report.codec == "aac" && adts::has_header(&packet) {
            self.adts = Some(Stripper::open(&self.parameters, self.from)?);
        }
        match &mut self.adts {
            Some(stripper) => stripper.strip(packet),
            None => Ok(packet),
        }
    }

    /// Packets that came before any decode time was told are decoded before `dts`, one after the other.
    fn end_waiting(&mut self, dts: i64, sink: &mut Sink) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        let count = waiting.len() as i64;
        for (n, mut packet) in (0..).zip(waiting) {
            let step = packet.duration().max(1);
            let before = dts - (count - n) * step;
            packet.set_dts(Some(packet.pts().map_or(before, |pts| before.min(pts))));
            self.place(packet, sink)?;
        }
        Ok(())
    }

    /// The same when none is ever told: decoding follows the order of presentation, as much earlier as it has to.
    fn order_waiting(&mut self, sink: &mut Sink) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        let times: Vec<i64> = waiting.iter().filter_map(Packet::pts).collect();
        let mut sorted = times.clone();
        sorted.sort_unstable();
        let early = sorted.iter().zip(&times).map(|(decoded, presented)| decoded - presented).max().unwrap_or(0);
        for (mut packet, decoded) in waiting.into_iter().zip(sorted) {
            packet.set_dts(Some(decoded - early));
            self.place(packet, sink)?;
        }
        Ok(())
    }

    /// Puts a packet on the track's clock, writes the one before it, and ends segments.
    fn place(&mut self, mut packet: Packet, sink: &mut Sink) -> Result<(), Error> {
        let samples = codecs::samples_of(&packet, &self.parameters);
        let (mut pts, mut dts) = (packet.pts().unwrap_or(0) - self.zero, packet.dts().unwrap_or(0) - self.zero);
        (pts, dts) = (pts.rescale(self.from, self.to), dts.rescale(self.from, self.to));
        let mut duration = packet.duration().max(0).rescale(self.from, self.to);
        if let (Some(clock), Some(samples)) = (&mut self.clock, samples) {
            pts = clock.place(pts, samples);
            dts = pts;
            duration = (samples - padding_of(&packet)).max(1);
        }
        let start = match self.start {
            Some(start) => start,
            None => self.begin(pts),
        };
        (pts, dts) = (pts - start, dts - start);
        if let Some(last) = self.held.as_ref().and_then(Packet::dts)
            && dts <= last
        {
            if last - dts > self.ticks(BACK_MS) {
                let segment = self.piece_of(&packet).map(|(_, index)| index);
                return Err(Error::TimesBack { track: self.report.track, segment, packet: self.report.packets });
            }
            self.report.moved += 1;
            dts = last + 1;
        }
        packet.set_pts(Some(pts.max(dts)));
        packet.set_dts(Some(dts));
        packet.set_duration(duration);
        let hole = match self.held.take() {
            Some(held) => self.write_until(held, dts, sink)?,
            None => false,
        };
        self.cut_before(&packet, hole, sink)?;
        self.held = Some(packet);
        Ok(())
    }

    /// The track begins where its first packet is presented, not before 0: priming lies before that.
    fn begin(&mut self, first_pts: i64) -> i64 {
        let start = first_pts.max(0);
        self.fragmenter.set_offset(start.unsigned_abs());
        self.start = Some(start);
        start
    }

    /// Writes the packet before the one decoded at `dts`, and says whether there is a hole between the two. A picture
    /// stands until the next one, however long, unless the source shows that something is lost in between.
    fn write_until(&mut self, held: Packet, dts: i64, sink: &mut Sink) -> Result<bool, Error> {
        let (delta, own) = (dts - held.dts().unwrap_or(dts), held.duration());
        let lost = std::mem::take(&mut self.lost);
        let (hole, lasts) = match self.report.track {
            Track::Audio => (own > 0 && delta > own + self.ticks(HOLE_MS), own),
            Track::Video => {
                let lasts = own.max(self.last_delta).max(1);
                (lost && delta > lasts, lasts)
            }
        };
        self.last_delta = if hole { lasts } else { delta };
        self.write(held, self.last_delta, sink)?;
        Ok(hole)
    }

    fn write(&mut self, mut packet: Packet, duration: i64, sink: &mut Sink) -> Result<(), Error> {
        packet.set_duration(duration);
        let dts = packet.dts().unwrap_or(0);
        let (piece, index) = self.piece_of(&packet).unwrap_or((0, 1));
        let open = self.open.get_or_insert_with(|| Open::at(dts, piece, index));
        open.end = dts + duration;
        open.fragment_bytes += packet.size() as u64;
        self.report.packets += 1;
        self.fragmenter.write(&mut packet)?;
        if self.report.packets == 1 {
            let mut bytes = self.fragmenter.flush()?;
            if let Some(matrix) = &self.matrix {
                matrix.put_into(&mut bytes);
            }
            return emit(sink, Event::Init { track: self.report.track, bytes });
        }
        Ok(())
    }

    /// Ends the segment, or its fragment, where `packet` does not belong to it.
    fn cut_before(&mut self, packet: &Packet, hole: bool, sink: &mut Sink) -> Result<(), Error> {
        let Some(open) = &self.open else { return Ok(()) };
        let (piece, index, age) = (open.piece, open.index, packet.dts().unwrap_or(0) - open.since);
        let large = open.fragment_bytes >= LARGEST_BYTES;
        let next = match self.piece_of(packet) {
            Some(next) if next.0 > piece => Some(next),
            Some(_) if hole || large => return self.end_fragment(sink),
            Some(_) => None,
            None => {
                let due = packet.is_key() && age >= self.ticks(TARGET_MS);
                (due || hole || large || age >= self.ticks(LONGEST_MS)).then_some((0, index + 1))
            }
        };
        let Some((piece, index)) = next else { return Ok(()) };
        self.end_segment(sink)?;
        self.open = Some(Open::at(packet.dts().unwrap_or(0), piece, index));
        Ok(())
    }

    /// The source's segment that a packet lies in: its number and index; `None` where the source has none.
    fn piece_of(&self, packet: &Packet) -> Option<(usize, u32)> {
        piece_of(&self.pieces, packet)
    }

    /// Gives away what is open, so that nothing longer than a fragment ever lies in memory.
    fn end_fragment(&mut self, sink: &mut Sink) -> Result<(), Error> {
        let Some(open) = self.open.as_mut().filter(|open| open.fragment_bytes > 0) else { return Ok(()) };
        let (index, since, end) = (open.index, open.fragment_since, open.end);
        (open.fragment_bytes, open.fragment_since) = (0, end);
        let bytes = self.fragmenter.flush()?;
        let ticks = |value: i64| u64::try_from(value).unwrap_or(0);
        let timescale = u32::try_from(self.to.denominator()).unwrap_or(1);
        let span = Span { timescale, start: ticks(since + self.start.unwrap_or(0)), duration: ticks(end - since) };
        let track = self.report.track;
        for (copy, _) in self.copies.iter().filter(|(_, of)| *of == index) {
            emit(sink, Event::Segment { track, index: *copy, bytes: bytes.clone(), span })?;
        }
        emit(sink, Event::Segment { track, index, bytes, span })
    }

    fn end_segment(&mut self, sink: &mut Sink) -> Result<(), Error> {
        self.end_fragment(sink)?;
        self.open = None;
        Ok(())
    }

    fn ticks(&self, millis: i64) -> i64 {
        millis.rescale(MILLIS, self.to)
    }

    fn wrong(&self, what: &'static str) -> Error {
        let packet = self.report.packets;
        let segment = self.open.as_ref().filter(|_| !self.pieces.is_empty()).map(|open| open.index);
        let object = segment.map_or_else(|| "the input".to_owned(), |index| format!("segment {index}"));
        Error::Timestamps { track: self.report.track.as_str(), object, what, packet }
    }
}

fn emit(sink: &mut Sink, event: Event) -> Result<(), Error> {
    if sink(event).is_break() { Err(Error::Abandoned) } else { Ok(()) }
}

/// Samples at the end of the last packet that are not heard: FFmpeg's side data of skipped samples has them in its second
/// field.
fn padding_of(packet: &Packet) -> i64 {
    let skipped = packet.side_data().find(|data| data.kind() == side_data::Type::SkipSamples);
    let field = skipped.and_then(|data| data.data().get(4..8)?.try_into().ok());
    field.map_or(0, |field| i64::from(u32::from_le_bytes(field)))
}
