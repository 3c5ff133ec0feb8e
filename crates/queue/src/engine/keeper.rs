//! The rounds that any one worker must do and every worker does: take back what died, bring due rows forward, fire the
//! schedule, keep the partitions. Leaderless: each round takes rows with SKIP LOCKED or by compare-and-set, so doing it
//! twice changes nothing.

use super::{
    Event, Shared, TakenBack,
    db::{Fail, Hot, call},
    depth,
    event::job_word,
};
use crate::{config::jittered, sql};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sqlx::{Row, postgres::PgRow};
use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

type Loop = fn(Arc<Shared>) -> BoxFuture<'static, ()>;

pub(super) const LOOPS: [(&str, Loop); 5] = [
    ("rescue", |shared| Box::pin(rescue(shared))),
    ("promote", |shared| Box::pin(promote(shared))),
    ("schedule", |shared| Box::pin(schedule(shared))),
    ("partitions", |shared| Box::pin(partitions(shared))),
    ("depth", |shared| Box::pin(depth::run(shared))),
];

/// Most rows one rescue takes, and most rescues without a pause.
const RESCUE_BATCH: i32 = 200;
const RESCUE_ROUNDS: u32 = 20;
/// Most rows one promotion takes, and most promotions without a pause.
const PROMOTE_BATCH: i32 = 500;
const PROMOTE_ROUNDS: u32 = 20;
/// Bound of a call that moves many rows or partitions.
const LONG_CALL: Duration = Duration::from_secs(30);
/// Time between two looks at the schedule; its finest entry is a minute.
const SCHEDULE_EVERY: Duration = Duration::from_secs(5);
/// Time between two looks at the partitions, and how far ahead they are made.
const PARTITIONS_EVERY: Duration = Duration::from_secs(6 * 3600);
const DAYS_AHEAD: i32 = 3;

/// Sleeps; false when the engine has stopped or this process does no upkeep.
pub(super) async fn pause(shared: &Shared, wait: Duration) -> bool {
    if !shared.config.upkeep {
        shared.stopped.cancelled().await;
        return false;
    }
    tokio::select! { () = sleep(wait) => true, () = shared.stopped.cancelled() => false }
}

async fn rescue(shared: Arc<Shared>) {
    // A connection of its own, as the heart has: handlers that hold the whole pool are no outage, and must not keep the
    // jobs of dead workers waiting for a lease.
    let mut hot = Hot::new(&shared.pool, "spool rescue", shared.config.call);
    // After a failed call nothing is rescued for one lease: an outage lets every lease end at once, and the processes
    // behind them are as alive as this one. The same holds after a start of the database; the statement knows that.
    let mut blind_until: Option<Instant> = None;
    while pause(&shared, shared.config.rescue_wait(rand::random())).await {
        if blind_until.is_some_and(|until| until > Instant::now()) {
            // Asked all the same, so that a second outage is noticed.
            if hot.run(|c| Box::pin(sqlx::query("SELECT 1").execute(c))).await.is_err() {
                blind_until = Some(Instant::now() + shared.config.lease);
            }
            continue;
        }
        match rescue_all(&shared, &mut hot).await {
            Ok(()) => {}
            Err(Fail::Away(_)) => blind_until = Some(Instant::now() + shared.config.lease),
            Err(fail) => {
                tracing::warn!(error = %fail, "rescue of a batch refused, going through it one by one");
                rescue_one_by_one(&shared, &mut hot).await;
            }
        }
    }
}

/// As long as there is something: many dead workers, or one with many jobs, must not wait for another round each.
async fn rescue_all(shared: &Shared, hot: &mut Hot) -> Result<(), Fail> {
    for _ in 0..RESCUE_ROUNDS {
        if rescue_once(shared, hot, RESCUE_BATCH, None, false).await? == 0 {
            return Ok(());
        }
        // The bell is for the others; this process need not wait to hear it.
        shared.wake();
    }
    Ok(())
}

