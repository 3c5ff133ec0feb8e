//! Tells the database which kinds there are: enqueue, rescue and operators read the rules there.

use domain::job::KindSpec;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde_json::json;

/// Declares the kinds and their queues; returns how many were new or changed. Kinds that are left out stay: a newer
/// program may have declared them during a rolling update.
///
/// # Errors
/// The database did not take it.
pub async fn sync<C: ConnectionTrait>(db: &C, kinds: &[KindSpec]) -> Result<i32, DbErr> {
    let declared: serde_json::Value = kinds.iter().map(declaration).collect();
    let declare = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT queue.declare_kinds($1::jsonb) AS n",
        [declared.into()],
    );
    let row = db.query_one_raw(declare).await?;
    row.map_or(Ok(0), |row| row.try_get("", "n"))
}

fn declaration(spec: &KindSpec) -> serde_json::Value {
    json!({
        "kind": spec.name,
        "queue": spec.queue.as_str(),
        "priority": spec.priority,
        "max_attempts": i32::try_from(spec.retry.attempts_max).unwrap_or(i32::MAX),
        "unique_mask": spec.unique_mask,
        "max_runtime_s": spec.max_runtime.as_secs_f64(),
        "on_end": spec.on_end.map(|kind| kind.as_str()),
        "crash_cap": spec.crash_cap,
    })
}

/// Enqueues a kind at fixed intervals, once among all workers; an entry that exists keeps its next time.
///
/// # Errors
/// The database did not take it.
pub async fn schedule<C: ConnectionTrait>(db: &C, kind: &str, every: std::time::Duration) -> Result<(), DbErr> {
    let entry = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "INSERT INTO queue.schedule (name, kind, every, next_at) VALUES ($1, $1, $2::float8 * interval '1 second', now()) \
         ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, every = excluded.every",
        [kind.into(), every.as_secs_f64().into()],
    );
    db.execute_raw(entry).await.map(|_| ())
}
