//! What was seen of recordings that another uploader writes straight into the bucket: rows that their `upload` job alone
//! writes.

use super::segments::{Content, big};
use super::{Error, all, column, execute, number, one, parsed, word};
use chrono::{DateTime, Utc};
use domain::bucket::{Claims, Known};
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::segment::{Name, State, Track};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};
use std::time::Duration;

/// What earlier looks have left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// When the last look began.
    pub looked_at: Option<DateTime<Utc>>,
    /// When a look last found something new.
    pub newest_at: Option<DateTime<Utc>>,
    /// Of the manifest that was read last, readable or not.
    pub manifest_stamp: Option<String>,
    /// What readable manifests have named; `None` when there was none.
    pub claims: Option<Claims>,
}

/// What earlier looks have left; nothing at the first one.
///
/// # Errors
/// The database's.
pub async fn seen(db: &impl ConnectionTrait, id: &RecordingId) -> Result<Seen, Error> {
    let sql = "SELECT looked_at, newest_at, manifest_stamp, claimed FROM spool.bucket WHERE recording_id = $1";
    let row = one(db, sql, [id.as_str().into()]).await;
    let read = |row: Option<QueryResult>| {
        let Some(row) = row else { return Ok(Seen::default()) };
        let claimed: Option<serde_json::Value> = column(&row, "claimed")?;
        let claims = claimed.map(serde_json::from_value).transpose();
        Ok(Seen {
            looked_at: column(&row, "looked_at")?,
            newest_at: column(&row, "newest_at")?,
            manifest_stamp: column(&row, "manifest_stamp")?,
            claims: claims.map_err(|error| DbErr::Json(format!("column claimed: {error}")))?,
        })
    };
    row.and_then(read).map_err(Error::of("get what was seen of the bucket", id))
}

/// Notes that the manifest of this stamp was read. `claims` are all that readable ones have named; `None` leaves them.
///
/// # Errors
/// The database's.
pub async fn note_manifest(
    tx: &DatabaseTransaction,
    id: &RecordingId,
    stamp: &str,
    claims: Option<&Claims>,
) -> Result<(), Error> {
    let sql = "INSERT INTO spool.bucket AS b (recording_id, manifest_stamp, claimed) VALUES ($1, $2, $3) \
        ON CONFLICT (recording_id) DO UPDATE SET manifest_stamp = $2, claimed = coalesce($3, b.claimed)";
    let claims = claims.map(|claims| serde_json::to_value(claims).expect("claims are JSON"));
    let done = execute(tx, sql, [id.as_str().into(), stamp.into(), claims.into()]).await;
    done.map(|_| ()).map_err(Error::of("note manifest of the bucket", id))
}

/// Notes the end of a look that began at `began`, and whether it found something.
///
/// # Errors
/// The database's.
pub async fn note_look(
    db: &impl ConnectionTrait,
    id: &RecordingId,
    began: DateTime<Utc>,
    found: bool,
) -> Result<(), Error> {
    let sql = "INSERT INTO spool.bucket AS b (recording_id, looked_at, newest_at) \
            VALUES ($1, $2::timestamptz, CASE WHEN $3 THEN now() END) \
        ON CONFLICT (recording_id) DO UPDATE SET looked_at = greatest(b.looked_at, excluded.looked_at), \
            newest_at = greatest(b.newest_at, excluded.newest_at)";
    let done = execute(db, sql, [id.as_str().into(), began.into(), found.into()]).await;
    done.map(|_| ()).map_err(Error::of("note look into the bucket", id))
}

/// Whose recording it is, if a viewer may ask for a look now: of all that ask, one in `every`. `None` for a recording that
/// no other uploader writes, or that is not live.
///
/// # Errors
/// The database's.
pub async fn may_hasten(
    db: &impl ConnectionTrait,
    id: &RecordingId,
    every: Duration,
) -> Result<Option<OwnerId>, Error> {
    let sql = "INSERT INTO spool.bucket AS b (recording_id, hastened_at) \
            SELECT id, now() FROM spool.recording WHERE id = $1 AND source = 'bucket' AND state = 'live' \
        ON CONFLICT (recording_id) DO UPDATE SET hastened_at = now() \
        WHERE b.hastened_at IS NULL OR b.hastened_at <= now() - $2::float8 * interval '1 second' \
        RETURNING (SELECT owner_id FROM spool.recording AS r WHERE r.id = b.recording_id) AS owner_id";
    let row = one(db, sql, [id.as_str().into(), every.as_secs_f64().into()]).await;
    let read = |row: Option<QueryResult>| row.map(|row| parsed(&row, "owner_id", OwnerId::parse)).transpose();
    row.and_then(read).map_err(Error::of("ask for a look into the bucket", id))
}

/// The last listed index of each track, in the order of [`Track::ALL`]; 0 when nothing is listed.
///
/// # Errors
/// The database's.
pub async fn listed(db: &impl ConnectionTrait, id: &RecordingId) -> Result<[u32; 2], Error> {
    let mut listed = [0; 2];
    for (last, track) in listed.iter_mut().zip(Track::ALL) {
        let sql =
            "SELECT coalesce(max(index), 0)::int8 AS last FROM spool.listing WHERE recording_id = $1 AND track = $2";
        let row = one(db, sql, [id.as_str().into(), track.as_str().into()]).await;
        let read = |row: Option<QueryResult>| row.map_or(Ok(0), |row| number(&row, "last"));
        *last = row.and_then(read).map_err(Error::of("read end of listing", id))?;
    }
    Ok(listed)
}

