//! Every metric by its name: what it is called, which labels it has and what it says.
//!
//! Labels come from closed sets, never from ids or text of a request: each value makes a series that is kept for ever.
//! Held complete by tests: each of [`ALL`] is served, and each is explained in `docs/metrics.md`.

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts};

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// Its name: noun, unit, and `_total` for a counter.
    pub name: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn name(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Name {
    Name { name, labels, help }
}

const VALID: &str = "name and labels are constants of the right form";

impl Name {
    pub(super) fn counters(&self) -> IntCounterVec {
        IntCounterVec::new(Opts::new(self.name, self.help), self.labels).expect(VALID)
    }

    pub(super) fn gauges(&self) -> GaugeVec {
        GaugeVec::new(Opts::new(self.name, self.help), self.labels).expect(VALID)
    }

    /// Bounds of the buckets in seconds.
    pub(super) fn histograms(&self, seconds: &[f64]) -> HistogramVec {
        let opts = HistogramOpts::new(self.name, self.help).buckets(seconds.to_vec());
        HistogramVec::new(opts, self.labels).expect(VALID)
    }
}

/// Requests by route and status.
pub const HTTP_REQUESTS: Name =
    name("spool_http_requests_total", &["route", "status"], "Requests answered, by route template and status.");
/// Time from the head of a request to the head of its answer, by route.
pub const HTTP_SECONDS: Name = name(
    "spool_http_request_duration_seconds",
    &["route"],
    "Time from the head of a request to the head of its answer.",
);
/// Segments by what became of them.
pub const SEGMENTS: Name =
    name("spool_segments_total", &["outcome"], "Segments sent to this process, by what became of them.");
/// Bytes of segments that were acknowledged.
pub const SEGMENT_BYTES: Name = name("spool_segment_bytes_total", &[], "Bytes of segments acknowledged as new.");
/// Segments that are coming in now.
pub const PUTS_OPEN: Name = name("spool_segments_incoming", &[], "Segments that are coming in now.");

/// Jobs claimed for the first time.
pub const JOBS_ENQUEUED: Name = name(
    "spool_jobs_enqueued_total",
    &["queue", "kind"],
    "Jobs put in, counted by the worker that claims them for the first time.",
);
/// Jobs that ended.
pub const JOBS_COMPLETED: Name =
    name("spool_jobs_completed_total", &["queue", "kind", "outcome"], "Jobs that ended, by how.");
/// Attempts that failed and are tried again.
pub const JOBS_RETRIED: Name = name(
    "spool_jobs_retried_total",
    &["queue", "kind", "reason"],
    "Attempts that failed or were lost and whose job runs again, by class of the error.",
);
/// Jobs given up.
pub const JOBS_DISCARDED: Name =
    name("spool_jobs_discarded_total", &["queue", "kind", "reason"], "Jobs given up, each needs a person.");
/// Jobs taken back from dead workers.
pub const LEASES_LOST: Name =
    name("spool_leases_lost_total", &["queue"], "Jobs that this process took back from workers that died.");
/// How long attempts ran.
pub const JOB_SECONDS: Name =
    name("spool_job_duration_seconds", &["queue", "kind", "outcome"], "How long an attempt ran, by how it ended.");
/// How long jobs waited.
pub const JOB_WAIT_SECONDS: Name =
    name("spool_job_queue_wait_seconds", &["queue", "kind"], "Time from the moment a job was due to its claim.");

/// Jobs in a queue and state.
pub const QUEUE_JOBS: Name =
    name("spool_queue_jobs", &["queue", "state"], "Jobs in a queue, counted up to 10001 in each state.");
/// Load of a queue.
pub const QUEUE_LOAD: Name =
    name("spool_queue_load", &["queue"], "Jobs that run or could run now; what runs only, while the queue is paused.");
/// Age of the oldest job that could run.
pub const QUEUE_OLDEST_SECONDS: Name = name(
    "spool_queue_oldest_job_age_seconds",
    &["queue"],
    "How long the oldest job that could run has been due; 0 when there is none.",
);
/// Whether a queue is paused.
pub const QUEUE_PAUSED: Name = name("spool_queue_paused", &["queue"], "1 while the queue is paused, else 0.");
/// Live workers of a queue.
pub const WORKERS: Name =
    name("spool_workers", &["queue"], "Live workers that take jobs from the queue; one may serve several.");
/// When the queues were last looked at.
pub const COLLECTED_SECONDS: Name = name(
    "spool_collector_last_success_timestamp_seconds",
    &[],
    "When the queues were last looked at with success; 0 when never.",
);

/// Slots of this process.
pub const WORKER_SLOTS: Name = name("spool_worker_slots", &["pool"], "Jobs that this process may run at once.");
/// Slots in use.
pub const WORKER_BUSY: Name =
    name("spool_worker_slots_busy", &["pool"], "Jobs that this process holds: running, or their end being written.");
/// Last heartbeat.
pub const WORKER_HEARTBEAT_SECONDS: Name = name(
    "spool_worker_heartbeat_timestamp_seconds",
    &["pool"],
    "When the database last took a heartbeat of this process; 0 when never.",
);
/// Whether this process drains.
pub const DRAINING: Name = name("spool_draining", &["pool"], "1 while this process claims nothing more, else 0.");

/// Requests to the object store.
pub const STORAGE_SECONDS: Name = name(
    "spool_storage_request_duration_seconds",
    &["op", "outcome"],
    "Time of one operation on the object store, its tries together.",
);
/// Statements on the database.
pub const DB_SECONDS: Name = name(
    "spool_db_query_duration_seconds",
    &["query", "outcome"],
    "Time of one statement, without the wait for a connection, by what it is about.",
);
/// Connections of the pool.
pub const DB_CONNECTIONS: Name = name(
    "spool_db_pool_connections",
    &["state"],
    "Connections of the pool: in use, idle, and how many more may be opened.",
);
/// Tries to deliver events.
pub const DELIVERIES: Name = name(
    "spool_webhook_deliveries_total",
    &["outcome"],
    "Tries to deliver an event to a web app, by what became of them.",
);
/// How long deliveries took.
pub const DELIVERY_SECONDS: Name = name(
    "spool_webhook_delivery_duration_seconds",
    &["outcome"],
    "Time from sending an event to the head of the answer, or to giving the try up.",
);
/// What runs.
pub const BUILD: Name = name("spool_build_info", &["version", "commit"], "1, with what runs.");

/// Every metric of ours. Beside them are those of the process itself, as every program has them.
pub const ALL: [Name; 28] = [
    HTTP_REQUESTS,
    HTTP_SECONDS,
    SEGMENTS,
    SEGMENT_BYTES,
    PUTS_OPEN,
    JOBS_ENQUEUED,
    JOBS_COMPLETED,
    JOBS_RETRIED,
    JOBS_DISCARDED,
    LEASES_LOST,
    JOB_SECONDS,
    JOB_WAIT_SECONDS,
    QUEUE_JOBS,
    QUEUE_LOAD,
    QUEUE_OLDEST_SECONDS,
    QUEUE_PAUSED,
    WORKERS,
    COLLECTED_SECONDS,
    WORKER_SLOTS,
    WORKER_BUSY,
    WORKER_HEARTBEAT_SECONDS,
    DRAINING,
    STORAGE_SECONDS,
    DB_SECONDS,
    DB_CONNECTIONS,
    DELIVERIES,
    DELIVERY_SECONDS,
    BUILD,
];
