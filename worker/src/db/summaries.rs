//! How much of a recording is there, track by track, in one look over its segments.

use super::{Error, all, column, number, word};
use domain::id::RecordingId;
use domain::segment::{State, Track};
use sea_orm::ConnectionTrait;

/// What the status of a recording shows of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackSummary {
    /// Which track.
    pub track: Track,
    /// Acknowledged media segments.
    pub received: u64,
    /// Those of them that are in the store.
    pub stored: u64,
    /// Highest index; 0 when there is no media segment yet.
    pub last_index: u32,
    /// How long the oldest one has been waiting for the store, in milliseconds.
    pub lag_ms: u64,
    /// Holes below `last_index`, as first and last index, ascending; at most [`HOLES_MAX`].
    pub missing: Vec<(u32, u32)>,
}

/// Holes that a status names; more of them no person reads.
pub const HOLES_MAX: u32 = 100;

/// What is there of each track that has a row.
///
/// # Errors
/// The database's.
pub async fn of(db: &impl ConnectionTrait, recording: &RecordingId) -> Result<Vec<TrackSummary>, Error> {
    let failed = |source| Error { operation: "sum up segments", object: recording.to_string(), source };
    let values = [recording.as_str().into(), i64::from(RUNS_MAX).into()];
    let rows = all(db, RUNS, values).await.map_err(failed)?;
    let read = || {
        let mut summaries: Vec<TrackSummary> = Vec::new();
        for row in &rows {
            let track = word(row, "track", Track::parse)?;
            let state = word(row, "state", State::parse)?;
            let (from, to) = (number(row, "from_index")?, number(row, "to_index")?);
            if summaries.last().is_none_or(|summary| summary.track != track) {
                summaries.push(TrackSummary::empty(track));
            }
            let Some(summary) = summaries.last_mut() else { continue };
            let age_ms: i64 = column(row, "age_ms")?;
            summary.add(state, from, to, u64::try_from(age_ms).unwrap_or(0));
        }
        Ok(summaries)
    };
    read().map_err(failed)
}

/// Runs of neighbours in one state, by track and index: one pass over the rows of a recording, and a few lines out of it
/// however long it is. What counts them finds the holes between them as well.
const RUNS: &str = "SELECT track, state, min(index)::int8 AS from_index, max(index)::int8 AS to_index, \
        coalesce(extract(epoch FROM now() - min(received_at)) * 1000, 0)::int8 AS age_ms \
    FROM (SELECT track, state, index, received_at, index - row_number() OVER (PARTITION BY track, state ORDER BY index) AS run \
        FROM spool.segment WHERE recording_id = $1) AS numbered \
    GROUP BY track, state, run ORDER BY track DESC, from_index LIMIT $2";

/// Most runs that are read: as many as there may be segments, if no two neighbours were in one state.
const RUNS_MAX: u32 = 2 * (domain::segment::INDEX_MAX + 1);

impl TrackSummary {
    fn empty(track: Track) -> TrackSummary {
        TrackSummary { track, received: 0, stored: 0, last_index: 0, lag_ms: 0, missing: Vec::new() }
    }

    /// Adds the run that comes next.
    fn add(&mut self, state: State, from: u32, to: u32, age_ms: u64) {
        if state == State::Received {
            self.lag_ms = self.lag_ms.max(age_ms);
        }
        // Index 0 is the initialization section, which is no media segment; without one nothing is missing.
        let from = from.max(1);
        if to < from {
            return;
        }
        let segments = u64::from(to - from) + 1;
        self.received += segments;
        if state == State::Stored {
            self.stored += segments;
        }
        if from > self.last_index + 1 && self.missing.len() < HOLES_MAX as usize {
            self.missing.push((self.last_index + 1, from - 1));
        }
        self.last_index = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_sum_up_to_counts_and_holes() {
        let mut summary = TrackSummary::empty(Track::Video);
        for (state, from, to, age_ms) in [
            (State::Stored, 0, 4, 900),
            (State::Received, 5, 5, 70),
            (State::Lost, 6, 6, 5000),
            (State::Stored, 9, 12, 800),
            (State::Received, 20, 21, 30),
        ] {
            summary.add(state, from, to, age_ms);
        }
        let expected = TrackSummary {
            track: Track::Video,
            received: 12,
            stored: 8,
            last_index: 21,
            lag_ms: 70,
            missing: vec![(7, 8), (13, 19)],
        };
        assert_eq!(summary, expected);
        let mut only_init = TrackSummary::empty(Track::Audio);
        only_init.add(State::Received, 0, 0, 40);
        assert_eq!(only_init, TrackSummary { lag_ms: 40, ..TrackSummary::empty(Track::Audio) });
    }
}
