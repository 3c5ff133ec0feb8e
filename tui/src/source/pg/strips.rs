//! What became of the segments of a track, run by run.
//!
//! The runs are made in the database: of eight hours of recording a few rows come, and not thirty thousand. Where every
//! second segment differs from its neighbour, neighbours are put together until there are few enough.

use super::error::Fault;
use super::link::Session;
use crate::source::rows::{Cell, Counts, RUNS_MAX, Run, Strip};
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::recording::State;
use domain::segment::{INDEX_MAX, Track};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};
use std::time::{Duration, Instant};

/// Runs of equal neighbours with sums over them; holes are what lies between. Each segment is read once, in the order of its
/// key, so that nothing is sorted: of eight hours there are thirty thousand.
const RUNS: &str = "SELECT t.track, run.* FROM (VALUES ('video'), ('audio')) AS t (track) CROSS JOIN LATERAL ( \
      SELECT min(cell)::int8 AS cell, min(index)::int8 AS first, max(index)::int8 AS last, sum(size_bytes)::int8 AS size_bytes, \
        coalesce(sum(ms), 0)::int8 AS ms, max(received_at) AS received_at, \
        min(received_at) FILTER (WHERE waits) AS waiting_since \
      FROM (SELECT edge.*, sum(edge) OVER (ORDER BY index ROWS UNBOUNDED PRECEDING) AS island \
        FROM (SELECT one.*, CASE WHEN cell = lag(cell) OVER by_index AND index = lag(index) OVER by_index + 1 THEN 0 ELSE 1 END AS edge \
          FROM (SELECT s.index, s.size_bytes, s.received_at, s.duration * 1000.0::float8 / nullif(s.timescale, 0) AS ms, \
              CASE s.state WHEN 'lost' THEN 3 WHEN 'received' THEN CASE WHEN g.index IS NULL THEN 1 ELSE 2 END \
                ELSE CASE WHEN g.index IS NULL THEN 0 ELSE 2 END END AS cell, s.state = 'received' AS waits \
            FROM spool.segment AS s LEFT JOIN (SELECT l.index FROM spool.listing AS l \
              WHERE l.recording_id = $1 AND l.track = t.track AND l.kind = 'gap') AS g ON g.index = s.index \
            WHERE s.recording_id = $1 AND s.track = t.track AND s.index > 0) AS one \
          WINDOW by_index AS (ORDER BY index)) AS edge) AS island \
      GROUP BY island ORDER BY min(index) LIMIT $2) AS run";

/// The same where there are too many: `$3` neighbours are one, and show the worst of what is there of them.
const COLUMNS: &str = "SELECT s.track, min(s.index)::int8 AS first, max(s.index)::int8 AS last, \
      max(CASE WHEN s.state = 'lost' THEN 3 WHEN g.index IS NOT NULL THEN 2 WHEN s.state = 'received' THEN 1 ELSE 0 END)::int8 AS cell, \
      count(*) FILTER (WHERE s.state = 'stored' AND g.index IS NULL) AS stored, \
      count(*) FILTER (WHERE s.state = 'received' AND g.index IS NULL) AS received, \
      count(*) FILTER (WHERE s.state <> 'lost' AND g.index IS NOT NULL) AS late, count(*) FILTER (WHERE s.state = 'lost') AS lost, \
      sum(s.size_bytes)::int8 AS size_bytes, coalesce(sum(s.duration * 1000.0::float8 / nullif(s.timescale, 0)), 0)::int8 AS ms, \
      max(s.received_at) AS received_at, min(s.received_at) FILTER (WHERE s.state = 'received') AS waiting_since \
    FROM spool.segment AS s LEFT JOIN (SELECT l.track, l.index FROM spool.listing AS l \
      WHERE l.recording_id = $1 AND l.kind = 'gap') AS g ON g.track = s.track AND g.index = s.index \
    WHERE s.recording_id = $1 AND s.index > 0 GROUP BY s.track, s.index / $3::int4 ORDER BY s.track, min(s.index) LIMIT $2";

/// Neighbours that are one in [`COLUMNS`]: the most segments that there can be of both tracks make no more than
/// [`RUNS_MAX`] of them.
const WIDTH: i64 = 2 * INDEX_MAX as i64 / (RUNS_MAX as i64 - 2) + 1;

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

