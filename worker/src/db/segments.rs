//! Rows of segments: one for each that was acknowledged.

use super::{Error, all, column, execute, maybe_number, maybe_sha256, number, one, word};
use chrono::{DateTime, Utc};
use domain::id::{RecordingId, Sha256};
use domain::segment::{CodecFacts, Name, Row, Span, State, Track};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Value};
use std::collections::HashMap;

/// A segment that was taken in and is about to be acknowledged.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Its track.
    pub track: Track,
    /// Initialization section or media segment.
    pub name: Name,
    /// Length of its bytes.
    pub size_bytes: u64,
    /// Digest of its bytes.
    pub sha256: Sha256,
    /// Where its bytes wait; none when they are in the store already.
    pub staging_uri: Option<String>,
    /// What is inside.
    pub content: Content,
}

/// A segment that was sent past this server and is said to be in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Its track.
    pub track: Track,
    /// Initialization section or media segment.
    pub name: Name,
    /// Length of its bytes.
    pub size_bytes: u64,
    /// Digest of its bytes, as the sender says.
    pub sha256: Sha256,
    /// Where they wait.
    pub staging_uri: String,
}

/// What is inside a segment.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// An initialization section.
    Init {
        /// What is said of its track.
        facts: CodecFacts,
        /// Its bytes, where somebody has them and they are few.
        body: Option<Vec<u8>>,
    },
    /// A media segment.
    Media {
        /// Its packed sample index.
        index: Vec<u8>,
        /// Its place on the time axis.
        span: Span,
        /// Number of samples.
        samples: u32,
        /// Decoding can begin at its first sample.
        starts_with_sync: bool,
    },
}

/// A row, with what is needed to make sure of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Track, index, state, size, digest, place in time.
    pub row: Row,
    /// Where its bytes wait.
    pub staging_uri: Option<String>,
    /// Entity tag of the stored object.
    pub etag: Option<String>,
    /// When it was acknowledged.
    pub received_at: DateTime<Utc>,
    /// Nobody has looked into its bytes yet: they were sent past this server and only reported.
    pub unread: bool,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It is new.
    New,
    /// A row of the same bytes was there.
    Same(Segment),
    /// A row of other bytes was there.
    Conflict(Segment),
}

const COLUMNS: &str =
    "track, index::int8, state, size_bytes, sha256, staging_uri, etag, timescale, tfdt, duration, defect, received_at";

fn read(row: &QueryResult) -> Result<Segment, DbErr> {
    let timescale: Option<u32> = maybe_number(row, "timescale")?;
    let (start, duration) = (maybe_number(row, "tfdt")?, maybe_number(row, "duration")?);
    let index: u32 = number(row, "index")?;
    let span = match (timescale, start, duration) {
        (Some(timescale), Some(start), Some(duration)) if index > 0 => Some(Span { timescale, start, duration }),
        _ => None,
    };
    Ok(Segment {
        row: Row {
            track: word(row, "track", Track::parse)?,
            index,
            state: word(row, "state", State::parse)?,
            size_bytes: number(row, "size_bytes")?,
            sha256: maybe_sha256(row, "sha256")?,
            span,
            defect: column(row, "defect")?,
        },
        staging_uri: column(row, "staging_uri")?,
        etag: column(row, "etag")?,
        received_at: column(row, "received_at")?,
        unread: timescale.is_none(),
    })
}

/// Inserts the row of a received segment, or finds the one that is there. The caller holds the recording with
/// [`super::recordings::lock_share`].
///
/// Two requests with one index at once: the second insert waits for the first one's end, inserts nothing, and the look
/// behind it, a statement of its own, sees the committed row. Whoever came first is the segment.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &DatabaseTransaction, recording: &RecordingId, new: &Received) -> Result<Inserted, Error> {
    let object = || format!("{recording}/{}/{}", new.track, new.name);
    let [codec, timescale, index, tfdt, duration, samples, sync] = columns(&new.content);
    let body = match &new.content {
        Content::Init { body, .. } => body.clone(),
        Content::Media { .. } => None,
    };
    let sql = "INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256, staging_uri, codec, timescale, \
            sample_index, tfdt, duration, sample_count, starts_with_sync, body) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";
    let values = [
        recording.as_str().into(),
        new.track.as_str().into(),
        i64::from(new.name.index()).into(),
        big(new.size_bytes).into(),
        new.sha256.0.to_vec().into(),
        new.staging_uri.clone().into(),
        codec,
        timescale,
        index,
        tfdt,
        duration,
        samples,
        sync,
        body.into(),
    ];
    let touched = execute(tx, sql, values).await.map_err(Error::of("insert segment", object()))?;
    if touched == 1 {
        return Ok(Inserted::New);
    }
    match get(tx, recording, new.track, new.name).await? {
        Some(found) if found.row.sha256 == Some(new.sha256) => Ok(Inserted::Same(found)),
        Some(found) => Ok(Inserted::Conflict(found)),
        None => Err(Error::bad_row("insert segment", object(), "neither inserted nor there")),
    }
}

