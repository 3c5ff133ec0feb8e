//! How the tables came to be: frozen history, and the rights on what it made.
//!
//! Owns every object of the schemas `queue` and `spool`. It must not read or write rows of recordings or jobs, and it never
//! imports `entities` or `domain`: history does not change when a model does.

mod history;

use sea_orm_migration::MigratorTrait;
use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement, TransactionTrait,
};
use thiserror::Error;

/// Why the schema could not be read or brought up to date.
#[derive(Debug, Error)]
pub enum Error {
    /// A statement failed; the database is as it was before the call.
    #[error("{step} of schema migration")]
    Database {
        /// What was being done.
        step: &'static str,
        /// The database's answer.
        #[source]
        source: DbErr,
    },
    /// The database was migrated by a newer program with which this one must not work.
    #[error(
        "database has schema version {found}, which needs a program that knows version {oldest} or newer; this one knows {known}"
    )]
    TooNew {
        /// Version of the database.
        found: i32,
        /// The oldest version a program must know to work with it.
        oldest: i32,
        /// Version this program knows.
        known: i32,
    },
}

/// How the schema of a database stands to this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Version of the database: 0 when nothing was applied yet.
    pub version: i32,
    /// Version this program brings a database to.
    pub known: i32,
    /// The oldest version a program must know to work with the database.
    pub oldest: i32,
}

impl Status {
    /// Everything this program needs is there.
    pub fn is_current(&self) -> bool {
        self.version >= self.known && self.oldest <= self.known
    }

    /// The database is ahead of this program and no longer fits it.
    pub fn is_too_new(&self) -> bool {
        self.oldest > self.known
    }
}

/// What [`run`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Version before.
    pub from: i32,
    /// Version after; larger than this program's when a newer one was here first.
    pub to: i32,
    /// Roles that do not exist and could not be made. An administrator makes them with [`Report::role_statements`], then
    /// `migrate` gives them their rights.
    pub missing_roles: Vec<String>,
}

impl Report {
    /// What an administrator has to run, one statement a line.
    pub fn role_statements(&self) -> Vec<String> {
        self.missing_roles.iter().map(|role| format!("CREATE ROLE {role} NOLOGIN;")).collect()
    }
}

/// Key of the advisory lock: any constant that nobody else uses in the same database.
const LOCK: i64 = 0x5350_4f4f_4c00_0001;

/// One process migrates, the others wait for it; a migration takes seconds, so this is a process that hangs.
const LOCK_WAIT_S: u32 = 120;

/// Brings the database up to date. Any number of processes may call it at once: one works, the others wait for it and then
/// find nothing to do. It needs a direct connection or a transaction pooler, and a role that may create schemas.
///
/// # Errors
/// [`Error::Database`] when a statement fails (nothing is changed then), [`Error::TooNew`] when a newer program's migration
/// has removed what this one needs.
pub async fn run(db: &DatabaseConnection) -> Result<Report, Error> {
    let tx = begin(db).await?;
    let before = read_status(&tx).await?;
    if before.is_too_new() {
        return Err(Error::TooNew { found: before.version, oldest: before.oldest, known: before.known });
    }
    if before.version < before.known {
        history::Migrator::up(&tx, None).await.map_err(at("apply history"))?;
        execute(&tx, "record version", &record_version()).await?;
    }
    // A database that is ahead already has the rights of its own version.
    if before.version <= before.known {
        execute(&tx, "grant rights", include_str!("role.sql")).await?;
    }
    let missing_roles = missing_roles(&tx).await?;
    tx.commit().await.map_err(at("commit"))?;
    Ok(Report { from: before.version, to: before.version.max(before.known), missing_roles })
}

/// Reads how the schema stands, changing nothing. Any role of ours may ask.
///
/// # Errors
/// [`Error::Database`] when the database cannot be asked.
pub async fn status(db: &DatabaseConnection) -> Result<Status, Error> {
    read_status(db).await
}

/// Takes everything away again, rows included; for tests of the history.
///
/// # Errors
/// [`Error::Database`] when a statement fails (nothing is changed then).
pub async fn revert(db: &DatabaseConnection) -> Result<(), Error> {
    let tx = begin(db).await?;
    history::Migrator::down(&tx, None).await.map_err(at("revert history"))?;
    tx.commit().await.map_err(at("commit"))
}

/// Opens the transaction in which everything happens, alone, without the bound that statements of the program have (an
/// index over millions of rows takes its time), and with the history's table in schema `spool`: in a database
/// shared with a web app, `public` belongs to the web app.
async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, Error> {
    let tx = db.begin().await.map_err(at("begin"))?;
    execute(
        &tx,
        "wait for other processes",
        &format!(
            "SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({LOCK})"
        ),
    )
    .await?;
    // From here on a lock is held by somebody who works; waiting long for it would make everybody behind us wait too.
    execute(
        &tx,
        "prepare",
        "SET LOCAL lock_timeout = '10s'; CREATE SCHEMA IF NOT EXISTS spool; SET LOCAL search_path = spool",
    )
    .await?;
    Ok(tx)
}

async fn read_status(db: &impl ConnectionTrait) -> Result<Status, Error> {
    let known = i32::try_from(history::Migrator::migrations().len()).expect("the history has fewer than 2^31 entries");
    let exists = "SELECT to_regprocedure('spool.schema_oldest()') IS NOT NULL AS found";
    let read = "SELECT coalesce(spool.schema_version(), 0) AS version, coalesce(spool.schema_oldest(), 0) AS oldest";
    let ask = async |sql: &str| {
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        row.ok_or_else(|| DbErr::RecordNotFound("an aggregate has one row".to_owned()))
    };
    let found: bool = ask(exists).await.and_then(|row| row.try_get("", "found")).map_err(at("look for the schema"))?;
    if !found {
        return Ok(Status { version: 0, known, oldest: 0 });
    }
    let row = ask(read).await.map_err(at("read version"))?;
    let version = row.try_get("", "version").map_err(at("read version"))?;
    let oldest = row.try_get("", "oldest").map_err(at("read version"))?;
    Ok(Status { version, known, oldest })
}

/// The oldest version a program must know to work with the schema this history makes. A migration that removes something
/// raises it, one release after the last program that used it.
const OLDEST: i32 = 1;

fn record_version() -> String {
    let known = history::Migrator::migrations().len();
    format!(
        "INSERT INTO spool.setting (key, value) VALUES ('schema', '{{\"version\": {known}, \"oldest\": {OLDEST}}}') \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now()"
    )
}

async fn missing_roles(tx: &DatabaseTransaction) -> Result<Vec<String>, Error> {
    let sql = "SELECT wanted FROM unnest(ARRAY['spool_owner', 'spool_run', 'spool_app', 'spool_view', 'spool_operate', \
               'spool_scaler']) WITH ORDINALITY AS list (wanted, n) \
               WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) ORDER BY n";
    let rows =
        tx.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.map_err(at("look for roles"))?;
    rows.iter().map(|row| row.try_get("", "wanted").map_err(at("look for roles"))).collect()
}

async fn execute(tx: &DatabaseTransaction, step: &'static str, sql: &str) -> Result<(), Error> {
    tx.execute_unprepared(sql).await.map(drop).map_err(at(step))
}

fn at(step: &'static str) -> impl Fn(DbErr) -> Error {
    move |source| Error::Database { step, source }
}
