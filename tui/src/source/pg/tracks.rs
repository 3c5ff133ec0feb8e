//! What there is of each track of a recording beside its strip: its codec and the end of its listing.

use super::error::Fault;
use super::link::Session;
use super::strips::Sums;
use crate::source::clean::Clean;
use crate::source::rows::{Strip, TrackView};
use chrono::{DateTime, TimeDelta, Utc};
use domain::id::RecordingId;
use domain::segment::{CodecFacts, Track};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

/// What the initialization sections say.
const CODECS: &str = "SELECT s.track, s.codec FROM spool.segment AS s \
    WHERE s.recording_id = $1 AND s.track IN ('video', 'audio') AND s.index = 0 LIMIT 2";

/// The end of the listing of a track. Few rows have a wall clock of their own; the newest of them says when its segment
/// began, and from there the segments' own time axis leads to the end of the last one, and gaps behind it further.
const TAIL: &str = "SELECT t.track, last.seq, last.index::int8, last.listed_at, gaps.n AS gaps, \
      anchor.at AS anchor_at, \
      (((media.tfdt + media.duration)::numeric / nullif(media.timescale, 0) \
        - anchor.tfdt::numeric / nullif(anchor.timescale, 0) + coalesce(behind.s, 0)) * 1000)::int8 AS since_ms \
    FROM (VALUES ('video'), ('audio')) AS t (track) \
    CROSS JOIN LATERAL (SELECT l.seq, l.index, l.listed_at FROM spool.listing AS l \
      WHERE l.recording_id = $1 AND l.track = t.track ORDER BY l.seq DESC LIMIT 1) AS last \
    LEFT JOIN LATERAL (SELECT l.program_date_time AS at, s.tfdt, s.timescale FROM spool.listing AS l \
      JOIN spool.segment AS s ON s.recording_id = l.recording_id AND s.track = l.track AND s.index = l.index \
      WHERE l.recording_id = $1 AND l.track = t.track AND l.program_date_time IS NOT NULL \
      ORDER BY l.seq DESC LIMIT 1) AS anchor ON true \
    LEFT JOIN LATERAL (SELECT l.seq, s.tfdt, s.duration, s.timescale FROM spool.listing AS l \
      JOIN spool.segment AS s ON s.recording_id = l.recording_id AND s.track = l.track AND s.index = l.index \
      WHERE l.recording_id = $1 AND l.track = t.track AND l.kind = 'media' ORDER BY l.seq DESC LIMIT 1) AS media ON true \
    LEFT JOIN LATERAL (SELECT sum(l.duration::numeric / l.timescale) AS s FROM spool.listing AS l \
      WHERE l.recording_id = $1 AND l.track = t.track AND l.seq > media.seq) AS behind ON true \
    LEFT JOIN LATERAL (SELECT count(*) AS n FROM spool.listing AS l \
      WHERE l.recording_id = $1 AND l.track = t.track AND l.kind = 'gap') AS gaps ON true";

/// Both tracks of which there is a strip.
pub(super) async fn tracks(
    session: &Session,
    id: &RecordingId,
    strips: Vec<(Strip, Sums)>,
    declared: impl Fn(Track) -> Option<u32>,
) -> Result<Vec<TrackView>, Fault> {
    let ask = |sql: &str| Statement::from_sql_and_values(DbBackend::Postgres, sql, [id.as_str().into()]);
    let codecs = session.db().query_all_raw(ask(CODECS)).await?;
    let tails = session.db().query_all_raw(ask(TAIL)).await?;
    let mut views = Vec::new();
    for (strip, sums) in strips {
        let declared_last = declared(strip.track);
        let mut view = TrackView {
            strip,
            codec: None,
            size: None,
            declared_last,
            duration_ms: sums.duration_ms,
            size_bytes: sums.size_bytes,
            received_at: sums.received_at,
            waiting_since: sums.waiting_since,
            listed_seq: 0,
            listed_index: 0,
            listed_at: None,
            edge_at: None,
            listed_gaps: 0,
        };
        for row in &codecs {
            if is_of(row, view.strip.track)? {
                codec(&mut view, row)?;
            }
        }
        for row in &tails {
            if is_of(row, view.strip.track)? {
                tail(&mut view, row)?;
            }
        }
        views.push(view);
    }
    Ok(views)
}

fn is_of(row: &QueryResult, track: Track) -> Result<bool, DbErr> {
    Ok(row.try_get::<String>("", "track")? == track.as_str())
}

fn number(row: &QueryResult, name: &str) -> Result<u64, DbErr> {
    Ok(u64::try_from(row.try_get::<i64>("", name)?).unwrap_or(0))
}

fn codec(view: &mut TrackView, row: &QueryResult) -> Result<(), DbErr> {
    // What a newer program wrote is left out rather than nothing shown.
    let codec = row.try_get::<Option<serde_json::Value>>("", "codec")?;
    let codec: Option<CodecFacts> = codec.and_then(|codec| serde_json::from_value(codec).ok());
    if let Some(codec) = codec {
        view.size = Some((codec.width, codec.height)).filter(|(width, height)| *width > 0 && *height > 0);
        view.codec = Some(Clean::new(codec.codec));
    }
    Ok(())
}

fn tail(view: &mut TrackView, row: &QueryResult) -> Result<(), DbErr> {
    view.listed_seq = number(row, "seq")?;
    view.listed_index = u32::try_from(number(row, "index")?).unwrap_or(u32::MAX);
    view.listed_at = row.try_get("", "listed_at")?;
    view.listed_gaps = number(row, "gaps")?;
    let anchor: Option<DateTime<Utc>> = row.try_get("", "anchor_at")?;
    let since: Option<i64> = row.try_get("", "since_ms")?;
    let end = |(at, since): (DateTime<Utc>, i64)| at.checked_add_signed(TimeDelta::try_milliseconds(since)?);
    view.edge_at = anchor.zip(since).and_then(end);
    Ok(())
}
