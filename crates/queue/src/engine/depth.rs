//! How much waits, sampled for the history that consoles draw: `queue.depth`.
//!
//! One process samples for all: whoever holds the row `depth` of `queue.leader`. When it is gone another one takes over
//! within a period and a half. Samples fall on whole periods of the database's clock, so that two leaders in a row cannot
//! write one twice. A cell in which there is nothing has no row; that the sampling goes on is told by `queue.leader`.

use super::{Shared, db::call, keeper::pause};
use crate::{config::jittered, read::COUNT_MAX};
use std::{sync::Arc, time::Duration};

/// Bound of a sample: it reads up to [`COUNT_MAX`] rows of each cell.
const SAMPLE_CALL: Duration = Duration::from_secs(10);

pub(super) async fn run(shared: Arc<Shared>) {
    let period_ms = shared.config.sample.as_secs_f64() * 1000.0;
    while pause(&shared, jittered(shared.config.sample)).await {
        let holder = shared.lease.worker();
        let sampled = call(&shared.pool, SAMPLE_CALL, move |connection| {
            let sample = sqlx::query(SAMPLE).bind(holder).bind(period_ms).bind(COUNT_MAX);
            Box::pin(sample.execute(connection))
        });
        if let Err(fail) = sampled.await {
            tracing::debug!(error = %fail, "depth of the queues not sampled");
        }
    }
}

/// The row lock of the first part lets one through: the others find a leader whose time is not over, and count nothing.
/// A state that comes from a row, and an order within its cell, leave the planner `job_live` alone, as in
/// [`crate::read::queues`].
const SAMPLE: &str = "WITH led AS ( \
      INSERT INTO queue.leader AS old (name, holder, term, until) \
      VALUES ('depth', $1::uuid, 1, now() + 1.5 * $2::float8 * interval '1 millisecond') \
      ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until, \
        term = old.term + CASE WHEN old.holder = excluded.holder THEN 0 ELSE 1 END \
      WHERE old.holder = excluded.holder OR old.until IS NULL OR old.until <= now() \
      RETURNING old.term) \
    INSERT INTO queue.depth (at, queue, kind, state, n, oldest_at) \
    SELECT date_bin($2::float8 * interval '1 millisecond', now(), '2000-01-01'), q.name, cell.kind, s.state, cell.n, cell.oldest_at \
    FROM queue.queue AS q CROSS JOIN generate_series(0, 4) AS g (state) CROSS JOIN LATERAL (SELECT g.state::int2 AS state) AS s \
    CROSS JOIN LATERAL (SELECT job.kind, count(*) AS n, min(job.run_at) AS oldest_at FROM ( \
      SELECT job.kind, job.run_at FROM queue.job AS job WHERE job.queue = q.name AND job.state = s.state \
      ORDER BY job.run_at, job.id LIMIT $3::int8) AS job GROUP BY job.kind) AS cell \
    WHERE EXISTS (SELECT FROM led) \
    ON CONFLICT DO NOTHING";
