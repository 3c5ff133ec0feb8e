//! Writes lines into one rectangle of the screen: text with a tone, cut where the rectangle ends.
//!
//! A pen outside of the screen writes nothing, so that no screen has to ask whether there is room.

use super::text;
use super::theme::{Glyph, Ground, Theme, Tone};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use std::borrow::Cow;
use unicode_segmentation::UnicodeSegmentation;

/// A piece of a line: text and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ink<'a> {
    /// What is written.
    pub text: Cow<'a, str>,
    /// What it means.
    pub tone: Tone,
}

/// A piece of a line.
pub fn ink<'a>(tone: Tone, text: impl Into<Cow<'a, str>>) -> Ink<'a> {
    Ink { text: text.into(), tone }
}

/// How many cells a line takes.
pub fn width(line: &[Ink<'_>]) -> u16 {
    line.iter().fold(0_u16, |sum, ink| sum.saturating_add(text::width(&ink.text)))
}

/// One rectangle being written. Places are counted from its upper left corner.
pub struct Pen<'a> {
    buf: &'a mut Buffer,
    area: Rect,
    /// How things look.
    pub theme: Theme,
}

impl<'a> Pen<'a> {
    /// A pen for the part of `area` that is on the screen.
    pub fn new(buf: &'a mut Buffer, area: Rect, theme: Theme) -> Pen<'a> {
        let area = area.intersection(buf.area);
        Pen { buf, area, theme }
    }

    /// Columns.
    pub fn width(&self) -> u16 {
        self.area.width
    }

    /// Lines.
    pub fn height(&self) -> u16 {
        self.area.height
    }

    /// A pen for a part of this one, cut to it.
    pub fn part(&mut self, x: u16, y: u16, width: u16, height: u16) -> Pen<'_> {
        let place = Rect { x: self.area.x.saturating_add(x), y: self.area.y.saturating_add(y), width, height };
        Pen { area: place.intersection(self.area), buf: self.buf, theme: self.theme }
    }

