//! What a source lacks, by its own signs: packets that the container calls damaged, and an end that comes before the one
//! its header tells.
//!
//! libavformat reads over most damage, and ends a file that was cut off like any other, so nobody else would notice.
//! A stretch without packets is no loss by itself: a screen on which nothing moves is recorded so.

use super::super::super::input::Input;
use super::lanes::NANOS;
use super::{LOSSES_MAX, Loss};
use domain::mux::GapCause;
use ffmpeg_next::mathematics::Rescale as _;
use ffmpeg_next::{Packet, Rational, ffi};
use std::collections::BTreeMap;

/// Milliseconds.
const MILLIS: Rational = Rational(1, 1_000);

/// Headers are rounded, and writers count the last packet or do not.
const CUT_MIN_NS: i64 = 500_000_000;

/// What was seen of a source.
#[derive(Debug)]
pub(super) struct Losses {
    /// Units of each stream's times.
    units: Vec<Rational>,
    /// Subtracted from every time, in nanoseconds.
    zero_ns: i64,
    pieces: Vec<(u32, u64)>,
    told: Told,
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

    /// How much too early an end at `end_ns` comes, when all streams together end at `last_ns`.
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
    /// How long the newest packet lasts: its own word, or the distance from the one before it.
    step_ns: i64,
    /// Byte of the newest packet, where the container tells it.
    at: u64,
    /// Something is lost behind the newest packet.
    open: Option<Open>,
    losses: Vec<Loss>,
}

/// A loss whose end is not known yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    cause: GapCause,
    segment: Option<u32>,
}

impl Losses {
    pub(super) fn of(input: &Input, zero_ns: i64, pieces: &[(u32, u64)]) -> Losses {
        let units = input.context.streams().map(|stream| stream.time_base()).collect();
        Losses { units, zero_ns, pieces: pieces.to_vec(), told: Told::of(input, zero_ns), streams: BTreeMap::new() }
    }

    /// Takes a packet that is left out because the container calls it damaged.
    pub(super) fn damaged(&mut self, packet: &Packet) {
        let segment = self.piece_at(position(packet));
        let stream = self.streams.entry(packet.stream()).or_default();
        stream.open.get_or_insert(Open { cause: GapCause::Damaged, segment });
    }

    /// Takes a packet that is kept, and says whether something is lost between it and the one before.
    pub(super) fn add(&mut self, packet: &Packet) -> bool {
        let unit = self.units.get(packet.stream()).copied().unwrap_or(MILLIS);
        let zero_ns = self.zero_ns;
        let nanos = |time: i64| time.rescale(unit, NANOS).saturating_sub(zero_ns);
        let stream = self.streams.entry(packet.stream()).or_default();
        let Some(pts_ns) = packet.pts().or(packet.dts()).map(nanos) else { return false };
        let dts_ns = packet.dts().map_or(pts_ns, nanos);
        let lost = match stream.open.take() {
            Some(open) => stream.close(open, pts_ns, dts_ns),
            None => false,
        };
        let delta_ns = if stream.start_ns.is_some() && !lost { dts_ns - stream.dts_ns } else { 0 };
        let own_ns = packet.duration().max(0).rescale(unit, NANOS);
        stream.step_ns = own_ns.max(delta_ns);
        stream.start_ns.get_or_insert(pts_ns.max(0));
        stream.end_ns = stream.end_ns.max(pts_ns.saturating_add(own_ns));
        (stream.dts_ns, stream.at) = (dts_ns, position(packet));
        lost
    }

    /// There is no further packet.
    pub(super) fn end(&mut self) {
        let last_ns = self.streams.values().map(|stream| stream.end_ns).max().unwrap_or(0);
        let segment = self.pieces.last().map(|(index, _)| *index);
        for (&n, stream) in &mut self.streams {
            let told_ns = self.told.cut(n, stream.end_ns, last_ns);
            if told_ns.is_some() {
                stream.open = Some(Open { cause: GapCause::Truncated, segment });
            }
            if let Some(open) = stream.open.take() {
                stream.lose(open, stream.end_ns, told_ns.unwrap_or(last_ns));
            }
        }
    }

    /// When a stream begins, in milliseconds, and what it lacks.
    pub(super) fn of_stream(&mut self, stream: usize) -> (u64, Vec<Loss>) {
        let Some(stream) = self.streams.remove(&stream) else { return (0, Vec::new()) };
        (millis(stream.start_ns.unwrap_or(0)), stream.losses)
    }

    /// The source's segment that a byte lies in.
    fn piece_at(&self, at: u64) -> Option<u32> {
        let behind = self.pieces.partition_point(|(_, first)| *first <= at);
        self.pieces.get(behind.saturating_sub(1)).map(|(index, _)| *index)
    }
}

impl Stream {
    /// Ends a loss at a packet. Where pictures are reordered what is presented may have no hole although what is decoded
    /// has one.
    fn close(&mut self, open: Open, pts_ns: i64, dts_ns: i64) -> bool {
        if self.start_ns.is_none() {
            // What is lost before the first packet shows in when the track begins.
            return false;
        }
        let until_ns = self.end_ns.max(self.dts_ns + self.step_ns);
        let hole = |from_ns: i64, to_ns: i64| (to_ns - from_ns > self.step_ns / 2).then_some((from_ns, to_ns));
        let shown = hole(until_ns, pts_ns);
        let Some((from_ns, to_ns)) = shown.or_else(|| hole(self.dts_ns + self.step_ns, dts_ns)) else { return false };
        self.lose(open, from_ns, to_ns);
        true
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

fn position(packet: &Packet) -> u64 {
    u64::try_from(packet.position()).unwrap_or(0)
}

/// Rounded to the nearest.
fn millis(nanos: i64) -> u64 {
    u64::try_from(nanos.rescale(NANOS, MILLIS)).unwrap_or(0)
}
