//! How much work there is: what metrics say of every queue, and the one number that decides how many workers there are.

use super::{COUNT_MAX, Error, reading};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};
use serde::Serialize;

/// The load of some queues: what runs and what could run now. A paused queue counts what runs only, else its workers
/// would stand at their maximum doing nothing. Due rows count before they are brought forward, because that may lag;
/// pending ones never do, because nobody can run them.
///
/// An autoscaler asks this very text, as role `spool_scaler`, with `{queues}` as SQL literals between commas and `{most}`
/// as the number of jobs above which more of them change nothing: the workers at most times their concurrency.
///
/// A state that comes from a row, and an order within its cell, leave the planner `job_live` alone, see
/// [`super::queues`]: so it reads no more than it counts, however many jobs wait or are scheduled.
pub const LOAD: &str = "SELECT count(*) FROM (
  SELECT FROM queue.queue AS q
  CROSS JOIN (VALUES (1::int2), (2::int2), (3::int2), (4::int2)) AS s (state)
  CROSS JOIN LATERAL (
    SELECT FROM queue.job AS job
    WHERE job.queue = q.name AND job.state = s.state
      AND job.run_at <= CASE WHEN s.state IN (2, 3) THEN 'infinity'::timestamptz ELSE now() END
    ORDER BY job.run_at, job.id LIMIT {most}
  ) AS job
  WHERE q.name IN ({queues})
    AND (s.state = 3 OR q.paused_at IS NULL OR q.paused_until <= now())
  LIMIT {most}
) AS load";

/// [`LOAD`] with its two places filled in.
///
/// # Panics
/// A queue's name has a character that no name has: the names come from the settings of the program.
pub fn load_sql(queues: &[&str], most: i64) -> String {
    let literals: Vec<_> = queues.iter().map(|queue| literal(queue)).collect();
    LOAD.replace("{queues}", &literals.join(", ")).replace("{most}", &most.to_string())
}

fn literal(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    assert!(plain, "a queue's name is letters, digits, _ and -: {name:?}");
    format!("'{name}'")
}

/// The load of `queues` together, counted up to `most`.
///
/// # Errors
/// The database did not answer.
pub async fn load<C: ConnectionTrait>(db: &C, queues: &[&str], most: i64) -> Result<i64, Error> {
    let statement = Statement::from_string(DbBackend::Postgres, load_sql(queues, most));
    let row = db.query_one_raw(statement).await.map_err(reading("load"))?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0)).map_err(reading("load"))
}

/// What metrics say of one queue. Counts end at [`COUNT_MAX`], which then reads "this many or more".
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct QueueGauges {
    /// Its name.
    pub name: String,
    /// It is paused now.
    pub paused: bool,
    /// Jobs kept for others.
    pub pending: i64,
    /// Jobs with a time in the future, and those that are due and not yet brought forward.
    pub scheduled: i64,
    /// Jobs that may run now.
    pub available: i64,
    /// Jobs running.
    pub running: i64,
    /// Jobs that failed and run again.
    pub retryable: i64,
    /// What [`load`] says of this queue alone, as long as no count is at its end.
    pub load: i64,
    /// How long the oldest job that could run has waited, in seconds; 0 when there is none.
    pub oldest_s: f64,
    /// Live workers that take jobs from it; one that drains does not.
    pub workers: i64,
}

/// What metrics say of every queue.
///
/// # Errors
/// The database did not answer.
pub async fn gauges<C: ConnectionTrait>(db: &C) -> Result<Vec<QueueGauges>, Error> {
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, GAUGES, [COUNT_MAX.into()]);
    QueueGauges::find_by_statement(statement).all(db).await.map_err(reading("gauges of the queues"))
}

const GAUGES: &str = "SELECT q.name, q.paused, cells.pending, cells.scheduled, cells.available, cells.running, cells.retryable, \
      cells.running + CASE WHEN q.paused THEN 0 ELSE cells.runnable END AS load, cells.oldest_s, \
      (SELECT count(*) FROM queue.worker AS w WHERE w.lease_until > now() AND NOT w.draining \
        AND EXISTS (SELECT FROM jsonb_array_elements_text(w.kinds) AS k (lane) WHERE split_part(k.lane, '/', 1) = q.name)) AS workers \
    FROM (SELECT name, paused_at IS NOT NULL AND (paused_until IS NULL OR paused_until > now()) AS paused \
          FROM queue.queue ORDER BY name LIMIT 1000) AS q \
    CROSS JOIN LATERAL (SELECT max(cell.jobs) FILTER (WHERE s.state = 0) AS pending, \
        max(cell.jobs) FILTER (WHERE s.state = 1) AS scheduled, max(cell.jobs) FILTER (WHERE s.state = 2) AS available, \
        max(cell.jobs) FILTER (WHERE s.state = 3) AS running, max(cell.jobs) FILTER (WHERE s.state = 4) AS retryable, \
        (sum(cell.due) FILTER (WHERE s.state IN (1, 2, 4)))::int8 AS runnable, \
        greatest(coalesce(extract(epoch FROM now() - min(cell.oldest) FILTER (WHERE s.state IN (1, 2, 4)))::float8, 0), 0) AS oldest_s \
      FROM (VALUES (0::int2), (1::int2), (2::int2), (3::int2), (4::int2)) AS s (state) \
      CROSS JOIN LATERAL (SELECT count(*) AS jobs, min(job.run_at) AS oldest, \
          count(*) FILTER (WHERE s.state = 2 OR job.run_at <= now()) AS due \
        FROM (SELECT job.run_at FROM queue.job AS job WHERE job.queue = q.name AND job.state = s.state \
          ORDER BY job.run_at, job.id LIMIT $1) AS job) AS cell) AS cells \
    ORDER BY q.name";
