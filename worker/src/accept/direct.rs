//! Segments that go past this server: URLs that allow one object each, and the report that they were used.
//!
//! Nothing here has seen a byte, so nothing is acknowledged. A report writes the row of each object unread, without a
//! sample index, in the state in which it waits for the store; so a check of the recording waits for it and viewers do
//! not see it. The `upload` job reads the object, holds it to length and digest, walks it, and only then brings it to its
//! final key; what is not what was reported ends as a lost row with its cause. A sender asks again with the same report,
//! and may forget its bytes when the state is `stored`.

use super::{Refusal, enqueue_upload, is_gone};
use crate::context::Context;
use crate::db::segments::{Inserted, Reported};
use crate::db::{self, recordings, segments};
use crate::staging::Uri;
use crate::storage::Presigned;
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::job::Queue;
use domain::recording::{Closed, admit};
use domain::segment::{Name, State, Track};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use sea_orm::DatabaseTransaction;
use std::collections::BTreeSet;
use thiserror::Error;
use uuid::Uuid;

/// Most objects of one request: a minute and a half of both tracks.
const OBJECTS_MAX: usize = 50;

/// Objects looked at in the store at once.
const LOOKS: usize = 8;

/// An object that a recorder is about to send, or has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its track.
    pub track: Track,
    /// Its name.
    pub name: Name,
    /// Length of its bytes.
    pub size_bytes: u64,
    /// Digest of its bytes.
    pub sha256: Sha256,
}

impl Sent {
    /// `video/segment_001.m4s`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.track, self.name)
    }

    /// Where its bytes wait. The name follows from what is sent, so nothing has to be remembered between URL and report,
    /// and whoever asks twice gets one object.
    fn uri(&self, owner: &OwnerId, recording: &RecordingId) -> Uri {
        let what = format!("{recording}/{}/{}/{}/{}", self.track, self.name, self.size_bytes, self.sha256);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Sha256::of(what.as_bytes()).0[..16]);
        let nonce = uuid::Builder::from_custom_bytes(bytes).into_uuid();
        debug_assert_ne!(nonce, Uuid::nil());
        // Whoever has the URL may write the object again until it expires, so no entity tag vouches for it.
        Uri::in_store(owner.clone(), recording.clone(), self.track, self.name, nonce, None)
    }
}

