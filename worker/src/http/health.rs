//! Whether the process lives, whether it can work, and what it counted.

use super::problem::{Code, Problem};
use crate::telemetry::Metrics;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, header};
use sea_orm::DatabaseConnection;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest wait for the database in a look at readiness: a probe gives up after a second by default.
const LOOK_TIMEOUT: Duration = Duration::from_millis(800);

/// Says whether a process takes on work. Cheap to clone; clones say the same.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    stopping: Arc<AtomicBool>,
}

impl Readiness {
    /// From now on the process takes on no more work.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// What health answers from.
#[derive(Clone)]
pub struct Health {
    /// The database, asked by readiness alone.
    pub db: DatabaseConnection,
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
    let looked = tokio::time::timeout(LOOK_TIMEOUT, crate::db::settings::now(&health.db)).await;
    match looked {
        Ok(Ok(_)) => Ok(axum::Json(json!({ "status": "ready" })).into_response()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Problem::new(Code::DatabaseUnavailable)),
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], health.metrics.text()).into_response()
}
