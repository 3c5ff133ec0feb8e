//! Initialization sections whose bytes lie in their rows, so that a store that is away keeps nobody from reading a track.

use super::{Error, column, one};
use domain::id::RecordingId;
use domain::segment::Track;
use sea_orm::{ConnectionTrait, QueryResult};

/// The bytes of an initialization section as its row keeps them; `None` when it keeps none, or when they are not those
/// that were acknowledged.
///
/// # Errors
/// The database's.
pub async fn body(db: &impl ConnectionTrait, recording: &RecordingId, track: Track) -> Result<Option<Vec<u8>>, Error> {
    let sql = "SELECT body FROM spool.segment WHERE recording_id = $1 AND track = $2 AND index = 0 \
        AND body IS NOT NULL AND sha256(body) = sha256";
    let row = one(db, sql, [recording.as_str().into(), track.as_str().into()]).await;
    let read = |row: Option<QueryResult>| row.map(|row| column(&row, "body")).transpose();
    row.and_then(read).map_err(Error::of("read initialization section", format!("{recording}/{track}")))
}
