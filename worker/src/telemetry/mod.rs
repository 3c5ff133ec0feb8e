//! What is logged and what is counted.
//!
//! [`names`] says what there is, one file a group counts it, each with typed functions: nobody else writes a label. One
//! registry per process and none for all, so that tests can have several. What belongs to the database, the queues, is
//! looked at in the background by those who serve; a scrape reads memory only.

mod deliveries;
mod edges;
mod jobs;
mod log;
pub mod names;
mod queues;
mod requests;
mod working;

pub use deliveries::DeliveryOutcome;
pub use log::{FilterError, may_be_logged, start_log};
pub use requests::{OpenPut, SegmentOutcome};

use crate::clock::Clock;
use crate::db::Query;
use crate::storage::{Request, StoreOutcome};
use ::queue::{Engine, Event};
use deliveries::Deliveries;
use domain::job::Queue;
use edges::Edges;
use jobs::Jobs;
use names::Name;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Encoder as _, Registry, TextEncoder};
use queues::Queues;
use requests::Requests;
use sea_orm::DatabaseConnection;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use working::Working;

/// What this was built from, where the build says so.
const COMMIT: &str = match option_env!("SPOOL_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// What is counted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    counted: Arc<Counted>,
}

struct Counted {
    registry: Registry,
    requests: Requests,
    jobs: Jobs,
    edges: Edges,
    deliveries: Deliveries,
    queues: Queues,
    working: Working,
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Metrics of this process, all at zero.
    pub fn new() -> Metrics {
        let registry = Registry::new();
        let counted = Counted {
            requests: Requests::new(&registry),
            jobs: Jobs::new(&registry),
            edges: Edges::new(&registry),
            deliveries: Deliveries::new(&registry),
            queues: Queues::new(&registry),
            working: Working::new(&registry),
            registry: registry.clone(),
        };
        let build = names::BUILD.gauges();
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), COMMIT]).set(1.0);
        register(&registry, build);
        // Memory, open files and processor time, where the system tells them.
        #[cfg(target_os = "linux")]
        register(&registry, prometheus::process_collector::ProcessCollector::for_self());
        Metrics { counted: Arc::new(counted) }
    }

    /// Counts a request. `route` is the route's template, never the path itself.
    pub fn request(&self, route: &str, status: u16, seconds: f64) {
        self.counted.requests.request(route, status, seconds);
    }

    /// Counts a segment.
    pub fn segment(&self, outcome: SegmentOutcome, size_bytes: u64) {
        self.counted.requests.segment(outcome, size_bytes);
    }

    /// Counts a segment as coming in until the value is dropped.
    pub fn put_opened(&self) -> OpenPut {
        self.counted.requests.put_opened()
    }

    /// Counts an operation on the object store.
    pub fn stored(&self, request: Request, outcome: StoreOutcome, took: Duration) {
        self.counted.edges.stored(request, outcome, took);
    }

    /// Counts a statement on the database.
    pub fn queried(&self, query: Query, failed: bool, took: Duration) {
        self.counted.edges.queried(query, failed, took);
    }

    /// Shows the pool of `db`. Once for a process.
    pub fn show_pool(&self, db: &DatabaseConnection) {
        edges::show_pool(&self.counted.registry, db);
    }

    /// Counts a try to deliver an event, and the time to the head of the answer or to its end.
    pub fn delivery(&self, outcome: DeliveryOutcome, seconds: f64) {
        self.counted.deliveries.tried(outcome, seconds);
    }

    /// Counts what happens to a job.
    pub fn job(&self, event: Event<'_>) {
        self.counted.jobs.hear(event);
    }

    /// Shows an engine of this process, which works `queues` as part of `pool`.
    pub fn show_engine(&self, engine: Engine, queues: &[Queue], pool: &str, clock: Clock) {
        self.counted.jobs.prepare(queues);
        self.counted.working.add(engine, pool, clock);
    }

    /// Looks at the queues again and again and shows what it saw, until it is dropped. For those who serve only.
    pub async fn watch_queues(&self, db: &DatabaseConnection, clock: &Clock) {
        self.counted.queues.watch(db, clock).await;
    }

    /// Everything, as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.counted.registry.gather(), &mut text);
        encoded.expect("metrics are written to memory");
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn register(registry: &Registry, collector: impl Collector + 'static) {
    registry.register(Box::new(collector)).expect("each name is registered once");
}

/// Registers gauges that are read when somebody asks, by a function that must not wait.
fn read_when_asked(registry: &Registry, names: &[Name], read: impl Fn() -> Vec<MetricFamily> + Send + Sync + 'static) {
    struct Asked<F>(Vec<Desc>, F);

    impl<F: Fn() -> Vec<MetricFamily> + Send + Sync> Collector for Asked<F> {
        fn desc(&self) -> Vec<&Desc> {
            self.0.iter().collect()
        }

        fn collect(&self) -> Vec<MetricFamily> {
            (self.1)()
        }
    }

    let described = names.iter().map(|name| {
        let labels = name.labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(name.name.to_owned(), name.help.to_owned(), labels, HashMap::new());
        desc.expect("name and labels are constants of the right form")
    });
    register(registry, Asked(described.collect(), read));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_names_units_and_closed_labels() {
        for Name { name, labels, help } in names::ALL {
            assert!(
                name.starts_with("spool_") && help.ends_with('.') || help.contains(';') || help.contains(','),
                "{name}"
            );
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert!(names::ALL.iter().filter(|other| other.name == name).count() == 1, "{name} is there twice");
            for label in labels {
                let closed = [
                    "route", "status", "outcome", "queue", "kind", "reason", "state", "pool", "op", "query", "version",
                    "commit",
                ];
                assert!(closed.contains(label), "{name} has the label {label}");
            }
        }
    }

    #[test]
    fn segments_that_come_in_are_counted_until_they_are_there() {
        let metrics = Metrics::new();
        metrics.request("/healthz", 200, 0.01);
        metrics.segment(SegmentOutcome::New, 5);
        let open = metrics.put_opened();
        let text = metrics.text();
        assert!(text.contains("spool_segment_bytes_total 5") && text.contains("spool_segments_incoming 1"));
        drop(open);
        assert!(metrics.text().contains("spool_segments_incoming 0"));
    }
}
