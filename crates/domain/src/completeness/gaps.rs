//! Where the timeline has no samples although it should, and for how long.
//!
//! All times are milliseconds on the axis of the result, which begins with the first presentation of any track.
//! A stretch that both tracks skip together is a pause and no gap.

use super::Declaration;
use super::strip::{Break, Cut, Pause, Resumed, SEGMENT_MAX_MS, Strip};
use crate::mux::{Gap, GapCause, STRETCH_MS};
use crate::segment::Track;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

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
            gaps.extend(strip.absent.is_empty().then(|| never(strip.view.track, 0, end_ms)));
            continue;
        };
        let mut head = (0, first.from_ms);
        let lost = Resumed::of(first).and_then(|first| beginning(strip, &first, &mut head));
        gaps.extend(head_runs(strip, first.slot, head.1));
        gaps.extend(lost);
        let others = breaks.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, breaks)| breaks.as_slice());
        let others = others.into_iter().next();
        for stretch in &breaks[at] {
            gaps.extend(unexplained(strip, stretch, others));
        }
        gaps.extend(tail(strip, end_ms, declared));
    }
    without_repeats(gaps)
}

/// A damaged segment is told of once if one of its ends is lost, twice if both are, and without a length only if neither is.
fn without_repeats(mut gaps: Vec<Gap>) -> Vec<Gap> {
    let alone = |gap: &Gap| match &*gap.segments {
        [only] => Some((gap.track, *only)),
        _ => None,
    };
    let has_length = |gap: &&Gap| gap.cause == GapCause::Damaged && gap.duration_ms() > 0;
    let told: BTreeSet<_> = gaps.iter().filter(has_length).filter_map(alone).collect();
    let is_repeat = |gap: &Gap| {
        gap.cause == GapCause::Damaged && gap.duration_ms() == 0 && alone(gap).is_some_and(|gap| told.contains(&gap))
    };
    gaps.retain(|gap| !is_repeat(gap));
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
    let (mut head, mut tail) = pause.map_or(((from_ms, to_ms), (to_ms, to_ms)), |pause| {
        ((from_ms, pause.from_ms.max(from_ms)), (pause.to_ms.min(to_ms), to_ms))
    });
    let absent = stretch.absent();
    let mut gaps = Vec::new();
    if let Some(cut) = stretch.truncated {
        let is_all_its_own = absent == 0 && !stretch.is_headless();
        let to_ms = if is_all_its_own { head.1 } else { head.1.min(cut.until_ms) };
        gaps.push(truncated(strip, &cut, head.0, to_ms));
        head.0 = to_ms;
    }
    if absent == 0 {
        gaps.extend([head, tail].into_iter().filter_map(|stretch_ms| jump(strip, stretch, stretch_ms)));
        return gaps;
    }
    let last = if tail.0 < tail.1 { &mut tail } else { &mut head };
    let lost = stretch.resumed.and_then(|resumed| beginning(strip, &resumed, last));
    let (head_ms, tail_ms) = (head.1 - head.0, tail.1 - tail.0);
    // The absent segments filled what is left of the stretch, so they lie on either side by its share, rounded.
    let length_ms = u128::from(head_ms) + u128::from(tail_ms);
    let ahead = (u128::from(absent) * u128::from(head_ms) * 2 + length_ms).checked_div(length_ms * 2);
    let split = after + 1 + ahead.map_or(absent, |ahead| u32::try_from(ahead).unwrap_or(absent).min(absent));
    gaps.extend(runs(strip, after + 1, split, head.0, head.1));
    gaps.extend(runs(strip, split, before, tail.0, tail.1));
    gaps.extend(lost);
    gaps
}

/// A stretch between neighbours: the lost beginning of the one behind it if that is damaged, else a jump of the time stamps.
fn jump(strip: &Strip<'_>, stretch: &Break, (from_ms, to_ms): (u64, u64)) -> Option<Gap> {
    let cause = if stretch.resumed.is_some() { GapCause::Damaged } else { GapCause::Jump };
    let segments = stretch.resumed.iter().map(|resumed| resumed.index).collect();
    let gap = Gap { track: strip.view.track, from_ms, to_ms, segments, cause };
    let headless = stretch.resumed.filter(|_| stretch.is_headless());
    let is_lost = headless.is_some_and(|resumed| gap.duration_ms() >= resumed.least_ms);
    (gap.duration_ms() > STRETCH_MS || is_lost).then_some(gap)
}

