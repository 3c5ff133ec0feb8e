//! The list of recordings: what is wrong stands first and says why.

use super::pen::{Pen, ink};
use super::table::{self, Cell, Column, cell};
use super::theme::{Glyph, Theme, Tone};
use super::{notice, now, recording, text, timeline, wall, words};
use crate::app::App;
use crate::source::rows::RecordingRow;
use crate::units;
use crate::verdict::{self, Weight};
use chrono::{DateTime, Utc};
use domain::recording::State;

const COLUMNS: [Column; 6] = [
    Column::fixed("STATE", 12),
    Column::wide("RECORDING", 12, 36),
    Column::fixed("AGE", 4).right().drops(1),
    Column::fixed("LAG", 5).right().drops(2),
    Column::wide("OWNER", 8, 20).drops(3),
    Column::wide("WHAT", 20, u16::MAX).drops(4),
];

/// What is wrong is read before whose it is: where both have no room the owner goes, whom the detail names too.
/// Of the rest what is wrong stays longest.
const NARROW: [Column; 5] = [COLUMNS[0], COLUMNS[1], COLUMNS[2].drops(3), COLUMNS[3].drops(2), COLUMNS[5].drops(1)];
/// Columns from which both have room.
const WIDE_COLS: u16 = 96;

/// Draws it.
pub(super) fn list(app: &App, pen: &mut Pen<'_>) {
    let list = &app.recordings;
    let (now, theme) = (now(app), pen.theme);
    let window = list.window(table::room(pen));
    let selected = list.selected.is_some().then_some(list.cursor);
    let wide = pen.width() >= WIDE_COLS;
    let columns: &[Column] = if wide { &COLUMNS } else { &NARROW };
    table::draw(pen, columns, window, selected, |at, widths| {
        let Some(row) = list.rows.get(at) else { return Vec::new() };
        let mut cells = cells(row, now, theme, widths);
        if !wide {
            cells.remove(4);
        }
        cells
    });
}

fn cells<'a>(row: &'a RecordingRow, now: DateTime<Utc>, theme: Theme, widths: &[u16]) -> Vec<Cell<'a>> {
    let verdict = verdict::recording(row, now);
    let id = text::clip_middle(row.id.as_str(), widths[1], theme.glyph(Glyph::Ellipsis));
    let (mark, tone) = weight(verdict.weight);
    let text = if verdict.text.is_empty() { made(row) } else { verdict.text };
    let what = if text.is_empty() {
        Vec::new()
    } else {
        vec![ink(tone, theme.glyph(mark)), ink(Tone::Plain, " "), ink(tone, text)]
    };
    let name = match verdict.weight {
        Weight::Broken | Weight::Troubled => Tone::Strong,
        Weight::Noted | Weight::Working | Weight::Flawed | Weight::Fine => Tone::Plain,
        Weight::Over => Tone::Faint,
    };
    vec![
        words::recording(row.state).cell(theme),
        cell(name, id),
        cell(Tone::Faint, units::age((now - row.created_at).num_seconds())),
        lag(row, now, verdict.weight, theme),
        cell(Tone::Faint, row.owner.as_str()),
        what,
    ]
}

/// How long ago viewers of a live recording were last shown something.
fn lag<'a>(row: &RecordingRow, now: DateTime<Utc>, weight: Weight, theme: Theme) -> Cell<'a> {
    match (row.state, row.listed_at) {
        (State::Live, Some(at)) => {
            let tone = if weight == Weight::Troubled { Tone::Warn } else { Tone::Plain };
            cell(tone, units::age((now - at).num_seconds()))
        }
        (State::Live, None) => cell(Tone::Faint, theme.glyph(Glyph::Dash)),
        _ => Vec::new(),
    }
}

/// How long and how large a result is.
fn made(row: &RecordingRow) -> String {
    let long = row.duration_ms.map(|ms| units::clock(i64::try_from(ms / 1_000).unwrap_or(i64::MAX)));
    let large = row.result_bytes.map(units::bytes);
    [long, large].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// How loud a sentence is.
fn weight(weight: Weight) -> (Glyph, Tone) {
    match weight {
        Weight::Broken => (Glyph::Cross, Tone::Bad),
        Weight::Troubled => (Glyph::Alert, Tone::Warn),
        Weight::Noted => (Glyph::Alert, Tone::Plain),
        Weight::Working | Weight::Fine => (Glyph::Dot, Tone::Faint),
        Weight::Flawed => (Glyph::Alert, Tone::Plain),
        Weight::Over => (Glyph::Dot, Tone::Faint),
    }
}

/// What is beside the list: the selected recording, and from some width on what happened when.
pub(super) fn detail(app: &App, now: DateTime<Utc>, pen: &mut Pen<'_>, timeline: Option<u16>) {
    let selected = app.recordings.selected.as_ref();
    let view = app.recording.view.as_ref().filter(|view| Some(&view.row.id) == selected);
    let Some(view) = view else {
        return notice::draw(&notice::reading("recording", &app.recording.load), pen);
    };
    let (width, height) = (pen.width(), pen.height());
    let wide = timeline.unwrap_or(0);
    // The list may have no room for all of it.
    pen.line_within(1, 0, width.saturating_sub(wide + 2), &[ink(Tone::Strong, view.row.id.as_str())]);
    recording::overview(view, None, now, &mut pen.part(0, 1, width - wide, height.saturating_sub(1)));
    if wide > 0 {
        wall(pen, width - wide);
        timeline::recording(view, now, &mut pen.part(width - wide + 2, 0, wide - 2, height));
    }
}
