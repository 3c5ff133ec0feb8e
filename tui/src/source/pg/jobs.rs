//! Jobs as the queue's reads give them, made harmless.

use super::error::Fault;
use super::json;
use super::link::Session;
use crate::source::clean::Clean;
use crate::source::rows::{self, AttemptRow, JobBrief, JobCursor, JobPage, JobRow, JobView, Progress};
use domain::filter::{Filter, Pattern, Test};
use domain::standing::Standing;
use queue::read::{self, Brief, Cursor};
use std::collections::HashMap;
use uuid::Uuid;

/// What workers are called.
pub(super) struct Names(HashMap<Uuid, Clean>);

impl Names {
    /// Reads them.
    pub(super) async fn read(session: &Session) -> Result<Names, Fault> {
        let named = read::worker_names(session.db()).await?;
        Ok(Names(named.into_iter().filter_map(|worker| Some((worker.id, Clean::new(worker.pod?)))).collect()))
    }

    /// The pod of a worker, or the beginning of its id.
    pub(super) fn of(&self, worker: Uuid) -> Clean {
        self.0.get(&worker).cloned().unwrap_or_else(|| short(worker))
    }
}

/// Enough of an id to tell workers of today apart; its beginning is a time and nearly the same for all.
fn short(id: Uuid) -> Clean {
    let text = id.simple().to_string();
    Clean::new(&text[text.len() - 8..])
}

/// A page of jobs.
pub(super) async fn page(
    session: &Session,
    filter: &Filter,
    after: Option<JobCursor>,
    limit: u32,
) -> Result<JobPage, Fault> {
    let after = after.map(|JobCursor { live, at, id }| Cursor { live, at, id });
    let page = read::list_jobs(session.db(), filter, after, limit.min(rows::ROWS_MAX)).await?;
    let names = Names::read(session).await?;
    let next = page.next.map(|Cursor { live, at, id }| JobCursor { live, at, id });
    Ok(JobPage { rows: page.rows.into_iter().filter_map(|row| job(row, &names)).collect(), next, window: page.window })
}

/// Jobs of one recording.
pub(super) async fn of_recording(session: &Session, id: &str, names: &Names) -> Result<Vec<JobRow>, Fault> {
    let filter = Filter::of([Test::Recording(Pattern::Exact(id.to_owned()))]);
    let page = read::list_jobs(session.db(), &filter, None, rows::JOBS_MAX).await?;
    Ok(page.rows.into_iter().filter_map(|row| job(row, names)).collect())
}

/// One row; none when its state is of a newer schema.
fn job(row: read::JobRow, names: &Names) -> Option<JobRow> {
    Some(JobRow {
        id: row.id,
        queue: row.queue.into(),
        kind: row.kind.into(),
        standing: Standing::parse(&row.state)?,
        subject: row.subject.map(Clean::new),
        owner: row.owner_id.map(Clean::new),
        attempt: count(row.attempt),
        max_attempts: count(row.max_attempts),
        crashes: count(row.crashes.into()),
        snoozes: count(row.snoozes),
        run_at: row.run_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        worker: row.worker_id.map(|worker| names.of(worker)),
        reason: row.reason.map(Clean::new),
        error_class: row.error_class.map(Clean::new),
        error: row.error.map(Clean::new),
        created_at: row.created_at,
    })
}

/// Columns of counts are signed and never negative.
pub(super) fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// Everything about one job.
pub(super) async fn view(session: &Session, id: Uuid) -> Result<Option<JobView>, Fault> {
    let Some(found) = read::show_job(session.db(), id).await? else { return Ok(None) };
    let names = Names::read(session).await?;
    let attempts = found.attempts.into_iter().map(|row| attempt(row, &names)).collect();
    let Some(row) = job(found.row, &names) else { return Ok(None) };
    Ok(Some(JobView {
        row,
        unique_key: found.unique_key.map(Clean::new),
        priority: found.priority,
        cancel_at: found.cancel_at,
        payload_cut: found.payload.chars().count() >= read::PAYLOAD_MAX,
        payload: json::lines(&found.payload),
        checkpoint: found.checkpoint.map_or_else(Vec::new, |saved| json::lines(&saved.to_string())),
        attempts,
        progress: found.progress.map(progress),
    }))
}

fn attempt(row: read::AttemptRow, names: &Names) -> AttemptRow {
    AttemptRow {
        attempt: count(row.attempt),
        outcome: row.outcome.into(),
        worker: row.worker_id.map(|worker| names.of(worker)),
        started_at: row.started_at,
        ended_at: row.ended_at,
        error_class: row.error_class.map(Clean::new),
        error: row.error.as_deref().map_or_else(Vec::new, Clean::lines),
    }
}

/// How far an attempt has come.
pub(super) fn progress(row: read::ProgressRow) -> Progress {
    Progress {
        pct: row.pct,
        done: row.done.and_then(|n| u64::try_from(n).ok()),
        total: row.total.and_then(|n| u64::try_from(n).ok()),
        unit: row.unit.map(Clean::new),
        stage: row.stage.map(Clean::new),
        eta_s: row.eta_s.and_then(|n| u32::try_from(n).ok()),
        at: row.at,
    }
}

/// The least about a job.
pub(super) fn brief(row: Brief) -> Option<JobBrief> {
    Some(JobBrief {
        id: row.id,
        kind: row.kind.into(),
        standing: Standing::parse(&row.state)?,
        attempt: count(row.attempt),
        error: row.error.map(Clean::new),
    })
}
