//! One server in this process with a database, a store and a staging folder of its own.
//!
//! Tests run on several threads: dropping the database waits for whoever is just connecting to it, and on one thread
//! that would be the server, which waits for the drop.

use crate::set::Set;
use chrono::TimeDelta;
use domain::id::RecordingId;
use domain::job::Kind;
use domain::segment::{Name, Track};
use postgres::testing::TestDb;
use reqwest::{Method, RequestBuilder};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement, Value as SqlValue};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker::auth::{Keyring, Scope};
use worker::config::{Config, Secret};
use worker::context::Context;
use worker::serve::Bound;
use worker::staging::Mode;

/// The web app's token.
pub(crate) const SERVICE: &str = "service-token-of-a-test";

/// Longest wait for anything that a healthy machine does at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One server and everything it stands on, gone when it is dropped.
pub(crate) struct World {
    pub(crate) base: String,
    pub(crate) cx: Context,
    pub(crate) keys: Keyring,
    /// Straight to the database, also while the server's way is cut.
    pub(crate) db: DatabaseConnection,
    pub(crate) wire: Wire,
    http: reqwest::Client,
    folder: TempDir,
    stop: CancellationToken,
    _database: TestDb,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// Status and code of a problem document.
    pub(crate) fn problem(&self) -> (u16, &str) {
        let code = self.body["code"].as_str().unwrap_or_default();
        if !code.is_empty() {
            assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
            assert_eq!(self.body["type"], format!("urn:spool:problem:{code}"), "{self:?}");
            assert_eq!(self.body["status"], self.status, "{self:?}");
            assert!(self.body["hint"].is_string() && self.body["title"].is_string(), "{self:?}");
        }
        (self.status, code)
    }
}

/// A recording and its recorder's token.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) token: String,
}

impl Made {
    pub(crate) fn path(&self, track: Track, name: &str) -> String {
        format!("/api/recordings/{}/segments/{track}/{name}", self.id)
    }
}

/// Four seconds of both tracks, made once for all tests of a process.
pub(crate) fn set() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| Set::synthetic(Duration::from_secs(4)))
}

/// The bytes of one object of [`set`].
pub(crate) fn bytes(track: Track, name: Name) -> Vec<u8> {
    let found = set().objects().into_iter().find(|(t, n, _)| (*t, *n) == (track, name));
    found.expect("the set has both tracks and two segments").2.to_vec()
}

impl World {
    pub(crate) async fn new() -> World {
        World::with(|_| {}).await
    }

    /// Where staged bytes wait as `mode` says.
    pub(crate) async fn in_mode(mode: Mode) -> World {
        World::with(|config| config.staging.mode = mode).await
    }

