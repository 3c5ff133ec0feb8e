//! The real thing: `spool serve` and `spool work` on a private Postgres, over a folder or an S3 server.

use crate::server::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, Server};
use crate::set::Set;
use crate::usage;
use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use postgres::{Cluster, Profile};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, Row as _};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The web app's token.
const TOKEN: &str = "service-token-of-a-bench";

/// Segments sent at once.
const SENDERS: usize = 6;

/// Longest wait for any state.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two looks at a state that is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// One installation. Gone with the value.
pub(crate) struct Site {
    folder: PathBuf,
    env: Vec<(String, String)>,
    spool: PathBuf,
    base: String,
    http: reqwest::Client,
    url: String,
    serve: Child,
    work: Child,
    _cluster: Cluster,
}

/// A recording and its recorder's token.
pub(crate) struct Recording {
    pub(crate) id: String,
    token: String,
}

/// One finalization, from the word to the result.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Finalized {
    /// From the call to the state `ready`.
    pub(crate) wall_s: f64,
    /// The `mux` job of it: written, read back, sampled and published.
    pub(crate) job_s: f64,
    /// Processor time of the working process and its children.
    pub(crate) cpu_s: f64,
    /// Largest resident set of the working process meanwhile.
    pub(crate) rss_bytes: u64,
    /// Its resident set before.
    pub(crate) idle_bytes: u64,
}

