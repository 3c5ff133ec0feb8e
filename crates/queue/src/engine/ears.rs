//! Hears wake-ups. Losing one costs a poll, so nothing here is relied upon; but a listener that is silently deaf would
//! cost a poll each time, so it is rebuilt whenever it ends and asked for a sign of life when it is quiet.

use super::Shared;
use crate::notify::{CTL, READY};
use sqlx::{
    Executor,
    postgres::{PgListener, PgPoolOptions},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// Quiet for this long: ask the connection for a sign of life. A half-open one is never noticed otherwise.
const QUIET: Duration = Duration::from_secs(10);
/// Wait before building a new listener.
const AGAIN: Duration = Duration::from_millis(300);

pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            result = listen(&shared) => if let Err(error) = result {
                tracing::debug!(error = %error, "listener ended, building a new one");
            },
            () = shared.stopped.cancelled() => return,
        }
        sleep(AGAIN).await;
    }
}

async fn listen(shared: &Shared) -> sqlx::Result<()> {
    let bound = shared.config.call;
    // A pool of one: the listener keeps its connection for ever, which the application's pool should not pay for.
    let options = (*shared.pool.connect_options()).clone().application_name("spool ears");
    let one = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).acquire_timeout(bound);
    let pool = one.connect_lazy_with(options);
    let within = |_| sqlx::Error::PoolTimedOut;
    let mut listener = timeout(bound, PgListener::connect_with(&pool)).await.map_err(within)??;
    listener.eager_reconnect(false);
    timeout(bound, listener.listen_all([READY, CTL])).await.map_err(within)??;
    // Whatever was said while we were deaf.
    shared.look_now();
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(notice))) => hear(shared, notice.channel(), notice.payload()),
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                timeout(bound, listener.execute("SELECT 1")).await.map_err(within)??;
            }
        }
    }
}

fn hear(shared: &Shared, channel: &str, payload: &str) {
    shared.counters.heard.fetch_add(1, Ordering::Relaxed);
    if channel == CTL {
        if payload.strip_prefix("drain:").is_some_and(|id| id == shared.lease.worker().to_string()) {
            shared.leave();
        }
        shared.look_now();
    } else if shared.lanes().iter().any(|lane| lane.queue == payload) {
        shared.wake();
    }
}
