//! The tabs of one thing that is open, each with how much is behind it.

use super::pen::{Pen, ink};
use super::theme::{Ground, Tone};
use crate::app::Open;
use crate::source::rows::{JobView, RecordingView};

/// The tabs of a recording. Returns the column after them.
pub(super) fn recording(open: &Open<RecordingView>, names: &[&str], pen: &mut Pen<'_>) -> u16 {
    let behind = open.view.as_ref().map(|view| [0, view.gap_count, view.events.len()]);
    line(names, open.tab, behind, pen)
}

/// The tabs of a job. Returns the column after them.
pub(super) fn job(open: &Open<JobView>, names: &[&str], pen: &mut Pen<'_>) -> u16 {
    let behind = open.view.as_ref().map(|view| [0, view.attempts.len(), 0]);
    line(names, open.tab, behind, pen)
}

fn line(names: &[&str], chosen: usize, behind: Option<[usize; 3]>, pen: &mut Pen<'_>) -> u16 {
    let mut x = 0;
    for (at, name) in names.iter().enumerate() {
        let count = behind.and_then(|behind| behind.get(at).copied()).filter(|count| *count > 0);
        let text = count.map_or_else(|| format!(" {name} "), |count| format!(" {name} {count} "));
        let tone = if at == chosen { Tone::Strong } else { Tone::Faint };
        let end = pen.line(x, 0, &[ink(tone, text)]);
        if at == chosen {
            pen.ground(x, 0, end.saturating_sub(x), Ground::Selected);
        }
        x = end + 1;
    }
    x
}
