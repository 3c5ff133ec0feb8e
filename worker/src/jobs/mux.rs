//! Makes, verifies and publishes the result of one plan version.
//!
//! Done when: the recording is ready and points to a result that was read back and is what was planned.
//! Safe to repeat: yes. The same plan gives the same bytes under a key of its own version, and publishing is a
//! compare-and-set on state and plan version in the transaction that ends the job.

use super::{Job, end_in, obsolete, unless_locked};
use crate::config::Engine;
use crate::context::Context;
use crate::db::plans::{Frozen, Published, Unreadable};
use crate::db::recordings::{self, Advanced, From, Recording, Served};
use crate::db::{self, plans};
use crate::result::{self, Checked, Sink, Source};
use domain::id::Sha256;
use domain::job::{Cleanup, Mux, Preview, Queue};
use domain::key::Keys;
use domain::mux::Plan;
use domain::recording::{Cause, State};
use domain::retry::Fault;
use domain::segment::Track;
use media::layout::Layout;
use media::mux::{Guard, Hashing, MuxReport, Options};
use queue::enqueue::Enqueue;
use queue::{JobCtx, JobError, Outcome, Progress};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Most parts of one object that a server takes, less some room.
const PARTS_MAX: u64 = 9_000;

/// How far ahead of the writer each segment of the setting `mux.read_ahead` counts: a segment of two seconds at 8 Mbit/s.
const READ_AHEAD_BYTES: u64 = 2 << 20;

/// Time between two reports of progress.
const TELL_EVERY: Duration = Duration::from_millis(500);

impl Job for Mux {
    async fn run(&self, cx: &Context, ctx: &JobCtx) -> Result<Outcome, JobError> {
        if let Err(ended) = begin(cx, self).await? {
            return Ok(ended);
        }
        let frozen = planned(cx, self).await?;
        let layout = result::lay_out(cx, &frozen.plan).await?;
        let keys = Keys::new(&frozen.plan.owner, &frozen.plan.recording);
        let key = keys.result(self.version);
        let made = Making { cx, ctx, job: self, frozen: &frozen, layout: &layout, keys: &keys, key: &key };
        let (checked, sha256) = match made.found().await? {
            Some(found) => found,
            None => match made.anew().await? {
                Ok(made) => made,
                Err(ended) => return Ok(ended),
            },
        };
        publish(cx, ctx, &frozen.plan, served(&frozen.plan, key.clone(), sha256, &checked)).await
    }
}

/// What a result is made of, and who makes it.
struct Making<'a> {
    cx: &'a Context,
    ctx: &'a JobCtx,
    job: &'a Mux,
    frozen: &'a Frozen,
    layout: &'a Layout,
    keys: &'a Keys,
    key: &'a str,
}

impl Making<'_> {
    fn source(&self) -> Source {
        Source::new(&self.cx.store, self.keys.clone(), self.key)
    }

    /// The result that an earlier attempt made and could not publish, because its recording was held or its process
    /// ended: verified again, not made again. One that does not hold is as good as none.
    async fn found(&self) -> Result<Option<(Checked, Option<Sha256>)>, JobError> {
        let told = result::told(self.cx, self.keys, &self.frozen.plan, self.frozen.sha256).await?;
        let Some(told) = told else { return Ok(None) };
        match result::check(self.cx, &self.source(), self.key, &self.layout.expected()).await {
            Ok(checked) if told.is_of(&checked) => {
                tracing::info!(storage.key = self.key, "result of an earlier attempt found");
                Ok(Some((checked, told.sha256)))
            }
            Err(error) if !error.is_of_the_result() => Err(error.into()),
            found => {
                let error = found.err().map(tracing::field::display);
                tracing::warn!(storage.key = self.key, error, "result of an earlier attempt does not hold, made again");
                Ok(None)
            }
        }
    }

    /// Makes the result, verifies it, and only then says so in `result.json`. The inner error is how the attempt ends
    /// when nobody wants the result any more.
    async fn anew(&self) -> Result<Result<(Checked, Option<Sha256>), Outcome>, JobError> {
        let Making { cx, ctx, job, frozen, layout, keys, key } = *self;
        let source = self.source();
        let report = match write(cx, ctx, job, layout, &source, key).await? {
            Ok(report) => report,
            Err(ended) => return Ok(Err(ended)),
        };
        let checked = result::check(cx, &source, key, &layout.expected()).await?;
        let facts = result::describe(&frozen.plan, frozen.sha256, layout, &checked, report.sha256, key);
        cx.store.put(&keys.result_json(job.version), facts.into()).await?;
        Ok(Ok((checked, report.sha256)))
    }
}

/// Looks whether there is something to do. A recording that failed at this very plan version goes on: a retry of the job
/// is a retry of the recording.
async fn begin(cx: &Context, job: &Mux) -> Result<Result<(), Outcome>, JobError> {
    let tx = db::begin(&cx.db).await?;
    let recording = match unless_locked(recordings::lock(&tx, &job.recording).await)? {
        Ok(Some(recording)) if recording.plan_version == job.version => recording,
        Ok(_) => return Ok(Err(obsolete())),
        Err(later) => return Ok(Err(later)),
    };
    match recording.state {
        State::Finalizing => return Ok(Ok(())),
        State::Failed => {}
        State::Live | State::Ready | State::Archived | State::Cancelled | State::Deleted => return Ok(Err(obsolete())),
    }
    match recordings::advance(&tx, &job.recording, From::of(&recording), Cause::Revive, json!({})).await? {
        Advanced::To(_) => db::commit(tx).await?,
        Advanced::Refused(_) | Advanced::Changed => return Ok(Err(obsolete())),
    }
    tracing::info!(recording.id = %job.recording, "failed recording taken up again");
    Ok(Ok(()))
}

