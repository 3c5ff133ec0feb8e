//! What there is to say about a recording, in sentences: one that sums it up, and one for each thing that is not as it
//! should be. Pure.

use crate::source::rows::{Cell, JobRow, RecordingView, TrackView};
use crate::units;
use crate::verdict;
use crate::view::jobs;
use crate::view::theme::Tone;
use chrono::{DateTime, Utc};
use domain::recording::State;
use domain::standing::Standing;

/// A segment that waits for the store longer than this is worth a sentence.
const WAITS_S: i64 = 10;
/// The manifest is written every 10 s at most; three of them missed are no accident.
const MANIFEST_S: i64 = 30;
/// Ranges of segments in one sentence.
const RANGES: usize = 3;

/// A sentence and how loud it is.
pub(super) type Finding = (Tone, String);

/// How long viewers are behind the recorder, in milliseconds, of the slowest track; none while nothing is shown.
pub(super) fn lag_ms(view: &RecordingView, now: DateTime<Utc>) -> Option<i64> {
    view.tracks.iter().filter_map(|track| track.edge_at).map(|edge| (now - edge).num_milliseconds().max(0)).max()
}

/// The tone of a lag: a playlist is fetched once in a target duration, so twice that is seen by viewers.
pub(super) fn lag_tone(lag_ms: i64, target_s: Option<u32>) -> Tone {
    let target_ms = i64::from(target_s.unwrap_or(6)) * 1_000;
    if lag_ms <= target_ms * 2 {
        Tone::Good
    } else if lag_ms <= target_ms * 5 {
        Tone::Warn
    } else {
        Tone::Bad
    }
}

/// The one sentence that sums it up.
pub(super) fn summary(view: &RecordingView, now: DateTime<Utc>) -> Finding {
    match view.row.state {
        State::Live if view.row.paused => {
            (Tone::Plain, "Its recorder has paused; it may go on at any time.".to_owned())
        }
        State::Live if view.tracks.is_empty() => (Tone::Plain, "Created; no segment has come yet.".to_owned()),
        State::Live => match lag_ms(view, now) {
            Some(lag) => {
                let tone = lag_tone(lag, view.target_duration_s);
                let tone = if tone == Tone::Good { Tone::Plain } else { tone };
                (tone, format!("Being recorded; viewers are {} behind.", units::short(lag)))
            }
            None => (Tone::Plain, "Being recorded; viewers have been shown nothing yet.".to_owned()),
        },
        State::Finalizing => (Tone::Plain, finalizing(view)),
        State::Ready if view.row.degraded || view.gap_count > 0 => {
            let gaps = units::counted(view.gap_count.max(1) as u64, "gap");
            (Tone::Warn, format!("The result is made and verified, with {gaps} in it."))
        }
        State::Ready => (Tone::Plain, "The result is made and verified.".to_owned()),
        State::Failed => match &view.error {
            Some((code, sentence)) => (Tone::Bad, format!("Failed ({code}): {sentence}")),
            None => (Tone::Bad, "Failed, and no reason was given.".to_owned()),
        },
        State::Archived => (Tone::Plain, "The result stays; its segments have been deleted.".to_owned()),
        State::Cancelled => (Tone::Plain, "Given up by the web app or an operator; there is no result.".to_owned()),
        State::Deleted => (Tone::Plain, "Deleted; its id stays taken.".to_owned()),
    }
}

fn finalizing(view: &RecordingView) -> String {
    let share = view.mux.as_ref().and_then(|mux| mux.progress.as_ref()).and_then(|progress| progress.pct);
    match (&view.mux, share) {
        (Some(_), Some(pct)) => format!("It has ended; its result is being written, {pct:.0} % so far."),
        (Some(_), None) => "It has ended; its result is about to be written.".to_owned(),
        (None, _) if view.frozen_version > 0 => "It has ended and its segments are checked.".to_owned(),
        (None, _) => "It has ended; its segments are being checked.".to_owned(),
    }
}

