//! One installation in this process.

use crate::support::site::migrated;
use crate::support::{PATIENCE, Set, wait};
use domain::completeness::{Declaration, Last};
use domain::filter::{Filter, List};
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::job::{Kind, Queue};
use domain::mux::Plan;
use domain::recording::{Policy, Source, State};
use domain::segment::{Name, Track};
use postgres::testing::TestDb;
use queue::operate::By;
use queue::read::{JobRow, list_jobs};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement, Value};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::accept::{self, Announced, Inits, Refusal, Taken};
use worker::child::{self, Program};
use worker::config::{Config, Secret};
use worker::context::Context;
use worker::db::recordings::{self, Recording};
use worker::staging::{Mode, Staging};
use worker::storage::{Faults, Store};
use worker::work;

/// A database, a store, a staging folder, and what the jobs are given of them.
pub struct World {
    pub cx: Context,
    /// A pool apart from the one under test, for looking and for standing in the way.
    pub db: DatabaseConnection,
    inits: Inits,
    folder: TempDir,
    _database: TestDb,
}

/// Queues being worked, until it is told to stop.
pub struct Worker {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), work::Error>>,
}

impl Worker {
    pub async fn stop(self) {
        self.stop.cancel();
        self.ended.await.unwrap().unwrap();
    }
}

impl World {
    pub async fn new() -> World {
        World::with(|_| {}).await
    }

