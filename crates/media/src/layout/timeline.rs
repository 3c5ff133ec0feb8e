//! The time axis of a result: one common start, exact in whole units of each track.
//!
//! Presentation time of a sample is its composition time less the edit list's `media_time`. The result begins at the
//! earliest moment at which any track is presented, not before 0, and every track is moved by that same time, so the
//! offset between picture and sound is kept. What comes before 0 is priming: its samples stay, an edit skips them.
//! Between fragments a gap stretches the sample before it, or is filled with silent frames of which the last one is
//! stretched; an overlap shorter than the sample before it shrinks that sample.

#![forbid(unsafe_code)]

use super::{Error, TrackInput};
use crate::index::{Fragment, Sample, TIME_MAX};
use crate::silence::SilentFrame;
use domain::segment::to_ms;

/// Units per second of the movie's own times. FFmpeg's 1000 would round edits to whole milliseconds.
pub const MOVIE_TIMESCALE: u32 = 90_000;

/// Longest silence of a track in all, in seconds: a day. It costs a chunk every half a second, so time stamps of a
/// stranger must not ask for more; what a plan wants beyond is held.
pub const SILENCE_SECONDS_MAX: u64 = 24 * 3600;

/// Where a fragment does not begin at the end of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Join {
    /// The fragment before it, counted over the whole track.
    pub(super) fragment: u64,
    /// Units of the track's timescale; positive over a gap. The last sample of the fragment lasts so much longer, or the
    /// last silent frame behind it.
    pub(super) delta: i64,
    /// Silent frames behind the fragment. Their own durations are not part of `delta`.
    pub(super) silent: u32,
    /// Units from the end of the fragment to the next one, negative over an overlap.
    apart: i64,
    /// Decode time of the fragment behind the join.
    tfdt: u64,
    /// Index of its segment.
    segment: u32,
}

/// What all samples of a track amount to. Times are in units of the track's timescale, moved as the plan says.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    pub(super) samples: u64,
    pub(super) payload_bytes: u64,
    /// Decode time of the first sample.
    first: u64,
    /// First unit after the last sample.
    end: u64,
    /// Earliest composition time.
    composed_from: i64,
    /// Latest composition time with the duration of its sample, over all samples.
    composed_to: i64,
    /// Where the sample with the latest composition time ends. Durations are those of decoding, so a sample that is
    /// decoded long before the next one may be shown for a moment only, and `composed_to` lie behind the end.
    shown_to: i64,
    offset_min: i32,
    offset_max: i32,
    pub(super) joins: Vec<Join>,
    /// What is inserted where a join says so.
    pub(super) silent: Option<SilentFrame>,
}

impl Timeline {
    /// Some sample is composed at another time than it is decoded.
    pub(super) fn has_offsets(&self, bias: u32) -> bool {
        i64::from(self.offset_min) + i64::from(bias) != 0 || self.offset_min != self.offset_max
    }

    /// Some sample is composed before it is decoded, even with `bias` added.
    pub(super) fn has_negative_offsets(&self, bias: u32) -> bool {
        i64::from(self.offset_min) + i64::from(bias) < 0
    }

    /// Sum of the durations in the result.
    pub(super) fn duration(&self) -> u64 {
        self.end - self.first
    }

    /// Decode time of the first sample, in units of the track's timescale.
    pub(super) fn first(&self) -> u64 {
        self.first
    }
}

/// A timeline while its fragments come one after the other.
#[derive(Debug)]
pub(super) struct Growing<'a> {
    track: &'a TrackInput,
    silent: Option<&'a SilentFrame>,
    /// Units that may still be filled with silence.
    silence_left: u64,
    timeline: Timeline,
    /// Fragments so far.
    fragments: u64,
    /// The last sample.
    last: Sample,
    /// Latest composition time.
    latest: i64,
}

