//! The process that works: registers what it can run with the engine and runs it until told to stop.

use crate::context::Context;
use crate::http::health::Readiness;
use crate::{child, jobs, rescan, staging, webhook};
use domain::job::{Kind, Queue};
use queue::Runtime;
use std::time::Duration;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// Pace of `sweep`; it counts silence in minutes.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Most that the lease is left before its end, see [`queue::Config::fence_margin`].
const FENCE_MARGIN_MAX: Duration = Duration::from_secs(3);

/// Longest database call of the engine; it stays below the heartbeat.
const CALL_MAX: Duration = Duration::from_secs(3);

/// Why queues cannot be worked.
#[derive(Debug, Error)]
pub enum Error {
    /// Only `ingest` was asked for, and the staging folder is not the one that acknowledged bytes wait in.
    #[error(transparent)]
    Staging(#[from] staging::Error),
    /// `mux` was asked for, and no result could be verified here.
    #[error(transparent)]
    Child(#[from] child::Error),
    /// `webhook` was asked for, and something could only be delivered unsigned.
    #[error("open webhooks")]
    Webhook(#[source] webhook::Error),
    /// The schedule could not be written.
    #[error("schedule sweep")]
    Schedule(#[source] sea_orm::DbErr),
    /// The engine ended by itself.
    #[error(transparent)]
    Run(#[from] queue::RunError),
}

/// Works `queues` until `stop`, then drains: what runs may end, what has not begun is handed back.
///
/// `readiness` follows the engine: it is lost with the lease. In `local` staging `ingest` is worked only where the registered folder is seen: nobody else can bring its bytes.
///
/// # Errors
/// It cannot begin, or the engine ended by itself.
pub async fn run(cx: Context, queues: &[Queue], readiness: &Readiness, stop: CancellationToken) -> Result<(), Error> {
    let queues = workable(&cx, queues).await?;
    if queues.contains(&Queue::Mux) {
        child::program()?;
    }
    if queues.contains(&Queue::Webhook) {
        cx.receivers.require_secrets().map_err(Error::Webhook)?;
    }
    if queues.contains(&Queue::Control) {
        let scheduled = queue::kinds::schedule(&cx.db, Kind::Sweep.as_str(), SWEEP_EVERY).await;
        scheduled.map_err(Error::Schedule)?;
    }
    let runtime = Runtime::new(cx.db.clone(), engine(&cx.config));
    let runtime = jobs::register(runtime, &cx, &queues);
    let (counted, pool) = (cx.metrics.clone(), &cx.config.work.pool);
    cx.metrics.show_engine(runtime.engine(), &queues, pool, cx.clock.clone());
    readiness.depend_on(runtime.engine());
    let runtime = runtime.observe(move |event| counted.job(event));
    let stopped = stop.clone();
    let running = runtime.run(async move { stopped.cancelled().await }, cx.config.work.drain);
    let words: Vec<_> = queues.iter().map(|queue| queue.as_str()).collect();
    tracing::info!(queues = words.join(","), "working");
    if !queues.contains(&Queue::Ingest) || cx.staging.mode() == staging::Mode::Store {
        return Ok(running.await?);
    }
    let ended = stop.child_token();
    let working = async {
        let ended_well = running.await;
        ended.cancel();
        ended_well
    };
    let (ended_well, ()) = tokio::join!(working, rescan::run(&cx, &ended));
    Ok(ended_well?)
}

/// Those of `queues` that this process can work.
async fn workable(cx: &Context, queues: &[Queue]) -> Result<Vec<Queue>, Error> {
    let mut queues = queues.to_vec();
    if !queues.contains(&Queue::Ingest) || cx.staging.is_registered(&cx.db).await? {
        return Ok(queues);
    }
    queues.retain(|queue| *queue != Queue::Ingest);
    if queues.is_empty() {
        cx.staging.require_registered(&cx.db).await?;
    }
    tracing::info!("queue ingest is not worked here: acknowledged bytes wait in another staging folder");
    Ok(queues)
}

fn engine(config: &crate::config::Config) -> queue::Config {
    let timings = &config.queue;
    queue::Config {
        lease: timings.lease,
        beat: timings.heartbeat,
        fence_margin: FENCE_MARGIN_MAX.min(timings.lease / 5),
        poll: timings.poll,
        rescue: timings.rescue,
        call: CALL_MAX.min(timings.heartbeat.mul_f64(0.6)),
        grace: timings.stop_grace,
        keep: config.retention.finished_jobs,
        // In a pod the host's name is the pod's.
        pod: Some(rustix::system::uname().nodename().to_string_lossy().into_owned()),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        ..queue::Config::default()
    }
}
