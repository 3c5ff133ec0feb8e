//! Recordings that another uploader writes straight into the bucket (`source: bucket`): that somebody looks.
//!
//! Nobody tells of such a segment, so the one `upload` job of the recording is also the one that looks: from the moment
//! the recording is made until its plan is frozen it comes back by itself. What a look does is in `jobs/upload/bucket`,
//! what it makes of what it finds in `domain::bucket`.

use crate::context::Context;
use crate::db::segments::Segment;
use crate::db::{self, bucket};
use crate::storage::Listed;
use domain::bucket::{Found, Known, Pace, unread};
use domain::id::{OwnerId, RecordingId};
use domain::job::{Queue, Upload};
use domain::key::{Keys, Object};
use queue::enqueue::{self, Enqueue};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use thiserror::Error;

/// Looks into foreign buckets. Each field's reason stands in `config.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Time between two looks while new objects come.
    #[serde(with = "humantime_serde")]
    pub look_min: Duration,
    /// Longest time between two looks while nothing comes.
    #[serde(with = "humantime_serde")]
    pub look_max: Duration,
    /// The same after an end by silence, which may go on.
    #[serde(with = "humantime_serde")]
    pub provisional_look_max: Duration,
    /// Objects of one recording read at once.
    pub reads_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            look_min: Duration::from_secs(2),
            look_max: Duration::from_secs(30),
            provisional_look_max: Duration::from_secs(600),
            reads_max: 32,
        }
    }
}

impl Config {
    /// The bounds on the time between two looks.
    pub fn pace(&self) -> Pace {
        Pace { min: self.look_min, max: self.look_max, provisional_max: self.provisional_look_max }
    }
}

/// Why nobody was sent to look.
#[derive(Debug, Error)]
pub enum Error {
    /// The rows could not be read or written.
    #[error(transparent)]
    Database(#[from] db::Error),
    /// The job could not be put in.
    #[error(transparent)]
    Enqueue(#[from] enqueue::Error),
}

/// Has the bucket looked at soon: at once if the next look was due later. Ring for [`Queue::Ingest`] after the commit.
///
/// # Errors
/// The database's.
pub async fn watch(db: &impl ConnectionTrait, id: &RecordingId, owner: &OwnerId) -> Result<(), enqueue::Error> {
    Enqueue::of(&Upload { recording: id.clone() })?.owned_by(owner.as_str()).hastening().put(db).await?;
    Ok(())
}

/// A viewer waits for something new of this recording: the bucket is looked at now, and at most once in `look_min` however
/// many viewers ask. Costs one indexed statement, and does nothing for a recording of another source or another state.
///
/// # Errors
/// The database's. The viewer loses nothing but time: the next look is due anyway.
pub async fn hasten(cx: &Context, id: &RecordingId) -> Result<(), Error> {
    if let Some(owner) = bucket::may_hasten(&cx.db, id, cx.config.bucket.look_min).await? {
        watch(&cx.db, id, &owner).await?;
        cx.bell.ring(Queue::Ingest.as_str());
    }
    Ok(())
}

/// What a listing shows of one recording.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// Initialization sections and segments.
    pub(crate) found: Vec<Found>,
    /// The manifest, if it is there.
    pub(crate) manifest: Option<ManifestFound>,
}

/// The manifest as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestFound {
    /// Changes when it is written again.
    pub(crate) stamp: String,
    /// Its length.
    pub(crate) size_bytes: u64,
}

impl Sight {
    /// Adds an object; what is neither a segment nor the manifest is passed over.
    pub(crate) fn add(&mut self, keys: &Keys, listed: &Listed) {
        let (stamp, size_bytes) = (stamp(listed), listed.size_bytes);
        match keys.parse(&listed.key) {
            Some(Object::Segment(track, name)) => self.found.push(Found { track, name, size_bytes, stamp }),
            Some(Object::Manifest) => self.manifest = Some(ManifestFound { stamp, size_bytes }),
            Some(_) | None => {}
        }
    }

    /// Whether it shows something that no look has taken in: an object without its row, or another manifest.
    pub(crate) fn has_unseen(self, seen: &bucket::Seen, rows: &[Segment], index_max: u32) -> bool {
        let stamp = self.manifest.map(|manifest| manifest.stamp);
        let known: Vec<Known> = rows.iter().map(known).collect();
        (stamp.is_some() && stamp != seen.manifest_stamp) || !unread(self.found, &known, index_max).is_empty()
    }
}

fn known(segment: &Segment) -> Known {
    let row = &segment.row;
    let stamp = row.defect.is_some().then(|| segment.etag.clone()).flatten();
    Known { track: row.track, index: row.index, state: row.state, stamp }
}

/// Changes when an object is written again: the entity tag, else length and time. Where the time has seconds only, the
/// same length twice in one second is taken for the same object; only a manifest is written so often, and it grows.
fn stamp(listed: &Listed) -> String {
    let modified_at = listed.modified_at.map_or(0, |at| at.timestamp_micros());
    listed.etag.clone().unwrap_or_else(|| format!("{}-{modified_at}", listed.size_bytes))
}
