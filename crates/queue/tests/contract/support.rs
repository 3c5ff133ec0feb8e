//! Own database, own kinds, a worker in this process, and waiting for states.
#![allow(dead_code)]

use domain::job::{Kind, KindSpec, OnFence, Queue, mask};
use domain::retry::RetryPolicy;
use migration as schema;
use queue::{Config, Engine, JobCtx, JobKind, Outcome, Runtime, enqueue::Enqueue, kinds};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row, postgres::PgRow};
use std::time::{Duration, Instant};
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};
use uuid::Uuid;

/// A database of the test, and a pool on it.
pub(crate) struct World {
    pub(crate) db: DatabaseConnection,
    pub(crate) url: String,
    guard: Option<postgres::testing::TestDb>,
}

pub(crate) async fn migrate(url: String) -> anyhow::Result<()> {
    let db = Database::connect(url).await?;
    schema::run(&db).await?;
    db.close().await?;
    Ok(())
}

pub(crate) async fn connect(url: &str, most: u32) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(most)
        .sqlx_logging(false)
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(30));
    Database::connect(options).await.expect("connect to the test database")
}

impl World {
    pub(crate) async fn new() -> World {
        let guard = postgres::testing::TestDb::new(migrate).await.expect("a test database");
        let url = guard.url().to_owned();
        let world = World { db: connect(&url, 20).await, url, guard: Some(guard) };
        world.declare().await;
        world
    }

    /// A world on a server that the test itself runs.
    pub(crate) async fn on(url: &str) -> World {
        migrate(url.to_owned()).await.expect("migrate");
        let world = World { db: connect(url, 20).await, url: url.to_owned(), guard: None };
        world.declare().await;
        world
    }

    pub(crate) async fn declare(&self) {
        kinds::sync(&self.db, &[Nap::spec(), Say::spec(), Solo::spec(), Kind::Control.spec()])
            .await
            .expect("declare kinds");
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.db.get_postgres_connection_pool()
    }

    pub(crate) async fn put(&self, job: Enqueue) -> Uuid {
        job.put(&self.db).await.expect("enqueue").id
    }

    pub(crate) async fn say(&self, what: &str) -> Uuid {
        self.put(Enqueue::raw("say", serde_json::json!({ "what": what }))).await
    }

    pub(crate) async fn nap(&self, ms: u64) -> Uuid {
        self.put(Enqueue::raw("nap", serde_json::json!({ "ms": ms }))).await
    }

    pub(crate) async fn run(&self, sql: &str) -> u64 {
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        self.db.execute_raw(statement).await.unwrap_or_else(|error| panic!("{sql}: {error}")).rows_affected()
    }

