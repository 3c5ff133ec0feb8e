//! Archives a recording, then deletes the segments that were kept only for its result.
//!
//! Done when: the recording is archived and nothing is left below its `segments/` prefix, nor of results that were never
//! published.
//! Safe to repeat: yes. Archiving is a compare-and-set, deleting what is gone is no error, and the prefix is listed
//! until it is empty.

use super::{Job, LOCKED, obsolete, unless_locked};
use crate::context::Context;
use crate::db::recordings::{self, Advanced, From, Recording};
use crate::db::{self, plans};
use crate::result::leftovers;
use domain::job::{Cleanup, Kind};
use domain::key::Keys;
use domain::recording::{Cause, State};
use domain::retry::Fault;
use domain::segment::Name;
use queue::{JobCtx, JobError, Outcome, Progress};
use serde_json::json;

/// Keys deleted, and sample indexes dropped, at once.
const PAGE: usize = 1000;

impl Job for Cleanup {
    async fn run(&self, cx: &Context, ctx: &JobCtx) -> Result<Outcome, JobError> {
        let Some(recording) = recordings::get(&cx.db, &self.recording).await? else { return Ok(obsolete()) };
        if recording.plan_version != self.version {
            return Ok(obsolete());
        }
        match recording.state {
            State::Ready if recording.provisional => return Ok(obsolete()),
            State::Ready => {
                check_result(cx, &recording).await?;
                if let Err(ended) = archive(cx, &recording).await? {
                    return Ok(ended);
                }
            }
            // An earlier attempt archived it and did not get to the end.
            State::Archived => {}
            State::Live | State::Finalizing | State::Failed | State::Cancelled | State::Deleted => {
                return Ok(obsolete());
            }
        }
        // An upload that began before may be about to write the manifest. One that begins later finds the archive.
        let live = queue::read::live_jobs(&cx.db, &[self.recording.as_str()]).await?;
        if live.iter().any(|job| job.running && job.kind == Kind::Upload.as_str()) {
            return Ok(Outcome::Snooze(LOCKED));
        }
        delete(cx, ctx, &recording).await
    }
}

/// The last look before the first delete: the result that is served is in the store, whole.
async fn check_result(cx: &Context, recording: &Recording) -> Result<(), JobError> {
    let missing = |what: String| JobError::new(Fault::Permanent, "result-missing", what).context("check result");
    let served = recording.result.as_ref().ok_or_else(|| missing("the recording names no result".to_owned()))?;
    match cx.store.stat(&served.key).await? {
        Some(meta) if meta.size_bytes == served.size_bytes => Ok(()),
        Some(meta) => {
            Err(missing(format!("{} has {} bytes instead of {}", served.key, meta.size_bytes, served.size_bytes)))
        }
        None => Err(missing(format!("{} is not in the store", served.key))),
    }
}

/// From the commit on, a late segment is refused with a reason and the recorder keeps its file. FOR UPDATE, because a
/// plain update would not wait for those who accept now.
async fn archive(cx: &Context, seen: &Recording) -> Result<Result<(), Outcome>, JobError> {
    let tx = db::begin(&cx.db).await?;
    if let Err(later) = unless_locked(recordings::lock(&tx, &seen.id).await)? {
        return Ok(Err(later));
    }
    match recordings::advance(&tx, &seen.id, From::of(seen), Cause::Archive, json!({})).await? {
        Advanced::To(_) => db::commit(tx).await?,
        Advanced::Refused(_) | Advanced::Changed => return Ok(Err(obsolete())),
    }
    Ok(Ok(()))
}

async fn delete(cx: &Context, ctx: &JobCtx, recording: &Recording) -> Result<Outcome, JobError> {
    let keys = Keys::new(&recording.owner, &recording.id);
    if let Some(Ok(frozen)) = plans::get(&cx.db, &recording.id, recording.plan_version).await? {
        let segments = frozen.plan.tracks.iter().flat_map(|track| {
            let names = track.segments.iter().map(|segment| Name::Media(segment.index));
            std::iter::once(Name::Init).chain(names).map(|name| (track.track, name))
        });
        let planned: Vec<String> = segments.map(|(track, name)| keys.segment(track, name)).collect();
        for page in planned.chunks(PAGE) {
            cx.store.delete(page).await?;
            ctx.progress(Progress { stage: Some("delete".to_owned()), ..Progress::default() }).await;
        }
    }
    // What no plan names: lost races, segments that came twice, the manifest.
    loop {
        let found = cx.store.list(&keys.segments_prefix()).await?.page(PAGE).await?;
        if found.is_empty() {
            break;
        }
        let found: Vec<String> = found.into_iter().map(|listed| listed.key).collect();
        cx.store.delete(&found).await?;
    }
    // Nobody makes a result of an archived recording, and nobody asks for one that is not served.
    let served = recording.result.as_ref().map(|served| served.key.as_str());
    leftovers::sweep(&cx.store, &keys, recording.plan_version, served.as_slice()).await?;
    while plans::drop_indexes(&cx.db, &recording.id, PAGE as u32).await? > 0 {}
    tracing::info!(recording.id = %recording.id, "segments deleted");
    Ok(Outcome::Completed)
}
