//! One job with everything that is known about it.

use super::{AttemptRow, Error, JobRow, reading};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};
use serde::Serialize;
use uuid::Uuid;

/// How far a running attempt has come.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct ProgressRow {
    /// Share done, 0 to 100.
    pub pct: Option<f32>,
    /// Units done.
    pub done: Option<i64>,
    /// Units in all.
    pub total: Option<i64>,
    /// What is counted.
    pub unit: Option<String>,
    /// What is being done.
    pub stage: Option<String>,
    /// Estimated time to the end, in seconds.
    pub eta_s: Option<i32>,
    /// When it was said.
    pub at: DateTime<Utc>,
}

/// Most of a payload that is shown, in characters.
pub const PAYLOAD_MAX: usize = 65_536;

/// A job, live or ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobView {
    /// The row.
    #[serde(flatten)]
    pub row: JobRow,
    /// Its unique key.
    pub unique_key: Option<String>,
    /// 0 is claimed first.
    pub priority: i16,
    /// Its payload as text, cut to [`PAYLOAD_MAX`] characters.
    pub payload: String,
    /// What an attempt saved for the next one.
    pub checkpoint: Option<serde_json::Value>,
    /// When an operator asked for its end.
    pub cancel_at: Option<DateTime<Utc>>,
    /// Its attempts, newest first, at most 100.
    pub attempts: Vec<AttemptRow>,
    /// How far it has come.
    pub progress: Option<ProgressRow>,
}

#[derive(FromQueryResult)]
struct Rest {
    unique_key: Option<String>,
    priority: i16,
    payload: String,
    checkpoint: Option<serde_json::Value>,
    cancel_at: Option<DateTime<Utc>>,
}

/// Everything about one job; none when there is no such job.
///
/// # Errors
/// The database did not answer.
pub async fn show_job<C: ConnectionTrait>(db: &C, id: Uuid) -> Result<Option<JobView>, Error> {
    let statement = |sql: &str| Statement::from_sql_and_values(DbBackend::Postgres, sql, [id.into()]);
    // Live first: a job that ends between the two looks is then found in the archive.
    let mut found = None;
    for source in [LIVE, ENDED] {
        let row = JobRow::find_by_statement(statement(source)).one(db).await.map_err(reading("job"))?;
        let Some(row) = row else { continue };
        let rest = Rest::find_by_statement(statement(source)).one(db).await.map_err(reading("job"))?;
        if let Some(rest) = rest {
            found = Some((row, rest));
            break;
        }
    }
    let Some((row, rest)) = found else { return Ok(None) };
    let attempts = AttemptRow::find_by_statement(statement(ATTEMPTS)).all(db).await.map_err(reading("attempts"))?;
    let progress = ProgressRow::find_by_statement(statement(PROGRESS)).one(db).await.map_err(reading("progress"))?;
    let Rest { unique_key, priority, payload, checkpoint, cancel_at } = rest;
    Ok(Some(JobView { row, unique_key, priority, payload, checkpoint, cancel_at, attempts, progress }))
}

/// How far a running job has come; none when it has not said.
///
/// # Errors
/// The database did not answer.
pub async fn progress<C: ConnectionTrait>(db: &C, id: Uuid) -> Result<Option<ProgressRow>, Error> {
    let ask = Statement::from_sql_and_values(DbBackend::Postgres, PROGRESS, [id.into()]);
    ProgressRow::find_by_statement(ask).one(db).await.map_err(reading("progress"))
}

const LIVE: &str = "SELECT id, queue, kind, queue.state_word(state) AS state, subject, owner_id, attempt, max_attempts, crashes, \
    snoozes, run_at, started_at, NULL::timestamptz AS finished_at, worker_id, NULL::text AS reason, error_class, error, created_at, \
    unique_key, priority, left(payload::text, 65536) AS payload, checkpoint, cancel_at FROM queue.job WHERE id = $1";
/// Bounded below by the moment inside the id: an id alone would ask every partition.
const ENDED: &str = "SELECT id, queue, kind, queue.outcome_word(outcome) AS state, subject, owner_id, attempt, max_attempts, crashes, \
    snoozes, run_at, started_at, finished_at, worker_id, reason, error_class, error, created_at, \
    unique_key, priority, left(payload::text, 65536) AS payload, checkpoint, cancel_at FROM queue.job_archive \
    WHERE id = $1 AND finished_at >= coalesce(queue.uuid_time($1) - interval '1 hour', '-infinity') \
    ORDER BY finished_at DESC LIMIT 1";
const ATTEMPTS: &str = "SELECT job_id, attempt, epoch, kind, worker_id, started_at, ended_at, outcome, error_class, error \
    FROM queue.attempt WHERE job_id = $1 AND ended_at >= coalesce(queue.uuid_time($1) - interval '1 hour', '-infinity') \
    ORDER BY ended_at DESC, epoch DESC LIMIT 100";
const PROGRESS: &str = "SELECT pct, done, total, unit, stage, eta_s, at FROM queue.progress WHERE job_id = $1";