/// The lost beginning of a damaged segment at the end of a stretch, which is shortened by it.
fn beginning(strip: &Strip<'_>, resumed: &Resumed, stretch_ms: &mut (u64, u64)) -> Option<Gap> {
    let (from_ms, to_ms) = (resumed.begins_ms.clamp(stretch_ms.0, stretch_ms.1), stretch_ms.1);
    if to_ms - from_ms < resumed.least_ms {
        return None;
    }
    stretch_ms.1 = from_ms;
    Some(Gap { track: strip.view.track, from_ms, to_ms, segments: vec![resumed.index], cause: GapCause::Damaged })
}

/// Where a clock began anew: nothing tells how long it took, but what is missing on the way is known.
fn seam(strip: &Strip<'_>, stretch: &Break) -> Vec<Gap> {
    let Break { after, before, from_ms, to_ms, .. } = *stretch;
    let mut rest = (from_ms, to_ms);
    let mut gaps = Vec::new();
    if let Some(cut) = stretch.truncated {
        let cut_to_ms = to_ms.min(cut.until_ms);
        gaps.push(truncated(strip, &cut, from_ms, cut_to_ms));
        rest.0 = cut_to_ms;
    }
    let lost = stretch.resumed.and_then(|resumed| beginning(strip, &resumed, &mut rest));
    if stretch.absent() > 0 {
        gaps.extend(runs(strip, after + 1, before, rest.0, rest.1));
        rest.0 = rest.1;
    }
    let (from_ms, to_ms) = rest;
    gaps.push(Gap { track: strip.view.track, from_ms, to_ms, segments: Vec::new(), cause: GapCause::Epoch });
    gaps.extend(lost);
    gaps
}

/// A damaged segment is told of even when all its samples are whole, because nobody can tell what else it held; where it
/// begins if what it lost there lies before the result.
fn truncated(strip: &Strip<'_>, cut: &Cut, from_ms: u64, to_ms: u64) -> Gap {
    let (track, segments) = (strip.view.track, vec![cut.index]);
    if from_ms < to_ms && to_ms - from_ms >= cut.least_ms {
        return Gap { track, from_ms, to_ms, segments, cause: GapCause::Truncated };
    }
    let at_ms = cut.headless.unwrap_or(from_ms);
    Gap { track, from_ms: at_ms, to_ms: at_ms, segments, cause: GapCause::Damaged }
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
        let cut = strip.cut(last);
        gaps.push(truncated(strip, &cut, from_ms, cut.until_ms));
        from_ms = cut.until_ms;
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
        gaps.push(never(strip.view.track, from_ms, end_ms));
    }
    gaps
}

/// Nobody said that a segment should be there, and the other track goes on.
fn never(track: Track, from_ms: u64, to_ms: u64) -> Gap {
    Gap { track, from_ms, to_ms, segments: Vec::new(), cause: GapCause::Missing }
}

/// One gap for each run of absent indexes of one cause in `first..before`, the time shared out evenly among them.
fn runs(strip: &Strip<'_>, first: u32, before: u32, from_ms: u64, to_ms: u64) -> Vec<Gap> {
    runs_from(strip, first..before, i128::from(from_ms), to_ms)
}

/// The same before the first segment: the result may begin in the midst of what is absent.
fn head_runs(strip: &Strip<'_>, before: u32, to_ms: u64) -> Vec<Gap> {
    let absent = strip.absent.range(1..before).count() as u64;
    let usual_ms = i128::from(absent) * i128::from(strip.typical_ms);
    runs_from(strip, 1..before, (i128::from(to_ms) - usual_ms).min(0), to_ms)
}

fn runs_from(strip: &Strip<'_>, indexes: Range<u32>, from_ms: i128, to_ms: u64) -> Vec<Gap> {
    let absent: Vec<(u32, GapCause)> = strip.absent.range(indexes).map(|(index, cause)| (*index, *cause)).collect();
    let total = absent.len() as i128;
    let at = |position: usize| {
        let share = (i128::from(to_ms) - from_ms) * position as i128 / total.max(1);
        u64::try_from((from_ms + share).max(0)).unwrap_or(u64::MAX)
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
    // Of a track that was begun and got no segment nobody knows that there was ever more.
    let recorded = strips.iter().filter(|strip| strip.absent.len() + strip.spots.len() > 0);
    let of_track = |strip: &Strip<'_>| {
        let of_gaps = gaps.iter().filter(|gap| gap.track == strip.view.track).map(Gap::duration_ms);
        let missing_ms = of_gaps.fold(0, u64::saturating_add);
        let all = strip.absent.len() + strip.spots.len();
        let by_number = strip.absent.len() as f64 / all.max(1) as f64;
        (missing_ms as f64 / total_ms.max(1) as f64).max(by_number)
    };
    recorded.map(of_track).fold(0.0, f64::max).min(1.0)
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
        GapCause::Missing if segments.is_empty() && *from_ms > 0 => "ends early",
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
