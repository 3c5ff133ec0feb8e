//! Rows of schema `spool`: one file an aggregate, SQL text beside its function.
//!
//! Owns every statement of the worker on that schema. What may follow what is decided in `domain`; here it is carried
//! out as compare-and-set. Lock order everywhere: the recording's row, then rows of jobs. No function here waits for
//! anything but the database.

pub mod bucket;
pub mod events;
pub mod inits;
pub mod listing;
pub mod liveness;
pub mod pictures;
pub mod plans;
pub mod playlists;
pub mod recordings;
pub mod segments;
pub mod settings;
pub mod summaries;
pub mod sweep;
mod timing;
pub mod webhooks;

pub use timing::{QUERIES, Query};

use crate::secret::Secret;
use domain::retry::{Classify, Fault};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult,
    RuntimeErr, Statement, TransactionTrait, TryGetable, Value, sqlx,
};
use serde::{Deserialize, Serialize};
use sqlx::Connection as _;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use thiserror::Error;

/// Longest wait for the lock on a recording; then a request answers 503 and a job snoozes. Nothing of ours holds one
/// that long, but a web app's transaction or a person's may.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest wait for an answer, in milliseconds: the longest statement and [`WAY_MAX`]. One for the process, as is its pool.
static ANSWER_MAX_MS: AtomicU64 = AtomicU64::new(33_000);

/// What the way to the server and back may add to the longest statement.
const WAY_MAX: Duration = Duration::from_secs(3);

/// A connection that was used within this is believed to be alive.
const PROVED_FOR: Duration = Duration::from_secs(5);

/// Longest proof that a connection is alive: one round trip.
const PROOF_MAX: Duration = Duration::from_secs(2);

/// Longest pause inside a transaction. Ours wait for nothing but the database, so one that pauses is of a process that is
/// gone without a word, and its locks would hold up every job of a recording for as long as the server does not notice:
/// hours, by default.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Settings of the database; see `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address with user and password.
    pub url: Secret,
    /// Most connections of the pool.
    pub pool_max: u32,
    /// Longest wait for a new connection.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Longest wait for a free connection.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
    /// Longest statement.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            pool_max: 16,
            connect_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// Why the database did not do what it was asked.
#[derive(Debug, Error)]
#[error("{operation} {object}")]
pub struct Error {
    /// What was being done.
    pub operation: &'static str,
    /// With what; empty when there is but one.
    pub object: String,
    /// What the database said.
    #[source]
    pub source: DbErr,
}

impl Error {
    /// Names the operation of a failed statement.
    pub fn of(operation: &'static str, object: impl ToString) -> impl FnOnce(DbErr) -> Error {
        let object = object.to_string();
        move |source| Error { operation, object, source }
    }

    /// A row says what no row may say.
    pub fn bad_row(operation: &'static str, object: impl ToString, what: &str) -> Error {
        Error { operation, object: object.to_string(), source: DbErr::Type(what.to_owned()) }
    }

    /// The lock was not free in time: somebody else holds the row.
    pub fn is_lock_timeout(&self) -> bool {
        sqlstate(&self.source).as_deref() == Some("55P03")
    }
}

impl Classify for Error {
    /// A whitelist: a lost connection and what the server says of itself may clear; a wrong statement or row will not.
    fn fault(&self) -> Fault {
        let away = matches!(self.source, DbErr::ConnectionAcquire(_) | DbErr::Conn(_));
        let state = sqlstate(&self.source);
        // 08 connection, 40 serialization and deadlock, 53 resources, 57 operator, 55P03 lock not available, 25P03 paused for
        // too long inside a transaction.
        let clears = state
            .as_deref()
            .is_some_and(|code| ["08", "40", "53", "57", "55P03", "25P03"].iter().any(|known| code.starts_with(known)));
        let cut = state.is_none() && is_cut(&self.source);
        if away || clears || cut { Fault::Transient } else { Fault::Permanent }
    }

    fn class(&self) -> &'static str {
        "database"
    }
}

/// What the server said, as its five characters.
fn sqlstate(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(source))
    | DbErr::Query(RuntimeErr::SqlxError(source))
    | DbErr::Conn(RuntimeErr::SqlxError(source))) = error
    else {
        return None;
    };
    source.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

/// The connection broke under the statement.
fn is_cut(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source))) = error else {
        return false;
    };
    use sea_orm::SqlxError;
    matches!(
        **source,
        SqlxError::Io(_)
            | SqlxError::Tls(_)
            | SqlxError::Protocol(_)
            | SqlxError::PoolTimedOut
            | SqlxError::PoolClosed
            | SqlxError::WorkerCrashed
    )
}

