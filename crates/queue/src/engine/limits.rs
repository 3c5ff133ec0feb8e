//! Queues that allow only so many running jobs, in all or of one key.
//!
//! Their row in `queue.queue` is locked first and the running jobs are counted by a second statement, which sees what the
//! holder of the lock before us committed. Counting rows, not tickets, means that rescue frees what a dead worker held.

use super::{db::Fail, db::Hot, lane::Lane};
use crate::sql;
use sqlx::{Acquire, Row, postgres::PgRow};
use std::{collections::HashSet, sync::Arc};
use uuid::Uuid;

/// Which queues have limits, as of the last look. Only a hint: every claim reads the truth.
#[derive(Default)]
pub(super) struct Limits {
    queues: HashSet<String>,
}

impl Limits {
    pub(super) fn has(&self, queue: &str) -> bool {
        self.queues.contains(queue)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    pub(super) fn queues(&self) -> Vec<String> {
        self.queues.iter().cloned().collect()
    }

    pub(super) async fn look(&mut self, hot: &mut Hot) -> Result<(), Fail> {
        let limited = "SELECT name FROM queue.queue WHERE max_running IS NOT NULL OR key_max IS NOT NULL";
        let rows = hot.run(move |connection| Box::pin(sqlx::query(limited).fetch_all(connection))).await?;
        self.queues = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
        Ok(())
    }
}

/// Claims in one limited queue, for lanes with that many slots reserved.
pub(super) async fn claim(
    hot: &mut Hot,
    worker: Uuid,
    queue: String,
    lanes: &[(Arc<Lane>, i64)],
    longest_run: serde_json::Value,
) -> Result<Vec<PgRow>, Fail> {
    let kinds: Vec<&str> = lanes.iter().map(|(lane, _)| lane.kind()).collect();
    let versions: Vec<i16> = lanes.iter().map(|(lane, _)| lane.schema_ver).collect();
    let free: Vec<i32> = lanes.iter().map(|(_, free)| i32::try_from(*free).unwrap_or(i32::MAX)).collect();
    hot.run(move |connection| {
        Box::pin(async move {
            let mut tx = connection.begin().await?;
            let lock = "SELECT max_running, key_max, paused_at IS NOT NULL AND (paused_until IS NULL OR paused_until > now()) AS paused \
                 FROM queue.queue WHERE name = $1 FOR NO KEY UPDATE";
            let Some(rule) = sqlx::query(lock).bind(&queue).fetch_optional(&mut *tx).await? else { return Ok(vec![]) };
            if rule.try_get::<bool, _>("paused")? {
                return Ok(vec![]);
            }
            let (most, most_of_key): (Option<i32>, Option<i32>) = (rule.try_get(0)?, rule.try_get(1)?);
            let claim = sqlx::query(sql::CLAIM_LIMITED).bind(worker).bind(&queue).bind(kinds).bind(versions).bind(free);
            let rows = claim.bind(longest_run).bind(most).bind(most_of_key).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            Ok(rows)
        })
    })
    .await
}