    /// The lines from `y` on, `height` of them.
    pub fn rows(&mut self, y: u16, height: u16) -> Pen<'_> {
        self.part(0, y, self.area.width, height)
    }

    /// A place of this pen as a place of the screen.
    pub fn place(&self, x: u16, y: u16) -> Position {
        let x = x.min(self.area.width.saturating_sub(1));
        Position { x: self.area.x.saturating_add(x), y: self.area.y.saturating_add(y) }
    }

    /// Writes a line, cut at the right edge with an ellipsis. Returns the column after its end.
    pub fn line(&mut self, x: u16, y: u16, line: &[Ink<'_>]) -> u16 {
        self.line_within(x, y, self.area.width.saturating_sub(x), line)
    }

    /// Writes a line into `cells` columns from `x`, cut with an ellipsis. Returns the column after its end.
    pub fn line_within(&mut self, x: u16, y: u16, cells: u16, line: &[Ink<'_>]) -> u16 {
        let cells = cells.min(self.area.width.saturating_sub(x));
        let mut at = x;
        for (index, piece) in line.iter().enumerate() {
            let left = cells.saturating_sub(at - x);
            let style = self.theme.tone(piece.tone);
            let fits = text::width(&piece.text) <= left;
            // What follows an exact fit is cut too, and the cut must show.
            let more = line[index + 1..].iter().any(|next| !next.text.trim_end().is_empty());
            if fits && (text::width(&piece.text) < left || !more) {
                at = self.put(at, y, &piece.text, style);
                continue;
            }
            let ellipsis = self.theme.glyph(Glyph::Ellipsis);
            if left > 0 {
                let (end, _) = text::head(&piece.text, left - 1);
                at = self.put(at, y, &piece.text[..end], style);
                at = self.put(at, y, ellipsis, style);
            }
            break;
        }
        at
    }

    /// Writes a line that ends at the right edge. Returns the column where it begins.
    pub fn right(&mut self, y: u16, line: &[Ink<'_>]) -> u16 {
        let x = self.area.width.saturating_sub(width(line));
        self.line(x, y, line);
        x
    }

    /// Writes text as it is. Characters that do not fit into the rectangle are left out whole.
    pub fn put(&mut self, x: u16, y: u16, text: &str, style: Style) -> u16 {
        if y >= self.area.height {
            return x;
        }
        let mut at = x;
        self.split(x, y);
        for grapheme in text.graphemes(true) {
            let cells = text::width(grapheme);
            let grapheme = if self.theme.unicode { grapheme } else { ascii(grapheme, cells) };
            if cells == 0 {
                continue;
            }
            if at.saturating_add(cells) > self.area.width {
                break;
            }
            let (column, row) = (self.area.x + at, self.area.y + y);
            if cells > 1 && grapheme.is_ascii() {
                // Stands for a wide character: a cell for each of its letters.
                at = self.put(at, y, grapheme, style);
                continue;
            }
            if let Some(cell) = self.buf.cell_mut((column, row)) {
                cell.set_symbol(grapheme).set_style(style);
            }
            // The cells that a wide character covers: what stood there must not shine through.
            for covered in 1..cells {
                if let Some(cell) = self.buf.cell_mut((column + covered, row)) {
                    cell.reset();
                    cell.set_style(style);
                }
            }
            at += cells;
        }
        at
    }

    /// One glyph `times` over.
    pub fn repeat(&mut self, x: u16, y: u16, times: u16, glyph: Glyph, tone: Tone) -> u16 {
        let (symbol, style) = (self.theme.glyph(glyph), self.theme.tone(tone));
        let end = x.saturating_add(times).min(self.area.width);
        for at in x..end {
            self.put(at, y, symbol, style);
        }
        end
    }

    /// Gives a line a ground of its own, colours of its text included.
    pub fn ground(&mut self, x: u16, y: u16, cells: u16, ground: Ground) {
        let style = self.theme.ground(ground);
        self.patch(Rect { x, y, width: cells, height: 1 }, style);
    }

    /// Makes everything in the rectangle recede.
    pub fn fade(&mut self) {
        let style = self.theme.old();
        self.patch(Rect { x: 0, y: 0, width: self.area.width, height: self.area.height }, style);
    }

    /// A wide character whose second half is about to be written over loses its first half too, else it would still
    /// take both.
    fn split(&mut self, x: u16, y: u16) {
        let (column, row) = (self.area.x.saturating_add(x), self.area.y.saturating_add(y));
        let Some(before) = column.checked_sub(1) else { return };
        if let Some(cell) = self.buf.cell_mut((before, row)).filter(|cell| text::width(cell.symbol()) > 1) {
            cell.set_symbol(" ");
        }
    }

    /// Empties the rectangle.
    pub fn clear(&mut self) {
        for y in self.area.top()..self.area.bottom() {
            self.split(0, y - self.area.top());
            for x in self.area.left()..self.area.right() {
                if let Some(cell) = self.buf.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
    }

    fn patch(&mut self, place: Rect, style: Style) {
        let place = Rect {
            x: self.area.x.saturating_add(place.x),
            y: self.area.y.saturating_add(place.y),
            width: place.width,
            height: place.height,
        };
        self.buf.set_style(place.intersection(self.area), style);
    }
}

/// What stands for a character on a terminal that has only ASCII: as many cells as it takes, so that columns stay.
fn ascii(grapheme: &str, cells: u16) -> &str {
    match grapheme {
        plain if plain.is_ascii() => plain,
        "…" => "~",
        "–" | "—" => "-",
        "×" => "x",
        _ if cells == 2 => "??",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(width: u16, write: impl FnOnce(&mut Pen<'_>)) -> String {
        let mut buf = Buffer::empty(Rect::new(0, 0, width, 1));
        let area = buf.area;
        write(&mut Pen::new(&mut buf, area, Theme::default()));
        buf.content().iter().map(|cell| cell.symbol()).collect()
    }

    #[test]
    fn a_line_that_is_cut_says_so() {
        let line = [ink(Tone::Plain, "state "), ink(Tone::Bad, "failed")];
        assert_eq!(written(12, |pen| _ = pen.line(0, 0, &line)), "state failed");
        assert_eq!(written(9, |pen| _ = pen.line(0, 0, &line)), "state fa…");
        assert_eq!(written(6, |pen| _ = pen.line(0, 0, &line)), "state…", "a cut between two pieces shows as well");
        assert_eq!(written(0, |pen| _ = pen.line(0, 0, &line)), "");
    }

    #[test]
    fn a_wide_character_is_left_out_whole() {
        assert_eq!(written(3, |pen| _ = pen.put(0, 0, "録画", Style::new())), "録  ");
    }

    #[test]
    fn a_terminal_of_ascii_gets_ascii_in_the_same_columns() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 9, 1));
        let area = buf.area;
        Pen::new(&mut buf, area, Theme { colour: true, unicode: false }).put(0, 0, "録é…␛x", Style::new());
        assert_eq!(buf.content().iter().map(|cell| cell.symbol()).collect::<String>(), "???~?x   ");
    }

    #[test]
    fn what_covers_half_of_a_wide_character_takes_all_of_it_away() {
        assert_eq!(
            written(5, |pen| {
                pen.put(0, 0, "録画x", Style::new());
                pen.put(1, 0, "|", Style::new());
            }),
            " |画 x"
        );
    }

    #[test]
    fn a_pen_outside_of_the_screen_writes_nothing() {
        assert_eq!(
            written(4, |pen| {
                pen.part(9, 9, 5, 5).line(0, 0, &[ink(Tone::Plain, "lost")]);
                pen.line(70, 0, &[ink(Tone::Plain, "lost")]);
                pen.line(0, 7, &[ink(Tone::Plain, "lost")]);
                pen.ground(9, 9, 9, Ground::Selected);
            }),
            "    "
        );
    }
}
