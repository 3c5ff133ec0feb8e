//! One connection: made with a bound, named, bound to a role, and used in short transactions with limits of their own.
//!
//! Every limit and the role are set within each transaction, so that a pooler that hands the connection on after each of
//! them takes nothing along.

use super::error::Fault;
use super::{SCHEMA, Settings};
use crate::source::clean::Clean;
use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, Statement,
    TransactionTrait,
};
use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for a connection, and for the first answers on it.
const OPEN_MAX: Duration = Duration::from_secs(5);
/// How much longer than the database's own limit an answer may take to come: then the connection is given up.
const WAY_MAX: Duration = Duration::from_secs(2);

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// Looking.
    View,
    /// Changing, by the operator functions and nothing else.
    Operate,
}

impl Rights {
    fn role(self) -> &'static str {
        match self {
            Rights::View => "spool_view",
            Rights::Operate => "spool_operate",
        }
    }
}

/// How long a statement may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// A list or one object.
    List,
    /// Numbers beside a list.
    Count,
    /// Somebody asked and waits for it.
    Explicit,
    /// A change.
    Act,
}

impl Limit {
    fn statement(self) -> Duration {
        match self {
            Limit::List => Duration::from_secs(1),
            Limit::Count => Duration::from_millis(300),
            Limit::Explicit | Limit::Act => Duration::from_secs(10),
        }
    }

    /// A look waits for nobody; a change waits for the worker that just settles the job.
    fn lock(self) -> Duration {
        match self {
            Limit::List | Limit::Count | Limit::Explicit => Duration::from_millis(200),
            Limit::Act => Duration::from_secs(2),
        }
    }

    /// For several statements and the way there and back.
    fn whole(self) -> Duration {
        self.statement() + WAY_MAX
    }
}

/// An open connection.
pub(super) struct Link {
    pool: DatabaseConnection,
    rights: Rights,
    /// The login may take the role that is meant for this; else it acts with its own rights.
    member: bool,
    /// Server and database.
    pub(super) place: Clean,
    /// Whose rights hold.
    pub(super) role: Clean,
    /// The database's schema, and the oldest that a program must know to work with it.
    pub(super) schema: (i32, i32),
}

/// Connects and looks around.
pub(super) async fn open(settings: &Settings, rights: Rights) -> Result<Link, Fault> {
    bounded(OPEN_MAX + WAY_MAX, connect(settings, rights)).await
}

/// Ends a call that nobody answers.
pub(super) async fn bounded<T>(bound: Duration, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(bound, call).await.unwrap_or_else(|_| Err(Fault::silent()))
}

async fn connect(settings: &Settings, rights: Rights) -> Result<Link, Fault> {
    let mut options = ConnectOptions::new(&settings.url);
    options
        .max_connections(1)
        .min_connections(0)
        .connect_timeout(OPEN_MAX)
        .acquire_timeout(OPEN_MAX)
        .set_application_name(format!("spool-tui/{}", settings.actor))
        .test_before_acquire(false)
        .sqlx_logging(false)
        // Every statement is planned for its values: a plan for any value would read whole lists for some of them. It also
        // leaves nothing behind on a connection that a pooler hands on.
        .map_sqlx_postgres_opts(|options| options.extra_float_digits(None).statement_cache_capacity(0));
    let place = place(&settings.url);
    knock(&settings.url).await?;
    let pool = Database::connect(options).await?;
    let mut link = Link { pool, rights, member: false, place, role: Clean::default(), schema: (0, 0) };
    let ask = "SELECT session_user::text AS login, coalesce((SELECT pg_has_role(r.oid, 'MEMBER') FROM pg_roles AS r \
        WHERE r.rolname = $1), false) AS member, to_regprocedure('spool.schema_oldest()') IS NOT NULL AS found";
    let ask = Statement::from_sql_and_values(DbBackend::Postgres, ask, [rights.role().into()]);
    let row = link.pool.query_one_raw(ask).await?.ok_or_else(Fault::silent)?;
    let login: String = row.try_get("", "login")?;
    link.member = row.try_get("", "member")?;
    link.role = Clean::new(if link.member { rights.role() } else { login.as_str() });
    if !row.try_get::<bool>("", "found")? {
        return Err(Fault::Lost(Clean::new("there is no Spool in this database; run spool migrate")));
    }
    let session = link.begin(Limit::List).await?;
    let ask = "SELECT coalesce(spool.schema_version(), 0) AS version, coalesce(spool.schema_oldest(), 0) AS oldest";
    let row = session.db().query_one_raw(Statement::from_string(DbBackend::Postgres, ask)).await?;
    let row = row.ok_or_else(Fault::silent)?;
    link.schema = (row.try_get("", "version")?, row.try_get("", "oldest")?);
    session.end().await?;
    if link.schema.1 > SCHEMA {
        let why = format!("the schema of the database is too new for this console ({} > {SCHEMA})", link.schema.0);
        return Err(Fault::Lost(Clean::new(why)));
    }
    Ok(link)
}

