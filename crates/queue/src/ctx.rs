//! What a handler is given besides its payload: who it is, whether it should stop, and the writes it may make on its row.
//!
//! Every write is fenced by (id, epoch, worker): an attempt whose job was taken from it changes nothing.

use crate::{
    engine::{Shared, held::Key},
    outcome::{self, Facts, Outcome, Stop, Transition, Verdict},
    sql,
};
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};
use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicI16, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The row as it was claimed.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) epoch: i64,
    pub(crate) worker: Uuid,
    pub(crate) queue: &'static str,
    pub(crate) spec: domain::job::KindSpec,
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) crashes: i16,
    pub(crate) subject: Option<String>,
    pub(crate) owner_id: Option<String>,
    pub(crate) age: Duration,
    /// Since it was due.
    pub(crate) waited: Duration,
    /// Minute of its enqueue, when nobody has claimed it before.
    pub(crate) born_minute: Option<i64>,
    pub(crate) checkpoint: Option<String>,
}

struct Inner {
    row: Claimed,
    claimed_at: Instant,
    stop: CancellationToken,
    reason: OnceLock<Stop>,
    crashes: AtomicI16,
    settled: Mutex<Option<Transition>>,
    told_at: Mutex<Option<Instant>>,
    engine: Arc<Shared>,
}

/// One attempt at one job. Cheap to clone.
#[derive(Clone)]
pub struct JobCtx(Arc<Inner>);

/// How far a running attempt has come, for people who watch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// Share done, 0 to 100.
    pub pct: Option<f32>,
    /// Units done.
    pub done: Option<i64>,
    /// Units in all.
    pub total: Option<i64>,
    /// What is counted, for example `bytes`.
    pub unit: Option<String>,
    /// What is being done, for example `copy`.
    pub stage: Option<String>,
    /// Estimated time to the end, in seconds.
    pub eta_s: Option<i32>,
}

/// Why a write on the own row did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CtxError {
    /// The job was taken from this attempt: stop, nothing more counts.
    #[error("job {0} was taken from this attempt")]
    Lost(Uuid),
    /// The database did not take it.
    #[error("write to job {id}")]
    Database {
        /// The job.
        id: Uuid,
        /// The cause.
        #[source]
        source: DbErr,
    },
}

impl domain::retry::Classify for CtxError {
    fn fault(&self) -> domain::retry::Fault {
        match self {
            CtxError::Lost(_) => domain::retry::Fault::Cancelled,
            CtxError::Database { .. } => domain::retry::Fault::Transient,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            CtxError::Lost(_) => "lost",
            CtxError::Database { .. } => "database",
        }
    }
}

/// Progress is written at most this often: it is for people, and each write makes a dead row.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

impl JobCtx {
    pub(crate) fn new(row: Claimed, engine: Arc<Shared>) -> Self {
        JobCtx(Arc::new(Inner {
            crashes: AtomicI16::new(row.crashes),
            row,
            claimed_at: Instant::now(),
            stop: CancellationToken::new(),
            reason: OnceLock::new(),
            settled: Mutex::default(),
            told_at: Mutex::default(),
            engine,
        }))
    }

    /// The job.
    pub fn id(&self) -> Uuid {
        self.0.row.id
    }

    /// The fencing token of this attempt: grows with each claim.
    pub fn epoch(&self) -> i64 {
        self.0.row.epoch
    }