async fn planned(cx: &Context, job: &Mux) -> Result<Frozen, JobError> {
    let refuse = |fault, class, why: String| Err(JobError::new(fault, class, why).context("read plan"));
    if cx.config.mux.engine == Engine::Libavformat {
        return refuse(Fault::Permanent, "engine", "this build makes results index-first only".to_owned());
    }
    match plans::get(&cx.db, &job.recording, job.version).await? {
        Some(Ok(frozen)) => Ok(frozen),
        // During a rolling update a worker of the other build may be there already.
        Some(Err(Unreadable::Layout { found })) => refuse(
            Fault::NotYet,
            "layout-version",
            format!("the plan has layout version {found}, unknown to this build"),
        ),
        Some(Err(Unreadable::Damaged)) => {
            refuse(Fault::Permanent, "plan-damaged", "the plan is not what was frozen".to_owned())
        }
        None => refuse(Fault::Permanent, "no-plan", "there is no plan of this version".to_owned()),
    }
}

/// Writes the result in one pass. Before the object appears, the attempt makes sure that it is still wanted and still the
/// one that works on it; the inner error is how it ends when it is not.
async fn write(
    cx: &Context,
    ctx: &JobCtx,
    job: &Mux,
    layout: &Layout,
    source: &Source,
    key: &str,
) -> Result<Result<MuxReport, Outcome>, JobError> {
    let settings = &cx.config.mux;
    let hashing = if settings.hash { Hashing::Sha256 } else { Hashing::Off };
    let unread = layout.chunks().iter().any(|chunk| layout.segment(chunk).sha256.is_none());
    let guard = match settings.hash {
        // What another uploader wrote is held to its index: a digest would have to be made of all its bytes.
        _ if unread => Guard::Samples,
        true => Guard::Digest,
        false => Guard::Size,
    };
    let read_ahead_bytes = u64::from(settings.read_ahead) * READ_AHEAD_BYTES;
    let total_bytes = layout.size_bytes();
    let part_bytes = settings.part_size.0.max(total_bytes.div_ceil(PARTS_MAX));
    let part_bytes = usize::try_from(part_bytes).unwrap_or(usize::MAX);
    let mut sink = Sink::begin(&cx.store, key, part_bytes).await?;
    let done_bytes = AtomicU64::new(0);
    let note = |progress: media::mux::Progress| done_bytes.store(progress.done_bytes, Ordering::Relaxed);
    let options = Options { read_ahead_bytes, hashing, guard };
    let written = tokio::select! {
        written = media::mux::write(layout, source, &mut sink, &options, note) => written,
        () = tell(ctx, &done_bytes, total_bytes) => unreachable!("progress is told until the result is written"),
    };
    let report = written.map_err(|error| once_more(ctx, error))?;
    let wanted = recordings::get(&cx.db, &job.recording).await?;
    let wanted = wanted.is_some_and(|now| now.state == State::Finalizing && now.plan_version == job.version);
    if !wanted {
        return Ok(Err(obsolete()));
    }
    if !ctx.is_mine().await? {
        return Err(JobError::new(Fault::Cancelled, "lost", "the job was taken from this attempt"));
    }
    sink.close().await?;
    Ok(Ok(report))
}

/// A segment that changed under the mux may have been caught between two writes of the same bytes: once, it is looked at
/// again.
fn once_more(ctx: &JobCtx, error: media::mux::ErrorOf<Source, Sink>) -> JobError {
    match error {
        media::mux::Error::SourceChanged { .. } if ctx.attempt() == 1 => {
            JobError::new(Fault::Transient, "source-changed", error)
        }
        error => error.into(),
    }
}

/// Says how far it is until it is dropped.
async fn tell(ctx: &JobCtx, done_bytes: &AtomicU64, total_bytes: u64) {
    let begun = Instant::now();
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let done = done_bytes.load(Ordering::Relaxed);
        let share = done as f64 / total_bytes.max(1) as f64;
        let left_s = (done > 0).then(|| (begun.elapsed().as_secs_f64() * (1.0 / share - 1.0)).ceil() as i32);
        let progress = Progress {
            pct: Some((share * 100.0) as f32),
            done: i64::try_from(done).ok(),
            total: i64::try_from(total_bytes).ok(),
            unit: Some("bytes".to_owned()),
            stage: Some("write".to_owned()),
            eta_s: left_s,
        };
        ctx.progress(progress).await;
    }
}

fn served(plan: &Plan, key: String, sha256: Option<Sha256>, checked: &Checked) -> Served {
    let Checked { readback, etag } = checked;
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

async fn publish(cx: &Context, ctx: &JobCtx, plan: &Plan, served: Served) -> Result<Outcome, JobError> {
    for _ in 1..PUBLISH_TRIES {
        match publish_once(cx, ctx, plan, served.clone()).await? {
            Ok(ended) => return Ok(ended),
            Err(_) => tracing::debug!(recording.id = %plan.recording, "recording is held, trying again to publish"),
        }
    }
    publish_once(cx, ctx, plan, served).await.map(|ended| ended.unwrap_or_else(|later| later))
}

/// Publishes: pointer, facts, state, event, what follows, and the end of the job in one transaction. An attempt whose
/// plan is no longer wanted, or whose job was taken from it, changes nothing. The inner error: somebody holds the
/// recording.
async fn publish_once(
    cx: &Context,
    ctx: &JobCtx,
    plan: &Plan,
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
        "degraded": !plan.gaps.is_empty(),
        "segments_missing": plan.gaps.iter().map(|gap| gap.segments.len()).sum::<usize>(),
        "gaps": &plan.gaps,
        "tail_confirmed": plan.tail_confirmed,
        "provisional": recording.provisional,
    });
    if !plans::publish(&tx, &Published { plan, served }).await? {
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
