//! What a source lacks, by its own signs: damages that lie between two packets, packets that the container calls damaged,
//! and an end that comes before the one its header tells.
//!
//! libavformat reads over most damage, and ends a file that was cut off like any other, so nobody else would notice.
//! A stretch without packets is no loss by itself: a screen on which nothing moves is recorded so.

use super::super::super::input::Input;
use super::lanes::NANOS;
use super::view::{Mark, View};
use super::{LOSSES_MAX, Loss};
use domain::mux::GapCause;
use ffmpeg_next::mathematics::Rescale as _;
use ffmpeg_next::{Packet, Rational, ffi, media};
use std::collections::{BTreeMap, VecDeque};

/// Milliseconds.
const MILLIS: Rational = Rational(1, 1_000);

/// Headers are rounded, and writers count the last packet or do not.
const CUT_MIN_NS: i64 = 500_000_000;

/// A transport stream tells a time at least every 0.7 s (ISO/IEC 13818-1, 2.7.4), so in one pictures that are further
/// apart are no still screen.
const STILL_MAX_NS: i64 = 1_000_000_000;

/// The deepest reordering of H.264 and HEVC, in pictures.
const AHEAD_STEPS_MAX: i64 = 16;

/// Packets by which a place in a transport stream may be off: a picture and what it is cut from.
const LAG: u8 = 3;

/// Where there is no key frame for so long, the pictures mend themselves bit by bit.
const KEY_FRAME_MAX_NS: i64 = 10_000_000_000;

/// A length that is not longer is none.
const OWN_MIN_NS: i64 = 1_000_000;

/// Distances between packets of which the usual one is taken.
const STEPS: usize = 15;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is kept.
    Follows,
    /// It is kept, and something is lost before it.
    Lost,
    /// It is left out, and part of a loss.
    LeftOut,
}

/// What was seen of a source.
#[derive(Debug)]
pub(super) struct Losses<'a> {
    /// Units of each stream's times.
    units: Vec<Rational>,
    /// Subtracted from every time, in nanoseconds.
    zero_ns: i64,
    pieces: &'a [(u32, u64)],
    marks: &'a [Mark],
    told: Told,
    /// Streams of which every packet stands by itself.
    sounds: Vec<usize>,
    /// No picture stands for longer.
    still_max_ns: i64,
    /// A packet may be told to lie up to so many packets before or behind its place: those of a transport stream are cut
    /// anew by libavformat, and a place is that of the larger packet in which one began.
    lag: u8,
    /// Whether packets have lengths that the container tells, and not the guess of libavformat.
    lengths: bool,
    /// Which of the marks some stream shows to have lost something.
    shown: Vec<bool>,
    streams: BTreeMap<usize, Stream>,
}

/// Where a header says that the end is, in nanoseconds; nothing where it is guessed from the end itself.
#[derive(Debug)]
enum Told {
    Nothing,
    /// Of all streams together.
    Whole(i64),
    /// Of each by itself.
    Each(Vec<i64>),
}

impl Told {
    fn of(input: &Input, zero_ns: i64) -> Told {
        let format = input.context.format();
        if format.name().starts_with("matroska") {
            return Told::Whole(input.context.duration().rescale(Rational(1, 1_000_000), NANOS) - zero_ns);
        }
        if !format.name().starts_with("mov") {
            return Told::Nothing;
        }
        let end = |stream: ffmpeg_next::Stream<'_>| {
            let known = stream.start_time() != ffi::AV_NOPTS_VALUE && stream.duration() > 0;
            let end = stream.start_time().saturating_add(stream.duration());
            if known { end.rescale(stream.time_base(), NANOS).saturating_sub(zero_ns) } else { 0 }
        };
        Told::Each(input.context.streams().map(end).collect())
    }

    /// Where a stream that ends at `end_ns` should have ended, when all of them together end at `last_ns` and that is too
    /// early.
    fn cut(&self, stream: usize, end_ns: i64, last_ns: i64) -> Option<i64> {
        let (told_ns, end_ns) = match self {
            Told::Nothing => return None,
            Told::Whole(told_ns) => (*told_ns, last_ns),
            Told::Each(told) => (told.get(stream).copied().unwrap_or(0), end_ns),
        };
        (told_ns.saturating_sub(end_ns) >= CUT_MIN_NS).then_some(told_ns)
    }
}

