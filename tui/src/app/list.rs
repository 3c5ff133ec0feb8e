//! A list of rows with a selection that belongs to a row and not to a place: rows come, go and change their order under
//! it, and it stays where the person put it.

use super::load::Load;
use domain::filter::Filter;
use std::cmp::Ordering;
use std::ops::Range;

/// A row of a list.
pub trait Row {
    /// What tells it from the others.
    type Id: Clone + Eq + std::fmt::Debug;

    /// The orders the list can be in, the one it starts in first; they sort only what is on the page.
    const SORTS: &'static [&'static str];

    /// What tells it from the others.
    fn id(&self) -> Self::Id;

    /// Which comes first in the order `sort`, a place in [`Row::SORTS`]. Equal rows stay in the order they came in.
    fn order(&self, other: &Self, sort: usize) -> Ordering;
}

/// Rows as they are shown, one of them selected.
#[derive(Debug, Clone, PartialEq)]
pub struct List<R: Row> {
    /// What is shown, in the order in which it is shown.
    pub rows: Vec<R>,
    /// The selected row; none while there are no rows.
    pub selected: Option<R::Id>,
    /// Where it is.
    pub cursor: usize,
    /// The first row on the screen, as far as the application knows; [`List::window`] makes it fit a height.
    pub top: usize,
    /// The order, a place in [`Row::SORTS`].
    pub sort: usize,
    /// What narrows it down.
    pub filter: Filter,
    /// The same as it was typed.
    pub filter_text: String,
    /// There are more rows than these.
    pub more: bool,
    /// The terms of the filter without an index were tried on so many rows; none when every term has one.
    pub tried: Option<u32>,
    /// How many rows were asked for.
    pub limit: u32,
    /// How current it is.
    pub load: Load,
    /// While frozen: the newest rows, which are not shown.
    pub held: Option<Vec<R>>,
}

impl<R: Row> List<R> {
    /// An empty list that asks for `limit` rows.
    pub fn new(limit: u32) -> List<R> {
        List {
            rows: Vec::new(),
            selected: None,
            cursor: 0,
            top: 0,
            sort: 0,
            filter: Filter::default(),
            filter_text: String::new(),
            more: false,
            tried: None,
            limit,
            load: Load::default(),
            held: None,
        }
    }

    /// The selected row.
    pub fn current(&self) -> Option<&R> {
        self.rows.get(self.cursor)
    }

    /// The rows to show where there is room for `height` of them; the selected one is among them.
    pub fn window(&self, height: usize) -> Range<usize> {
        if height == 0 {
            return 0..0;
        }
        let lowest = (self.cursor + 1).saturating_sub(height);
        let last_top = self.rows.len().saturating_sub(height);
        let top = self.top.clamp(lowest, self.cursor).min(last_top);
        top..(top + height).min(self.rows.len())
    }

    /// How many rows of the newest answer are not shown, because the list is frozen.
    pub fn newer(&self) -> usize {
        let unseen = |row: &&R| !self.rows.iter().any(|shown| shown.id() == row.id());
        self.held.as_ref().map_or(0, |held| held.iter().filter(unseen).count())
    }