impl<'a> Growing<'a> {
    /// `silent` fills gaps that it fits into.
    pub(super) fn of(track: &'a TrackInput, silent: Option<&'a SilentFrame>) -> Growing<'a> {
        let timeline = Timeline {
            samples: 0,
            payload_bytes: 0,
            first: 0,
            end: 0,
            composed_from: i64::MAX,
            composed_to: i64::MIN,
            shown_to: i64::MIN,
            offset_min: i32::MAX,
            offset_max: i32::MIN,
            joins: Vec::new(),
            silent: silent.cloned(),
        };
        let last = Sample { size_bytes: 0, duration: 0, composition_offset: 0, sync: true };
        let silence_left = SILENCE_SECONDS_MAX * u64::from(track.init.timescale);
        Growing { track, silent, silence_left, timeline, fragments: 0, last, latest: i64::MIN }
    }

    /// A fragment begins. Gives the silence before it: when it is decoded, how many frames, and which.
    pub(super) fn meet(
        &mut self,
        segment: u32,
        fragment: &Fragment<'_>,
    ) -> Result<Option<(u64, u32, &'a SilentFrame)>, Error> {
        let (before, tfdt) = (self.timeline.end, fragment.tfdt);
        self.timeline.end = fragment.end;
        self.timeline.samples += u64::from(fragment.count);
        self.timeline.payload_bytes += fragment.payload_bytes;
        self.fragments += 1;
        if self.fragments == 1 {
            self.timeline.first = tfdt;
            return Ok(None);
        }
        if tfdt == before {
            return Ok(None);
        }
        let apart = tfdt as i64 - before as i64;
        let silence = self.silence(apart);
        let (silent, silent_units) =
            silence.map_or((0, 0), |(frames, frame)| (frames, frames as i64 * i64::from(frame.duration)));
        let join = Join { fragment: self.fragments - 2, delta: apart - silent_units, silent, apart, tfdt, segment };
        self.check(&join)?;
        self.timeline.joins.push(join);
        let Some((frames, frame)) = silence else { return Ok(None) };
        self.silence_left -= apart as u64;
        self.timeline.samples += u64::from(frames);
        self.timeline.payload_bytes += u64::from(frames) * frame.bytes.len() as u64;
        // Silence is composed as the sample before it; its last frame lasts until the fragment begins.
        let long = i64::from(frame.duration) + join.delta;
        self.show(tfdt as i64 - long + i64::from(self.last.composition_offset), long);
        Ok(Some((before, frames, frame)))
    }

    /// The silent frames that a gap holds; the rest of it is shorter than one.
    fn silence(&self, apart: i64) -> Option<(u32, &'a SilentFrame)> {
        let apart = u64::try_from(apart).ok().filter(|&apart| apart <= self.silence_left)?;
        let frame = self.silent?;
        let frames = u32::try_from(apart / u64::from(frame.duration)).ok().filter(|&frames| frames > 0)?;
        Some((frames, frame))
    }

    /// What lasts longer or shorter at the join must go on lasting, and no longer than a field can say.
    fn check(&self, join: &Join) -> Result<(), Error> {
        let (init, segment) = (&self.track.init, join.segment);
        let last = if join.silent > 0 { self.silent.map_or(0, |frame| frame.duration) } else { self.last.duration };
        match i64::from(last) + join.delta {
            ..=0 => {
                let overlap_ms = to_ms(join.delta.unsigned_abs(), init.timescale);
                Err(Error::TfdtBack { track: init.track, segment, overlap_ms })
            }
            long if u32::try_from(long).is_err() => Err(Error::GapTooLong { track: init.track, segment }),
            _ => Ok(()),
        }
    }

    /// A sample that is decoded at `at`.
    pub(super) fn add(&mut self, at: u64, sample: &Sample) {
        let timeline = &mut self.timeline;
        let offset = sample.composition_offset;
        let composed = at as i64 + i64::from(offset);
        timeline.offset_min = timeline.offset_min.min(offset);
        timeline.offset_max = timeline.offset_max.max(offset);
        timeline.composed_from = timeline.composed_from.min(composed);
        self.show(composed, i64::from(sample.duration));
        self.last = *sample;
    }

    /// A sample is shown from `composed` on, as far as its own duration says.
    fn show(&mut self, composed: i64, duration: i64) {
        let end = composed + duration;
        self.timeline.composed_to = self.timeline.composed_to.max(end);
        if composed >= self.latest {
            (self.latest, self.timeline.shown_to) = (composed, end);
        }
    }

    pub(super) fn finish(self) -> Result<Timeline, Error> {
        let track = self.track.init.track;
        if self.fragments == 0 { Err(Error::Empty { track }) } else { Ok(self.timeline) }
    }
}

/// Place of one track on the common timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackTimes {
    /// When its first picture or sound is presented, in units of 1/90000 s from the start of the result.
    pub start: u64,
    /// How long it is presented, in units of 1/90000 s.
    pub duration: u64,
    /// Where in the media presentation begins, in units of the track's timescale from its first sample.
    pub media_time: u64,
    /// What is added to every composition offset, so that no sample is presented before the media begins.
    pub composition_bias: u32,
    /// Where its time stamps jump ahead, in order.
    pub jumps: Vec<Jump>,
    /// Which of the jumps are filled with silence, in order.
    pub silences: Vec<Silence>,
}

impl TrackTimes {
    /// Start in milliseconds, rounded to the nearest.
    pub fn start_ms(&self) -> u64 {
        to_ms(self.start + u64::from(MOVIE_TIMESCALE) / 2000, MOVIE_TIMESCALE)
    }

    /// Duration in milliseconds, rounded to the nearest.
    pub fn duration_ms(&self) -> u64 {
        to_ms(self.duration + u64::from(MOVIE_TIMESCALE) / 2000, MOVIE_TIMESCALE)
    }
}