/// `codec`, `timescale`, `sample_index`, `tfdt`, `duration`, `sample_count`, `starts_with_sync`.
fn columns(content: &Content) -> [Value; 7] {
    let none = || Value::from(None::<i64>);
    match content {
        Content::Init { facts, .. } => {
            let codec = serde_json::to_value(facts).expect("codec facts are JSON");
            let (index, sync) = (None::<Vec<u8>>.into(), None::<bool>.into());
            [codec.into(), i64::from(facts.timescale).into(), index, none(), none(), none(), sync]
        }
        Content::Media { index, span, samples, starts_with_sync } => [
            None::<serde_json::Value>.into(),
            i64::from(span.timescale).into(),
            index.clone().into(),
            big(span.start).into(),
            big(span.duration).into(),
            i64::from(*samples).into(),
            (*starts_with_sync).into(),
        ],
    }
}

/// Inserts the row of a segment that was sent past this server and whose bytes nobody has read yet, or finds the one that
/// is there. As [`insert`]; [`fill`] adds what is inside.
///
/// # Errors
/// The database's.
pub async fn insert_unread(
    tx: &DatabaseTransaction,
    recording: &RecordingId,
    new: &Reported,
) -> Result<Inserted, Error> {
    let object = format!("{recording}/{}/{}", new.track, new.name);
    let sql = "INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256, staging_uri) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let values = [
        recording.as_str().into(),
        new.track.as_str().into(),
        i64::from(new.name.index()).into(),
        big(new.size_bytes).into(),
        new.sha256.0.to_vec().into(),
        new.staging_uri.clone().into(),
    ];
    let touched = execute(tx, sql, values).await.map_err(Error::of("insert reported segment", &object))?;
    if touched == 1 {
        return Ok(Inserted::New);
    }
    match get(tx, recording, new.track, new.name).await? {
        Some(found) if found.row.sha256 == Some(new.sha256) => Ok(Inserted::Same(found)),
        Some(found) => Ok(Inserted::Conflict(found)),
        None => Err(Error::bad_row("insert reported segment", object, "neither inserted nor there")),
    }
}

/// Writes what is inside a segment whose row was inserted unread.
///
/// # Errors
/// The database's.
pub async fn fill(
    tx: &DatabaseTransaction,
    recording: &RecordingId,
    row: &Row,
    content: &Content,
) -> Result<(), Error> {
    let [codec, timescale, index, tfdt, duration, samples, sync] = columns(content);
    let sql = "UPDATE spool.segment SET codec = $5, timescale = $6, sample_index = $7, tfdt = $8, duration = $9, \
            sample_count = $10, starts_with_sync = $11 \
        WHERE recording_id = $1 AND track = $2 AND index = $3 AND sha256 = $4 AND timescale IS NULL";
    let values = [
        recording.as_str().into(),
        row.track.as_str().into(),
        i64::from(row.index).into(),
        row.sha256.map(|digest| digest.0.to_vec()).into(),
        codec,
        timescale,
        index,
        tfdt,
        duration,
        samples,
        sync,
    ];
    let done = execute(tx, sql, values).await.map_err(Error::of("fill segment", format!("{recording}/{}", row.track)));
    done.map(drop)
}

/// Lets a row wait for the store with bytes that were sent once more, because those it knows are gone. Names the row as
/// it was `seen`: false when somebody changed it since, or when it is of other bytes.
///
/// # Errors
/// The database's.
pub async fn receive_again(
    tx: &DatabaseTransaction,
    recording: &RecordingId,
    again: &Received,
    seen: &Segment,
) -> Result<bool, Error> {
    let sql = "UPDATE spool.segment SET state = 'received', staging_uri = $5, stored_at = NULL, etag = NULL, \
            lost_cause = NULL, received_at = now() \
        WHERE recording_id = $1 AND track = $2 AND index = $3 AND sha256 = $4 \
          AND state = $6 AND staging_uri IS NOT DISTINCT FROM $7";
    let values = [
        recording.as_str().into(),
        again.track.as_str().into(),
        i64::from(again.name.index()).into(),
        again.sha256.0.to_vec().into(),
        again.staging_uri.clone().into(),
        seen.row.state.as_str().into(),
        seen.staging_uri.clone().into(),
    ];
    let touched = execute(tx, sql, values).await.map_err(Error::of("receive segment again", recording))?;
    Ok(touched == 1)
}

/// One segment.
///
/// # Errors
/// The database's.
pub async fn get(
    db: &impl ConnectionTrait,
    recording: &RecordingId,
    track: Track,
    name: Name,
) -> Result<Option<Segment>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM spool.segment WHERE recording_id = $1 AND track = $2 AND index = $3");
    let values = [recording.as_str().into(), track.as_str().into(), i64::from(name.index()).into()];
    let row = one(db, &sql, values).await;
    let object = format!("{recording}/{track}/{name}");
    row.and_then(|row| row.as_ref().map(read).transpose()).map_err(Error::of("get segment", object))
}

/// Segments that wait for the store, initialization sections first, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn received(db: &impl ConnectionTrait, recording: &RecordingId, limit: u32) -> Result<Vec<Segment>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM spool.segment WHERE recording_id = $1 AND state = 'received' \
         ORDER BY index, track LIMIT $2"
    );
    let rows = all(db, &sql, [recording.as_str().into(), i64::from(limit).into()]).await;
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(Error::of("list received segments", recording))
}