impl Site {
    /// Starts everything below `folder`. `more` are settings like `mux.hash=false`.
    pub(crate) async fn start(spool: &Path, folder: &Path, store: Option<&Server>, more: &[&str]) -> Result<Site> {
        std::fs::create_dir_all(folder)?;
        let cluster = Cluster::temporary(Profile::Durable).await?;
        let url = cluster.url("postgres");
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let mut env = vec![
            ("DATABASE_URL".to_owned(), url.clone()),
            ("SPOOL__STAGING__DIR".to_owned(), path("staging")),
            ("SPOOL__AUTH__SERVICE_TOKENS".to_owned(), format!("bench:{TOKEN}")),
            ("SPOOL__AUTH__SIGNING_KEYS".to_owned(), "k1:signing-key-of-a-bench-32-characters".to_owned()),
            ("SPOOL__LOG__FILTER".to_owned(), "warn".to_owned()),
        ];
        match store {
            None => env.push(("SPOOL__STORAGE__ROOT".to_owned(), path("objects"))),
            Some(server) => env.extend(
                [
                    ("SERVICE", "s3"),
                    ("ROOT", ""),
                    ("BUCKET", BUCKET),
                    ("ENDPOINT", &server.endpoint()),
                    ("ACCESS_KEY_ID", ACCESS_KEY_ID),
                    ("SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
                ]
                .map(|(key, value)| (format!("SPOOL__STORAGE__{key}"), value.to_owned())),
            ),
        }
        let base = format!("127.0.0.1:{}", free_port()?);
        let run = |log: &str, arguments: &[&str]| -> Result<Command> {
            let log = File::create(folder.join(log))?;
            let mut command = Command::new(spool);
            command.args(arguments).args(more.iter().flat_map(|set| ["--set", *set])).current_dir(folder);
            command.envs(env.iter().cloned()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            Ok(command)
        };
        ensure!(run("migrate.log", &["migrate"])?.status()?.success(), "spool migrate failed");
        let serve = run("serve.log", &["serve", "--set", &format!("http.listen={base}")])?.spawn()?;
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let ready = format!("http://{base}/readyz");
        // Only then the worker: two that meet an empty store at once both give it its name, and one of them is refused.
        until(async || {
            let answer = http.get(&ready).send().await.ok();
            Ok(answer.filter(|answer| answer.status().is_success()).map(drop))
        })
        .await?;
        let work = worker(&run)?;
        let (folder, spool) = (folder.to_owned(), spool.to_owned());
        let base = format!("http://{base}");
        Ok(Site { folder, env, spool, base, http, url, serve, work, _cluster: cluster })
    }

    /// Starts the working process anew, with other settings.
    pub(crate) fn work_with(&mut self, more: &[&str]) -> Result<()> {
        stop(&mut self.work)?;
        let run = |log: &str, arguments: &[&str]| -> Result<Command> {
            let log = File::create(self.folder.join(log))?;
            let mut command = Command::new(&self.spool);
            command.args(arguments).args(more.iter().flat_map(|set| ["--set", *set])).current_dir(&self.folder);
            command.envs(self.env.iter().cloned()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            Ok(command)
        };
        self.work = worker(&run)?;
        Ok(())
    }

    async fn call(&self, method: Method, path: &str, token: &str, body: &Value) -> Result<Value> {
        let request = self.http.request(method.clone(), format!("{}{path}", self.base)).bearer_auth(token);
        let request = if method == Method::GET { request } else { request.json(body) };
        let answer = request.send().await?;
        ensure!(answer.status().is_success(), "{path} answers {}: {}", answer.status(), answer.text().await?);
        Ok(serde_json::from_slice(&answer.bytes().await?).unwrap_or(Value::Null))
    }

    /// Creates a recording whose segments come from a recorder (`spool`) or lie in the bucket (`bucket`).
    pub(crate) async fn create(&self, source: &str) -> Result<Recording> {
        let body = json!({ "owner_id": "bench", "source": source });
        let made = self.call(Method::POST, "/api/recordings", TOKEN, &body).await?;
        let text = |key: &str| made[key].as_str().map(str::to_owned).with_context(|| format!("no {key}: {made}"));
        Ok(Recording { id: text("id")?, token: text("upload_token")? })
    }

    /// Sends a whole set as a recorder does, says what it was, and waits until all of it is in the store.
    pub(crate) async fn send(&self, recording: &Recording, set: &Set) -> Result<()> {
        for (track, _) in set.tracks() {
            let sent = set.names(track).into_iter();
            let mut sent = sent.map(|name| self.put(recording, set, name));
            // The initialization section comes first.
            if let Some(init) = sent.next() {
                init.await?;
            }
            stream::iter(sent).buffer_unordered(SENDERS).try_collect::<()>().await?;
        }
        let last = |count: u32| json!({ "last_index": count });
        let tracks = json!({ "video": last(set.video), "audio": last(set.audio) });
        let body = json!({ "tracks": tracks, "duration_ms": u64::from(set.recipe.length_s) * 1000 });
        let path = format!("/api/recordings/{}/end", recording.id);
        self.call(Method::POST, &path, &recording.token, &body).await?;
        let all = i64::from(set.video + set.audio + 2);
        until(async || {
            let stored = "SELECT count(*) FROM spool.segment WHERE recording_id = $1 AND state = 'stored'";
            Ok((self.number(stored, &recording.id).await? >= all as f64).then_some(()))
        })
        .await
    }

    async fn put(&self, recording: &Recording, set: &Set, name: String) -> Result<()> {
        let bytes = tokio::fs::read(set.folder.join(&name)).await?;
        let path = format!("{}/api/recordings/{}/segments/{name}", self.base, recording.id);
        for _ in 0..100 {
            let answer = self.http.put(&path).bearer_auth(&recording.token).body(bytes.clone()).send().await?;
            match answer.status().as_u16() {
                200 | 201 => return Ok(()),
                // Told to come again: a set comes faster than any recorder sends.
                429 | 503 | 507 => tokio::time::sleep(Duration::from_millis(200)).await,
                status => bail!("{name} answers {status}: {}", answer.text().await?),
            }
        }
        bail!("{name} was put off for ever")
    }

    /// Says that the recording is complete, and waits for its result.
    pub(crate) async fn complete(&self, recording: &Recording) -> Result<Finalized> {
        let body = json!({ "videoId": recording.id });
        self.finalize(recording, 1, async || {
            self.call(Method::POST, "/api/upload/recording-complete", TOKEN, &body).await.map(drop)
        })
        .await
    }

    /// Has the result made again, as the next plan version, and waits for it.
    pub(crate) async fn remux(&self, recording: &Recording) -> Result<Finalized> {
        let path = format!("/api/recordings/{}", recording.id);
        let version = self.call(Method::GET, &path, TOKEN, &Value::Null).await?["plan_version"].as_i64();
        let version = version.context("a recording has a plan version")? + 1;
        self.finalize(recording, version, async || {
            self.call(Method::POST, &format!("{path}/remux"), TOKEN, &json!({})).await.map(drop)
        })
        .await
    }

    async fn finalize(
        &self,
        recording: &Recording,
        version: i64,
        begin: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<Finalized> {
        let pid = i32::try_from(self.work.id())?;
        let cpu_s = usage::cpu_s(pid)?;
        let idle_bytes = usage::forget_peak(pid)?;
        let begun = Instant::now();
        begin().await?;
        let path = format!("/api/recordings/{}", recording.id);
        until(async || {
            let status = self.call(Method::GET, &path, TOKEN, &Value::Null).await?;
            ensure!(status["state"] != "failed", "the recording failed: {status}");
            Ok((status["state"] == "ready" && status["plan_version"] == version).then_some(()))
        })
        .await?;
        let wall_s = begun.elapsed().as_secs_f64();
        let job = "SELECT extract(epoch FROM ended_at - started_at)::float8 FROM queue.attempt \
                   WHERE kind = 'mux' AND outcome = 0 AND $1 <> '' ORDER BY ended_at DESC LIMIT 1";
        Ok(Finalized {
            wall_s,
            job_s: self.number(job, &recording.id).await?,
            cpu_s: usage::cpu_s(pid)? - cpu_s,
            rss_bytes: usage::peak_rss_bytes(pid)?,
            idle_bytes,
        })
    }

    /// The key of a recording's result in the store.
    pub(crate) async fn result_key(&self, recording: &Recording) -> Result<String> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let key = "SELECT result_key FROM spool.recording WHERE id = $1";
        Ok(sqlx::query(key).bind(&recording.id).fetch_one(&mut connection).await?.try_get(0)?)
    }

    async fn number(&self, sql: &'static str, recording: &str) -> Result<f64> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let row = sqlx::query(sql).bind(recording).fetch_one(&mut connection).await?;
        Ok(row.try_get::<f64, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(|n| n as f64))?)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for child in [&mut self.serve, &mut self.work] {
            let _ = stop(child);
        }
    }
}

/// A worker of what follows the end of a recording; pictures would only take its processor.
fn worker(run: &dyn Fn(&str, &[&str]) -> Result<Command>) -> Result<Child> {
    let listen = format!("work.listen=127.0.0.1:{}", free_port()?);
    Ok(run("work.log", &["work", "--queue", "control,mux", "--set", &listen])?.spawn()?)
}

fn stop(child: &mut Child) -> Result<()> {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM)?;
    child.wait()?;
    Ok(())
}

async fn until<T>(mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("waited {PATIENCE:?} in vain")
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
