//! A question before a change: what, what it means, and the command line that does the same.

use super::pen::{Pen, ink};
use super::text;
use super::theme::{Glyph, Tone};
use crate::app::App;
use crate::app::overlay::Confirm;
use crate::keys::{Action, Layer};

/// A box wider than this is hard to read at a glance.
const WIDTH: u16 = 64;

/// Draws it over the middle of the screen.
pub(super) fn draw(app: &App, question: &Confirm, pen: &mut Pen<'_>) {
    let ellipsis = pen.theme.glyph(Glyph::Ellipsis);
    let inner = pen.width().saturating_sub(4).min(WIDTH);
    let meaning = text::wrap(question.consequence.as_str(), inner, 3, ellipsis);
    let asked = text::wrap(question.question.as_str(), inner, 2, ellipsis);
    let command = question.line.as_ref().map(|line| text::clip(line.as_str(), inner, ellipsis));
    let mut lines: Vec<_> = asked.into_iter().map(|line| vec![ink(Tone::Strong, line)]).collect();
    lines.extend(meaning.into_iter().map(|line| vec![ink(Tone::Plain, line)]));
    lines.push(Vec::new());
    lines.extend(command.map(|line| vec![ink(Tone::Faint, line)]));
    let key =
        |action: Action| app.keys.chords(Layer::Confirm, action).first().map_or_else(String::new, ToString::to_string);
    lines.push(vec![
        ink(Tone::Change, key(Action::Yes)),
        ink(Tone::Plain, " yes, do it   "),
        ink(Tone::Key, key(Action::No)),
        ink(Tone::Plain, " no, leave it"),
    ]);
    let mut inside = framed(pen, inner, u16::try_from(lines.len()).unwrap_or(u16::MAX));
    // Where there is no room for all of it, the question and its answers stay.
    let first = usize::from(inside.height()).min(lines.len()).saturating_sub(1);
    let answers = lines.len() - 1;
    for (y, line) in
        lines.drain(..).enumerate().filter(|(y, _)| *y < first || *y == answers).map(|(y, line)| (y.min(first), line))
    {
        inside.line(0, u16::try_from(y).unwrap_or(u16::MAX), &line);
    }
}

/// Clears the middle of a pen, draws a box there, and gives the pen of its inside.
pub(super) fn framed<'a>(pen: &'a mut Pen<'_>, width: u16, height: u16) -> Pen<'a> {
    let (wide, high) = (width.saturating_add(4).min(pen.width()), height.saturating_add(2).min(pen.height()));
    let (x, y) = ((pen.width() - wide) / 2, (pen.height() - high) / 3);
    edge(&mut pen.part(x, y, wide, high));
    // A box of two lines is all border; then the text has the place.
    let border = u16::from(high > 2);
    let across = if wide > 8 { 2 } else { 0 };
    let mut clear = pen.part(x + across, y + border, wide - 2 * across, high - 2 * border);
    if border == 0 || across == 0 {
        clear.clear();
    }
    pen.part(x + across, y + border, wide - 2 * across, high - 2 * border)
}

fn edge(pen: &mut Pen<'_>) {
    pen.clear();
    let (right, low) = (pen.width().saturating_sub(1), pen.height().saturating_sub(1));
    for y in [0, low] {
        pen.repeat(0, y, right + 1, Glyph::Rule, Tone::Faint);
    }
    for y in 0..=low {
        pen.repeat(0, y, 1, Glyph::Wall, Tone::Faint);
        pen.repeat(right, y, 1, Glyph::Wall, Tone::Faint);
    }
    for (x, y, corner) in
        [(0, 0, Glyph::Corner1), (right, 0, Glyph::Corner2), (right, low, Glyph::Corner3), (0, low, Glyph::Corner4)]
    {
        pen.repeat(x, y, 1, corner, Tone::Faint);
    }
}
