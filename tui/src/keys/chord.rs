//! One key press as the application knows it: no terminal library, so that every key can be a test's value.

use std::fmt;

/// A key with its modifiers. Shift is part of the character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Chord {
    /// The key.
    pub key: Key,
    /// Together with Control.
    pub ctrl: bool,
    /// Together with Alt.
    pub alt: bool,
}

/// A key without its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A character, upper case when Shift was held.
    Char(char),
    /// Return.
    Enter,
    /// Escape.
    Esc,
    /// Tabulator.
    Tab,
    /// Tabulator with Shift.
    BackTab,
    /// Erase before the cursor.
    Backspace,
    /// Erase at the cursor.
    Delete,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// To the start.
    Home,
    /// To the end.
    End,
    /// One page back.
    PageUp,
    /// One page on.
    PageDown,
}

/// The names of keys that are no character.
const NAMES: [(&str, Key); 15] = [
    ("enter", Key::Enter),
    ("esc", Key::Esc),
    ("tab", Key::Tab),
    ("backtab", Key::BackTab),
    ("backspace", Key::Backspace),
    ("delete", Key::Delete),
    ("up", Key::Up),
    ("down", Key::Down),
    ("left", Key::Left),
    ("right", Key::Right),
    ("home", Key::Home),
    ("end", Key::End),
    ("pageup", Key::PageUp),
    ("pagedown", Key::PageDown),
    ("space", Key::Char(' ')),
];

impl Chord {
    /// A key alone.
    pub const fn of(key: Key) -> Chord {
        Chord { key, ctrl: false, alt: false }
    }

    /// A character alone.
    pub const fn char(letter: char) -> Chord {
        Chord::of(Key::Char(letter))
    }

    /// A character with Control.
    pub const fn ctrl(letter: char) -> Chord {
        Chord { key: Key::Char(letter), ctrl: true, alt: false }
    }

    /// Reads `ctrl-d`, `G`, `enter`; nothing when there is no such key.
    pub fn parse(text: &str) -> Option<Chord> {
        if let Some(rest) = text.strip_prefix("ctrl-") {
            return Chord::parse(rest).map(|chord| Chord { ctrl: true, ..chord });
        }
        if let Some(rest) = text.strip_prefix("alt-") {
            return Chord::parse(rest).map(|chord| Chord { alt: true, ..chord });
        }
        if let Some((_, key)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Some(Chord::of(*key));
        }
        let mut letters = text.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) if !letter.is_control() && letter != ' ' => Some(Chord::char(letter)),
            _ => None,
        }
    }

    /// The text a key types into an input, if it types any.
    pub fn typed(self) -> Option<char> {
        match self.key {
            Key::Char(letter) if !self.ctrl && !self.alt && !letter.is_control() => Some(letter),
            _ => None,
        }
    }
}

impl fmt::Display for Chord {
    /// As [`Chord::parse`] reads it, with the short form `^d` of Control and a letter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.alt {
            f.write_str("alt-")?;
        }
        match (self.ctrl, self.key) {
            (true, Key::Char(letter)) if letter != ' ' => return write!(f, "^{letter}"),
            (true, _) => f.write_str("ctrl-")?,
            (false, _) => {}
        }
        match (NAMES.iter().find(|(_, key)| *key == self.key), self.key) {
            (Some((name, _)), _) => f.write_str(name),
            (None, Key::Char(letter)) => write!(f, "{letter}"),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chords_are_read_and_shown() {
        for (text, chord, shown) in [
            ("k", Chord::char('k'), "k"),
            ("G", Chord::char('G'), "G"),
            ("-", Chord::char('-'), "-"),
            ("ctrl-d", Chord::ctrl('d'), "^d"),
            ("space", Chord::char(' '), "space"),
            ("pagedown", Chord::of(Key::PageDown), "pagedown"),
            ("alt-enter", Chord { key: Key::Enter, ctrl: false, alt: true }, "alt-enter"),
        ] {
            assert_eq!(Chord::parse(text), Some(chord), "{text}");
            assert_eq!(chord.to_string(), shown);
        }
        for text in ["", "kk", "ctrl-", "meta-x", " ", "\u{1b}"] {
            assert_eq!(Chord::parse(text), None, "{text:?}");
        }
    }
}
