//! Whether the process lives, whether it can work, and what it counted.
//!
//! Lives: it answers. Can work: it does not stop, the database answers, its engine holds its lease, and, where only jobs
//! are worked, the store is there. A look at the store is kept for a while, so that many who ask cost one look.

use super::problem::{Code, Problem};
use crate::storage::Store;
use crate::telemetry::Metrics;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, header};
use sea_orm::DatabaseConnection;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Longest wait for database and store in a look at readiness: a probe gives up after a second by default.
const LOOK_TIMEOUT: Duration = Duration::from_millis(800);

/// How long a look at the store holds: shorter than two probes by default, which come every ten seconds.
const STORE_SEEN_FOR: Duration = Duration::from_secs(8);

/// What is looked for in the store. That it is not there is an answer; any other process looks for the same.
const STORE_KEY: &str = ".spool-ready";

/// Says whether a process takes on work. Cheap to clone; clones say the same.
#[derive(Clone, Default)]
pub struct Readiness {
    stopping: Arc<AtomicBool>,
    engine: Arc<OnceLock<queue::Engine>>,
    /// Without its engine the process can do nothing.
    works: bool,
}

impl Readiness {
    /// Of a process that only works jobs: not ready before [`Readiness::depend_on`], however early it is asked.
    pub fn of_worker() -> Readiness {
        Readiness { works: true, ..Readiness::default() }
    }

    /// From now on the process takes on no more work.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// From now on the process is ready only while this engine holds its lease and does not drain.
    pub fn depend_on(&self, engine: queue::Engine) {
        let _ = self.engine.set(engine);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) || self.engine.get().is_some_and(queue::Engine::is_draining)
    }

    fn has_lease(&self) -> bool {
        self.engine.get().map_or(!self.works, queue::Engine::has_lease)
    }
}

/// The store as it was seen last, for processes that only work jobs.
#[derive(Clone)]
pub struct StoreLook {
    store: Store,
    last: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl StoreLook {
    /// Nobody has looked yet.
    pub fn new(store: Store) -> StoreLook {
        StoreLook { store, last: Arc::default() }
    }

    /// Looks, unless somebody just has. Whoever comes meanwhile waits for the same look.
    async fn is_there(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, there)) = *last
            && at.elapsed() < STORE_SEEN_FOR
        {
            return there;
        }
        // A look that is given up by its caller is one that found nothing; the next one looks again.
        let there = match self.store.require_there(STORE_KEY).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(error = %error, "store is not there");
                false
            }
        };
        *last = Some((Instant::now(), there));
        there
    }
}

/// What health answers from.
#[derive(Clone)]
pub struct Health {
    /// The database, asked by readiness alone.
    pub db: DatabaseConnection,
    /// The store, where the process only works jobs.
    pub store: Option<StoreLook>,
    /// What was counted.
    pub metrics: Metrics,
    /// Whether the process takes on work.
    pub readiness: Readiness,
}

/// `/healthz`, `/readyz` and `/metrics`, for the API and for a working process.
pub fn router<S: Clone + Send + Sync + 'static>(health: Health) -> Router<S> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// The process answers. Never asks the database: a database that is away is no reason to kill the process.
async fn healthz() -> Response {
    axum::Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })).into_response()
}

async fn readyz(State(health): State<Health>) -> Result<Response, Problem> {
    if health.readiness.is_stopping() {
        return Err(Problem::new(Code::Stopping));
    }
    if !health.readiness.has_lease() {
        let why = "the database has taken no heartbeat of this process in time";
        return Err(Problem::new(Code::DatabaseUnavailable).detail(why));
    }
    let store = async {
        match &health.store {
            Some(look) => tokio::time::timeout(LOOK_TIMEOUT, look.is_there()).await.unwrap_or(false),
            None => true,
        }
    };
    let database = tokio::time::timeout(LOOK_TIMEOUT, crate::db::settings::now(&health.db));
    let (looked, store) = tokio::join!(database, store);
    match looked {
        Ok(Ok(_)) if !store => Err(Problem::new(Code::StorageUnavailable)),
        Ok(Ok(_)) => Ok(axum::Json(json!({ "status": "ready" })).into_response()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Problem::new(Code::DatabaseUnavailable)),
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], health.metrics.text()).into_response()
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    /// A probe that comes before the engine has registered: the process that only works can do nothing yet.
    #[test]
    fn a_worker_is_not_ready_before_its_engine_is_there() {
        assert!(!Readiness::of_worker().has_lease());
        assert!(Readiness::default().has_lease(), "whoever serves needs no engine");
    }
}
