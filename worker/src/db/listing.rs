//! What viewers were shown, and the manifest's place: rows that the one `upload` job of a recording writes. How viewers
//! read them is in [`super::playlists`].

use super::{Error, all, column, execute, maybe_number, number, one, recordings, word};
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::manifest::{Claim, Entry};
use domain::playlist::{Candidate, Listed, ListingKind, ListingRow, Renditions, Side, Tail, Weight};
use domain::segment::{CodecFacts, Span, State, Track};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};
use serde_json::json;

/// Segments read at once for the listing: a recorder that comes back after an hour sends eighteen hundred.
const CANDIDATES_MAX: i64 = 2000;

/// Keeps the state of a recording as it is until the end of the transaction and reads it; segments go on being
/// accepted, since `FOR KEY SHARE` does not conflict with this lock. Whoever freezes, archives or publishes waits.
///
/// # Errors
/// The database's; [`Error::is_lock_timeout`] when the row is held for longer than [`super::LOCK_TIMEOUT`].
pub async fn hold(tx: &DatabaseTransaction, id: &RecordingId) -> Result<Option<recordings::Recording>, Error> {
    recordings::bound_lock_wait(tx).await?;
    let sql = "SELECT id FROM spool.recording WHERE id = $1 FOR NO KEY UPDATE";
    one(tx, sql, [id.as_str().into()]).await.map_err(Error::of("hold recording", id))?;
    recordings::get(tx, id).await
}

/// Both tracks as the listing and the rows tell them now.
///
/// # Errors
/// The database's.
pub async fn sides(db: &impl ConnectionTrait, id: &RecordingId) -> Result<Vec<Side>, Error> {
    let mut sides = Vec::new();
    for track in Track::ALL {
        let tail = tail(db, id, track).await?;
        sides.push(side(db, id, track, tail).await?);
    }
    Ok(sides)
}

/// The rows that tell the end of a listing: every one with a wall clock, the last segment, and all behind it. Each kind
/// has its index: with one condition for both, hours of listing would be read for every segment. Without the limit
/// the planner would rather read all segments once.
async fn tail(db: &impl ConnectionTrait, id: &RecordingId, track: Track) -> Result<Tail, Error> {
    let sql = "SELECT l.seq, l.index::int8, l.kind, l.duration, l.timescale, l.discontinuity, l.program_date_time, \
            s.timescale AS span_timescale, s.tfdt, s.duration AS span_duration \
        FROM (SELECT * FROM spool.listing WHERE recording_id = $1 AND track = $2 AND program_date_time IS NOT NULL \
          UNION SELECT * FROM spool.listing WHERE recording_id = $1 AND track = $2 AND seq >= coalesce(( \
            SELECT m.seq FROM spool.listing AS m WHERE m.recording_id = $1 AND m.track = $2 AND m.kind = 'media' \
            ORDER BY m.seq DESC LIMIT 1), 0)) AS l \
        LEFT JOIN LATERAL (SELECT * FROM spool.segment AS m WHERE l.kind = 'media' AND m.recording_id = l.recording_id \
          AND m.track = l.track AND m.index = l.index LIMIT 1) AS s ON true \
        ORDER BY l.seq LIMIT $3";
    let limit = i64::from(domain::segment::INDEX_MAX);
    let rows = all(db, sql, [id.as_str().into(), track.as_str().into(), limit.into()]).await;
    let read = |rows: Vec<QueryResult>| {
        let listed = rows.iter().map(|row| read_listed(row, track)).collect::<Result<Vec<_>, _>>()?;
        Ok(Tail::of(&listed))
    };
    rows.and_then(read).map_err(Error::of("read end of listing", id))
}

pub(super) fn read_row(row: &QueryResult, track: Track) -> Result<ListingRow, DbErr> {
    Ok(ListingRow {
        track,
        seq: number(row, "seq")?,
        index: number(row, "index")?,
        kind: word(row, "kind", ListingKind::parse)?,
        duration: number(row, "duration")?,
        timescale: number(row, "timescale")?,
        discontinuity: column(row, "discontinuity")?,
        program_date_time: column(row, "program_date_time")?,
    })
}

