//! What was made of pictures of a recording. Their keys never change, so the rows tell one making from another.

use super::{Error, all, execute, number, sha256, word};
use domain::id::{RecordingId, Sha256};
use domain::key::Keys;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};

/// Which picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One frame, JPEG.
    Poster,
    /// Some frames in a loop, GIF.
    Preview,
}

impl Kind {
    /// The word in rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Poster => "poster",
            Kind::Preview => "preview",
        }
    }

    fn parse(word: &str) -> Option<Kind> {
        [Kind::Poster, Kind::Preview].into_iter().find(|kind| kind.as_str() == word)
    }

    /// Where it lies.
    pub fn key(self, keys: &Keys) -> String {
        match self {
            Kind::Poster => keys.poster(),
            Kind::Preview => keys.preview(),
        }
    }
}

/// One picture that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Which.
    pub kind: Kind,
    /// Plan version of the result that it shows.
    pub version: u32,
    /// Its length.
    pub size_bytes: u64,
    /// Its digest.
    pub sha256: Sha256,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// The pictures of a recording; none, or both.
///
/// # Errors
/// The database's.
pub async fn list(db: &impl ConnectionTrait, id: &RecordingId) -> Result<Vec<Made>, Error> {
    let sql = "SELECT kind, version::int8, size_bytes, sha256, width::int8, height::int8 FROM spool.picture \
        WHERE recording_id = $1 ORDER BY kind LIMIT 2";
    let rows = all(db, sql, [id.as_str().into()]).await;
    let read = |row: &QueryResult| -> Result<Made, DbErr> {
        Ok(Made {
            kind: word(row, "kind", Kind::parse)?,
            version: number(row, "version")?,
            size_bytes: number(row, "size_bytes")?,
            sha256: sha256(row, "sha256")?,
            width: number(row, "width")?,
            height: number(row, "height")?,
        })
    };
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(Error::of("list pictures", id))
}

/// Says what was made, instead of what was said before. The caller holds the recording and has looked whether it still
/// serves the result that they show.
///
/// # Errors
/// The database's.
pub async fn replace(tx: &DatabaseTransaction, id: &RecordingId, made: &[Made]) -> Result<(), Error> {
    let failed = |source| Error { operation: "keep pictures", object: id.to_string(), source };
    let forget = "DELETE FROM spool.picture WHERE recording_id = $1";
    execute(tx, forget, [id.as_str().into()]).await.map_err(failed)?;
    let insert = "INSERT INTO spool.picture (recording_id, kind, version, size_bytes, sha256, width, height) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    for picture in made {
        let values = [
            id.as_str().into(),
            picture.kind.as_str().into(),
            i64::from(picture.version).into(),
            super::segments::big(picture.size_bytes).into(),
            picture.sha256.0.to_vec().into(),
            i64::from(picture.width).into(),
            i64::from(picture.height).into(),
        ];
        execute(tx, insert, values).await.map_err(failed)?;
    }
    Ok(())
}