    /// The kind's word.
    pub fn kind(&self) -> &'static str {
        self.0.row.spec.name
    }

    /// The queue's word.
    pub fn queue(&self) -> &'static str {
        self.0.row.queue
    }

    /// Number of this attempt, from 1.
    pub fn attempt(&self) -> i32 {
        self.0.row.attempt
    }

    /// How many attempts the job may have.
    pub fn max_attempts(&self) -> i32 {
        self.0.row.max_attempts
    }

    /// How many attempts ended with their process since the last progress.
    pub fn crashes(&self) -> i16 {
        self.0.row.crashes
    }

    /// Whom the job is about.
    pub fn subject(&self) -> Option<&str> {
        self.0.row.subject.as_deref()
    }

    /// Who pays for it.
    pub fn owner_id(&self) -> Option<&str> {
        self.0.row.owner_id.as_deref()
    }

    /// Time since the job was enqueued, by the database's clock at the claim.
    pub fn age(&self) -> Duration {
        self.0.row.age + self.0.claimed_at.elapsed()
    }

    /// What an earlier attempt saved with [`JobCtx::checkpoint`].
    pub fn saved(&self) -> Option<serde_json::Value> {
        self.0.row.checkpoint.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }

    /// Cancelled when the handler should stop: cancelled by an operator, drained, timed out, fenced.
    /// After it the handler has the configured grace, then it is dropped.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Why [`JobCtx::stop`] was cancelled.
    pub fn stop_reason(&self) -> Option<&Stop> {
        self.0.reason.get()
    }

    /// Cancelled when the process begins to drain: a long handler may save a checkpoint and end with [`Outcome::HandBack`].
    pub fn draining(&self) -> &CancellationToken {
        &self.0.engine.draining
    }

    /// Whether the row is still this attempt's. To be asked before an effect that the fence does not cover.
    ///
    /// # Errors
    /// The database is away.
    pub async fn is_mine(&self) -> Result<bool, CtxError> {
        let mine = "SELECT 1 AS one FROM queue.job WHERE id = $1 AND epoch = $2 AND worker_id = $3";
        let found = self.0.engine.db.query_one_raw(self.statement(mine, [])).await;
        Ok(found.map_err(|source| self.failed(source))?.is_some())
    }

    /// Says how far the attempt has come; also clears the count of crashes, because a job that gets on is no poison.
    /// Calls that follow too soon are left out. Never fails: progress is for people.
    pub async fn progress(&self, progress: Progress) {
        {
            let mut told_at = self.0.told_at.lock().unwrap_or_else(PoisonError::into_inner);
            if told_at.is_some_and(|at| at.elapsed() < PROGRESS_EVERY) {
                return;
            }
            *told_at = Some(Instant::now());
        }
        let Progress { pct, done, total, unit, stage, eta_s } = progress;
        let written = self.0.engine.db.execute_raw(self.statement(
            "INSERT INTO queue.progress AS p (job_id, epoch, pct, done, total, unit, stage, eta_s, at) \
             SELECT job.id, job.epoch, $4::real, $5::bigint, $6::bigint, $7::text, $8::text, $9::int, now() FROM queue.job AS job \
             WHERE job.id = $1 AND job.epoch = $2 AND job.worker_id = $3 \
             ON CONFLICT (job_id) DO UPDATE SET epoch = excluded.epoch, pct = excluded.pct, done = excluded.done, \
             total = excluded.total, unit = excluded.unit, stage = excluded.stage, eta_s = excluded.eta_s, at = excluded.at \
             WHERE p.epoch <= excluded.epoch",
            [pct.into(), done.into(), total.into(), unit.into(), stage.into(), eta_s.into()],
        ));
        if let Err(error) = written.await {
            tracing::debug!(job.id = %self.id(), error = %error, "progress not written");
            return;
        }
        if self.0.crashes.swap(0, Ordering::AcqRel) > 0 {
            let clear = "UPDATE queue.job SET crashes = 0 WHERE id = $1 AND epoch = $2 AND worker_id = $3";
            if let Err(error) = self.0.engine.db.execute_raw(self.statement(clear, [])).await {
                tracing::debug!(job.id = %self.id(), error = %error, "crashes not cleared");
            }
        }
    }

    /// Saves where a later attempt may go on.
    ///
    /// # Errors
    /// [`CtxError::Lost`] when the job was taken away; [`CtxError::Database`] when it could not be written.
    pub async fn checkpoint(&self, state: &serde_json::Value) -> Result<(), CtxError> {
        let save =
            "UPDATE queue.job SET checkpoint = $4::jsonb, crashes = 0 WHERE id = $1 AND epoch = $2 AND worker_id = $3";
        let saved = self.0.engine.db.execute_raw(self.statement(save, [state.clone().into()])).await;
        if saved.map_err(|source| self.failed(source))?.rows_affected() == 0 {
            return Err(self.lost());
        }
        Ok(())
    }

    /// Ends the attempt inside the caller's transaction, so that the effect and the end commit together or not at all.
    ///
    /// Lock whatever comes before job rows first (the recording). Then commit, then return [`Outcome::Settled`].
    /// When the commit fails or its answer is lost, return the error: the engine looks whether the row is still there,
    /// and only then does the error count.
    ///
    /// # Errors
    /// [`CtxError::Lost`]: roll back, somebody else has the job. [`CtxError::Database`]: the transaction is broken.
    pub async fn settle_in<C: ConnectionTrait>(&self, tx: &C, outcome: Outcome) -> Result<(), CtxError> {
        let Some(end) = self.transition(Verdict::Outcome(outcome)) else { return Ok(()) };
        // Before the statement: once it commits the row is gone, and the look at the own rows must not call that a loss.
        self.0.engine.held.set_finishing(self.key(), true);
        // Twice: a cancel asked for between snapshot and row lock makes the first one match neither way of ending.
        for _ in 0..2 {
            let rows = tx.query_all_raw(self.end_statement(&end)).await.map_err(|source| {
                self.0.engine.held.set_finishing(self.key(), false);
                self.failed(source)
            })?;
            if !rows.is_empty() {
                *self.0.settled.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
                return Ok(());
            }
        }
        self.0.engine.held.set_finishing(self.key(), false);
        Err(self.lost())
    }

    pub(crate) fn key(&self) -> Key {
        (self.0.row.id, self.0.row.epoch)
    }

    pub(crate) fn row(&self) -> &Claimed {
        &self.0.row
    }

    /// What [`JobCtx::settle_in`] wrote, if it did.
    pub(crate) fn settled(&self) -> Option<Transition> {
        self.0.settled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn ran_for(&self) -> Duration {
        self.0.claimed_at.elapsed()
    }

    /// Asks the handler to stop; the first reason stands.
    pub(crate) fn halt(&self, why: Stop) {
        if self.0.reason.set(why).is_ok() {
            self.0.stop.cancel();
        }
    }

    /// What the verdict makes of the row.
    pub(crate) fn transition(&self, verdict: Verdict) -> Option<Transition> {
        let facts = Facts {
            attempt: self.0.row.attempt,
            max_attempts: self.0.row.max_attempts,
            age: self.age(),
            snooze_min: self.0.engine.config.snooze_min,
            jitter: rand::random(),
        };
        outcome::decide(verdict, facts, &self.0.row.spec.retry)
    }

    fn statement<const N: usize>(&self, sql: &'static str, more: [Value; N]) -> Statement {
        let fence: [Value; 3] = [self.0.row.id.into(), self.0.row.epoch.into(), self.0.row.worker.into()];
        Statement::from_sql_and_values(sea_orm::DbBackend::Postgres, sql, fence.into_iter().chain(more))
    }

    fn end_statement(&self, end: &Transition) -> Statement {
        let values: [Value; 9] = [
            self.0.row.id.into(),
            self.0.row.epoch.into(),
            self.0.row.worker.into(),
            (end.turn as i16).into(),
            end.delay_ms.into(),
            end.reason.clone().into(),
            end.class.clone().into(),
            end.error.clone().into(),
            end.template().into(),
        ];
        Statement::from_sql_and_values(sea_orm::DbBackend::Postgres, sql::COMPLETE_ONE.as_str(), values)
    }

    fn lost(&self) -> CtxError {
        self.halt(Stop::Fenced);
        CtxError::Lost(self.id())
    }

    fn failed(&self, source: DbErr) -> CtxError {
        CtxError::Database { id: self.id(), source }
    }
}

impl std::fmt::Debug for JobCtx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Claimed { id, epoch, attempt, .. } = &self.0.row;
        f.debug_struct("JobCtx").field("id", id).field("epoch", epoch).field("attempt", attempt).finish_non_exhaustive()
    }
}
