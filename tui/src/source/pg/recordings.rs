//! Pages of recordings, newest first, and how many there are of each state.

use super::error::Fault;
use super::jobs;
use super::link::Session;
use super::numbers;
use crate::source::clean::Clean;
use crate::source::rows::{Number, ROWS_MAX, RecordingCursor, RecordingPage, RecordingRow};
use domain::filter::{Compare, Filter, Pattern, Term, Test};
use domain::id::RecordingId;
use domain::recording::State;
use queue::read::{COUNT_MAX, WINDOW};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

/// Columns of a row; the last listed rows are looked up for the rows of the page alone.
const SHOWN: &str = "page.id, page.owner_id, page.state, page.state_at, page.provisional, page.tail_confirmed, page.degraded, \
    page.source = 'bucket' AS from_bucket, page.created_at, page.duration_ms, page.result_bytes, page.error_code, \
    greatest(v.index, a.index)::int8 AS listed_index, greatest(v.listed_at, a.listed_at) AS listed_at, l.heard_at, \
    coalesce(l.state = 'paused', false) AS paused";

/// Joins of [`SHOWN`].
const JOINS: &str = "LEFT JOIN LATERAL (SELECT s.index, s.listed_at FROM spool.listing AS s WHERE s.recording_id = page.id \
      AND s.track = 'video' ORDER BY s.seq DESC LIMIT 1) AS v ON true \
    LEFT JOIN LATERAL (SELECT s.index, s.listed_at FROM spool.listing AS s WHERE s.recording_id = page.id \
      AND s.track = 'audio' ORDER BY s.seq DESC LIMIT 1) AS a ON true \
    LEFT JOIN spool.liveness AS l ON l.recording_id = page.id";

const NEWEST: &str = "r.created_at DESC, r.id DESC";

/// Slim: gaps, declarations and digests are for the one that is open.
const COLUMNS: &str = "r.id, r.owner_id, r.state, r.state_at, r.provisional, r.tail_confirmed, r.degraded, r.source, \
    r.created_at, r.duration_ms, r.result_bytes, r.error_code, r.error_message";

#[derive(Default)]
struct Query {
    values: Vec<Value>,
}

impl Query {
    fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }
}

/// A page.
pub(super) async fn page(
    session: &Session,
    filter: &Filter,
    after: Option<&RecordingCursor>,
    limit: u32,
) -> Result<RecordingPage, Fault> {
    let limit = limit.clamp(1, ROWS_MAX);
    let (sql, values, windowed) = statement(filter, after, limit);
    let found = session.db().query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    let mut rows = found.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let briefs = queue::read::briefs(session.db(), &ids).await?;
    for brief in briefs {
        if let Some(row) = rows.iter_mut().find(|row| row.id.as_str() == brief.subject) {
            row.job = jobs::brief(brief);
        }
    }
    let last = rows.last().filter(|_| rows.len() >= limit as usize);
    let next = last.map(|row| RecordingCursor { created_at: row.created_at, id: row.id.clone() });
    Ok(RecordingPage { rows, next, window: windowed.then_some(WINDOW) })
}

/// One recording as a row of the list.
pub(super) async fn row(session: &Session, id: &RecordingId) -> Result<Option<RecordingRow>, Fault> {
    let sql =
        format!("SELECT {SHOWN} FROM (SELECT {COLUMNS} FROM spool.recording AS r WHERE r.id = $1) AS page {JOINS}");
    let ask = Statement::from_sql_and_values(DbBackend::Postgres, sql, [id.as_str().into()]);
    let Some(found) = session.db().query_one_raw(ask).await? else { return Ok(None) };
    let mut row = read(&found)?;
    row.job = queue::read::briefs(session.db(), &[id.as_str()]).await?.into_iter().next().and_then(jobs::brief);
    Ok(Some(row))
}

/// The statement, and whether some terms are tried on the window only. One index drives: the id's, the owner's, that of
/// each state that is asked for, or that of all by their age.
fn statement(filter: &Filter, after: Option<&RecordingCursor>, limit: u32) -> (String, Vec<Value>, bool) {
    let mut query = Query::default();
    let cursor = after.map_or_else(String::new, |after| {
        let (at, id) = (query.value(after.created_at), query.value(after.id.as_str()));
        format!(" AND (r.created_at, r.id) < ({at}, {id})")
    });
    let limit = query.value(i64::from(limit));
    let states = filter.states();
    let some = states.len() < State::ALL.len();
    let words = states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(",");
    let by_id = filter.recording();
    let by_owner = filter.owner().filter(|_| by_id.is_none());
    let by_state = some && by_id.is_none() && by_owner.is_none();
    let driven = |test: &Test| match test {
        Test::Recording(_) => by_id.is_some(),
        Test::Owner(_) => by_owner.is_some(),
        _ => false,
    };
    let mut rest = String::new();
    for term in filter.terms.iter().filter(|term| term.negated || !driven(&term.test)) {
        rest.push_str(&condition(&mut query, term));
    }
    if some && !by_state {
        let words = query.value(words.clone());
        rest.push_str(&format!(" AND r.state = ANY (string_to_array({words}, ','))"));
    }
    let windowed = !rest.is_empty() || matches!(by_id, Some(Pattern::Prefix(_)));
    let cut = |from: String| {
        if rest.is_empty() {
            return format!("SELECT {COLUMNS} {from} ORDER BY {NEWEST} LIMIT {limit}");
        }
        format!(
            "SELECT {COLUMNS} FROM (SELECT {COLUMNS} {from} ORDER BY {NEWEST} LIMIT {WINDOW}) AS r WHERE true{rest} \
             ORDER BY {NEWEST} LIMIT {limit}"
        )
    };
    let from = "FROM spool.recording AS r WHERE";
    let page = if let Some(pattern) = by_id {
        let id = match pattern {
            Pattern::Exact(id) => format!("r.id = {}", query.value(id.clone())),
            // By bytes, as the index sorts: the language of the database may see other beginnings.
            Pattern::Prefix(begin) => {
                let (from, to) = (query.value(begin.clone()), query.value(behind(begin)));
                format!("r.id ~>=~ {from} AND r.id ~<~ {to}")
            }
        };
        format!(
            "SELECT {COLUMNS} FROM (SELECT {COLUMNS} {from} {id} LIMIT {WINDOW}) AS r WHERE true{cursor}{rest} \
             ORDER BY {NEWEST} LIMIT {limit}"
        )
    } else if let Some(owner) = by_owner {
        let owner = query.value(owner.to_owned());
        cut(format!("{from} r.owner_id = {owner}{cursor}"))
    } else if by_state {
        let words = query.value(words);
        let one = cut(format!("{from} r.state = s.state{cursor}"));
        format!(
            "SELECT r.* FROM unnest(string_to_array({words}, ',')) AS s (state) CROSS JOIN LATERAL ({one}) AS r \
             ORDER BY {NEWEST} LIMIT {limit}"
        )
    } else {
        cut(format!("{from} true{cursor}"))
    };
    let order = "page.created_at DESC, page.id DESC";
    (format!("SELECT {SHOWN} FROM ({page}) AS page {JOINS} ORDER BY {order}"), query.values, windowed)
}

