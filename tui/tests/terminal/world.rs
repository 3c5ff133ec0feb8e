//! A database of the test, a worker in this process, and a console in a terminal.

use crate::terminal::Terminal;
use domain::job::{Kind, Noop};
use domain::retry::Fault;
use queue::enqueue::Enqueue;
use queue::{Config, JobError, Outcome, Runtime, kinds};
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, Statement, TransactionTrait,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) db: DatabaseConnection,
    database: postgres::testing::TestDb,
}

async fn migrate(url: String) -> anyhow::Result<()> {
    let db = Database::connect(url).await?;
    migration::run(&db).await?;
    kinds::sync(&db, &Kind::ALL.map(Kind::spec)).await?;
    db.close().await?;
    Ok(())
}

impl World {
    pub(crate) async fn new() -> World {
        let database = postgres::testing::TestDb::new(migrate).await.unwrap();
        World { db: Database::connect(database.url()).await.unwrap(), database }
    }

    /// A job that does nothing, about a recording.
    pub(crate) async fn put(&self, recording: &str) -> Uuid {
        let mut job = Enqueue::raw("noop", serde_json::json!({}));
        job.subject = Some(recording.to_owned());
        job.put(&self.db).await.unwrap().id
    }

    pub(crate) async fn run(&self, sql: &str) {
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        self.db.execute_raw(statement).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Holds every job until dropped, as a worker does that settles one.
    pub(crate) async fn hold(&self) -> DatabaseTransaction {
        let hold = self.db.begin().await.unwrap();
        let lock = Statement::from_string(DbBackend::Postgres, "SELECT 1 FROM queue.job FOR UPDATE");
        hold.query_all_raw(lock).await.unwrap();
        hold
    }

    /// Until a console's change waits for what is held.
    pub(crate) async fn waits_for_a_lock(&self) {
        let ask = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let begin = Instant::now();
        while self.db.query_one_raw(Statement::from_string(DbBackend::Postgres, ask)).await.unwrap().is_none() {
            assert!(begin.elapsed() < Duration::from_secs(20), "nothing waits");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn recording(&self, id: &str) {
        self.run(&format!("INSERT INTO spool.recording (id, owner_id, source) VALUES ('{id}', 'eu-7', 'spool')")).await;
    }

    /// A console of 80 × 24.
    pub(crate) fn console(&self, args: &[&str]) -> Terminal {
        Terminal::start(Path::new(console()), args, &self.env(), 80, 24)
    }

    pub(crate) fn env(&self) -> Vec<(&str, &str)> {
        vec![("DATABASE_URL", self.database.url()), ("SPOOL_ACTOR", "kim@desk")]
    }
}

/// The binary under test.
pub(crate) fn console() -> &'static str {
    env!("CARGO_BIN_EXE_spool-tui")
}

/// A worker that fails every job for good until it is mended.
pub(crate) struct Worker {
    broken: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
}

impl Worker {
    pub(crate) fn start(world: &World) -> Worker {
        let broken = Arc::new(AtomicBool::new(true));
        let (stop, stopped) = oneshot::channel::<()>();
        let seen = Arc::clone(&broken);
        let work = move |_: Noop| {
            let seen = Arc::clone(&seen);
            async move {
                if seen.load(Ordering::SeqCst) {
                    return Err(JobError::new(Fault::Permanent, "no-such-bucket", "get segment: bucket is gone"));
                }
                Ok(Outcome::Completed)
            }
        };
        let runtime = Runtime::new(world.db.clone(), Config::default()).register::<Noop, _, _>(2, work);
        tokio::spawn(runtime.run(async { drop(stopped.await) }, Duration::from_secs(1)));
        Worker { broken, stop: Some(stop) }
    }

    pub(crate) fn mend(&self) {
        self.broken.store(false, Ordering::SeqCst);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}