/// Rows of the recording: initialization sections, and of each track, in the order of [`Track::ALL`], what lies behind
/// an index.
///
/// # Errors
/// The database's.
pub async fn known(db: &impl ConnectionTrait, id: &RecordingId, behind: [u32; 2]) -> Result<Vec<Known>, Error> {
    let sql = "SELECT track, index::int8, state, CASE WHEN defect IS NOT NULL THEN etag END AS stamp FROM spool.segment \
        WHERE recording_id = $1 AND (index = 0 OR index > CASE track WHEN 'video' THEN $2 ELSE $3 END) LIMIT $4";
    let limit = 2 * (i64::from(domain::segment::INDEX_MAX) + 1);
    let [video, audio] = behind.map(i64::from);
    let rows = all(db, sql, [id.as_str().into(), video.into(), audio.into(), limit.into()]).await;
    let read = |row: &QueryResult| {
        Ok(Known {
            track: word(row, "track", Track::parse)?,
            index: number(row, "index")?,
            state: word(row, "state", State::parse)?,
            stamp: column(row, "stamp")?,
        })
    };
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(Error::of("list known objects", id))
}

/// An object that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its track.
    pub track: Track,
    /// Initialization section or media segment.
    pub name: Name,
    /// Length of the object.
    pub size_bytes: u64,
    /// Entity tag or what stands for it.
    pub stamp: String,
    /// Entity tag that it had when it was read, where the store has tags.
    pub etag: Option<String>,
    /// What was found in it.
    pub found: Found,
}

/// What was found in an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// A segment or an initialization section.
    Good {
        /// What is inside.
        content: Content,
        /// Digest of all its bytes, where all were read.
        sha256: Option<Sha256>,
    },
    /// Something else.
    Damaged {
        /// The class of the defect.
        class: &'static str,
        /// The defect in words.
        defect: String,
        /// What of it is whole: samples before a cut, or behind a damaged head.
        salvaged: Option<Content>,
    },
}

/// Writes the row of an object that is in the bucket: stored, or lost because it is damaged. A lost one of which something
/// is whole has a sample index of that, which the mux takes and no player. A row that is not lost stays as it is, since
/// the bytes of a stored segment never change. False when nothing was written.
///
/// # Errors
/// The database's.
pub async fn take(tx: &DatabaseTransaction, id: &RecordingId, object: &Object) -> Result<bool, Error> {
    let failed = |source| Error { operation: "take object of the bucket", object: id.to_string(), source };
    let sql = "INSERT INTO spool.segment AS s (recording_id, track, index, state, size_bytes, sha256, etag, codec, timescale, \
            sample_index, tfdt, duration, sample_count, starts_with_sync, lost_cause, defect, stored_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, CASE WHEN $4 = 'stored' THEN now() END) \
        ON CONFLICT (recording_id, track, index) DO UPDATE SET state = excluded.state, size_bytes = excluded.size_bytes, \
            sha256 = excluded.sha256, etag = excluded.etag, codec = excluded.codec, timescale = excluded.timescale, \
            sample_index = excluded.sample_index, tfdt = excluded.tfdt, duration = excluded.duration, \
            sample_count = excluded.sample_count, starts_with_sync = excluded.starts_with_sync, \
            lost_cause = excluded.lost_cause, defect = excluded.defect, stored_at = excluded.stored_at, received_at = now() \
        WHERE s.state = 'lost'";
    let (state, sha256, content, damage) = match &object.found {
        Found::Good { content, sha256 } => (State::Stored, *sha256, Some(content), None),
        Found::Damaged { class, defect, salvaged } => {
            (State::Lost, None, salvaged.as_ref(), Some((*class, defect.clone())))
        }
    };
    // A damaged object is read again when a listing shows that it is another one, so its row keeps what the listing said.
    let etag = object.etag.as_ref().filter(|_| damage.is_none()).unwrap_or(&object.stamp);
    let (codec, timescale, media) = match content {
        Some(Content::Init { facts, .. }) => {
            (Some(serde_json::to_value(facts).expect("codec facts are JSON")), Some(facts.timescale), None)
        }
        Some(Content::Media { index, span, samples, starts_with_sync }) => {
            (None, Some(span.timescale), Some((index.clone(), span, *samples, *starts_with_sync)))
        }
        None => (None, None, None),
    };
    let values = [
        id.as_str().into(),
        object.track.as_str().into(),
        i64::from(object.name.index()).into(),
        state.as_str().into(),
        big(object.size_bytes).into(),
        sha256.map(|digest| digest.0.to_vec()).into(),
        etag.clone().into(),
        codec.into(),
        timescale.map(i64::from).into(),
        media.as_ref().map(|(index, ..)| index.clone()).into(),
        media.as_ref().map(|(_, span, ..)| big(span.start)).into(),
        media.as_ref().map(|(_, span, ..)| big(span.duration)).into(),
        media.as_ref().map(|(_, _, samples, _)| i64::from(*samples)).into(),
        media.as_ref().map(|(.., sync)| *sync).into(),
        damage.as_ref().map(|(class, _)| *class).into(),
        damage.map(|(_, defect)| defect).into(),
    ];
    if execute(tx, sql, values).await.map_err(failed)? != 1 {
        return Ok(false);
    }
    let count = "UPDATE spool.recording SET stored_seq = stored_seq + 1 WHERE id = $1";
    execute(tx, count, [id.as_str().into()]).await.map_err(failed)?;
    Ok(true)
}
