//! The list of jobs: live ones by due time, then ended ones.

use super::pen::Pen;
use super::table::{self, Cell, Column, cell};
use super::theme::{Glyph, Theme, Tone};
use super::{job, notice, now, text, timeline, wall, words};
use crate::app::App;
use crate::source::rows::JobRow;
use crate::units;
use chrono::{DateTime, Utc};
use domain::standing::Standing;

const COLUMNS: [Column; 8] = [
    Column::fixed("STATE", 12),
    Column::wide("KIND", 9, 14),
    Column::wide("RECORDING", 12, 36),
    Column::fixed("WHEN", 7).right(),
    Column::fixed("TRY", 3).right().drops(1),
    Column::fixed("TOOK", 4).right().drops(2),
    Column::wide("WORKER", 6, 24).drops(3),
    Column::wide("ERROR", 24, u16::MAX).drops(4),
];

/// Where the eight have no room, the last three become one: who runs it and for how long, or what went wrong.
const NARROW: [Column; 6] = [
    Column::fixed("STATE", 12),
    Column::wide("KIND", 8, 14),
    Column::wide("RECORDING", 10, 36),
    Column::fixed("WHEN", 7).right(),
    Column::fixed("TRY", 3).right().drops(2),
    Column::wide("WHAT", 16, u16::MAX).drops(1),
];

/// Columns from which the eight have room.
const WIDE_COLS: u16 = 104;

/// The same beside a recording, which it need not name.
pub(super) const OF_RECORDING: [Column; 7] = [
    Column::fixed("STATE", 12),
    Column::fixed("JOB", 14),
    Column::fixed("WHEN", 7).right(),
    Column::fixed("TRY", 3).right().drops(1),
    Column::fixed("TOOK", 4).right().drops(2),
    Column::wide("WORKER", 6, 24).drops(3),
    Column::wide("ERROR", 12, u16::MAX).drops(4),
];

/// Draws it.
pub(super) fn list(app: &App, pen: &mut Pen<'_>) {
    let list = &app.jobs;
    let (now, theme) = (now(app), pen.theme);
    let window = list.window(table::room(pen));
    let selected = list.selected.is_some().then_some(list.cursor);
    let wide = pen.width() >= WIDE_COLS;
    let columns: &[Column] = if wide { &COLUMNS } else { &NARROW };
    table::draw(pen, columns, window, selected, |at, widths| match list.rows.get(at) {
        Some(row) => {
            let mut cells = cells(row, now, theme);
            let subject = row.subject.as_ref().map_or("", |subject| subject.as_str());
            let subject = text::clip_middle(subject, widths[2], theme.glyph(Glyph::Ellipsis));
            cells.insert(2, cell(Tone::Plain, subject));
            if !wide {
                join(&mut cells, row.standing);
            }
            cells
        }
        None => Vec::new(),
    });
}

/// Makes one cell of the last three: the error of what fails, else how long it took and who runs it.
fn join(cells: &mut Vec<Cell<'_>>, standing: Standing) {
    let last = cells.split_off(5);
    let [took, worker, error] = last.try_into().unwrap_or_default();
    let failing = matches!(standing, Standing::Retryable | Standing::Discarded);
    cells.push(if failing && !error.is_empty() {
        error
    } else {
        let blank = super::pen::ink(Tone::Plain, if super::pen::width(&took) > 0 { "  " } else { "" });
        took.into_iter().chain([blank]).chain(worker).collect()
    });
}

/// The cells of [`OF_RECORDING`].
pub(super) fn cells<'a>(row: &'a JobRow, now: DateTime<Utc>, theme: Theme) -> Vec<Cell<'a>> {
    let gone = matches!(row.standing, Standing::Completed | Standing::Cancelled | Standing::Superseded);
    let error = row.error.as_ref().or(row.reason.as_ref()).map_or("", |error| error.as_str());
    // The error of a job that has done its work is history.
    let tone = match row.standing {
        Standing::Discarded => Tone::Bad,
        Standing::Retryable => Tone::Warn,
        _ => Tone::Faint,
    };
    vec![
        words::job(row.standing).cell(theme),
        cell(if gone { Tone::Faint } else { Tone::Plain }, row.kind.as_str()),
        cell(Tone::Plain, when(row, now)),
        tries(row),
        cell(Tone::Faint, took(row, now)),
        cell(Tone::Faint, row.worker.as_ref().map_or("", |worker| worker.as_str())),
        cell(tone, if row.standing == Standing::Completed { "" } else { error }),
    ]
}

/// Of a waiting job when it is due, of an ended one how long ago that was.
pub(super) fn when(row: &JobRow, now: DateTime<Utc>) -> String {
    let age = |at: DateTime<Utc>| units::age((now - at).num_seconds());
    match row.standing {
        Standing::Running => "now".to_owned(),
        Standing::Pending | Standing::Scheduled | Standing::Available | Standing::Retryable => {
            let left = (row.run_at - now).num_seconds();
            if left > 0 { format!("in {}", units::age(left)) } else { format!("due {}", age(row.run_at)) }
        }
        Standing::Completed | Standing::Discarded | Standing::Cancelled | Standing::Superseded => {
            row.finished_at.map_or(String::new(), |at| format!("{} ago", age(at)))
        }
    }
}

/// The number of the last attempt: many are a warning in themselves.
fn tries<'a>(row: &JobRow) -> Cell<'a> {
    let text = if row.attempt == 0 { String::new() } else { row.attempt.to_string() };
    let tone = match row.attempt {
        0 | 1 => Tone::Faint,
        2..4 => Tone::Plain,
        _ => Tone::Warn,
    };
    cell(tone, text)
}

/// How long the last attempt took or has been running.
pub(super) fn took(row: &JobRow, now: DateTime<Utc>) -> String {
    let until = match row.standing {
        Standing::Running => Some(now),
        // A job that waits has no attempt; when its last one ended is told by its attempts.
        Standing::Pending | Standing::Scheduled | Standing::Available | Standing::Retryable => None,
        Standing::Completed | Standing::Discarded | Standing::Cancelled | Standing::Superseded => row.finished_at,
    };
    row.started_at.zip(until).map_or(String::new(), |(from, to)| match (to - from).num_milliseconds() {
        ms @ ..10_000 => units::short(ms),
        ms => units::age(ms / 1_000),
    })
}

/// What is beside the list: the selected job, and from some width on its attempts.
pub(super) fn detail(app: &App, now: DateTime<Utc>, pen: &mut Pen<'_>, timeline: Option<u16>) {
    let view = app.job.view.as_ref().filter(|view| Some(view.row.id) == app.jobs.selected);
    let Some(view) = view else {
        return notice::draw(&notice::reading("job", &app.job.load), pen);
    };
    let (width, height) = (pen.width(), pen.height());
    let wide = timeline.unwrap_or(0);
    job::overview(view, now, &mut pen.part(0, 0, width - wide, height));
    if wide > 0 {
        wall(pen, width - wide);
        timeline::job(view, now, &mut pen.part(width - wide + 2, 0, wide - 2, height));
    }
}
