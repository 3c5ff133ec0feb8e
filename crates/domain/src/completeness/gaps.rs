//! Where the timeline has no samples although it should, and for how long.
//!
//! All times are milliseconds on the common axis of the recording, which begins with the first sample of any track.
//! A stretch that both tracks skip together is a pause and no gap.

use super::{Declaration, TrackView};
use crate::mux::{Gap, GapCause};
use crate::segment::Span;
use std::fmt::Write as _;

/// A jump up to this long is rounding, priming or a late frame, not a gap (milliseconds).
const JUMP_MS: u64 = 100;

/// No accepted segment is longer (`segment-too-long`), so no missing one was (milliseconds).
const SEGMENT_MAX_MS: u64 = 10_000;

/// Gaps named one by one in a sentence; the rest are counted, since the sentence is read by a person.
const NAMED_MAX: usize = 5;

/// A stretch between two neighbouring segments of a track.
#[derive(Debug, Clone, Copy)]
struct Break {
    /// Index before the stretch.
    after: u32,
    /// Index behind the stretch; all between are absent.
    before: u32,
    from_ms: u64,
    to_ms: u64,
    /// The part that absent segments do not account for.
    excess_ms: u64,
}

impl Break {
    fn length_ms(&self) -> u64 {
        self.to_ms - self.from_ms
    }

    /// The part of this stretch that a pause takes up, when `other` skips it too. Where the other track lacks segments
    /// as well, the pause is taken to be at the end of what both skip.
    fn shared(&self, other: &Break) -> Pause {
        let (from_ms, to_ms) = (self.from_ms.max(other.from_ms), self.to_ms.min(other.to_ms));
        let length_ms = to_ms.saturating_sub(from_ms).min(self.excess_ms).min(other.excess_ms);
        Pause { from_ms: to_ms.saturating_sub(length_ms), to_ms }
    }
}

/// A stretch in which nobody recorded.
#[derive(Debug, Clone, Copy)]
struct Pause {
    from_ms: u64,
    to_ms: u64,
}

impl Pause {
    fn length_ms(&self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms)
    }
}

/// Every gap, video before audio, by time.
pub(super) fn find(views: &[TrackView], declared: Option<&Declaration>) -> Vec<Gap> {
    let origin_ms = views.iter().filter_map(first_ms).min().unwrap_or(0);
    let breaks: Vec<Vec<Break>> = views.iter().map(|view| breaks(view, origin_ms)).collect();
    let end_ms = views.iter().filter_map(last_ms).max().unwrap_or(0).saturating_sub(origin_ms);
    let mut gaps = Vec::new();
    for (at, view) in views.iter().enumerate() {
        let Some((first, start_ms)) =
            view.present.first_key_value().map(|(index, (_, span))| (*index, span.start_ms()))
        else {
            gaps.extend(runs(view, 1, u32::MAX, 0, end_ms));
            continue;
        };
        gaps.extend(runs(view, 1, first, 0, start_ms - origin_ms));
        let others = breaks.iter().enumerate().find(|(other, _)| *other != at).map(|(_, breaks)| breaks.as_slice());
        for stretch in &breaks[at] {
            gaps.extend(unexplained(view, stretch, others));
        }
        gaps.extend(tail(view, origin_ms, end_ms, declared));
    }
    gaps
}

fn first_ms(view: &TrackView) -> Option<u64> {
    view.present.first_key_value().map(|(_, (_, span))| span.start_ms())
}

fn last_ms(view: &TrackView) -> Option<u64> {
    view.present.last_key_value().map(|(_, (_, span))| span.end_ms())
}

/// The usual length of a segment of this track: the median, as the last one is often short.
fn typical_ms(view: &TrackView) -> u64 {
    let mut lengths: Vec<u64> = view.present.values().map(|(_, span)| span.duration_ms()).collect();
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied().unwrap_or(0)
}

fn breaks(view: &TrackView, origin_ms: u64) -> Vec<Break> {
    let typical_ms = typical_ms(view);
    let spans: Vec<_> = view.present.iter().map(|(index, (_, span))| (*index, *span)).collect();
    let stretch = |pair: &[(u32, Span)]| {
        let [(after, left), (before, right)] = pair else { return None };
        let from_ms = left.end_ms().saturating_sub(origin_ms);
        let to_ms = right.start_ms().saturating_sub(origin_ms).max(from_ms);
        let absent_ms = u64::from(before - after - 1).saturating_mul(typical_ms);
        let excess_ms = (to_ms - from_ms).saturating_sub(absent_ms);
        let known = Break { after: *after, before: *before, from_ms, to_ms, excess_ms };
        (before - after > 1 || known.length_ms() > JUMP_MS).then_some(known)
    };
    spans.windows(2).filter_map(stretch).collect()
}