/// Silence in place of sound that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Index of the segment behind it.
    pub segment: u32,
    /// Where it begins on the time axis of the result.
    pub from_ms: u64,
    /// Where it ends; the last frame lasts until then.
    pub to_ms: u64,
    /// Silent frames; at least 1.
    pub frames: u32,
}

/// A jump ahead of the time stamps, over which the sample before it is held or silence is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// Index of the segment behind the jump.
    pub segment: u32,
    /// Where it begins on the time axis of the result.
    pub from_ms: u64,
    /// Where it ends.
    pub to_ms: u64,
}

/// Moves every track by the same time, so that the earliest presentation is at 0.
pub(super) fn place(
    tracks: &[TrackInput],
    timelines: &[Timeline],
    layout_version: u32,
) -> Result<Vec<TrackTimes>, Error> {
    let starts = || tracks.iter().zip(timelines).map(|(track, timeline)| Moment::first_of(track, timeline));
    let zero = starts().min_by(Moment::compare).ok_or(Error::NoTrack)?;
    let place = |((track, timeline), start): ((&TrackInput, &Timeline), Moment)| {
        let out_of_range = Error::OutOfRange { track: track.init.track };
        // Presented from here on, in media time. Priming lies before it.
        let presented_from = start.units + i128::from(track.init.media_time);
        let before = presented_from - i128::from(timeline.first);
        let bias = (-before).max(0);
        // Layout 1 took the latest end of all.
        let end = if layout_version == 1 { timeline.composed_to } else { timeline.shown_to };
        let length = (i128::from(end) - presented_from).max(0);
        let timescale = i128::from(track.init.timescale);
        let duration = (length * i128::from(MOVIE_TIMESCALE) + timescale - 1) / timescale;
        let (jumps, silences) = jumps(track, timeline, &zero);
        let times = TrackTimes {
            start: start.since(&zero).ok_or(out_of_range.clone())?,
            duration: u64::try_from(duration).map_err(|_| out_of_range.clone())?,
            media_time: u64::try_from(before + bias).map_err(|_| out_of_range.clone())?,
            composition_bias: u32::try_from(bias).map_err(|_| out_of_range.clone())?,
            jumps,
            silences,
        };
        // So that starts, durations and their sums can be rounded and added up anywhere.
        if times.start.checked_add(times.duration).is_none_or(|end| end > TIME_MAX) {
            return Err(out_of_range);
        }
        let highest = i64::from(times.composition_bias) + i64::from(timeline.offset_max);
        if highest > i64::from(i32::MAX) { Err(out_of_range) } else { Ok(times) }
    };
    tracks.iter().zip(timelines).zip(starts()).map(place).collect()
}

/// Where the track jumps ahead, and which of the jumps are silent.
fn jumps(track: &TrackInput, timeline: &Timeline, zero: &Moment) -> (Vec<Jump>, Vec<Silence>) {
    let on_axis = |decode_time: i128| {
        let moment = Moment { units: decode_time - i128::from(track.init.media_time), ..Moment::at(track) };
        to_ms(moment.since(zero).unwrap_or(0), MOVIE_TIMESCALE)
    };
    let (mut jumps, mut silences) = (Vec::new(), Vec::new());
    for join in timeline.joins.iter().filter(|join| join.apart > 0) {
        let to = i128::from(join.tfdt);
        let (segment, from_ms, to_ms) = (join.segment, on_axis(to - i128::from(join.apart)), on_axis(to));
        jumps.push(Jump { segment, from_ms, to_ms });
        if join.silent > 0 {
            silences.push(Silence { segment, from_ms, to_ms, frames: join.silent });
        }
    }
    (jumps, silences)
}

/// A presentation time, exact.
#[derive(Debug, Clone, Copy)]
struct Moment {
    units: i128,
    timescale: i128,
}

impl Moment {
    fn at(track: &TrackInput) -> Moment {
        Moment { units: 0, timescale: i128::from(track.init.timescale) }
    }

    /// When the track is first presented, not before 0.
    fn first_of(track: &TrackInput, timeline: &Timeline) -> Moment {
        let first = i128::from(timeline.composed_from) - i128::from(track.init.media_time);
        Moment { units: first.max(0), ..Moment::at(track) }
    }

    fn compare(a: &Moment, b: &Moment) -> std::cmp::Ordering {
        (a.units * b.timescale).cmp(&(b.units * a.timescale))
    }

    /// The time since `zero` in units of the movie, rounded to the nearest.
    fn since(&self, zero: &Moment) -> Option<u64> {
        let below = self.timescale * zero.timescale;
        let above = (self.units * zero.timescale - zero.units * self.timescale) * i128::from(MOVIE_TIMESCALE);
        u64::try_from((above * 2 + below).div_euclid(below * 2)).ok()
    }
}
