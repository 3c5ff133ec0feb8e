//! What `sweep` looks for: recordings that no event moves on. Pages by id, so that one that cannot be helped does not
//! stand in the way of those behind it.

use super::{Error, all, column, execute, number, parsed, word};
use domain::id::{OwnerId, RecordingId};
use domain::recording::State;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use std::time::Duration;

/// Counts one more silent minute of every live recording that was not heard since the last count. Only minutes in which
/// this ran count: an outage of ours ends no recording, and of one that another uploader writes only minutes in which its bucket was looked
/// into. An accepted or found segment is a sign of life too.
///
/// # Errors
/// The database's.
pub async fn count_silence(db: &impl ConnectionTrait) -> Result<u64, Error> {
    // Less than the pace of sweep, as it is jittered; two workers at once count a minute once, because the second
    // update waits for the first one's row and then finds it swept just now.
    let sql = "UPDATE spool.liveness AS l SET swept_at = now(), silent_minutes = CASE \
            WHEN l.swept_at IS NULL THEN 0 \
            WHEN l.heard_at > l.swept_at THEN 0 \
            WHEN r.source = 'bucket' AND NOT EXISTS (SELECT FROM spool.bucket AS b \
              WHERE b.recording_id = l.recording_id AND b.looked_at > l.swept_at) THEN l.silent_minutes \
            WHEN EXISTS (SELECT FROM spool.segment AS s \
              WHERE s.recording_id = l.recording_id AND s.received_at > l.swept_at) THEN 0 \
            ELSE l.silent_minutes + 1 END \
        FROM spool.recording AS r \
        WHERE r.id = l.recording_id AND r.state = 'live' \
          AND (l.swept_at IS NULL OR l.swept_at <= now() - interval '45 seconds')";
    execute(db, sql, []).await.map_err(Error::of("count silent minutes", ""))
}

/// Live recordings behind `after` that were silent for longer than their bound. One of which nothing was ever heard or
/// received, because it was made ahead of time, has the longer bound.
///
/// # Errors
/// The database's.
pub async fn silent(
    db: &impl ConnectionTrait,
    bounds: Silence,
    after: Option<&RecordingId>,
    limit: u32,
) -> Result<Vec<RecordingId>, Error> {
    let sql = "SELECT r.id FROM spool.recording AS r JOIN spool.liveness AS l ON l.recording_id = r.id \
        WHERE r.state = 'live' AND r.id > $1 AND l.silent_minutes >= CASE \
          WHEN l.state = 'recording' AND EXISTS (SELECT FROM spool.segment AS s WHERE s.recording_id = r.id) THEN $2 \
          ELSE $3 END \
        ORDER BY r.id LIMIT $4";
    let minutes = |bound: Duration| i64::try_from(bound.as_secs().div_ceil(60)).unwrap_or(i64::MAX);
    let values = [
        after.map_or("", RecordingId::as_str).into(),
        minutes(bounds.recording).into(),
        minutes(bounds.paused).into(),
        i64::from(limit).into(),
    ];
    let rows = all(db, sql, values).await;
    let read = |rows: Vec<QueryResult>| rows.iter().map(|row| parsed(row, "id", RecordingId::parse)).collect();
    rows.and_then(read).map_err(Error::of("look for silent recordings", ""))
}

/// How long a live recording may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// While it records.
    pub recording: Duration,
    /// While it is paused.
    pub paused: Duration,
}

/// A recording that somebody should be working on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The recording.
    pub id: RecordingId,
    /// Whose it is.
    pub owner: OwnerId,
    /// Its state.
    pub state: State,
    /// Its plan version.
    pub plan_version: u32,
    /// The plan of that version is frozen.
    pub frozen: bool,
}

