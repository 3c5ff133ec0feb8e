//! One recording: is it fine, what is missing, why.

mod findings;
mod overview;

pub(super) use overview::draw as overview;

use super::pen::{Pen, ink};
use super::table::{self, Cell, Column, cell};
use super::theme::{Glyph, Tone};
use crate::app::Open;
use crate::source::rows::{GapRow, RecordingView};
use crate::units;
use chrono::{DateTime, Utc};

/// Draws the tab that is open.
pub(super) fn draw(open: &Open<RecordingView>, view: &RecordingView, now: DateTime<Utc>, pen: &mut Pen<'_>) {
    match open.tab {
        0 => overview(view, open.selected, now, pen),
        1 => gaps(view, open.scroll, pen),
        _ => events(view, open.scroll, now, pen),
    }
}

const GAPS: [Column; 5] = [
    Column::fixed("TRACK", 5),
    Column::fixed("FROM", 9).right(),
    Column::fixed("LASTS", 7).right(),
    Column::wide("SEGMENTS", 9, 14).drops(1),
    Column::wide("WHY", 12, u16::MAX).drops(2),
];

/// The gaps of the newest plan, in the order of the result.
fn gaps(view: &RecordingView, scroll: usize, pen: &mut Pen<'_>) {
    if view.gaps.is_empty() {
        let text = if view.frozen_version == 0 {
            "No plan yet: gaps are known when the recording has ended and its segments were checked."
        } else {
            "No gaps: the result has every segment."
        };
        pen.line(
            2,
            1,
            &[ink(Tone::Good, pen.theme.glyph(Glyph::Check)), ink(Tone::Plain, " "), ink(Tone::Plain, text)],
        );
        return;
    }
    let dash = pen.theme.glyph(Glyph::Dash);
    let room = table::room(pen);
    let top = scroll.min(view.gaps.len().saturating_sub(room));
    let window = top..(top + room).min(view.gaps.len());
    table::draw(pen, &GAPS, window, None, |at, _| gap(&view.gaps[at], dash));
    let hidden = view.gap_count.saturating_sub(view.gaps.len());
    if hidden > 0 && view.gaps.len() < room {
        let y = u16::try_from(view.gaps.len() + 1).unwrap_or(u16::MAX);
        pen.line(2, y, &[ink(Tone::Faint, format!("and {} more", units::exact(hidden as u64)))]);
    }
}

fn gap<'a>(row: &'a GapRow, dash: &str) -> Vec<Cell<'a>> {
    let segments = match row.segments {
        Some((from, to)) if from == to => from.to_string(),
        Some((from, to)) => format!("{from}{dash}{to}"),
        None => "none".to_owned(),
    };
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    vec![
        cell(Tone::Plain, row.track.as_str()),
        cell(Tone::Strong, units::clock(ms(row.from_ms) / 1_000)),
        cell(Tone::Plain, units::short(ms(row.to_ms.saturating_sub(row.from_ms)))),
        cell(Tone::Plain, segments),
        cell(Tone::Plain, row.cause.as_str()),
    ]
}

const EVENTS: [Column; 3] =
    [Column::fixed("EVENT", 5).right(), Column::fixed("AGO", 5).right(), Column::wide("WHAT", 20, u16::MAX)];

/// What the web app was told, newest first.
fn events(view: &RecordingView, scroll: usize, now: DateTime<Utc>, pen: &mut Pen<'_>) {
    if view.events.is_empty() {
        pen.line(2, 1, &[ink(Tone::Plain, "Nothing has happened to it yet that anybody is told of.")]);
        return;
    }
    let room = table::room(pen);
    let top = scroll.min(view.events.len().saturating_sub(room));
    let window = top..(top + room).min(view.events.len());
    table::draw(pen, &EVENTS, window, None, |at, _| {
        let event = &view.events[at];
        vec![
            cell(Tone::Faint, event.seq.to_string()),
            cell(Tone::Plain, units::age((now - event.at).num_seconds())),
            cell(Tone::Strong, event.kind.as_str()),
        ]
    });
}
