//! What viewers may see: the rows of the listing, and the playlists made of them.
//!
//! A listing only grows: [`next`] says what may be appended now, and a row once appended never changes, not even
//! a gap whose segment comes after all. Playlists are a reading of the rows, so two processes cannot answer differently.
//! This is the only place that writes `#EXT`. Rules: RFC 8216.

mod render;
mod rendition;
#[cfg(test)]
mod tests;

pub use render::{Links, Multivariant, Snapshot, render_media, render_multivariant};
pub use rendition::{Rendition, Renditions, Weight, bps};

use crate::segment::{Span, Track, to_ms};
use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A difference of time stamps up to this long is rounding or priming, not a jump (milliseconds).
const JUMP_MS: u64 = 100;

/// Usual length of a segment. Players wait half a target duration between reloads of an unchanged playlist and begin
/// three behind its end, so the target is twice this and no more.
const NOMINAL_S: u32 = 2;

/// Rows that one call appends at most. They go into one transaction, which holds the recording's row: a segment whose
/// index lies far ahead of the others would else make a hundred thousand gaps in one go.
pub const APPEND_MAX: usize = 500;

/// Years are written with four digits (RFC 3339), and a row knows none before the first.
const YEARS: RangeInclusive<i32> = 1..=9999;

/// Longest target duration: the largest number that a row and every player hold. A segment of another uploader may claim to
/// last longer.
const TARGET_MAX_S: u32 = i32::MAX.unsigned_abs();

/// What a row lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListingKind {
    /// A segment that the store has.
    Media,
    /// A segment that had not come when viewers were not to wait any longer.
    Gap,
}

impl ListingKind {
    /// The word used in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            ListingKind::Media => "media",
            ListingKind::Gap => "gap",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<ListingKind> {
        [ListingKind::Media, ListingKind::Gap].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One row of the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingRow {
    /// The rendition.
    pub track: Track,
    /// Media sequence number. A hole is listed as gaps, so it always equals the index.
    pub seq: u64,
    /// Index of the segment.
    pub index: u32,
    /// Segment or gap.
    pub kind: ListingKind,
    /// Length, in units of `timescale`.
    pub duration: u64,
    /// Units per second.
    pub timescale: u32,
    /// Time stamps jump before this segment.
    pub discontinuity: bool,
    /// Wall clock of the first sample; on the first segment and after each discontinuity.
    pub program_date_time: Option<DateTime<Utc>>,
}

/// A listed row and where its segment begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The row.
    pub row: ListingRow,
    /// Place of its segment on the time axis; `None` for a gap.
    pub span: Option<Span>,
}

/// A stored segment that may be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its index.
    pub index: u32,
    /// Its place on the time axis.
    pub span: Span,
    /// Decoding can begin at its first sample.
    pub starts_with_sync: bool,
    /// When it was acknowledged.
    pub received_at: DateTime<Utc>,
}

/// The end of what is listed of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    /// Last listed index; 0 when nothing is listed.
    pub index: u32,
    /// Where the listing ends on the time axis of the track; `None` before its first segment.
    end_ms: Option<u64>,
    /// Where its last segment ends: gaps behind it have a length that is only guessed.
    media_end_ms: Option<u64>,
    /// Discontinuities so far. Both renditions must count the same at the same point.
    discontinuities: u32,
    /// The last row with a wall clock. Each discontinuity has one.
    anchor: Option<Anchor>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Anchor {
    start_ms: u64,
    at: DateTime<Utc>,
}

impl Tail {
    /// The end of `listed`, which is in order of its sequence numbers. Of a long listing it is enough to give every row
    /// with a wall clock, the last segment, and all behind it.
    pub fn of<'a>(listed: impl IntoIterator<Item = &'a Listed>) -> Tail {
        let mut tail = Tail::default();
        for Listed { row, span } in listed {
            tail.push(row, *span);
        }
        tail
    }

    fn push(&mut self, row: &ListingRow, span: Option<Span>) {
        self.index = row.index;
        self.end_ms = match span {
            Some(span) => Some(span.end_ms()),
            None => self.end_ms.map(|end_ms| end_ms.saturating_add(to_ms(row.duration, row.timescale))),
        };
        self.media_end_ms = span.map(Span::end_ms).or(self.media_end_ms);
        self.discontinuities += u32::from(row.discontinuity);
        if let (Some(at), Some(span)) = (row.program_date_time, span) {
            self.anchor = Some(Anchor { start_ms: span.start_ms(), at });
        }
    }
}

