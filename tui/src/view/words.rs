//! States as people see them: a glyph, a colour and a word, the same on every screen.

use super::pen::{Ink, ink};
use super::theme::{Glyph, Theme, Tone};
use crate::source::rows::{Number, NumberKind, WorkerRow};
use crate::units;
use chrono::{DateTime, Utc};
use domain::recording::State;
use domain::standing::Standing;
use std::borrow::Cow;

/// A state: never a colour alone, never a glyph alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its glyph.
    pub glyph: Glyph,
    /// Its colour.
    pub tone: Tone,
    /// Its word.
    pub word: &'static str,
}

impl Mark {
    /// Glyph and word.
    pub fn cell(self, theme: Theme) -> Vec<Ink<'static>> {
        vec![ink(self.tone, theme.glyph(self.glyph)), ink(self.tone, " "), ink(self.tone, self.word)]
    }
}

/// A recording's state.
pub fn recording(state: State) -> Mark {
    let (glyph, tone) = match state {
        State::Live => (Glyph::Active, Tone::Good),
        State::Finalizing => (Glyph::Half, Tone::Busy),
        State::Ready => (Glyph::Check, Tone::Good),
        State::Failed => (Glyph::Cross, Tone::Bad),
        State::Archived => (Glyph::Boxed, Tone::Faint),
        State::Cancelled => (Glyph::Barred, Tone::Faint),
        State::Deleted => (Glyph::Void, Tone::Faint),
    };
    Mark { glyph, tone, word: state.as_str() }
}

/// Where a job stands.
pub fn job(standing: Standing) -> Mark {
    let (glyph, tone) = match standing {
        Standing::Pending => (Glyph::Dotted, Tone::Faint),
        Standing::Scheduled => (Glyph::Clock, Tone::Plain),
        Standing::Available => (Glyph::Open, Tone::Plain),
        Standing::Running => (Glyph::Active, Tone::Busy),
        Standing::Retryable => (Glyph::Again, Tone::Warn),
        Standing::Completed => (Glyph::Check, Tone::Good),
        Standing::Discarded => (Glyph::Cross, Tone::Bad),
        Standing::Cancelled => (Glyph::Barred, Tone::Faint),
        Standing::Superseded => (Glyph::Aside, Tone::Faint),
    };
    Mark { glyph, tone, word: standing.as_str() }
}

/// How an attempt ended, by its word in the rows. An unknown word is shown as it is.
pub fn outcome(word: &str) -> (Glyph, Tone, Cow<'_, str>) {
    let (glyph, tone) = match word {
        "completed" => (Glyph::Check, Tone::Good),
        "failed" => (Glyph::Again, Tone::Warn),
        "snoozed" => (Glyph::Clock, Tone::Plain),
        "discarded" => (Glyph::Cross, Tone::Bad),
        "cancelled" => (Glyph::Barred, Tone::Faint),
        "lost" => (Glyph::Cross, Tone::Bad),
        "handed_back" => return (Glyph::Aside, Tone::Faint, Cow::Borrowed("handed back")),
        _ => (Glyph::Dot, Tone::Plain),
    };
    (glyph, tone, Cow::Borrowed(word))
}

/// How a worker is, by the database's clock.
pub fn worker(row: &WorkerRow, now: DateTime<Utc>) -> Mark {
    if row.lease_until < now {
        Mark { glyph: Glyph::Cross, tone: Tone::Bad, word: "lost" }
    } else if row.draining {
        Mark { glyph: Glyph::Half, tone: Tone::Warn, word: "draining" }
    } else if row.running.is_empty() {
        Mark { glyph: Glyph::Open, tone: Tone::Plain, word: "idle" }
    } else {
        Mark { glyph: Glyph::Active, tone: Tone::Good, word: "working" }
    }
}

/// A number with how it was come by: `41`, `10k+`, `~2.91M`.
pub fn number(number: Number) -> String {
    match number.kind {
        NumberKind::Exact => units::exact(number.n),
        // The bound is ten thousand and one; what a person reads is that it was reached.
        NumberKind::Capped => format!("{}+", units::rounded(number.n)),
        NumberKind::Estimate => format!("~{}", units::compact(number.n)),
    }
}

/// The same with the word and the age that an estimate needs: `~2.91M (est)`, `~2.91M (est, 40s)`.
pub fn labelled(counted: Number, now: Option<DateTime<Utc>>) -> String {
    let text = number(counted);
    let age = counted.at.zip(now).map(|(at, now)| units::age((now - at).num_seconds()));
    match (counted.kind, age) {
        (NumberKind::Estimate, Some(age)) => format!("{text} (est, {age})"),
        (NumberKind::Estimate, None) => format!("{text} (est)"),
        (NumberKind::Exact | NumberKind::Capped, Some(age)) => format!("{text} ({age} ago)"),
        (NumberKind::Exact | NumberKind::Capped, None) => text,
    }
}

/// How long ago something was, or nothing where it never was.
pub fn ago(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    at.map_or(String::new(), |at| units::age((now - at).num_seconds()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_how_it_was_come_by() {
        let at = DateTime::from_timestamp(1_000, 0);
        let now = DateTime::from_timestamp(1_040, 0);
        for (n, kind, at, want) in [
            (41, NumberKind::Exact, None, "41"),
            (10_001, NumberKind::Capped, None, "10k+"),
            (2_914_000, NumberKind::Estimate, None, "~2.91M (est)"),
            (2_914_000, NumberKind::Estimate, at, "~2.91M (est, 40s)"),
            (12_000, NumberKind::Exact, at, "12,000 (40s ago)"),
        ] {
            assert_eq!(labelled(Number { n, kind, at }, now), want);
        }
    }
}
