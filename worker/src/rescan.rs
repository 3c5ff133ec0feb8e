//! Staged bytes that no row knows, and those that nobody waits for any more.
//!
//! A process may die between making bytes durable and committing their row, and a database may lose its last commits.
//! Only a process that sees the staging folder can find what lies there, so the folder is looked through beside the
//! `ingest` queue, at start and each minute; what lies in the object store is looked through by `sweep`. Neither decides
//! anything of its own: what is found goes through the same decision as a body that just came in.

use crate::accept::{self, Refusal};
use crate::context::Context;
use crate::db::recordings;
use crate::db::segments;
use crate::staging::{Place, Staged, Uri};
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::key::Keys;
use domain::recording::{Closed, admit};
use domain::retry::{Classify, Fault};
use domain::segment::{Name, State};
use media::init::Init;
use media::walk::Walker;
use sha2::Digest as _;
use std::time::Duration;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

/// How often the folder is looked through.
const EVERY: Duration = Duration::from_secs(60);

/// Younger bytes are those of a request that is about to commit their row.
const AGE_MIN: Duration = Duration::from_secs(60);

/// Younger objects are left alone. From an object's last byte to its row is a matter of seconds, and a request that takes
/// longer finds its row put in by us, which is as good; but the age is told by the store's clock, and it must not be
/// minutes ahead of what is being acknowledged now.
pub const OBJECT_AGE_MIN: Duration = Duration::from_secs(5 * 60);

/// Objects of one recording looked at in one go; after an outage as many may wait for their upload.
const OBJECTS_MAX: usize = 1000;

/// Piece in which staged bytes are read.
const PIECE_BYTES: usize = 256 << 10;

