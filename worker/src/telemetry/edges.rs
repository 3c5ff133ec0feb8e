//! What the store and the database take: one histogram each, and the pool of connections.

use super::{names, read_when_asked};
use crate::db::{QUERIES, Query};
use crate::storage::{Request, StoreOutcome};
use prometheus::core::Collector;
use prometheus::{HistogramVec, Registry};
use sea_orm::DatabaseConnection;
use std::time::Duration;

/// Bounds in seconds for the store: from a file of a folder to the longest of several tries.
const STORE_SECONDS: [f64; 13] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Bounds in seconds for the database: from one row by its key to the longest statement.
const DB_SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

const OK: &str = "ok";
const ERROR: &str = "error";

#[derive(Debug)]
pub(super) struct Edges {
    store: HistogramVec,
    db: HistogramVec,
}

impl Edges {
    pub(super) fn new(registry: &Registry) -> Edges {
        let edges = Edges {
            store: names::STORAGE_SECONDS.histograms(&STORE_SECONDS),
            db: names::DB_SECONDS.histograms(&DB_SECONDS),
        };
        for request in Request::ALL {
            for outcome in StoreOutcome::ALL {
                edges.store.with_label_values(&[request.word(), outcome.word()]);
            }
        }
        for query in QUERIES {
            edges.db.with_label_values(&[query.word(), OK]);
            edges.db.with_label_values(&[query.word(), ERROR]);
        }
        super::register(registry, edges.store.clone());
        super::register(registry, edges.db.clone());
        edges
    }

    pub(super) fn stored(&self, request: Request, outcome: StoreOutcome, took: Duration) {
        self.store.with_label_values(&[request.word(), outcome.word()]).observe(took.as_secs_f64());
    }

    pub(super) fn queried(&self, query: Query, failed: bool, took: Duration) {
        let outcome = if failed { ERROR } else { OK };
        self.db.with_label_values(&[query.word(), outcome]).observe(took.as_secs_f64());
    }
}

/// Shows the pool's connections. They sum up to the most that it may have.
pub(super) fn show_pool(registry: &Registry, db: &DatabaseConnection) {
    let pool = db.get_postgres_connection_pool().clone();
    read_when_asked(registry, &[names::DB_CONNECTIONS], move || {
        let gauges = names::DB_CONNECTIONS.gauges();
        let (most, open, idle) = (pool.options().get_max_connections(), pool.size(), pool.num_idle() as u32);
        let states =
            [("busy", open.saturating_sub(idle)), ("idle", idle.min(open)), ("unopened", most.saturating_sub(open))];
        for (state, n) in states {
            gauges.with_label_values(&[state]).set(f64::from(n));
        }
        gauges.collect()
    });
}
