//! Databases for tests: each test has its own, cloned from a template that is migrated once.

use crate::{Cluster, Error, Profile};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use std::any::type_name;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Names the server that all tests of a run share: the address of its superuser, set by `with-postgres`.
pub const VARIABLE: &str = "SPOOL_TEST_POSTGRES";

/// A database of one test; dropped with this value.
#[derive(Debug)]
pub struct TestDb {
    name: String,
    url: String,
    admin: PgConnectOptions,
}

impl TestDb {
    /// Clones a database from the template that `migrate` makes. `migrate` gets the address of an empty database, runs once
    /// per server and per function (its type's name is the template's), and must leave no connection open.
    ///
    /// # Errors
    /// The server's, and [`Error::Migrate`].
    pub async fn new<F, E>(migrate: F) -> Result<Self, Error>
    where
        F: AsyncFnOnce(String) -> Result<(), E>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let admin = admin().await?;
        let mut connection = admin.connect().await.map_err(statement("connect to the test server"))?;
        let template = ensure_template(&admin, &mut connection, migrate).await?;
        Self::create(admin, &mut connection, Some(&template)).await
    }

    /// A database with nothing in it.
    ///
    /// # Errors
    /// The server's.
    pub async fn empty() -> Result<Self, Error> {
        let admin = admin().await?;
        let mut connection = admin.connect().await.map_err(statement("connect to the test server"))?;
        Self::create(admin, &mut connection, None).await
    }

    /// Its address, for the superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn create(
        admin: PgConnectOptions,
        connection: &mut PgConnection,
        template: Option<&str>,
    ) -> Result<Self, Error> {
        let name = format!("test_{}", Uuid::new_v4().simple());
        // Names are ours: letters, digits and underscores.
        let from = template.unwrap_or("template0");
        let sql = format!("CREATE DATABASE {name} TEMPLATE {from}");
        connection.execute(AssertSqlSafe(sql)).await.map_err(statement("create a test database"))?;
        let url = admin.clone().database(&name).to_url_lossy().to_string();
        Ok(Self { name, url, admin })
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (admin, name) = (self.admin.clone(), std::mem::take(&mut self.name));
        // A thread and a runtime of its own: the test's runtime may be the one that is waiting here.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                // A connection that the test's runtime was still opening cannot finish while that runtime waits here, and
                // the server would wait for it: a minute, until its own time limit for a login.
                let mut connection = admin.options([("statement_timeout", "5s")]).connect().await?;
                connection.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).await?;
                connection.close().await
            })
        });
        // A database that stays costs a little disk until the server goes; failing the test for it would hide its result.
        let _ = dropping.join();
    }
}

/// The superuser of the run's server, or of one that this process starts; the latter ends with the process.
async fn admin() -> Result<PgConnectOptions, Error> {
    static OWN: OnceCell<Cluster> = OnceCell::const_new();
    #[expect(clippy::disallowed_methods, reason = "this is where the test run is told its server")]
    let given = std::env::var(VARIABLE).ok();
    let url = match given {
        Some(url) => url,
        None => OWN.get_or_try_init(|| Cluster::temporary(Profile::Throwaway)).await?.url("postgres"),
    };
    PgConnectOptions::from_str(&url)
        .map(ConnectOptions::disable_statement_logging)
        .map_err(statement("read the test server's address"))
}

