//! The last line: what was just done, else what wants to be read of the selection, else how the list was narrowed down;
//! and the line that is being typed, with what is wrong with it.

use super::pen::{Ink, Pen, ink, width};
use super::theme::{Glyph, Tone};
use super::{footer, now, text};
use crate::app::line::Line;
use crate::app::list::{List, Row};
use crate::app::load::State;
use crate::app::overlay::{Overlay, Typing};
use crate::app::{self, App, Screen};
use crate::source::clean::Clean;
use crate::source::told::Link;
use crate::verdict;
use ratatui::layout::Position;

/// Draws it. `shared`: there is no other line for the keys, which are shown when nothing has to be said.
pub(super) fn draw(app: &App, shared: bool, pen: &mut Pen<'_>) {
    if matches!(app.overlay, Some(Overlay::Filter(_))) {
        return;
    }
    if let Some(line) = urgent(app, pen) {
        pen.line(1, 0, &line);
        return;
    }
    if shared {
        return footer::draw(app, pen);
    }
    let right = position(app);
    let edge = pen.width().saturating_sub(width(&right) + 1);
    pen.line(edge, 0, &right);
    pen.line_within(1, 0, edge.saturating_sub(3), &quiet(app));
}

/// What has happened, or why what is shown is old.
fn urgent(app: &App, pen: &Pen<'_>) -> Option<Vec<Ink<'static>>> {
    let mark = |glyph: Glyph, tone: Tone, text: String| {
        vec![ink(tone, pen.theme.glyph(glyph)), ink(Tone::Plain, " "), ink(tone, text)]
    };
    if let Some(toast) = &app.toast {
        let (glyph, tone) = match toast.tone {
            app::Tone::Done => (Glyph::Check, Tone::Good),
            app::Tone::Note => (Glyph::Dot, Tone::Plain),
            app::Tone::Bad => (Glyph::Cross, Tone::Bad),
        };
        let mut line = mark(glyph, tone, toast.text.as_str().to_owned());
        if let Some(command) = &toast.command {
            line.push(ink(Tone::Faint, format!("   {command}")));
        }
        return Some(line);
    }
    if let Some(pending) = app.acts.last() {
        return Some(mark(Glyph::Half, Tone::Busy, format!("{} is asked for", pending.command.verb().name())));
    }
    if let (Link::Lost { why, .. }, Some(_)) = (&app.link, app.load().at) {
        return Some(mark(Glyph::Cross, Tone::Bad, format!("what is shown is old: {why}")));
    }
    match &app.load().state {
        // What has never been shown cannot be old; why there is nothing stands in its place.
        State::Failed(_) if app.load().at.is_none() => None,
        State::Failed(why) => Some(mark(Glyph::Alert, Tone::Warn, format!("what is shown is old: {why}"))),
        State::Waiting | State::Fresh | State::Gone => None,
    }
}

/// What the selection says in full, or how the list was narrowed down.
fn quiet(app: &App) -> Vec<Ink<'static>> {
    if app.overlay.is_some() {
        return Vec::new();
    }
    let mut line = Vec::new();
    let filter = match app.screen {
        Screen::Recordings => filter(&app.recordings),
        Screen::Jobs => filter(&app.jobs),
        Screen::Queues | Screen::Workers | Screen::Recording(_) | Screen::Job(_) => None,
    };
    line.extend(filter.map(|text| ink(Tone::Key, format!("/{text}  "))));
    let said = match app.screen {
        Screen::Recordings => app.recordings.current().map(|row| verdict::recording(row, now(app)).text),
        Screen::Jobs | Screen::Recording(_) => {
            app.chosen_job().and_then(|job| job.error.as_ref().map(Clean::to_string))
        }
        Screen::Queues => app.queues.current().and_then(super::queues::said),
        Screen::Workers | Screen::Job(_) => None,
    };
    line.extend(said.map(|text| ink(Tone::Plain, text)));
    line
}

fn filter<R: Row>(list: &List<R>) -> Option<String> {
    let tried =
        list.tried.map_or(String::new(), |rows| format!(" in the newest {}", crate::units::exact(u64::from(rows))));
    (!list.filter_text.is_empty()).then(|| format!("{}{tried}", Clean::new(&list.filter_text)))
}

/// Where in the list the selection is, and how the list is sorted.
fn position(app: &App) -> Vec<Ink<'static>> {
    fn of<R: Row>(list: &List<R>) -> Vec<Ink<'static>> {
        if list.rows.is_empty() {
            return Vec::new();
        }
        let more = if list.more { "+" } else { "" };
        let place = format!("{} of {}{more}", list.cursor + 1, list.rows.len());
        vec![ink(Tone::Faint, format!("by {}   ", list.sorted_by())), ink(Tone::Plain, place)]
    }
    if app.overlay.is_some() {
        return Vec::new();
    }
    match app.screen {
        Screen::Recordings => of(&app.recordings),
        Screen::Jobs => of(&app.jobs),
        Screen::Queues => of(&app.queues),
        Screen::Workers => of(&app.workers),
        Screen::Recording(_) | Screen::Job(_) => Vec::new(),
    }
}

/// The filter being typed on the first of two lines, and under it what is wrong with it or what it could become.
pub(super) fn input(typing: &Typing, pen: &mut Pen<'_>) -> Option<Position> {
    pen.clear();
    let single = pen.height() < 2;
    if !single {
        let line = match &typing.wrong {
            Some(wrong) => {
                let glyph = pen.theme.glyph(Glyph::Alert);
                vec![ink(Tone::Bad, glyph), ink(Tone::Bad, format!(" {wrong}"))]
            }
            None => hints(typing),
        };
        pen.line(1, 1, &line);
    }
    typed("/", &typing.line, &mut pen.rows(0, 1))
}

/// What the word at the cursor could become; before anything is typed, what a filter looks like.
fn hints(typing: &Typing) -> Vec<Ink<'static>> {
    if typing.suggestions.is_empty() {
        return vec![ink(Tone::Faint, "enter takes it, esc leaves it")];
    }
    let mut line = vec![ink(Tone::Key, "tab"), ink(Tone::Plain, " ")];
    for suggestion in &typing.suggestions {
        line.push(ink(Tone::Faint, format!("{}  ", Clean::new(suggestion))));
    }
    line
}

/// A line being typed behind its prompt, moved so that the cursor is in sight; where that is.
pub(super) fn typed(prompt: &'static str, line: &Line, pen: &mut Pen<'_>) -> Option<Position> {
    let room = pen.width().saturating_sub(3);
    if pen.height() == 0 || room == 0 {
        return None;
    }
    // What was typed or pasted never came through the source's border; the marks are as wide as what they stand for.
    let head = Clean::new(&line.text[..line.cursor.min(line.text.len())]);
    let tail = Clean::new(&line.text[line.cursor.min(line.text.len())..]);
    let mut shown = head.as_str();
    while text::width(shown) > room {
        let more = text::width(shown) - room;
        let (cut, _) = text::head(shown, more.max(2));
        shown = &shown[cut.max(1).min(shown.len())..];
    }
    let end = pen.line(1, 0, &[ink(Tone::Key, prompt), ink(Tone::Plain, shown.to_owned())]);
    let style = pen.theme.tone(Tone::Plain);
    pen.put(end, 0, tail.as_str(), style);
    Some(pen.place(end, 0))
}
