//! One line of text being typed.

use unicode_segmentation::UnicodeSegmentation;

/// Longest line in bytes: far more than any filter needs, and a pasted megabyte does not make every frame slow.
pub const LENGTH_MAX: usize = 1_000;

/// A line with a cursor, which stands before a whole character as people count them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// What was typed. It has no control characters, and may have others that a view must clean.
    pub text: String,
    /// Byte offset of the cursor.
    pub cursor: usize,
}

impl Line {
    /// A line with the cursor at its end.
    pub fn new(text: &str) -> Line {
        let mut line = Line::default();
        line.insert(text);
        line
    }

    /// Types text; control characters and what goes beyond [`LENGTH_MAX`] are left out.
    pub fn insert(&mut self, text: &str) {
        for letter in text.chars().filter(|letter| !letter.is_control()) {
            if self.text.len() + letter.len_utf8() > LENGTH_MAX {
                break;
            }
            self.text.insert(self.cursor, letter);
            self.cursor += letter.len_utf8();
        }
        // A letter that joins the one behind the cursor leaves the cursor within both.
        self.cursor =
            self.text.grapheme_indices(true).map(|(at, _)| at).find(|at| *at >= self.cursor).unwrap_or(self.text.len());
    }

    /// One character to the left.
    pub fn left(&mut self) {
        self.cursor = self.before();
    }

    /// One character to the right.
    pub fn right(&mut self) {
        self.cursor = self.after();
    }

    /// To the start.
    pub fn start(&mut self) {
        self.cursor = 0;
    }

    /// To the end.
    pub fn end(&mut self) {
        self.cursor = self.text.len();
    }

    /// Erases the character before the cursor.
    pub fn erase(&mut self) {
        let from = self.before();
        self.text.drain(from..self.cursor);
        self.settle(from);
    }

    /// Erases the character at the cursor.
    pub fn erase_next(&mut self) {
        let to = self.after();
        self.text.drain(self.cursor..to);
        self.settle(self.cursor);
    }

    /// Erases the word before the cursor and the space behind it.
    pub fn erase_word(&mut self) {
        let head = self.text[..self.cursor].trim_end();
        let from =
            head.rfind(char::is_whitespace).map_or(0, |at| at + head[at..].chars().next().map_or(1, char::len_utf8));
        self.text.drain(from..self.cursor);
        self.settle(from);
    }

    /// Erases everything before the cursor.
    pub fn erase_line(&mut self) {
        self.text.drain(..self.cursor);
        self.settle(0);
    }

    /// The word that ends at the cursor.
    pub fn word(&self) -> &str {
        let head = &self.text[..self.cursor];
        head.rsplit(char::is_whitespace).next().unwrap_or(head)
    }

    /// Puts `word` in place of the word that ends at the cursor.
    pub fn replace_word(&mut self, word: &str) {
        let from = self.cursor - self.word().len();
        self.text.drain(from..self.cursor);
        self.cursor = from;
        self.insert(word);
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.text[self.cursor..].graphemes(true).next().map_or(self.cursor, |next| self.cursor + next.len())
    }

    /// What stood on both sides of an erased piece may have joined.
    fn settle(&mut self, at: usize) {
        self.cursor = self
            .text
            .grapheme_indices(true)
            .map(|(start, _)| start)
            .find(|start| *start >= at)
            .unwrap_or(self.text.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_edited_by_characters_as_people_count_them() {
        let mut line = Line::new("state:x e\u{301}👨‍👩‍👧");
        line.erase();
        line.erase();
        assert_eq!(line.text, "state:x ");
        line.erase_word();
        assert_eq!((line.text.as_str(), line.cursor), ("", 0));
        line.insert("a\u{1b}[31m\nb");
        assert_eq!(line.text, "a[31mb");
        line.start();
        line.erase_next();
        line.right();
        line.erase_line();
        assert_eq!(line.text, "31mb");
        line.end();
        line.replace_word("kind:mux");
        assert_eq!(line.text, "kind:mux");
    }

    #[test]
    fn a_pasted_megabyte_is_cut() {
        let mut line = Line::default();
        line.insert(&"ab".repeat(500_000));
        assert_eq!(line.text.len(), LENGTH_MAX);
    }

    proptest! {
        #[test]
        fn the_cursor_stands_between_characters(steps in prop::collection::vec((0..9_u8, ".{0,3}"), 0..40)) {
            let mut line = Line::default();
            for (step, text) in steps {
                match step {
                    0..=2 => line.insert(&text),
                    3 => line.left(),
                    4 => line.right(),
                    5 => line.erase(),
                    6 => line.erase_next(),
                    7 => line.erase_word(),
                    _ => line.start(),
                }
                prop_assert!(line.text.is_char_boundary(line.cursor));
            }
        }
    }
}
