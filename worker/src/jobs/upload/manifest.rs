//! Writes `manifest.json`, the only object that is rewritten.

use super::takes_segments;
use crate::context::Context;
use crate::db::{listing, recordings};
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::key::Keys;
use domain::manifest::{Manifest, VERSION};
use domain::recording::Source;
use domain::retry::Fault;
use domain::segment::Track;
use queue::{JobCtx, JobError};

/// Writes the manifest if it does not know all that is stored: at most once in its interval, and once more, complete,
/// when the plan is frozen. After the objects it names, and by this job alone, so it never goes back. Says when it will
/// be due.
pub(super) async fn write(cx: &Context, ctx: &JobCtx, id: &RecordingId) -> Result<Option<DateTime<Utc>>, JobError> {
    let Some(recording) = recordings::get(&cx.db, id).await?.filter(takes_segments) else { return Ok(None) };
    if recording.source == Source::Bucket {
        // It is the other uploader's, who goes on rewriting it.
        return Ok(None);
    }
    let last = recording.awaits_last_manifest();
    if recording.manifest_seq >= recording.stored_seq && !last {
        return Ok(None);
    }
    let interval = chrono::TimeDelta::from_std(cx.config.live.manifest_interval).unwrap_or_default();
    let due_at = recording.manifest_at.map_or(recording.now, |at| at + interval);
    if due_at > recording.now && !last {
        return Ok(Some(due_at));
    }
    let video = listing::claim(&cx.db, id, Track::Video).await?;
    let audio = listing::claim(&cx.db, id, Track::Audio).await?;
    let manifest = Manifest { version: VERSION, video, audio, complete: recording.is_complete() };
    // The manifest is the one object that is rewritten. An attempt that slept through its lease must not put an old one
    // over what its successor wrote, so it asks once more whether the job is still its own.
    if !ctx.is_mine().await? {
        return Err(JobError::new(Fault::Cancelled, "lost", "the job was taken from this attempt"));
    }
    let key = Keys::new(&recording.owner, id).manifest();
    cx.store.put(&key, manifest.render().into()).await?;
    listing::manifest_written(&cx.db, &recording).await?;
    Ok(None)
}
