//! How far something has come: a share, a bar, what was done of what, how fast, how much longer.

use super::pen::{Ink, Pen, ink};
use super::theme::{Glyph, Tone};
use crate::source::rows::Progress;
use crate::units;
use chrono::{DateTime, Utc};

/// Cells of the bar.
const BAR: u16 = 20;
/// The same on a line of this length or less.
const SHORT_BAR: u16 = 12;
const SHORT_LINE: u16 = 80;
/// A narrow line has no bar: the numbers say more.
const BAR_FROM: u16 = 60;

/// Writes it from `x` on. `started_at` is when the attempt began, for its speed.
pub(super) fn draw(pen: &mut Pen<'_>, x: u16, y: u16, progress: &Progress, started_at: Option<DateTime<Utc>>) -> u16 {
    let mut x = x;
    if let Some(pct) = progress.pct {
        let pct = pct.clamp(0.0, 100.0);
        x = pen.line(x, y, &[ink(Tone::Strong, format!("{pct:.0} %"))]) + 1;
        if pen.width().saturating_sub(x) >= BAR_FROM {
            let bar = if pen.width() > SHORT_LINE { BAR } else { SHORT_BAR };
            let done = (f32::from(bar) * pct / 100.0) as u16;
            x = pen.repeat(x, y, done.min(bar), Glyph::BarDone, Tone::Good);
            x = pen.repeat(x, y, bar - done.min(bar), Glyph::BarLeft, Tone::Faint) + 1;
        }
        x += 1;
    }
    pen.line(x, y, &facts(progress, started_at))
}

/// What was done of what, how fast and how much longer, as far as anybody said so.
fn facts(progress: &Progress, started_at: Option<DateTime<Utc>>) -> Vec<Ink<'static>> {
    let bytes = progress.unit.as_ref().is_some_and(|unit| unit.as_str() == "bytes");
    let amount = |n: u64| if bytes { units::bytes(n) } else { units::exact(n) };
    let mut facts = Vec::new();
    if let (None, Some(stage)) = (progress.pct, &progress.stage) {
        facts.push(ink(Tone::Plain, format!("{stage}  ")));
    }
    if let (Some(done), Some(total)) = (progress.done, progress.total) {
        let unit = progress.unit.as_ref().filter(|_| !bytes).map_or(String::new(), |unit| format!(" {unit}"));
        facts.push(ink(Tone::Plain, format!("{} of {}{unit}  ", amount(done), amount(total))));
    }
    let took_ms = started_at.map(|at| (progress.at - at).num_milliseconds()).filter(|ms| *ms > 0);
    if let (true, Some(done), Some(ms)) = (bytes, progress.done, took_ms.and_then(|ms| u64::try_from(ms).ok())) {
        facts.push(ink(Tone::Plain, format!("{}/s  ", units::bytes(done.saturating_mul(1_000) / ms.max(1)))));
    }
    if let Some(left) = progress.eta_s {
        facts.push(ink(Tone::Strong, format!("{} left", units::span(i64::from(left)))));
    }
    facts
}
