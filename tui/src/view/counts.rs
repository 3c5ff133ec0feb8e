//! The second line: how many there are of each state, and what is paused, since colleagues must see that too. Of one
//! thing that is open, its tabs.

use super::pen::{Ink, Pen, ink, width};
use super::theme::{Glyph, Theme, Tone};
use super::{now, tabs, text, words};
use crate::app::{App, JOB_TABS, RECORDING_TABS, Screen};
use crate::source::rows::{Number, NumberKind, Numbers};
use crate::units;
use domain::recording::State;
use domain::standing::Standing;

/// Draws it.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>) {
    let theme = pen.theme;
    let line = match app.screen {
        Screen::Recording(_) => {
            let end = tabs::recording(&app.recording, &RECORDING_TABS, pen);
            paused(app, end, pen);
            return;
        }
        Screen::Job(_) => {
            let end = tabs::job(&app.job, &JOB_TABS, pen);
            paused(app, end, pen);
            return;
        }
        Screen::Queues => queues(app),
        Screen::Workers => workers(app),
        Screen::Recordings => app.numbers.as_ref().map_or(Vec::new(), |numbers| recordings(app, numbers, theme)),
        Screen::Jobs => app.numbers.as_ref().map_or(Vec::new(), |numbers| jobs(app, numbers, theme)),
    };
    let wanted: u16 = line.iter().map(|piece| width(piece) + 2).sum();
    let room = paused(app, wanted, pen);
    // Whole counts only: half a number is a wrong number.
    let mut x = 1;
    for piece in line {
        if x + width(&piece) > room {
            break;
        }
        x = pen.line(x, 0, &piece) + 2;
    }
}

/// What wants a person comes first and what there is none of recedes.
fn recordings(app: &App, numbers: &Numbers, theme: Theme) -> Vec<Vec<Ink<'static>>> {
    let order = [State::Failed, State::Live, State::Finalizing, State::Ready, State::Archived, State::Cancelled];
    let each = order.into_iter().filter_map(|state| {
        let at = State::ALL.iter().position(|known| *known == state)?;
        Some((words::recording(state), numbers.recordings[at]))
    });
    each.map(|(mark, number)| count(app, theme, mark, number)).collect()
}

fn jobs(app: &App, numbers: &Numbers, theme: Theme) -> Vec<Vec<Ink<'static>>> {
    let order = [
        Standing::Discarded,
        Standing::Retryable,
        Standing::Running,
        Standing::Available,
        Standing::Scheduled,
        Standing::Completed,
        Standing::Cancelled,
        Standing::Pending,
    ];
    let mut line: Vec<_> =
        order.into_iter().map(|standing| count(app, theme, words::job(standing), numbers.of(standing))).collect();
    if let (Some(oldest), Some(now)) = (numbers.oldest_ended_at, app.db_now()) {
        line.push(vec![ink(Tone::Faint, format!("kept for {}", units::age((now - oldest).num_seconds())))]);
    }
    line
}

fn count(app: &App, theme: Theme, mark: words::Mark, number: Number) -> Vec<Ink<'static>> {
    let none = number.n == 0 && number.kind == NumberKind::Exact;
    let tone = |tone: Tone| if none { Tone::Faint } else { tone };
    let text = words::labelled(number, app.db_now());
    vec![
        ink(tone(mark.tone), theme.glyph(mark.glyph)),
        ink(tone(Tone::Strong), format!(" {text}")),
        ink(tone(Tone::Plain), format!(" {}", mark.word)),
    ]
}

fn workers(app: &App) -> Vec<Vec<Ink<'static>>> {
    let rows = &app.workers.rows;
    let now = now(app);
    let lost = rows.iter().filter(|row| row.lease_until < now).count();
    let alive = || rows.iter().filter(|row| row.lease_until >= now);
    let draining = alive().filter(|row| row.draining).count();
    let busy: u64 = alive().filter_map(|row| row.busy).map(u64::from).sum();
    let slots: u64 = alive().filter_map(|row| row.slots).map(u64::from).sum();
    if rows.is_empty() {
        return Vec::new();
    }
    let mut line = vec![vec![ink(Tone::Strong, units::counted(alive().count() as u64, "worker"))]];
    if lost > 0 {
        line.insert(0, vec![ink(Tone::Bad, format!("{lost} lost"))]);
    }
    if draining > 0 {
        line.push(vec![ink(Tone::Warn, format!("{draining} draining"))]);
    }
    line.push(vec![ink(Tone::Plain, format!("{busy} of {slots} slots busy"))]);
    line
}

fn queues(app: &App) -> Vec<Vec<Ink<'static>>> {
    let rows = &app.queues.rows;
    let sum = |of: fn(&crate::source::rows::QueueRow) -> Number| {
        let capped = rows.iter().any(|row| of(row).kind != NumberKind::Exact);
        let n: u64 = rows.iter().map(|row| of(row).n).sum();
        words::number(Number { n, kind: if capped { NumberKind::Capped } else { NumberKind::Exact }, at: None })
    };
    if rows.is_empty() {
        return Vec::new();
    }
    vec![
        vec![ink(Tone::Strong, units::counted(rows.len() as u64, "queue"))],
        vec![ink(Tone::Plain, format!("{} running", sum(|row| row.running)))],
        vec![ink(Tone::Plain, format!("{} available", sum(|row| row.available)))],
        vec![ink(Tone::Plain, format!("{} to retry", sum(|row| row.retryable)))],
    ]
}

/// Writes at the right which queues stand still, on every screen, by name where that leaves `wanted` columns for the
/// counts. Returns the columns that are left.
fn paused(app: &App, wanted: u16, pen: &mut Pen<'_>) -> u16 {
    let names: Vec<&str> =
        app.numbers.as_ref().map_or(Vec::new(), |numbers| numbers.paused.iter().map(|name| name.as_str()).collect());
    let cells = pen.width();
    let glyph = pen.theme.glyph(Glyph::Paused);
    let short = format!("{glyph} {} paused ", names.len());
    let long = match names.as_slice() {
        [] => return cells,
        [one] => format!("{glyph} {one} paused "),
        [one, rest @ ..] => format!("{glyph} {one} and {} more paused ", rest.len()),
    };
    let text = if wanted + text::width(&long) < cells { long } else { short };
    pen.right(0, &[ink(Tone::Warn, text)]).saturating_sub(1)
}