/// The first text behind all that begin so.
fn behind(begin: &str) -> String {
    let mut text = begin.to_owned();
    let last = text.pop().and_then(|c| char::from_u32(u32::from(c) + 1)).unwrap_or('\u{7f}');
    text.push(last);
    text
}

fn condition(query: &mut Query, term: &Term) -> String {
    let test = match &term.test {
        Test::Recording(Pattern::Exact(id)) => format!("r.id = {}", query.value(id.clone())),
        Test::Recording(Pattern::Prefix(begin)) => format!("starts_with(r.id, {})", query.value(begin.clone())),
        Test::Owner(owner) => format!("r.owner_id = {}", query.value(owner.clone())),
        Test::Error(text) => {
            let text = query.value(text.to_lowercase());
            format!("position({text} in lower(concat_ws(' ', r.error_code, r.error_message))) > 0")
        }
        Test::Age(compare, age) => {
            let sign = match compare {
                Compare::Equal => "=",
                Compare::Above => ">",
                Compare::AtLeast => ">=",
                Compare::Below => "<",
                Compare::AtMost => "<=",
            };
            let age = query.value(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
            format!("now() - r.created_at {sign} {age} * interval '1 second'")
        }
        // States are part of which rows are read; the others are asked of jobs.
        Test::State(_) | Test::Standing(_) | Test::Queue(_) | Test::Kind(_) | Test::Attempt(..) | Test::Worker(_) => {
            return String::new();
        }
    };
    format!(" AND ({test}) IS {} TRUE", if term.negated { "NOT" } else { "" })
}

fn read(row: &QueryResult) -> Result<RecordingRow, DbErr> {
    let id: String = row.try_get("", "id")?;
    let state: String = row.try_get("", "state")?;
    let unsigned = |name: &str| -> Result<Option<u64>, DbErr> {
        Ok(row.try_get::<Option<i64>>("", name)?.and_then(|n| u64::try_from(n).ok()))
    };
    Ok(RecordingRow {
        id: RecordingId::parse(&id).map_err(|error| DbErr::Type(error.to_string()))?,
        owner: Clean::new(row.try_get::<String>("", "owner_id")?),
        state: State::parse(&state).ok_or_else(|| DbErr::Type(format!("state {state:?}")))?,
        state_at: row.try_get("", "state_at")?,
        provisional: row.try_get("", "provisional")?,
        tail_confirmed: row.try_get("", "tail_confirmed")?,
        degraded: row.try_get("", "degraded")?,
        from_bucket: row.try_get("", "from_bucket")?,
        created_at: row.try_get("", "created_at")?,
        listed_index: unsigned("listed_index")?.and_then(|n| u32::try_from(n).ok()),
        listed_at: row.try_get("", "listed_at")?,
        heard_at: row.try_get("", "heard_at")?,
        paused: row.try_get("", "paused")?,
        duration_ms: unsigned("duration_ms")?,
        result_bytes: unsigned("result_bytes")?,
        error_code: row.try_get::<Option<String>>("", "error_code")?.map(Clean::new),
        job: None,
    })
}

/// How many recordings there are in each state, each counted up to the bound.
pub(super) async fn counts(session: &Session) -> Result<[Number; 7], Fault> {
    let words = State::ALL.map(|state| format!("('{}')", state.as_str())).join(", ");
    let sql = format!(
        "SELECT s.state, cell.n FROM (VALUES {words}) AS s (state) CROSS JOIN LATERAL (SELECT count(*) AS n FROM ( \
           SELECT 1 FROM spool.recording AS r WHERE r.state = s.state ORDER BY r.created_at DESC, r.id DESC LIMIT {COUNT_MAX}) AS one) AS cell"
    );
    let mut numbers = [numbers::capped(0, false); 7];
    for row in numbers::rows(session, &sql).await? {
        let (state, n): (String, i64) = (row.try_get("", "state")?, row.try_get("", "n")?);
        if let Some(at) = State::ALL.iter().position(|known| known.as_str() == state) {
            numbers[at] = numbers::capped(n, n >= COUNT_MAX);
        }
    }
    Ok(numbers)
}
