//! The line of keys: those that do something here and now, most wanted first, and always the one that explains the rest.

use super::pen::{Ink, Pen, ink, width};
use super::theme::Tone;
use crate::app::App;
use crate::app::hints::Hint;

/// Draws it.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>) {
    line(&app.footer(), pen);
}

/// Writes as many hints as there is room for. `help` keeps its place at the end whatever else goes.
pub(super) fn line(hints: &[Hint], pen: &mut Pen<'_>) {
    let help = hints.iter().find(|hint| hint.word == "help").map(piece);
    let kept = help.as_ref().map_or(0, |help| width(help) + 2);
    let room = pen.width().saturating_sub(1);
    let mut x = 1;
    for hint in hints.iter().filter(|hint| hint.word != "help") {
        let piece = piece(hint);
        if x + width(&piece) + kept > room {
            break;
        }
        x = pen.line(x, 0, &piece) + 2;
    }
    if let Some(help) = help {
        pen.line(x, 0, &help);
    }
}

fn piece(hint: &Hint) -> Vec<Ink<'_>> {
    let key = if hint.changes { Tone::Change } else { Tone::Key };
    vec![ink(key, hint.key.as_str()), ink(Tone::Plain, " "), ink(Tone::Faint, hint.word)]
}