/// Says at once that nobody is there: the pool takes that for a server that is just starting, and tries on to its bound.
async fn knock(url: &str) -> Result<(), Fault> {
    use sqlx::postgres::PgConnectOptions;
    let Ok(options) = url.parse::<PgConnectOptions>() else { return Ok(()) };
    let (host, port) = (options.get_host(), options.get_port());
    if options.get_socket().is_some() || host.starts_with('/') {
        return Ok(());
    }
    let open = tokio::net::TcpStream::connect((host, port)).await;
    open.map(drop).map_err(|error| Fault::Lost(Clean::new(format!("{host}:{port}: {error}"))))
}

/// Host, port and database of an address, without user and password.
fn place(url: &str) -> Clean {
    use sqlx::postgres::PgConnectOptions;
    let Ok(options) = url.parse::<PgConnectOptions>() else { return Clean::new("database") };
    let name = options.get_database().unwrap_or_default();
    Clean::new(format!("{}:{}/{name}", options.get_host(), options.get_port()))
}

impl Link {
    /// Carries out one call in a transaction of its own, bounded on both sides.
    pub(super) async fn read<T>(
        &self,
        limit: Limit,
        call: impl AsyncFnOnce(&Session) -> Result<T, Fault>,
    ) -> Result<(T, Seen), Fault> {
        let whole = async {
            let session = self.begin(limit).await?;
            let found = call(&session).await?;
            let seen = session.end().await?;
            Ok((found, seen))
        };
        bounded(limit.whole(), whole).await
    }

    /// A transaction with its role and its limits.
    pub(super) async fn begin(&self, limit: Limit) -> Result<Session, Fault> {
        let tx = self.pool.begin().await?;
        let mode = match self.rights {
            Rights::View => "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; ",
            Rights::Operate => "",
        };
        let role = if self.member { format!("SET LOCAL ROLE {}; ", self.rights.role()) } else { String::new() };
        let (statement, lock) = (limit.statement().as_millis(), limit.lock().as_millis());
        // Compiling a look at queues takes thirty times as long as the look.
        tx.execute_unprepared(&format!(
            "{mode}{role}SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock}; \
             SET LOCAL idle_in_transaction_session_timeout = 5000; SET LOCAL jit = off; SET LOCAL work_mem = '16MB'"
        ))
        .await?;
        let begun = Instant::now();
        let now = Statement::from_string(DbBackend::Postgres, "SELECT now() AS now");
        let row = tx.query_one_raw(now).await?.ok_or_else(Fault::silent)?;
        let (way, now) = (begun.elapsed(), row.try_get("", "now")?);
        Ok(Session { tx, now, way, begun: Instant::now(), calls: AtomicU32::new(0), discount_us: AtomicU64::new(0) })
    }
}

/// A transaction under way.
pub(super) struct Session {
    tx: DatabaseTransaction,
    /// The database's clock.
    pub(super) now: DateTime<Utc>,
    way: Duration,
    begun: Instant,
    calls: AtomicU32,
    discount_us: AtomicU64,
}

/// What a transaction came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The database's clock.
    pub(super) now: DateTime<Utc>,
    /// How long it took.
    pub(super) took: Duration,
    /// How much of it was the database's work, as far as can be told from here: without the way there and back.
    pub(super) work: Duration,
}

impl Session {
    /// For one statement.
    pub(super) fn db(&self) -> &DatabaseTransaction {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &self.tx
    }

    /// Work that has a pace of its own.
    pub(super) fn discount(&self, work: Duration) {
        self.discount_us.fetch_add(u64::try_from(work.as_micros()).unwrap_or(0), Ordering::Relaxed);
    }

    /// Commits.
    pub(super) async fn end(self) -> Result<Seen, Fault> {
        let took = self.begun.elapsed();
        self.tx.commit().await?;
        let own = Duration::from_micros(self.discount_us.into_inner());
        let work = took.saturating_sub(own).saturating_sub(self.way * self.calls.into_inner());
        Ok(Seen { now: self.now, took: took + self.way, work })
    }
}
