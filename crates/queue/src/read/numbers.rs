//! Numbers for a header: counted up to a bound, or taken from the planner's statistics; never by reading history.

use super::narrow::{Driven, Query, Table, rest};
use super::{COUNT_MAX, Error, reading};
use chrono::{DateTime, Utc};
use domain::filter::{Filter, Pattern};
use domain::standing::Standing;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};

/// Live jobs in one state.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub struct StateCount {
    /// Number of the state.
    pub state: i16,
    /// How many there are: each queue is counted up to [`COUNT_MAX`].
    pub jobs: i64,
    /// A queue has that many or more.
    pub capped: bool,
}

/// Live jobs by state.
///
/// # Errors
/// The database did not answer.
pub async fn live_counts<C: ConnectionTrait>(db: &C) -> Result<Vec<StateCount>, Error> {
    // As for the queues: a state from a row and an order within the cell leave the planner `job_live` alone.
    let sql = format!(
        "SELECT s.state, coalesce(sum(cell.jobs), 0)::int8 AS jobs, coalesce(max(cell.jobs) >= {COUNT_MAX}, false) AS capped \
         FROM (VALUES (0::int2), (1::int2), (2::int2), (3::int2), (4::int2)) AS s (state) LEFT JOIN queue.queue AS q ON true \
         LEFT JOIN LATERAL (SELECT count(*) AS jobs FROM (SELECT 1 FROM queue.job AS job \
           WHERE job.queue = q.name AND job.state = s.state ORDER BY job.run_at, job.id LIMIT {COUNT_MAX}) AS one) AS cell ON true \
         GROUP BY s.state ORDER BY s.state"
    );
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    StateCount::find_by_statement(statement).all(db).await.map_err(reading("numbers of live jobs"))
}

/// Ended jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedCounts {
    /// By outcome, counted up to [`COUNT_MAX`].
    pub counted: [i64; 4],
    /// All together, as the statistics of the partitions say.
    pub estimate: i64,
    /// When the newest of those statistics were made; none when there are none.
    pub estimated_at: Option<DateTime<Utc>>,
    /// When the oldest of them ended.
    pub oldest_at: Option<DateTime<Utc>>,
}

#[derive(FromQueryResult)]
struct EndedRow {
    completed: i64,
    discarded: i64,
    cancelled: i64,
    superseded: i64,
    estimate: i64,
    estimated_at: Option<DateTime<Utc>>,
    oldest_at: Option<DateTime<Utc>>,
}

/// Ended jobs by outcome, and an estimate of all: a partitioned table has no statistics of its own, its leaves have.
///
/// # Errors
/// The database did not answer.
pub async fn ended_counts<C: ConnectionTrait>(db: &C) -> Result<EndedCounts, Error> {
    let sql = format!(
        "WITH counted AS (SELECT o.outcome, cell.jobs FROM (VALUES (0::int2), (1::int2), (2::int2), (3::int2)) AS o (outcome) \
           CROSS JOIN LATERAL (SELECT count(*) AS jobs FROM (SELECT 1 FROM queue.job_archive AS job WHERE job.outcome = o.outcome \
             ORDER BY job.finished_at DESC, job.id DESC LIMIT {COUNT_MAX}) AS one) AS cell), \
         leaves AS (SELECT sum(greatest(c.reltuples, 0))::int8 AS rows, max(greatest(s.last_analyze, s.last_autoanalyze)) AS at \
           FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid \
           WHERE i.inhparent = 'queue.job_archive'::regclass) \
         SELECT (SELECT jobs FROM counted WHERE outcome = 0) AS completed, (SELECT jobs FROM counted WHERE outcome = 1) AS discarded, \
           (SELECT jobs FROM counted WHERE outcome = 2) AS cancelled, (SELECT jobs FROM counted WHERE outcome = 3) AS superseded, \
           coalesce((SELECT rows FROM leaves), 0) AS estimate, (SELECT at FROM leaves) AS estimated_at, \
           (SELECT job.finished_at FROM queue.job_archive AS job ORDER BY job.finished_at, job.id LIMIT 1) AS oldest_at"
    );
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let row = EndedRow::find_by_statement(statement).one(db).await.map_err(reading("numbers of ended jobs"))?;
    let none = EndedCounts { counted: [0; 4], estimate: 0, estimated_at: None, oldest_at: None };
    Ok(row.map_or(none, |row| EndedCounts {
        counted: [row.completed, row.discarded, row.cancelled, row.superseded],
        estimate: row.estimate,
        estimated_at: row.estimated_at,
        oldest_at: row.oldest_at,
    }))
}

#[derive(FromQueryResult)]
struct Count {
    jobs: i64,
}

/// How many jobs a filter lets through, exactly: every row is looked at, so the caller bounds the time.
///
/// # Errors
/// The database did not answer.
pub async fn count_jobs<C: ConnectionTrait>(db: &C, filter: &Filter) -> Result<u64, Error> {
    let mut sum = 0;
    for table in [Table::Live, Table::Ended] {
        let (name, column) = match table {
            Table::Live => ("queue.job", "state"),
            Table::Ended => ("queue.job_archive", "outcome"),
        };
        let live = table == Table::Live;
        let standings: Vec<Standing> = filter.standings().into_iter().filter(|s| s.is_live() == live).collect();
        if standings.is_empty() {
            continue;
        }
        let mut query = Query::default();
        let numbers = standings.iter().map(|s| s.number().to_string()).collect::<Vec<_>>().join(",");
        let numbers = query.value(numbers);
        let subject: Option<Pattern> = filter.recording().cloned();
        let subject = subject.map_or_else(String::new, |pattern| format!(" AND {}", query.subject(&pattern)));
        let rest = rest(&mut query, filter, table, Driven { queue: false, subject: true });
        query.sql = format!(
            "SELECT count(*) AS jobs FROM {name} AS job \
             WHERE job.{column} = ANY (string_to_array({numbers}, ',')::int2[]){subject}{rest}"
        );
        let counts = query.all::<Count>(db).await.map_err(reading("number of jobs"))?;
        sum += counts.iter().map(|count| u64::try_from(count.jobs).unwrap_or(0)).sum::<u64>();
    }
    Ok(sum)
}
