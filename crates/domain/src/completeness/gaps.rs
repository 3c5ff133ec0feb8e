//! Where the timeline has no samples although it should, and for how long.
//!
//! All times are milliseconds on the axis of the result, which begins with the first presentation of any track.
//! A stretch that both tracks skip together is a pause and no gap.

use super::Declaration;
use super::strip::{Break, Pause, SEGMENT_MAX_MS, Strip};
use crate::mux::{Gap, GapCause, STRETCH_MS};
use std::fmt::Write as _;

/// Gaps named one by one in a sentence; the rest are counted, since the sentence is read by a person.
const NAMED_MAX: usize = 5;

/// Every gap, video before audio, by time.
pub(super) fn find(strips: &[Strip<'_>], declared: Option<&Declaration>) -> Vec<Gap> {
    let breaks: Vec<Vec<Break>> = strips.iter().map(Strip::breaks).collect();
    let end_ms = strips.iter().map(Strip::end_ms).max().unwrap_or(0);
    let mut gaps = Vec::new();
    for (at, strip) in strips.iter().enumerate() {
        let Some(first) = strip.spots.first() else {
            gaps.extend(runs(strip, 1, u32::MAX, 0, end_ms));
            continue;
        };
        gaps.extend(runs(strip, 1, first.slot, 0, first.from_ms));
        let others = breaks.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, breaks)| breaks.as_slice());
        let others = others.into_iter().next();
        for stretch in &breaks[at] {
            gaps.extend(unexplained(strip, stretch, others));
        }
        gaps.extend(tail(strip, end_ms, declared));
    }
    gaps
}

/// What of a break is a gap: all of it but the part that the other track skips too.
fn unexplained(strip: &Strip<'_>, stretch: &Break, others: Option<&[Break]>) -> Vec<Gap> {
    let Break { after, before, from_ms, to_ms, .. } = *stretch;
    if stretch.seam {
        return seam(strip, stretch);
    }
    let pause = pause_in(stretch, others).filter(|pause| pause.length_ms() > STRETCH_MS);
    // What lies before the pause and what lies behind it; without a pause, everything lies before it.
    let (mut head, tail) = pause.map_or(((from_ms, to_ms), (to_ms, to_ms)), |pause| {
        ((from_ms, pause.from_ms.max(from_ms)), (pause.to_ms.min(to_ms), to_ms))
    });
    let jump = |(from_ms, to_ms): (u64, u64)| {
        let cause = if stretch.resumed.is_some() { GapCause::Damaged } else { GapCause::Jump };
        let gap =
            Gap { track: strip.view.track, from_ms, to_ms, segments: stretch.resumed.into_iter().collect(), cause };
        (gap.duration_ms() > STRETCH_MS).then_some(gap)
    };
    let absent = stretch.absent();
    let mut gaps = Vec::new();
    if let Some(cut) = stretch.truncated {
        let to_ms = if absent == 0 { head.1 } else { head.1.min(cut.until_ms) };
        gaps.push(truncated(strip, cut.index, head.0, to_ms));
        head.0 = to_ms;
    }
    if absent == 0 {
        gaps.extend([head, tail].into_iter().filter_map(jump));
        return gaps;
    }
    let (head_ms, tail_ms) = (head.1 - head.0, tail.1 - tail.0);
    // The absent segments filled what is left of the stretch, so they lie on either side by its share, rounded.
    let length_ms = u128::from(head_ms) + u128::from(tail_ms);
    let ahead = (u128::from(absent) * u128::from(head_ms) * 2 + length_ms).checked_div(length_ms * 2);
    let split = after + 1 + ahead.map_or(absent, |ahead| u32::try_from(ahead).unwrap_or(absent).min(absent));
    gaps.extend(runs(strip, after + 1, split, head.0, head.1));
    gaps.extend(runs(strip, split, before, tail.0, tail.1));
    gaps
}

/// Where a clock began anew: nothing tells how long it took, but what is missing on the way is known.
fn seam(strip: &Strip<'_>, stretch: &Break) -> Vec<Gap> {
    let Break { after, before, mut from_ms, to_ms, .. } = *stretch;
    let mut gaps = Vec::new();
    if let Some(cut) = stretch.truncated {
        let cut_to_ms = to_ms.min(cut.until_ms);
        gaps.push(truncated(strip, cut.index, from_ms, cut_to_ms));
        from_ms = cut_to_ms;
    }
    if stretch.absent() > 0 {
        gaps.extend(runs(strip, after + 1, before, from_ms, to_ms));
        from_ms = to_ms;
    }
    gaps.push(Gap { track: strip.view.track, from_ms, to_ms, segments: Vec::new(), cause: GapCause::Epoch });
    gaps
}

/// A damaged segment is told of even when all its samples are whole, because nobody can tell what else it held.
fn truncated(strip: &Strip<'_>, index: u32, from_ms: u64, to_ms: u64) -> Gap {
    let cause = if from_ms < to_ms { GapCause::Truncated } else { GapCause::Damaged };
    Gap { track: strip.view.track, from_ms, to_ms, segments: vec![index], cause }
}

