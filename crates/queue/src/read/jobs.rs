//! Pages of jobs: live ones by due time, then ended ones, newest first.

use super::narrow::{Driven, Query, Table, WINDOW, rest};
use super::{Error, reading};
use chrono::{DateTime, Utc};
use domain::filter::{Filter, Pattern};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::Serialize;
use uuid::Uuid;

/// Where the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cursor {
    /// The last row was a live job; else an ended one.
    pub live: bool,
    /// Its sort value: due time of a live job, end of an ended one.
    pub at: DateTime<Utc>,
    /// Its id, which breaks ties.
    pub id: Uuid,
}

/// One job in a list.
#[derive(Debug, Clone, PartialEq, Serialize, FromQueryResult)]
pub struct JobRow {
    /// The job.
    pub id: Uuid,
    /// Its queue.
    pub queue: String,
    /// Its kind.
    pub kind: String,
    /// The word of its state, or of its outcome when it has ended.
    pub state: String,
    /// Whom it is about.
    pub subject: Option<String>,
    /// Who pays for it.
    pub owner_id: Option<String>,
    /// Number of the last attempt, 0 before the first.
    pub attempt: i32,
    /// How many it may have.
    pub max_attempts: i32,
    /// How many attempts ended with their process.
    pub crashes: i16,
    /// How often it was put off.
    pub snoozes: i32,
    /// When it is due.
    pub run_at: DateTime<Utc>,
    /// When the last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Who runs it.
    pub worker_id: Option<Uuid>,
    /// Why it ended as it did.
    pub reason: Option<String>,
    /// Class of its last error.
    pub error_class: Option<String>,
    /// Its last error, at most 120 characters.
    pub error: Option<String>,
    /// When it was put in.
    pub created_at: DateTime<Utc>,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// Its rows.
    pub rows: Vec<JobRow>,
    /// Where the next one begins; none after the last.
    pub next: Option<Cursor>,
    /// Terms without an index were tried on at most so many rows of each list and state; none when every term has one.
    pub window: Option<u32>,
}

/// Longest page.
pub const LIMIT_MAX: u32 = 600;
/// Windows of the archive tried for one page, in days: plain bounds let the planner leave partitions out.
const WINDOWS_DAYS: [i32; 4] = [1, 4, 30, 400];

/// One page of jobs, after the cursor: two keyset reads, one after the other, since a union of both tables would be sorted
/// as a whole before it is cut.
///
/// # Errors
/// The database did not answer.
pub async fn list_jobs<C: ConnectionTrait>(
    db: &C,
    filter: &Filter,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Page, Error> {
    let limit = limit.clamp(1, LIMIT_MAX);
    let standings = filter.standings();
    let mut rows = Vec::new();
    let live = standings.iter().any(|standing| standing.is_live());
    if live && after.is_none_or(|cursor| cursor.live) {
        rows = live_page(filter, after, limit).all::<JobRow>(db).await.map_err(reading("jobs"))?;
    }
    let left = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(limit));
    if left > 0 && standings.iter().any(|standing| !standing.is_live()) {
        rows.extend(ended_pages(db, filter, after.filter(|cursor| !cursor.live), left).await?);
    }
    let last = rows.last().filter(|_| rows.len() >= limit as usize);
    let next = last.map(|row| Cursor {
        live: row.finished_at.is_none(),
        at: row.finished_at.unwrap_or(row.run_at),
        id: row.id,
    });
    Ok(Page { rows, next, window: Some(WINDOW).filter(|_| is_windowed(filter)) })
}

