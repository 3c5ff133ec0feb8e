//! What moves recordings on: one file a kind of job.
//!
//! Each body reads observe → decide → act; what may be decided is in `domain`. No transaction is held open across store,
//! staging or FFmpeg, and every body may be dropped at any await and run again.

mod cleanup;
mod control;
mod manifest_check;
mod mux;
mod noop;
mod preview;
mod sweep;
mod upload;
mod webhook;

use crate::context::Context;
use crate::db;
use domain::job::{Cleanup, Control, Kind, ManifestCheck, Mux, Noop, Payload, Preview, Queue, Sweep, Upload, Webhook};
use domain::retry::Fault;
use queue::{JobCtx, JobError, Outcome, Runtime};
use sea_orm::DatabaseTransaction;
use std::time::Duration;

/// A payload with its work.
trait Job: Payload {
    /// Does it.
    fn run(&self, cx: &Context, ctx: &JobCtx) -> impl Future<Output = Result<Outcome, JobError>> + Send;
}

macro_rules! jobs {
    ($($job:ident),* $(,)?) => {
        /// Every kind that this build can run.
        pub const KINDS: &[Kind] = &[$(<$job as Payload>::KIND),*];

        /// Registers every kind on those of `queues` that it runs on.
        pub(crate) fn register(mut runtime: Runtime, cx: &Context, queues: &[Queue]) -> Runtime {
            $(for queue in lanes(<$job as Payload>::KIND, queues) {
                let held = cx.clone();
                let handler = move |job: $job, ctx: JobCtx| attempt(held.clone(), job, ctx);
                runtime = runtime.register_on::<$job, _, _>(queue, cx.config.work.slots.of(queue), handler);
            })*
            runtime
        }
    };
}

jobs! { Cleanup, Control, ManifestCheck, Mux, Noop, Preview, Sweep, Upload, Webhook }

/// The queues of `queues` on which jobs of `kind` are found: its own; `noop` is found on any.
fn lanes(kind: Kind, queues: &[Queue]) -> impl Iterator<Item = Queue> {
    queues.iter().copied().filter(move |queue| kind == Kind::Noop || kind.spec().queue == *queue)
}

/// One attempt. A body is dropped where it stands when it is told to stop; why it was stopped decides what becomes of
/// the job, so the error says nothing more.
async fn attempt<J: Job>(cx: Context, job: J, ctx: JobCtx) -> Result<Outcome, JobError> {
    tokio::select! {
        biased;
        ended = Box::pin(job.run(&cx, &ctx)) => ended,
        () = ctx.stop().cancelled() => Err(JobError::new(Fault::Cancelled, "stopped", "told to stop")),
    }
}

/// The recording has gone on without this job: there is nothing to do any more.
fn obsolete() -> Outcome {
    Outcome::CompletedAs("obsolete".to_owned())
}

/// How long to stay away from a recording that somebody else holds.
const LOCKED: Duration = Duration::from_secs(1);

/// Ends the attempt in `tx`, commits, and rings for the queues that were given something to do.
async fn end_in(
    cx: &Context,
    ctx: &JobCtx,
    tx: DatabaseTransaction,
    outcome: Outcome,
    ring: &[Queue],
) -> Result<Outcome, JobError> {
    ctx.settle_in(&tx, outcome).await?;
    db::commit(tx).await?;
    for queue in ring {
        cx.bell.ring(queue.as_str());
    }
    Ok(Outcome::Settled)
}

/// A job that finds its recording held by somebody else comes back soon; nothing is lost by it.
fn unless_locked<T>(locked: Result<T, db::Error>) -> Result<Result<T, Outcome>, JobError> {
    match locked {
        Ok(found) => Ok(Ok(found)),
        Err(error) if error.is_lock_timeout() => Ok(Err(Outcome::Snooze(LOCKED))),
        Err(error) => Err(error.into()),
    }
}