/// The pause in a break. A track alone skips time with every track there is; where segments are missing too, only what
/// they cannot have been is a pause.
fn pause_in(stretch: &Break, others: Option<&[Break]>) -> Option<Pause> {
    match others {
        None => Some(stretch.alone()),
        Some(others) => {
            // Breaks are in the order of time, so those that can share anything lie together.
            let from = others.partition_point(|other| other.to_ms <= stretch.from_ms);
            let near = others[from..].iter().take_while(|other| other.from_ms < stretch.to_ms);
            near.map(|other| stretch.shared(other)).max_by_key(Pause::length_ms)
        }
    }
}

/// What is missing behind the last segment: the end of a damaged one, the absent indexes, or, when nobody declared the
/// end, the time by which the track is shorter than the other one if that is a whole segment.
fn tail(strip: &Strip<'_>, end_ms: u64, declared: Option<&Declaration>) -> Vec<Gap> {
    let Some(last) = strip.spots.last() else { return Vec::new() };
    let mut from_ms = last.to_ms;
    let mut gaps = Vec::new();
    if last.salvaged {
        let to_ms = strip.until_ms(last);
        gaps.push(truncated(strip, last.index, from_ms, to_ms));
        from_ms = to_ms;
    }
    let absent = strip.absent.range(last.slot + 1..).count() as u64;
    if absent > 0 {
        let told_ms = declared.map_or(0, |declared| declared.duration_ms).max(end_ms).max(from_ms);
        let to_ms = told_ms.min(from_ms.saturating_add(absent * SEGMENT_MAX_MS));
        gaps.extend(runs(strip, last.slot + 1, u32::MAX, from_ms, to_ms));
        return gaps;
    }
    let short_ms = end_ms.saturating_sub(from_ms);
    if declared.is_none() && short_ms > STRETCH_MS && short_ms >= strip.typical_ms / 10 * 9 {
        let (track, segments) = (strip.view.track, Vec::new());
        gaps.push(Gap { track, from_ms, to_ms: end_ms, segments, cause: GapCause::Missing });
    }
    gaps
}

/// One gap for each run of absent indexes of one cause in `first..before`, the time shared out evenly among them.
fn runs(strip: &Strip<'_>, first: u32, before: u32, from_ms: u64, to_ms: u64) -> Vec<Gap> {
    let absent: Vec<(u32, GapCause)> =
        strip.absent.range(first..before).map(|(index, cause)| (*index, *cause)).collect();
    let total = absent.len() as u128;
    let at = |position: usize| {
        let share = u128::from(to_ms - from_ms) * position as u128 / total.max(1);
        from_ms + u64::try_from(share).unwrap_or(u64::MAX)
    };
    let mut position = 0;
    let run = |run: &[(u32, GapCause)]| {
        let (from_ms, to_ms) = (at(position), at(position + run.len()));
        position += run.len();
        let segments = run.iter().map(|(index, _)| *index).collect();
        Gap { track: strip.view.track, from_ms, to_ms, segments, cause: run[0].1 }
    };
    absent.chunk_by(|left, right| left.1 == right.1).map(run).collect()
}

/// The largest share of a track that is missing, by time and by number of segments, 0.0 to 1.0.
pub(super) fn share(strips: &[Strip<'_>], gaps: &[Gap]) -> f64 {
    let end_ms = strips.iter().map(Strip::end_ms).max().unwrap_or(0);
    let total_ms = gaps.iter().map(|gap| gap.to_ms).max().unwrap_or(0).max(end_ms);
    let of_track = |strip: &Strip<'_>| {
        let of_gaps = gaps.iter().filter(|gap| gap.track == strip.view.track).map(Gap::duration_ms);
        let missing_ms = of_gaps.fold(0, u64::saturating_add);
        let all = strip.absent.len() + strip.spots.len();
        let by_number = strip.absent.len() as f64 / all.max(1) as f64;
        (missing_ms as f64 / total_ms.max(1) as f64).max(by_number)
    };
    strips.iter().map(of_track).fold(0.0, f64::max).min(1.0)
}

/// Gaps in words: which segments, from when to when, and why.
pub fn describe(gaps: &[Gap]) -> String {
    let mut text = String::new();
    for (position, gap) in gaps.iter().take(NAMED_MAX).enumerate() {
        let separator = if position == 0 { "" } else { "; " };
        let _ = write!(text, "{separator}{}", sentence(gap));
    }
    if gaps.len() > NAMED_MAX {
        let _ = write!(text, "; and {} more", gaps.len() - NAMED_MAX);
    }
    text
}

fn sentence(gap: &Gap) -> String {
    let Gap { track, from_ms, to_ms, segments, cause } = gap;
    let what = match (segments.first(), segments.last()) {
        (Some(first), Some(last)) if first != last => format!("{track} segments {first} to {last}"),
        (Some(only), _) => format!("{track} segment {only}"),
        (None, _) => format!("{track}"),
    };
    let why = match cause {
        GapCause::Missing if segments.is_empty() => "ends early",
        GapCause::Missing => "never came",
        GapCause::Lost => "lost before the store had it",
        GapCause::Damaged => "damaged",
        GapCause::Jump => "skips time",
        GapCause::Truncated => "is cut off",
        GapCause::Duplicate => "is a copy of one before it",
        GapCause::Epoch => "begins its clock anew",
        GapCause::Corrupt => "cannot be decoded",
    };
    format!("{what} {why} ({} s to {} s)", seconds(*from_ms), seconds(*to_ms))
}

/// Milliseconds as seconds, for a person.
pub(super) fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