    /// With other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> World {
        let database = TestDb::new(migrated).await.expect("a test database");
        let db = Database::connect(database.url()).await.unwrap();
        let (wire, url) = Wire::to(database.url()).await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.database.url = Secret::new(&url);
        config.storage.root = folder.path().join("objects").to_string_lossy().into_owned();
        config.staging.dir = folder.path().join("staging");
        config.staging.free_min = bytesize::ByteSize::mib(1);
        config.auth.service_tokens = Secret::new(&format!("test:{SERVICE}"));
        config.auth.signing_keys = Secret::new("k1:signing-key-of-a-test-32-characters");
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.http.drain = Duration::from_secs(1);
        change(&mut config);
        let keys = Keyring::open(&config.auth).unwrap();
        let cx = Context::open(config).await.unwrap();
        let bound = Bound::open(cx.clone()).await.unwrap();
        let base = format!("http://{}", bound.address());
        let stop = CancellationToken::new();
        tokio::spawn(bound.run(stop.clone()));
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        World { base, cx, keys, db, wire, http, folder, stop, _database: database }
    }

    /// Tells the server to stop.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// A request without a token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("the answer is whole");
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: status.as_u16(), headers, body }
    }

    /// A call of the web app.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        self.send(self.request(method, path).bearer_auth(SERVICE).json(&body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(SERVICE)).await
    }

    /// A recording of owner `o`.
    pub(crate) async fn recording(&self) -> Made {
        let answer = self.call(Method::POST, "/api/recordings", json!({ "owner_id": "o" })).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        Made { id: text("id"), token: text("upload_token") }
    }

    /// Sends bytes under a name.
    pub(crate) async fn put(&self, made: &Made, track: Track, name: &str, bytes: impl Into<reqwest::Body>) -> Answer {
        self.send(self.request(Method::PUT, &made.path(track, name)).bearer_auth(&made.token).body(bytes)).await
    }

    /// The same to another server.
    pub(crate) async fn put_at(
        &self,
        base: &str,
        made: &Made,
        track: Track,
        name: &str,
        bytes: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = self.http.put(format!("{base}{}", made.path(track, name))).bearer_auth(&made.token);
        self.send(request.body(bytes)).await
    }

    /// Sends both initialization sections.
    pub(crate) async fn inits(&self, made: &Made) {
        for track in Track::ALL {
            let answer = self.put(made, track, "init.mp4", bytes(track, Name::Init)).await;
            assert_eq!(answer.status, 201, "{answer:?}");
        }
    }

    /// A recording with both initialization sections and the first segment of each track.
    pub(crate) async fn begun(&self) -> Made {
        let made = self.recording().await;
        self.inits(&made).await;
        for track in Track::ALL {
            let answer = self.put(&made, track, "segment_001.m4s", bytes(track, Name::Media(1))).await;
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        made
    }

    /// A token of another scope, time or recording.
    pub(crate) fn token(&self, recording: &str, scope: Scope, seconds: i64) -> String {
        let until = self.cx.clock.now() + TimeDelta::seconds(seconds);
        self.keys.mint_until(&RecordingId::parse(recording).unwrap(), scope, until).text
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.folder.path().join("staging")
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    /// Everything a request could have left: rows of both schemas that matter, staged files, objects.
    pub(crate) async fn traces(&self) -> String {
        let mut text = String::new();
        for (what, sql) in [
            ("recording", "SELECT (to_jsonb(r) - 'created_at')::text FROM spool.recording r ORDER BY id"),
            (
                "segment",
                "SELECT (to_jsonb(s) - 'received_at')::text FROM spool.segment s ORDER BY recording_id, track, index",
            ),
            ("event", "SELECT to_jsonb(e)::text FROM spool.event e ORDER BY recording_id, seq"),
            ("job", "SELECT kind || ' ' || state || ' ' || coalesce(unique_key, '') FROM queue.job ORDER BY 1"),
        ] {
            for row in self.texts(sql, []).await {
                text += &format!("{what} {row}\n");
            }
        }
        for folder in [self.staging(), self.objects()] {
            let mut files = Vec::new();
            if folder.exists() {
                files_below(&folder, &folder, &mut files);
            }
            files.sort();
            text += &files.join("\n");
            text.push('\n');
        }
        if self.cx.store.can_presign() {
            text += &self.keys().await.join("\n");
        }
        text
    }

    /// Keys of all objects, sorted.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let listed = self.cx.store.list("").await.unwrap().all().await.unwrap();
        let mut keys: Vec<_> = listed.into_iter().map(|listed| listed.key).collect();
        keys.sort();
        keys
    }

    /// Starts another server on the same database, store and staging, and gives its address.
    pub(crate) async fn twin(&self) -> String {
        let bound = Bound::open(self.cx.clone()).await.unwrap();
        let base = format!("http://{}", bound.address());
        tokio::spawn(bound.run(self.stop.clone()));
        base
    }

    /// Works the queue `ingest` until the test ends.
    pub(crate) fn ingest(&self) {
        let (cx, stop) = (self.cx.clone(), self.stop.clone());
        tokio::spawn(
            async move { worker::work::run(cx, &[domain::job::Queue::Ingest], &Default::default(), stop).await },
        );
    }

    /// Files of committed staged bytes of one object, for example `video-001`, in either mode.
    pub(crate) fn staged(&self, made: &Made, stem: &str) -> Vec<PathBuf> {
        let (folder, stem) = match self.cx.staging.mode() {
            Mode::Local => (self.staging().join("received"), format!("{}.{stem}-", made.id)),
            Mode::Store => (self.objects().join(format!("o/{}/segments/.incoming", made.id)), format!("{stem}-")),
        };
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let named = entries.map(|entry| entry.unwrap().path());
        named.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&stem)).collect()
    }

    /// One text per row.
    pub(crate) async fn texts(&self, sql: &str, values: impl IntoIterator<Item = SqlValue>) -> Vec<String> {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        let rows = self.db.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
    }

    /// Changes rows.
    pub(crate) async fn execute(&self, sql: &str, values: impl IntoIterator<Item = SqlValue>) -> u64 {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        self.db.execute_raw(statement).await.unwrap().rows_affected()
    }
}

fn files_below(folder: &Path, root: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, root, found);
        } else {
            found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
        }
    }
}

/// What the template of every test's database is made by.
async fn migrated(url: String) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let db = Database::connect(url).await?;
    migration::run(&db).await?;
    queue::kinds::sync(&db, &Kind::ALL.map(Kind::spec)).await?;
    db.close().await?;
    Ok(())
}

/// The server's way to the database, which a test can cut and mend.
pub(crate) struct Wire {
    whole: watch::Sender<bool>,
}

impl Wire {
    /// A wire to the database at `url`, and the address of its near end.
    async fn to(url: &str) -> (Wire, String) {
        let mut near = reqwest::Url::parse(url).unwrap();
        let far = format!("{}:{}", near.host_str().unwrap(), near.port().unwrap_or(5432));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        near.set_host(Some("127.0.0.1")).unwrap();
        near.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (whole, watched) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (far, mut watched) = (far.clone(), watched.clone());
                tokio::spawn(async move {
                    if !*watched.borrow_and_update() {
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(far).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = watched.wait_for(|whole| !whole) => {}
                    }
                });
            }
        });
        (Wire { whole }, near.to_string())
    }

    /// Breaks every connection and lets no new one through.
    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}
