//! Tables of where segments lie: copies, swapped objects, clocks that begin anew, pauses, overlaps, damaged ends.

mod clocks;
mod damaged;
mod order;
mod pauses;

use super::whole;
use crate::completeness::*;
use crate::id::Sha256;
use crate::segment::Span;
use expect_test::{Expect, expect};

/// A frame of the picture at 30 a second, and of AAC, in units of their timescales.
const FRAME: u64 = 3000;
const AAC: u64 = 1024;

/// A segment of a track as its bytes have it.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Made {
    pub(in super::super) track: Track,
    pub(in super::super) index: u32,
    /// First decode time.
    pub(in super::super) start: u64,
    pub(in super::super) samples: u32,
    /// Of which bytes: equal numbers are equal bytes.
    pub(in super::super) bytes: u64,
}

impl Made {
    pub(in super::super) fn scale(track: Track) -> (u32, u64) {
        match track {
            Track::Video => (90_000, FRAME),
            Track::Audio => (48_000, AAC),
        }
    }

    fn shape(&self) -> Shape {
        let (timescale, frame) = Made::scale(self.track);
        let end = self.start + u64::from(self.samples) * frame;
        // Sound begins with a frame of priming before 0.
        let primed = if self.track == Track::Audio { AAC as i64 } else { 0 };
        Shape {
            timescale,
            start: self.start,
            end,
            presented_from: self.start as i64 - primed,
            presented_to: end as i64 - primed,
            last_duration: frame as u32,
            samples: self.samples,
            starts_with_sync: true,
            index_sha256: Sha256::of(format!("{} {}", self.start, self.samples).as_bytes()),
        }
    }
}

/// Of six segments each: two seconds of picture, and of sound a few milliseconds more.
fn made(track: Track, index: u32) -> Made {
    let (samples, (_, frame)) = (if track == Track::Video { 60 } else { 94 }, Made::scale(track));
    let start = u64::from(index - 1) * u64::from(samples) * frame;
    Made { track, index, start, samples, bytes: u64::from(index) + 100 * track as u64 }
}

pub(super) fn seen(made: Vec<Made>, hashed: bool) -> Seen {
    let mut seen = Seen { rows: Vec::new(), objects: Vec::new(), silent_frame: Some(1024), ..whole() };
    for track in Track::ALL {
        let last_index = made.iter().filter(|made| made.track == track).map(|made| made.index).max().unwrap_or(0);
        seen.declared.as_mut().unwrap().tracks.insert(track, Last { last_index });
        seen.rows.push(super::row(track, 0, 0, 0));
    }
    for made in made {
        let shape = made.shape();
        let sha256 = hashed.then(|| Sha256::of(&made.bytes.to_be_bytes()));
        let span = Span { timescale: shape.timescale, start: shape.start, duration: shape.end - shape.start };
        let size_bytes = 1000 + made.bytes;
        let Made { track, index, .. } = made;
        seen.rows.push(Row { track, index, state: State::Stored, size_bytes, sha256, span: Some(span), defect: None });
        seen.shapes.insert((track, index), shape);
    }
    let object = |row: &Row| Object { track: row.track, index: row.index, size_bytes: row.size_bytes };
    seen.objects = seen.rows.iter().map(object).collect();
    seen
}

/// Changes what was made, then says what becomes of it: segments with their shifts, gaps and repairs.
fn check_made(change: impl Fn(&mut Vec<Made>), expected: Expect) {
    check_seen(change, |_| {}, expected);
}

fn check_seen(change: impl Fn(&mut Vec<Made>), and: impl Fn(&mut Seen), expected: Expect) {
    let told = |hashed| {
        let mut all: Vec<Made> = Track::ALL.iter().flat_map(|&track| (1..=6).map(move |n| made(track, n))).collect();
        change(&mut all);
        let mut seen = seen(all, hashed);
        and(&mut seen);
        tell(&check(&seen))
    };
    let outcome = told(true);
    assert_eq!(outcome, told(false), "with and without digests");
    expected.assert_eq(&outcome);
}

pub(super) fn tell(verdict: &Completeness) -> String {
    let (word, plan) = match verdict {
        Completeness::Complete(plan) => ("complete", plan),
        Completeness::Incomplete(plan) => ("incomplete", plan),
        Completeness::Broken(broken) => return format!("broken: {}: {broken}", broken.code()),
        Completeness::Waiting { .. } => return format!("{verdict:?}"),
    };
    let mut lines = vec![word.to_owned()];
    for track in &plan.tracks {
        let segments = track.segments.iter().map(|segment| match segment.shift {
            0 => format!("{}", segment.index),
            shift => format!("{}{shift:+}", segment.index),
        });
        lines.push(format!("{} {} {:?}", track.track, segments.collect::<Vec<_>>().join(" "), track.fill));
    }
    lines.extend(plan.gaps.iter().map(|gap| format!("gap: {}", describe(std::slice::from_ref(gap)))));
    let repair = |repair: &Repair| format!("{:?}: {} {}: {}", repair.kind, repair.track, repair.segment, repair.what);
    lines.extend(plan.repairs.iter().map(repair));
    lines.join("\n")
}

/// Moves segments of a track from an index on.
fn later(all: &mut [Made], track: Track, from: u32, units: i64) {
    let moved = all.iter_mut().filter(|made| made.track == track && made.index >= from);
    moved.for_each(|made| made.start = made.start.checked_add_signed(units).unwrap());
}

fn get(all: &mut [Made], track: Track, index: u32) -> &mut Made {
    all.iter_mut().find(|made| made.track == track && made.index == index).unwrap()
}

fn copy(all: &mut [Made], track: Track, of: u32, at: u32) {
    let Made { start, samples, bytes, .. } = *get(all, track, of);
    let copy = get(all, track, at);
    (copy.start, copy.samples, copy.bytes) = (start, samples, bytes);
}

fn swap(all: &mut [Made], track: Track, one: u32, other: u32) {
    let kept = *get(all, track, one);
    copy(all, track, other, one);
    let swapped = get(all, track, other);
    (swapped.start, swapped.samples, swapped.bytes) = (kept.start, kept.samples, kept.bytes);
}

#[test]
fn what_is_whole_needs_no_repair() {
    check_made(
        |_| {},
        expect![[r#"
        complete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold"#]],
    );
}
