//! Taking in a segment: from its first byte to the row that acknowledges it.
//!
//! Observe (the recording, the row that may be there, the initialization section), walk and stage the bytes as they
//! come, decide through `domain::recording::admit`, act in one transaction: row, then the `upload` job. Nothing is
//! acknowledged before that commit, and nothing staged is deleted because the database did not answer: what was staged
//! without a row is found later ([`crate::rescan`]) and goes through [`settle`] again.
//!
//! It knows nothing of HTTP and never updates the recording's row.

mod again;
pub mod direct;
mod inits;
mod refusal;

pub use inits::Inits;
pub use refusal::Refusal;

use crate::config::Config;
use crate::context::Context;
use crate::db::segments::{Content, Inserted, Received};
use crate::db::{self, recordings, segments};
use crate::staging::{self, Uri};
use domain::id::{RecordingId, Sha256};
use domain::job::{Queue, Upload};
use domain::recording::{Closed, admit};
use domain::segment::{Name, State, Track};
use media::walk::{Accepted, Limits, Walker};
use queue::enqueue::Enqueue;

/// Longest initialization section that is kept in its row too. Real ones have one or two kilobytes; a row is no place for
/// the megabyte that one may have.
const BODY_BYTES_MAX: u64 = 64 << 10;

/// What the sender says before the first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The recording.
    pub recording: RecordingId,
    /// The track.
    pub track: Track,
    /// Initialization section or media segment.
    pub name: Name,
    /// Length of the body.
    pub size_bytes: u64,
    /// Digest of the body, if the sender gave one.
    pub sha256: Option<Sha256>,
}

/// A segment that is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// It was not there before.
    pub new: bool,
    /// Its track.
    pub track: Track,
    /// Its name.
    pub name: Name,
    /// Length of its bytes.
    pub size_bytes: u64,
    /// Digest of its bytes.
    pub sha256: Sha256,
    /// How long it lasts, rounded to the nearest millisecond; none for an initialization section.
    pub duration_ms: Option<u64>,
    /// Where its bytes are.
    pub state: State,
}

/// A segment whose bytes are coming in. Dropped before [`Arriving::finish`], it leaves nothing.
#[derive(Debug)]
pub struct Arriving {
    announced: Announced,
    incoming: staging::Incoming,
    walker: Walker,
    /// Bytes of an initialization section, as long as they are few.
    body: Option<Vec<u8>>,
    /// The recording takes nothing new any more, but a row of this name is there: the same bytes are still welcome.
    closed: Option<Closed>,
}

/// Looks whether a segment may come in, before its first byte is read.
///
/// What is found here is looked at again under the lock; this look spares the body of whatever is refused anyway.
///
/// # Errors
/// Why it may not.
pub async fn begin(cx: &Context, inits: &Inits, announced: Announced) -> Result<Arriving, Refusal> {
    let limits = &cx.config.limits;
    let Announced { recording, track, name, size_bytes, .. } = &announced;
    if *size_bytes > limits.segment_size.0 {
        return Err(Refusal::TooLarge { size_bytes: *size_bytes, max_bytes: limits.segment_size.0 });
    }
    if name.index() > limits.segments_max {
        return Err(Refusal::IndexTooHigh { index: name.index(), max: limits.segments_max });
    }
    let found = recordings::get(&cx.db, recording).await?.ok_or(Refusal::NoRecording)?;
    let closed = admit(found.door()).err();
    if let Some(closed) = closed {
        let known = !is_gone(closed) && segments::get(&cx.db, recording, *track, *name).await?.is_some();
        if !known {
            return Err(Refusal::Closed(closed));
        }
    }
    let limits = self::limits(&cx.config);
    let walker = match name {
        Name::Init => Walker::init(*track, limits),
        Name::Media(_) => Walker::media(&*inits.get(cx, &found, *track).await?, limits),
    };
    let incoming = cx.staging.receive(&found.owner, recording, *track, *name, *size_bytes).await?;
    let body = (*name == Name::Init && *size_bytes <= BODY_BYTES_MAX).then(Vec::new);
    Ok(Arriving { announced, incoming, walker, body, closed })
}