fn read_listed(row: &QueryResult, track: Track) -> Result<Listed, DbErr> {
    let listed = read_row(row, track)?;
    let span = match listed.kind {
        ListingKind::Gap => None,
        ListingKind::Media => Some(Span {
            timescale: number(row, "span_timescale")?,
            start: number(row, "tfdt")?,
            duration: number(row, "span_duration")?,
        }),
    };
    Ok(Listed { row: listed, span })
}

/// Whether the initialization section is stored, and the segments behind the tail: stored, and on their way.
async fn side(db: &impl ConnectionTrait, id: &RecordingId, track: Track, tail: Tail) -> Result<Side, Error> {
    let sql = "SELECT index::int8, state, timescale, tfdt, duration, starts_with_sync, received_at FROM spool.segment \
        WHERE recording_id = $1 AND track = $2 AND state IN ('stored', 'received') AND (index = 0 OR index > $3) \
        ORDER BY index LIMIT $4";
    let values = [id.as_str().into(), track.as_str().into(), i64::from(tail.index).into(), CANDIDATES_MAX.into()];
    let rows = all(db, sql, values).await;
    let read = |rows: Vec<QueryResult>| {
        let mut side = Side { track, init_stored: false, tail, stored: Vec::new(), awaited: Vec::new() };
        for row in &rows {
            let stored = word(row, "state", State::parse)? == State::Stored;
            match number(row, "index")? {
                0 => side.init_stored = stored,
                index if !stored => side.awaited.push(index),
                index => {
                    let span = Span {
                        timescale: number(row, "timescale")?,
                        start: number(row, "tfdt")?,
                        duration: number(row, "duration")?,
                    };
                    let starts_with_sync = column::<Option<bool>>(row, "starts_with_sync")?.unwrap_or(false);
                    side.stored.push(Candidate {
                        index,
                        span,
                        starts_with_sync,
                        received_at: column(row, "received_at")?,
                    });
                }
            }
        }
        Ok(side)
    };
    rows.and_then(read).map_err(Error::of("read segments to list", id))
}

/// Appends rows in one statement. A second writer of the same index is refused by the table: no index is listed twice.
///
/// # Errors
/// The database's.
pub async fn append(tx: &DatabaseTransaction, id: &RecordingId, rows: &[ListingRow]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO spool.listing (recording_id, track, seq, index, kind, duration, timescale, discontinuity, \
            program_date_time) \
        SELECT $1, * FROM jsonb_to_recordset($2) AS row (track text, seq bigint, index integer, kind text, \
            duration bigint, timescale bigint, discontinuity boolean, program_date_time timestamptz)";
    let row = |row: &ListingRow| {
        json!({
            "track": row.track, "seq": row.seq, "index": row.index, "kind": row.kind.as_str(),
            "duration": super::segments::big(row.duration), "timescale": row.timescale,
            "discontinuity": row.discontinuity, "program_date_time": row.program_date_time,
        })
    };
    let rows: serde_json::Value = rows.iter().map(row).collect();
    execute(tx, sql, [id.as_str().into(), rows.into()]).await.map(|_| ()).map_err(Error::of("append to listing", id))
}