fn read_open(rows: Vec<QueryResult>) -> Result<Vec<Open>, DbErr> {
    let read = |row: &QueryResult| {
        Ok(Open {
            id: parsed(row, "id", RecordingId::parse)?,
            owner: parsed(row, "owner_id", OwnerId::parse)?,
            state: word(row, "state", State::parse)?,
            plan_version: number(row, "plan_version")?,
            frozen: column(row, "frozen")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Recordings behind `after` that are being finalized, or whose provisional end was signalled or declared since.
///
/// # Errors
/// The database's.
pub async fn unfinished(
    db: &impl ConnectionTrait,
    after: Option<&RecordingId>,
    limit: u32,
) -> Result<Vec<Open>, Error> {
    let sql = "SELECT id, owner_id, state, plan_version::int8, frozen_version >= plan_version AS frozen FROM spool.recording \
        WHERE id > $1 AND (state = 'finalizing' OR (state = 'ready' AND provisional AND signalled_at IS NOT NULL) \
          OR (state = 'live' AND signalled_at IS NOT NULL)) \
        ORDER BY id LIMIT $2";
    let rows = all(db, sql, [after.map_or("", RecordingId::as_str).into(), i64::from(limit).into()]).await;
    rows.and_then(read_open).map_err(Error::of("look for unfinished recordings", ""))
}

/// Recordings behind `after` with segments that have been waiting for the store for longer than an upload takes.
///
/// # Errors
/// The database's.
pub async fn waiting_for_store(
    db: &impl ConnectionTrait,
    after: Option<&RecordingId>,
    limit: u32,
) -> Result<Vec<Open>, Error> {
    let sql = "SELECT id, owner_id, state, plan_version::int8, frozen_version >= plan_version AS frozen FROM spool.recording \
        WHERE id IN (SELECT s.recording_id FROM spool.segment AS s \
          WHERE s.state = 'received' AND s.received_at < now() - interval '30 seconds' AND s.recording_id > $1) \
          AND state IN ('live', 'finalizing', 'ready', 'failed') \
        ORDER BY id LIMIT $2";
    let rows = all(db, sql, [after.map_or("", RecordingId::as_str).into(), i64::from(limit).into()]).await;
    rows.and_then(read_open).map_err(Error::of("look for segments that wait for the store", ""))
}

/// Recordings behind `after` that may have bytes on their way in: those that take in, and those of which something was
/// heard within a day and two hours, which is longer than refused bytes are kept. Of them the part whose minute it is in
/// a round of `round` minutes.
///
/// # Errors
/// The database's.
pub async fn taking_in(
    db: &impl ConnectionTrait,
    round: u32,
    after: Option<&RecordingId>,
    limit: u32,
) -> Result<Vec<Open>, Error> {
    let sql = "SELECT r.id, r.owner_id, r.state, r.plan_version::int8, r.frozen_version >= r.plan_version AS frozen \
        FROM spool.recording AS r LEFT JOIN spool.liveness AS l ON l.recording_id = r.id \
        WHERE r.id > $1 AND r.source = 'spool' \
          AND (r.state IN ('live', 'finalizing') OR r.provisional \
            OR greatest(r.state_at, l.heard_at) > now() - interval '26 hours') \
          AND mod(abs(hashtext(r.id)::bigint), $2) = mod(floor(extract(epoch FROM now()) / 60)::bigint, $2) \
        ORDER BY r.id LIMIT $3";
    let values = [after.map_or("", RecordingId::as_str).into(), i64::from(round).into(), i64::from(limit).into()];
    let rows = all(db, sql, values).await;
    rows.and_then(read_open).map_err(Error::of("look for recordings that take in", ""))
}

/// Recordings behind `after` that another uploader writes and that may go on: somebody has to look into their bucket.
///
/// # Errors
/// The database's.
pub async fn watched(db: &impl ConnectionTrait, after: Option<&RecordingId>, limit: u32) -> Result<Vec<Open>, Error> {
    let sql = "SELECT id, owner_id, state, plan_version::int8, frozen_version >= plan_version AS frozen FROM spool.recording \
        WHERE id > $1 AND source = 'bucket' AND (state = 'live' OR (state = 'finalizing' AND frozen_version < plan_version) \
          OR (state IN ('finalizing', 'ready') AND provisional)) \
        ORDER BY id LIMIT $2";
    let rows = all(db, sql, [after.map_or("", RecordingId::as_str).into(), i64::from(limit).into()]).await;
    rows.and_then(read_open).map_err(Error::of("look for foreign buckets", ""))
}

/// Marks provisional ends older than `age` as signalled, at most `limit`, and says which: they will not go on any more.
///
/// # Errors
/// The database's.
pub async fn expire_provisional(db: &impl ConnectionTrait, age: Duration, limit: u32) -> Result<Vec<Open>, Error> {
    let sql = "UPDATE spool.recording SET signalled_at = now() WHERE id IN ( \
            SELECT id FROM spool.recording WHERE state = 'ready' AND provisional AND signalled_at IS NULL \
              AND ended_at < now() - $1::float8 * interval '1 second' ORDER BY id LIMIT $2) \
          AND state = 'ready' AND provisional AND signalled_at IS NULL \
        RETURNING id, owner_id, state, plan_version::int8, frozen_version >= plan_version AS frozen";
    let rows = all(db, sql, [age.as_secs_f64().into(), i64::from(limit).into()]).await;
    rows.and_then(read_open).map_err(Error::of("expire provisional ends", ""))
}