/// Strips that were read and are shown for a while longer, when reading them took long: the rest of the screen is read
/// again meanwhile, at its own pace.
pub(super) struct Kept {
    of: (RecordingId, State, Option<DateTime<Utc>>),
    until: Instant,
    found: Vec<(Strip, Sums)>,
}

/// Reading that takes less is done each time.
const CHEAP: Duration = Duration::from_millis(10);
/// Strips are kept for so many times as long as it took to read them, but no longer than this.
const KEPT: (u32, Duration) = (100, Duration::from_secs(30));

/// As [`strips`], or what was read before and is kept. `stand` is its state and when its end was declared: what is kept
/// holds for the same alone.
pub(super) async fn read(
    session: &Session,
    id: &RecordingId,
    stand: (State, Option<DateTime<Utc>>),
    declared: impl Fn(Track) -> Option<u32>,
    kept: &mut Option<Kept>,
) -> Result<Vec<(Strip, Sums)>, Fault> {
    let of = (id.clone(), stand.0, stand.1);
    let begun = Instant::now();
    if let Some(kept) = kept.as_ref().filter(|kept| kept.of == of && kept.until > begun) {
        return Ok(kept.found.clone());
    }
    let found = strips(session, id, declared).await?;
    let took = begun.elapsed();
    *kept = None;
    if took > CHEAP {
        // It has its own pace now, and must not slow down the rest.
        session.discount(took);
        *kept = Some(Kept { of, until: begun + (took * KEPT.0).min(KEPT.1), found: found.clone() });
    }
    Ok(found)
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
async fn strips(
    session: &Session,
    id: &RecordingId,
    declared: impl Fn(Track) -> Option<u32>,
) -> Result<Vec<(Strip, Sums)>, Fault> {
    let most = i64::try_from(RUNS_MAX).unwrap_or(i64::MAX);
    let values = [id.as_str().into(), (most + 1).into()];
    let ask = Statement::from_sql_and_values(DbBackend::Postgres, RUNS, values);
    let mut found = islands(session, ask, whole).await?;
    if found.len() > RUNS_MAX {
        let values = [id.as_str().into(), (most + 1).into(), WIDTH.into()];
        let ask = Statement::from_sql_and_values(DbBackend::Postgres, COLUMNS, values);
        found = islands(session, ask, counted).await?;
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

async fn islands(
    session: &Session,
    ask: Statement,
    counts: impl Fn(&QueryResult, Cell, u32) -> Result<Counts, DbErr>,
) -> Result<Vec<Island>, Fault> {
    let rows = session.db().query_all_raw(ask).await?;
    Ok(rows.iter().map(|row| island(row, &counts)).collect::<Result<Vec<_>, _>>()?)
}

/// A run of [`RUNS`]: all of it is of its cell.
fn whole(_: &QueryResult, cell: Cell, n: u32) -> Result<Counts, DbErr> {
    Ok(of(cell, n))
}

/// A run of [`COLUMNS`]: of several cells, and with holes.
fn counted(row: &QueryResult, _: Cell, _: u32) -> Result<Counts, DbErr> {
    let number = |name: &str| -> Result<u32, DbErr> { Ok(u32::try_from(row.try_get::<i64>("", name)?).unwrap_or(0)) };
    Ok(Counts {
        stored: number("stored")?,
        received: number("received")?,
        late: number("late")?,
        lost: number("lost")?,
        missing: 0,
    })
}

/// `n` of one cell.
fn of(cell: Cell, n: u32) -> Counts {
    match cell {
        Cell::Stored => Counts { stored: n, ..Counts::default() },
        Cell::Received => Counts { received: n, ..Counts::default() },
        Cell::Late => Counts { late: n, ..Counts::default() },
        Cell::Missing => Counts { missing: n, ..Counts::default() },
        Cell::Lost => Counts { lost: n, ..Counts::default() },
    }
}

fn island(
    row: &QueryResult,
    counts: impl Fn(&QueryResult, Cell, u32) -> Result<Counts, DbErr>,
) -> Result<Island, DbErr> {
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
    let (first, last) = (number("first")?, number("last")?);
    let counts = counts(row, cell, (last + 1).saturating_sub(first))?;
    let sums = Sums {
        size_bytes: big("size_bytes")?,
        duration_ms: big("ms")?,
        received_at: row.try_get("", "received_at")?,
        waiting_since: row.try_get("", "waiting_since")?,
    };
    Ok(Island { track: Some(track), cell: Some(cell), first, last, counts, sums })
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
            let counts = of(*cell, *n);
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
