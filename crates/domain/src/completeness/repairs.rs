//! What is put right on the way, told segment by segment.

use super::Seen;
use super::axis::Axis;
use super::gaps::seconds;
use super::place::{Lane, Piece};
use super::strip::{Spot, Strip};
use crate::mux::{Repair, RepairKind, STRETCH_MS};
use crate::playlist::target_duration_s;
use crate::segment::{Shape, Span, Track, to_ms};

/// Every repair, by track and then in the order of the timeline.
pub(super) fn find(seen: &Seen, lanes: &[Lane], strips: &[Strip<'_>], axis: &Axis) -> Vec<Repair> {
    let longest_s = longest_s(lanes);
    let strip = |lane: &Lane| strips.iter().find(|strip| strip.view.track == lane.track);
    let of = |lane| strip(lane).map(|strip| of_lane(seen, lane, &strip.spots, axis, longest_s));
    lanes.iter().filter_map(of).flatten().collect()
}

fn of_lane(seen: &Seen, lane: &Lane, spots: &[Spot], axis: &Axis, longest_s: u64) -> Vec<Repair> {
    let (track, silent) = (lane.track, silent_frame(seen, lane, spots));
    let mut repairs = Vec::new();
    let mut tell = |segment: u32, kind: RepairKind, what: String| repairs.push(Repair { track, segment, kind, what });
    for (&copy, original) in &lane.copies {
        tell(copy, RepairKind::DropDuplicate, format!("left out: it is a copy of segment {original}"));
    }
    for (position, piece) in lane.pieces.iter().enumerate() {
        let behind = lane.pieces.get(position + 1);
        let before = position.checked_sub(1).map(|before| &lane.pieces[before]);
        if before.is_some_and(|before| before.epoch != piece.epoch) {
            let shift_ms = to_ms(piece.present.segment.shift.unsigned_abs(), piece.shape().timescale);
            let what = format!("its clock began anew: it and those after it are moved by {} s", seconds(shift_ms));
            tell(piece.index(), RepairKind::Rebase, what);
        }
        if piece.slot != piece.index() {
            let what = format!("brought into the order of the time stamps, to the place of segment {}", piece.slot);
            tell(piece.index(), RepairKind::Sort, what);
        }
        if let Some(defect) = &piece.present.defect {
            let what = format!("its {} whole samples are kept: {defect}", piece.shape().samples);
            tell(piece.index(), RepairKind::Salvage, what);
        }
        let length_s = length_s(piece.shape());
        if length_s > longest_s {
            let what = format!("it lasts {length_s} s, longer than the {longest_s} s that a playlist promises");
            tell(piece.index(), RepairKind::Overlong, what);
        }
        let Some(behind) = behind else { continue };
        if let Some((kind, what)) =
            stretch(track, &lane.pieces[position..=position + 1], &spots[position..=position + 1], silent)
        {
            tell(piece.index(), kind, what);
        }
        if let Some(ms) = shrunk_ms(axis, track, piece, behind) {
            let what = format!("its last sample is {} s shorter: segment {} begins then", seconds(ms), behind.index());
            tell(piece.index(), RepairKind::Shrink, what);
        }
    }
    repairs
}

/// The length of a silent frame, if sound is filled with such: when a stretch that is told of holds one.
fn silent_frame(seen: &Seen, lane: &Lane, spots: &[Spot]) -> Option<u32> {
    let frame = seen.silent_frame.filter(|_| lane.track == Track::Audio)?;
    let holds = |(pieces, spots): (&[Piece], &[Spot])| {
        is_told(spots) && spots[1].from_ms - spots[0].to_ms > STRETCH_MS && free(pieces) >= i128::from(frame)
    };
    lane.pieces.windows(2).zip(spots.windows(2)).any(holds).then_some(frame)
}

/// Units between two segments in which nothing is decoded.
fn free(pair: &[Piece]) -> i128 {
    let at = |piece: &Piece, units: u64| i128::from(units) + i128::from(piece.present.segment.shift);
    let [before, behind] = pair else { return 0 };
    at(behind, behind.shape().start) - at(before, before.shape().end)
}

/// A stretch between two segments that is not stretched without a word.
fn is_told(pair: &[Spot]) -> bool {
    let [left, right] = pair else { return false };
    let ms = right.from_ms.saturating_sub(left.to_ms);
    let lost = left.salvaged || right.slot - left.slot > 1;
    ms > STRETCH_MS || (ms > 0 && lost) || (right.lost_head_ms > 0 && ms >= right.sample_ms)
}

/// What stands in a stretch without samples. Where silence fills a track, it does so from one frame on.
fn stretch(track: Track, pieces: &[Piece], spots: &[Spot], silent: Option<u32>) -> Option<(RepairKind, String)> {
    let [left, right] = spots else { return None };
    let (for_s, behind) = (seconds(right.from_ms.saturating_sub(left.to_ms)), right.index);
    if silent.is_some_and(|frame| free(pieces) >= i128::from(frame)) {
        return Some((RepairKind::Silence, format!("silence of {for_s} s behind it, until segment {behind}")));
    }
    let what = if track == Track::Audio { "sound" } else { "picture" };
    let hold = || (RepairKind::Hold, format!("its last {what} stands for {for_s} s, until segment {behind}"));
    is_told(spots).then(hold)
}

/// By how much the last sample of a segment is shortened, when that is a whole sample or more.
fn shrunk_ms(axis: &Axis, track: Track, piece: &Piece, behind: &Piece) -> Option<u64> {
    let place = |piece: &Piece| axis.place(track, piece.shape(), piece.present.segment.shift);
    let over = place(piece).decoded.1 - place(behind).decoded.0;
    let shape = piece.shape();
    let usual = shape.end.saturating_sub(shape.start) / u64::from(shape.samples.max(1));
    (over > 0 && shape.samples > 1 && over >= axis.ticks(track, i128::from(usual))).then(|| axis.ms(over))
}

/// Rounded to the nearest second, as a playlist's target counts.
fn length_s(shape: &Shape) -> u64 {
    let timescale = u64::from(shape.timescale.max(1));
    (shape.end.saturating_sub(shape.start).saturating_add(timescale / 2)) / timescale
}

/// What a playlist promises that no segment exceeds: decided by the first one.
fn longest_s(lanes: &[Lane]) -> u64 {
    let target = |piece: &Piece| {
        let Shape { timescale, start, end, .. } = *piece.shape();
        target_duration_s(Span { timescale, start, duration: end.saturating_sub(start) })
    };
    lanes.iter().filter_map(|lane| lane.pieces.first()).map(target).max().map_or(u64::MAX, u64::from)
}