/// What is not as it should be, worst first.
pub(super) fn all(view: &RecordingView, now: DateTime<Utc>, dash: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = view.tracks.iter().flat_map(|track| segments(track, view, now, dash)).collect();
    findings.extend(failing(&view.jobs, now));
    let since = |at: DateTime<Utc>| (now - at).num_seconds();
    let live = view.row.state == State::Live;
    if let Some(heard) = view.row.heard_at.map(since).filter(|heard| live && *heard > verdict::SILENT_S) {
        findings.push((Tone::Warn, format!("The recorder was last heard of {} ago.", units::age(heard))));
    }
    let behind = view.stored_seq.saturating_sub(view.manifest_seq);
    if behind > 0 && view.manifest_at.is_some_and(|at| since(at) > MANIFEST_S) {
        findings
            .push((Tone::Warn, format!("The manifest in the store is {} behind.", units::counted(behind, "segment"))));
    }
    if view.row.provisional {
        findings.push((Tone::Plain, "It ended by silence: a late segment makes it live again.".to_owned()));
    } else if !view.row.tail_confirmed && !live && view.row.state != State::Cancelled {
        findings.push((Tone::Plain, "Its last segment was not declared: the end may be missing.".to_owned()));
    }
    findings.sort_by_key(|(tone, _)| match tone {
        Tone::Bad => 0,
        Tone::Warn => 1,
        _ => 2,
    });
    findings
}

/// What is wrong with the segments of a track.
fn segments(track: &TrackView, view: &RecordingView, now: DateTime<Utc>, dash: &str) -> Vec<Finding> {
    let (strip, name) = (&track.strip, track.strip.track.as_str());
    let mut findings = Vec::new();
    let counted = |n: u32| units::counted(u64::from(n), &format!("{name} segment"));
    if strip.counts.lost > 0 {
        let which = ranges(track, Cell::Lost, dash);
        findings.push((Tone::Bad, format!("{} came and could not be kept: {which}.", counted(strip.counts.lost))));
    }
    if strip.counts.missing > 0 {
        let which = ranges(track, Cell::Missing, dash);
        let verb = match (view.row.state, strip.counts.missing) {
            (State::Live, 1) => "has not come",
            (State::Live, _) => "have not come",
            _ => "never came",
        };
        // What a finished result lacks is told by its gaps, and nothing can be done about it any more.
        let tone = if view.row.state == State::Failed { Tone::Bad } else { Tone::Warn };
        let shown = if track.listed_gaps > 0 { "; viewers were shown a gap" } else { "" };
        findings.push((tone, format!("{} {verb}: {which}{shown}.", counted(strip.counts.missing))));
    }
    if strip.counts.late > 0 {
        let text =
            format!("{} came after viewers had been shown a gap; the result has them.", counted(strip.counts.late));
        findings.push((Tone::Warn, text));
    }
    let waits = track.waiting_since.map(|at| (now - at).num_seconds()).filter(|s| *s > WAITS_S);
    if let Some(s) = waits {
        let wait = if strip.counts.received == 1 { "waits" } else { "wait" };
        let text = format!("{} {wait} for the store, since {} ago.", counted(strip.counts.received), units::age(s));
        findings.push((Tone::Warn, text));
    }
    findings
}

/// Which segments those are, as many ranges as a sentence can carry.
fn ranges(track: &TrackView, cell: Cell, dash: &str) -> String {
    let mut runs = track.strip.runs.iter().filter(|run| run.cell == cell);
    let some: Vec<String> = (&mut runs)
        .take(RANGES)
        .map(|run| if run.from == run.to { run.from.to_string() } else { format!("{}{dash}{}", run.from, run.to) })
        .collect();
    let more = if runs.next().is_some() { " and more" } else { "" };
    format!("{}{more}", some.join(", "))
}

/// Jobs that failed and come again, and those that were given up and have no successor.
fn failing(rows: &[JobRow], now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        // The rows are newest first: what a newer job of the kind has taken over is history.
        let taken_over = rows[..at].iter().any(|newer| newer.kind == row.kind);
        let error = row.error.as_ref().map_or(String::new(), |error| format!(": {error}"));
        let tries = if row.attempt == 1 { "once".to_owned() } else { format!("{} times", row.attempt) };
        match row.standing {
            Standing::Retryable => {
                let when = jobs::when(row, now);
                findings.push((Tone::Warn, format!("{} failed {tries}, tries again {when}{error}", row.kind)));
            }
            Standing::Discarded if !taken_over => {
                let ago = jobs::when(row, now);
                findings.push((Tone::Bad, format!("{} was given up {ago}, after failing {tries}{error}", row.kind)));
            }
            _ => {}
        }
    }
    findings
}
