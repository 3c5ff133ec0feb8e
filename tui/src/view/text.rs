//! How wide text is, and how it is cut: by what a person sees as one character, counted in cells of the terminal.
//!
//! Must not: know a style or a screen.

use std::borrow::Cow;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// How many cells a text takes.
pub fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// The longest head of a text that takes at most `cells`, in bytes, and the cells it takes.
pub fn head(text: &str, cells: u16) -> (usize, u16) {
    let most = usize::from(cells);
    // Plain letters, and none after them that could join the last: a cell each, which spares the common case the counting.
    if text.as_bytes().iter().take(most + 1).all(|byte| (0x20..0x7f).contains(byte)) {
        let end = text.len().min(most);
        return (end, u16::try_from(end).unwrap_or(cells));
    }
    let mut end = 0;
    let mut taken = 0_u16;
    for (at, grapheme) in text.grapheme_indices(true) {
        let next = taken.saturating_add(width(grapheme));
        if next > cells {
            return (end, taken);
        }
        end = at + grapheme.len();
        taken = next;
    }
    (end, taken)
}

/// The text, or its head and an ellipsis, in at most `cells`. The ellipsis takes one cell.
pub fn clip<'a>(text: &'a str, cells: u16, ellipsis: &str) -> Cow<'a, str> {
    if head(text, cells).0 == text.len() {
        return Cow::Borrowed(text);
    }
    if cells == 0 {
        return Cow::Borrowed("");
    }
    let (end, _) = head(text, cells - 1);
    Cow::Owned(format!("{}{ellipsis}", &text[..end]))
}

/// The text, or its two ends around an ellipsis: for ids, which differ in both.
pub fn clip_middle<'a>(text: &'a str, cells: u16, ellipsis: &str) -> Cow<'a, str> {
    if head(text, cells).0 == text.len() {
        return Cow::Borrowed(text);
    }
    if cells < 5 {
        return clip(text, cells, ellipsis);
    }
    let after = (cells - 1) / 3;
    let (end, _) = head(text, cells - 1 - after);
    let mut start = text.len();
    let mut taken = 0_u16;
    for (at, grapheme) in text.grapheme_indices(true).rev() {
        taken = taken.saturating_add(width(grapheme));
        if taken > after {
            break;
        }
        start = at;
    }
    Cow::Owned(format!("{}{ellipsis}{}", &text[..end], &text[start..]))
}

/// The text in lines of at most `cells`, broken at spaces where there are any, at most `lines` of them. What does not
/// fit ends in an ellipsis.
pub fn wrap<'a>(text: &'a str, cells: u16, lines: usize, ellipsis: &str) -> Vec<Cow<'a, str>> {
    let mut wrapped = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() && wrapped.len() < lines && cells > 0 {
        if wrapped.len() + 1 == lines {
            wrapped.push(clip(rest, cells, ellipsis));
            break;
        }
        let (fits, _) = head(rest, cells);
        if fits == rest.len() {
            wrapped.push(Cow::Borrowed(rest));
            break;
        }
        if fits == 0 {
            // One character wider than the column: it cannot be shown here, and waiting for room would never end.
            let (first, _) = rest.split_at(rest.graphemes(true).next().map_or(rest.len(), str::len));
            rest = rest[first.len()..].trim_start();
            continue;
        }
        // A word that ends exactly at the edge is whole.
        let whole = rest[fits..].starts_with(' ');
        let at = if whole { fits } else { rest[..fits].rfind(' ').filter(|at| *at > 0).unwrap_or(fits) };
        wrapped.push(Cow::Borrowed(rest[..at].trim_end()));
        rest = rest[at..].trim_start();
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_cut_between_what_a_person_sees_as_characters() {
        assert_eq!(clip("recording", 20, "…"), "recording");
        assert_eq!(clip("recording", 4, "…"), "rec…");
        assert_eq!(clip("録画サーバー", 7, "…"), "録画サ…", "each takes two cells");
        assert_eq!(clip("録画サーバー", 6, "…"), "録画…", "half a character is none");
        assert_eq!(clip("e\u{301}e\u{301}e\u{301}", 2, "…"), "e\u{301}…", "an accent stays with its letter");
        assert_eq!(clip("👩‍👩‍👧‍👦 family", 4, "…"), "👩‍👩‍👧‍👦 …", "a family is one character of two cells");
        assert_eq!(clip("שלום עולם", 5, "…"), "שלום…");
        assert_eq!(clip("abc", 0, "…"), "");
    }

    #[test]
    fn an_id_keeps_both_ends() {
        assert_eq!(clip_middle("9f3ac0de-77c1", 9, "…"), "9f3ac0…c1");
        assert_eq!(clip_middle("short", 9, "…"), "short");
        assert_eq!(clip_middle("9f3ac0de", 4, "…"), "9f3…");
    }

    #[test]
    fn a_sentence_is_broken_at_spaces() {
        assert_eq!(wrap("the store refuses writes", 10, 9, "…"), ["the store", "refuses", "writes"]);
        assert_eq!(wrap("the store refuses writes", 9, 9, "…"), ["the store", "refuses", "writes"]);
        assert_eq!(wrap("the store refuses writes", 10, 2, "…"), ["the store", "refuses w…"]);
        assert_eq!(wrap("averylongword", 5, 9, "…"), ["avery", "longw", "ord"]);
        assert_eq!(wrap("録画", 1, 9, "…"), Vec::<String>::new(), "nothing fits, and that ends");
    }

    proptest! {
        #[test]
        fn nothing_is_ever_wider_than_its_place(text in "\\PC{0,40}", cells in 0_u16..30) {
            prop_assert!(width(&clip(&text, cells, "…")) <= cells);
            prop_assert!(width(&clip_middle(&text, cells, "…")) <= cells);
            for line in wrap(&text, cells, 4, "…") {
                prop_assert!(width(&line) <= cells);
            }
        }
    }
}