/// Why staged bytes were not looked after; the next scan tries again.
#[derive(Debug, Error)]
pub enum Error {
    /// The folder failed.
    #[error(transparent)]
    Staging(#[from] crate::staging::Error),
    /// The rows could not be read.
    #[error(transparent)]
    Database(#[from] crate::db::Error),
    /// The store could not be asked.
    #[error(transparent)]
    Storage(#[from] crate::storage::Error),
    /// The bytes could not be read.
    #[error("read staged bytes {uri}")]
    Read {
        /// Which.
        uri: Uri,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What became of staged bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A row waits for them.
    Awaited,
    /// Their row was put back.
    Restored,
    /// Nobody wants them: removed.
    Removed,
    /// Accept would refuse them: kept for a while, for a person to look at.
    Kept,
}

/// Looks through the folder until `stop`.
pub async fn run(cx: &Context, stop: &CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        tokio::select! {
            scanned = scan(cx, AGE_MIN) => if let Err(error) = scanned {
                tracing::warn!(error = %error, "staging folder not looked through");
            },
            () = stop.cancelled() => return,
        }
    }
}

/// Looks after everything that has waited for `age_min`; says what became of each. One that cannot be looked after does
/// not stand in the way of the others.
///
/// # Errors
/// The folder cannot be read.
pub async fn scan(cx: &Context, age_min: Duration) -> Result<Vec<(Uri, Fate)>, Error> {
    let waiting = cx.staging.scan().await?;
    look_after_all(cx, waiting.into_iter().filter(|staged| staged.age >= age_min)).await
}

/// Looks after what lies in the object store below `.incoming` of one recording and has waited for `age_min`.
///
/// # Errors
/// The store cannot list.
pub async fn objects(
    cx: &Context,
    owner: &OwnerId,
    recording: &RecordingId,
    age_min: Duration,
) -> Result<Vec<(Uri, Fate)>, Error> {
    let listed = cx.staging.list(owner, recording, OBJECTS_MAX, cx.clock.now()).await?;
    look_after_all(cx, listed.into_iter().filter(|staged| staged.age >= age_min)).await
}

async fn look_after_all(cx: &Context, found: impl Iterator<Item = Staged>) -> Result<Vec<(Uri, Fate)>, Error> {
    let mut fates = Vec::new();
    for staged in found {
        match look_after(cx, &staged).await {
            Ok(fate) => fates.push((staged.uri, fate)),
            Err(error) => {
                tracing::warn!(staging.uri = %staged.uri, error = %error, "staged bytes not looked after");
            }
        }
    }
    Ok(fates)
}

async fn look_after(cx: &Context, staged: &Staged) -> Result<Fate, Error> {
    let uri = &staged.uri;
    let row = segments::get(&cx.db, &uri.recording, uri.track, uri.name).await?;
    match row.as_ref().map(|row| row.row.state) {
        Some(State::Received) => {
            let theirs = row.as_ref().and_then(|row| row.staging_uri.as_deref()?.parse::<Uri>().ok());
            match theirs {
                Some(theirs) if theirs.is_same_upload(uri) => return awaited(cx, uri).await,
                // Two uploads of one name at once, and the process of the second died.
                Some(theirs) if cx.staging.contains(&theirs).await? => {
                    return remove(cx, uri, "the row has others").await;
                }
                Some(_) | None => {}
            }
        }
        // The process died between the commit and the removal.
        Some(State::Stored) => return remove(cx, uri, "the store has the segment").await,
        Some(State::Lost) | None => {}
    }
    let Some(recording) = recordings::get(&cx.db, &uri.recording).await? else {
        return keep(cx, staged, "there is no such recording").await;
    };
    match admit(recording.door()) {
        Err(closed @ (Closed::Cancelled | Closed::Deleted)) => {
            return remove(cx, uri, &closed.to_string()).await;
        }
        Err(closed @ (Closed::Ended | Closed::Archived)) => return keep(cx, staged, &closed.to_string()).await,
        Ok(()) => {}
    }
    let (sha256, content) = match walk(cx, staged, &Keys::new(&recording.owner, &recording.id)).await? {
        Ok(walked) => walked,
        Err(why) => return keep(cx, staged, &why).await,
    };
    match accept::settle(cx, uri, sha256, staged.size_bytes, content).await {
        Ok(_) => {
            tracing::warn!(staging.uri = %uri, "row of staged bytes put back");
            Ok(Fate::Restored)
        }
        Err(refusal @ Refusal::Conflict { .. }) => remove(cx, uri, &refusal.to_string()).await,
        Err(Refusal::Database(error)) => Err(error.into()),
        Err(Refusal::Staging(error)) => Err(error.into()),
        Err(Refusal::Storage(error)) => Err(error.into()),
        Err(refusal) => keep(cx, staged, &refusal.to_string()).await,
    }
}

/// The upload of a recording that was given up never comes for what its rows wait for.
async fn awaited(cx: &Context, uri: &Uri) -> Result<Fate, Error> {
    let recording = recordings::get(&cx.db, &uri.recording).await?;
    match recording.map(|recording| admit(recording.door())) {
        Some(Err(closed @ (Closed::Cancelled | Closed::Deleted))) => remove(cx, uri, &closed.to_string()).await,
        Some(Err(Closed::Ended | Closed::Archived) | Ok(())) | None => Ok(Fate::Awaited),
    }
}

/// Walks the bytes as accept does, and holds them to the digest in their name, if it tells one. The inner error says what
/// is wrong.
async fn walk(
    cx: &Context,
    staged: &Staged,
    keys: &Keys,
) -> Result<Result<(Sha256, segments::Content), String>, Error> {
    let uri = &staged.uri;
    let limits = accept::limits(&cx.config);
    let mut walker = match uri.name {
        Name::Init => Walker::init(uri.track, limits),
        Name::Media(_) => match init(cx, uri, keys).await? {
            Some(init) => Walker::media(&init, limits),
            None => return Ok(Err("the track's initialization section has not come".to_owned())),
        },
    };
    let (mut file, _) = cx.staging.open_bytes(uri).await?;
    let (mut hasher, mut piece) = (sha2::Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        let read = file.read(&mut piece).await.map_err(|source| Error::Read { uri: uri.clone(), source })?;
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read]);
        if let Err(defect) = walker.push(&piece[..read]) {
            return Ok(Err(defect.to_string()));
        }
    }
    let sha256 = Sha256(hasher.finalize().into());
    match &uri.place {
        Place::Local { sha256: named } if *named != sha256 => {
            return Ok(Err("the bytes are not those of their name".to_owned()));
        }
        Place::Local { .. } | Place::Store { .. } => {}
    }
    Ok(walker.finish().map(|accepted| (sha256, accept::content_of(&accepted))).map_err(|defect| defect.to_string()))
}

/// The initialization section of a track, from wherever its row says its bytes are.
async fn init(cx: &Context, uri: &Uri, keys: &Keys) -> Result<Option<Init>, Error> {
    let Some(row) = segments::get(&cx.db, &uri.recording, uri.track, Name::Init).await? else { return Ok(None) };
    let staged = row.staging_uri.as_deref().and_then(|text| text.parse::<Uri>().ok());
    let bytes = match (row.row.state, staged) {
        (State::Received, Some(staged)) => {
            let (mut file, _) = cx.staging.open_bytes(&staged).await?;
            let mut bytes = Vec::new();
            let read = file.read_to_end(&mut bytes).await;
            read.map_err(|source| Error::Read { uri: staged, source })?;
            bytes
        }
        (State::Stored, _) => cx.store.get(&keys.segment(uri.track, Name::Init)).await?.to_vec(),
        (State::Received | State::Lost, _) => return Ok(None),
    };
    Ok(Init::parse(uri.track, &bytes).ok())
}

async fn remove(cx: &Context, uri: &Uri, why: &str) -> Result<Fate, Error> {
    tracing::info!(staging.uri = %uri, why, "staged bytes removed");
    cx.staging.remove(std::slice::from_ref(uri)).await?;
    Ok(Fate::Removed)
}

/// What accept would refuse is kept for a while: it was made durable and perhaps acknowledged.
async fn keep(cx: &Context, staged: &Staged, why: &str) -> Result<Fate, Error> {
    if staged.age > cx.config.retention.refused_staging {
        return remove(cx, &staged.uri, why).await;
    }
    tracing::error!(staging.uri = %staged.uri, why, "staged bytes without a row cannot be put back");
    Ok(Fate::Kept)
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Error::Staging(source) => source.fault(),
            Error::Database(source) => source.fault(),
            Error::Storage(source) => source.fault(),
            Error::Read { .. } => Fault::Transient,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Staging(source) => source.class(),
            Error::Database(source) => source.class(),
            Error::Storage(source) => source.class(),
            Error::Read { .. } => "staging",
        }
    }
}
