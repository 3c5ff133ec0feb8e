//! Publishes a verified result: pointer, facts, state and what follows, in the transaction that ends the job.

use crate::context::Context;
use crate::db::plans::Published;
use crate::db::recordings::{self, Advanced, From, Recording, Served};
use crate::db::{self, plans};
use crate::jobs::{end_in, obsolete, unless_locked};
use crate::result::Checked;
use domain::id::Sha256;
use domain::job::{Cleanup, Preview, Queue};
use domain::mux::{Gap, Plan};
use domain::recording::Cause;
use domain::segment::Track;
use queue::enqueue::Enqueue;
use queue::{JobCtx, JobError, Outcome};
use serde_json::json;

pub(super) fn served(plan: &Plan, key: String, sha256: Option<Sha256>, checked: &Checked) -> Served {
    let Checked { readback, etag, findings: _ } = checked;
    let (video, audio) = (readback.codec(Track::Video), readback.codec(Track::Audio));
    Served {
        version: plan.version,
        key,
        etag: etag.clone(),
        size_bytes: readback.facts.size_bytes,
        sha256,
        duration_ms: readback.duration_ms,
        width: video.map(|codec| codec.width),
        height: video.map(|codec| codec.height),
        fps: readback.fps(),
        video_codec: video.map(|codec| codec.codec.clone()),
        audio_codec: audio.map(|codec| codec.codec.clone()),
    }
}

/// Tries to publish before the job is put off: each waits for the recording as long as [`db::LOCK_TIMEOUT`]. A web app's
/// transaction that is open for some seconds delays a publication and nothing else; one that is open for longer finds the
/// slot free, and the next attempt finds the result.
const PUBLISH_TRIES: u32 = 8;

pub(super) async fn publish(
    cx: &Context,
    ctx: &JobCtx,
    plan: &Plan,
    gaps: &[Gap],
    served: Served,
) -> Result<Outcome, JobError> {
    for _ in 1..PUBLISH_TRIES {
        match publish_once(cx, ctx, plan, gaps, served.clone()).await? {
            Ok(ended) => return Ok(ended),
            Err(_) => tracing::debug!(recording.id = %plan.recording, "recording is held, trying again to publish"),
        }
    }
    publish_once(cx, ctx, plan, gaps, served).await.map(|ended| ended.unwrap_or_else(|later| later))
}

/// Publishes: pointer, facts, state, event, what follows, and the end of the job in one transaction. An attempt whose
/// plan is no longer wanted, or whose job was taken from it, changes nothing. The inner error: somebody holds the
/// recording.
async fn publish_once(
    cx: &Context,
    ctx: &JobCtx,
    plan: &Plan,
    gaps: &[Gap],
    served: Served,
) -> Result<Result<Outcome, Outcome>, JobError> {
    let id = &plan.recording;
    let tx = db::begin(&cx.db).await?;
    let recording: Recording = match unless_locked(recordings::lock(&tx, id).await)? {
        Ok(Some(recording)) if recording.plan_version == plan.version => recording,
        Ok(_) => return Ok(Ok(obsolete())),
        Err(later) => return Ok(Err(later)),
    };
    let (size_bytes, duration_ms) = (served.size_bytes, served.duration_ms);
    let facts = json!({
        "duration_ms": duration_ms,
        "bytes": size_bytes,
        "degraded": !gaps.is_empty(),
        "segments_missing": gaps.iter().map(|gap| gap.segments.len()).sum::<usize>(),
        "gaps": gaps,
        "tail_confirmed": plan.tail_confirmed,
        "provisional": recording.provisional,
    });
    if !plans::publish(&tx, &Published { plan, gaps, served }).await? {
        return Ok(Ok(obsolete()));
    }
    match recordings::advance(&tx, id, From::of(&recording), Cause::Publish, facts).await? {
        Advanced::To(_) => {}
        Advanced::Refused(_) | Advanced::Changed => return Ok(Ok(obsolete())),
    }
    if !recording.provisional {
        let cleanup = Enqueue::of(&Cleanup { recording: id.clone(), version: plan.version })?;
        cleanup.owned_by(plan.owner.as_str()).after(cx.config.cleanup.grace).put(&tx).await?;
    }
    let preview = Enqueue::of(&Preview { recording: id.clone(), version: plan.version })?;
    preview.owned_by(plan.owner.as_str()).put(&tx).await?;
    tracing::info!(recording.id = %id, plan.version = plan.version, size_bytes, duration_ms, "result published");
    end_in(cx, ctx, tx, Outcome::Completed, &[Queue::Control, Queue::Preview]).await.map(Ok)
}