/// What was seen of a stream; times are nanoseconds.
#[derive(Debug, Default)]
struct Stream {
    start_ns: Option<i64>,
    /// End of the packet that is presented last.
    end_ns: i64,
    dts_ns: i64,
    /// Pictures come in another order than they are shown in, and the furthest that one was shown ahead of its turn.
    reordered: bool,
    ahead_ns: i64,
    /// How long the newest packet lasts: its own word, or the usual distance. A picture that has stood for long says
    /// nothing of the next one.
    step_ns: i64,
    /// The newest distances between two packets.
    steps: VecDeque<i64>,
    /// Byte of the newest packet, where the container tells it.
    at: u64,
    /// Something is lost behind the newest packet.
    open: Option<Open>,
    /// The newest stretch that nothing fills, and for how many packets it may still be explained.
    hole: Option<((i64, i64), u8)>,
    /// Pictures are left out until a key frame: since when, and what is told of it.
    waiting: Option<(Option<Explained>, i64)>,
    /// Signs that no stretch explains, and when they came.
    unexplained: Vec<(Open, i64)>,
    losses: Vec<Loss>,
}

/// A loss whose end is not known yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    cause: GapCause,
    segment: Option<u32>,
    /// For how many packets a stretch may still come that it explains.
    lag: u8,
    /// Its marks, from the first to behind the last; none: a packet that was left out.
    marks: (usize, usize),
}

/// A stretch that nothing fills, and why.
#[derive(Debug, Clone, Copy)]
struct Explained {
    open: Open,
    from_ns: i64,
    to_ns: i64,
}

