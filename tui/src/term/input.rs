//! Keys and what else a terminal sends, as messages.

use crate::app::{Msg, Size};
use crate::keys::{Chord, Key};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::os::fd::AsFd as _;

/// The message that an event is; none for what means nothing here.
pub fn message(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) => chord(key).map(Msg::Key),
        Event::Paste(text) => Some(Msg::Paste(text)),
        // The size in the event may be an older one than the terminal has by now.
        Event::Resize(cols, rows) => Some(Msg::Resize(size().unwrap_or(Size { cols, rows }))),
        Event::FocusGained => Some(Msg::Focus(true)),
        Event::FocusLost => Some(Msg::Focus(false)),
        Event::Mouse(_) => None,
    }
}

/// The terminal's size; none while it has none, as some have before their first resize.
pub fn size() -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout().as_fd()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some(Size { cols: size.ws_col, rows: size.ws_row })
}

fn chord(event: KeyEvent) -> Option<Chord> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let key = match event.code {
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => Key::BackTab,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        _ => return None,
    };
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    Some(Chord { key, ctrl, alt: event.modifiers.contains(KeyModifiers::ALT) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_chords() {
        let press = |code, modifiers| chord(KeyEvent::new(code, modifiers));
        assert_eq!(press(KeyCode::Char('R'), KeyModifiers::SHIFT), Some(Chord::char('R')));
        assert_eq!(press(KeyCode::Char('d'), KeyModifiers::CONTROL), Some(Chord::ctrl('d')));
        assert_eq!(press(KeyCode::BackTab, KeyModifiers::SHIFT), Some(Chord::of(Key::BackTab)));
        assert_eq!(press(KeyCode::F(1), KeyModifiers::NONE), None);
        let release = KeyEvent::new_with_kind(KeyCode::Enter, KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(chord(release), None);
    }
}
