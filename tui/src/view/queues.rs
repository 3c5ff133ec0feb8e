//! The list of queues: how much waits, how long already, and what stands still.

use super::pen::Pen;
use super::table::{self, Cell, Column, cell};
use super::theme::{Glyph, Theme, Tone};
use super::words::Mark;
use super::{now, words};
use crate::app::App;
use crate::source::rows::{Number, NumberKind, QueueRow};
use crate::units;
use chrono::{DateTime, Utc};

const COLUMNS: [Column; 10] = [
    Column::fixed("STATE", 9),
    Column::wide("QUEUE", 8, 16),
    Column::fixed("RUNNING", 8).right(),
    Column::fixed("WAIT", 6).right(),
    Column::fixed("OLDEST", 6).right().drops(1),
    Column::fixed("RETRY", 6).right().drops(2),
    Column::fixed("LATER", 6).right().drops(4),
    Column::fixed("OK 5M", 6).right().drops(5),
    Column::fixed("BAD 5M", 6).right().drops(3),
    Column::wide("WHY", 24, u16::MAX).drops(6),
];

/// A job that may run and waits longer than this is worth a colour.
const SLOW_S: i64 = 60;

/// Draws it.
pub(super) fn list(app: &App, pen: &mut Pen<'_>) {
    let list = &app.queues;
    let (now, theme) = (now(app), pen.theme);
    let window = list.window(table::room(pen));
    let selected = list.selected.is_some().then_some(list.cursor);
    table::draw(pen, &COLUMNS, window, selected, |at, _| match list.rows.get(at) {
        Some(row) => cells(row, now, theme),
        None => Vec::new(),
    });
}

/// How a queue is.
fn mark(row: &QueueRow) -> Mark {
    let full = row.max_running.is_some_and(|most| row.running.n >= u64::from(most)) && row.available.n > 0;
    if row.paused.is_some() {
        Mark { glyph: Glyph::Paused, tone: Tone::Warn, word: "paused" }
    } else if full {
        Mark { glyph: Glyph::Half, tone: Tone::Warn, word: "full" }
    } else if row.running.n > 0 {
        Mark { glyph: Glyph::Active, tone: Tone::Good, word: "running" }
    } else if row.available.n > 0 {
        Mark { glyph: Glyph::Clock, tone: Tone::Warn, word: "waiting" }
    } else {
        Mark { glyph: Glyph::Open, tone: Tone::Faint, word: "idle" }
    }
}

fn cells<'a>(row: &'a QueueRow, now: DateTime<Utc>, theme: Theme) -> Vec<Cell<'a>> {
    let running = match row.max_running {
        Some(most) => format!("{}/{most}", words::number(row.running)),
        None => words::number(row.running),
    };
    let oldest = row.oldest_at.map(|at| (now - at).num_seconds());
    let slow = if oldest.is_some_and(|age| age > SLOW_S) { Tone::Warn } else { Tone::Plain };
    vec![
        mark(row).cell(theme),
        cell(Tone::Plain, row.name.as_str()),
        cell(Tone::Plain, running),
        amount(row.available, Tone::Plain),
        cell(slow, oldest.map_or(String::new(), units::age)),
        amount(row.retryable, Tone::Warn),
        amount(row.scheduled, Tone::Plain),
        cell(Tone::Faint, units::compact(row.flow.0)),
        cell(if row.flow.1 > 0 { Tone::Bad } else { Tone::Faint }, units::compact(row.flow.1)),
        cell(if row.paused.is_some() { Tone::Warn } else { Tone::Faint }, said(row).unwrap_or_default()),
    ]
}

/// A number that recedes when there is none.
fn amount<'a>(number: Number, tone: Tone) -> Cell<'a> {
    let none = number.n == 0 && number.kind == NumberKind::Exact;
    cell(if none { Tone::Faint } else { tone }, words::number(number))
}

/// Why the selected queue stands still, and what bounds it.
pub(super) fn said(row: &QueueRow) -> Option<String> {
    let pause = row.paused.as_ref().map(|pause| {
        let by = pause.by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
        let reason = pause.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        let until = pause.until.map_or(String::new(), |until| format!(", until {}", until.format("%H:%M UTC")));
        format!("paused{by}{until}{reason}")
    });
    let limits = [(row.max_running, "running at once"), (row.key_max, "of one owner at once")];
    let limits: Vec<String> =
        limits.into_iter().filter_map(|(most, what)| Some(format!("at most {} {what}", most?))).collect();
    pause.or((!limits.is_empty()).then(|| limits.join(", ")))
}
