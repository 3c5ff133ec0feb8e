//! What people do to jobs, queues and workers.
//!
//! Each verb is one call of a function of the database that checks the state, makes the change and writes the audit in
//! one transaction. What may follow what is decided there, for the command line and the console alike.

mod command;

pub use command::{Command, Confirm, Verb};

use crate::enqueue::{self, Enqueue, Enqueued};
use crate::notify;
use domain::id::RecordingId;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, TransactionTrait, Value};
use std::time::Duration;
use uuid::Uuid;

/// Who does it, from where, and why. Written to the audit word for word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The person or program.
    pub actor: String,
    /// The way it came, for example `cli`.
    pub via: String,
    /// Why.
    pub reason: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Done,
    /// Asked for; the worker that runs the job ends it within 2 s.
    Requested,
    /// There is no such job, queue or worker.
    NotFound,
    /// Not from this state or outcome.
    WrongState(String),
    /// The job's key has gone to this newer job.
    SupersededBy(Uuid),
    /// Any other refusal, word for word.
    Refused(String),
}

impl Answer {
    fn parse(text: &str) -> Answer {
        match text.split_once(": ") {
            Some(("wrong-state", state)) => Answer::WrongState(state.to_owned()),
            Some(("superseded-by", id)) => {
                id.parse().map_or_else(|_| Answer::Refused(text.to_owned()), Answer::SupersededBy)
            }
            _ => match text {
                "ok" => Answer::Done,
                "requested" => Answer::Requested,
                "not-found" => Answer::NotFound,
                _ => Answer::Refused(text.to_owned()),
            },
        }
    }
}

/// The database did not take it; nothing has changed.
#[derive(Debug, thiserror::Error)]
#[error("{verb}")]
pub struct Error {
    verb: &'static str,
    #[source]
    source: DbErr,
}

/// Runs a waiting job with back-off now, or brings a discarded or cancelled one back with a fresh budget.
///
/// # Errors
/// The database did not take it.
pub async fn retry<C: ConnectionTrait>(db: &C, job: Uuid, by: &By) -> Result<Answer, Error> {
    ask(db, "retry job", "SELECT queue.op_retry($1, $2, $3, $4)", vec![job.into()], by).await
}

/// Ends a waiting job at once; asks a running one to stop.
///
/// # Errors
/// The database did not take it.
pub async fn cancel<C: ConnectionTrait>(db: &C, job: Uuid, by: &By) -> Result<Answer, Error> {
    ask(db, "cancel job", "SELECT queue.op_cancel($1, $2, $3, $4)", vec![job.into()], by).await
}

/// Gives a waiting job up.
///
/// # Errors
/// The database did not take it.
pub async fn discard<C: ConnectionTrait>(db: &C, job: Uuid, by: &By) -> Result<Answer, Error> {
    ask(db, "discard job", "SELECT queue.op_discard($1, $2, $3, $4)", vec![job.into()], by).await
}

/// Puts a waiting job off.
///
/// # Errors
/// The database did not take it.
pub async fn snooze<C: ConnectionTrait>(db: &C, job: Uuid, wait: Duration, by: &By) -> Result<Answer, Error> {
    let sql = "SELECT queue.op_snooze($1, $2::float8 * interval '1 second', $3, $4, $5)";
    ask(db, "snooze job", sql, vec![job.into(), wait.as_secs_f64().into()], by).await
}

/// Runs a scheduled or retryable job now.
///
/// # Errors
/// The database did not take it.
pub async fn run_now<C: ConnectionTrait>(db: &C, job: Uuid, by: &By) -> Result<Answer, Error> {
    ask(db, "run job now", "SELECT queue.op_run_now($1, $2, $3, $4)", vec![job.into()], by).await
}

/// Sets the priority of a waiting job, 0 first.
///
/// # Errors
/// The database did not take it.
pub async fn priority<C: ConnectionTrait>(db: &C, job: Uuid, priority: i16, by: &By) -> Result<Answer, Error> {
    let sql = "SELECT queue.op_priority($1, $2::int2, $3, $4, $5)";
    ask(db, "set priority of job", sql, vec![job.into(), priority.into()], by).await
}

/// Removes an ended job; its attempts stay.
///
/// # Errors
/// The database did not take it.
pub async fn delete<C: ConnectionTrait>(db: &C, job: Uuid, by: &By) -> Result<Answer, Error> {
    ask(db, "delete job", "SELECT queue.op_delete($1, $2, $3, $4)", vec![job.into()], by).await
}

/// Asks for something about a recording: enqueues a control job of this id, whose worker decides whether it may be. The
/// same id again asks for nothing more.
///
/// # Errors
/// The database did not take it.
pub async fn recording<C: ConnectionTrait>(
    db: &C,
    id: Uuid,
    recording: &RecordingId,
    verb: domain::job::Verb,
    by: &By,
) -> Result<Answer, Error> {
    let sql = "SELECT queue.op_recording($1, $2, $3, $4, $5, $6)";
    ask(db, "steer recording", sql, vec![id.into(), recording.as_str().into(), verb.as_str().into()], by).await
}

