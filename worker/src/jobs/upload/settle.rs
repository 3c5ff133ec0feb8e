//! Commits what became of segments: rows, listing and the state of the recording in one transaction, and only then are
//! staged bytes removed.

use super::bring::{Brought, Fate};
use super::{list, put_check, takes_segments};
use crate::context::Context;
use crate::db::recordings::{self, Advanced, From, Recording};
use crate::db::segments::{self, Segment};
use crate::db::{self, events, listing, plans};
use crate::staging::Uri;
use domain::id::RecordingId;
use domain::recording::{Cause, State};
use queue::JobError;
use sea_orm::DatabaseTransaction;
use serde_json::json;

/// Writes what became of some segments, and in the same transaction lists what viewers may now see. False when the
/// recording has no use for them any more.
pub(super) async fn settle(cx: &Context, id: &RecordingId, some: &[Brought]) -> Result<bool, JobError> {
    if some.is_empty() {
        return Ok(true);
    }
    let tx = db::begin(&cx.db).await?;
    let Some(recording) = listing::hold(&tx, id).await?.filter(takes_segments) else { return Ok(false) };
    let mut settled = false;
    for Brought { segment, fate } in some {
        settled |= match fate {
            Fate::Stored { etag, content } => {
                if let Some(content) = content {
                    segments::fill(&tx, id, &segment.row, content).await?;
                }
                segments::mark_stored(&tx, id, &segment.row, etag.as_deref()).await?
            }
            Fate::Lost { cause } => lose(&tx, id, segment, cause).await?,
        };
    }
    if settled {
        go_on(&tx, recording).await?;
        list::append(cx, &tx, id).await?;
    }
    db::commit(tx).await?;
    let stored = some.iter().filter(|one| matches!(one.fate, Fate::Stored { .. }));
    let uris: Vec<Uri> = stored.filter_map(|one| one.segment.staging_uri.as_deref()?.parse().ok()).collect();
    if let Err(error) = cx.staging.remove(&uris).await {
        tracing::warn!(recording.id = %id, error = %error, "staged bytes not removed, the next look at them will");
    }
    Ok(true)
}

async fn lose(tx: &DatabaseTransaction, id: &RecordingId, segment: &Segment, cause: &str) -> Result<bool, JobError> {
    let (track, index) = (segment.row.track, segment.row.index);
    let lost = segments::mark_lost(tx, id, segment, cause).await?;
    if !lost {
        return Ok(false);
    }
    if segment.unread {
        // Reported and never acknowledged: the sender hears of it when it asks again.
        tracing::warn!(recording.id = %id, segment.track = %track, segment.index = index, cause, "reported segment refused");
        events::append(tx, id, "segment.refused", json!({ "track": track, "index": index, "cause": cause })).await?;
    } else {
        tracing::error!(recording.id = %id, segment.track = %track, segment.index = index, cause, "acknowledged segment lost");
        events::append(tx, id, "segment.lost", json!({ "track": track, "index": index, "cause": cause })).await?;
    }
    Ok(true)
}

/// A segment that came after a provisional end: the recording goes on. Accept must not be let in or shut out between
/// the look at the flag and the change, so the row is taken FOR UPDATE, which waits for those that accept now.
pub(super) async fn go_on(tx: &DatabaseTransaction, recording: Recording) -> Result<(), JobError> {
    let provisional_end = recording.provisional && matches!(recording.state, State::Finalizing | State::Ready);
    if !provisional_end {
        return Ok(());
    }
    let Some(recording) = recordings::lock(tx, &recording.id).await? else { return Ok(()) };
    let id = &recording.id;
    if let Advanced::To(_) = recordings::advance(tx, id, From::of(&recording), Cause::LateSegment, json!({})).await? {
        plans::next_version(tx, id).await?;
        if recording.signalled_at.is_some() {
            // The end was signalled meanwhile: it is now the end of more than the plan knew.
            put_check(tx, &recording).await?;
        }
    }
    Ok(())
}