impl<'a> Losses<'a> {
    pub(super) fn of(input: &Input, zero_ns: i64, view: &'a View<'_>) -> Losses<'a> {
        let units = input.context.streams().map(|stream| stream.time_base()).collect();
        let sound = |stream: &ffmpeg_next::Stream<'_>| stream.parameters().medium() == media::Type::Audio;
        let sounds = input.context.streams().filter(sound).map(|stream| stream.index()).collect();
        let stream = input.context.format().name() == "mpegts";
        let (still_max_ns, lag) = if stream { (STILL_MAX_NS, LAG) } else { (i64::MAX, 0) };
        let (pieces, marks, told) = (&view.pieces, &view.marks, Told::of(input, zero_ns));
        let (lengths, shown, streams) = (!stream, vec![false; marks.len()], BTreeMap::new());
        Losses { units, zero_ns, pieces, marks, told, sounds, still_max_ns, lag, lengths, shown, streams }
    }

    /// Takes a packet that is left out because the container calls it damaged.
    pub(super) fn damaged(&mut self, packet: &Packet) {
        let segment = position(packet).and_then(|at| Some(self.pieces.get(self.piece_of(at)?)?.0));
        let stream = self.streams.entry(packet.stream()).or_default();
        stream.open.get_or_insert(Open { cause: GapCause::Damaged, segment, lag: self.lag, marks: (0, 0) });
    }

    /// Takes a packet, and says what becomes of it. Behind a loss pictures are left out up to the next key frame: they
    /// refer to what is lost, and what would be seen is worse than a picture that stands.
    pub(super) fn add(&mut self, packet: &Packet) -> Verdict {
        let unit = self.units.get(packet.stream()).copied().unwrap_or(MILLIS);
        let nanos = |time: i64| time.rescale(unit, NANOS).saturating_sub(self.zero_ns);
        let Some(pts_ns) = packet.pts().or(packet.dts()).map(nanos) else { return Verdict::Follows };
        let dts_ns = packet.dts().map_or(pts_ns, nanos);
        let own_ns = packet.duration().max(0).rescale(unit, NANOS);
        let before = self.streams.get(&packet.stream()).map(|stream| stream.at);
        let at = position(packet).or(before).unwrap_or(0);
        let (marks, mark) = self.mark_between(before.unwrap_or(0), at);
        // Whoever judges the segments tells of those that are missing.
        let skips = before.is_some_and(|before| self.skips(before, at));
        let stream = self.streams.entry(packet.stream()).or_default();
        stream.at = at;
        if let Some(Mark { cause, segment, .. }) = mark {
            stream.open.get_or_insert(Open { cause, segment, lag: self.lag, marks }).marks.1 = marks.1;
        }
        let hole = stream.hole_before(pts_ns, dts_ns);
        let explained = stream.explain(hole, self.lag);
        if let Some(Explained { open: Open { marks: (first, end), .. }, .. }) = explained {
            self.shown[first..end].fill(true);
        }
        let far = stream.start_ns.is_some() && dts_ns.saturating_sub(stream.dts_ns) > self.still_max_ns;
        let lost = (explained.is_some() || skips || far) && hole.is_some();
        let seamless = packet.is_key() || self.sounds.contains(&packet.stream()) || stream.start_ns.is_none();
        if stream.waiting.is_none() && (explained.is_some() || (skips && hole.is_some())) {
            stream.waiting = Some((explained, dts_ns));
        }
        if let Some((explained, since_ns)) = stream.waiting {
            if !seamless && dts_ns.saturating_sub(since_ns) < KEY_FRAME_MAX_NS {
                return Verdict::LeftOut;
            }
            stream.waiting = None;
            if let Some(Explained { open, from_ns, to_ns }) = explained {
                stream.lose(open, from_ns, if since_ns == dts_ns { to_ns } else { pts_ns });
            }
            stream.take((pts_ns, dts_ns), own_ns, self.lengths, true);
            return if hole.is_some() || since_ns != dts_ns { Verdict::Lost } else { Verdict::Follows };
        }
        stream.take((pts_ns, dts_ns), own_ns, self.lengths, lost);
        if lost { Verdict::Lost } else { Verdict::Follows }
    }

    /// There is no further packet.
    pub(super) fn end(&mut self) {
        let last_ns = self.streams.values().map(|stream| stream.end_ns).max().unwrap_or(0);
        let segment = self.pieces.last().map(|(index, _)| *index);
        let streams: Vec<usize> = self.streams.keys().copied().collect();
        for n in streams {
            let ((first, end), mark) = self.mark_between(self.streams[&n].at, u64::MAX);
            self.shown[first..end].fill(true);
            let Some(stream) = self.streams.get_mut(&n) else { continue };
            let told_ns = self.told.cut(n, stream.end_ns, last_ns);
            if let Some((Some(Explained { open, from_ns, .. }), _)) = stream.waiting.take() {
                stream.lose(open, from_ns, told_ns.unwrap_or(last_ns));
                continue;
            }
            let at_end = |cause, segment| Open { cause, segment, lag: 0, marks: (0, 0) };
            let open = mark.map(|Mark { cause, segment, .. }| at_end(cause, segment));
            let open = open.or(stream.open.take());
            let open = open.or(told_ns.map(|_| at_end(GapCause::Truncated, segment)));
            if let Some(open) = open {
                stream.lose(open, stream.end_ns, told_ns.unwrap_or(last_ns));
            }
        }
        self.tell_unexplained();
    }

    /// Tells without length what no stream shows by a stretch. Where one does, the others have lost nothing; and counters
    /// of a transport stream begin anew where two are joined, or belong to what nobody wants.
    fn tell_unexplained(&mut self) {
        let (shown, stream_of_packets) = (&self.shown, self.lag > 0);
        for stream in self.streams.values_mut() {
            for (open, at_ns) in std::mem::take(&mut stream.unexplained) {
                let (first, end) = open.marks;
                if first == end || (!stream_of_packets && shown[first..end].contains(&false)) {
                    stream.lose(open, at_ns, at_ns);
                }
            }
            stream.losses.sort_by_key(|loss| loss.from_ms);
        }
    }

    /// When a stream begins, in milliseconds, and what it lacks.
    pub(super) fn of_stream(&mut self, stream: usize) -> (u64, Vec<Loss>) {
        let Some(stream) = self.streams.remove(&stream) else { return (0, Vec::new()) };
        (millis(stream.start_ns.unwrap_or(0)), stream.losses)
    }

    /// The damages behind a packet at `before` and before one at `at`, and the first of them.
    fn mark_between(&self, before: u64, at: u64) -> ((usize, usize), Option<Mark>) {
        let first = self.marks.partition_point(|mark| mark.at <= before);
        let end = self.marks.partition_point(|mark| mark.at <= at).max(first);
        ((first, end), self.marks[first..end].first().copied())
    }

    /// Whether a segment that the source should have is not between two packets.
    fn skips(&self, before: u64, at: u64) -> bool {
        let index = |at: u64| self.piece_of(at).and_then(|piece| self.pieces.get(piece)).map(|(index, _)| *index);
        index(before).zip(index(at)).is_some_and(|(before, at)| before.abs_diff(at) > 1)
    }

    /// Number of the source's segment that a byte lies in.
    fn piece_of(&self, at: u64) -> Option<usize> {
        self.pieces.partition_point(|(_, first)| *first <= at).checked_sub(1)
    }
}