/// One track as the listing and the rows tell it.
#[derive(Debug, Clone)]
pub struct Side {
    /// Which track.
    pub track: Track,
    /// Its initialization section is in the store; nothing of it is listed before.
    pub init_stored: bool,
    /// The end of what is listed.
    pub tail: Tail,
    /// Stored segments behind the tail, ascending by index.
    pub stored: Vec<Candidate>,
    /// Indexes behind the tail that are acknowledged and on their way into the store. They are not missing: after an
    /// outage of the store each of them would else become a gap, because a later one was faster.
    pub awaited: Vec<u32>,
}

/// What to append, and when to look again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Append {
    /// New rows, each track ascending.
    pub rows: Vec<ListingRow>,
    /// When something that is held back now may be listed although nothing new comes; `None` when nothing is held back.
    pub wait_until: Option<DateTime<Utc>>,
    /// There were more than [`APPEND_MAX`] rows: append these and come back at once.
    pub more: bool,
}

enum Step {
    List(ListingRow, Option<Span>),
    Wait(DateTime<Utc>),
    Idle,
}

/// Says what viewers may see next of both tracks together. A hole is waited for `gap_after` from the moment the first
/// segment behind it came, then it is listed as gaps; what is on its way into the store is waited for without deadline.
/// A jump of the time stamps becomes a discontinuity when both tracks jump; what one track does while the other goes on
/// is a gap in its timeline and no discontinuity.
pub fn next(sides: Vec<Side>, now: DateTime<Utc>, gap_after: Duration) -> Append {
    up_to(APPEND_MAX, sides, now, gap_after)
}

/// The same with another bound. What is left continues from the tails as if there were none.
fn up_to(rows_max: usize, mut sides: Vec<Side>, now: DateTime<Utc>, gap_after: Duration) -> Append {
    let patience = TimeDelta::from_std(gap_after).unwrap_or(TimeDelta::MAX);
    let mut append = Append::default();
    loop {
        let mut moved = false;
        append.wait_until = None;
        for at in 0..sides.len() {
            let other = sides.iter().enumerate().find(|(other, _)| *other != at).map(|(_, side)| side);
            match step(&sides[at], other, now, patience) {
                Step::List(row, span) => {
                    sides[at].tail.push(&row, span);
                    append.rows.push(row);
                    moved = true;
                    if append.rows.len() >= rows_max {
                        return Append { wait_until: None, more: true, ..append };
                    }
                }
                Step::Wait(until) => {
                    append.wait_until = Some(append.wait_until.map_or(until, |known| known.min(until)))
                }
                Step::Idle => {}
            }
        }
        if !moved {
            return append;
        }
    }
}

fn behind_tail(side: &Side) -> impl Iterator<Item = &Candidate> {
    // After an outage tens of thousands may be listed in one go, each with a look behind the tail.
    let from = side.stored.partition_point(|candidate| candidate.index <= side.tail.index);
    side.stored[from..].iter()
}

fn step(side: &Side, other: Option<&Side>, now: DateTime<Utc>, patience: TimeDelta) -> Step {
    let Some(first) = behind_tail(side).next().filter(|_| side.init_stored) else { return Step::Idle };
    if first.index > side.tail.index + 1 {
        if side.awaited.contains(&(side.tail.index + 1)) {
            return Step::Idle;
        }
        let came = behind_tail(side).map(|candidate| candidate.received_at).min().unwrap_or(first.received_at);
        let until = later(came, patience);
        return if now < until { Step::Wait(until) } else { Step::List(gap(side, first), None) };
    }
    match cut(side, other, first) {
        Cut::No => Step::List(media(side, other, first, false), Some(first.span)),
        Cut::Yes => Step::List(media(side, other, first, true), Some(first.span)),
        Cut::Unknown if now < later(first.received_at, patience) => Step::Wait(later(first.received_at, patience)),
        Cut::Unknown => Step::List(media(side, other, first, true), Some(first.span)),
    }
}

