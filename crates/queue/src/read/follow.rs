//! The tail of what ends, attempt by attempt.

use super::{Error, reading};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Statement};
use serde::Serialize;
use std::collections::HashSet;
use uuid::Uuid;

/// One ended attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptRow {
    /// The job.
    pub job_id: Uuid,
    /// Number of the attempt.
    pub attempt: i32,
    /// Its fencing token.
    pub epoch: i64,
    /// The kind.
    pub kind: String,
    /// Who ran it.
    pub worker_id: Option<Uuid>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// completed, failed, snoozed, discarded, cancelled, lost or handed_back.
    pub outcome: String,
    /// Class of its error.
    pub error_class: Option<String>,
    /// Its error.
    pub error: Option<String>,
}

const OUTCOMES: [&str; 7] = ["completed", "failed", "snoozed", "discarded", "cancelled", "lost", "handed_back"];

impl FromQueryResult for AttemptRow {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, sea_orm::DbErr> {
        let outcome: i16 = row.try_get(prefix, "outcome")?;
        let word = usize::try_from(outcome).ok().and_then(|at| OUTCOMES.get(at)).copied().unwrap_or("unknown");
        Ok(AttemptRow {
            job_id: row.try_get(prefix, "job_id")?,
            attempt: row.try_get(prefix, "attempt")?,
            epoch: row.try_get(prefix, "epoch")?,
            kind: row.try_get(prefix, "kind")?,
            worker_id: row.try_get(prefix, "worker_id")?,
            started_at: row.try_get(prefix, "started_at")?,
            ended_at: row.try_get(prefix, "ended_at")?,
            outcome: word.to_owned(),
            error_class: row.try_get(prefix, "error_class")?,
            error: row.try_get(prefix, "error")?,
        })
    }
}

/// Most attempts in one answer; more are left for the next look.
const LOOK_MAX: i64 = 500;

/// Follows ended attempts from the moment of its first look on.
///
/// Commits become visible in another order than their timestamps, so each look reads the last seconds again and leaves
/// out what it has shown.
#[derive(Debug, Default)]
pub struct Follow {
    from: Option<DateTime<Utc>>,
    shown: HashSet<(Uuid, i64)>,
}

impl Follow {
    /// What has ended since the last look, oldest first. The first look shows nothing but marks the beginning.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn look<C: ConnectionTrait>(&mut self, db: &C) -> Result<Vec<AttemptRow>, Error> {
        let failed = reading("attempts");
        let Some(from) = self.from else {
            let now = Statement::from_string(DbBackend::Postgres, "SELECT now() AS now");
            let row = db.query_one_raw(now).await.map_err(&failed)?;
            self.from = row.map(|row| row.try_get("", "now")).transpose().map_err(&failed)?;
            return Ok(Vec::new());
        };
        // Two reads: what is new beyond the last seen end, and the last 5 s before it, where late commits appear.
        let tail = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT job_id, attempt, epoch, kind, worker_id, started_at, ended_at, outcome, error_class, left(error, 120) AS error \
             FROM queue.attempt WHERE ended_at > $1::timestamptz - interval '5 seconds' ORDER BY ended_at, job_id, attempt LIMIT $2",
            [from.into(), (LOOK_MAX + i64::try_from(self.shown.len()).unwrap_or(0)).into()],
        );
        let rows = AttemptRow::find_by_statement(tail).all(db).await.map_err(&failed)?;
        let recent: HashSet<_> = rows.iter().map(|row| (row.job_id, row.epoch)).collect();
        let fresh: Vec<_> = rows
            .into_iter()
            .filter(|row| row.ended_at >= from || !self.shown.is_empty())
            .filter(|row| !self.shown.contains(&(row.job_id, row.epoch)))
            .collect();
        if let Some(last) = fresh.iter().map(|row| row.ended_at).max() {
            self.from = Some(from.max(last));
        }
        self.shown = recent;
        Ok(fresh)
    }
}
