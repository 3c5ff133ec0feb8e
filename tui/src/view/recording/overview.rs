//! The first tab, and the pane beside the list: what it is, what is wrong, what became of its segments, its jobs.

use super::findings;
use crate::source::rows::{JobRow, RecordingView, ResultView, TrackView};
use crate::units;
use crate::view::pen::{Ink, Pen, ink, width};
use crate::view::table::{self};
use crate::view::theme::{Glyph, Tone};
use crate::view::{gauge, jobs, strip, text, words};
use chrono::{DateTime, Utc};
use domain::recording::State;
use uuid::Uuid;

/// Columns of a label.
const LABEL: u16 = 10;
/// Lower, what is only nice to have is left out.
const COMPACT: u16 = 17;

/// Draws it. `selected` is the job that a key would be about; none where none can be selected.
pub(in crate::view) fn draw(view: &RecordingView, selected: Option<Uuid>, now: DateTime<Utc>, pen: &mut Pen<'_>) {
    let compact = pen.height() < COMPACT;
    let mut y = title(view, now, pen);
    y = sentences(view, now, pen, y, compact);
    y += u16::from(!compact);
    y = tracks(view, pen, y, compact);
    y += u16::from(!compact);
    y = facts(view, now, pen, y);
    y += u16::from(!compact);
    let height = pen.height().saturating_sub(y);
    list(&view.jobs, selected, now, &mut pen.rows(y, height));
}

/// State, length, lag, owner.
fn title(view: &RecordingView, now: DateTime<Utc>, pen: &mut Pen<'_>) -> u16 {
    let mut line = words::recording(view.row.state).cell(pen.theme);
    let ms = view.result.as_ref().map(|result| result.duration_ms);
    let ms = ms.or_else(|| view.tracks.iter().map(|track| track.duration_ms).max());
    if let Some(ms) = ms {
        line.push(ink(Tone::Strong, format!("  {}", units::clock(i64::try_from(ms / 1_000).unwrap_or(i64::MAX)))));
    }
    if let (State::Live, Some(lag)) = (view.row.state, findings::lag_ms(view, now)) {
        let tone = findings::lag_tone(lag, view.target_duration_s);
        line.push(ink(Tone::Faint, "   lag "));
        line.push(ink(tone, units::short(lag)));
        line.extend(view.target_duration_s.map(|target| ink(Tone::Faint, format!(" (target {target}s)"))));
    }
    for (label, value) in [("owner", view.row.owner.as_str()), ("policy", view.policy.as_str())] {
        line.push(ink(Tone::Faint, format!("   {label} ")));
        line.push(ink(Tone::Plain, value.to_owned()));
    }
    if view.row.from_bucket {
        line.push(ink(Tone::Faint, "   from its bucket"));
    }
    pen.line(1, 0, &line);
    1
}

fn sentences(view: &RecordingView, now: DateTime<Utc>, pen: &mut Pen<'_>, y: u16, compact: bool) -> u16 {
    let (ellipsis, dash) = (pen.theme.glyph(Glyph::Ellipsis), pen.theme.glyph(Glyph::Dash));
    let cells = pen.width().saturating_sub(2);
    // A screen full of trouble still shows the segments.
    let room = usize::from(pen.height() / 3).clamp(1, 12);
    let mut lines: Vec<(u16, Tone, String)> = Vec::new();
    let (tone, summary) = findings::summary(view, now);
    let each = if compact { 1 } else { 3 };
    lines.extend(text::wrap(&summary, cells, each, ellipsis).into_iter().map(|line| (0, tone, line.into_owned())));
    let findings = findings::all(view, now, dash);
    let mut shown = 0;
    for (tone, finding) in &findings {
        let glyph = pen.theme.glyph(if *tone == Tone::Bad { Glyph::Cross } else { Glyph::Alert });
        let wrapped = text::wrap(finding, cells.saturating_sub(2), if compact { 1 } else { 2 }, ellipsis);
        // Its last line may be the one that says how many there are more.
        let last = shown + 1 == findings.len();
        if lines.len() + wrapped.len() + usize::from(!last) > room {
            break;
        }
        for (at, line) in wrapped.into_iter().enumerate() {
            lines.push(if at == 0 { (0, *tone, format!("{glyph} {line}")) } else { (2, *tone, line.into_owned()) });
        }
        shown += 1;
    }
    if shown < findings.len() && lines.len() < room {
        lines.push((2, Tone::Faint, format!("and {} more", findings.len() - shown)));
    }
    for ((x, tone, line), at) in lines.iter().zip(y..) {
        pen.line(1 + x, at, &[ink(*tone, line.as_str())]);
    }
    y + u16::try_from(lines.len()).unwrap_or(0)
}

/// A strip for each track, under it when that was, and the signs that are in it.
fn tracks(view: &RecordingView, pen: &mut Pen<'_>, y: u16, compact: bool) -> u16 {
    let numbers: Vec<String> = view.tracks.iter().map(stored).collect();
    let wide = numbers.iter().map(|text| text::width(text)).max().unwrap_or(0);
    let room = pen.width().saturating_sub(LABEL + wide + 4);
    let mut y = y;
    let mut end = 0;
    for (track, number) in view.tracks.iter().zip(&numbers) {
        pen.line(1, y, &[ink(Tone::Faint, track.strip.track.as_str())]);
        end = strip::draw(pen, LABEL, y, room, &track.strip.runs, track.strip.last_index).max(end);
        pen.right(y, &[ink(Tone::Plain, number.as_str()), ink(Tone::Plain, " ")]);
        y += 1;
    }
    if compact || view.tracks.is_empty() {
        return y;
    }
    ruler(view, pen, y, end);
    y + 1
}

