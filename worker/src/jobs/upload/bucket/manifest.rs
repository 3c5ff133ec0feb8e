//! Reads the manifest of another uploader: a claim, which declares the end when it says that it is complete.

use super::super::put_check;
use crate::bucket::ManifestFound;
use crate::context::Context;
use crate::db::bucket::{self, Seen};
use crate::db::recordings::{self, Recording};
use crate::db::{self, events};
use domain::bucket::declaration;
use domain::job::Queue;
use domain::key::Keys;
use domain::manifest::Manifest;
use domain::recording::State;
use domain::segment::Track;
use queue::JobError;
use serde_json::{Value, json};

/// Longest manifest that is read: of the longest recording there may be, in the longest form, many times over.
const SIZE_MAX_BYTES: u64 = 32 << 20;

/// Doubts that an event names; a person reads it.
const DOUBTS_MAX: usize = 20;

/// Reads the manifest, unless it is the one that was read last. One that cannot be read is told of once and changes
/// nothing: what earlier ones have said still counts.
pub(super) async fn read(
    cx: &Context,
    recording: &Recording,
    seen: &Seen,
    found: ManifestFound,
) -> Result<(), JobError> {
    let known = seen.manifest_stamp.as_deref() == Some(found.stamp.as_str());
    // What was declared is forgotten when an operator opens the recording again; its end is the moment to ask once more.
    let forgotten = recording.declared.is_none() && recording.state == State::Finalizing;
    if known && !forgotten {
        return Ok(());
    }
    let key = Keys::new(&recording.owner, &recording.id).manifest();
    let parsed = if found.size_bytes > SIZE_MAX_BYTES {
        Err(too_long(found.size_bytes))
    } else {
        // It may have grown since it was listed.
        match cx.store.get_at_most(&key, SIZE_MAX_BYTES + 1, None).await {
            Ok(got) if got.bytes.len() as u64 > SIZE_MAX_BYTES => Err(too_long(got.bytes.len() as u64)),
            Ok(got) => Manifest::parse(&got.bytes).map_err(|error| chain(&error)),
            // It was there a moment ago, and will be again.
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    };
    match parsed {
        Ok(manifest) => believe(cx, recording, seen, &found.stamp, &manifest).await,
        Err(_) if known => Ok(()),
        Err(why) => report(cx, recording, &found.stamp, &why).await,
    }
}

fn too_long(size_bytes: u64) -> String {
    format!("it has at least {size_bytes} bytes, more than {SIZE_MAX_BYTES}")
}

fn chain(error: &domain::manifest::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

async fn report(cx: &Context, recording: &Recording, stamp: &str, why: &str) -> Result<(), JobError> {
    let id = &recording.id;
    tracing::warn!(recording.id = %id, error = why, "manifest in the bucket cannot be read");
    let tx = db::begin(&cx.db).await?;
    recordings::bound_lock_wait(&tx).await?;
    events::append(&tx, id, "manifest.malformed", json!({ "why": why })).await?;
    bucket::note_manifest(&tx, id, stamp, None).await?;
    Ok(db::commit(tx).await?)
}

/// Adds what the manifest names to what is waited for; a complete one is the recorder's declaration.
async fn believe(
    cx: &Context,
    recording: &Recording,
    seen: &Seen,
    stamp: &str,
    manifest: &Manifest,
) -> Result<(), JobError> {
    let id = &recording.id;
    let mut claims = seen.claims.clone().unwrap_or_default();
    claims.add(manifest);
    if declaration(manifest, recording.declared.as_ref()).is_none() {
        // No lock on the recording: this job alone writes the row, several times a second of a live recording.
        let tx = db::begin(&cx.db).await?;
        bucket::note_manifest(&tx, id, stamp, Some(&claims)).await?;
        return Ok(db::commit(tx).await?);
    }
    let tx = db::begin(&cx.db).await?;
    let Some(now) = recordings::lock(&tx, id).await? else { return Ok(()) };
    bucket::note_manifest(&tx, id, stamp, Some(&claims)).await?;
    let declared = declaration(manifest, now.declared.as_ref());
    if let Some(declared) = declared.filter(|declared| now.declared.as_ref() != Some(declared)) {
        recordings::declare(&tx, id, &declared).await?;
        events::append(&tx, id, "manifest.complete", json!({ "declared": declared, "doubts": doubts(manifest) }))
            .await?;
        if now.provisional && matches!(now.state, State::Finalizing | State::Ready) {
            put_check(&tx, &now).await?;
        }
    }
    db::commit(tx).await?;
    cx.bell.ring(Queue::Control.as_str());
    Ok(())
}

/// What in a manifest cannot be right, by kind and track, for a person.
fn doubts(manifest: &Manifest) -> Vec<Value> {
    use domain::manifest::Doubt;
    let tell = |doubt: &Doubt| {
        let (what, track, from, to): (&str, Track, i64, i64) = match *doubt {
            Doubt::IndexOutOfRange { track, index } => ("index-out-of-range", track, index, index),
            Doubt::NoDuration { track, index } => ("no-duration", track, index, index),
            Doubt::Duplicate { track, index } => ("duplicate", track, index, index),
            Doubt::Hole { track, from, to } => ("hole", track, from, to),
        };
        json!({ "what": what, "track": track, "from": from, "to": to })
    };
    manifest.doubts().iter().take(DOUBTS_MAX).map(tell).collect()
}