impl Stream {
    /// The stretch before a packet that nothing fills, in the times of decoding, or in those of presentation when it is
    /// longer than what reordered pictures leave open for a moment: some containers tell the latter only, and the former
    /// are guessed from it a few packets too late.
    fn hole_before(&self, pts_ns: i64, dts_ns: i64) -> Option<(i64, i64)> {
        if self.start_ns.is_none() {
            return Some((0, pts_ns.max(0)));
        }
        let decoded_ns = self.dts_ns.saturating_add(self.step_ns);
        let from_ns = self.end_ns.max(decoded_ns);
        let shown = if from_ns < pts_ns { (from_ns, pts_ns) } else { (decoded_ns, dts_ns) };
        let usual_ns = self.ahead_ns.min(AHEAD_STEPS_MAX * self.step_ns);
        let decoded = dts_ns.saturating_sub(decoded_ns) > self.step_ns / 2;
        let presented = pts_ns.saturating_sub(from_ns) > usual_ns + self.step_ns / 2 && self.reordered;
        (decoded || presented).then_some(shown)
    }

    /// Takes a packet, as that behind which the next one comes.
    fn take(&mut self, (pts_ns, dts_ns): (i64, i64), own_ns: i64, lengths: bool, lost: bool) {
        if self.start_ns.is_some() && !lost {
            self.ahead_ns = self.ahead_ns.max(pts_ns - self.end_ns);
            self.reordered |= pts_ns < self.end_ns - self.step_ns;
        }
        if self.start_ns.is_some() && !lost {
            self.steps.truncate(STEPS - 1);
            self.steps.push_front(dts_ns - self.dts_ns);
        }
        // A millisecond is what libavformat makes of no length at all.
        let known = lengths && own_ns > OWN_MIN_NS;
        self.step_ns = if known { own_ns } else { own_ns.max(self.usual_step_ns()) };
        self.start_ns.get_or_insert(pts_ns.max(0));
        self.end_ns = self.end_ns.max(pts_ns.saturating_add(own_ns));
        self.dts_ns = dts_ns;
    }

    /// The median, since a picture may stand for long.
    fn usual_step_ns(&self) -> i64 {
        let mut steps: Vec<i64> = self.steps.iter().copied().collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or(0)
    }

    /// The stretch that nothing fills, when there is a sign that something is lost.
    fn explain(&mut self, hole: Option<(i64, i64)>, lag: u8) -> Option<Explained> {
        let later = |left: u8| left.checked_sub(1);
        let known = self.start_ns.is_some();
        self.hole = match hole {
            Some(hole) => Some((hole, if known { lag } else { 0 })),
            None => self.hole.and_then(|(hole, left)| Some((hole, later(left)?))),
        };
        match (self.open, self.hole) {
            (Some(open), Some(((from_ns, to_ns), _))) => {
                (self.open, self.hole) = (None, None);
                Some(Explained { open, from_ns, to_ns })
            }
            (Some(open), None) => {
                self.open = later(open.lag).map(|lag| Open { lag, ..open });
                if self.open.is_none() && self.unexplained.len() < LOSSES_MAX {
                    self.unexplained.push((open, self.end_ns));
                }
                None
            }
            (None, _) => None,
        }
    }

