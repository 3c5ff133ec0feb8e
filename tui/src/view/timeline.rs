//! What happened when, newest first: the third pane of wide terminals.

use super::pen::{Ink, Pen, ink};
use super::theme::{Glyph, Theme, Tone};
use super::words;
use crate::source::rows::{JobRow, JobView, RecordingView};
use crate::units;
use chrono::{DateTime, Utc};
use domain::standing::Standing;

type Moment<'a> = (DateTime<Utc>, Vec<Ink<'a>>);

/// Columns of an age.
const AGE: u16 = 5;

/// What happened to a recording and what its jobs did.
pub(super) fn recording(view: &RecordingView, now: DateTime<Utc>, pen: &mut Pen<'_>) {
    let theme = pen.theme;
    let row = &view.row;
    let mut moments: Vec<Moment<'_>> =
        view.events.iter().map(|event| (event.at, vec![ink(Tone::Strong, event.kind.as_str())])).collect();
    let own = [
        (Some(row.created_at), "created"),
        (view.signalled_at, "the web app said that it is complete"),
        (view.declared_at, "the recorder declared its end"),
        (view.listing_ended_at, "playlists ended"),
        (row.heard_at, "recorder last heard of"),
        (row.listed_at, "last segment shown to viewers"),
        (view.manifest_at, "manifest written"),
    ];
    moments.extend(own.into_iter().filter_map(|(at, what)| Some((at?, vec![ink(Tone::Plain, what)]))));
    moments.extend(view.jobs.iter().flat_map(|job| of_job(job, theme)));
    draw(moments, now, pen);
}

/// When a job began and how it ended.
fn of_job<'a>(job: &'a JobRow, theme: Theme) -> Vec<Moment<'a>> {
    let mark = words::job(job.standing);
    let line = |word: &'static str| {
        let mut line = vec![ink(mark.tone, theme.glyph(mark.glyph)), ink(Tone::Plain, format!(" {} {word}", job.kind))];
        line.extend(
            job.error
                .as_ref()
                .filter(|_| job.standing != Standing::Completed)
                .map(|error| ink(Tone::Faint, format!("  {error}"))),
        );
        line
    };
    match (job.finished_at, job.started_at) {
        (Some(at), _) => vec![(at, line(mark.word))],
        (None, Some(at)) => vec![(at, line(begun(job.standing)))],
        (None, None) => Vec::new(),
    }
}

/// What the last attempt of a live job has come to.
fn begun(standing: Standing) -> &'static str {
    match standing {
        Standing::Running => "started",
        Standing::Retryable => "failed",
        Standing::Scheduled => "put off",
        Standing::Pending
        | Standing::Available
        | Standing::Completed
        | Standing::Discarded
        | Standing::Cancelled
        | Standing::Superseded => "tried",
    }
}

/// The attempts of a job.
pub(super) fn job(view: &JobView, now: DateTime<Utc>, pen: &mut Pen<'_>) {
    let row = &view.row;
    let mut moments: Vec<Moment<'_>> = vec![(row.created_at, vec![ink(Tone::Plain, "put into its queue")])];
    for attempt in &view.attempts {
        let (glyph, tone, word) = words::outcome(attempt.outcome.as_str());
        let mut line = vec![
            ink(tone, pen.theme.glyph(glyph)),
            ink(Tone::Plain, " "),
            ink(tone, word),
            ink(Tone::Faint, format!(" {}", attempt.attempt)),
        ];
        line.extend(attempt.error.first().map(|error| ink(Tone::Faint, format!("  {error}"))));
        moments.push((attempt.ended_at, line));
    }
    if let (Standing::Running, Some(at)) = (row.standing, row.started_at) {
        moments.push((at, vec![ink(Tone::Busy, format!("attempt {} started", row.attempt))]));
    }
    moments.extend(view.cancel_at.map(|at| (at, vec![ink(Tone::Warn, "asked to stop")])));
    draw(moments, now, pen);
}

fn draw(mut moments: Vec<Moment<'_>>, now: DateTime<Utc>, pen: &mut Pen<'_>) {
    pen.line(0, 0, &[ink(Tone::Head, "  AGO  WHAT")]);
    moments.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let more = moments.len() > usize::from(pen.height().saturating_sub(1));
    for (y, (at, line)) in (1..pen.height()).zip(&moments) {
        let age = format!("{:>width$}", units::age((now - *at).num_seconds()), width = usize::from(AGE));
        pen.line(0, y, &[ink(Tone::Faint, age)]);
        pen.line(AGE + 2, y, line);
    }
    if more && pen.height() > 1 {
        let y = pen.height() - 1;
        pen.rows(y, 1).clear();
        pen.line(AGE + 2, y, &[ink(Tone::Faint, pen.theme.glyph(Glyph::Down)), ink(Tone::Faint, " older")]);
    }
}