async fn rescue_once(
    shared: &Shared,
    hot: &mut Hot,
    most: i32,
    only: Option<Uuid>,
    give_way: bool,
) -> Result<usize, Fail> {
    let (lease_ms, margin_ms) = (millis(shared.config.lease), overdue_ms(shared));
    let bound_ms = millis(shared.config.call);
    let exchange = hot.run(move |connection| {
        Box::pin(async move {
            let until = "SELECT now() + $1::float8 * interval '1 millisecond'";
            let until: DateTime<Utc> = sqlx::query_scalar(until).bind(bound_ms).fetch_one(&mut *connection).await?;
            let rescue = sqlx::query(sql::RESCUE).bind(lease_ms).bind(most).bind(only);
            rescue.bind(margin_ms).bind(give_way).bind(until).fetch_all(connection).await
        })
    });
    let rows: Vec<PgRow> = exchange.await?;
    for row in &rows {
        let (id, turn): (Uuid, i16) = (row.try_get("id").unwrap_or_default(), row.try_get("turn").unwrap_or_default());
        let (kind, queue): (String, String) =
            (row.try_get("kind").unwrap_or_default(), row.try_get("queue").unwrap_or_default());
        let reason: Option<String> = row.try_get("reason").unwrap_or_default();
        shared.tell(|| {
            let reason = reason.as_deref().filter(|_| turn == 1).unwrap_or_default();
            let (lost, job) = (row.try_get("lost").unwrap_or_default(), job_word(turn));
            Some(Event::TakenBack(TakenBack { queue: &queue, kind: &kind, lost, job, reason }))
        });
        if turn == 1 {
            tracing::error!(job.id = %id, job.kind = kind, "job given up by rescue");
        } else {
            tracing::warn!(job.id = %id, job.kind = kind, "job taken back");
        }
    }
    shared.counters.rescued.fetch_add(rows.len() as u64, Ordering::Relaxed);
    ring(shared, &rows, "queue");
    Ok(rows.len())
}

async fn rescue_one_by_one(shared: &Shared, hot: &mut Hot) {
    let margin_ms = overdue_ms(shared);
    let found = hot.run(move |connection| Box::pin(sqlx::query(sql::CANDIDATES).bind(margin_ms).fetch_all(connection)));
    let Ok(rows) = found.await else { return };
    for id in rows.iter().filter_map(|row| row.try_get::<Uuid, _>(0).ok()) {
        let outcome = match rescue_once(shared, hot, 1, Some(id), false).await {
            // A newer job took the key between the look and the write.
            Err(Fail::Duplicate) => rescue_once(shared, hot, 1, Some(id), true).await,
            other => other,
        };
        if let Err(fail) = outcome {
            tracing::error!(job.id = %id, error = %fail, "job not taken back");
        }
    }
}

/// A job that is still running this long after its deadline has a worker that cannot stop it.
fn overdue_ms(shared: &Shared) -> f64 {
    millis(shared.config.grace * 2 + shared.config.lease)
}

fn millis(wait: Duration) -> f64 {
    wait.as_secs_f64() * 1000.0
}

async fn promote(shared: Arc<Shared>) {
    // Every job that was tried or snoozed waits for this loop, so it must not wait long for a connection that is dead. A
    // database that is only slow gets less to do until it answers in time.
    let mut most = PROMOTE_BATCH;
    while pause(&shared, jittered(shared.config.poll)).await {
        for _ in 0..PROMOTE_ROUNDS {
            let promoted = call(&shared.pool, shared.config.call, |connection| {
                Box::pin(sqlx::query(sql::PROMOTE).bind(most).bind(None::<Uuid>).fetch_all(connection))
            });
            match promoted.await {
                Ok(rows) if rows.is_empty() => break,
                Ok(rows) => {
                    ring(&shared, &rows, "queue");
                    shared.wake();
                    if rows.len() < most as usize {
                        break;
                    }
                    most = (most * 2).min(PROMOTE_BATCH);
                }
                Err(fail) => {
                    most = (most / 4).max(1);
                    tracing::debug!(error = %fail, "due jobs not brought forward");
                    if matches!(fail, Fail::Duplicate) {
                        promote_one_by_one(&shared).await;
                    }
                    break;
                }
            }
        }
    }
}

/// A due row whose key somebody else holds in the state it would get: the others must not wait for it.
async fn promote_one_by_one(shared: &Shared) {
    let due = "SELECT id FROM queue.job WHERE state IN (1, 4) AND run_at <= now() ORDER BY run_at LIMIT 500";
    let found = call(&shared.pool, shared.config.call, move |c| Box::pin(sqlx::query(due).fetch_all(c))).await;
    for id in found.iter().flatten().filter_map(|row| row.try_get::<Uuid, _>(0).ok()) {
        let promoted = call(&shared.pool, shared.config.call, move |connection| {
            Box::pin(sqlx::query(sql::PROMOTE).bind(1).bind(Some(id)).execute(connection))
        });
        if let Err(fail) = promoted.await {
            tracing::error!(job.id = %id, error = %fail, "due job not brought forward");
        }
    }
}

