//! A frame as text that can be read and compared: what is written, then how each stretch of a line looks. The test
//! backend's own text leaves the styles out.

use ratatui::buffer::Buffer;
use ratatui::layout::Position;
use ratatui::style::{Color, Modifier, Style};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// The frame: its lines, a rule, and below that for each line the stretches that have a style.
pub(crate) fn frame(buffer: &Buffer, cursor: Option<Position>) -> String {
    let mut text = String::new();
    for line in lines(buffer) {
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    writeln!(text, "{}", "=".repeat(usize::from(buffer.area.width))).unwrap();
    for y in 0..buffer.area.height {
        let styles = styles(buffer, y);
        if !styles.is_empty() {
            writeln!(text, "{:>2} {}", y + 1, styles.join(" ")).unwrap();
        }
    }
    if let Some(cursor) = cursor {
        writeln!(text, "cursor {},{}", cursor.x, cursor.y + 1).unwrap();
    }
    text
}

/// What is written in each line.
pub(crate) fn lines(buffer: &Buffer) -> Vec<String> {
    let mut lines = Vec::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // The cells under a wide character are not written.
            x += u16::try_from(symbol.width()).unwrap().max(1);
        }
        lines.push(line);
    }
    lines
}

fn styles(buffer: &Buffer, y: u16) -> Vec<String> {
    let mut stretches: Vec<(u16, u16, Style)> = Vec::new();
    for x in 0..buffer.area.width {
        let style = buffer[(x, y)].style();
        match stretches.last_mut() {
            Some((_, to, last)) if *last == style && *to + 1 == x => *to = x,
            _ => stretches.push((x, x, style)),
        }
    }
    stretches.into_iter().filter_map(|(from, to, style)| Some(format!("{from}-{to}:{}", look(style)?))).collect()
}

/// `red bold`; nothing for what looks like any text.
fn look(style: Style) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    let colour = |colour: Option<Color>| colour.filter(|colour| *colour != Color::Reset);
    words.extend(colour(style.fg).map(|colour| format!("{colour:?}").to_lowercase()));
    words.extend(colour(style.bg).map(|colour| format!("on-{colour:?}").to_lowercase()));
    for (modifier, word) in [
        (Modifier::BOLD, "bold"),
        (Modifier::DIM, "dim"),
        (Modifier::UNDERLINED, "underlined"),
        (Modifier::REVERSED, "reversed"),
    ] {
        if style.add_modifier.contains(modifier) {
            words.push(word.to_owned());
        }
    }
    (!words.is_empty()).then(|| words.join(","))
}
