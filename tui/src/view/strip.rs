//! Many segments in one line: a cell of the strip stands for one of them, or for a stretch of equal length when there
//! are more than cells, and then shows the worst of it.
//!
//! Work is bounded by runs and cells, never by segments.

use super::pen::Pen;
use super::theme::{Glyph, Tone};
use crate::source::rows::{Cell, Run};

/// Every cell, from good to bad.
pub const CELLS: [Cell; 5] = [Cell::Stored, Cell::Received, Cell::Late, Cell::Missing, Cell::Lost];

/// How a segment is drawn, and the word beside it in the legend.
pub fn mark(cell: Cell) -> (Glyph, Tone, &'static str) {
    match cell {
        Cell::Stored => (Glyph::Stored, Tone::Good, "in store"),
        Cell::Received => (Glyph::Received, Tone::Busy, "received"),
        Cell::Late => (Glyph::Late, Tone::Warn, "late"),
        Cell::Missing => (Glyph::Missing, Tone::Bad, "missing"),
        Cell::Lost => (Glyph::Lost, Tone::Bad, "lost"),
    }
}

/// Writes the strip of segments `1..=last` into `cells` columns from `x`. Returns the column after its end.
pub fn draw(pen: &mut Pen<'_>, x: u16, y: u16, cells_wide: u16, runs: &[Run], last: u32) -> u16 {
    let mut at = x;
    for cell in cells(runs, 1, last, cells_wide) {
        at = match cell {
            Some(cell) => {
                let (glyph, tone, _) = mark(cell);
                pen.repeat(at, y, 1, glyph, tone)
            }
            None => at.saturating_add(1),
        };
    }
    at
}

/// The cells of a strip over segments `first..=last`, at most `cells` of them. What no run names has no mark.
pub fn cells(runs: &[Run], first: u32, last: u32, cells: u16) -> Vec<Option<Cell>> {
    let total = u64::from(last.saturating_sub(first)) + 1;
    let shown = total.min(u64::from(cells));
    if last < first || shown == 0 {
        return Vec::new();
    }
    let mut strip = vec![None; usize::try_from(shown).unwrap_or(0)];
    for run in runs {
        let (from, to) = (run.from.max(first), run.to.min(last));
        if to < from {
            continue;
        }
        let place = |index: u32| usize::try_from(u64::from(index - first) * shown / total).unwrap_or(usize::MAX);
        for cell in strip.iter_mut().take(place(to) + 1).skip(place(from)) {
            *cell = (*cell).max(Some(run.cell));
        }
    }
    strip
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drawn(runs: &[(u32, u32, Cell)], last: u32, wide: u16) -> String {
        let runs: Vec<Run> = runs.iter().map(|(from, to, cell)| Run { from: *from, to: *to, cell: *cell }).collect();
        let ascii = super::super::theme::Theme { colour: false, unicode: false };
        cells(&runs, 1, last, wide).into_iter().map(|cell| cell.map_or(" ", |cell| ascii.glyph(mark(cell).0))).collect()
    }

    #[test]
    fn a_short_recording_has_a_cell_for_each_segment() {
        let runs = [(1, 3, Cell::Stored), (4, 4, Cell::Missing), (5, 6, Cell::Received)];
        assert_eq!(drawn(&runs, 6, 40), "###?++");
        assert_eq!(drawn(&runs, 8, 40), "###?++  ", "of the last two nothing is known");
    }

    #[test]
    fn one_bad_segment_in_ten_thousand_is_seen() {
        let runs = [(1, 4_999, Cell::Stored), (5_000, 5_000, Cell::Lost), (5_001, 10_000, Cell::Stored)];
        assert_eq!(drawn(&runs, 10_000, 10), "####x#####");
    }

    #[test]
    fn nothing_has_no_cells() {
        assert_eq!(drawn(&[], 0, 40), "");
        assert_eq!(drawn(&[(1, 1, Cell::Stored)], 1, 0), "");
        assert_eq!(drawn(&[(0, u32::MAX, Cell::Stored)], u32::MAX, 3), "###");
    }

    proptest! {
        #[test]
        fn the_worst_is_never_hidden(bad in 1_u32..5_000, more in 0_u32..5_000, width in 1_u16..250) {
            let last = bad + more;
            let strip = drawn(&[(1, last, Cell::Stored), (bad, bad, Cell::Missing)], last, width);
            prop_assert!(strip.len() <= usize::from(width));
            prop_assert_eq!(strip.matches('?').count(), 1);
        }
    }
}
