//! One track in milliseconds on the axis of the result, and the stretches of it that have no samples.

use super::axis::{Axis, Ticks};
use super::place::{Lane, Piece};
use super::view::TrackView;
use crate::mux::{GapCause, STRETCH_MS};
use crate::segment::{Shape, to_ms};
use std::collections::BTreeMap;

/// No accepted segment is longer (`segment-too-long`), so no missing one was (milliseconds).
pub(super) const SEGMENT_MAX_MS: u64 = 10_000;

/// One track on the axis of the result.
pub(super) struct Strip<'a> {
    pub(super) view: &'a TrackView,
    /// In the order of the timeline; empty when nothing of the track is there.
    pub(super) spots: Vec<Spot>,
    /// Indexes that are not in the result, and why.
    pub(super) absent: BTreeMap<u32, GapCause>,
    /// The usual length of a segment of this track: the median, as the last one is often short.
    pub(super) typical_ms: u64,
}

/// A segment on the axis of the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) index: u32,
    /// The index that a segment in this place should have.
    pub(super) slot: u32,
    pub(super) epoch: usize,
    pub(super) from_ms: u64,
    /// No further from the next one's first presentation than decoding is interrupted: what is shown in between is held
    /// on purpose, as a still screen is whose pictures are reordered.
    pub(super) to_ms: u64,
    pub(super) length_ms: u64,
    /// What a sample of it usually lasts.
    pub(super) sample_ms: u64,
    pub(super) salvaged: bool,
    /// How much of a damaged segment is lost before what is kept of it, as its neighbours tell.
    pub(super) lost_head_ms: u64,
}

impl Spot {
    /// Where the segment would begin if nothing of it were lost.
    fn begins_ms(&self) -> u64 {
        self.from_ms.saturating_sub(self.lost_head_ms)
    }
}

/// A stretch between two neighbouring segments of a track.
#[derive(Debug, Clone, Copy)]
pub(super) struct Break {
    /// Position of the segment behind the stretch.
    pub(super) position: usize,
    /// Slot before the stretch.
    pub(super) after: u32,
    /// Slot behind the stretch; all between are absent.
    pub(super) before: u32,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    /// The part that absent segments do not account for.
    pub(super) excess_ms: u64,
    /// The segment before the stretch is damaged.
    pub(super) truncated: Option<Cut>,
    /// The segment behind the stretch is damaged.
    pub(super) resumed: Option<Resumed>,
    /// The clock began anew.
    pub(super) seam: bool,
}

/// A damaged segment, the end of which may be lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) index: u32,
    /// Where it would end if it had the usual length of a segment; not before what is kept of it.
    pub(super) until_ms: u64,
    /// What is lost at its beginning lies before this, if something is.
    pub(super) headless: Option<u64>,
    /// Less than that is rounding, since its beginning is lost already.
    pub(super) least_ms: u64,
}

/// A damaged segment, the beginning of which may be lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resumed {
    pub(super) index: u32,
    /// Where it would begin; not behind what is kept of it.
    pub(super) begins_ms: u64,
    /// Less than that is rounding.
    pub(super) least_ms: u64,
}

impl Resumed {
    pub(super) fn of(spot: &Spot) -> Option<Resumed> {
        let least_ms = spot.sample_ms.max(1);
        spot.salvaged.then_some(Resumed { index: spot.index, begins_ms: spot.begins_ms(), least_ms })
    }
}

impl Break {
    pub(super) fn absent(&self) -> u32 {
        self.before - self.after - 1
    }

    /// The segment behind the stretch has lost its beginning.
    pub(super) fn is_headless(&self) -> bool {
        self.resumed.is_some_and(|resumed| resumed.begins_ms < self.to_ms)
    }

    fn length_ms(&self) -> u64 {
        self.to_ms - self.from_ms
    }

    /// The part of this stretch that a pause takes up, when `other` skips it too. Where the other track lacks segments
    /// as well, the pause is taken to be at the end of what both skip.
    pub(super) fn shared(&self, other: &Break) -> Pause {
        let (from_ms, to_ms) = (self.from_ms.max(other.from_ms), self.to_ms.min(other.to_ms));
        let length_ms = to_ms.saturating_sub(from_ms).min(self.excess_ms).min(other.excess_ms);
        Pause { from_ms: to_ms.saturating_sub(length_ms), to_ms }
    }