/// A wait beyond the end of the calendar is one to its end.
fn later(at: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The next index as a gap: an even share of the hole, or the length of the segment behind it where a pause lies in the
/// hole too.
fn gap(side: &Side, behind: &Candidate) -> ListingRow {
    let index = side.tail.index + 1;
    let timescale = behind.span.timescale;
    let hole_ms = side.tail.end_ms.and_then(|end_ms| behind.span.start_ms().checked_sub(end_ms));
    let share_ms = hole_ms.map(|hole_ms| hole_ms / u64::from(behind.index - index));
    // Longer than that, there is a pause in the hole, which must stay a jump.
    let longest_ms = behind.span.duration_ms().saturating_mul(3) / 2;
    let duration = match share_ms {
        Some(share_ms) if (1..=longest_ms).contains(&share_ms) => share_ms.saturating_mul(u64::from(timescale)) / 1000,
        _ => behind.span.duration,
    };
    ListingRow {
        track: side.track,
        seq: u64::from(index),
        index,
        kind: ListingKind::Gap,
        duration,
        timescale,
        discontinuity: false,
        program_date_time: None,
    }
}

enum Cut {
    No,
    Yes,
    /// Only the other track can tell.
    Unknown,
}

/// Whether a discontinuity comes before `first`, at the same point of both tracks.
fn cut(side: &Side, other: Option<&Side>, first: &Candidate) -> Cut {
    let start_ms = first.span.start_ms();
    let end_ms = side.tail.end_ms;
    let jumps = end_ms.is_some_and(|end_ms| start_ms.abs_diff(end_ms) > JUMP_MS);
    let Some(other) = other.filter(|other| other.init_stored) else {
        return if jumps { Cut::Yes } else { Cut::No };
    };
    if let (true, Some(anchor)) = (other.tail.discontinuities > side.tail.discontinuities, other.tail.anchor) {
        // The other track was cut and this one not yet: here, if this is the point, whether it jumps or not.
        let ahead = side.tail.media_end_ms.is_none_or(|end_ms| anchor.start_ms.saturating_add(JUMP_MS) >= end_ms);
        if jumps || (ahead && start_ms.saturating_add(JUMP_MS) >= anchor.start_ms) {
            return Cut::Yes;
        }
    }
    let Some(end_ms) = end_ms.filter(|_| jumps) else { return Cut::No };
    // Back in time: no player goes on without being told, whatever the other track does.
    if start_ms < end_ms {
        return Cut::Yes;
    }
    let other_end_ms = other.tail.end_ms.unwrap_or(0);
    if other_end_ms.saturating_add(JUMP_MS) >= start_ms {
        return Cut::No;
    }
    let other_next = behind_tail(other).next().filter(|next| next.index == other.tail.index + 1);
    let jumps_too = other_next.is_some_and(|next| {
        let next_ms = next.span.start_ms();
        next_ms > other_end_ms.saturating_add(JUMP_MS) && next_ms > end_ms && other_end_ms < start_ms
    });
    if jumps_too { Cut::Yes } else { Cut::Unknown }
}

fn media(side: &Side, other: Option<&Side>, first: &Candidate, discontinuity: bool) -> ListingRow {
    ListingRow {
        track: side.track,
        seq: u64::from(first.index),
        index: first.index,
        kind: ListingKind::Media,
        duration: first.span.duration,
        timescale: first.span.timescale,
        discontinuity,
        program_date_time: (discontinuity || side.tail.anchor.is_none()).then(|| wall_clock(side, other, first)),
    }
}

/// Wall clock of the first sample: counted from the last known one, that both tracks stay aligned; anew at the very
/// beginning, where time stamps went back, and where they went beyond every date that a playlist can write.
fn wall_clock(side: &Side, other: Option<&Side>, first: &Candidate) -> DateTime<Utc> {
    let start_ms = first.span.start_ms();
    let theirs = other.and_then(|other| other.tail.anchor.map(|anchor| (other.tail.discontinuities, anchor)));
    let basis = match (side.tail.anchor, theirs) {
        (None, Some((_, anchor))) => Some(anchor),
        (Some(_), Some((cuts, anchor))) if cuts > side.tail.discontinuities => Some(anchor),
        (Some(anchor), _) if side.tail.end_ms.is_some_and(|end_ms| start_ms >= end_ms) => Some(anchor),
        _ => None,
    };
    let counted = basis.and_then(|anchor| {
        let since_ms = i64::try_from(i128::from(start_ms) - i128::from(anchor.start_ms)).ok()?;
        anchor.at.checked_add_signed(TimeDelta::try_milliseconds(since_ms)?).filter(is_writable)
    });
    counted.unwrap_or_else(|| {
        let length = i64::try_from(first.span.duration_ms()).ok().and_then(TimeDelta::try_milliseconds);
        let begun = length.and_then(|length| first.received_at.checked_sub_signed(length));
        begun.filter(is_writable).unwrap_or(first.received_at)
    })
}

fn is_writable(at: &DateTime<Utc>) -> bool {
    YEARS.contains(&at.year())
}

/// Whether a listed segment is longer than its playlist promised (RFC 8216, section 4.3.3.1: rounded to the nearest
/// second). It is listed all the same, since viewers would else miss it, and recorded.
pub fn is_overlong(row: &ListingRow, target_duration_s: u32) -> bool {
    let timescale = u128::from(row.timescale.max(1));
    (u128::from(row.duration) * 2 + timescale) / (2 * timescale) > u128::from(target_duration_s)
}

/// Target duration of both playlists, decided once from the first listed segment and never changed.
pub fn target_duration_s(first: Span) -> u32 {
    let ceiling_s = first.duration.div_ceil(u64::from(first.timescale.max(1)));
    u32::try_from(ceiling_s).unwrap_or(u32::MAX).clamp(2 * NOMINAL_S, TARGET_MAX_S)
}