    fn lose(&mut self, open: Open, from_ns: i64, to_ns: i64) {
        let (from_ms, to_ms) = (millis(from_ns), millis(to_ns.max(from_ns)));
        let full = self.losses.len() == LOSSES_MAX;
        match self.losses.last_mut() {
            Some(last) if full => last.to_ms = last.to_ms.max(to_ms),
            _ => self.losses.push(Loss { segment: open.segment, from_ms, to_ms, cause: open.cause }),
        }
    }
}

fn position(packet: &Packet) -> Option<u64> {
    u64::try_from(packet.position()).ok()
}

/// Rounded to the nearest.
fn millis(nanos: i64) -> u64 {
    u64::try_from(nanos.rescale(NANOS, MILLIS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream tells of packets of 100 ms (presented, decoded), before one of which something may be lost.
    fn told(packets: &[(i64, i64, bool)], lag: u8) -> Vec<(u64, u64)> {
        told_by(packets, lag, 100_000_000)
    }

    /// The same of packets that say to last so many nanoseconds.
    fn told_by(packets: &[(i64, i64, bool)], lag: u8, own_ns: i64) -> Vec<(u64, u64)> {
        let mut stream = Stream::default();
        for &(pts, dts, lost) in packets {
            let (pts_ns, dts_ns) = (pts * 1_000_000, dts * 1_000_000);
            if lost {
                stream.open = Some(Open { cause: GapCause::Damaged, segment: None, lag, marks: (0, 0) });
            }
            let hole = stream.hole_before(pts_ns, dts_ns);
            let explained = stream.explain(hole, lag);
            if let Some(Explained { open, from_ns, to_ns }) = explained {
                stream.lose(open, from_ns, to_ns);
            }
            stream.take((pts_ns, dts_ns), own_ns, true, explained.is_some());
        }
        for (open, at_ns) in std::mem::take(&mut stream.unexplained) {
            stream.lose(open, at_ns, at_ns);
        }
        stream.losses.iter().map(|loss| (loss.from_ms, loss.to_ms)).collect()
    }

    #[test]
    fn stretch_is_a_loss_when_there_is_a_sign_of_one_and_order_of_pictures_is_none() {
        let plain = |lost| [(0, 0, false), (100, 100, false), (900, 900, lost), (1000, 1000, false)];
        assert_eq!(told(&plain(true), 0), [(200, 900)]);
        assert_eq!(told(&plain(false), 0), []);
        // A sign where nothing seems to be lost.
        assert_eq!(told(&[(0, 0, false), (100, 100, true), (200, 200, false), (900, 900, false)], 0), [(100, 100)]);
        // A picture that stood for a second, or said nothing of its length.
        let still = |lost| [0, 100, 200, 1200, 1500].map(|time| (time, time, lost && time == 1500));
        assert_eq!((told(&still(true), 0), told(&still(false), 0)), (vec![(1300, 1500)], vec![]));
        assert_eq!(told_by(&still(true), 0, 0), [(1300, 1500)]);
        let reordered =
            |lost| [(100, 0, false), (400, 100, false), (200, 200, lost), (300, 300, false), (700, 400, lost)];
        assert_eq!(told(&reordered(true), 3), []);
        let holed = [(100, 0, false), (400, 100, false), (200, 200, false), (1100, 1000, true), (1400, 1100, false)];
        assert_eq!(told(&holed, 0), [(500, 1100)]);
        // Times of decoding that are guessed from those of presentation, two packets too late.
        let guessed = [(0, -200, false), (300, -100, false), (100, 0, false), (200, 100, false), (600, 200, false)];
        let behind = [(400, 300, false), (500, 400, false), (1400, 500, true), (1700, 600, false)];
        assert_eq!(told(&[&guessed[..], &behind].concat(), 0), [(700, 1400)]);
        // The sign comes a little before or behind the stretch.
        for at in 2..6 {
            let times = [0, 100, 200, 900, 1000, 1100];
            let packets: Vec<_> = (0..).zip(times).map(|(n, time)| (time, time, n == at)).collect();
            assert_eq!(told(&packets, 3), [(300, 900)], "{at}");
        }
    }
}
