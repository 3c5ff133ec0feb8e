//! The list of workers: who is there, when it was last heard of, what it runs.

use super::pen::{Pen, ink};
use super::table::{self, Cell, Column, cell};
use super::theme::{Theme, Tone};
use super::{now, words};
use crate::app::App;
use crate::source::rows::WorkerRow;
use crate::units;
use chrono::{DateTime, Utc};

const COLUMNS: [Column; 8] = [
    Column::fixed("STATE", 10),
    Column::wide("WORKER", 8, 30),
    Column::fixed("BUSY", 5).right(),
    Column::fixed("UP", 4).right().drops(2),
    Column::fixed("MEMORY", 7).right().drops(4),
    Column::wide("QUEUES", 10, 30).drops(3),
    Column::wide("VERSION", 7, 8).drops(5),
    Column::wide("RUNS", 20, u16::MAX).drops(1),
];

/// Draws it.
pub(super) fn list(app: &App, pen: &mut Pen<'_>) {
    let list = &app.workers;
    let (now, theme) = (now(app), pen.theme);
    let window = list.window(table::room(pen));
    let selected = list.selected.is_some().then_some(list.cursor);
    table::draw(pen, &COLUMNS, window, selected, |at, _| match list.rows.get(at) {
        Some(row) => cells(row, now, theme),
        None => Vec::new(),
    });
}

fn cells<'a>(row: &'a WorkerRow, now: DateTime<Utc>, theme: Theme) -> Vec<Cell<'a>> {
    let busy = match (row.busy, row.slots) {
        (Some(busy), Some(slots)) => format!("{busy}/{slots}"),
        (Some(busy), None) => busy.to_string(),
        (None, _) => String::new(),
    };
    let queues = row.queues.iter().map(|queue| queue.as_str()).collect::<Vec<_>>().join(" ");
    vec![
        words::worker(row, now).cell(theme),
        cell(Tone::Plain, row.name.as_str()),
        cell(Tone::Plain, busy),
        cell(Tone::Faint, units::age((now - row.started_at).num_seconds())),
        cell(Tone::Faint, row.memory_bytes.map_or(String::new(), units::bytes)),
        cell(Tone::Faint, queues),
        cell(Tone::Faint, row.version.as_ref().map_or("", |version| version.as_str())),
        runs(row, now),
    ]
}

/// What it runs, the longest first; of one that is not heard of any more, since when.
fn runs<'a>(row: &'a WorkerRow, now: DateTime<Utc>) -> Cell<'a> {
    let missed = (now - row.lease_until).num_seconds();
    if missed > 0 {
        let age = units::age(missed);
        let held = match row.running.len() {
            0 => String::new(),
            n => format!(", held {}", units::counted(n as u64, "job")),
        };
        return cell(Tone::Bad, format!("not heard of for {age}{held}"));
    }
    let mut line = Vec::new();
    for job in &row.running {
        if !line.is_empty() {
            line.push(ink(Tone::Faint, "  "));
        }
        line.push(ink(Tone::Plain, job.kind.as_str()));
        let age = job.started_at.map(|at| units::age((now - at).num_seconds()));
        let share = job.pct.map(|pct| format!(" {pct:.0}%"));
        line.extend(share.or(age.map(|age| format!(" {age}"))).map(|text| ink(Tone::Faint, text)));
    }
    line
}
