//! What became of the segments of a track, run by run.
//!
//! The runs are made in the database: of eight hours of recording a few rows come, and not thirty thousand. Where every
//! second segment differs from its neighbour, neighbours are put together until there are few enough.

use super::error::Fault;
use super::link::Session;
use crate::source::rows::{Cell, Counts, RUNS_MAX, Run, Strip};
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::segment::Track;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

/// Runs of equal neighbours with sums over them; holes are what lies between. `$3` neighbours count as one. Each segment is
/// read once: of eight hours there are thirty thousand.
const RUNS: &str = "WITH one AS ( \
      SELECT s.track, s.index, s.size_bytes, s.received_at, s.duration * 1000.0::float8 / nullif(s.timescale, 0) AS ms, \
        CASE WHEN s.state = 'lost' THEN 3 WHEN g.index IS NOT NULL THEN 2 WHEN s.state = 'received' THEN 1 ELSE 0 END AS cell, \
        s.state = 'received' AS waits \
      FROM spool.segment AS s LEFT JOIN (SELECT l.track, l.index FROM spool.listing AS l \
        WHERE l.recording_id = $1 AND l.kind = 'gap') AS g ON g.track = s.track AND g.index = s.index \
      WHERE s.recording_id = $1 AND s.index > 0), \
    cell AS (SELECT track, index / $3::int4 AS place, min(index) AS first, max(index) AS last, max(cell) AS cell, \
        count(*) FILTER (WHERE cell = 0) AS stored, count(*) FILTER (WHERE cell = 1) AS received, \
        count(*) FILTER (WHERE cell = 2) AS late, count(*) FILTER (WHERE cell = 3) AS lost, sum(size_bytes) AS size_bytes, \
        sum(ms) AS ms, max(received_at) AS received_at, min(received_at) FILTER (WHERE waits) AS waiting_since \
      FROM one GROUP BY track, index / $3::int4), \
    island AS (SELECT cell.*, place - row_number() OVER (PARTITION BY track, cell ORDER BY place) AS island FROM cell) \
    SELECT track, cell::int8 AS cell, min(first)::int8 AS first, max(last)::int8 AS last, sum(stored)::int8 AS stored, \
      sum(received)::int8 AS received, sum(late)::int8 AS late, sum(lost)::int8 AS lost, sum(size_bytes)::int8 AS size_bytes, \
      coalesce(sum(ms), 0)::int8 AS ms, max(received_at) AS received_at, min(waiting_since) AS waiting_since \
    FROM island GROUP BY track, cell, island ORDER BY track, min(first) LIMIT $2";

/// One run as the database tells it.
#[derive(Default)]
struct Island {
    track: Option<Track>,
    cell: Option<Cell>,
    first: u32,
    last: u32,
    /// Of what it covers; what is missing is not among it.
    counts: Counts,
    sums: Sums,
}

/// Sums over the segments of a track.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sums {
    pub(super) size_bytes: u64,
    pub(super) duration_ms: u64,
    /// The newest.
    pub(super) received_at: Option<DateTime<Utc>>,
    /// The oldest that is not in the store.
    pub(super) waiting_since: Option<DateTime<Utc>>,
}

/// Both tracks, as far as there is anything of them. `declared` is the last index that the recorder named, by track.
pub(super) async fn strips(
    session: &Session,
    id: &RecordingId,
    declared: impl Fn(Track) -> Option<u32>,
) -> Result<Vec<(Strip, Sums)>, Fault> {
    let most = i64::try_from(RUNS_MAX).unwrap_or(i64::MAX);
    let mut width = 1i64;
    let mut found = islands(session, id, width, most + 1).await?;
    while found.len() > RUNS_MAX {
        width *= 8;
        found = islands(session, id, width, most + 1).await?;
    }
    let strip = |track: Track| {
        let mine: Vec<&Island> = found.iter().filter(|island| island.track == Some(track)).collect();
        let mut sums = Sums::default();
        for island in &mine {
            sums.size_bytes += island.sums.size_bytes;
            sums.duration_ms += island.sums.duration_ms;
            sums.received_at = sums.received_at.max(island.sums.received_at);
            sums.waiting_since = match (sums.waiting_since, island.sums.waiting_since) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        (put_together(track, &mine, declared(track)), sums)
    };
    Ok(Track::ALL.into_iter().map(strip).filter(|(strip, _)| strip.last_index > 0).collect())
}

async fn islands(session: &Session, id: &RecordingId, width: i64, most: i64) -> Result<Vec<Island>, Fault> {
    let values = [id.as_str().into(), most.into(), width.into()];
    let rows = session.db().query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, RUNS, values)).await?;
    Ok(rows.iter().map(island).collect::<Result<Vec<_>, _>>()?)
}

