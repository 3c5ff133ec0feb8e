//! A migrated database of the test's own, rows in it, and a console's source on it.

use domain::job::Kind;
use postgres::testing::TestDb;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Executor, Row};
use std::time::Duration;
use tokio::sync::mpsc;
use tui::source::ask::{Read, What};
use tui::source::told::{Body, Reply, Value};
use tui::source::{Ask, Settings, Told, start};
use uuid::Uuid;

/// Longest wait for anything that is told.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn migrate(url: String) -> anyhow::Result<()> {
    let db = connect(&url).await;
    migration::run(&db).await?;
    queue::kinds::sync(&db, &Kind::ALL.map(Kind::spec)).await?;
    db.close().await?;
    Ok(())
}

pub(crate) async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(2).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

pub(crate) struct World {
    pub(crate) pool: PgPool,
    // After the pool: the database goes when nobody needs it.
    pub(crate) db: TestDb,
}

impl World {
    pub(crate) async fn new() -> World {
        let db = TestDb::new(migrate).await.unwrap();
        World { pool: PgPool::connect(db.url()).await.unwrap(), db }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.pool.execute(AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The first column of the first row, as text.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let row =
            self.pool.fetch_one(AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        row.get::<Option<String>, _>(0).unwrap_or_default()
    }

    pub(crate) async fn recording(&self, id: &str, state: &str) {
        self.run(&format!(
            "INSERT INTO spool.recording (id, owner_id, source, state, result_key) VALUES ('{id}', 'o-' || left('{id}', 1), 'spool', \
               '{state}', CASE WHEN '{state}' IN ('ready', 'archived') THEN 'k' END)"
        ))
        .await;
    }

    /// Stored segments of two seconds.
    pub(crate) async fn segments(&self, id: &str, track: &str, indexes: &str) {
        self.run(&format!(
            "INSERT INTO spool.segment (recording_id, track, index, state, size_bytes, sha256, timescale, tfdt, duration, stored_at) \
             SELECT '{id}', '{track}', i, 'stored', 1000, sha256('x'), 1000, (i - 1) * 2000, 2000, now() \
             FROM ({indexes}) AS s (i)"
        ))
        .await;
    }

    pub(crate) async fn enqueue(&self, kind: &str, subject: &str, payload: &str) -> Uuid {
        let sql = "SELECT job_id FROM queue.enqueue(NULL, NULL, $1, $2::jsonb, $3, 'o1', NULL, NULL)";
        let row = sqlx::query(sql).bind(kind).bind(payload).bind(subject).fetch_one(&self.pool).await.unwrap();
        row.get(0)
    }

    /// Ends a waiting job as a worker would that gives it up.
    pub(crate) async fn discard(&self, job: Uuid) {
        self.run(&format!("SELECT queue.op_discard('{job}', 'test', 'test', 'no \u{1b}[2J use')")).await;
    }

    pub(crate) fn console(&self) -> Console {
        Console::on(self.db.url())
    }
}

/// The application's ends of a source.
pub(crate) struct Console {
    pub(crate) ask: mpsc::Sender<Ask>,
    pub(crate) told: mpsc::Receiver<Told>,
    generation: u64,
}

impl Console {
    pub(crate) fn on(url: &str) -> Console {
        let (ask, told) = start(Settings { url: url.to_owned(), actor: "ann@desk".to_owned() });
        Console { ask, told, generation: 0 }
    }

    /// Asks; never waits.
    pub(crate) fn ask(&self, ask: Ask) {
        self.ask.try_send(ask).expect("the source takes every wish at once");
    }

    pub(crate) fn read(&mut self, what: What, watch: bool) -> u64 {
        self.generation += 1;
        let read = Read { generation: self.generation, what };
        self.ask(if watch { Ask::Watch(read) } else { Ask::Once(read) });
        self.generation
    }

    /// Waits until something is told that `wanted` takes.
    pub(crate) async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(Told) -> Option<T>) -> T {
        let mut heard = Vec::new();
        let hear = async {
            loop {
                let told = self.told.recv().await.expect("the source lives");
                heard.push(format!("{told:?}").chars().take(200).collect::<String>());
                if let Some(found) = wanted(told) {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, hear).await;
        let last = heard.len().saturating_sub(10);
        found.unwrap_or_else(|_| panic!("never came: {what}; last heard:\n{}", heard[last..].join("\n")))
    }

    pub(crate) async fn reply(&mut self, generation: u64) -> Reply {
        self.until("a reply", |told| match told {
            Told::Reply(reply) if reply.generation == generation => Some(reply),
            _ => None,
        })
        .await
    }

    /// The value of a question that is asked once.
    pub(crate) async fn value(&mut self, what: What) -> Value {
        let generation = self.read(what.clone(), false);
        match self.reply(generation).await.body {
            Body::Fresh(value) => value,
            other => panic!("{what:?}: {other:?}"),
        }
    }
}
