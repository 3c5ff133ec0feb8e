//! The first line: which environment, where in it, and whether what is seen is true now and may be changed.

use super::pen::{Ink, Pen, ink, width};
use super::text;
use super::theme::{Glyph, Ground, Theme, Tone};
use crate::app::load::State;
use crate::app::{App, Armed, BESIDE_COLS, Screen};
use crate::source::ask::Pace;
use crate::source::told::Link;
use crate::units;
use std::time::Duration;

/// An answer may be this much older than the pace before it is called stale: reading takes its time, and a busy database
/// is asked less often.
const LATE: Duration = Duration::from_secs(10);

/// From this age on it is said: at the usual pace nothing is so old.
const OLD: Duration = Duration::from_secs(5);

/// Columns that an environment's name needs to be one.
const NAME_MIN: u16 = 6;

/// Draws it.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>) {
    let theme = pen.theme;
    let environment = app.server.as_ref().map_or("", |server| server.place.as_str());
    let cells = pen.width();
    pen.ground(0, 0, cells, Ground::of(environment));

    let badges = badges(app, theme);
    // A badge has a blank on both sides, which is part of it when it has a ground of its own.
    let wide: u16 = badges.iter().map(|(text, _)| text::width(text) + 2).sum();
    let mut x = pen.width().saturating_sub(wide);
    for (text, ground) in &badges {
        let end = pen.line(x + 1, 0, &[ink(Tone::Plain, text.as_str())]);
        if let Some(ground) = ground {
            pen.ground(x, 0, end + 1 - x, *ground);
        }
        x = end + 1;
    }

    let room = pen.width().saturating_sub(wide + 2);
    let place = place(app, theme);
    let ellipsis = theme.glyph(Glyph::Ellipsis);
    let cells = room.saturating_sub(width(&place) + 2).min(30);
    // Of a name so short nothing can be told; the colour of the bar remains.
    let name = if cells < NAME_MIN { "".into() } else { text::clip(environment, cells, ellipsis) };
    let mut line = Vec::new();
    if !name.is_empty() {
        line.push(ink(Tone::Plain, name));
        line.push(ink(Tone::Plain, "  "));
    }
    line.extend(place);
    pen.line_within(1, 0, room, &line);
}

/// Where we are: `recordings › 9f3a…c1`.
fn place(app: &App, theme: Theme) -> Vec<Ink<'static>> {
    let mut line = vec![ink(Tone::Plain, app.screen.word())];
    let id = match &app.screen {
        Screen::Recording(id) => Some(id.as_str().to_owned()),
        Screen::Job(id) => Some(id.to_string()),
        Screen::Recordings | Screen::Jobs | Screen::Queues | Screen::Workers => None,
    };
    if let Some(id) = id {
        line.push(ink(Tone::Plain, format!(" {} ", theme.glyph(Glyph::Path))));
        let cells = if app.size.cols >= BESIDE_COLS { 64 } else { 20 };
        let id = text::clip_middle(&id, cells, theme.glyph(Glyph::Ellipsis)).into_owned();
        line.push(ink(Tone::Plain, id));
    }
    line
}

/// What is written at the right, most important last, each with its ground when it has one.
fn badges(app: &App, theme: Theme) -> Vec<(String, Option<Ground>)> {
    let mut badges = Vec::new();
    if let Some(since) = app.frozen {
        let age = units::age(i64::try_from(app.now.saturating_sub(since).as_secs()).unwrap_or(i64::MAX));
        let newer = newer(app);
        let text = if newer > 0 { format!("FROZEN {age}, {newer} newer") } else { format!("FROZEN {age}") };
        badges.push((text, Some(Ground::Notice)));
    } else if !app.focused {
        badges.push(("PAUSED no focus".to_owned(), None));
    } else if app.pace == Pace::Off {
        badges.push(("PAUSED".to_owned(), Some(Ground::Notice)));
    }
    match app.armed {
        Armed::Asked => badges.push(("ARMING".to_owned(), None)),
        Armed::No | Armed::Until(_) => match app.armed_for() {
            None => badges.push(("READ-ONLY".to_owned(), None)),
            Some(None) => badges.push(("ARMED".to_owned(), Some(Ground::Armed))),
            Some(Some(left)) => {
                let left = units::clock(i64::try_from(left.as_secs()).unwrap_or(i64::MAX));
                badges.push((format!("ARMED {left}"), Some(Ground::Armed)));
            }
        },
    }
    badges.push(connection(app, theme));
    badges
}

/// How the connection stands, and how old what is shown is when that is worth a word.
fn connection(app: &App, theme: Theme) -> (String, Option<Ground>) {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match &app.link {
        Link::Connecting => (format!("{} connecting", theme.glyph(Glyph::Dotted)), None),
        Link::Lost { tries, .. } => {
            let since = seconds(app.lost_for().unwrap_or_default());
            let since = format!("{:02}:{:02}", since / 60, since % 60);
            // The loss itself is no try.
            let tries = if *tries == 0 { String::new() } else { format!(", try {tries}") };
            (format!("{} DB LOST {since}{tries}", theme.glyph(Glyph::Cross)), Some(Ground::Lost))
        }
        Link::Up { .. } => {
            let load = app.load();
            let age = load.at.map(|at| app.now.saturating_sub(at));
            let late = age.is_some_and(|age| app.pace.base().is_some_and(|base| age > base + load.took * 100 + LATE));
            let resting = app.frozen.is_some() || !app.focused || app.pace == Pace::Off;
            let failed = matches!(load.state, State::Failed(_));
            match age {
                Some(age) if failed || (late && !resting) => {
                    let text = format!("{} stale {}", theme.glyph(Glyph::Alert), units::age(seconds(age)));
                    (text, Some(Ground::Notice))
                }
                Some(age) if app.frozen.is_none() && (resting || age >= OLD) => {
                    (format!("{} up {} old", theme.glyph(Glyph::Active), units::age(seconds(age))), None)
                }
                _ => (format!("{} up", theme.glyph(Glyph::Active)), None),
            }
        }
    }
}

/// How many rows have come that a frozen list does not show.
fn newer(app: &App) -> usize {
    match app.screen {
        Screen::Recordings => app.recordings.newer(),
        Screen::Jobs => app.jobs.newer(),
        Screen::Queues => app.queues.newer(),
        Screen::Workers => app.workers.newer(),
        Screen::Recording(_) | Screen::Job(_) => 0,
    }
}
