//! One job: where it stands and why, every attempt with its error, what it was given.

use super::pen::{Ink, Pen, ink};
use super::text;
use super::theme::{Glyph, Tone};
use super::{gauge, jobs, words};
use crate::app::Open;
use crate::source::clean::Clean;
use crate::source::rows::{AttemptRow, JobRow, JobView};
use crate::units;
use chrono::{DateTime, Utc};
use domain::standing::Standing;

/// Columns of a label.
const LABEL: u16 = 12;
/// Lines of one long line of a payload or an error.
const LINES: usize = 40;

/// Draws the tab that is open.
pub(super) fn draw(open: &Open<JobView>, view: &JobView, now: DateTime<Utc>, pen: &mut Pen<'_>) {
    match open.tab {
        0 => overview(view, now, pen),
        1 => attempts(view, open.scroll, now, pen),
        _ => payload(view, open.scroll, pen),
    }
}

/// The first tab, and the pane beside the list.
pub(super) fn overview(view: &JobView, now: DateTime<Utc>, pen: &mut Pen<'_>) {
    let row = &view.row;
    let mut line = words::job(row.standing).cell(pen.theme);
    line.push(ink(Tone::Strong, format!("  {}", row.kind)));
    line.push(ink(Tone::Faint, format!("   {}", row.id)));
    pen.line(1, 0, &line);
    let ellipsis = pen.theme.glyph(Glyph::Ellipsis);
    let cells = pen.width().saturating_sub(2);
    let (tone, sentence) = summary(view, now);
    let mut y = 1;
    for line in text::wrap(&sentence, cells, 2, ellipsis) {
        pen.line(1, y, &[ink(tone, line)]);
        y += 1;
    }
    y += 1;
    if let Some(progress) = view.progress.as_ref().filter(|_| row.standing == Standing::Running) {
        pen.line(1, y, &[ink(Tone::Faint, "progress")]);
        gauge::draw(pen, LABEL, y, progress, row.started_at);
        y += 1;
    }
    for (label, value) in facts(view, now) {
        pen.line(1, y, &[ink(Tone::Faint, label)]);
        pen.line(LABEL, y, &[ink(Tone::Plain, value)]);
        y += 1;
    }
    y = error(row, pen, y + 1);
    latest(view, now, pen, y);
}

/// The newest attempts, as many as there is room for.
fn latest(view: &JobView, now: DateTime<Utc>, pen: &mut Pen<'_>, y: u16) {
    if view.attempts.is_empty() || y + 2 >= pen.height() {
        return;
    }
    pen.line(1, y + 1, &[ink(Tone::Head, "Attempts")]);
    for (attempt, at) in view.attempts.iter().zip(y + 2..pen.height()) {
        pen.line(3, at, &head(attempt, now, pen));
    }
}

/// Where it stands, in a sentence.
fn summary(view: &JobView, now: DateTime<Utc>) -> (Tone, String) {
    let row = &view.row;
    let when = jobs::when(row, now);
    let worker = row.worker.as_ref().map_or("a worker", Clean::as_str);
    let failed = match row.attempt {
        1 => "It failed once".to_owned(),
        n => format!("It failed {n} times"),
    };
    match row.standing {
        Standing::Running if view.cancel_at.is_some() => {
            (Tone::Warn, format!("It was asked to stop; {worker} ends it within seconds."))
        }
        Standing::Running => {
            (Tone::Plain, format!("{worker} has been at it for {}, attempt {}.", jobs::took(row, now), row.attempt))
        }
        Standing::Available => (Tone::Plain, format!("It may start at any moment; {when}.")),
        Standing::Scheduled => (Tone::Plain, format!("It waits for its time, {when}.")),
        Standing::Pending => (Tone::Plain, "It waits for another job.".to_owned()),
        Standing::Retryable => (Tone::Warn, format!("{failed} and tries again {when}.")),
        Standing::Completed => (Tone::Good, format!("It was done {when}.")),
        Standing::Discarded => (Tone::Bad, format!("{failed} and was given up {when}: a person must look.")),
        Standing::Cancelled => (Tone::Plain, format!("It was stopped by a person {when}.")),
        Standing::Superseded => (Tone::Plain, format!("It gave way to a newer job {when}.")),
    }
}

fn facts(view: &JobView, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let row = &view.row;
    let age = |at: DateTime<Utc>| units::age((now - at).num_seconds());
    let text = |text: &Option<Clean>| text.as_ref().map(Clean::to_string);
    let tries = format!("{} of {}", row.attempt, row.max_attempts);
    let tries = match (row.crashes, row.snoozes) {
        (0, 0) => tries,
        (0, snoozes) => format!("{tries}, put off {}", times(snoozes)),
        (crashes, 0) => format!("{tries}, lost with its worker {}", times(crashes)),
        (crashes, snoozes) => format!("{tries}, lost with its worker {}, put off {}", times(crashes), times(snoozes)),
    };
    [
        ("recording", text(&row.subject)),
        ("owner", text(&row.owner)),
        ("queue", Some(format!("{}, priority {}", row.queue, view.priority))),
        ("attempts", Some(tries)),
        ("worker", text(&row.worker)),
        ("made", Some(format!("{} ago", age(row.created_at)))),
        ("took", Some(jobs::took(row, now)).filter(|took| !took.is_empty())),
        ("unique by", text(&view.unique_key)),
        ("ended so", text(&row.reason)),
    ]
    .into_iter()
    .filter_map(|(label, value)| Some((label, value?)))
    .collect()
}

