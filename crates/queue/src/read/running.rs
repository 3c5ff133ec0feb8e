//! What runs, what holds a recording up, and how much flows.

use super::{Error, reading};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};
use serde::Serialize;
use uuid::Uuid;

/// A job that runs.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct RunningRow {
    /// The job.
    pub id: Uuid,
    /// Who runs it.
    pub worker_id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Whom it is about.
    pub subject: Option<String>,
    /// Number of the attempt.
    pub attempt: i32,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// Share done, 0 to 100.
    pub pct: Option<f32>,
}

/// Most running jobs that are read: more than any screen holds.
const RUNNING_MAX: i64 = 2_000;

/// Every running job, worker by worker, oldest first.
///
/// # Errors
/// The database did not answer.
pub async fn running<C: ConnectionTrait>(db: &C) -> Result<Vec<RunningRow>, Error> {
    let select = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT job.id, job.worker_id, job.kind, job.subject, job.attempt, job.started_at, p.pct FROM queue.job AS job \
         LEFT JOIN queue.progress AS p ON p.job_id = job.id AND p.epoch = job.epoch \
         WHERE job.state = 3 ORDER BY job.worker_id, job.started_at, job.id LIMIT $1",
        [RUNNING_MAX.into()],
    );
    RunningRow::find_by_statement(select).all(db).await.map_err(reading("running jobs"))
}

/// The live job of a subject that needs most attention.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub struct Brief {
    /// Whom it is about.
    pub subject: String,
    /// The job.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// The word of its state.
    pub state: String,
    /// Number of the last attempt.
    pub attempt: i32,
    /// Its last error, at most 120 characters.
    pub error: Option<String>,
}

/// One live job of each of these subjects that has any: one that failed before one that runs before one that waits.
///
/// # Errors
/// The database did not answer.
pub async fn briefs<C: ConnectionTrait>(db: &C, subjects: &[&str]) -> Result<Vec<Brief>, Error> {
    let select = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT s.subject, one.* FROM jsonb_array_elements_text($1::jsonb) AS s (subject) CROSS JOIN LATERAL ( \
           SELECT job.id, job.kind, queue.state_word(job.state) AS state, job.attempt, left(job.error, 120) AS error \
           FROM queue.job AS job WHERE job.subject = s.subject \
           ORDER BY job.state = 4 DESC, job.state = 3 DESC, job.run_at, job.id LIMIT 1) AS one",
        [serde_json::json!(subjects).into()],
    );
    Brief::find_by_statement(select).all(db).await.map_err(reading("jobs of recordings"))
}

/// How attempts of a queue ended within the last five whole minutes.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub struct Flow {
    /// The queue.
    pub queue: String,
    /// Ended well.
    pub ok: i64,
    /// Ended in an error.
    pub err: i64,
}

/// What flowed through each queue that anything flowed through.
///
/// # Errors
/// The database did not answer.
pub async fn flow<C: ConnectionTrait>(db: &C) -> Result<Vec<Flow>, Error> {
    let sql = "SELECT queue, sum(ok)::int8 AS ok, sum(err)::int8 AS err FROM queue.stat \
        WHERE minute >= date_trunc('minute', now()) - interval '5 minutes' AND minute < date_trunc('minute', now()) \
        GROUP BY queue ORDER BY queue LIMIT 1000";
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    Flow::find_by_statement(statement).all(db).await.map_err(reading("flow"))
}

/// What a worker is called.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub struct Named {
    /// The worker.
    pub id: Uuid,
    /// Its pod or host.
    pub pod: Option<String>,
}

/// The names of all workers that have a row; one that has left for long has none.
///
/// # Errors
/// The database did not answer.
pub async fn worker_names<C: ConnectionTrait>(db: &C) -> Result<Vec<Named>, Error> {
    let sql = "SELECT id, pod FROM queue.worker ORDER BY started_at DESC, id LIMIT 1000";
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    Named::find_by_statement(statement).all(db).await.map_err(reading("names of workers"))
}