/// What a body is held to while it is walked.
pub fn limits(config: &Config) -> Limits {
    Limits {
        size_max_bytes: config.limits.segment_size.0,
        duration_max_ms: u64::try_from(config.limits.segment_duration.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The segments are gone with the recording, so that not even the same bytes are welcome.
fn is_gone(closed: Closed) -> bool {
    match closed {
        Closed::Cancelled | Closed::Deleted => true,
        Closed::Ended | Closed::Archived => false,
    }
}

impl Arriving {
    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// The bytes are not what they should be, or cannot be staged; nothing is left of them then.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let size_bytes = self.incoming.size_bytes() + bytes.len() as u64;
        if size_bytes > self.announced.size_bytes {
            return Err(Refusal::OtherLength { announced: self.announced.size_bytes, came: size_bytes });
        }
        self.walker.push(bytes)?;
        if let Some(body) = &mut self.body {
            body.extend_from_slice(bytes);
        }
        Ok(self.incoming.write(bytes).await?)
    }

    /// The body has ended: checks it, makes it durable, and acknowledges it.
    ///
    /// # Errors
    /// Why it is not acknowledged. When that is the database, the staged bytes stay.
    pub async fn finish(self, cx: &Context, inits: &Inits) -> Result<Taken, Refusal> {
        let Arriving { announced, incoming, walker, body, closed } = self;
        let (came, sha256) = (incoming.size_bytes(), incoming.sha256());
        if came != announced.size_bytes {
            return Err(Refusal::OtherLength { announced: announced.size_bytes, came });
        }
        if let Some(expected) = announced.sha256.filter(|expected| *expected != sha256) {
            return Err(Refusal::OtherDigest { announced: expected, came: sha256 });
        }
        let accepted = walker.finish()?;
        let Announced { recording, track, name, .. } = announced;
        if let Some(closed) = closed {
            // Nothing is staged: either the bytes are acknowledged already, or they are refused.
            let found = segments::get(&cx.db, &recording, track, name).await?;
            let same = found.filter(|found| found.row.sha256 == Some(sha256) && found.row.state != State::Lost);
            return same.map(|found| taken_before(&found, name, sha256)).ok_or(Refusal::Closed(closed));
        }
        let uri = incoming.commit().await?;
        let content = match content_of(&accepted) {
            Content::Init { facts, .. } => Content::Init { facts, body },
            media @ Content::Media { .. } => media,
        };
        let taken = match settle(cx, &uri, sha256, came, content).await {
            // Nobody waits for what was refused, and its name is nobody else's.
            Err(refusal) if refusal.is_final() => {
                drop_staged(cx, &uri).await;
                return Err(refusal);
            }
            settled => settled?,
        };
        if let Accepted::Init(init) = accepted {
            inits.put(&recording, track, *init);
        }
        Ok(taken)
    }
}

/// What a row keeps of the bytes that were walked.
pub fn content_of(accepted: &Accepted) -> Content {
    match accepted {
        Accepted::Init(init) => Content::Init { facts: init.facts.clone(), body: None },
        Accepted::Media(media) => Content::Media {
            index: media.index.clone(),
            span: media.span,
            samples: media.summary.samples,
            starts_with_sync: media.summary.starts_with_sync,
        },
    }
}

/// Acknowledges staged bytes: one transaction for the row and the job that brings them into the store. The same for a
/// body that just came in and for bytes that were found without a row.
///
/// # Errors
/// Why they are not acknowledged; the bytes stay.
pub async fn settle(
    cx: &Context,
    uri: &Uri,
    sha256: Sha256,
    size_bytes: u64,
    content: Content,
) -> Result<Taken, Refusal> {
    let staging_uri = Some(uri.to_string());
    let received = Received { track: uri.track, name: uri.name, size_bytes, sha256, staging_uri, content };
    match insert(cx, &uri.recording, &received).await? {
        Inserted::New => Ok(taken(true, &received, State::Received)),
        Inserted::Same(found) => again::make_sure(cx, uri, &received, found).await,
        Inserted::Conflict(found) => {
            let known = found.row.sha256.map_or_else(|| "unknown".to_owned(), |known| known.to_string());
            Err(Refusal::Conflict { known, came: sha256 })
        }
    }
}

/// Removes bytes that nobody waits for. What fails here is found by the next look through what lies staged.
async fn drop_staged(cx: &Context, uri: &Uri) {
    if let Err(error) = cx.staging.remove(std::slice::from_ref(uri)).await {
        tracing::debug!(staging.uri = %uri, error = %error, "staged bytes that nobody waits for not removed");
    }
}

async fn insert(cx: &Context, recording: &RecordingId, received: &Received) -> Result<Inserted, Refusal> {
    let tx = db::begin(&cx.db).await?;
    let found = recordings::lock_share(&tx, recording).await?.ok_or(Refusal::NoRecording)?;
    if let Err(closed) = admit(found.door()) {
        let known = segments::get(&tx, recording, received.track, received.name).await?;
        return match known.filter(|known| known.row.sha256 == Some(received.sha256) && !is_gone(closed)) {
            Some(known) if known.row.state != State::Lost => Ok(Inserted::Same(known)),
            _ => Err(Refusal::Closed(closed)),
        };
    }
    let mut inserted = segments::insert(&tx, recording, received).await?;
    if let Inserted::Same(known) = &mut inserted
        && known.row.state == State::Lost
    {
        // The bytes that were acknowledged are gone; these are the same ones.
        if segments::receive_again(&tx, recording, received, known).await? {
            (known.row.state, known.staging_uri) = (State::Received, received.staging_uri.clone());
        }
    }
    let waits = match &inserted {
        Inserted::New => true,
        Inserted::Same(known) => known.row.state == State::Received,
        Inserted::Conflict(_) => false,
    };
    if waits {
        enqueue_upload(&tx, recording, found.owner.as_str()).await?;
    }
    db::commit(tx).await?;
    if waits {
        cx.bell.ring(Queue::Ingest.as_str());
    }
    Ok(inserted)
}

async fn enqueue_upload(
    tx: &sea_orm::DatabaseTransaction,
    recording: &RecordingId,
    owner: &str,
) -> Result<(), Refusal> {
    // Hastened: a snooze that waits for a hole is cut short, a back-off after a fault of the store is not.
    let job = Enqueue::of(&Upload { recording: recording.clone() })?.owned_by(owner).hastening();
    job.put(tx).await?;
    Ok(())
}

fn taken(new: bool, received: &Received, state: State) -> Taken {
    let duration_ms = match &received.content {
        Content::Init { .. } => None,
        Content::Media { span, .. } => Some(span.duration_ms()),
    };
    let Received { track, name, size_bytes, sha256, .. } = *received;
    Taken { new, track, name, size_bytes, sha256, duration_ms, state }
}

fn taken_before(found: &segments::Segment, name: Name, sha256: Sha256) -> Taken {
    let row = &found.row;
    let duration_ms = row.span.map(|span| span.duration_ms());
    let (track, size_bytes, state) = (row.track, row.size_bytes, row.state);
    Taken { new: false, track, name, size_bytes, sha256, duration_ms, state }
}
