//! A migrated database with the kinds that the tests use.

#![allow(
    dead_code,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "each test file uses its share, and fails by panicking"
)]

use postgres::testing::TestDb;
use sea_orm::Database;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, Executor, Row};
use uuid::Uuid;

/// What the program would declare; `loose` belongs to no queue.
const KINDS: &str = r#"[
    {"kind": "upload", "queue": "ingest", "unique_mask": 31, "on_end": "control", "max_attempts": 3, "priority": 2},
    {"kind": "manifest_check", "queue": "control", "unique_mask": 23, "on_end": "control", "max_runtime_s": 600},
    {"kind": "control", "queue": "control"},
    {"kind": "mux", "queue": "mux", "unique_mask": 31, "on_end": "undeclared"},
    {"kind": "loose"}
]"#;

pub struct World {
    pub pool: PgPool,
    // After the pool: the database goes when nobody needs it.
    pub db: TestDb,
}

pub async fn migrate(url: String) -> anyhow::Result<()> {
    let db = Database::connect(&url).await?;
    migration::run(&db).await?;
    db.close().await?;
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::query("SELECT queue.declare_kinds($1::jsonb)").bind(KINDS).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

pub async fn world() -> World {
    let db = TestDb::new(migrate).await.unwrap();
    let pool = PgPool::connect(db.url()).await.unwrap();
    World { pool, db }
}

impl World {
    /// The first column of the first row, as text.
    pub async fn text(&self, sql: &'static str) -> String {
        let row = self.pool.fetch_one(sql).await.unwrap();
        row.try_get::<Option<String>, _>(0).unwrap().unwrap_or_else(|| "null".to_owned())
    }

    pub async fn run(&self, sql: &'static str) {
        self.pool.execute(sql).await.unwrap();
    }

    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(self.db.url()).await.unwrap()
    }

    /// State words of live jobs with this key, oldest first.
    pub async fn states(&self, key: &str) -> Vec<String> {
        let sql = "SELECT queue.state_word(state) FROM queue.job WHERE unique_key = $1 ORDER BY created_at, id";
        sqlx::query_scalar(sql).bind(key).fetch_all(&self.pool).await.unwrap()
    }
}

/// A job to be enqueued.
#[derive(Clone)]
pub struct Job {
    pub id: Uuid,
    pub kind: &'static str,
    pub key: Option<String>,
    pub in_s: Option<f64>,
    pub on_conflict: &'static str,
}

pub fn job(kind: &'static str, key: &str) -> Job {
    let key = (!key.is_empty()).then(|| key.to_owned());
    Job { id: Uuid::now_v7(), kind, key, in_s: None, on_conflict: "keep" }
}

impl Job {
    pub fn later(self) -> Self {
        Self { in_s: Some(3600.0), ..self }
    }

    pub fn hastening(self) -> Self {
        Self { on_conflict: "hasten", ..self }
    }

    pub async fn put<'c>(&self, db: impl sqlx::PgExecutor<'c>) -> Result<(Uuid, bool), sqlx::Error> {
        let sql = "SELECT job_id, inserted FROM queue.enqueue($1, NULL, $2, '{\"recording\": \"r1\"}', 'r1', 'o1', $3,
                   now() + $4 * interval '1 second', $5)";
        let query =
            sqlx::query_as(sql).bind(self.id).bind(self.kind).bind(&self.key).bind(self.in_s).bind(self.on_conflict);
        query.fetch_one(db).await
    }
}

/// Claims a job as a worker would.
pub async fn claim(world: &World, id: Uuid) {
    let sql =
        "UPDATE queue.job SET state = 3, ready_seq = NULL, attempt = attempt + 1, epoch = nextval('queue.epoch_seq'),
               worker_id = gen_random_uuid(), started_at = now() WHERE id = $1 AND state = 2";
    let claimed = sqlx::query(sql).bind(id).execute(&world.pool).await.unwrap().rows_affected();
    assert_eq!(claimed, 1, "the job was available");
}

/// Ends a running job as a worker would.
pub async fn archive(world: &World, id: Uuid, outcome: i16) {
    let sql = "WITH gone AS (DELETE FROM queue.job WHERE id = $1 RETURNING *)
               INSERT INTO queue.job_archive (id, queue, kind, schema_ver, owner_id, subject, rev, priority, state, run_at, attempt,
                 max_attempts, crashes, snoozes, unique_key, unique_mask, conc_key, on_end, payload, created_at, finished_at, outcome)
               SELECT id, queue, kind, schema_ver, owner_id, subject, rev, priority, state, run_at, attempt,
                 max_attempts, crashes, snoozes, unique_key, unique_mask, conc_key, on_end, payload, created_at, now(), $2 FROM gone";
    let moved = sqlx::query(sql).bind(id).bind(outcome).execute(&world.pool).await.unwrap().rows_affected();
    assert_eq!(moved, 1, "the job was live");
}
