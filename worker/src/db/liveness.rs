//! Signs of life of recorders, in a table of their own: one never waits for whoever holds the recording's row.

use super::{Error, column, execute, one};
use domain::id::RecordingId;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde::{Deserialize, Serialize};

/// What a recorder says it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Doing {
    /// It records.
    Recording,
    /// It is paused: silence may last longer.
    Paused,
}

impl Doing {
    /// The word used in rows and requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Doing::Recording => "recording",
            Doing::Paused => "paused",
        }
    }
}

/// Writes a sign of life. Accepted segments are signs of life too, but they are not written here: many come in at once
/// and would wait for each other; whoever judges silence looks at both.
///
/// # Errors
/// The database's.
pub async fn beat(db: &impl ConnectionTrait, id: &RecordingId, doing: Doing) -> Result<(), Error> {
    let sql = "INSERT INTO spool.liveness (recording_id, state) VALUES ($1, $2) \
        ON CONFLICT (recording_id) DO UPDATE SET state = $2, heard_at = now(), silent_minutes = 0";
    let done = execute(db, sql, [id.as_str().into(), doing.as_str().into()]).await;
    done.map(|_| ()).map_err(Error::of("write sign of life", id))
}

/// What a recorder last said it does; `None` when it never said anything.
///
/// # Errors
/// The database's.
pub async fn doing(db: &impl ConnectionTrait, id: &RecordingId) -> Result<Option<Doing>, Error> {
    let sql = "SELECT state FROM spool.liveness WHERE recording_id = $1";
    let row = one(db, sql, [id.as_str().into()]).await;
    let read = |row: Option<QueryResult>| {
        let word = row.map(|row| column::<String>(&row, "state")).transpose()?;
        Ok::<_, DbErr>(
            word.and_then(|word| [Doing::Recording, Doing::Paused].into_iter().find(|doing| doing.as_str() == word)),
        )
    };
    row.and_then(read).map_err(Error::of("look for a sign of life", id))
}