/// Claims nothing more from a queue until resumed, or for this long; running jobs finish.
///
/// # Errors
/// The database did not take it.
pub async fn pause<C: ConnectionTrait>(
    db: &C,
    queue: &str,
    duration: Option<Duration>,
    by: &By,
) -> Result<Answer, Error> {
    let sql = "SELECT queue.op_pause($1, $2::float8 * interval '1 second', $3, $4, $5)";
    ask(db, "pause queue", sql, vec![queue.into(), duration.map(|d| d.as_secs_f64()).into()], by).await
}

/// Claims from a paused queue again.
///
/// # Errors
/// The database did not take it.
pub async fn resume<C: ConnectionTrait>(db: &C, queue: &str, by: &By) -> Result<Answer, Error> {
    ask(db, "resume queue", "SELECT queue.op_resume($1, $2, $3, $4)", vec![queue.into()], by).await
}

/// How many jobs of a queue may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit {
    /// In all; none: no limit.
    pub max_running: Option<i32>,
    /// Of one owner; none: no limit.
    pub key_max: Option<i32>,
}

/// Sets both limits of a queue.
///
/// # Errors
/// The database did not take it.
pub async fn limit<C: ConnectionTrait>(db: &C, queue: &str, limit: Limit, by: &By) -> Result<Answer, Error> {
    let sql = "SELECT queue.op_limit($1, $2::int4, $3::int4, $4, $5, $6)";
    ask(db, "limit queue", sql, vec![queue.into(), limit.max_running.into(), limit.key_max.into()], by).await
}

/// Asks a worker to claim nothing more, to finish or hand back what it runs, and to leave.
///
/// # Errors
/// The database did not take it.
pub async fn drain<C: ConnectionTrait>(db: &C, worker: Uuid, by: &By) -> Result<Answer, Error> {
    ask(db, "drain worker", "SELECT queue.op_drain($1, $2, $3, $4)", vec![worker.into()], by).await
}

/// Whether the present role may give operator commands at all.
///
/// # Errors
/// The database did not answer.
pub async fn may<C: ConnectionTrait>(db: &C) -> Result<bool, Error> {
    let ask = "SELECT coalesce(has_function_privilege(to_regprocedure('queue.op_retry(uuid, text, text, text)'), 'EXECUTE'), false) AS may";
    let failed = |source| Error { verb: "ask for the right to operate", source };
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, ask)).await.map_err(failed)?;
    row.map_or(Ok(false), |row| row.try_get("", "may")).map_err(failed)
}

/// Why a job could not be put in by hand; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// It was not taken.
    #[error(transparent)]
    Enqueue(#[from] enqueue::Error),
    /// The audit or the transaction around both failed.
    #[error("enqueue job by hand")]
    Database(#[source] DbErr),
}

/// Puts a job in by hand and wakes its queue, with the audit in the same transaction.
///
/// # Errors
/// The database did not take it.
pub async fn enqueue(db: &DatabaseConnection, job: Enqueue, by: &By) -> Result<Enqueued, EnqueueError> {
    let tx = db.begin().await.map_err(EnqueueError::Database)?;
    let enqueued = job.put(&tx).await?;
    let sql = "SELECT queue.log_op('enqueue', jsonb_build_object('job', $1::uuid, 'inserted', $2::boolean), 1, NULL, $4, $5, $6), \
         pg_notify($3, (SELECT job.queue FROM queue.job AS job WHERE job.id = $1))";
    let (id, inserted) = (enqueued.id.into(), enqueued.inserted.into());
    let who = [by.actor.clone().into(), by.via.clone().into(), by.reason.clone().into()];
    let values = [id, inserted, notify::READY.into()].into_iter().chain(who);
    let audit = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    tx.execute_raw(audit).await.map_err(EnqueueError::Database)?;
    tx.commit().await.map_err(EnqueueError::Database)?;
    Ok(enqueued)
}

async fn ask<C: ConnectionTrait>(
    db: &C,
    verb: &'static str,
    sql: &'static str,
    object: Vec<Value>,
    by: &By,
) -> Result<Answer, Error> {
    let who: [Value; 3] = [by.actor.clone().into(), by.via.clone().into(), by.reason.clone().into()];
    let call = Statement::from_sql_and_values(DbBackend::Postgres, sql, object.into_iter().chain(who));
    let row = db.query_one_raw(call).await.map_err(|source| Error { verb, source })?;
    let text = row.map(|row| row.try_get_by_index::<String>(0)).transpose().map_err(|source| Error { verb, source })?;
    Ok(Answer::parse(text.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_word_for_word() {
        let id = Uuid::from_u128(7);
        for (text, want) in [
            ("ok", Answer::Done),
            ("requested", Answer::Requested),
            ("not-found", Answer::NotFound),
            ("wrong-state: completed", Answer::WrongState("completed".into())),
            (&format!("superseded-by: {id}"), Answer::SupersededBy(id)),
            ("too-soon", Answer::Refused("too-soon".into())),
        ] {
            assert_eq!(Answer::parse(text), want);
        }
    }
}
