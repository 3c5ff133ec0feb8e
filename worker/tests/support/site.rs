//! One installation for one test: a database, a store, a staging folder, secrets, and the processes on them.

use super::{Api, PATIENCE, Running, invariants, wait};
use domain::job::Kind;
use postgres::testing::TestDb;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement, Value};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;
use worker::config::{Config, Sources, load};

/// The web app's token.
pub const SERVICE_TOKEN: &str = "service-token-of-a-test";

/// What recording tokens are signed with.
const SIGNING_KEY: &str = "k1:signing-key-of-a-test-32-characters";

/// Everything of one test, gone when it is dropped.
#[derive(Debug)]
pub struct Site {
    /// The database, for looking at rows.
    pub db: DatabaseConnection,
    /// What [`invariants::hold`] saw last.
    pub seen: invariants::Seen,
    env: Vec<(String, String)>,
    folder: TempDir,
    started: AtomicU32,
    database: Option<TestDb>,
}

impl Site {
    /// A migrated database of its own, an empty store and an empty staging folder.
    pub async fn new() -> Site {
        let database = TestDb::new(migrated).await.expect("a test database");
        let url = database.url().to_owned();
        Site::on(&url, Some(database)).await
    }

    /// On a database that the test looks after itself; it is migrated here.
    pub async fn at(url: &str) -> Site {
        migrated(url.to_owned()).await.expect("migrate");
        Site::on(url, None).await
    }

    async fn on(url: &str, database: Option<TestDb>) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::connect(url).await.unwrap();
        let seen = invariants::Seen::default();
        let mut site = Site { db, seen, env: Vec::new(), folder, started: AtomicU32::new(0), database };
        let path = |name: &str| site.folder.path().join(name).to_string_lossy().into_owned();
        let (objects, staging) = (path("objects"), path("staging"));
        site.set("DATABASE_URL", url);
        site.set("SPOOL__STORAGE__ROOT", &objects);
        site.set("SPOOL__STAGING__DIR", &staging);
        site.set("SPOOL__STAGING__FREE_MIN", "1MiB");
        site.set("SPOOL__AUTH__SERVICE_TOKENS", &format!("test:{SERVICE_TOKEN}"));
        site.set("SPOOL__AUTH__SIGNING_KEYS", SIGNING_KEY);
        site.set("SPOOL__CLEANUP__GRACE", "1h");
        site
    }

    /// Sets a variable for every process that is started from now on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.env.retain(|(known, _)| known != key);
        self.env.push((key.to_owned(), value.to_owned()));
    }

    /// What a variable is set to.
    pub fn variable(&self, key: &str) -> &str {
        let found = self.env.iter().find(|(known, _)| known == key);
        &found.unwrap_or_else(|| panic!("{key} is not set")).1
    }

    /// Takes a variable away.
    pub fn unset(&mut self, key: &str) {
        self.env.retain(|(known, _)| known != key);
    }

    /// The settings of its processes.
    pub fn config(&self) -> Config {
        let env = self.env.iter().cloned().collect();
        load(&Sources { file: None, env, flags: Vec::new() }).unwrap()
    }

    /// Root of the object store.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    /// The staging folder.
    pub fn staging(&self) -> PathBuf {
        self.folder.path().join("staging")
    }

    /// A folder for whatever the test likes to write.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The binary under test with this site's settings and nothing else of ours.
    pub fn spool(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spool"));
        command.args(arguments).current_dir(self.folder.path()).envs(self.env.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Starts a process that goes on.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let n = self.started.fetch_add(1, Ordering::Relaxed);
        Running::start(self.spool(arguments), &self.folder.path().join(format!("{n}-{}.log", arguments[0])))
    }

    /// Starts the API and waits until it answers.
    pub async fn serve(&self) -> (Running, Api) {
        let listen = format!("127.0.0.1:{}", free_port());
        let mut running = self.start(&["serve", "--set", &format!("http.listen={listen}")]);
        let api = Api::new(format!("http://{listen}"), SERVICE_TOKEN.to_owned());
        wait::until("the API is ready", PATIENCE, async || {
            assert!(running.is_alive(), "the API has ended:\n{}", running.log());
            let ready = api.try_send(api.request(reqwest::Method::GET, "/readyz")).await;
            ready.filter(|answer| answer.status == 200).map(drop)
        })
        .await;
        (running, api)
    }

    /// Starts a worker on all queues.
    pub fn work(&self) -> Running {
        self.work_with(&[])
    }

    /// Starts a worker with more arguments.
    pub fn work_with(&self, arguments: &[&str]) -> Running {
        let listen = format!("work.listen=127.0.0.1:{}", free_port());
        self.start(&[&["work", "--set", &listen], arguments].concat())
    }

    /// One number from the database.
    pub async fn count(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> i64 {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        let row = self.db.query_one_raw(statement).await.unwrap().expect("one row");
        row.try_get_by_index::<i64>(0).unwrap()
    }

    /// One text per row from the database.
    pub async fn texts(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Vec<String> {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        let rows = self.db.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
    }

    /// Changes rows.
    pub async fn execute(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> u64 {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        self.db.execute_raw(statement).await.unwrap().rows_affected()
    }

    /// Outcomes of all attempts of a kind, in the order of their starts.
    pub async fn attempts(&self, kind: &str) -> Vec<String> {
        let words = "ARRAY['completed', 'failed', 'snoozed', 'discarded', 'cancelled', 'lost', 'handed_back']";
        let sql =
            format!("SELECT ({words})[outcome + 1] FROM queue.attempt WHERE kind = $1 ORDER BY started_at, attempt");
        self.texts(&sql, [kind.into()]).await
    }

    /// Every object of the store, by key, sorted.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        files_below(&self.objects(), &self.objects(), &mut keys);
        keys.retain(|key| !key.starts_with('.'));
        keys.sort();
        keys
    }
}

fn files_below(folder: &Path, root: &Path, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, root, found);
        } else {
            found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
        }
    }
}

/// A port that nobody uses at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Makes the template that every test's database is cloned from: what `spool migrate` makes.
pub async fn migrated(url: String) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let db = Database::connect(url).await?;
    migration::run(&db).await?;
    queue::kinds::sync(&db, &Kind::ALL.map(Kind::spec)).await?;
    db.close().await?;
    Ok(())
}