/// Makes the template unless it is there. Many test processes ask at once: the first one works under the lock, the others
/// wait for it and find the template. It gets its name only when it is finished, so one that was killed leaves no half of it.
async fn ensure_template<F, E>(
    admin: &PgConnectOptions,
    connection: &mut PgConnection,
    migrate: F,
) -> Result<String, Error>
where
    F: AsyncFnOnce(String) -> Result<(), E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut hasher = DefaultHasher::new();
    type_name::<F>().hash(&mut hasher);
    let template = format!("template_{:016x}", hasher.finish());
    let lock = i64::from_ne_bytes(hasher.finish().to_ne_bytes());
    let failed = statement("make the template database");

    sqlx::query("SELECT pg_advisory_lock($1)").bind(lock).execute(&mut *connection).await.map_err(&failed)?;
    let found = sqlx::query("SELECT FROM pg_database WHERE datname = $1")
        .bind(&template)
        .fetch_optional(&mut *connection)
        .await;
    if found.map_err(&failed)?.is_none() {
        let making = format!("{template}_making");
        for sql in [
            format!("DROP DATABASE IF EXISTS {making} WITH (FORCE)"),
            format!("CREATE DATABASE {making} TEMPLATE template0"),
        ] {
            connection.execute(AssertSqlSafe(sql)).await.map_err(&failed)?;
        }
        let url = admin.clone().database(&making).to_url_lossy().to_string();
        migrate(url).await.map_err(|error| Error::Migrate { source: error.into() })?;
        // A template must have no visitor, and a connection that was just closed leaves a moment later.
        sqlx::query("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1")
            .bind(&making)
            .execute(&mut *connection)
            .await
            .map_err(&failed)?;
        connection
            .execute(AssertSqlSafe(format!("ALTER DATABASE {making} RENAME TO {template}")))
            .await
            .map_err(&failed)?;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(lock).execute(&mut *connection).await.map_err(&failed)?;
    Ok(template)
}

/// Further than any test's rows lie apart.
const FAR: &str = "interval '365000 days'";

/// Ten writers in a row that each meet a running worker are bad luck; more are a test that never lets go.
const DEADLOCKS_MAX: u32 = 10;

/// Lets `by` pass: every timestamp of every table in the schemas `spool` and `queue` moves that far into the past, so for
/// the rows it is that much later. Uuids keep the time inside them. Leases move too: a worker that runs on must renew
/// before anybody looks.
///
/// # Errors
/// [`Error::Statement`]; nothing has moved then.
pub async fn advance(pool: &PgPool, by: Duration) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        match shift(pool, by).await {
            // A worker that goes on working takes the same rows in another order.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40P01") && tries < DEADLOCKS_MAX => {
                tries += 1
            }
            other => return other.map_err(statement("shift every timestamp")),
        }
    }
}

async fn shift(pool: &PgPool, by: Duration) -> Result<(), sqlx::Error> {
    let tables = "SELECT format('%I.%I', c.table_schema, c.table_name) AS name, array_agg(quote_ident(c.column_name)::text) AS columns
        FROM information_schema.columns c
        JOIN pg_class t ON t.oid = format('%I.%I', c.table_schema, c.table_name)::regclass
       WHERE c.table_schema IN ('spool', 'queue') AND c.data_type = 'timestamp with time zone'
         AND t.relkind IN ('r', 'p') AND NOT t.relispartition
       GROUP BY 1 ORDER BY 1";
    let mut tx = pool.begin().await?;
    tx.execute("SET LOCAL timezone = 'UTC'").await?;
    for table in sqlx::query(tables).fetch_all(&mut *tx).await? {
        let (name, columns): (String, Vec<String>) = (table.try_get("name")?, table.try_get("columns")?);
        let set = |sign: &str, amount: &str| {
            let each: Vec<String> =
                columns.iter().map(|column| format!("{column} = {column} {sign} {amount}")).collect();
            format!("UPDATE {name} SET {}", each.join(", "))
        };
        // Over a long way round: where a time is part of a key, a row moved by a minute would meet its neighbour that has
        // not moved yet. Partitions follow; what has none lies in the default one.
        let amount = format!("({FAR} + interval '{} microseconds')", by.as_micros());
        tx.execute(AssertSqlSafe(set("-", &amount))).await?;
        tx.execute(AssertSqlSafe(set("+", FAR))).await?;
    }
    tx.commit().await
}

fn statement(step: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Statement { step, source }
}
