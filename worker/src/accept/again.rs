//! The same bytes came again: a sender that did not hear the answer, or two processes at once.
//!
//! The sender may forget its bytes after the answer, so it is only given when they are where their row says, or when the
//! row says that they are where they came in just now. Every upload has a name of its own, so a row that points to these
//! bytes cannot be meant by whoever looked at the ones before: `upload`, which finds those gone at this very moment,
//! names them when it marks the row as lost, and then marks nothing.

use super::{Refusal, Taken, drop_staged, enqueue_upload, taken};
use crate::context::Context;
use crate::db::segments::{Received, Segment};
use crate::db::{self, recordings, segments};
use crate::staging::{self, Uri};
use domain::job::Queue;
use domain::recording::admit;
use domain::segment::State;

/// Looks at a row that others change at the same moment: it goes from received to stored or lost once, and each request
/// for the same bytes changes it once.
const LOOKS_MAX: u32 = 8;

/// Answers for bytes that a row knows already and that were staged once more under `uri`.
pub(super) async fn make_sure(
    cx: &Context,
    uri: &Uri,
    received: &Received,
    mut found: Segment,
) -> Result<Taken, Refusal> {
    for _ in 0..LOOKS_MAX {
        match found.row.state {
            State::Received if is_at(&found, uri) => return Ok(taken(false, received, State::Received)),
            // Of bytes that were only reported nobody knows whether they are the right ones; these here were read.
            State::Received if !found.unread && waits(cx, &found).await? => {
                drop_staged(cx, uri).await;
                return Ok(taken(false, received, State::Received));
            }
            State::Stored if is_stored(cx, uri, &found).await? => {
                drop_staged(cx, uri).await;
                return Ok(taken(false, received, State::Stored));
            }
            State::Received | State::Stored | State::Lost => {}
        }
        if replace(cx, uri, received, &found).await? {
            return Ok(taken(false, received, State::Received));
        }
        let again = segments::get(&cx.db, &uri.recording, uri.track, uri.name).await?;
        found = again.ok_or(Refusal::NoRecording)?;
    }
    Err(Refusal::Busy)
}

/// Whether the row waits for the very upload `uri`: the scan may have put it in before the request did.
fn is_at(found: &Segment, uri: &Uri) -> bool {
    staged(found).is_some_and(|theirs| theirs.is_same_upload(uri))
}

/// Whether the bytes that a row waits for are there.
async fn waits(cx: &Context, found: &Segment) -> Result<bool, Refusal> {
    let Some(theirs) = staged(found) else { return Ok(false) };
    match cx.staging.stat(&theirs).await {
        Ok(meta) => Ok(meta.is_some_and(|meta| meta.size_bytes == found.row.size_bytes)),
        // Who cannot see them cannot vouch for them; these here can be seen.
        Err(staging::Error::Elsewhere { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the store has the object of a stored row. An archived recording's segments are gone on purpose.
async fn is_stored(cx: &Context, uri: &Uri, found: &Segment) -> Result<bool, Refusal> {
    let recording = recordings::get(&cx.db, &uri.recording).await?.ok_or(Refusal::NoRecording)?;
    let key = domain::key::Keys::new(&recording.owner, &recording.id).segment(uri.track, uri.name);
    let there = cx.store.stat(&key).await?.is_some_and(|meta| meta.size_bytes == found.row.size_bytes);
    if there || admit(recording.door()).is_err() {
        return Ok(true);
    }
    tracing::error!(
        recording.id = %uri.recording, segment.track = %uri.track, segment.index = uri.name.index(),
        storage.key = key, "stored object is gone, its bytes were sent again"
    );
    Ok(false)
}

/// Lets the row wait for the store with these bytes; false when it is no longer the row that was looked at.
async fn replace(cx: &Context, uri: &Uri, received: &Received, found: &Segment) -> Result<bool, Refusal> {
    let tx = db::begin(&cx.db).await?;
    let recording = recordings::lock_share(&tx, &uri.recording).await?.ok_or(Refusal::NoRecording)?;
    admit(recording.door()).map_err(Refusal::Closed)?;
    if !segments::receive_again(&tx, &uri.recording, received, found).await? {
        return Ok(false);
    }
    enqueue_upload(&tx, &uri.recording, recording.owner.as_str()).await?;
    db::commit(tx).await?;
    cx.bell.ring(Queue::Ingest.as_str());
    Ok(true)
}

fn staged(found: &Segment) -> Option<Uri> {
    found.staging_uri.as_deref().and_then(|text| text.parse().ok())
}
