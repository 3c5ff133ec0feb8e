//! A filter as conditions of a statement.

use domain::filter::{Compare, Filter, Pattern, Term, Test};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, Value};

/// Terms that no index answers are tried on so many rows of a list and then no further: a search that finds nothing must
/// not read a table of millions.
pub const WINDOW: u32 = 100_000;

/// A query being put together; only conditions that are asked for are in it, so that each finds its index.
#[derive(Default)]
pub(super) struct Query {
    pub(super) sql: String,
    values: Vec<Value>,
}

impl Query {
    /// Takes a value and gives its parameter.
    pub(super) fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn statement(self) -> Statement {
        Statement::from_sql_and_values(DbBackend::Postgres, self.sql, self.values)
    }

    pub(super) async fn all<T: FromQueryResult>(self, db: &impl ConnectionTrait) -> Result<Vec<T>, DbErr> {
        T::find_by_statement(self.statement()).all(db).await
    }

    /// The condition that a recording is the subject, on its index: the column sorts by bytes.
    pub(super) fn subject(&mut self, pattern: &Pattern) -> String {
        match pattern {
            Pattern::Exact(subject) => format!("job.subject = {}", self.value(subject.clone())),
            Pattern::Prefix(begin) => {
                let from = self.value(begin.clone());
                let to = self.value(after(begin));
                format!("job.subject >= {from} AND job.subject < {to}")
            }
        }
    }
}

/// The first text behind all that begin with `begin`. Patterns are of letters and digits, so the last one has a next one.
fn after(begin: &str) -> String {
    let mut text = begin.to_owned();
    let last = text.pop().map_or('\0', |c| char::from_u32(u32::from(c) + 1).unwrap_or(c));
    text.push(last);
    text
}

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Live,
    Ended,
}

/// The terms that are left when the driving index has done its part, each as `AND …`. States are never among them, the
/// queue and the recording only where another index drives.
pub(super) fn rest(query: &mut Query, filter: &Filter, table: Table, driven: Driven) -> String {
    let mut text = String::new();
    for term in &filter.terms {
        let done = match &term.test {
            Test::Standing(_) | Test::State(_) => true,
            Test::Queue(_) => !term.negated && driven.queue,
            Test::Recording(_) => !term.negated && driven.subject,
            _ => false,
        };
        if !done {
            text.push_str(&condition(query, term, table));
        }
    }
    text
}

/// What the driving index has done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Driven {
    pub(super) queue: bool,
    pub(super) subject: bool,
}

fn condition(query: &mut Query, term: &Term, table: Table) -> String {
    let test = match &term.test {
        // Part of which rows are read at all.
        Test::Standing(_) | Test::State(_) => return String::new(),
        Test::Queue(queue) => format!("job.queue = {}", query.value(queue.clone())),
        Test::Kind(kind) => format!("job.kind = {}", query.value(kind.clone())),
        Test::Recording(pattern) => query.subject(pattern),
        Test::Owner(owner) => format!("job.owner_id = {}", query.value(owner.clone())),
        Test::Error(text) => {
            let text = query.value(text.to_lowercase());
            let reason = if table == Table::Ended { ", job.reason" } else { "" };
            format!("position({text} in lower(concat_ws(' ', job.error_class, job.error{reason}))) > 0")
        }
        Test::Attempt(compare, number) => {
            format!("job.attempt {} {}", sign(*compare), query.value(i64::from(*number)))
        }
        Test::Age(compare, age) => {
            let age = query.value(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
            format!("now() - job.created_at {} {age} * interval '1 second'", sign(*compare))
        }
        Test::Worker(name) => {
            let name = query.value(name.clone());
            format!(
                "(starts_with(job.worker_id::text, {name}) OR job.worker_id IN \
                   (SELECT w.id FROM queue.worker AS w WHERE starts_with(w.pod, {name}) ORDER BY w.id LIMIT 1000))"
            )
        }
    };
    format!(" AND ({test}) IS {} TRUE", if term.negated { "NOT" } else { "" })
}

fn sign(compare: Compare) -> &'static str {
    match compare {
        Compare::Equal => "=",
        Compare::Above => ">",
        Compare::AtLeast => ">=",
        Compare::Below => "<",
        Compare::AtMost => "<=",
    }
}
