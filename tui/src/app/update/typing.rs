//! Lines of text: the filter.

use super::{going, palette};
use crate::app::line::Line;
use crate::app::overlay::{Overlay, Typing};
use crate::app::{App, Dirty, Effect, Screen};
use crate::keys::Action;
use crate::source::clean::Clean;
use domain::filter::{Filter, List as Of, suggest};

/// Most suggestions shown at once.
const SUGGESTIONS_MAX: usize = 8;

/// The filter of this list is to be typed.
pub(super) fn open(app: &mut App) {
    if of(&app.screen).is_none() {
        return;
    }
    let mut typing = Typing { line: Line::new(&app.place().filter), ..Typing::default() };
    look(app, &mut typing);
    app.overlay = Some(Overlay::Filter(typing));
}

/// A letter was typed that is no key of the layer.
pub(super) fn letter(app: &mut App, letter: char) -> Vec<Effect> {
    paste(app, letter.encode_utf8(&mut [0; 4]))
}

/// Text comes into the line that is being typed; where there is none it means nothing, least of all keys.
pub(super) fn paste(app: &mut App, text: &str) -> Vec<Effect> {
    match app.overlay.take() {
        Some(Overlay::Filter(mut typing)) => {
            typing.line.insert(text);
            look(app, &mut typing);
            app.overlay = Some(Overlay::Filter(typing));
        }
        Some(Overlay::Palette(mut palette)) => {
            palette.line.insert(text);
            palette::look(app, &mut palette);
            app.overlay = Some(Overlay::Palette(palette));
        }
        other => {
            app.overlay = other;
            return Vec::new();
        }
    }
    app.touch(Dirty::Now);
    Vec::new()
}

/// An action while the filter is typed.
pub(super) fn perform(app: &mut App, mut typing: Typing, action: Action) -> Vec<Effect> {
    match action {
        Action::Close => return Vec::new(),
        Action::Submit => {
            let screen = app.screen.clone();
            match going::filter(app, &screen, &typing.line.text) {
                Ok(()) => return Vec::new(),
                Err(why) => typing.wrong = Some(why),
            }
        }
        Action::Complete => {
            if let Some(word) = typing.suggestions.first().cloned() {
                typing.line.replace_word(&word);
            }
            look(app, &mut typing);
        }
        other => {
            edit(&mut typing.line, other);
            look(app, &mut typing);
        }
    }
    app.overlay = Some(Overlay::Filter(typing));
    Vec::new()
}

/// Changes a line as its keys say.
pub(super) fn edit(line: &mut Line, action: Action) {
    match action {
        Action::Left => line.left(),
        Action::Right => line.right(),
        Action::LineStart => line.start(),
        Action::LineEnd => line.end(),
        Action::Erase => line.erase(),
        Action::EraseNext => line.erase_next(),
        Action::EraseWord => line.erase_word(),
        Action::EraseLine => line.erase_line(),
        _ => {}
    }
}

fn of(screen: &Screen) -> Option<Of> {
    match screen {
        Screen::Recordings => Some(Of::Recordings),
        Screen::Jobs => Some(Of::Jobs),
        Screen::Recording(_) | Screen::Job(_) | Screen::Queues | Screen::Workers => None,
    }
}

/// What is wrong with what was typed so far, and how it could go on.
fn look(app: &App, typing: &mut Typing) {
    let Some(list) = of(&app.screen) else { return };
    let refusal = Filter::parse(typing.line.text.trim(), list).err();
    typing.wrong = refusal.map(|refusal| Clean::new(refusal.to_string()));
    typing.suggestions = suggest(&typing.line.text[..typing.line.cursor], list);
    typing.suggestions.truncate(SUGGESTIONS_MAX);
}
