//! The lease of this process: renewed from a thread of its own, given up in time.
//!
//! A thread and a connection of its own, because a runtime that shares two cores with hashing and mux misses 15 s.
//! When the lease can no longer be trusted, attempts whose effects are not fenced by themselves are stopped before
//! anybody else may take their jobs; the moment is counted by the monotonic clock from before the heartbeat was sent.

use super::{Shared, db::Fail, db::Hot};
use crate::{outcome::Stop, sql};
use domain::job::OnFence;
use sqlx::Row;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use uuid::Uuid;

/// Wait after a heartbeat that failed.
const AGAIN: Duration = Duration::from_millis(500);

/// Who this process is to the table, and how long that may be trusted.
pub(crate) struct Lease {
    state: Mutex<State>,
}

struct State {
    worker: Uuid,
    /// None: not registered.
    trusted_until: Option<Instant>,
    /// When the last heartbeat was sent that was taken, under whatever identity.
    beaten_at: Option<Instant>,
}

impl Lease {
    pub(crate) fn new() -> Self {
        Lease { state: Mutex::new(State { worker: Uuid::new_v4(), trusted_until: None, beaten_at: None }) }
    }

    pub(crate) fn worker(&self) -> Uuid {
        self.state().worker
    }

    /// The identity to claim with, while the lease can be trusted.
    pub(crate) fn claimant(&self) -> Option<Uuid> {
        let state = self.state();
        state.trusted_until.filter(|until| *until > Instant::now()).map(|_| state.worker)
    }

    fn trusted_until(&self) -> Option<Instant> {
        self.state().trusted_until
    }

    pub(crate) fn beaten_at(&self) -> Option<Instant> {
        self.state().beaten_at
    }

    fn renew(&self, sent: Instant, trusted_for: Duration) {
        let mut state = self.state();
        state.trusted_until = Some(sent + trusted_for);
        state.beaten_at = Some(sent);
    }

    /// A new identity: the old one was taken for dead, and whatever it held is somebody else's.
    fn replace(&self) -> Uuid {
        let mut state = self.state();
        *state = State { worker: Uuid::new_v4(), trusted_until: None, beaten_at: state.beaten_at };
        state.worker
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread; it ends when `shared.buried` is cancelled.
pub(crate) fn start(shared: Arc<Shared>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        loop {
            let beating = catch_unwind(AssertUnwindSafe(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(beat_until_buried(&shared));
                Ok::<_, std::io::Error>(())
            }));
            match beating {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::error!(error = %error, "no runtime for the heartbeat"),
                Err(_) => tracing::error!("heartbeat ended by a panic, starting it again"),
            }
            thread::sleep(AGAIN);
        }
    })
}

async fn beat_until_buried(shared: &Shared) {
    let config = &shared.config;
    let mut hot = Hot::new(&shared.pool, "spool heart", config.call);
    let mut fenced = false;
    loop {
        let sent = Instant::now();
        let left = shared.lease.trusted_until().map(|until| until.saturating_duration_since(sent));
        // A call that hangs must not make us miss the moment at which the lease is no longer to be trusted.
        let bound = left.filter(|left| !left.is_zero()).map_or(config.call, |left| left.min(config.call));
        let mut wait = match beat(shared, &mut hot, bound).await {
            Ok(Beat::Alive) => {
                shared.lease.renew(sent, config.lease.saturating_sub(config.fence_margin));
                if std::mem::take(&mut fenced) {
                    tracing::info!("lease renewed");
                }
                config.beat
            }
            Ok(Beat::TakenForDead) => {
                let old = shared.lease.worker();
                let new = shared.lease.replace();
                tracing::error!(worker.id = %old, worker.new_id = %new, "taken for dead, going on under a new identity");
                stop_all(shared, |ctx_worker, _| ctx_worker == old, &Stop::Fenced);
                Duration::ZERO
            }
            Err(fail) => {
                tracing::debug!(error = %fail, "heartbeat not written");
                AGAIN
            }
        };
        if let Some(until) = shared.lease.trusted_until() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() && !fenced {
                fenced = true;
                tracing::warn!("lease in doubt, stopping what is not fenced by itself");
                stop_all(shared, |_, on_fence| on_fence == OnFence::Abort, &Stop::LeaseAtRisk);
            } else if !left.is_zero() {
                wait = wait.min(left);
            }
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = shared.buried.cancelled() => break,
        }
    }
    bury(shared, &mut hot).await;
}

enum Beat {
    Alive,
    TakenForDead,
}

async fn beat(shared: &Shared, hot: &mut Hot, bound: Duration) -> Result<Beat, Fail> {
    let worker = shared.lease.worker();
    let lanes = shared.lanes();
    let kinds = serde_json::Value::from_iter(lanes.iter().map(|lane| format!("{}/{}", lane.queue, lane.kind())));
    let slots = i32::try_from(lanes.iter().map(|lane| lane.slots).sum::<i64>()).unwrap_or(i32::MAX);
    let busy = i32::try_from(shared.held.len()).unwrap_or(i32::MAX);
    let lease_ms = shared.config.lease.as_millis() as f64;
    if shared.lease.trusted_until().is_none() {
        let config = &shared.config;
        let (pod, node, version) = (config.pod.clone(), config.node.clone(), config.version.clone());
        hot.run_within(bound, move |connection| {
            let register = sqlx::query(sql::REGISTER).bind(worker).bind(pod).bind(node).bind(version);
            Box::pin(register.bind(kinds).bind(slots).bind(lease_ms).execute(connection))
        })
        .await?;
        shared.wake();
        return Ok(Beat::Alive);
    }
    let draining = shared.draining.is_cancelled();
    let row = hot
        .run_within(bound, move |connection| {
            let renew = sqlx::query(sql::HEARTBEAT).bind(worker).bind(lease_ms).bind(busy).bind(slots);
            Box::pin(renew.bind(kinds).bind(draining).fetch_optional(connection))
        })
        .await?;
    let Some(row) = row else { return Ok(Beat::TakenForDead) };
    if row.try_get::<bool, _>(0).unwrap_or(false) && !draining {
        shared.leave();
    }
    Ok(Beat::Alive)
}

fn stop_all(shared: &Shared, which: impl Fn(Uuid, OnFence) -> bool, why: &Stop) {
    for (ctx, _) in shared.held.snapshot() {
        if which(ctx.row().worker, ctx.row().spec.on_fence) {
            ctx.halt(why.clone());
        }
    }
}

/// Takes the row away on a clean exit, unless jobs still hang on it: those are for the rescue of others.
async fn bury(shared: &Shared, hot: &mut Hot) {
    let worker = shared.lease.worker();
    let gone = hot
        .run(move |connection| {
            let bury = "DELETE FROM queue.worker AS w WHERE w.id = $1 AND NOT EXISTS \
                 (SELECT FROM queue.job AS job WHERE job.worker_id = w.id AND job.state = 3)";
            Box::pin(sqlx::query(bury).bind(worker).execute(connection))
        })
        .await;
    if let Err(fail) = gone {
        tracing::debug!(error = %fail, "worker row not removed, its lease will end");
    }
}