/// What of a break is a gap: all of it but the part that the other track skips too.
fn unexplained(view: &TrackView, stretch: &Break, others: Option<&[Break]>) -> Vec<Gap> {
    let pause = pause_in(stretch, others).filter(|pause| pause.length_ms() > JUMP_MS);
    let Break { after, before, from_ms, to_ms, .. } = *stretch;
    // What lies before the pause and what lies behind it; without a pause, everything lies before it.
    let (head, tail) = pause.map_or(((from_ms, to_ms), (to_ms, to_ms)), |pause| {
        ((from_ms, pause.from_ms.max(from_ms)), (pause.to_ms.min(to_ms), to_ms))
    });
    let (head_ms, tail_ms) = (head.1 - head.0, tail.1 - tail.0);
    let absent = before - after - 1;
    if absent == 0 {
        let jump = |(from_ms, to_ms): (u64, u64)| {
            let gap = Gap { track: view.track, from_ms, to_ms, segments: Vec::new(), cause: GapCause::Jump };
            (gap.duration_ms() > JUMP_MS).then_some(gap)
        };
        return [head, tail].into_iter().filter_map(jump).collect();
    }
    // The absent segments filled what is left of the stretch, so they lie on either side by its share, rounded.
    let length_ms = u128::from(head_ms) + u128::from(tail_ms);
    let ahead = (u128::from(absent) * u128::from(head_ms) * 2 + length_ms).checked_div(length_ms * 2);
    let split = after + 1 + ahead.map_or(absent, |ahead| u32::try_from(ahead).unwrap_or(absent).min(absent));
    [runs(view, after + 1, split, head.0, head.1), runs(view, split, before, tail.0, tail.1)].concat()
}

/// The pause in a break. A track alone skips time with every track there is; where segments are missing too, only what
/// they cannot have been is a pause.
fn pause_in(stretch: &Break, others: Option<&[Break]>) -> Option<Pause> {
    let Some(others) = others else {
        let absent = u64::from(stretch.before - stretch.after - 1);
        let length_ms = stretch.length_ms().saturating_sub(absent * SEGMENT_MAX_MS);
        return Some(Pause { from_ms: stretch.to_ms - length_ms, to_ms: stretch.to_ms });
    };
    others.iter().map(|other| stretch.shared(other)).max_by_key(Pause::length_ms)
}

/// What is missing behind the last segment: the absent indexes, or, when nobody declared the end, the time by which
/// the track is shorter than the other one if that is a whole segment.
fn tail(view: &TrackView, origin_ms: u64, end_ms: u64, declared: Option<&Declaration>) -> Vec<Gap> {
    let Some((last, (_, span))) = view.present.last_key_value() else { return Vec::new() };
    let from_ms = span.end_ms().saturating_sub(origin_ms);
    let absent = view.absent.range(last + 1..).count() as u64;
    if absent > 0 {
        let told_ms = declared.map_or(0, |declared| declared.duration_ms).max(end_ms).max(from_ms);
        return runs(view, last + 1, u32::MAX, from_ms, told_ms.min(from_ms.saturating_add(absent * SEGMENT_MAX_MS)));
    }
    let short_ms = end_ms.saturating_sub(from_ms);
    if declared.is_some() || short_ms <= JUMP_MS || short_ms < typical_ms(view) / 10 * 9 {
        return Vec::new();
    }
    vec![Gap { track: view.track, from_ms, to_ms: end_ms, segments: Vec::new(), cause: GapCause::Missing }]
}

/// One gap for each run of absent indexes of one cause in `first..before`, the time shared out evenly among them.
fn runs(view: &TrackView, first: u32, before: u32, from_ms: u64, to_ms: u64) -> Vec<Gap> {
    let absent: Vec<(u32, GapCause)> =
        view.absent.range(first..before).map(|(index, cause)| (*index, *cause)).collect();
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
        Gap { track: view.track, from_ms, to_ms, segments, cause: run[0].1 }
    };
    absent.chunk_by(|left, right| left.1 == right.1).map(run).collect()
}

/// The largest share of a track that is missing, by time and by number of segments, 0.0 to 1.0.
pub(super) fn share(views: &[TrackView], gaps: &[Gap]) -> f64 {
    let origin_ms = views.iter().filter_map(first_ms).min().unwrap_or(0);
    let end_ms = views.iter().filter_map(last_ms).max().unwrap_or(0).saturating_sub(origin_ms);
    let total_ms = gaps.iter().map(|gap| gap.to_ms).max().unwrap_or(0).max(end_ms);
    let of_track = |view: &TrackView| {
        let of_gaps = gaps.iter().filter(|gap| gap.track == view.track).map(Gap::duration_ms);
        let missing_ms = of_gaps.fold(0, u64::saturating_add);
        let all = view.absent.len() + view.present.len();
        let by_number = view.absent.len() as f64 / all.max(1) as f64;
        (missing_ms as f64 / total_ms.max(1) as f64).max(by_number)
    };
    views.iter().map(of_track).fold(0.0, f64::max).min(1.0)
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
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    format!("{what} {why} ({} s to {} s)", seconds(*from_ms), seconds(*to_ms))
}
