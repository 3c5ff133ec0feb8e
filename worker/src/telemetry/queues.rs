//! The queues as gauges: the last of regular looks, shown to whoever asks.
//!
//! Only `spool serve` looks: if every worker showed the same totals, a sum over processes would multiply them. Several
//! that serve show the same, so rules take the largest. A queue that is gone is gone from the next answer, which gauges
//! that are set would not do; and so are all of them when nothing was seen for a while: numbers from before an outage are
//! not shown as if they were of now. Never looks when asked: who scrapes must not be able to make work for the database.

use super::working::seconds_of;
use super::{names, read_when_asked};
use crate::clock::Clock;
use ::queue::read::{self, QueueGauges};
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Registry};
use rand::RngExt as _;
use sea_orm::DatabaseConnection;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Time between two looks; half of it to one and a half times, so that processes started together do not stay together.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long what was seen is shown: some looks may fail before the gauges are gone.
const SHOWN_FOR: Duration = Duration::from_secs(60);
/// Longest look.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What was seen last. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Queues(Arc<Mutex<Seen>>);

#[derive(Debug, Clone, Default)]
struct Seen {
    /// Somebody looks: else there are no gauges at all.
    watched: bool,
    at_s: f64,
    /// The same on this process's own clock.
    at: Option<Instant>,
    rows: Vec<QueueGauges>,
}

impl Queues {
    pub(super) fn new(registry: &Registry) -> Queues {
        let queues = Queues::default();
        let shown = queues.clone();
        let gauges = [
            names::QUEUE_JOBS,
            names::QUEUE_LOAD,
            names::QUEUE_OLDEST_SECONDS,
            names::QUEUE_PAUSED,
            names::WORKERS,
            names::COLLECTED_SECONDS,
        ];
        read_when_asked(registry, &gauges, move || shown.families());
        queues
    }

    /// Looks again and again, until it is dropped.
    pub(super) async fn watch(&self, db: &DatabaseConnection, clock: &Clock) {
        self.seen().watched = true;
        loop {
            match timeout(LOOK_MAX, read::gauges(db)).await {
                Ok(Ok(rows)) => {
                    let mut seen = self.seen();
                    (seen.rows, seen.at_s, seen.at) = (rows, seconds_of(clock), Some(Instant::now()));
                }
                Ok(Err(error)) => tracing::debug!(error = %error, "queues not looked at"),
                Err(_) => tracing::debug!("queues not looked at in time"),
            }
            let jitter = rand::rng().random_range(0.5..1.5);
            sleep(LOOK_EVERY.mul_f64(jitter)).await;
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn families(&self) -> Vec<MetricFamily> {
        let Seen { watched, at_s, at, mut rows } = self.seen().clone();
        if !watched {
            return Vec::new();
        }
        if at.is_none_or(|at| at.elapsed() > SHOWN_FOR) {
            rows.clear();
        }
        let (jobs, load) = (names::QUEUE_JOBS.gauges(), names::QUEUE_LOAD.gauges());
        let (oldest, paused) = (names::QUEUE_OLDEST_SECONDS.gauges(), names::QUEUE_PAUSED.gauges());
        let workers = names::WORKERS.gauges();
        for row in &rows {
            let queue = [row.name.as_str()];
            for (state, n) in [
                ("pending", row.pending),
                ("scheduled", row.scheduled),
                ("available", row.available),
                ("running", row.running),
                ("retryable", row.retryable),
            ] {
                jobs.with_label_values(&[queue[0], state]).set(n as f64);
            }
            load.with_label_values(&queue).set(row.load as f64);
            oldest.with_label_values(&queue).set(row.oldest_s);
            paused.with_label_values(&queue).set(f64::from(u8::from(row.paused)));
            workers.with_label_values(&queue).set(row.workers as f64);
        }
        let looked = Gauge::new(names::COLLECTED_SECONDS.name, names::COLLECTED_SECONDS.help);
        let looked = looked.expect("name and help are constants of the right form");
        looked.set(at_s);
        let vecs = [jobs, load, oldest, paused, workers];
        vecs.iter().flat_map(Collector::collect).chain(looked.collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    fn row(name: &str, load: i64) -> QueueGauges {
        QueueGauges {
            name: name.to_owned(),
            paused: false,
            pending: 0,
            scheduled: 0,
            available: load,
            running: 0,
            retryable: 0,
            load,
            oldest_s: 1.5,
            workers: 2,
        }
    }

    #[test]
    fn queue_that_is_gone_or_not_seen_any_more_is_gone_from_the_metrics() {
        let metrics = Metrics::new();
        assert!(!metrics.text().contains("spool_queue"), "nobody looks here");
        let queues = &metrics.counted.queues;
        queues.seen().watched = true;
        assert!(metrics.text().contains("spool_collector_last_success_timestamp_seconds 0"));
        let rows = vec![row("mux", 3), row("old", 1)];
        *queues.seen() = Seen { watched: true, at_s: 9.0, at: Some(Instant::now()), rows };
        let text = metrics.text();
        assert!(text.contains("spool_queue_load{queue=\"mux\"} 3") && text.contains("queue=\"old\""), "{text}");
        assert!(text.contains("spool_queue_jobs{queue=\"mux\",state=\"available\"} 3"), "{text}");
        queues.seen().rows.pop();
        assert!(!metrics.text().contains("queue=\"old\""));

        // The database is away: what was seen last says nothing of now, and when it was seen stays.
        queues.seen().at = Instant::now().checked_sub(SHOWN_FOR + Duration::from_secs(1));
        let text = metrics.text();
        assert!(!text.contains("queue=\"mux\"") && text.contains("last_success_timestamp_seconds 9"), "{text}");
    }
}
