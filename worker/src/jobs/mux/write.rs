//! Streams a result into the store, tells how far it is, and lets it appear only while it is still wanted.

use crate::context::Context;
use crate::db::recordings;
use crate::jobs::obsolete;
use crate::result::Sink;
use domain::job::Mux;
use domain::recording::State;
use domain::retry::{Classify, Fault};
use media::layout::Layout;
use media::mux::{Guard, Hashing, MuxReport, Options, SegmentReader};
use queue::{JobCtx, JobError, Outcome, Progress};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How far ahead of the writer each segment of the setting `mux.read_ahead` counts: a segment of two seconds at 8 Mbit/s.
const READ_AHEAD_BYTES: u64 = 2 << 20;

/// Time between two reports of progress.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Writes the result in one pass. Before the object appears, the attempt makes sure that it is still wanted and still the
/// one that works on it; the inner error is how it ends when it is not.
pub(super) async fn write<R>(
    cx: &Context,
    ctx: &JobCtx,
    job: &Mux,
    layout: &Layout,
    source: &R,
    key: &str,
) -> Result<Result<MuxReport, Outcome>, JobError>
where
    R: SegmentReader<Error: Classify>,
{
    let settings = &cx.config.mux;
    let hashing = if settings.hash { Hashing::Sha256 } else { Hashing::Off };
    let guard = if settings.hash { Guard::Digest } else { Guard::Samples };
    let read_ahead_bytes = u64::from(settings.read_ahead) * READ_AHEAD_BYTES;
    let total_bytes = layout.size_bytes();
    let mut sink = Sink::begin(&cx.store, key, settings.part_size.0, total_bytes).await?;
    let done_bytes = AtomicU64::new(0);
    let note = |progress: media::mux::Progress| done_bytes.store(progress.done_bytes, Ordering::Relaxed);
    let options = Options { read_ahead_bytes, hashing, guard };
    let written = tokio::select! {
        written = media::mux::write(layout, source, &mut sink, &options, note) => written,
        () = tell(ctx, &done_bytes, total_bytes) => unreachable!("progress is told until the result is written"),
    };
    let report = written.map_err(|error| match error {
        media::mux::Error::SourceChanged { .. } => once_more(ctx, error),
        error => error.into(),
    })?;
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
pub(super) fn once_more<E>(ctx: &JobCtx, changed: E) -> JobError
where
    E: std::error::Error + Classify + Send + Sync + 'static,
{
    if ctx.attempt() == 1 { JobError::new(Fault::Transient, "source-changed", changed) } else { changed.into() }
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