/// Why objects are not taken past this server; none of the request is.
#[derive(Debug, Error)]
pub enum Refused {
    /// The store cannot sign URLs.
    #[error("the store cannot sign urls")]
    Unavailable,
    /// No object, too many, or one twice.
    #[error("a request names 1 to {max} objects, each once")]
    Count {
        /// The bound.
        max: usize,
    },
    /// For a reason that is not of one object.
    #[error(transparent)]
    All(#[from] Refusal),
    /// Because of one object.
    #[error("{path}")]
    One {
        /// Which.
        path: String,
        /// Why.
        #[source]
        refusal: Box<Refusal>,
    },
    /// The store has no such object, or one of another length.
    #[error("{path} has not arrived")]
    NotArrived {
        /// Which.
        path: String,
    },
}

impl Refused {
    fn one(sent: &Sent, refusal: Refusal) -> Refused {
        Refused::One { path: sent.path(), refusal: Box::new(refusal) }
    }
}

impl From<db::Error> for Refused {
    fn from(error: db::Error) -> Refused {
        Refused::All(error.into())
    }
}

/// A URL for each object, to write it once or often until it expires.
///
/// # Errors
/// Why there is none.
pub async fn presign(cx: &Context, id: &RecordingId, sent: &[Sent]) -> Result<Vec<Presigned>, Refused> {
    bounded(cx, sent)?;
    let recording = recordings::get(&cx.db, id).await?.ok_or(Refusal::NoRecording)?;
    admit(recording.door()).map_err(Refusal::Closed)?;
    let mut urls = Vec::new();
    for one in sent {
        require_init(&cx.db, id, sent, one).await?;
        let key = one.uri(&recording.owner, id).key().ok_or(Refused::Unavailable)?;
        let ttl = cx.config.limits.presign_ttl;
        let url = cx.store.presign_put(&key, one.size_bytes, Some(one.sha256), ttl).await;
        urls.push(url.map_err(Refusal::from)?.ok_or(Refused::Unavailable)?);
    }
    Ok(urls)
}

/// Remembers that objects were sent and tells the state of each: `received` until its bytes were read, then `stored`, or
/// `lost` when they are not those that were reported.
///
/// # Errors
/// Why none of them is remembered.
pub async fn report(cx: &Context, id: &RecordingId, sent: &[Sent]) -> Result<Vec<State>, Refused> {
    bounded(cx, sent)?;
    let recording = recordings::get(&cx.db, id).await?.ok_or(Refusal::NoRecording)?;
    let mut known = Vec::new();
    for one in sent {
        let row = segments::get(&cx.db, id, one.track, one.name).await?;
        known.push(row.filter(|row| row.row.sha256 == Some(one.sha256)).map(|row| row.row.state));
    }
    if let Err(closed) = admit(recording.door()) {
        // What was remembered before the end is known after it: the sender asks what became of it.
        let known: Option<Vec<State>> = known.into_iter().collect();
        return known.filter(|_| !is_gone(closed)).ok_or_else(|| Refused::All(Refusal::Closed(closed)));
    }
    for one in sent {
        require_init(&cx.db, id, sent, one).await?;
    }
    let mut looks = Vec::new();
    for (one, state) in sent.iter().zip(&known) {
        if state.is_none() {
            looks.push(arrived(cx, &recording.owner, id, one));
        }
    }
    stream::iter(looks).buffer_unordered(LOOKS).try_collect::<Vec<()>>().await?;
    remember(cx, id, sent).await
}

async fn remember(cx: &Context, id: &RecordingId, sent: &[Sent]) -> Result<Vec<State>, Refused> {
    let tx = db::begin(&cx.db).await?;
    let recording = recordings::lock_share(&tx, id).await?.ok_or(Refusal::NoRecording)?;
    admit(recording.door()).map_err(|closed: Closed| Refusal::Closed(closed))?;
    let mut states = Vec::new();
    for one in sent {
        require_init(&tx, id, sent, one).await?;
        states.push(insert(&tx, &recording.owner, id, one).await?);
    }
    let waits = states.contains(&State::Received);
    if waits {
        enqueue_upload(&tx, id, recording.owner.as_str()).await?;
    }
    db::commit(tx).await?;
    if waits {
        cx.bell.ring(Queue::Ingest.as_str());
    }
    Ok(states)
}

async fn insert(tx: &DatabaseTransaction, owner: &OwnerId, id: &RecordingId, one: &Sent) -> Result<State, Refused> {
    let Sent { track, name, size_bytes, sha256 } = *one;
    let reported = Reported { track, name, size_bytes, sha256, staging_uri: one.uri(owner, id).to_string() };
    match segments::insert_unread(tx, id, &reported).await? {
        Inserted::New => Ok(State::Received),
        Inserted::Same(found) => Ok(found.row.state),
        Inserted::Conflict(found) => {
            let known = found.row.sha256.map_or_else(|| "unknown".to_owned(), |known| known.to_string());
            Err(Refused::one(one, Refusal::Conflict { known, came: sha256 }))
        }
    }
}

/// What can be said of a request without looking at the recording.
fn bounded(cx: &Context, sent: &[Sent]) -> Result<(), Refused> {
    if !cx.store.can_presign() {
        return Err(Refused::Unavailable);
    }
    let names: BTreeSet<_> = sent.iter().map(|one| (one.track, one.name)).collect();
    if !(1..=OBJECTS_MAX).contains(&sent.len()) || names.len() < sent.len() {
        return Err(Refused::Count { max: OBJECTS_MAX });
    }
    let limits = &cx.config.limits;
    for one in sent {
        if one.size_bytes > limits.segment_size.0 {
            let max_bytes = limits.segment_size.0;
            return Err(Refused::one(one, Refusal::TooLarge { size_bytes: one.size_bytes, max_bytes }));
        }
        if one.name.index() > limits.segments_max {
            let (index, max) = (one.name.index(), limits.segments_max);
            return Err(Refused::one(one, Refusal::IndexTooHigh { index, max }));
        }
    }
    Ok(())
}

/// As everywhere, the initialization section of a track comes before its segments, or with them.
async fn require_init(
    db: &impl sea_orm::ConnectionTrait,
    id: &RecordingId,
    sent: &[Sent],
    one: &Sent,
) -> Result<(), Refused> {
    if sent.iter().any(|other| other.track == one.track && other.name == Name::Init) {
        return Ok(());
    }
    let init = segments::get(db, id, one.track, Name::Init).await?;
    match init.filter(|init| init.row.state != State::Lost) {
        Some(_) => Ok(()),
        None => Err(Refused::one(one, Refusal::NoInit)),
    }
}

async fn arrived(cx: &Context, owner: &OwnerId, id: &RecordingId, one: &Sent) -> Result<(), Refused> {
    let there = cx.staging.stat(&one.uri(owner, id)).await.map_err(Refusal::from)?;
    if there.is_some_and(|meta| meta.size_bytes == one.size_bytes) {
        return Ok(());
    }
    Err(Refused::NotArrived { path: one.path() })
}