/// Every row of a recording, by track and index.
///
/// # Errors
/// The database's.
pub async fn rows(db: &impl ConnectionTrait, recording: &RecordingId) -> Result<Vec<Segment>, Error> {
    // Bounded by the limit on indexes, which every accepted row has passed.
    let limit = 2 * (i64::from(domain::segment::INDEX_MAX) + 1);
    let sql =
        format!("SELECT {COLUMNS} FROM spool.segment WHERE recording_id = $1 ORDER BY track DESC, index LIMIT $2");
    let rows = all(db, &sql, [recording.as_str().into(), limit.into()]).await;
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(Error::of("list segments", recording))
}

/// The packed sample index of one media segment; `None` when there is no such row or it has none.
///
/// # Errors
/// The database's.
pub async fn sample_index(
    db: &impl ConnectionTrait,
    recording: &RecordingId,
    track: Track,
    index: u32,
) -> Result<Option<Vec<u8>>, Error> {
    let sql = "SELECT sample_index FROM spool.segment WHERE recording_id = $1 AND track = $2 AND index = $3";
    let row = one(db, sql, [recording.as_str().into(), track.as_str().into(), i64::from(index).into()]).await;
    let read = |row: Option<QueryResult>| row.map_or(Ok(None), |row| column(&row, "sample_index"));
    row.and_then(read).map_err(Error::of("get sample index", format!("{recording}/{track}/{index}")))
}

/// Marks a received segment as stored. The caller holds the recording's row ([`super::listing::hold`]). False when the row is no longer
/// received or is of other bytes: somebody else has settled it.
///
/// # Errors
/// The database's.
pub async fn mark_stored(
    tx: &DatabaseTransaction,
    recording: &RecordingId,
    row: &Row,
    etag: Option<&str>,
) -> Result<bool, Error> {
    let sql = "UPDATE spool.segment SET state = 'stored', stored_at = now(), etag = $5, staging_uri = NULL \
        WHERE recording_id = $1 AND track = $2 AND index = $3 AND sha256 = $4 AND state = 'received'";
    let values = [
        recording.as_str().into(),
        row.track.as_str().into(),
        i64::from(row.index).into(),
        row.sha256.map(|digest| digest.0.to_vec()).into(),
        etag.into(),
    ];
    settle(tx, recording, "mark segment stored", execute(tx, sql, values).await).await
}

/// Marks a received segment as lost, with the reason. As [`mark_stored`], and false too when the row waits for other
/// staged bytes than those that were `seen` to be lost: the sender sent them once more, and that was acknowledged.
///
/// # Errors
/// The database's.
pub async fn mark_lost(
    tx: &DatabaseTransaction,
    recording: &RecordingId,
    seen: &Segment,
    cause: &str,
) -> Result<bool, Error> {
    let sql = "UPDATE spool.segment SET state = 'lost', lost_cause = $5, staging_uri = NULL \
        WHERE recording_id = $1 AND track = $2 AND index = $3 AND sha256 = $4 AND state = 'received' \
          AND staging_uri IS NOT DISTINCT FROM $6";
    let row = &seen.row;
    let values = [
        recording.as_str().into(),
        row.track.as_str().into(),
        i64::from(row.index).into(),
        row.sha256.map(|digest| digest.0.to_vec()).into(),
        cause.into(),
        seen.staging_uri.clone().into(),
    ];
    settle(tx, recording, "mark segment lost", execute(tx, sql, values).await).await
}

/// Counts a settled segment, so that the manifest's writer sees that there is something new.
async fn settle(
    tx: &DatabaseTransaction,
    recording: &RecordingId,
    operation: &'static str,
    touched: Result<u64, DbErr>,
) -> Result<bool, Error> {
    let failed = |source| Error { operation, object: recording.to_string(), source };
    if touched.map_err(failed)? != 1 {
        return Ok(false);
    }
    let count = "UPDATE spool.recording SET stored_seq = stored_seq + 1 WHERE id = $1";
    execute(tx, count, [recording.as_str().into()]).await.map_err(failed)?;
    Ok(true)
}

/// The column is signed; nothing of ours comes near its end.
pub(super) fn big(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Entity tags of media segments that are in the store, damaged ones with them, by track and index, where the store has
/// given any.
///
/// # Errors
/// The database's.
pub async fn etags(db: &impl ConnectionTrait, id: &RecordingId) -> Result<HashMap<(Track, u32), String>, Error> {
    let sql = "SELECT track, index::int8, etag FROM spool.segment \
        WHERE recording_id = $1 AND index > 0 AND (state = 'stored' OR defect IS NOT NULL) AND etag IS NOT NULL LIMIT $2";
    let limit = 2 * i64::from(domain::segment::INDEX_MAX);
    let rows = all(db, sql, [id.as_str().into(), limit.into()]).await;
    let read =
        |row: &QueryResult| Ok(((word(row, "track", Track::parse)?, number(row, "index")?), column(row, "etag")?));
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(Error::of("list entity tags", id))
}