/// `2,178 of 2,182`.
fn stored(track: &TrackView) -> String {
    let counts = track.strip.counts;
    let last = track.strip.last_index.max(track.declared_last.unwrap_or(0));
    format!("{} of {}", units::exact(u64::from(counts.stored + counts.late)), units::exact(u64::from(last)))
}

/// The time at both ends of the strips, between them what the signs mean; only of those that are there.
fn ruler(view: &RecordingView, pen: &mut Pen<'_>, y: u16, end: u16) {
    let ms = view.tracks.iter().map(|track| track.duration_ms).max().unwrap_or(0);
    let last = units::clock(i64::try_from(ms / 1_000).unwrap_or(i64::MAX));
    pen.line(LABEL, y, &[ink(Tone::Faint, "0:00")]);
    let at = end.saturating_sub(text::width(&last)).max(LABEL + 6);
    let after = pen.line(at, y, &[ink(Tone::Faint, last)]);
    let mut legend: Vec<Ink<'_>> = Vec::new();
    for cell in strip::CELLS {
        let there = |track: &TrackView| track.strip.runs.iter().any(|run| run.cell == cell);
        if view.tracks.iter().any(there) {
            let (glyph, tone, word) = strip::mark(cell);
            legend.push(ink(tone, pen.theme.glyph(glyph)));
            legend.push(ink(Tone::Faint, format!(" {word}  ")));
        }
    }
    let between = at.saturating_sub(LABEL + 6);
    // What is good needs no word where there is no room.
    while width(&legend) > between && width(&legend) > pen.width().saturating_sub(after + 2) && legend.len() > 2 {
        legend.drain(..2);
    }
    let wide = width(&legend);
    if wide <= between {
        pen.line(LABEL + 6 + (between - wide) / 2, y, &legend);
    } else if after + 2 + wide <= pen.width() {
        pen.line(after + 2, y, &legend);
    }
}

/// What is at work and what has come of it.
fn facts(view: &RecordingView, now: DateTime<Utc>, pen: &mut Pen<'_>, y: u16) -> u16 {
    let mut y = y;
    let ago = |at: Option<DateTime<Utc>>| at.map(|at| format!("{} ago", units::age((now - at).num_seconds())));
    let label = |pen: &mut Pen<'_>, y: u16, text: &'static str| {
        pen.line(1, y, &[ink(Tone::Faint, text)]);
    };
    if let Some(track) = view.tracks.iter().max_by_key(|track| track.listed_seq).filter(|track| track.listed_seq > 0) {
        label(pen, y, "listing");
        let mut line = format!("segment {}", units::exact(u64::from(track.listed_index)));
        line.extend(ago(track.listed_at).map(|ago| format!(", {ago}")));
        if view.listing_ended_at.is_some() {
            line.push_str(", ended");
        }
        if let Some(ago) = ago(view.manifest_at) {
            line.push_str(&format!("   manifest {ago}"));
        }
        pen.line(LABEL, y, &[ink(Tone::Plain, line)]);
        y += 1;
    }
    if let Some(mux) = &view.mux {
        label(pen, y, "mux");
        let who = mux.worker.as_ref().map_or(String::new(), |worker| format!(" on {worker}"));
        let tries = format!("try {} of {}{who}", mux.job.attempt.max(1), mux.max_attempts);
        match &mux.progress {
            Some(progress) => {
                let end = gauge::draw(pen, LABEL, y, progress, mux.started_at);
                // The list below says it too.
                if end + 2 + text::width(&tries) < pen.width() {
                    pen.line(end + 2, y, &[ink(Tone::Faint, tries)]);
                }
            }
            None => {
                let mut line = words::job(mux.job.standing).cell(pen.theme);
                line.push(ink(Tone::Faint, format!("  {tries}")));
                pen.line(LABEL, y, &line);
            }
        }
        y += 1;
    }
    if let Some(result) = &view.result {
        label(pen, y, "result");
        pen.line(LABEL, y, &made(result, view));
        y += 1;
    }
    y
}

/// `1920×1080 30 fps  h264 + aac  2.9 GB  2 gaps`.
fn made<'a>(result: &ResultView, view: &RecordingView) -> Vec<Ink<'a>> {
    let mut facts = Vec::new();
    if let Some((width, height)) = result.size {
        let fps = result.fps.map_or(String::new(), |fps| format!(" {} fps", (fps * 100.0).round() / 100.0));
        facts.push(format!("{width}x{height}{fps}"));
    }
    let codecs: Vec<&str> =
        [&result.video_codec, &result.audio_codec].into_iter().flatten().map(|c| c.as_str()).collect();
    if !codecs.is_empty() {
        facts.push(codecs.join(" + "));
    }
    facts.push(units::bytes(result.size_bytes));
    if result.version > 1 {
        facts.push(format!("version {}", result.version));
    }
    let mut line = vec![ink(Tone::Plain, facts.join("   "))];
    if view.gap_count > 0 {
        line.push(ink(Tone::Warn, format!("   {}", units::counted(view.gap_count as u64, "gap"))));
    }
    line
}

fn list(rows: &[JobRow], selected: Option<Uuid>, now: DateTime<Utc>, pen: &mut Pen<'_>) {
    if rows.is_empty() {
        pen.line(1, 0, &[ink(Tone::Faint, "No jobs: nothing is left to do, or nothing has begun.")]);
        return;
    }
    let room = table::room(pen);
    let chosen = rows.iter().position(|row| Some(row.id) == selected);
    let top = (chosen.unwrap_or(0) + 1).saturating_sub(room);
    let window = top..(top + room).min(rows.len());
    let theme = pen.theme;
    table::draw(pen, &jobs::OF_RECORDING, window, chosen, |at, _| jobs::cells(&rows[at], now, theme));
}