fn times(n: u32) -> String {
    if n == 1 { "once".to_owned() } else { format!("{n} times") }
}

/// The last error, whole. The line after it.
fn error(row: &JobRow, pen: &mut Pen<'_>, y: u16) -> u16 {
    let Some(error) = &row.error else { return y - 1 };
    let over = row.standing == Standing::Completed;
    let class = row.error_class.as_ref().map_or(String::new(), |class| format!(" ({class})"));
    let head = if over { "An earlier attempt failed" } else { "Last error" };
    pen.line(1, y, &[ink(Tone::Head, format!("{head}{class}"))]);
    let cells = pen.width().saturating_sub(4);
    let room = usize::from(pen.height().saturating_sub(y + 1)).min(LINES);
    let tone = if over { Tone::Faint } else { Tone::Plain };
    let mut y = y + 1;
    for line in text::wrap(error.as_str(), cells, room, pen.theme.glyph(Glyph::Ellipsis)) {
        pen.line(3, y, &[ink(tone, line)]);
        y += 1;
    }
    y
}

/// Every attempt with its error, newest first. `scroll` counts attempts and lines of errors, however they are wrapped.
fn attempts(view: &JobView, scroll: usize, now: DateTime<Utc>, pen: &mut Pen<'_>) {
    if view.attempts.is_empty() {
        let text = match view.row.standing {
            Standing::Running => "The first attempt is running; ended ones are listed here.",
            _ => "No attempt has been made yet.",
        };
        pen.line(2, 1, &[ink(Tone::Plain, text)]);
        return;
    }
    let mut y = 0;
    let mut above = scroll;
    for attempt in &view.attempts {
        if y >= pen.height() {
            return;
        }
        if above == 0 {
            pen.line(1, y, &head(attempt, now, pen));
            y += 1;
        } else {
            above -= 1;
        }
        for line in &attempt.error {
            if above > 0 {
                above -= 1;
                continue;
            }
            y = wrapped(pen, 4, y, line.as_str(), Tone::Plain);
        }
    }
}

/// `✗ failed        3    4m ago  took    12s  on w12  transient`, in columns.
fn head<'a>(attempt: &'a AttemptRow, now: DateTime<Utc>, pen: &Pen<'_>) -> Vec<Ink<'a>> {
    let (glyph, tone, word) = words::outcome(attempt.outcome.as_str());
    let ago = units::age((now - attempt.ended_at).num_seconds());
    let took = attempt.started_at.map(|at| units::short((attempt.ended_at - at).num_milliseconds()));
    let mut line = vec![
        ink(tone, pen.theme.glyph(glyph)),
        ink(tone, format!(" {word:<11}")),
        ink(Tone::Strong, format!(" {:>3}", attempt.attempt)),
        ink(Tone::Plain, format!("  {ago:>4} ago")),
        ink(Tone::Faint, format!("  took {:>6}", took.as_deref().unwrap_or("?"))),
    ];
    line.extend(attempt.worker.as_ref().map(|worker| ink(Tone::Faint, format!("  on {worker}"))));
    line.extend(attempt.error_class.as_ref().map(|class| ink(Tone::Plain, format!("  {class}"))));
    line
}

/// What it was given, and what an attempt saved for the next.
fn payload(view: &JobView, scroll: usize, pen: &mut Pen<'_>) {
    if view.payload.is_empty() && view.checkpoint.is_empty() {
        pen.line(2, 1, &[ink(Tone::Plain, "It was given nothing.")]);
        return;
    }
    let mut y = 0;
    let lines = view.payload.iter().map(|line| (line, Tone::Plain));
    let saved = view.checkpoint.iter().map(|line| (line, Tone::Faint));
    let most = (view.payload.len() + view.checkpoint.len()).saturating_sub(1);
    for (line, tone) in lines.chain(saved).skip(scroll.min(most)) {
        if y >= pen.height() {
            return;
        }
        y = wrapped(pen, 2, y, line.as_str(), tone);
    }
    if view.payload_cut {
        pen.line(2, y, &[ink(Tone::Warn, "The rest of it is not shown: the console reads 64 KiB.")]);
    }
}

/// Writes a line from `x` on, broken where the pen ends; indented as it is. The line after it.
fn wrapped(pen: &mut Pen<'_>, x: u16, y: u16, line: &str, tone: Tone) -> u16 {
    let indent = u16::try_from(line.len() - line.trim_start_matches(' ').len()).unwrap_or(0).min(pen.width() / 3);
    let cells = pen.width().saturating_sub(x + indent + 1);
    let room = usize::from(pen.height().saturating_sub(y)).min(LINES);
    let mut y = y;
    for piece in text::wrap(line.trim_start_matches(' '), cells, room, pen.theme.glyph(Glyph::Ellipsis)) {
        pen.line(x + indent, y, &[ink(tone, piece)]);
        y += 1;
    }
    if line.is_empty() { y + 1 } else { y }
}
