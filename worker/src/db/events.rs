//! What happened to a recording, in order.

use super::{Error, all, column, number, one};
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};
use serde_json::Value as Json;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number, from 1, without holes.
    pub seq: u64,
    /// What happened, for example `recording.ready`.
    pub kind: String,
    /// Facts.
    pub body: Json,
    /// When.
    pub at: DateTime<Utc>,
}

/// Writes the next event of a recording in the transaction of the change it tells of, and locks the recording's row.
///
/// # Errors
/// The database's; also when there is no such recording.
pub async fn append(tx: &DatabaseTransaction, id: &RecordingId, kind: &str, body: Json) -> Result<u64, Error> {
    let sql = "SELECT spool.append_event($1, $2, $3) AS seq";
    let row = one(tx, sql, [id.as_str().into(), kind.into(), body.into()]).await;
    let read = |row: Option<QueryResult>| {
        number(&row.ok_or_else(|| DbErr::RecordNotFound("no recording to write an event of".to_owned()))?, "seq")
    };
    row.and_then(read).map_err(Error::of("append event", id))
}

/// Number of the last event of a recording; 0 when nothing has happened.
///
/// # Errors
/// The database's.
pub async fn last(db: &impl ConnectionTrait, id: &RecordingId) -> Result<u64, Error> {
    let sql = "SELECT coalesce(max(seq), 0) AS seq FROM spool.event WHERE recording_id = $1";
    let row = one(db, sql, [id.as_str().into()]).await;
    let read = |row: Option<QueryResult>| row.map_or(Ok(0), |row| number(&row, "seq"));
    row.and_then(read).map_err(Error::of("look for the last event", id))
}

/// Events of a recording behind number `after`, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn list(db: &impl ConnectionTrait, id: &RecordingId, after: u64, limit: u32) -> Result<Vec<Event>, Error> {
    let sql = "SELECT seq, type, body, at FROM spool.event WHERE recording_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = all(db, sql, [id.as_str().into(), after.into(), i64::from(limit).into()]).await;
    let read = |row: &QueryResult| {
        Ok(Event {
            seq: number(row, "seq")?,
            kind: column(row, "type")?,
            body: column(row, "body")?,
            at: column(row, "at")?,
        })
    };
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(Error::of("list events", id))
}
