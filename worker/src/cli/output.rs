//! What a command prints: one JSON document for a program, aligned text for a person.
//!
//! Standard output carries the answer and nothing else; everything about the way there goes to standard error.
//! A reader that goes away (`spool job ls | head`) is no failure.

use serde::Serialize;
use std::io::{self, Write as _};

/// Which of the two readers the command has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Output {
    /// A person at a terminal.
    Text,
    /// A program: `--json`.
    Json,
}

impl Output {
    /// Prints `answer` as JSON, or the text that `text` makes of it.
    pub(crate) fn answer<T: Serialize>(self, answer: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        match self {
            Output::Json => json(answer),
            Output::Text => line(text(answer).trim_end_matches('\n')),
        }
    }
}

/// One JSON document on one line of standard output.
pub(crate) fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    line(&serde_json::to_string(value)?)
}

/// One or more lines of standard output; nothing for empty text.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Lines of standard error. A closed standard error stops nothing.
pub(crate) fn complain(text: &str) {
    let mut err = io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(err, "{}", printable(line));
    }
}

/// Whether writing failed because nobody reads any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Rows under headers, each column as wide as its widest cell. No row gives no text but a note.
pub(crate) fn table<const N: usize>(headers: [&str; N], rows: Vec<[String; N]>) -> String {
    if rows.is_empty() {
        return "none".to_owned();
    }
    let rows: Vec<[String; N]> = rows.into_iter().map(|row| row.map(|cell| printable(&cell))).collect();
    let mut widths = headers.map(|header| header.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut push = |cells: [&str; N]| {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text += padded.join("  ").trim_end();
        text.push('\n');
    };
    push(headers);
    for row in &rows {
        push(std::array::from_fn(|column| row[column].as_str()));
    }
    text
}

/// `name   value` lines, values aligned.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines: Vec<String> = facts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:<width$}  {}", printable(value)))
        .collect();
    lines.join("\n")
}

/// Text from a row or a file must not steer the terminal: what would is marked.
pub(crate) fn printable(text: &str) -> String {
    domain::clean::clean(text).into_owned()
}

/// `-` for nothing.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A length of time for a person: `42s`, `3m05s`, `2h10m`, `5d`. Negative lengths count as nothing.
pub(crate) fn duration_s(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A number of bytes for a person.
pub(crate) fn bytes(size_bytes: u64) -> String {
    bytesize::ByteSize(size_bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_aligns_and_disarms_what_would_steer_the_terminal() {
        let rows = vec![["a".to_owned(), "long cell".to_owned()], ["bb\u{1b}[2J".to_owned(), "x".to_owned()]];
        assert_eq!(table(["ID", "WHAT"], rows), "ID      WHAT\na       long cell\nbb␛[2J  x\n");
        assert_eq!(table(["ID"], vec![]), "none");
    }

    #[test]
    fn duration_reads_like_a_clock() {
        let shown: Vec<_> = [-5, 0, 59, 60, 3599, 3600, 86_399, 86_400, 100_000].map(duration_s).to_vec();
        assert_eq!(shown, ["0s", "0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d00h", "1d03h"]);
    }

    #[test]
    fn facts_leave_out_what_is_empty() {
        assert_eq!(facts(&[("a", "1".into()), ("long", String::new()), ("bc", "2".into())]), "a     1\nbc    2");
    }
}