/// How the playlists of a recording stand, for the one that extends them.
#[derive(Debug, Clone, PartialEq)]
pub struct Stand {
    /// The end is final and its plan is frozen: nothing more can come.
    pub over: bool,
    /// The newest frozen plan.
    pub frozen_version: u32,
    /// Of both playlists; none before the first row.
    pub target_duration_s: Option<u32>,
    /// The tracks of the multivariant playlist.
    pub renditions: Renditions,
    /// Viewers were told that the listing has ended: it stays as it is.
    pub ended: bool,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

/// How the playlists stand. The caller holds the recording ([`hold`]).
///
/// # Errors
/// The database's.
pub async fn stand(tx: &DatabaseTransaction, id: &RecordingId) -> Result<Option<Stand>, Error> {
    let sql = "SELECT state IN ('finalizing', 'ready') AND NOT provisional AND frozen_version = plan_version AS over, \
            frozen_version::int8, target_duration_s::int8, renditions, listing_ended_at IS NOT NULL AS ended, now() AS now \
        FROM spool.recording WHERE id = $1";
    let row = one(tx, sql, [id.as_str().into()]).await;
    let read = |row: Option<QueryResult>| {
        let stand = |row: &QueryResult| {
            Ok(Stand {
                over: column(row, "over")?,
                frozen_version: number(row, "frozen_version")?,
                target_duration_s: maybe_number(row, "target_duration_s")?,
                renditions: renditions(row)?,
                ended: column(row, "ended")?,
                now: column(row, "now")?,
            })
        };
        row.as_ref().map(stand).transpose()
    };
    row.and_then(read).map_err(Error::of("look at listing", id))
}

/// The column `renditions`; nothing is known while it is null.
pub(super) fn renditions(row: &QueryResult) -> Result<Renditions, DbErr> {
    let found: Option<serde_json::Value> = column(row, "renditions")?;
    let read = |found| serde_json::from_value(found).map_err(|e| DbErr::Json(format!("column renditions: {e}")));
    found.map_or_else(|| Ok(Renditions::default()), read)
}

/// Writes what the multivariant playlist says.
///
/// # Errors
/// The database's.
pub async fn describe(tx: &DatabaseTransaction, id: &RecordingId, renditions: &Renditions) -> Result<(), Error> {
    let text = serde_json::to_value(renditions).expect("renditions are JSON");
    let sql = "UPDATE spool.recording SET renditions = $2 WHERE id = $1";
    execute(tx, sql, [id.as_str().into(), text.into()]).await.map(|_| ()).map_err(Error::of("describe playlists", id))
}

/// Ends the listing for ever.
///
/// # Errors
/// The database's.
pub async fn end(tx: &DatabaseTransaction, id: &RecordingId) -> Result<(), Error> {
    let sql = "UPDATE spool.recording SET listing_ended_at = coalesce(listing_ended_at, now()) WHERE id = $1";
    execute(tx, sql, [id.as_str().into()]).await.map(|_| ()).map_err(Error::of("end listing", id))
}

/// What the initialization section of a track says, and the first of its segments that is in the store. `None` when the
/// initialization section is not in the store.
///
/// # Errors
/// The database's.
pub async fn first(
    tx: &DatabaseTransaction,
    id: &RecordingId,
    track: Track,
) -> Result<Option<(CodecFacts, Option<Weight>)>, Error> {
    let sql = "SELECT i.codec, s.size_bytes, s.timescale, s.tfdt, s.duration, s.sample_count::int8 \
        FROM spool.segment AS i LEFT JOIN LATERAL ( \
            SELECT m.* FROM spool.segment AS m WHERE m.recording_id = $1 AND m.track = $2 AND m.index > 0 \
              AND m.state = 'stored' AND m.tfdt IS NOT NULL ORDER BY m.index LIMIT 1) AS s ON true \
        WHERE i.recording_id = $1 AND i.track = $2 AND i.index = 0 AND i.state = 'stored' AND i.codec IS NOT NULL";
    let row = one(tx, sql, [id.as_str().into(), track.as_str().into()]).await;
    let read = |row: Option<QueryResult>| row.as_ref().map(read_first).transpose();
    row.and_then(read).map_err(Error::of("describe track", format!("{id}/{track}")))
}

fn read_first(row: &QueryResult) -> Result<(CodecFacts, Option<Weight>), DbErr> {
    let codec = serde_json::from_value(column(row, "codec")?);
    let codec = codec.map_err(|error| DbErr::Json(format!("column codec: {error}")))?;
    let Some(size_bytes) = maybe_number(row, "size_bytes")? else { return Ok((codec, None)) };
    let span =
        Span { timescale: number(row, "timescale")?, start: number(row, "tfdt")?, duration: number(row, "duration")? };
    let samples = maybe_number(row, "sample_count")?.unwrap_or(0);
    Ok((codec, Some(Weight { size_bytes, span, samples })))
}

/// Bits per second of what is listed of a track: the largest of any segment, and of all together. `None` when nothing
/// of it is listed.
///
/// # Errors
/// The database's.
pub async fn rates(tx: &DatabaseTransaction, id: &RecordingId, track: Track) -> Result<Option<(u64, u64)>, Error> {
    // A track of no duration to speak of has no rate that a number could hold.
    let sql = "SELECT least(coalesce(ceil(max(s.size_bytes * 8.0 * s.timescale / nullif(s.duration, 0))), 0), 1e15)::int8 AS peak, \
            least(coalesce(ceil(sum(s.size_bytes) * 8 / nullif(sum(s.duration::numeric / nullif(s.timescale, 0)), 0)), 0), 1e15)::int8 AS average \
        FROM spool.listing AS l JOIN spool.segment AS s \
          ON s.recording_id = l.recording_id AND s.track = l.track AND s.index = l.index \
        WHERE l.recording_id = $1 AND l.track = $2 AND l.kind = 'media' HAVING count(*) > 0";
    let row = one(tx, sql, [id.as_str().into(), track.as_str().into()]).await;
    let read =
        |row: Option<QueryResult>| row.map(|row| Ok((number(&row, "peak")?, number(&row, "average")?))).transpose();
    row.and_then(read).map_err(Error::of("weigh track", format!("{id}/{track}")))
}

/// Decides the target duration of both playlists, unless it is decided already: it never changes.
///
/// # Errors
/// The database's.
pub async fn decide_target_duration(tx: &DatabaseTransaction, id: &RecordingId, seconds: u32) -> Result<(), Error> {
    let sql = "UPDATE spool.recording SET target_duration_s = coalesce(target_duration_s, $2) WHERE id = $1";
    let done = execute(tx, sql, [id.as_str().into(), i64::from(seconds).into()]).await;
    done.map(|_| ()).map_err(Error::of("decide target duration", id))
}

/// What the manifest says of `track`: the segments that are stored now.
///
/// # Errors
/// The database's.
pub async fn claim(db: &impl ConnectionTrait, id: &RecordingId, track: Track) -> Result<Claim, Error> {
    let sql = "SELECT index::int8, coalesce(round(duration::numeric * 1000000 / nullif(timescale, 0)), 0)::int8 AS duration_us \
        FROM spool.segment WHERE recording_id = $1 AND track = $2 AND state = 'stored' ORDER BY index LIMIT $3";
    let limit = i64::from(domain::segment::INDEX_MAX) + 1;
    let rows = all(db, sql, [id.as_str().into(), track.as_str().into(), limit.into()]).await;
    let read = |rows: Vec<QueryResult>| {
        let mut claim = Claim::default();
        for row in &rows {
            match column::<i64>(row, "index")? {
                0 => claim.init_uploaded = true,
                index => claim.segments.push(Entry { index, duration_us: column(row, "duration_us")? }),
            }
        }
        Ok(claim)
    };
    rows.and_then(read).map_err(Error::of("read segments for the manifest", id))
}

/// Notes that the store has a manifest of `recording` as it was read. When its plan was frozen or its end confirmed since,
/// nothing is noted: that manifest does not say so, and the last one is still to be written.
///
/// # Errors
/// The database's.
pub async fn manifest_written(db: &impl ConnectionTrait, recording: &recordings::Recording) -> Result<(), Error> {
    let sql = "UPDATE spool.recording SET manifest_seq = greatest(manifest_seq, $2), manifest_at = now() \
        WHERE id = $1 AND plan_version = $3 AND frozen_version = $4 AND provisional = $5";
    let values = [
        recording.id.as_str().into(),
        super::segments::big(recording.stored_seq).into(),
        i64::from(recording.plan_version).into(),
        i64::from(recording.frozen_version).into(),
        recording.provisional.into(),
    ];
    execute(db, sql, values).await.map(|_| ()).map_err(Error::of("note manifest", &recording.id))
}
