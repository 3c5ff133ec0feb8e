//! Pages of jobs: live ones by due time, finished ones newest first.

use super::{Error, reading};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use serde::Serialize;
use uuid::Uuid;

/// Which jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// Still to be run, or running.
    #[default]
    Live,
    /// In this live state only: 0 pending, 1 scheduled, 2 available, 3 running, 4 retryable.
    State(i16),
    /// Ended.
    Ended,
    /// Ended with this outcome only: 0 completed, 1 discarded, 2 cancelled, 3 superseded.
    Outcome(i16),
}

const STATES: [&str; 5] = ["pending", "scheduled", "available", "running", "retryable"];
const OUTCOMES: [&str; 4] = ["completed", "discarded", "cancelled", "superseded"];

impl Which {
    /// Reads the word of a state or an outcome, or `live` or `ended`.
    pub fn parse(word: &str) -> Option<Which> {
        let index = |words: &[&str]| words.iter().position(|w| *w == word).and_then(|at| i16::try_from(at).ok());
        match word {
            "live" => Some(Which::Live),
            "ended" => Some(Which::Ended),
            _ => index(&STATES).map(Which::State).or_else(|| index(&OUTCOMES).map(Which::Outcome)),
        }
    }
}

/// Narrows a list down.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Live or ended, or one state or outcome.
    pub which: Which,
    /// Of this queue.
    pub queue: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// About this subject.
    pub subject: Option<String>,
}

/// Where the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cursor {
    /// Sort value of the last row: due time of a live job, end of a finished one.
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
}

/// Longest page.
const LIMIT_MAX: u32 = 600;
/// Windows of the archive tried for one page, in days: plain bounds let the planner leave partitions out.
const WINDOWS_DAYS: [i32; 4] = [1, 4, 30, 400];

/// One page of jobs, after the cursor.
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
    let mut rows = Vec::new();
    match filter.which {
        Which::Live | Which::State(_) => rows = live(filter, after, limit).all_on(db).await?,
        Which::Ended | Which::Outcome(_) => {
            for days in WINDOWS_DAYS {
                rows = ended(filter, after, limit, days).all_on(db).await?;
                if rows.len() >= limit as usize {
                    break;
                }
            }
        }
    }
    let full = rows.len() >= limit as usize;
    let last = rows.last().filter(|_| full);
    let next = last.map(|row| Cursor { at: row.finished_at.unwrap_or(row.run_at), id: row.id });
    Ok(Page { rows, next })
}

/// A query being put together; only conditions that are asked for are in it, so that each finds its index.
struct Query {
    sql: String,
    values: Vec<Value>,
}

impl Query {
    fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn and(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            let parameter = self.value(value);
            self.sql.push_str(&format!(" AND {condition} = {parameter}"));
        }
    }

    async fn all_on<C: ConnectionTrait>(self, db: &C) -> Result<Vec<JobRow>, Error> {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, self.sql, self.values);
        JobRow::find_by_statement(statement).all(db).await.map_err(reading("jobs"))
    }
}

const LIVE_COLUMNS: &str = "job.id, job.queue, job.kind, queue.state_word(job.state) AS state, job.subject, job.owner_id, \
    job.attempt, job.max_attempts, job.crashes, job.snoozes, job.run_at, job.started_at, NULL::timestamptz AS finished_at, \
    job.worker_id, NULL::text AS reason, job.error_class, left(job.error, 120) AS error, job.created_at";

/// One short read per cell of queue and state, merged: a list over all cells must not sort all of their rows.
fn live(filter: &Filter, after: Option<Cursor>, limit: u32) -> Query {
    let mut query = Query { sql: String::new(), values: Vec::new() };
    let (at, id) = after.map_or((DateTime::<Utc>::MIN_UTC, Uuid::nil()), |cursor| (cursor.at, cursor.id));
    let at =
        if after.is_some() { format!("{}::timestamptz", query.value(at)) } else { "'-infinity'::timestamptz".into() };
    let (id, limit) = (query.value(id), query.value(i64::from(limit)));
    if let Some(subject) = &filter.subject {
        let subject = query.value(subject.clone());
        query.sql = format!(
            "SELECT {LIVE_COLUMNS} FROM queue.job AS job WHERE job.subject = {subject} AND (job.run_at, job.id) > ({at}, {id})"
        );
        narrow_live(&mut query, filter);
        query.and("job.queue", filter.queue.clone());
        query.sql.push_str(&format!(" ORDER BY job.run_at, job.id LIMIT {limit}"));
        return query;
    }
    let queues = match &filter.queue {
        Some(queue) => format!("SELECT {}::text AS queue", query.value(queue.clone())),
        None => "SELECT q.name AS queue FROM queue.queue AS q".to_owned(),
    };
    // A range even of one state: a plain number lets the planner take the index of what is due in every queue.
    let (from, to) = match filter.which {
        Which::State(state) => (state, state),
        _ => (0, 4),
    };
    let (from, to) = (query.value(i32::from(from)), query.value(i32::from(to)));
    let states = format!("SELECT s::int2 AS state FROM generate_series({from}, {to}) AS s");
    query.sql = format!(
        "SELECT page.* FROM ({queues}) AS q CROSS JOIN ({states}) AS s CROSS JOIN LATERAL (SELECT {LIVE_COLUMNS} \
         FROM queue.job AS job WHERE job.queue = q.queue AND job.state = s.state AND (job.run_at, job.id) > ({at}, {id})"
    );
    query.and("job.kind", filter.kind.clone());
    query.sql.push_str(&format!(
        " ORDER BY job.run_at, job.id LIMIT {limit}) AS page ORDER BY page.run_at, page.id LIMIT {limit}"
    ));
    query
}

fn narrow_live(query: &mut Query, filter: &Filter) {
    query.and("job.kind", filter.kind.clone());
    if let Which::State(state) = filter.which {
        query.and("job.state", Some(state));
    }
}

fn ended(filter: &Filter, after: Option<Cursor>, limit: u32, days: i32) -> Query {
    let mut query = Query {
        sql:
            "SELECT job.id, job.queue, job.kind, queue.outcome_word(job.outcome) AS state, job.subject, job.owner_id, \
            job.attempt, job.max_attempts, job.crashes, job.snoozes, job.run_at, job.started_at, job.finished_at, \
            job.worker_id, job.reason, job.error_class, left(job.error, 120) AS error, job.created_at \
            FROM queue.job_archive AS job WHERE "
                .to_owned(),
        values: Vec::new(),
    };
    let end = match after {
        Some(cursor) => {
            let (at, id) = (query.value(cursor.at), query.value(cursor.id));
            query.sql.push_str(&format!("(job.finished_at, job.id) < ({at}, {id}) AND job.finished_at <= {at}"));
            at
        }
        None => {
            query.sql.push_str("job.finished_at <= now()");
            "now()".to_owned()
        }
    };
    let days = query.value(days);
    query.sql.push_str(&format!(" AND job.finished_at > {end} - {days} * interval '1 day'"));
    query.and("job.queue", filter.queue.clone());
    query.and("job.kind", filter.kind.clone());
    query.and("job.subject", filter.subject.clone());
    if let Which::Outcome(outcome) = filter.which {
        query.and("job.outcome", Some(outcome));
    }
    let limit = query.value(i64::from(limit));
    query.sql.push_str(&format!(" ORDER BY job.finished_at DESC, job.id DESC LIMIT {limit}"));
    query
}
