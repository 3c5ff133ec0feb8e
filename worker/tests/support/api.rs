//! The calls of a web app and of a recorder, over HTTP.

use super::{PATIENCE, Set, wait};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::id::Sha256;
use domain::segment::{Name, Track};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// A server, and the web app's token for it.
#[derive(Debug, Clone)]
pub struct Api {
    /// For example `http://127.0.0.1:8080`.
    pub base: String,
    /// Service token.
    pub token: String,
    http: reqwest::Client,
}

/// A recording and its recorder's token.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// Upload token.
    pub upload_token: String,
}

/// An answer: status code and JSON body, null when it has none.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Answer {
    /// `code` of a problem document.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl Api {
    /// A client of the server at `base`.
    pub fn new(base: String, token: String) -> Api {
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
        Api { base, token, http }
    }

    /// A request without a token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request; `None` when nobody answers.
    pub async fn try_send(&self, request: RequestBuilder) -> Option<Answer> {
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.ok()?;
        Some(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    /// Sends a request.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the server answers")
    }

    /// A web app's call.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        self.send(self.request(method, path).bearer_auth(&self.token).json(&body)).await
    }

    /// Creates a recording with an id of the server's choice.
    pub async fn create(&self, owner: &str) -> Recording {
        let answer = self.call(Method::POST, "/api/recordings", json!({ "owner_id": owner, "source": "spool" })).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let text = |key: &str| answer.body[key].as_str().unwrap_or_else(|| panic!("no {key}: {answer:?}")).to_owned();
        Recording { id: text("id"), owner: text("owner_id"), upload_token: text("upload_token") }
    }

    /// Sends one object of a recording.
    pub async fn put(&self, recording: &Recording, track: Track, name: Name, bytes: &[u8]) -> Answer {
        self.send(self.put_request(recording, track, name, bytes)).await
    }

    /// The same, not yet sent.
    pub fn put_request(&self, recording: &Recording, track: Track, name: Name, bytes: &[u8]) -> RequestBuilder {
        let digest = STANDARD.encode(Sha256::of(bytes).0);
        self.request(Method::PUT, &format!("/api/recordings/{}/segments/{track}/{name}", recording.id))
            .bearer_auth(&recording.upload_token)
            .header("Content-Digest", format!("sha-256=:{digest}:"))
            .body(bytes.to_vec())
    }

    /// Sends everything of a set; each object must be new.
    pub async fn put_set(&self, recording: &Recording, set: &Set) {
        for (track, name, bytes) in set.objects() {
            let answer = self.put(recording, track, name, bytes).await;
            assert_eq!(answer.status, 201, "{track}/{name}: {answer:?}");
        }
    }

    /// Declares what the recorder made.
    pub async fn end(&self, recording: &Recording, set: &Set) -> Answer {
        let tracks: serde_json::Map<String, Value> = set
            .tracks
            .keys()
            .map(|track| (track.to_string(), json!({ "last_index": set.last_index(*track) })))
            .collect();
        let body = json!({ "tracks": tracks, "duration_ms": set.duration_ms });
        let path = format!("/api/recordings/{}/end", recording.id);
        self.send(self.request(Method::POST, &path).bearer_auth(&recording.upload_token).json(&body)).await
    }

    /// Says that the recording is complete, and gives the word of the answer.
    pub async fn complete(&self, recording: &Recording) -> String {
        let answer =
            self.call(Method::POST, "/api/upload/recording-complete", json!({ "videoId": recording.id })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["status"].as_str().unwrap_or_default().to_owned()
    }

    /// How the recording stands.
    pub async fn status(&self, recording: &Recording) -> Value {
        let path = format!("/api/recordings/{}", recording.id);
        let answer = self.send(self.request(Method::GET, &path).bearer_auth(&self.token)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Waits until the recording is in `state`, and gives its status.
    pub async fn until_state(&self, recording: &Recording, state: &str) -> Value {
        self.until(recording, state, |status| status["state"] == state).await
    }

    /// Waits until the status is as wanted. A recording that fails meanwhile fails the test, with its reason.
    pub async fn until(&self, recording: &Recording, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait::until(what, PATIENCE, async || {
            let status = self.status(recording).await;
            let found = wanted(&status);
            assert!(found || status["state"] != "failed", "while waiting for {what}: {status}");
            found.then_some(status)
        })
        .await
    }
}