async fn ended_pages<C: ConnectionTrait>(
    db: &C,
    filter: &Filter,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Vec<JobRow>, Error> {
    let mut rows = Vec::new();
    for days in WINDOWS_DAYS {
        rows = ended_page(filter, after, limit, days).all::<JobRow>(db).await.map_err(reading("jobs"))?;
        if rows.len() >= limit as usize {
            break;
        }
    }
    Ok(rows)
}

const LIVE_COLUMNS: &str = "job.id, job.queue, job.kind, queue.state_word(job.state) AS state, job.subject, job.owner_id, \
    job.attempt, job.max_attempts, job.crashes, job.snoozes, job.run_at, job.started_at, NULL::timestamptz AS finished_at, \
    job.worker_id, NULL::text AS reason, job.error_class, left(job.error, 120) AS error, job.created_at";

/// Numbers of the standings of one table, as a list.
fn numbers(filter: &Filter, live: bool) -> String {
    let standings = filter.standings().into_iter().filter(|standing| standing.is_live() == live);
    standings.map(|standing| standing.number().to_string()).collect::<Vec<_>>().join(",")
}

/// `from`, read to its window first where conditions are left that its order does not help.
fn windowed(from: String, order: &str, rest: &str) -> String {
    if rest.is_empty() {
        return from;
    }
    format!("FROM (SELECT job.* {from} ORDER BY {order} LIMIT {WINDOW}) AS job WHERE true{rest}")
}

/// One short read per cell of queue and state, merged: a list over all cells must not sort all of their rows.
fn live_page(filter: &Filter, after: Option<Cursor>, limit: u32) -> Query {
    let mut query = Query::default();
    let mut after_cursor = String::new();
    if let Some(Cursor { at, id, .. }) = after {
        let (at, id) = (query.value(at), query.value(id));
        after_cursor = format!(" AND (job.run_at, job.id) > ({at}, {id})");
    }
    let limit = query.value(i64::from(limit));
    let states = query.value(numbers(filter, true));
    if let Some(pattern) = filter.recording() {
        let subject = query.subject(pattern);
        let rest = rest(&mut query, filter, Table::Live, Driven { queue: false, subject: true });
        // A recording has a few live jobs, a beginning of ids may have all of them.
        let bound = match pattern {
            Pattern::Exact(_) => format!("queue.job AS job WHERE {subject}"),
            Pattern::Prefix(_) => {
                format!(
                    "(SELECT * FROM queue.job AS job WHERE {subject} ORDER BY job.subject, job.id LIMIT {WINDOW}) AS job WHERE true"
                )
            }
        };
        query.sql = format!(
            "SELECT {LIVE_COLUMNS} FROM {bound} AND job.state = ANY (string_to_array({states}, ',')::int2[]){after_cursor}{rest} \
             ORDER BY job.run_at, job.id LIMIT {limit}"
        );
        return query;
    }
    let queues = match filter.queue() {
        Some(queue) => format!("SELECT {}::text AS queue", query.value(queue.to_owned())),
        None => "SELECT q.name AS queue FROM queue.queue AS q".to_owned(),
    };
    // States from a row: a plain number lets the planner take the index of what is due in every queue.
    let states = format!("SELECT s AS state FROM unnest(string_to_array({states}, ',')::int2[]) AS s");
    let rest = rest(&mut query, filter, Table::Live, Driven { queue: true, subject: false });
    let cell = format!("FROM queue.job AS job WHERE job.queue = q.queue AND job.state = s.state{after_cursor}");
    let cell = windowed(cell, "job.run_at, job.id", &rest);
    query.sql = format!(
        "SELECT page.* FROM ({queues}) AS q CROSS JOIN ({states}) AS s CROSS JOIN LATERAL (SELECT {LIVE_COLUMNS} {cell} \
         ORDER BY job.run_at, job.id LIMIT {limit}) AS page ORDER BY page.run_at, page.id LIMIT {limit}"
    );
    query
}

const ENDED_COLUMNS: &str = "job.id, job.queue, job.kind, queue.outcome_word(job.outcome) AS state, job.subject, job.owner_id, \
    job.attempt, job.max_attempts, job.crashes, job.snoozes, job.run_at, job.started_at, job.finished_at, \
    job.worker_id, job.reason, job.error_class, left(job.error, 120) AS error, job.created_at";

/// One read along the index of the recording, of the queue, of each outcome, or of all by their end.
fn ended_page(filter: &Filter, after: Option<Cursor>, limit: u32, days: i32) -> Query {
    let mut query = Query::default();
    let span = match after {
        Some(Cursor { at, id, .. }) => {
            let (at, id, days) = (query.value(at), query.value(id), query.value(days));
            format!(
                "(job.finished_at, job.id) < ({at}, {id}) AND job.finished_at <= {at} \
                 AND job.finished_at > {at} - {days} * interval '1 day'"
            )
        }
        None => {
            let days = query.value(days);
            format!("job.finished_at <= now() AND job.finished_at > now() - {days} * interval '1 day'")
        }
    };
    let limit = query.value(i64::from(limit));
    let all = numbers(filter, false) == "0,1,2,3";
    if let Some(pattern) = filter.recording() {
        ended_of_recording(&mut query, filter, pattern, &span, all);
    } else if all {
        let queue = filter.queue().map(|queue| query.value(queue.to_owned()));
        let queue = queue.map_or_else(String::new, |queue| format!(" AND job.queue = {queue}"));
        let rest = rest(&mut query, filter, Table::Ended, Driven { queue: true, subject: false });
        let from = windowed(format!("FROM queue.job_archive AS job WHERE {span}{queue}"), NEWEST, &rest);
        query.sql = format!("SELECT {ENDED_COLUMNS} {from}");
    } else {
        // Of some outcomes there are few, of a queue there are many: the outcomes are looked up.
        let outcomes = query.value(numbers(filter, false));
        let rest = rest(&mut query, filter, Table::Ended, Driven::default());
        let from = format!("FROM queue.job_archive AS job WHERE job.outcome = o.outcome AND {span}");
        let from = windowed(from, NEWEST, &rest);
        query.sql = format!(
            "SELECT job.* FROM unnest(string_to_array({outcomes}, ',')::int2[]) AS o (outcome) CROSS JOIN LATERAL \
             (SELECT {ENDED_COLUMNS} {from} ORDER BY {NEWEST} LIMIT {limit}) AS job"
        );
    }
    query.sql.push_str(&format!(" ORDER BY {NEWEST} LIMIT {limit}"));
    query
}

const NEWEST: &str = "job.finished_at DESC, job.id DESC";

fn ended_of_recording(query: &mut Query, filter: &Filter, pattern: &Pattern, span: &str, all: bool) {
    let subject = query.subject(pattern);
    let mut left = rest(query, filter, Table::Ended, Driven { queue: false, subject: true });
    if !all {
        let outcomes = query.value(numbers(filter, false));
        left.push_str(&format!(" AND job.outcome = ANY (string_to_array({outcomes}, ',')::int2[])"));
    }
    let from = format!("FROM queue.job_archive AS job WHERE {subject} AND {span}");
    query.sql = match pattern {
        Pattern::Exact(_) => format!("SELECT {ENDED_COLUMNS} {from}{left}"),
        // A beginning does not lie in the order of the end: it is read to the window and sorted.
        Pattern::Prefix(_) => {
            format!("SELECT {ENDED_COLUMNS} FROM (SELECT job.* {from} LIMIT {WINDOW}) AS job WHERE true{left}")
        }
    };
}

/// Whether some term is tried on the window only.
fn is_windowed(filter: &Filter) -> bool {
    let begins = matches!(filter.recording(), Some(Pattern::Prefix(_)));
    let whole = matches!(filter.recording(), Some(Pattern::Exact(_)));
    let ended = numbers(filter, false);
    let outcomes = !ended.is_empty() && ended != "0,1,2,3";
    let driven = Driven { queue: !outcomes, subject: false };
    !whole && (begins || !rest(&mut Query::default(), filter, Table::Ended, driven).is_empty())
}
