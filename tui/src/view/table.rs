//! A list in columns: which of them there is room for, how wide each is, and the rows that are in sight.
//!
//! Must not: know what is listed.

use super::pen::{Ink, Pen, ink, width};
use super::theme::{Glyph, Ground, Tone};
use std::borrow::Cow;
use std::ops::Range;

/// Cells between two columns.
const GAP: u16 = 2;
/// The selection's mark and a cell after it.
const MARGIN: u16 = 2;

/// One column of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// What stands over it.
    pub head: &'static str,
    /// Narrower it says nothing.
    pub min: u16,
    /// Wider it is wasted.
    pub max: u16,
    /// Numbers end at the right edge.
    pub right: bool,
    /// When there is no room the highest goes first; 0 stays.
    pub drops: u8,
}

impl Column {
    /// A column of text of one width.
    pub const fn fixed(head: &'static str, cells: u16) -> Column {
        Column { head, min: cells, max: cells, right: false, drops: 0 }
    }

    /// A column that takes what is left.
    pub const fn wide(head: &'static str, min: u16, max: u16) -> Column {
        Column { head, min, max, right: false, drops: 0 }
    }

    /// The same, ending at the right edge.
    pub const fn right(mut self) -> Column {
        self.right = true;
        self
    }

    /// The same, going `order`th when there is no room; the highest goes first.
    pub const fn drops(mut self, order: u8) -> Column {
        self.drops = order;
        self
    }
}

/// Width of each column in `cells`, 0 for those that are dropped.
pub fn fit(columns: &[Column], cells: u16) -> Vec<u16> {
    let mut widths: Vec<u16> = columns.iter().map(|column| column.min).collect();
    let taken = |widths: &[u16]| {
        let shown = widths.iter().filter(|width| **width > 0).count();
        let gaps = u16::try_from(shown.saturating_sub(1)).unwrap_or(u16::MAX).saturating_mul(GAP);
        widths.iter().fold(gaps, |sum, width| sum.saturating_add(*width))
    };
    while taken(&widths) > cells {
        let next = (0..columns.len())
            .filter(|at| widths[*at] > 0 && columns[*at].drops > 0)
            .max_by_key(|at| columns[*at].drops);
        match next {
            Some(at) => widths[at] = 0,
            // What must stay is cut by the edge.
            None => return widths,
        }
    }
    let mut left = cells - taken(&widths);
    // Turn by turn, so that all of them become readable together; what is a sentence takes three cells a turn.
    while left > 0 {
        let before = left;
        for (width, column) in widths.iter_mut().zip(columns).filter(|(width, _)| **width > 0) {
            let turn = if column.max == u16::MAX { 3 } else { 1 };
            let more = column.max.saturating_sub(*width).min(left).min(turn);
            *width += more;
            left -= more;
        }
        if left == before {
            break;
        }
    }
    widths
}

/// One cell of a row.
pub type Cell<'a> = Vec<Ink<'a>>;

/// A cell of one tone.
pub fn cell<'a>(tone: Tone, text: impl Into<Cow<'a, str>>) -> Cell<'a> {
    vec![ink(tone, text)]
}

/// How many rows a list on this pen has room for.
pub fn room(pen: &Pen<'_>) -> usize {
    usize::from(pen.height() - headed(pen))
}

/// Lines taken by the headings: two lines of a list are better both used for rows than one of them for headings.
fn headed(pen: &Pen<'_>) -> u16 {
    u16::from(pen.height() > 2)
}

/// Writes the headings on the first line and below them the rows `window`, of which there is [`room`] for so many. `row`
/// is asked only for those, with the width of each column.
pub fn draw<'a>(
    pen: &mut Pen<'_>,
    columns: &[Column],
    window: Range<usize>,
    selected: Option<usize>,
    mut row: impl FnMut(usize, &[u16]) -> Vec<Cell<'a>>,
) {
    let widths = fit(columns, pen.width().saturating_sub(MARGIN));
    let headed = headed(pen);
    if headed == 1 {
        let heads: Vec<Cell<'_>> = columns.iter().map(|column| cell(Tone::Head, column.head)).collect();
        draw_row(pen, 0, columns, &widths, &heads);
    }
    for (index, y) in window.zip(headed..pen.height()) {
        draw_row(pen, y, columns, &widths, &row(index, &widths));
        if selected == Some(index) {
            select(pen, y);
        }
    }
}

/// Marks a line as the selected one.
pub fn select(pen: &mut Pen<'_>, y: u16) {
    pen.line(0, y, &[ink(Tone::Plain, pen.theme.glyph(Glyph::Cursor))]);
    let cells = pen.width();
    pen.ground(0, y, cells, Ground::Selected);
}

fn draw_row(pen: &mut Pen<'_>, y: u16, columns: &[Column], widths: &[u16], cells: &[Cell<'_>]) {
    let mut x = MARGIN;
    for ((column, cells_wide), cell) in columns.iter().zip(widths).zip(cells) {
        if *cells_wide == 0 {
            continue;
        }
        let indent = if column.right { cells_wide.saturating_sub(width(cell)) } else { 0 };
        pen.line_within(x + indent, y, cells_wide - indent, cell);
        x += cells_wide + GAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::theme::Theme;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    const COLUMNS: [Column; 4] = [
        Column::fixed("STATE", 6),
        Column::wide("ID", 4, 10),
        Column::fixed("N", 3).right().drops(1),
        Column::wide("ERROR", 8, u16::MAX).drops(2),
    ];

    #[test]
    fn columns_go_in_their_order_and_share_what_is_left() {
        assert_eq!(fit(&COLUMNS, 40), [6, 8, 3, 17]);
        assert_eq!(fit(&COLUMNS, 70), [6, 10, 3, 45]);
        assert_eq!(fit(&COLUMNS, 27), [6, 4, 3, 8]);
        assert_eq!(fit(&COLUMNS, 26), [6, 10, 3, 0], "the error first");
        assert_eq!(fit(&COLUMNS, 16), [6, 8, 0, 0]);
        assert_eq!(fit(&COLUMNS, 3), [6, 4, 0, 0], "what must stay stays");
    }

    #[test]
    fn a_list_is_written_in_columns() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 30, 3));
        let area = buf.area;
        let mut pen = Pen::new(&mut buf, area, Theme { colour: false, unicode: false });
        draw(&mut pen, &COLUMNS, 0..2, Some(1), |row, _| {
            vec![
                cell(Tone::Good, "+ ok"),
                cell(Tone::Plain, format!("id{row}")),
                cell(Tone::Plain, "7"),
                cell(Tone::Bad, "went wrong"),
            ]
        });
        let lines: Vec<String> =
            buf.content().chunks(30).map(|row| row.iter().map(|cell| cell.symbol()).collect()).collect();
        assert_eq!(
            lines,
            ["  STATE   ID       N  ERROR   ", "  + ok    id0      7  went wr~", "> + ok    id1      7  went wr~"]
        );
    }
}
