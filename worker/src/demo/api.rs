//! What the demo asks of the API, as a web app would: over HTTP, with a service token.

use anyhow::Context as _;
use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Every call of the demo is small and local.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one server.
#[derive(Debug, Clone)]
pub(super) struct Api {
    base: String,
    token: String,
    http: reqwest::Client,
}

/// A new recording.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    /// Its id.
    pub(super) id: String,
    /// For the recorder.
    pub(super) upload_token: String,
}

/// For a viewer.
#[derive(Debug, Deserialize)]
pub(super) struct Playback {
    /// Names the recording and expires.
    pub(super) token: String,
}

/// How a recording stands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Status {
    /// Its state, one word.
    pub(super) state: String,
    /// Whose it is.
    pub(super) owner_id: String,
    /// The plan being made or served.
    pub(super) plan_version: u32,
    /// What came in of each track.
    #[serde(default)]
    pub(super) tracks: BTreeMap<String, Counts>,
    /// Stretches without samples.
    #[serde(default)]
    pub(super) gaps: Vec<Value>,
    /// The result, once it is published.
    pub(super) result: Option<Facts>,
    /// The job that moves it on.
    pub(super) job: Option<Job>,
    /// Why it failed.
    pub(super) error: Option<Failed>,
}

/// What came in of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Counts {
    /// Segments acknowledged, stored ones among them or not: the larger number is what there is.
    pub(super) received: u64,
    /// Segments in the store.
    pub(super) stored: u64,
}

/// What is known of a result.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Facts {
    /// Length of the recording.
    pub(super) duration_ms: u64,
    /// Length of the file.
    pub(super) bytes: u64,
}

/// A job as a viewer sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Job {
    /// What it does.
    pub(super) kind: String,
    /// One word.
    pub(super) state: String,
    /// How far it is.
    pub(super) pct: Option<f64>,
}

/// Why a recording failed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Failed {
    /// For a program.
    pub(super) code: String,
    /// For a person.
    pub(super) message: String,
}

impl Api {
    /// A client of the server at `base`, for example `http://127.0.0.1:8080`.
    pub(super) fn new(base: String, token: String) -> anyhow::Result<Api> {
        let http =
            reqwest::Client::builder().timeout(CALL_TIMEOUT).no_proxy().build().context("set up the HTTP client")?;
        Ok(Api { base, token, http })
    }

    /// The server is there, its parts are too, and it knows our token: it is not somebody else's on the same port.
    pub(super) async fn is_ready(&self) -> bool {
        let ask = |path| self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token).send();
        let ready = ask("/readyz").await.is_ok_and(|answer| answer.status().is_success());
        ready && ask("/api/recordings/none").await.is_ok_and(|answer| answer.status() != StatusCode::UNAUTHORIZED)
    }

    /// Creates a recording.
    pub(super) async fn create(&self, owner: &str) -> anyhow::Result<Created> {
        self.post("/api/recordings", json!({ "owner_id": owner, "source": "spool" })).await
    }

    /// A token for a viewer.
    pub(super) async fn playback(&self, recording: &str) -> anyhow::Result<Playback> {
        self.post(&format!("/api/recordings/{recording}/playback-token"), json!({})).await
    }

    /// Says that the recording has ended, as the web app does.
    pub(super) async fn complete(&self, recording: &str) -> anyhow::Result<()> {
        let _: Value = self.post("/api/upload/recording-complete", json!({ "videoId": recording })).await?;
        Ok(())
    }

    /// How the recording stands.
    pub(super) async fn status(&self, recording: &str) -> anyhow::Result<Status> {
        let path = format!("/api/recordings/{recording}");
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        decode(request, &path).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: Value) -> anyhow::Result<T> {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token).json(&body);
        decode(request, path).await
    }
}

async fn decode<T: DeserializeOwned>(request: reqwest::RequestBuilder, path: &str) -> anyhow::Result<T> {
    let answer = request.send().await.with_context(|| format!("ask {path}"))?;
    let status = answer.status();
    let body = answer.bytes().await.with_context(|| format!("read the answer of {path}"))?;
    if !status.is_success() {
        anyhow::bail!("{path} answered {status}: {}", String::from_utf8_lossy(&body));
    }
    serde_json::from_slice(&body).with_context(|| format!("read the answer of {path}"))
}
