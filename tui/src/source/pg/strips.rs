//! What became of the segments of a track, run by run.
//!
//! The runs are made in the database: of eight hours of recording a few rows come, and not thirty thousand. Where every
//! second segment differs from its neighbour, neighbours are put together until there are few enough.

use super::error::Fault;
use super::link::Session;
use crate::source::rows::{Cell, Counts, RUNS_MAX, Run, Strip};
use domain::id::RecordingId;
use domain::segment::Track;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

/// Runs of equal neighbours with how many there are; holes are what lies between them. `$3` neighbours count as one.
const RUNS: &str = "WITH cell AS ( \
      SELECT s.track, s.index / $3::int4 AS place, min(s.index) AS first, max(s.index) AS last, count(*) AS n, \
        max(CASE WHEN s.state = 'lost' THEN 3 WHEN g.index IS NOT NULL THEN 2 WHEN s.state = 'received' THEN 1 ELSE 0 END) AS cell \
      FROM spool.segment AS s LEFT JOIN (SELECT l.track, l.index FROM spool.listing AS l \
        WHERE l.recording_id = $1 AND l.kind = 'gap') AS g ON g.track = s.track AND g.index = s.index \
      WHERE s.recording_id = $1 AND s.index > 0 GROUP BY s.track, s.index / $3::int4), \
    island AS (SELECT cell.*, place - row_number() OVER (PARTITION BY track, cell ORDER BY place) AS island FROM cell) \
    SELECT track, cell::int8 AS cell, min(first)::int8 AS first, max(last)::int8 AS last, sum(n)::int8 AS n \
    FROM island GROUP BY track, cell, island ORDER BY track, min(first) LIMIT $2";

/// One run as the database tells it.
struct Island {
    track: Track,
    cell: Cell,
    first: u32,
    last: u32,
    n: u32,
}

/// Both tracks, as far as there is anything of them. `declared` is the last index that the recorder named, by track.
pub(super) async fn strips(
    session: &Session,
    id: &RecordingId,
    declared: impl Fn(Track) -> Option<u32>,
) -> Result<Vec<Strip>, Fault> {
    let most = i64::try_from(RUNS_MAX).unwrap_or(i64::MAX);
    let mut width = 1i32;
    let mut islands = islands(session, id, width, most + 1).await?;
    while islands.len() > RUNS_MAX {
        width *= 8;
        islands = self::islands(session, id, width, most + 1).await?;
    }
    let counts = if width == 1 { None } else { Some(counts(session, id).await?) };
    let strip = |track: Track| {
        let mine: Vec<&Island> = islands.iter().filter(|island| island.track == track).collect();
        let mut strip = put_together(track, &mine, declared(track));
        if let Some((_, exact)) = counts.iter().flatten().find(|(of, _)| *of == track) {
            strip.counts = Counts { missing: strip.counts.missing, ..*exact };
        }
        strip
    };
    Ok(Track::ALL.into_iter().map(strip).filter(|strip| strip.last_index > 0).collect())
}

async fn islands(session: &Session, id: &RecordingId, width: i32, most: i64) -> Result<Vec<Island>, Fault> {
    let values = [id.as_str().into(), most.into(), i64::from(width).into()];
    let rows = session.db().query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, RUNS, values)).await?;
    Ok(rows.iter().map(island).collect::<Result<Vec<_>, _>>()?)
}

fn island(row: &QueryResult) -> Result<Island, DbErr> {
    let track: String = row.try_get("", "track")?;
    let number =
        |name: &str| -> Result<u32, DbErr> { Ok(u32::try_from(row.try_get::<i64>("", name)?).unwrap_or(u32::MAX)) };
    let cell = match number("cell")? {
        0 => Cell::Stored,
        1 => Cell::Received,
        2 => Cell::Late,
        _ => Cell::Lost,
    };
    let track = Track::parse(&track).ok_or_else(|| DbErr::Type(format!("track {track:?}")))?;
    Ok(Island { track, cell, first: number("first")?, last: number("last")?, n: number("n")? })
}

/// Counts where neighbours were put together.
async fn counts(session: &Session, id: &RecordingId) -> Result<Vec<(Track, Counts)>, Fault> {
    let sql = "SELECT s.track, count(*) FILTER (WHERE s.state = 'lost') AS lost, \
          count(*) FILTER (WHERE s.state <> 'lost' AND g.index IS NOT NULL) AS late, \
          count(*) FILTER (WHERE s.state = 'received' AND g.index IS NULL) AS received, \
          count(*) FILTER (WHERE s.state = 'stored' AND g.index IS NULL) AS stored \
        FROM spool.segment AS s LEFT JOIN (SELECT l.track, l.index FROM spool.listing AS l \
          WHERE l.recording_id = $1 AND l.kind = 'gap') AS g ON g.track = s.track AND g.index = s.index \
        WHERE s.recording_id = $1 AND s.index > 0 GROUP BY s.track LIMIT 2";
    let ask = Statement::from_sql_and_values(DbBackend::Postgres, sql, [id.as_str().into()]);
    let read = |row: &QueryResult| -> Result<(Track, Counts), DbErr> {
        let track: String = row.try_get("", "track")?;
        let number =
            |name: &str| -> Result<u32, DbErr> { Ok(u32::try_from(row.try_get::<i64>("", name)?).unwrap_or(0)) };
        let counts = Counts {
            stored: number("stored")?,
            received: number("received")?,
            late: number("late")?,
            lost: number("lost")?,
            missing: 0,
        };
        Ok((Track::parse(&track).ok_or_else(|| DbErr::Type(format!("track {track:?}")))?, counts))
    };
    let rows = session.db().query_all_raw(ask).await?;
    Ok(rows.iter().map(read).collect::<Result<Vec<_>, _>>()?)
}

/// Islands and the holes between them. An island that was put together and has holes inside is shown as missing: the worst
/// of what it covers.
fn put_together(track: Track, islands: &[&Island], declared: Option<u32>) -> Strip {
    let mut strip = Strip { track, runs: Vec::new(), counts: Counts::default(), last_index: 0 };
    for island in islands {
        fill(&mut strip, island.first.saturating_sub(1));
        let covers = island.last - island.first + 1;
        let holes = covers.saturating_sub(island.n);
        match island.cell {
            Cell::Stored => strip.counts.stored += island.n,
            Cell::Received => strip.counts.received += island.n,
            Cell::Late => strip.counts.late += island.n,
            Cell::Missing => {}
            Cell::Lost => strip.counts.lost += island.n,
        }
        strip.counts.missing += holes;
        let cell = if holes > 0 { island.cell.max(Cell::Missing) } else { island.cell };
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
        let islands: Vec<Island> = islands
            .iter()
            .map(|(cell, first, last, n)| Island {
                track: Track::Video,
                cell: *cell,
                first: *first,
                last: *last,
                n: *n,
            })
            .collect();
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
