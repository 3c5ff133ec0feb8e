//! What stands where a list would be while there is none: being read, nothing there, not to be had. Each says what to do
//! next, in one sentence.

use super::pen::{Pen, ink};
use super::text;
use super::theme::{Glyph, Tone};
use crate::app::list::{List, Row};
use crate::app::load::{Load, State};
use crate::app::{App, Screen};
use crate::keys::Action;
use crate::source::clean::Clean;
use crate::source::told::Link;

/// What there is to say instead of the thing itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    tone: Tone,
    glyph: Glyph,
    title: String,
    next: String,
}

/// Draws a notice where there is nothing else to draw; false where there is.
pub(super) fn instead(app: &App, pen: &mut Pen<'_>) -> bool {
    let notice = match &app.screen {
        Screen::Recordings => list(app, &app.recordings, "recordings"),
        Screen::Jobs => list(app, &app.jobs, "jobs"),
        Screen::Queues => list(app, &app.queues, "queues"),
        Screen::Workers => list(app, &app.workers, "workers"),
        Screen::Recording(id) if app.recording.view.is_none() => {
            Some(one(app, &app.recording.load, "recording", id.as_str()))
        }
        Screen::Job(id) if app.job.view.is_none() => Some(one(app, &app.job.load, "job", &id.to_string())),
        Screen::Recording(_) | Screen::Job(_) => None,
    };
    let Some(notice) = notice else { return false };
    draw(&notice, pen);
    true
}

/// Draws it a little below the top, where the eye is.
pub(super) fn draw(notice: &Notice, pen: &mut Pen<'_>) {
    let y = pen.height() / 5;
    let title = [
        ink(notice.tone, pen.theme.glyph(notice.glyph)),
        ink(Tone::Plain, " "),
        ink(if notice.tone == Tone::Plain { Tone::Strong } else { notice.tone }, notice.title.as_str()),
    ];
    pen.line(2, y, &title);
    let cells = pen.width().saturating_sub(6).min(76);
    let lines = text::wrap(&notice.next, cells, 4, pen.theme.glyph(Glyph::Ellipsis));
    for (line, at) in lines.into_iter().zip(y + 1..) {
        pen.line(4, at, &[ink(Tone::Plain, line)]);
    }
}

/// What is beside a list and is not there yet.
pub(super) fn reading(what: &str, load: &Load) -> Notice {
    match &load.state {
        State::Failed(why) => unread(what, why),
        State::Gone => Notice {
            tone: Tone::Plain,
            glyph: Glyph::Void,
            title: format!("This {what} is gone"),
            next: "It leaves the list with the next look.".to_owned(),
        },
        State::Waiting | State::Fresh => waiting(what),
    }
}

fn list<R: Row>(app: &App, list: &List<R>, what: &str) -> Option<Notice> {
    if !list.rows.is_empty() {
        return None;
    }
    if let Some(notice) = unconnected(app) {
        return Some(notice);
    }
    Some(match &list.load.state {
        State::Waiting => waiting(what),
        State::Failed(why) => unread(what, why),
        State::Fresh | State::Gone if !list.filter_text.is_empty() => {
            let key = key(app, Action::Filter);
            Notice {
                tone: Tone::Plain,
                glyph: Glyph::Open,
                title: format!("Nothing matches {}", Clean::new(&list.filter_text)),
                next: format!("Press {key} to change the filter; an empty one shows everything."),
            }
        }
        State::Fresh | State::Gone => empty(app),
    })
}

fn one(app: &App, load: &Load, what: &str, id: &str) -> Notice {
    if let Some(notice) = unconnected(app) {
        return notice;
    }
    match &load.state {
        State::Waiting | State::Fresh => waiting(what),
        State::Failed(why) => unread(what, why),
        State::Gone => Notice {
            tone: Tone::Warn,
            glyph: Glyph::Void,
            title: format!("There is no {what} {id}"),
            next: format!(
                "It may have been deleted, or its history is no longer kept; {} goes back.",
                key(app, Action::Back)
            ),
        },
    }
}

/// There has been no connection yet, or it is lost before anything was read.
fn unconnected(app: &App) -> Option<Notice> {
    match &app.link {
        Link::Up { .. } => None,
        Link::Connecting => Some(Notice {
            tone: Tone::Plain,
            glyph: Glyph::Dotted,
            title: "Connecting to the database".to_owned(),
            next: "Every key works meanwhile.".to_owned(),
        }),
        Link::Lost { tries, why, .. } => Some(Notice {
            tone: Tone::Bad,
            glyph: Glyph::Cross,
            title: "The database cannot be reached".to_owned(),
            next: match tries {
                0 => format!("{why}. It is tried again by itself."),
                _ => format!("{why}. Tried again {}; it goes on trying by itself.", times(*tries)),
            },
        }),
    }
}

fn times(tries: u32) -> String {
    if tries == 1 { "once".to_owned() } else { format!("{tries} times") }
}

fn waiting(what: &str) -> Notice {
    Notice { tone: Tone::Plain, glyph: Glyph::Dotted, title: format!("Reading {what}"), next: String::new() }
}

fn unread(what: &str, why: &Clean) -> Notice {
    Notice {
        tone: Tone::Warn,
        glyph: Glyph::Alert,
        title: format!("Could not read {what}"),
        next: format!("{why}. It is tried again by itself."),
    }
}

/// There is nothing of the kind, and that is true.
fn empty(app: &App) -> Notice {
    let (title, next) = match app.screen {
        Screen::Recordings | Screen::Recording(_) => (
            "No recordings yet",
            "A recording appears as soon as the web app creates it with POST /api/recordings.".to_owned(),
        ),
        Screen::Jobs | Screen::Job(_) => {
            ("No jobs", "Jobs appear with the first segment; finished ones are kept for two weeks.".to_owned())
        }
        Screen::Queues => ("No queues", "Run `spool migrate`: it makes them.".to_owned()),
        Screen::Workers => ("No workers", "Start one with `spool work`: until then every job waits.".to_owned()),
    };
    let (glyph, tone) = match app.screen {
        // Jobs without anybody to run them are no rest.
        Screen::Workers | Screen::Queues => (Glyph::Alert, Tone::Warn),
        Screen::Recordings | Screen::Recording(_) | Screen::Jobs | Screen::Job(_) => (Glyph::Open, Tone::Plain),
    };
    Notice { tone, glyph, title: title.to_owned(), next }
}

/// The first key of an action, as people have bound it.
fn key(app: &App, action: Action) -> String {
    let layer = app.screen_layer();
    app.keys.chords(layer, action).first().map_or_else(|| format!(":{action}"), ToString::to_string)
}
