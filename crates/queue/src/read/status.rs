//! Queues and workers as they are now.

use super::{Error, reading};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};
use serde::Serialize;
use uuid::Uuid;

/// Cells are counted up to this number, which then reads "this many or more": an exact count of a million rows would
/// cost more than the console may.
pub const COUNT_MAX: i64 = 10_001;

/// One queue.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct QueueRow {
    /// Its name.
    pub name: String,
    /// It is paused now.
    pub paused: bool,
    /// Since when.
    pub paused_at: Option<DateTime<Utc>>,
    /// By whom.
    pub paused_by: Option<String>,
    /// Why.
    pub paused_reason: Option<String>,
    /// Until when; none: until resumed.
    pub paused_until: Option<DateTime<Utc>>,
    /// Most jobs running at once.
    pub max_running: Option<i32>,
    /// Most jobs of one owner running at once.
    pub key_max: Option<i32>,
    /// Jobs with a time in the future, up to [`COUNT_MAX`].
    pub scheduled: i64,
    /// Jobs that may run now, up to [`COUNT_MAX`].
    pub available: i64,
    /// Jobs running.
    pub running: i64,
    /// Jobs that failed and run again, up to [`COUNT_MAX`].
    pub retryable: i64,
    /// How long the oldest available job has waited, in seconds.
    pub oldest_s: Option<f64>,
    /// Since when it waits.
    pub oldest_at: Option<DateTime<Utc>>,
}

/// Every queue with what is in it.
///
/// # Errors
/// The database did not answer.
pub async fn queues<C: ConnectionTrait>(db: &C) -> Result<Vec<QueueRow>, Error> {
    // A state that comes from a row, and an order within its cell, leave the planner `job_live` alone. Without an order it
    // may read the whole table for a queue in which there is nothing, because its statistics know no such queue; a state
    // written as a number lets it take the index of what is due, and read what is due in every other queue.
    let sql = format!(
        "SELECT q.name, q.paused_at IS NOT NULL AND (q.paused_until IS NULL OR q.paused_until > now()) AS paused, q.paused_at, \
         q.paused_by, q.paused_reason, q.paused_until, q.max_running, q.key_max, count.* FROM queue.queue AS q \
         CROSS JOIN LATERAL (SELECT max(cell.jobs) FILTER (WHERE s.state = 1) AS scheduled, \
           max(cell.jobs) FILTER (WHERE s.state = 2) AS available, max(cell.jobs) FILTER (WHERE s.state = 3) AS running, \
           max(cell.jobs) FILTER (WHERE s.state = 4) AS retryable, \
           extract(epoch FROM now() - max(cell.oldest) FILTER (WHERE s.state = 2))::float8 AS oldest_s, \
           max(cell.oldest) FILTER (WHERE s.state = 2) AS oldest_at \
           FROM (VALUES (1::int2), (2::int2), (3::int2), (4::int2)) AS s (state) \
           CROSS JOIN LATERAL (SELECT count(*) AS jobs, min(job.run_at) AS oldest FROM (SELECT job.run_at FROM queue.job AS job \
             WHERE job.queue = q.name AND job.state = s.state ORDER BY job.run_at, job.id LIMIT {COUNT_MAX}) AS job) AS cell) AS count \
         ORDER BY q.name LIMIT 1000"
    );
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    QueueRow::find_by_statement(statement).all(db).await.map_err(reading("queues"))
}

/// One worker process.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct WorkerRow {
    /// Its identity since its start.
    pub id: Uuid,
    /// Pod or host.
    pub pod: Option<String>,
    /// Node.
    pub node: Option<String>,
    /// Version of the program.
    pub version: Option<String>,
    /// What it runs: a list of `queue/kind`.
    pub kinds: Option<serde_json::Value>,
    /// How many jobs it may run at once.
    pub slots: Option<i32>,
    /// How many it ran at its last heartbeat.
    pub busy: Option<i32>,
    /// It claims nothing more.
    pub draining: bool,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Time left of its lease, in seconds; negative: it is dead or cut off.
    pub lease_left_s: f64,
    /// End of its lease.
    pub lease_until: DateTime<Utc>,
    /// Memory at its last heartbeat, in KiB.
    pub rss_kb: Option<i32>,
}

/// Every worker: those that are not heard of any more first, then the newest.
///
/// # Errors
/// The database did not answer.
pub async fn workers<C: ConnectionTrait>(db: &C) -> Result<Vec<WorkerRow>, Error> {
    let sql = "SELECT id, pod, node, version, kinds, slots, busy, draining, started_at, lease_until, rss_kb, \
        extract(epoch FROM lease_until - now())::float8 AS lease_left_s FROM queue.worker ORDER BY lease_until >= now(), started_at DESC, id LIMIT 1000";
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    WorkerRow::find_by_statement(statement).all(db).await.map_err(reading("workers"))
}
