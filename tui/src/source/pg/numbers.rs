//! Numbers, workers and queues.

use super::error::Fault;
use super::jobs::{Names, count as unsigned};
use super::link::Session;
use super::recordings;
use crate::source::clean::Clean;
use crate::source::rows::{Number, NumberKind, Numbers, Pause, QueueRow, RUNNING_MAX, RunningJob, WorkerRow};
use domain::filter::Filter;
use queue::read::{self, COUNT_MAX};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use std::collections::BTreeSet;

/// A cell that was counted up to the bound.
fn cell(n: i64) -> Number {
    capped(n, n >= COUNT_MAX)
}

/// `n`, or that many or more: the bound itself is one more than what is shown.
pub(super) fn capped(n: i64, capped: bool) -> Number {
    let n = u64::try_from(n).unwrap_or(0);
    if capped {
        Number { n: n.saturating_sub(1), kind: NumberKind::Capped, at: None }
    } else {
        Number { n, kind: NumberKind::Exact, at: None }
    }
}

/// The numbers of the header.
pub(super) async fn header(session: &Session) -> Result<Numbers, Fault> {
    let mut live = [capped(0, false); 5];
    for row in read::live_counts(session.db()).await? {
        if let Some(number) = usize::try_from(row.state).ok().and_then(|at| live.get_mut(at)) {
            *number = capped(row.jobs, row.capped);
        }
    }
    let found = read::ended_counts(session.db()).await?;
    let mut ended = found.counted.map(cell);
    if ended[0].kind == NumberKind::Capped {
        // Nearly all of them were completed: all that there are, less those that were not.
        let others: u64 = ended[1..].iter().map(|number| number.n).sum();
        let n = u64::try_from(found.estimate).unwrap_or(0).saturating_sub(others).max(ended[0].n);
        ended[0] = Number { n, kind: NumberKind::Estimate, at: found.estimated_at };
    }
    let queues = read::queues(session.db()).await?;
    let paused = queues.into_iter().filter(|queue| queue.paused).map(|queue| Clean::new(queue.name)).collect();
    let workers = read::workers(session.db()).await?.iter().filter(|worker| worker.lease_left_s > 0.0).count();
    Ok(Numbers {
        live,
        ended,
        recordings: recordings::counts(session).await?,
        workers: workers as u64,
        paused,
        oldest_ended_at: found.oldest_at,
    })
}

/// An exact count of jobs.
pub(super) async fn count(session: &Session, filter: &Filter) -> Result<Number, Fault> {
    let n = read::count_jobs(session.db(), filter).await?;
    Ok(Number { n, kind: NumberKind::Exact, at: Some(session.now) })
}

/// Every worker with what it runs.
pub(super) async fn workers(session: &Session) -> Result<Vec<WorkerRow>, Fault> {
    let names = Names::read(session).await?;
    let mut running = read::running(session.db()).await?;
    let workers = read::workers(session.db()).await?;
    let row = |worker: read::WorkerRow| {
        let (mine, others) = running.drain(..).partition(|job| job.worker_id == worker.id);
        running = others;
        let mine: Vec<read::RunningRow> = mine;
        WorkerRow {
            id: worker.id,
            name: names.of(worker.id),
            node: worker.node.map(Clean::new),
            version: worker.version.map(Clean::new),
            queues: queues_of(worker.kinds.as_ref()),
            slots: worker.slots.map(unsigned),
            busy: worker.busy.map(unsigned),
            draining: worker.draining,
            memory_bytes: worker.rss_kb.map(|kb| u64::from(unsigned(kb)) * 1024),
            started_at: worker.started_at,
            lease_until: worker.lease_until,
            running: mine.into_iter().take(RUNNING_MAX).map(running_job).collect(),
        }
    };
    Ok(workers.into_iter().map(row).collect())
}

/// `["control/cleanup", "mux/mux"]` names two queues.
fn queues_of(kinds: Option<&serde_json::Value>) -> Vec<Clean> {
    let lanes = kinds.and_then(serde_json::Value::as_array).into_iter().flatten().filter_map(|lane| lane.as_str());
    let queues: BTreeSet<&str> = lanes.map(|lane| lane.split('/').next().unwrap_or_default()).collect();
    queues.into_iter().map(Clean::new).collect()
}

fn running_job(row: read::RunningRow) -> RunningJob {
    RunningJob {
        id: row.id,
        kind: row.kind.into(),
        subject: row.subject.map(Clean::new),
        attempt: unsigned(row.attempt),
        started_at: row.started_at,
        pct: row.pct,
    }
}

/// Every queue with what is in it.
pub(super) async fn queues(session: &Session) -> Result<Vec<QueueRow>, Fault> {
    let flow = read::flow(session.db()).await?;
    let row = |row: read::QueueRow| {
        let flow = flow.iter().find(|flow| flow.queue == row.name);
        let number = |n: i64| u64::try_from(n).unwrap_or(0);
        QueueRow {
            paused: row.paused.then(|| Pause {
                at: row.paused_at,
                by: row.paused_by.map(Clean::new),
                reason: row.paused_reason.map(Clean::new),
                until: row.paused_until,
            }),
            max_running: row.max_running.map(unsigned),
            key_max: row.key_max.map(unsigned),
            scheduled: cell(row.scheduled),
            available: cell(row.available),
            running: cell(row.running),
            retryable: cell(row.retryable),
            oldest_at: row.oldest_at,
            flow: flow.map_or((0, 0), |flow| (number(flow.ok), number(flow.err))),
            name: row.name.into(),
        }
    };
    Ok(read::queues(session.db()).await?.into_iter().map(row).collect())
}

/// One statement without values.
pub(super) async fn rows(session: &Session, sql: &str) -> Result<Vec<sea_orm::QueryResult>, Fault> {
    Ok(session.db().query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?)
}
