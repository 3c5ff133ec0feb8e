//! `spool job show`: everything about one job.

use super::no_job;
use crate::cli::exit::Exit;
use crate::cli::output::{self, Output};
use ::queue::read::{self, AttemptRow, JobView, ProgressRow};
use ::worker::db::settings;
use chrono::{DateTime, Utc};
use sea_orm::DatabaseConnection;
use uuid::Uuid;

/// Shows it.
pub(super) async fn run(db: &DatabaseConnection, id: Uuid, out: Output) -> anyhow::Result<Exit> {
    let job = read::show_job(db, id).await?.ok_or_else(|| no_job(id))?;
    let now = settings::now(db).await?;
    out.answer(&job, |job| text(job, now))?;
    Ok(Exit::Ok)
}

fn text(job: &JobView, now: DateTime<Utc>) -> String {
    let row = &job.row;
    let optional = |value: &Option<String>| value.clone().unwrap_or_default();
    let facts = output::facts(&[
        ("job", row.id.to_string()),
        ("kind", format!("{} on queue {}", row.kind, row.queue)),
        ("state", format!("{}, {}", row.state, super::when(row, now))),
        ("reason", optional(&row.reason)),
        ("recording", optional(&row.subject)),
        ("owner", optional(&row.owner_id)),
        ("unique key", optional(&job.unique_key)),
        (
            "attempts",
            format!("{} of {}, {} snoozes, {} crashes", row.attempt, row.max_attempts, row.snoozes, row.crashes),
        ),
        ("error", optional(&row.error)),
        ("progress", job.progress.as_ref().map(progress).unwrap_or_default()),
        ("cancel asked", job.cancel_at.map(|at| at.to_rfc3339()).unwrap_or_default()),
        ("worker", row.worker_id.map(|id| id.to_string()).unwrap_or_default()),
        ("created", row.created_at.to_rfc3339()),
        ("payload", job.payload.clone()),
    ]);
    if job.attempts.is_empty() {
        return facts;
    }
    let headers = ["ATTEMPT", "OUTCOME", "TOOK", "ENDED", "WORKER", "ERROR"];
    format!("{facts}\n\n{}", output::table(headers, job.attempts.iter().map(|row| attempt(row, now)).collect()))
}

fn attempt(row: &AttemptRow, now: DateTime<Utc>) -> [String; 6] {
    let took = row.started_at.map(|at| format!("{:.3}s", (row.ended_at - at).as_seconds_f64().max(0.0)));
    [
        row.attempt.to_string(),
        row.outcome.clone(),
        output::or_dash(took),
        format!("{} ago", output::duration_s((now - row.ended_at).num_seconds())),
        output::or_dash(row.worker_id),
        output::or_dash(row.error.as_deref()),
    ]
}

/// How far a running job has come, in one phrase.
pub(super) fn progress(progress: &ProgressRow) -> String {
    let stage = progress.stage.clone();
    let share = progress.pct.map(|pct| format!("{pct:.0} %"));
    let count = progress.done.zip(progress.total).map(|(done, total)| format!("{done}/{total}"));
    let eta = progress.eta_s.map(|seconds| format!("{} left", output::duration_s(seconds.into())));
    [stage, share, count, eta].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
