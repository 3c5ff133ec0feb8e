//! The help: the keys of the screen underneath, and what the signs mean.

use super::pen::{Ink, Pen, ink};
use super::theme::{Glyph, Theme, Tone};
use super::{strip, words};
use crate::app::App;
use crate::app::hints::HelpLine;
use domain::recording::State;
use domain::standing::Standing;

/// Columns of a key.
const KEYS: u16 = 18;
/// Columns between keys and signs that stand side by side.
const BETWEEN: u16 = 3;

/// Draws it over the screen's inside.
pub(super) fn draw(app: &App, scroll: usize, pen: &mut Pen<'_>) {
    pen.clear();
    let keys = keys(app);
    let signs = signs(pen.theme);
    // Beside each other only where nothing of either is cut: a help that ends in dots helps nobody.
    let (left, right) = (columns(&keys), columns(&signs));
    if pen.width() >= 2 + left + BETWEEN + right {
        let (width, height) = (pen.width(), pen.height());
        column(&keys, scroll, &mut pen.part(2, 0, left, height));
        column(&signs, scroll, &mut pen.part(2 + left + BETWEEN, 0, width, height));
        return;
    }
    let mut lines = keys;
    lines.push(Vec::new());
    lines.extend(signs);
    let width = pen.width();
    column(&lines, scroll, &mut pen.part(2, 0, width, u16::MAX));
}

/// Columns that the longest line takes.
fn columns(lines: &[Vec<Ink<'_>>]) -> u16 {
    let rest = |line: &Vec<Ink<'_>>| line.get(1..).map_or(0, super::pen::width);
    KEYS + 1 + lines.iter().map(rest).max().unwrap_or(0)
}

fn column(lines: &[Vec<Ink<'_>>], scroll: usize, pen: &mut Pen<'_>) {
    // The end of the text stays at the end of the screen.
    let scroll = scroll.min(lines.len().saturating_sub(usize::from(pen.height())));
    let more = lines.len() > scroll + usize::from(pen.height());
    for (y, line) in (0..pen.height().saturating_sub(u16::from(more))).zip(lines.iter().skip(scroll)) {
        match line.split_first() {
            // A key and what it does: two columns.
            Some((key, rest)) if key.tone == Tone::Key || key.tone == Tone::Faint => {
                pen.line_within(0, y, KEYS, std::slice::from_ref(key));
                pen.line(KEYS + 1, y, rest);
            }
            Some(_) => _ = pen.line(0, y, line),
            None => {}
        }
    }
    if more {
        let y = pen.height().saturating_sub(1);
        pen.line(0, y, &[ink(Tone::Faint, pen.theme.glyph(Glyph::Down)), ink(Tone::Faint, " more")]);
    }
}

fn keys(app: &App) -> Vec<Vec<Ink<'static>>> {
    let mut lines = Vec::new();
    for line in app.help() {
        match line {
            HelpLine::Title(title) => {
                if !lines.is_empty() {
                    lines.push(Vec::new());
                }
                lines.push(vec![ink(Tone::Head, title)]);
            }
            HelpLine::Keys { keys, text, applies } => {
                let (key, tone) = if applies { (Tone::Key, Tone::Plain) } else { (Tone::Faint, Tone::Faint) };
                lines.push(vec![ink(key, keys), ink(tone, text)]);
            }
        }
    }
    lines
}

/// Every glyph with its word.
fn signs(theme: Theme) -> Vec<Vec<Ink<'static>>> {
    let mut lines = vec![vec![ink(Tone::Head, "Signs")]];
    let mut add = |title: &'static str, marks: Vec<Vec<Ink<'static>>>| {
        for (at, pair) in marks.chunks(3).enumerate() {
            // The first piece is a column of its own.
            let mut line = vec![ink(Tone::Faint, if at == 0 { title } else { "" })];
            for mark in pair {
                line.extend(mark.iter().cloned());
                line.push(ink(
                    Tone::Plain,
                    " ".repeat(13_usize.saturating_sub(usize::from(super::pen::width(mark))) + 1),
                ));
            }
            lines.push(line);
        }
    };
    add("recordings", State::ALL.iter().map(|state| words::recording(*state).cell(theme)).collect());
    add("jobs", Standing::all().map(|standing| words::job(standing).cell(theme)).collect());
    let cells = strip::CELLS.iter().map(|cell| {
        let (glyph, tone, word) = strip::mark(*cell);
        vec![ink(tone, theme.glyph(glyph)), ink(Tone::Plain, format!(" {word}"))]
    });
    add("segments", cells.collect());
    lines.push(Vec::new());
    lines.push(vec![ink(Tone::Head, "Numbers")]);
    lines.push(vec![ink(Tone::Faint, "10k+"), ink(Tone::Plain, "counted up to a bound: so many or more")]);
    lines.push(vec![ink(Tone::Faint, "~2.91M (est)"), ink(Tone::Plain, "what the database's statistics say")]);
    lines
}
