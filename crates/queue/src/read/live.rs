//! What lives of a subject, and how the last job of a kind ended: for jobs that put right what no event puts right.

use super::{Error, reading};
use domain::job::Ended;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Statement};

/// A live job of a subject.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct LiveJob {
    /// The job.
    pub id: uuid::Uuid,
    /// Whom it is about.
    pub subject: String,
    /// Its kind.
    pub kind: String,
    /// Its unique key.
    pub unique_key: Option<String>,
    /// An attempt runs.
    pub running: bool,
}

/// Most live jobs that are read: a subject has a few, and a caller asks for a page of subjects.
const LIVE_MAX: i64 = 10_000;

/// Every live job of these subjects.
///
/// # Errors
/// The database did not answer.
pub async fn live_jobs<C: ConnectionTrait>(db: &C, subjects: &[&str]) -> Result<Vec<LiveJob>, Error> {
    let select = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT j.id, j.subject, j.kind, j.unique_key, j.state = 3 AS running FROM queue.job AS j \
         WHERE j.subject IN (SELECT jsonb_array_elements_text($1::jsonb)) ORDER BY j.subject, j.id LIMIT $2",
        [serde_json::json!(subjects).into(), LIVE_MAX.into()],
    );
    LiveJob::find_by_statement(select).all(db).await.map_err(reading("live jobs"))
}

/// The last finished job of `kind` about `subject`, as a follow-up is told of it, but with whatever outcome; `None` when
/// none has finished.
///
/// # Errors
/// The database did not answer.
pub async fn last_ended<C: ConnectionTrait>(db: &C, subject: &str, kind: &str) -> Result<Option<Ended>, Error> {
    let select = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT a.id, a.kind, a.unique_key, queue.outcome_word(a.outcome) AS outcome, \
           coalesce(a.error_class, a.reason) AS error_class, coalesce(a.error, left(a.reason, 200)) AS error \
         FROM queue.job_archive AS a \
         WHERE a.subject = $1 AND a.kind = $2 ORDER BY a.finished_at DESC, a.id DESC LIMIT 1",
        [subject.into(), kind.into()],
    );
    let row = db.query_one_raw(select).await.map_err(reading("last ended job"))?;
    let read = |row: QueryResult| {
        Ok(Ended {
            job_id: row.try_get("", "id")?,
            kind: row.try_get("", "kind")?,
            unique_key: row.try_get("", "unique_key")?,
            outcome: row.try_get("", "outcome")?,
            error_class: row.try_get("", "error_class")?,
            error: row.try_get("", "error")?,
        })
    };
    row.map(read).transpose().map_err(reading("last ended job"))
}