    /// The name of the order.
    pub fn sorted_by(&self) -> &'static str {
        R::SORTS[self.sort]
    }

    /// Takes rows, in the order in which they came. A frozen list puts them aside.
    pub fn take(&mut self, rows: Vec<R>) {
        if self.held.is_some() {
            self.held = Some(rows);
        } else {
            self.show(rows);
        }
    }

    /// Holds what is shown.
    pub fn freeze(&mut self) {
        self.held.get_or_insert_with(Vec::new);
    }

    /// Shows what has come since it was held.
    pub fn thaw(&mut self) {
        if let Some(rows) = self.held.take().filter(|rows| !rows.is_empty()) {
            self.show(rows);
        }
    }

    /// Goes to the next order. The first one needs the rows as they came, which the next answer brings.
    pub fn next_sort(&mut self) {
        self.sort = (self.sort + 1) % R::SORTS.len();
        let rows = std::mem::take(&mut self.rows);
        self.show(rows);
    }

    /// Moves the selection by so many rows, as far as there are rows.
    pub fn step(&mut self, by: isize) {
        self.select(self.cursor.saturating_add_signed(by));
    }

    /// Selects the row at this place, or the last one.
    pub fn select(&mut self, at: usize) {
        self.cursor = at.min(self.rows.len().saturating_sub(1));
        self.selected = self.current().map(Row::id);
    }

    /// Puts the screen where the selection is, with room for `height` rows.
    pub fn follow(&mut self, height: usize) {
        self.top = self.window(height.max(1)).start;
    }

    /// Forgets the rows, for another filter.
    pub fn clear(&mut self, limit: u32) {
        *self = List { filter: self.filter.clone(), filter_text: self.filter_text.clone(), ..List::new(limit) };
    }

    fn show(&mut self, mut rows: Vec<R>) {
        rows.sort_by(|one, other| one.order(other, self.sort));
        let before = self.cursor;
        self.rows = rows;
        let found = self.selected.as_ref().and_then(|id| self.rows.iter().position(|row| row.id() == *id));
        // A row that is gone gives its place to the one that has moved up.
        self.select(found.unwrap_or(before));
        // What the person looks at stays on its line; a list that shows its first row goes on showing it.
        if self.top > 0 {
            self.top = self.top.saturating_add_signed(self.cursor as isize - before as isize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Row for (u32, &'static str) {
        type Id = u32;
        const SORTS: &'static [&'static str] = &["as it came", "name"];

        fn id(&self) -> u32 {
            self.0
        }

        fn order(&self, other: &Self, sort: usize) -> Ordering {
            if sort == 0 { Ordering::Equal } else { self.1.cmp(other.1) }
        }
    }

    fn list(rows: &[(u32, &'static str)]) -> List<(u32, &'static str)> {
        let mut list = List::new(10);
        list.take(rows.to_vec());
        list
    }

    #[test]
    fn the_selection_belongs_to_a_row() {
        let mut list = list(&[(1, "a"), (2, "b"), (3, "c")]);
        list.step(1);
        list.take(vec![(9, "x"), (8, "y"), (3, "c"), (2, "b")]);
        assert_eq!((list.selected, list.cursor), (Some(2), 3));
        list.take(vec![(9, "x"), (8, "y"), (3, "c")]);
        assert_eq!((list.selected, list.cursor), (Some(3), 2));
        list.take(vec![]);
        assert_eq!((list.selected, list.cursor), (None, 0));
    }

    #[test]
    fn a_frozen_list_counts_what_is_newer_and_shows_it_when_let_go() {
        let mut list = list(&[(1, "a"), (2, "b")]);
        list.freeze();
        list.take(vec![(7, "g"), (1, "a"), (8, "h")]);
        assert_eq!((list.rows.len(), list.newer()), (2, 2));
        list.thaw();
        assert_eq!((list.rows.len(), list.newer(), list.cursor), (3, 0, 1));
    }

    #[test]
    fn a_page_is_sorted_under_its_selection() {
        let mut list = list(&[(1, "c"), (2, "b"), (3, "a")]);
        list.next_sort();
        assert_eq!((list.rows[0].0, list.cursor, list.sorted_by()), (3, 2, "name"));
    }

    #[test]
    fn the_window_has_the_selection_and_no_empty_end() {
        let mut list = list(&[(1, ""), (2, ""), (3, ""), (4, ""), (5, "")]);
        list.select(3);
        for (top, height, want) in [(0, 2, 2..4), (3, 2, 3..5), (9, 2, 3..5), (0, 9, 0..5), (2, 0, 0..0), (0, 5, 0..5)]
        {
            list.top = top;
            assert_eq!(list.window(height), want, "top {top} height {height}");
        }
        list.take(vec![]);
        assert_eq!(list.window(3), 0..0);
    }
}