fn island(row: &QueryResult) -> Result<Island, DbErr> {
    let track: String = row.try_get("", "track")?;
    let big = |name: &str| -> Result<u64, DbErr> { Ok(u64::try_from(row.try_get::<i64>("", name)?).unwrap_or(0)) };
    let number = |name: &str| -> Result<u32, DbErr> { Ok(u32::try_from(big(name)?).unwrap_or(u32::MAX)) };
    let cell = match number("cell")? {
        0 => Cell::Stored,
        1 => Cell::Received,
        2 => Cell::Late,
        _ => Cell::Lost,
    };
    let track = Track::parse(&track).ok_or_else(|| DbErr::Type(format!("track {track:?}")))?;
    let counts = Counts {
        stored: number("stored")?,
        received: number("received")?,
        late: number("late")?,
        lost: number("lost")?,
        missing: 0,
    };
    let sums = Sums {
        size_bytes: big("size_bytes")?,
        duration_ms: big("ms")?,
        received_at: row.try_get("", "received_at")?,
        waiting_since: row.try_get("", "waiting_since")?,
    };
    Ok(Island { track: Some(track), cell: Some(cell), first: number("first")?, last: number("last")?, counts, sums })
}

/// Islands and the holes between them. An island that was put together and has holes inside is shown as missing: the worst
/// of what it covers.
fn put_together(track: Track, islands: &[&Island], declared: Option<u32>) -> Strip {
    let mut strip = Strip { track, runs: Vec::new(), counts: Counts::default(), last_index: 0 };
    for island in islands {
        fill(&mut strip, island.first.saturating_sub(1));
        let Counts { stored, received, late, lost, .. } = island.counts;
        let holes = (island.last - island.first + 1).saturating_sub(stored + received + late + lost);
        strip.counts.stored += stored;
        strip.counts.received += received;
        strip.counts.late += late;
        strip.counts.lost += lost;
        strip.counts.missing += holes;
        let cell = island.cell.unwrap_or(Cell::Lost);
        let cell = if holes > 0 { cell.max(Cell::Missing) } else { cell };
        push(&mut strip, Run { from: island.first, to: island.last, cell });
    }
    fill(&mut strip, declared.unwrap_or(0));
    strip
}

/// What lies between the last run and `to` never came.
fn fill(strip: &mut Strip, to: u32) {
    if to > strip.last_index {
        strip.counts.missing += to - strip.last_index;
        push(strip, Run { from: strip.last_index + 1, to, cell: Cell::Missing });
    }
}

fn push(strip: &mut Strip, run: Run) {
    strip.last_index = run.to;
    match strip.runs.last_mut() {
        Some(last) if last.cell == run.cell => last.to = run.to,
        _ => strip.runs.push(run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(islands: &[(Cell, u32, u32, u32)], declared: Option<u32>) -> String {
        let island = |(cell, first, last, n): &(Cell, u32, u32, u32)| {
            let counts = match cell {
                Cell::Stored => Counts { stored: *n, ..Counts::default() },
                Cell::Received => Counts { received: *n, ..Counts::default() },
                Cell::Late => Counts { late: *n, ..Counts::default() },
                Cell::Missing => Counts::default(),
                Cell::Lost => Counts { lost: *n, ..Counts::default() },
            };
            Island { cell: Some(*cell), first: *first, last: *last, counts, ..Island::default() }
        };
        let islands: Vec<Island> = islands.iter().map(island).collect();
        let strip = put_together(Track::Video, &islands.iter().collect::<Vec<_>>(), declared);
        let runs: Vec<String> =
            strip.runs.iter().map(|run| format!("{:?} {}-{}", run.cell, run.from, run.to)).collect();
        let Counts { stored, received, late, missing, lost } = strip.counts;
        format!("{} | {stored} {received} {late} {missing} {lost} of {}", runs.join(", "), strip.last_index)
    }

    #[test]
    fn runs_follow_each_other_without_hole() {
        assert_eq!(shown(&[], None), " | 0 0 0 0 0 of 0");
        assert_eq!(shown(&[], Some(3)), "Missing 1-3 | 0 0 0 3 0 of 3");
        assert_eq!(
            shown(&[(Cell::Stored, 2, 5, 4), (Cell::Late, 6, 6, 1), (Cell::Received, 9, 9, 1)], Some(10)),
            "Missing 1-1, Stored 2-5, Late 6-6, Missing 7-8, Received 9-9, Missing 10-10 | 4 1 1 4 0 of 10"
        );
        assert_eq!(
            shown(&[(Cell::Stored, 1, 8, 6), (Cell::Lost, 9, 9, 1)], Some(4)),
            "Missing 1-8, Lost 9-9 | 6 0 0 2 1 of 9"
        );
    }
}
