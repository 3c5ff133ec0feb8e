//! Text that a terminal may be given.
//!
//! Whatever comes out of the database may have been written by somebody else: an error of a foreign server, a payload, a
//! name. In a terminal some characters are commands, and others turn the order of what is read around. [`Clean`] is text
//! without any of them; each is replaced by a mark that is seen, so that nothing looks as if it had not been there.

use std::borrow::Cow;
use std::fmt;

/// One line of text without control characters and without marks of direction.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Clean(String);

impl Clean {
    /// Makes a text harmless. A line break becomes a mark too: see [`Clean::lines`].
    pub fn new(text: impl AsRef<str>) -> Clean {
        Clean(clean(text.as_ref()).into_owned())
    }

    /// Makes a text of several lines harmless, a line each.
    pub fn lines(text: &str) -> Vec<Clean> {
        text.lines().map(Clean::new).collect()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// There is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for Clean {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Clean {
    fn from(text: &str) -> Clean {
        Clean::new(text)
    }
}

impl From<String> for Clean {
    fn from(text: String) -> Clean {
        Clean::new(text)
    }
}

/// The same text with a mark for every character that a terminal would obey or that hides or turns around what is read.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| mark(c).is_none()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| mark(c).unwrap_or(c)).collect())
}

/// As [`clean`], but line breaks stay: for text that is printed line by line.
pub fn clean_lines(text: &str) -> Cow<'_, str> {
    let broken = |c: char| c != '\n' && mark(c).is_some();
    if !text.chars().any(broken) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if broken(c) { mark(c).unwrap_or(c) } else { c }).collect())
}

/// For what has no picture of its own.
const OTHER: char = '\u{fffd}';

/// What is shown instead of `c`; nothing when it may be shown as it is.
fn mark(c: char) -> Option<char> {
    match c {
        // The block of control pictures has the characters of C0 in their order: ESC is ␛.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)),
        '\u{7f}' => Some('\u{2421}'),
        // C1: one of them is ESC [ in a single character.
        '\u{80}'..='\u{9f}' => Some(OTHER),
        // Line and paragraph separator.
        '\u{2028}' | '\u{2029}' => Some('\u{2424}'),
        // Marks, embeddings, overrides and isolates of direction.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' => Some(OTHER),
        // Invisible: text that is copied would not be the text that is seen.
        '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => Some(OTHER),
        '\u{e0000}'..='\u{e007f}' => Some(OTHER),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_and_turned_text_are_marked() {
        for (text, want) in [
            ("plain Ünï 漢字 👩‍👩‍👧", "plain Ünï 漢字 👩‍👩‍👧"),
            ("\u{1b}[2J\u{1b}]52;c;x\u{7}", "␛[2J␛]52;c;x␇"),
            ("\u{9b}31m\u{7f}", "\u{fffd}31m␡"),
            ("a\r\nb\tc", "a␍␊b␉c"),
            ("gpj.\u{202e}exe", "gpj.\u{fffd}exe"),
            ("\u{2066}x\u{2069}\u{200f}", "\u{fffd}x\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(Clean::new(text).as_str(), want);
        }
        assert_eq!(clean_lines("a\nb\u{1b}"), "a\nb␛");
        assert_eq!(Clean::lines("a\nb\u{1b}\r\n"), [Clean::new("a"), Clean::new("b\u{1b}")]);
        assert!(matches!(clean("as it is"), Cow::Borrowed(_)));
    }

    /// Every category a terminal or a bidirectional reader acts on, by Unicode's own lists and not by ours.
    fn acts(c: char) -> bool {
        const BIDI: &str =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        c.is_control() || BIDI.contains(c) || c == '\u{2028}' || c == '\u{2029}'
    }

    #[test]
    fn no_character_of_all_of_them_survives_that_acts() {
        let every: String = ('\0'..=char::MAX).collect();
        let cleaned = clean(&every);
        assert!(!cleaned.chars().any(acts));
        assert_eq!(cleaned.chars().count(), every.chars().count(), "a mark for each");
    }

    proptest! {
        #[test]
        fn nothing_that_acts_survives_and_cleaning_again_changes_nothing(text in any::<String>(), escape in "[\\x00-\\x9f\\u{2000}-\\u{2070}]{0,40}") {
            for text in [text, escape] {
                let once = Clean::new(&text);
                prop_assert!(!once.as_str().chars().any(acts));
                prop_assert_eq!(&Clean::new(once.as_str()), &once);
                prop_assert!(!clean_lines(&text).chars().any(|c| c != '\n' && acts(c)));
            }
        }
    }
}
