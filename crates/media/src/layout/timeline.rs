//! The time axis of a result: one common start, exact in whole units of each track.
//!
//! Presentation time of a sample is its composition time less the edit list's `media_time`. The result begins at the
//! earliest moment at which any track is presented, not before 0, and every track is moved by that same time, so the
//! offset between picture and sound is kept. What comes before 0 is priming: its samples stay, an edit skips them.
//! Between fragments a gap stretches the sample before it, and an overlap shorter than that sample shrinks it.

#![forbid(unsafe_code)]

use super::{Error, SegmentInput, TrackInput};
use crate::index::{Fragment, TIME_MAX};
use domain::segment::to_ms;

/// Units per second of the movie's own times. FFmpeg's 1000 would round edits to whole milliseconds.
pub const MOVIE_TIMESCALE: u32 = 90_000;

/// A change of the last duration before a fragment, so that the fragment begins when it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Join {
    /// The fragment whose last sample changes, counted over the whole track.
    pub(super) fragment: u64,
    /// Units of the track's timescale; positive over a gap.
    pub(super) delta: i64,
    /// Decode time of the fragment behind the join.
    tfdt: u64,
    /// Index of its segment.
    segment: u32,
}

/// What all samples of a track amount to. Times are in units of the track's timescale, as the segments have them.
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
    /// Latest composition time with the duration of its sample.
    composed_to: i64,
    offset_min: i32,
    offset_max: i32,
    pub(super) joins: Vec<Join>,
}

impl Timeline {
    pub(super) fn of(track: &TrackInput) -> Result<Timeline, Error> {
        let mut timeline: Option<Timeline> = None;
        let (mut ordinal, mut last_duration) = (0u64, 0i64);
        for segment in &track.segments {
            for fragment in track.reader(segment)?.fragments() {
                check_ranges(track, segment, &fragment)?;
                let timeline = timeline.get_or_insert_with(|| Timeline::starting(fragment.tfdt));
                if ordinal > 0 && fragment.tfdt != timeline.end {
                    let (tfdt, delta) = (fragment.tfdt, fragment.tfdt as i64 - timeline.end as i64);
                    let join = Join { fragment: ordinal - 1, delta, tfdt, segment: segment.index };
                    timeline.join(track, join, last_duration)?;
                }
                last_duration = timeline.add(&fragment);
                ordinal += 1;
            }
        }
        timeline.ok_or(Error::Empty { track: track.init.track })
    }

    fn starting(first: u64) -> Timeline {
        let (composed_from, composed_to) = (i64::MAX, i64::MIN);
        let (samples, payload_bytes, end, joins) = (0, 0, first, Vec::new());
        let (offset_min, offset_max) = (i32::MAX, i32::MIN);
        Timeline { samples, payload_bytes, first, end, composed_from, composed_to, offset_min, offset_max, joins }
    }

    /// Some sample is composed at another time than it is decoded.
    pub(super) fn has_offsets(&self, bias: u32) -> bool {
        i64::from(self.offset_min) + i64::from(bias) != 0 || self.offset_min != self.offset_max
    }

    /// Some sample is composed before it is decoded, even with `bias` added.
    pub(super) fn has_negative_offsets(&self, bias: u32) -> bool {
        i64::from(self.offset_min) + i64::from(bias) < 0
    }

    /// Decode time of the first sample.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Sum of the durations in the result.
    pub(super) fn duration(&self) -> u64 {
        self.end - self.first
    }

    fn join(&mut self, track: &TrackInput, join: Join, last_duration: i64) -> Result<(), Error> {
        let (timescale, track, segment) = (track.init.timescale, track.init.track, join.segment);
        match last_duration + join.delta {
            ..=0 => {
                return Err(Error::TfdtBack {
                    track,
                    segment,
                    overlap_ms: to_ms(join.delta.unsigned_abs(), timescale),
                });
            }
            long if u32::try_from(long).is_err() => return Err(Error::GapTooLong { track, segment }),
            _ => {}
        }
        self.joins.push(join);
        Ok(())
    }

    /// Adds a fragment and gives the duration of its last sample.
    fn add(&mut self, fragment: &Fragment<'_>) -> i64 {
        let mut at = fragment.tfdt as i64;
        let mut last = 0;
        for sample in fragment.samples() {
            last = i64::from(sample.duration);
            let composed = at + i64::from(sample.composition_offset);
            self.offset_min = self.offset_min.min(sample.composition_offset);
            self.offset_max = self.offset_max.max(sample.composition_offset);
            self.composed_from = self.composed_from.min(composed);
            self.composed_to = self.composed_to.max(composed + last);
            at += last;
        }
        self.samples += u64::from(fragment.count);
        self.payload_bytes += fragment.payload_bytes;
        self.end = fragment.end;
        last
    }
}

fn check_ranges(track: &TrackInput, segment: &SegmentInput, fragment: &Fragment<'_>) -> Result<(), Error> {
    let inside = fragment.ranges().all(|range| range.offset + range.len <= segment.size_bytes);
    if inside { Ok(()) } else { Err(Error::OutsideSegment { track: track.init.track, segment: segment.index }) }
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

/// A jump ahead of the time stamps, over which the sample before it is held.
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
pub(super) fn place(tracks: &[TrackInput], timelines: &[Timeline]) -> Result<Vec<TrackTimes>, Error> {
    let starts = || tracks.iter().zip(timelines).map(|(track, timeline)| Moment::first_of(track, timeline));
    let zero = starts().min_by(Moment::compare).ok_or(Error::NoTrack)?;
    let place = |((track, timeline), start): ((&TrackInput, &Timeline), Moment)| {
        let out_of_range = Error::OutOfRange { track: track.init.track };
        // Presented from here on, in media time. Priming lies before it.
        let presented_from = start.units + i128::from(track.init.media_time);
        let before = presented_from - i128::from(timeline.first);
        let bias = (-before).max(0);
        let length = (i128::from(timeline.composed_to) - presented_from).max(0);
        let timescale = i128::from(track.init.timescale);
        let duration = (length * i128::from(MOVIE_TIMESCALE) + timescale - 1) / timescale;
        let times = TrackTimes {
            start: start.since(&zero).ok_or(out_of_range.clone())?,
            duration: u64::try_from(duration).map_err(|_| out_of_range.clone())?,
            media_time: u64::try_from(before + bias).map_err(|_| out_of_range.clone())?,
            composition_bias: u32::try_from(bias).map_err(|_| out_of_range.clone())?,
            jumps: jumps(track, timeline, &zero),
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

fn jumps(track: &TrackInput, timeline: &Timeline, zero: &Moment) -> Vec<Jump> {
    let on_axis = |decode_time: i128| {
        let moment = Moment { units: decode_time - i128::from(track.init.media_time), ..Moment::at(track) };
        to_ms(moment.since(zero).unwrap_or(0), MOVIE_TIMESCALE)
    };
    let ahead = timeline.joins.iter().filter(|join| join.delta > 0);
    let jump = |join: &Join| {
        let to = i128::from(join.tfdt);
        Jump { segment: join.segment, from_ms: on_axis(to - i128::from(join.delta)), to_ms: on_axis(to) }
    };
    ahead.map(jump).collect()
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