    /// Rows of a query; asked again for a while, because an outage leaves dead connections in the pool.
    async fn rows(&self, sql: &str, id: Option<Uuid>) -> Vec<PgRow> {
        let mut tries = 0;
        loop {
            let query = sqlx::query(sqlx::AssertSqlSafe(sql));
            let query = if let Some(id) = id { query.bind(id) } else { query };
            match query.fetch_all(self.pool()).await {
                Ok(rows) => return rows,
                Err(error) if tries == 50 => panic!("{sql}: {error}"),
                Err(_) => tries += 1,
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.rows(sql, None).await[0].get(0)
    }

    pub(crate) async fn text(&self, sql: &str) -> String {
        self.rows(sql, None).await[0].get::<Option<String>, _>(0).unwrap_or_default()
    }

    /// One line about a job: state or outcome, attempt, snoozes, crashes, reason, class.
    pub(crate) async fn job(&self, id: Uuid) -> String {
        let sql = "SELECT queue.state_word(state) || ' attempt=' || attempt || ' snoozes=' || snoozes || ' crashes=' || crashes \
                || coalesce(' class=' || error_class, '') FROM queue.job WHERE id = $1 \
             UNION ALL SELECT queue.outcome_word(outcome) || ' attempt=' || attempt || ' snoozes=' || snoozes || ' crashes=' || crashes \
                || coalesce(' reason=' || reason, '') || coalesce(' class=' || error_class, '') FROM queue.job_archive WHERE id = $1";
        let rows = self.rows(sql, Some(id)).await;
        rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join(" | ")
    }

    /// The outcomes of a job's attempts, in order.
    pub(crate) async fn attempts(&self, id: Uuid) -> String {
        let sql = "SELECT attempt || ' ' || (ARRAY['completed','failed','snoozed','discarded','cancelled','lost','handed_back'])[outcome + 1] \
                || coalesce(' ' || error_class, '') FROM queue.attempt WHERE job_id = $1 ORDER BY ended_at, epoch";
        let rows = self.rows(sql, Some(id)).await;
        rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join(", ")
    }

    pub(crate) async fn job_starts_with(&self, id: Uuid, what: &str) {
        let mut last = String::new();
        let seen = within(Duration::from_secs(60), async || {
            last = self.job(id).await;
            last.starts_with(what)
        });
        assert!(seen.await, "job {id} is {last:?}, not {what:?}");
    }

    pub(crate) async fn ends(&self, id: Uuid) -> String {
        self.ends_within(id, Duration::from_secs(60)).await
    }

    pub(crate) async fn ends_within(&self, id: Uuid, bound: Duration) -> String {
        let ended = within(bound, async || {
            self.number(&format!("SELECT count(*) FROM queue.job_archive WHERE id = '{id}'")).await == 1
        });
        assert!(ended.await, "job {id} has not ended: {}", self.job(id).await);
        self.job(id).await
    }
}

/// Waits for a state, bounded.
pub(crate) async fn within(bound: Duration, mut reached: impl AsyncFnMut() -> bool) -> bool {
    let end = Instant::now() + bound;
    loop {
        if reached().await {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn until(what: &str, reached: impl AsyncFnMut() -> bool) {
    assert!(within(Duration::from_secs(60), reached).await, "never came: {what}");
}

/// Short leases, so that tests of rescue take seconds; one test uses the defaults.
pub(crate) fn quick() -> Config {
    Config {
        lease: Duration::from_millis(3000),
        beat: Duration::from_millis(500),
        fence_margin: Duration::from_millis(800),
        poll: Duration::from_millis(200),
        rescue: Duration::from_millis(300),
        call: Duration::from_millis(1500),
        grace: Duration::from_millis(400),
        snooze_min: Duration::from_millis(20),
        ..Config::default()
    }
}

/// A worker in this process.
pub(crate) struct Running {
    pub(crate) engine: Engine,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) run: JoinHandle<()>,
}

pub(crate) fn start(runtime: Runtime, drain: Duration) -> Running {
    let engine = runtime.engine();
    let (stop, stopped) = oneshot::channel();
    let run = tokio::spawn(async move {
        let signal = async {
            let _ = stopped.await;
        };
        runtime.run(signal, drain).await.expect("run workers");
    });
    Running { engine, stop: Some(stop), run }
}

impl Running {
    /// Drains and waits for the end.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.run.await.expect("the runtime ends");
    }
}

pub(crate) fn spec(name: &'static str, queue: Queue) -> KindSpec {
    KindSpec {
        name,
        queue,
        priority: 5,
        unique_mask: mask::LIVE,
        retry: RetryPolicy {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(2),
            attempts_max: 3,
            ..RetryPolicy::DEFAULT
        },
        max_runtime: Duration::from_secs(60),
        crash_cap: 10,
        on_end: None,
        on_fence: OnFence::Abort,
    }
}

/// Sleeps; stops when it is told to unless it is stubborn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Nap {
    pub(crate) ms: u64,
    #[serde(default)]
    pub(crate) stubborn: bool,
}

impl JobKind for Nap {
    fn spec() -> KindSpec {
        KindSpec { on_fence: OnFence::Finish, ..spec("nap", Queue::Mux) }
    }
}

pub(crate) async fn nap(job: Nap, ctx: JobCtx) -> Outcome {
    let rest = sleep(Duration::from_millis(job.ms));
    if job.stubborn {
        rest.await;
        return Outcome::Completed;
    }
    tokio::select! {
        () = rest => Outcome::Completed,
        () = ctx.draining().cancelled() => Outcome::HandBack,
        () = ctx.stop().cancelled() => Outcome::HandBack,
    }
}

/// Ends as it is told to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Say {
    pub(crate) what: String,
}

impl JobKind for Say {
    fn spec() -> KindSpec {
        KindSpec { on_end: Some(Kind::Control), ..spec("say", Queue::Control) }
    }
}

/// Unique while it waits, one at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Solo {}

impl JobKind for Solo {
    fn spec() -> KindSpec {
        KindSpec { unique_mask: mask::WAITING, ..spec("solo", Queue::Ingest) }
    }
}