    /// The part of this stretch that a pause takes up, when there is no other track.
    pub(super) fn alone(&self) -> Pause {
        let damaged = u64::from(self.truncated.is_some()) + u64::from(self.is_headless());
        let missing = u64::from(self.absent()) + damaged;
        let length_ms = self.length_ms().saturating_sub(missing * SEGMENT_MAX_MS);
        Pause { from_ms: self.to_ms - length_ms, to_ms: self.to_ms }
    }
}

/// A stretch in which nobody recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

impl Pause {
    pub(super) fn length_ms(&self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms)
    }
}

/// Every track there is, on the axis that begins with the first presentation of any of them.
pub(super) fn strips<'a>(views: &'a [TrackView], lanes: &[Lane], axis: &Axis) -> Vec<Strip<'a>> {
    let begins = lanes.iter().filter_map(|lane| {
        let first = lane.pieces.first()?;
        Some(axis.place(lane.track, first.shape(), first.present.segment.shift).presented.0.max(0))
    });
    let origin = begins.min().unwrap_or(0);
    let of = |view| Strip::of(view, lanes.iter().find(|lane| lane.track == view.track), axis, origin);
    views.iter().map(of).collect()
}

impl<'a> Strip<'a> {
    fn of(view: &'a TrackView, lane: Option<&Lane>, axis: &Axis, origin: Ticks) -> Strip<'a> {
        let mut absent = view.absent.clone();
        let Some(lane) = lane else { return Strip { view, spots: Vec::new(), absent, typical_ms: 0 } };
        absent.extend(lane.copies.keys().map(|&copy| (copy, GapCause::Duplicate)));
        let place = |piece: &Piece| axis.place(lane.track, piece.shape(), piece.present.segment.shift);
        let spot = |piece: &Piece| {
            let place = place(piece);
            let (from_ms, to_ms) = (axis.ms(place.presented.0 - origin), axis.ms(place.presented.1 - origin));
            let (index, slot, epoch) = (piece.index(), piece.slot, piece.epoch);
            let (length_ms, salvaged) = (length_ms(piece.shape()), piece.present.segment.salvaged);
            let (to_ms, sample_ms) = (to_ms.max(from_ms), length_ms / u64::from(piece.shape().samples.max(1)));
            Spot { index, slot, epoch, from_ms, to_ms, length_ms, sample_ms, salvaged, lost_head_ms: 0 }
        };
        let mut spots: Vec<Spot> = lane.pieces.iter().map(spot).collect();
        for (at, pair) in lane.pieces.windows(2).enumerate() {
            let (before, behind) = (place(&pair[0]), place(&pair[1]));
            let free = (behind.decoded.0 - before.decoded.1).max(0);
            spots[at].to_ms = spots[at].to_ms.max(axis.ms(behind.presented.0 - free - origin));
        }
        let mut lengths: Vec<u64> = spots.iter().filter(|spot| !spot.salvaged).map(|spot| spot.length_ms).collect();
        lengths.sort_unstable();
        let typical_ms = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
        for at in 0..spots.len() {
            spots[at].lost_head_ms = lost_head_ms(&spots, at, typical_ms);
        }
        Strip { view, spots, absent, typical_ms }
    }

    pub(super) fn end_ms(&self) -> u64 {
        self.spots.last().map_or(0, |spot| spot.to_ms)
    }

    /// A damaged segment, the end of which may be lost.
    pub(super) fn cut(&self, spot: &Spot) -> Cut {
        let headless = (spot.lost_head_ms > 0).then_some(spot.from_ms);
        let least_ms = if headless.is_some() { spot.sample_ms.max(1) } else { 0 };
        let until_ms = spot.begins_ms().saturating_add(self.typical_ms);
        // What was lost at the beginning may have been some frames longer or shorter.
        let until_ms = if until_ms > spot.to_ms + 2 * least_ms { until_ms } else { spot.to_ms };
        Cut { index: spot.index, until_ms, headless, least_ms }
    }

    /// Every stretch that needs a word, in the order of time.
    pub(super) fn breaks(&self) -> Vec<Break> {
        let stretch = |(position, pair): (usize, &[Spot])| {
            let [left, right] = pair else { return None };
            let (from_ms, to_ms) = (left.to_ms, right.from_ms.max(left.to_ms));
            let truncated = left.salvaged.then(|| self.cut(left));
            let lacks_ms = u64::from(right.slot - left.slot - 1).saturating_mul(self.typical_ms);
            let lacks_ms = lacks_ms.saturating_add(truncated.map_or(0, |cut| cut.until_ms - left.to_ms));
            let resumed = Resumed::of(right);
            let lacks_ms = lacks_ms.saturating_add(resumed.map_or(0, |resumed| right.from_ms - resumed.begins_ms));
            let excess_ms = (to_ms - from_ms).saturating_sub(lacks_ms);
            let (after, before, seam) = (left.slot, right.slot, left.epoch != right.epoch);
            let position = position + 1;
            let known = Break { position, after, before, from_ms, to_ms, excess_ms, truncated, resumed, seam };
            let damaged = truncated.is_some() || known.is_headless();
            let told = known.absent() > 0 || seam || damaged || known.length_ms() > STRETCH_MS;
            told.then_some(known)
        };
        self.spots.windows(2).enumerate().filter_map(stretch).collect()
    }
}

/// How much of a damaged segment lies before what is kept of it. It lacks as much as it is shorter than others, and the
/// holes between it and its neighbours say where: what is not free behind it was before it. A hole of just what it lacks
/// is its own, and a longer one on the other side a pause. Without a neighbour the end is taken to be lost, as of an
/// upload that was broken off.
fn lost_head_ms(spots: &[Spot], at: usize, typical_ms: u64) -> u64 {
    let spot = &spots[at];
    if !spot.salvaged {
        return 0;
    }
    let lacks_ms = typical_ms.saturating_sub(spot.length_ms);
    let hole_ms = |left: &Spot, right: &Spot| {
        let neighbours = right.slot == left.slot + 1 && left.epoch == right.epoch;
        neighbours.then(|| right.from_ms.saturating_sub(left.to_ms))
    };
    let ahead = at.checked_sub(1).and_then(|before| hole_ms(&spots[before], spot));
    let behind = spots.get(at + 1).and_then(|next| hole_ms(spot, next));
    let is_pause = |hole_ms: u64| hole_ms > lacks_ms + STRETCH_MS;
    let is_own = |hole_ms: u64| hole_ms.abs_diff(lacks_ms) <= STRETCH_MS;
    // Segments of sound differ by a frame or two.
    let least_ms = spot.sample_ms.max(1);
    let fits = |hole_ms: u64| hole_ms >= least_ms && hole_ms.abs_diff(lacks_ms) <= 2 * least_ms;
    let lost_ms = match (ahead, behind) {
        (Some(ahead), Some(behind)) if is_own(ahead) && is_pause(behind) => ahead,
        (_, Some(behind)) if fits(behind) => 0,
        (Some(ahead), Some(behind)) => lacks_ms.saturating_sub(behind).min(ahead),
        (Some(ahead), None) if is_pause(ahead) => 0,
        (Some(ahead), None) => ahead.min(lacks_ms),
        // What is lost on one side is likelier than on both; a first segment may have begun late.
        (None, Some(behind)) if behind.saturating_mul(2) > lacks_ms => 0,
        (None, Some(behind)) => Some(lacks_ms.saturating_sub(behind)).filter(|ms| *ms > 2 * least_ms).unwrap_or(0),
        (None, None) => 0,
    };
    // Less than a sample is rounding.
    if lost_ms < least_ms { 0 } else { lost_ms }
}

/// Sum of the sample durations, rounded to the nearest.
fn length_ms(shape: &Shape) -> u64 {
    let units = shape.end.saturating_sub(shape.start);
    to_ms(units.saturating_add(u64::from(shape.timescale) / 2000), shape.timescale)
}
