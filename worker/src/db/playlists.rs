//! What viewers read: how the playlists of a recording stand, the rows behind what is known, and where a segment lies.
//! What they read is written in [`super::listing`].

use super::listing::{read_row, renditions};
use super::{Error, all, column, maybe_number, maybe_sha256, number, one, parsed, word};
use chrono::{DateTime, Utc};
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::playlist::{ListingRow, Renditions};
use domain::recording::State;
use domain::segment::{self, Name, Track};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

/// How the playlists of a recording stand at one moment: everything that a poll needs to know when nothing has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The recording.
    pub id: RecordingId,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Its state.
    pub state: State,
    /// Of both media playlists; none before the first row.
    pub target_duration_s: Option<u32>,
    /// The tracks of the multivariant playlist.
    pub renditions: Renditions,
    /// The listing has ended.
    pub ended: bool,
    /// Last sequence number of the picture; 0 when nothing is listed.
    pub video_seq: u64,
    /// Last sequence number of the sound.
    pub audio_seq: u64,
}

impl Head {
    /// Last sequence number of a track.
    pub fn seq(&self, track: Track) -> u64 {
        match track {
            Track::Video => self.video_seq,
            Track::Audio => self.audio_seq,
        }
    }
}

/// One row and the two ends of an index: the same few pages, however long the recording is.
const HEAD: &str = "SELECT r.id, r.created_at, r.state, r.target_duration_s::int8, r.renditions, r.listing_ended_at IS NOT NULL AS ended, \
        coalesce((SELECT max(l.seq) FROM spool.listing AS l WHERE l.recording_id = r.id AND l.track = 'video'), 0) AS video_seq, \
        coalesce((SELECT max(l.seq) FROM spool.listing AS l WHERE l.recording_id = r.id AND l.track = 'audio'), 0) AS audio_seq \
    FROM spool.recording AS r WHERE r.id = ANY (string_to_array($1, ','))";

/// How the playlists of some recordings stand, in one statement and in no particular order.
///
/// # Errors
/// The database's.
pub async fn heads(db: &impl ConnectionTrait, ids: &[RecordingId]) -> Result<Vec<Head>, Error> {
    // An id has no comma.
    let list = ids.iter().map(RecordingId::as_str).collect::<Vec<_>>().join(",");
    let rows = all(db, HEAD, [list.as_str().into()]).await;
    rows.and_then(|rows| rows.iter().map(read_head).collect()).map_err(Error::of("look at playlists", list))
}

fn read_head(row: &QueryResult) -> Result<Head, DbErr> {
    Ok(Head {
        id: parsed(row, "id", RecordingId::parse)?,
        created_at: column(row, "created_at")?,
        state: word(row, "state", State::parse)?,
        target_duration_s: maybe_number(row, "target_duration_s")?,
        renditions: renditions(row)?,
        ended: column(row, "ended")?,
        video_seq: number(row, "video_seq")?,
        audio_seq: number(row, "audio_seq")?,
    })
}

/// The rows of a track behind `known` up to `last`, in order.
///
/// # Errors
/// The database's.
pub async fn rows(
    db: &impl ConnectionTrait,
    id: &RecordingId,
    track: Track,
    known: u64,
    last: u64,
) -> Result<Vec<ListingRow>, Error> {
    // Sequence numbers have no holes and no more than `INDEX_MAX` of them exist, so the range is its own limit.
    let sql = "SELECT seq, index::int8, kind, duration, timescale, discontinuity, program_date_time FROM spool.listing \
        WHERE recording_id = $1 AND track = $2 AND seq > $3 AND seq <= $4 ORDER BY seq LIMIT $4";
    let big = super::segments::big;
    let values = [id.as_str().into(), track.as_str().into(), big(known).into(), big(last).into()];
    let rows = all(db, sql, values).await;
    rows.and_then(|rows| rows.iter().map(|row| read_row(row, track)).collect())
        .map_err(Error::of("read listing", format!("{id}/{track}")))
}

/// Where a segment of a recording lies, for a viewer.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelf {
    /// Whose recording it is.
    pub owner: OwnerId,
    /// State of the recording.
    pub state: State,
    /// The object; `None` when viewers have no use for it: it is not in the store.
    pub object: Option<Object>,
}

/// An object that viewers may fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its length.
    pub size_bytes: u64,
    /// Its digest; not known of what another uploader wrote into the bucket.
    pub sha256: Option<Sha256>,
}

/// Looks for a segment; `None` when there is no such recording. One that is listed stays there for viewers while its
/// object is being brought again.
///
/// # Errors
/// The database's.
pub async fn shelf(
    db: &impl ConnectionTrait,
    id: &RecordingId,
    track: Track,
    name: Name,
) -> Result<Option<Shelf>, Error> {
    let sql = "SELECT r.owner_id, r.state, s.state AS segment_state, s.size_bytes, s.sha256, \
            EXISTS (SELECT FROM spool.listing AS l WHERE l.recording_id = $1 AND l.track = $2 AND l.index = $3 \
              AND l.kind = 'media') AS listed \
        FROM spool.recording AS r LEFT JOIN spool.segment AS s \
          ON s.recording_id = r.id AND s.track = $2 AND s.index = $3 \
        WHERE r.id = $1";
    let values = [id.as_str().into(), track.as_str().into(), i64::from(name.index()).into()];
    let row = one(db, sql, values).await;
    let read = |row: &QueryResult| {
        let listed: bool = column(row, "listed")?;
        let state: Option<String> = column(row, "segment_state")?;
        let stored = state.as_deref() == Some(segment::State::Stored.as_str());
        let object = match maybe_number(row, "size_bytes")? {
            Some(size_bytes) if stored || listed => Some(Object { size_bytes, sha256: maybe_sha256(row, "sha256")? }),
            _ => None,
        };
        Ok(Shelf { owner: parsed(row, "owner_id", OwnerId::parse)?, state: word(row, "state", State::parse)?, object })
    };
    let object = format!("{id}/{track}/{name}");
    row.and_then(|row| row.as_ref().map(read).transpose()).map_err(Error::of("look for segment", object))
}