async fn schedule(shared: Arc<Shared>) {
    while pause(&shared, jittered(SCHEDULE_EVERY.min(shared.config.rescue))).await {
        let due = "SELECT name FROM queue.schedule WHERE enabled AND next_at <= now() ORDER BY name LIMIT 100";
        let found = call(&shared.pool, shared.config.call, move |c| Box::pin(sqlx::query(due).fetch_all(c))).await;
        for name in found.iter().flatten().filter_map(|row| row.try_get::<String, _>(0).ok()) {
            let fired = call(&shared.pool, shared.config.call, |connection| {
                Box::pin(sqlx::query(FIRE).bind(name.clone()).fetch_all(connection))
            });
            match fired.await {
                Ok(rows) => ring(&shared, &rows, "queue"),
                Err(fail) => tracing::warn!(schedule = name, error = %fail, "scheduled job not enqueued"),
            }
        }
    }
}

/// Moves the entry on and enqueues in one statement: of many workers that saw it due, the row lock lets one through, and
/// the others find it no longer due. Ticks that nobody was there for are left out, because such jobs take no input.
const FIRE: &str = "WITH fired AS ( \
      UPDATE queue.schedule AS s SET last_at = now(), \
        next_at = s.next_at + s.every * (floor(extract(epoch FROM now() - s.next_at) / extract(epoch FROM s.every)) + 1) \
      WHERE s.name = $1 AND s.enabled AND s.next_at <= now() RETURNING s.kind) \
    SELECT k.queue, e.job_id FROM fired JOIN queue.kind AS k ON k.kind = fired.kind \
    CROSS JOIN LATERAL queue.enqueue(queue.uuid_v7(), k.queue, k.kind, '{}'::jsonb, NULL, NULL, k.kind, NULL, 'keep') AS e";

async fn partitions(shared: Arc<Shared>) {
    let mut wait = Duration::ZERO;
    while pause(&shared, wait).await {
        let keep_ms = millis(shared.config.keep);
        let kept = call(&shared.pool, LONG_CALL, move |connection| {
            let keep =
                "SELECT queue.ensure_partitions($1), queue.drop_partitions($2::float8 * interval '1 millisecond')";
            Box::pin(sqlx::query(keep).bind(DAYS_AHEAD).bind(keep_ms).fetch_one(connection))
        });
        wait = match kept.await {
            Ok(_) => {
                prune(&shared, keep_ms).await;
                jittered(PARTITIONS_EVERY)
            }
            Err(fail) => {
                tracing::warn!(error = %fail, "partitions not kept, trying again soon");
                jittered(Duration::from_secs(60))
            }
        };
    }
}

/// What old rows lie outside of the daily partitions: those of a day that had none yet, and the numbers per minute.
const PRUNE: [&str; 4] = [
    "DELETE FROM queue.job_archive_default AS a WHERE a.ctid = ANY (ARRAY(SELECT o.ctid FROM queue.job_archive_default AS o \
     WHERE o.finished_at < now() - $1::float8 * interval '1 millisecond' LIMIT 5000))",
    "DELETE FROM queue.attempt_default AS a WHERE a.ctid = ANY (ARRAY(SELECT o.ctid FROM queue.attempt_default AS o \
     WHERE o.ended_at < now() - $1::float8 * interval '1 millisecond' LIMIT 5000))",
    "DELETE FROM queue.stat AS a WHERE a.ctid = ANY (ARRAY(SELECT o.ctid FROM queue.stat AS o \
     WHERE o.minute < now() - $1::float8 * interval '1 millisecond' LIMIT 5000))",
    "DELETE FROM queue.depth AS a WHERE a.ctid = ANY (ARRAY(SELECT o.ctid FROM queue.depth AS o \
     WHERE o.at < now() - $1::float8 * interval '1 millisecond' LIMIT 5000))",
];
/// Most rounds of one statement; what is left waits for the next time.
const PRUNE_ROUNDS: u32 = 100;

async fn prune(shared: &Shared, keep_ms: f64) {
    for statement in PRUNE {
        for _ in 0..PRUNE_ROUNDS {
            let pruned = call(&shared.pool, LONG_CALL, move |connection| {
                Box::pin(sqlx::query(statement).bind(keep_ms).execute(connection))
            });
            match pruned.await {
                Ok(done) if done.rows_affected() > 0 => {}
                Ok(_) => break,
                Err(fail) => {
                    tracing::warn!(error = %fail, "old rows not pruned");
                    break;
                }
            }
        }
    }
}

fn ring(shared: &Shared, rows: &[PgRow], column: &str) {
    let queues: HashSet<String> = rows.iter().filter_map(|row| row.try_get(column).ok()).collect();
    for queue in queues {
        shared.bell.ring(&queue);
    }
}