    /// Where staged bytes wait as `mode` says.
    pub async fn in_mode(mode: Mode) -> World {
        World::with(|config| config.staging.mode = mode).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> World {
        let database = TestDb::new(migrated).await.expect("a test database");
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.database.url = Secret::new(database.url());
        config.storage.root = folder.path().join("objects").to_string_lossy().into_owned();
        config.staging.dir = folder.path().join("staging");
        config.staging.free_min = bytesize::ByteSize::mib(1);
        config.queue.poll = Duration::from_millis(100);
        config.work.drain = Duration::from_secs(5);
        change(&mut config);
        // This program is a test's and has no commands.
        child::introduce(Program::at(env!("CARGO_BIN_EXE_spool").into()));
        let db = Database::connect(database.url()).await.unwrap();
        let cx = Context::open(config).await.expect("everything opens");
        World { cx, db, inits: Inits::default(), folder, _database: database }
    }

    /// With a store whose calls can be made to fail.
    pub async fn with_faults(mode: Mode) -> (World, Faults) {
        let mut world = World::in_mode(mode).await;
        let faults = Faults::new();
        let config = &world.cx.config;
        let store = Store::open_with(&config.storage, &faults).await.unwrap();
        let staging = Staging::open(&config.staging, &store, &world.db).await.unwrap();
        (world.cx.store, world.cx.staging) = (store, staging);
        (world, faults)
    }

    /// Works all queues.
    pub fn work(&self) -> Worker {
        self.work_on(&Queue::ALL)
    }

    pub fn work_on(&self, queues: &[Queue]) -> Worker {
        let (stop, cx, queues) = (CancellationToken::new(), self.cx.clone(), queues.to_vec());
        let stopped = stop.clone();
        Worker { stop, ended: tokio::spawn(async move { work::run(cx, &queues, &Default::default(), stopped).await }) }
    }

    pub async fn create(&self, id: &str) -> RecordingId {
        self.create_with(id, Policy::Degrade).await
    }

    pub async fn create_with(&self, id: &str, policy: Policy) -> RecordingId {
        let id = RecordingId::parse(id).unwrap();
        let owner = OwnerId::parse("o").unwrap();
        let new = recordings::New { id: id.clone(), owner, source: Source::Spool, policy, webhook: None };
        let tx = worker::db::begin(&self.db).await.unwrap();
        recordings::create(&tx, &new).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Sends one object as a recorder does.
    pub async fn accept(&self, id: &RecordingId, track: Track, name: Name, bytes: &[u8]) -> Result<Taken, Refusal> {
        let size_bytes = bytes.len() as u64;
        let announced = Announced { recording: id.clone(), track, name, size_bytes, sha256: Some(Sha256::of(bytes)) };
        let mut arriving = accept::begin(&self.cx, &self.inits, announced).await?;
        arriving.push(bytes).await?;
        arriving.finish(&self.cx, &self.inits).await
    }

    /// Sends every object of a set that `wanted` lets through.
    pub async fn accept_set(&self, id: &RecordingId, set: &Set, wanted: impl Fn(Track, u32) -> bool) {
        for (track, name, bytes) in set.objects() {
            if wanted(track, name.index()) {
                self.accept(id, track, name, bytes).await.unwrap_or_else(|error| panic!("{track}/{name}: {error}"));
            }
        }
    }

    /// A recording whose recorder has sent a whole set, declared it, and asked for its result.
    pub async fn record(&self, id: &str, set: &Set) -> RecordingId {
        let id = self.create(id).await;
        self.send(&id, set).await;
        id
    }

    /// The same of one that was created before.
    pub async fn send(&self, id: &RecordingId, set: &Set) {
        self.accept_set(id, set, |_, _| true).await;
        self.declare(id, set).await;
        self.complete(id).await;
    }

    pub async fn declare(&self, id: &RecordingId, set: &Set) {
        let last = |track: &Track| Last { last_index: u32::try_from(set.last_index(*track)).unwrap() };
        let tracks = set.tracks.keys().map(|track| (*track, last(track))).collect();
        let tx = worker::db::begin(&self.db).await.unwrap();
        recordings::declare(&tx, id, &Declaration { tracks, duration_ms: set.duration_ms }).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn complete(&self, id: &RecordingId) -> recordings::Completion {
        let tx = worker::db::begin(&self.db).await.unwrap();
        let completion = recordings::complete(&tx, id).await.unwrap();
        tx.commit().await.unwrap();
        completion
    }

    pub async fn recording(&self, id: &RecordingId) -> Recording {
        recordings::get(&self.db, id).await.unwrap().unwrap()
    }

    pub async fn until_state(&self, id: &RecordingId, state: State) -> Recording {
        let what = format!("{id} is {state}");
        wait::until(&what, PATIENCE, || async { Some(self.recording(id).await).filter(|now| now.state == state) }).await
    }

    /// The frozen plan of a version.
    pub async fn plan(&self, id: &RecordingId, version: u32) -> Option<Plan> {
        let found = worker::db::plans::get(&self.db, id, version).await.unwrap();
        found.map(|found| found.unwrap().plan)
    }

    /// Waits until the first plan is frozen.
    pub async fn until_planned(&self, id: &RecordingId) -> Plan {
        wait::until(&format!("the plan of {id} is frozen"), PATIENCE, || async { self.plan(id, 1).await }).await
    }

    /// Jobs of a kind about a recording, live or ended.
    pub async fn jobs(&self, id: &RecordingId, kind: Kind, which: &str) -> Vec<JobRow> {
        let text = format!("state:{which} kind:{} rec:{id}", kind.as_str());
        let filter = Filter::parse(&text, List::Jobs).unwrap();
        list_jobs(&self.db, &filter, None, 100).await.unwrap().rows
    }

    /// Waits until a job of this kind has ended in this way.
    pub async fn until_ended(&self, id: &RecordingId, kind: Kind, outcome: &str) -> JobRow {
        let what = format!("a {} job of {id} is {outcome}", kind.as_str());
        wait::until(&what, PATIENCE, || async { self.jobs(id, kind, outcome).await.into_iter().next() }).await
    }

    /// Waits until somebody waits for a lock with a statement that contains `words`.
    pub async fn until_blocked(&self, words: &str) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() \
            AND position($1 IN query) > 0";
        wait::until(&format!("{words} waits for a lock"), PATIENCE, || async {
            (self.number(sql, [words.into()]).await > 0).then_some(())
        })
        .await;
    }

    pub async fn number(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> i64 {
        let row = self.db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await;
        row.unwrap().unwrap().try_get_by_index::<i64>(0).unwrap()
    }

    pub async fn execute(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> u64 {
        let done = self.db.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await;
        done.unwrap().rows_affected()
    }

    /// Makes everything older by `by`.
    pub async fn advance(&self, by: Duration) {
        postgres::testing::advance(self.db.get_postgres_connection_pool(), by).await.unwrap();
    }

    /// `track index kind` of each listed row, by track and sequence.
    pub async fn listing(&self, id: &RecordingId) -> Vec<String> {
        let sql = "SELECT track || ' ' || index || ' ' || kind FROM spool.listing WHERE recording_id = $1 ORDER BY track DESC, seq";
        let rows =
            self.db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [id.as_str().into()]));
        rows.await.unwrap().iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
    }

    /// File of an object in the store.
    pub fn object(&self, key: &str) -> PathBuf {
        self.folder.path().join("objects").join(key)
    }

    /// Files that wait in staging, in either mode.
    pub fn staged(&self) -> Vec<PathBuf> {
        match self.cx.staging.mode() {
            Mode::Local => files(&self.folder.path().join("staging/received")),
            Mode::Store => {
                let recordings = files(&self.folder.path().join("objects/o"));
                recordings.iter().flat_map(|recording| files(&recording.join("segments/.incoming"))).collect()
            }
        }
    }

    /// Those of one object, for example `video-001` of recording `r`.
    pub fn staged_of(&self, id: &str, stem: &str) -> Vec<PathBuf> {
        let mut staged = self.staged();
        staged.retain(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            match self.cx.staging.mode() {
                Mode::Local => name.starts_with(&format!("{id}.{stem}-")),
                Mode::Store => {
                    name.starts_with(&format!("{stem}-")) && path.to_str().unwrap().contains(&format!("/o/{id}/"))
                }
            }
        });
        staged
    }

    /// Keys of all objects.
    pub async fn keys(&self) -> Vec<String> {
        let listed = self.cx.store.list("").await.unwrap().all().await.unwrap();
        let mut keys: Vec<_> = listed.into_iter().map(|listed| listed.key).collect();
        keys.sort();
        keys
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Who asks for what tests ask of the queue.
pub fn by() -> By {
    By { actor: "test".to_owned(), via: "test".to_owned(), reason: None }
}

/// Six seconds of picture and sound, made once.
pub fn set() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| Set::synthetic(Duration::from_secs(6)))
}