/// Opens a pool of connections, and one connection, so that a wrong address shows at start.
///
/// A connection whose other end is gone without a word never breaks by itself: nothing comes, for ever. So the pool proves
/// what was idle before it is used and what comes back after a call that was given up, each within a bound, and closes
/// what stays silent. Without the second, every call that was given up would take a place of the pool with it.
///
/// What each connection is set to is said after it is there, never in the options of its start: a pooler like PgBouncer
/// refuses options that it does not know, and would refuse every connection. For the same reason sqlx's own wish for
/// digits of floats is left out, which a server of today needs no more.
///
/// # Errors
/// The server does not answer or does not let us in.
pub async fn connect(config: &Config) -> Result<DatabaseConnection, Error> {
    let mut options = ConnectOptions::new(config.url.expose());
    // Compiling a look at queues takes thirty times as long as the look.
    let settings = format!(
        "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; SET jit = off",
        config.statement_timeout.as_millis(),
        PAUSE_MAX.as_millis()
    );
    options
        .max_connections(config.pool_max)
        .min_connections(1)
        .connect_timeout(config.connect_timeout)
        .acquire_timeout(config.acquire_timeout)
        .set_application_name("spool")
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(|options| options.extra_float_digits(None))
        .map_sqlx_postgres_pool_opts(move |pool| {
            let settings = settings.clone();
            let pool = pool.after_connect(move |connection, _| {
                let set = sqlx::raw_sql(sqlx::AssertSqlSafe(settings.clone()));
                Box::pin(async move { set.execute(connection).await.map(drop) })
            });
            pool.before_acquire(|connection, seen| {
                Box::pin(async move { if seen.idle_for < PROVED_FOR { Ok(true) } else { prove(connection).await } })
            })
            .after_release(|connection, _| Box::pin(prove(connection)))
        });
    let answer_max = config.statement_timeout.saturating_add(WAY_MAX);
    ANSWER_MAX_MS.store(u64::try_from(answer_max.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    Database::connect(options).await.map_err(Error::of("connect to database", ""))
}

/// Asks a connection for a sign of life. An error closes it without another word to the server.
async fn prove(connection: &mut sqlx::PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(PROOF_MAX, connection.ping()).await {
        Ok(proved) => proved.map(|()| true),
        Err(_) => Err(silent()),
    }
}

fn silent() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer"))
}

/// Waits for an answer, and not for ever: the server's own bound on statements ends nothing where the connection is dead.
async fn answered<T>(answer: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    let bound = Duration::from_millis(ANSWER_MAX_MS.load(Ordering::Relaxed));
    match tokio::time::timeout(bound, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(DbErr::Query(RuntimeErr::SqlxError(Arc::new(silent())))),
    }
}

/// Begins a transaction.
///
/// # Errors
/// The database does not answer.
pub async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, Error> {
    answered(db.begin()).await.map_err(Error::of("begin transaction", ""))
}

/// Commits a transaction. After an error nobody knows whether it took effect.
///
/// # Errors
/// The connection broke, or a deferred check failed.
pub async fn commit(tx: DatabaseTransaction) -> Result<(), Error> {
    answered(tx.commit()).await.map_err(Error::of("commit transaction", ""))
}

/// A statement that says which file it stands in.
#[track_caller]
fn statement<const N: usize>(sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, timing::named(sql, Location::caller()), values)
}

/// Rows touched. (No `async fn`, nor are the next two: an async function does not know who called it.)
#[track_caller]
fn execute<const N: usize>(
    db: &impl ConnectionTrait,
    sql: &str,
    values: [Value; N],
) -> impl Future<Output = Result<u64, DbErr>> {
    let statement = statement(sql, values);
    async move { answered(db.execute_raw(statement)).await.map(|done| done.rows_affected()) }
}

#[track_caller]
fn one<const N: usize>(
    db: &impl ConnectionTrait,
    sql: &str,
    values: [Value; N],
) -> impl Future<Output = Result<Option<QueryResult>, DbErr>> {
    let statement = statement(sql, values);
    async move { answered(db.query_one_raw(statement)).await }
}

#[track_caller]
fn all<const N: usize>(
    db: &impl ConnectionTrait,
    sql: &str,
    values: [Value; N],
) -> impl Future<Output = Result<Vec<QueryResult>, DbErr>> {
    let statement = statement(sql, values);
    async move { answered(db.query_all_raw(statement)).await }
}

/// A column by name.
fn column<T: TryGetable>(row: &QueryResult, name: &str) -> Result<T, DbErr> {
    row.try_get("", name)
}

/// A column that holds a word or an id that the domain must know.
fn parsed<T, E: std::fmt::Display>(
    row: &QueryResult,
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, DbErr> {
    let text: String = column(row, name)?;
    parse(&text).map_err(|error| DbErr::Type(format!("column {name}: {error}")))
}

/// The same for words that are read with an `Option`.
fn word<T>(row: &QueryResult, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, DbErr> {
    parsed(row, name, |text| parse(text).ok_or_else(|| format!("unknown word {text:?}")))
}

/// A number that is never negative.
fn number<T: TryFrom<i64>>(row: &QueryResult, name: &str) -> Result<T, DbErr> {
    let value: i64 = column(row, name)?;
    T::try_from(value).map_err(|_| DbErr::Type(format!("column {name}: {value} is out of range")))
}

fn maybe_number<T: TryFrom<i64>>(row: &QueryResult, name: &str) -> Result<Option<T>, DbErr> {
    let value: Option<i64> = column(row, name)?;
    let read = |value| T::try_from(value).map_err(|_| DbErr::Type(format!("column {name}: {value} is out of range")));
    value.map(read).transpose()
}

fn sha256(row: &QueryResult, name: &str) -> Result<domain::id::Sha256, DbErr> {
    let bytes: Vec<u8> = column(row, name)?;
    domain::id::Sha256::from_slice(&bytes).ok_or_else(|| DbErr::Type(format!("column {name} is no SHA-256")))
}

fn maybe_sha256(row: &QueryResult, name: &str) -> Result<Option<domain::id::Sha256>, DbErr> {
    let bytes: Option<Vec<u8>> = column(row, name)?;
    Ok(bytes.and_then(|bytes| domain::id::Sha256::from_slice(&bytes)))
}
