//! The palette: a line to type into and what fits to it.

use super::bottom::typed;
use super::confirm::framed;
use super::pen::{Pen, ink, width};
use super::table;
use super::text;
use super::theme::{Glyph, Tone};
use crate::app::overlay::Palette;
use ratatui::layout::Position;

/// Wider, the eye loses the way from a name to its key.
const WIDTH: u16 = 72;
/// More choices than this are found by typing another letter.
const CHOICES: usize = 12;
/// Columns of a choice's name.
const NAME: u16 = 18;

/// Draws it over the screen; where the cursor is.
pub(super) fn draw(palette: &Palette, pen: &mut Pen<'_>) -> Option<Position> {
    let shown = palette.choices.len().clamp(1, CHOICES);
    let lines = u16::try_from(shown).unwrap_or(u16::MAX).saturating_add(2);
    let wide = pen.width().saturating_sub(4).min(WIDTH);
    let mut inside = framed(pen, wide, lines);
    let cursor = typed(":", &palette.line, &mut inside.rows(0, 1));
    let room = usize::from(inside.height().saturating_sub(2)).min(shown);
    if let Some(wrong) = &palette.wrong {
        inside.line(0, 1, &[ink(Tone::Bad, wrong.as_str())]);
    } else {
        let cells = inside.width();
        inside.repeat(0, 1, cells, Glyph::Rule, Tone::Faint);
    }
    if palette.choices.is_empty() && palette.wrong.is_none() {
        inside.line(2, 2, &[ink(Tone::Faint, "Nothing that can be done here is called that.")]);
    }
    let top = (palette.selected + 1).saturating_sub(room).min(palette.choices.len().saturating_sub(room));
    for (at, choice) in palette.choices.iter().enumerate().skip(top).take(room) {
        let y = 2 + u16::try_from(at - top).unwrap_or(u16::MAX - 2);
        let keys = [ink(Tone::Key, choice.keys.as_str())];
        let edge = inside.width().saturating_sub(width(&keys) + 1);
        let name = text::clip(choice.name.as_str(), NAME, inside.theme.glyph(Glyph::Ellipsis));
        inside.line_within(2, y, NAME, &[ink(Tone::Strong, name)]);
        inside.line_within(NAME + 4, y, edge.saturating_sub(NAME + 5), &[ink(Tone::Faint, choice.text.as_str())]);
        inside.line(edge, y, &keys);
        if at == palette.selected {
            table::select(&mut inside, y);
        }
    }
    cursor
}
