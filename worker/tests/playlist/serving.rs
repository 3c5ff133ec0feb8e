//! One serving process in this one: routes, connections, and a memory of its own.

use crate::support::{PATIENCE, wait};
use crate::world::World;
use domain::id::RecordingId;
use http::HeaderMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use worker::auth::{Keyring, Scope};
use worker::config::{Config, Secret};
use worker::context::Context;
use worker::serve::Bound;

/// The web app's token.
pub const SERVICE: &str = "service-token-of-a-test";

/// Gone when it is dropped.
pub struct Serving {
    pub base: String,
    pub stop: CancellationToken,
    http: reqwest::Client,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of a problem document.
    pub fn problem(&self) -> (u16, String) {
        let body: serde_json::Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        (self.status, body["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// Settings with which it can serve. Whoever is early is not held for long.
pub fn settings(config: &mut Config) {
    config.auth.service_tokens = Secret::new(&format!("test:{SERVICE}"));
    config.auth.signing_keys = Secret::new("k1:signing-key-of-a-test-32-characters");
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.http.drain = Duration::from_secs(5);
    config.limits.playlist_hold = Duration::from_millis(50);
    // A worker whose lease was moved into the past claims again after its next beat.
    config.queue.heartbeat = Duration::from_millis(300);
    config.queue.lease = Duration::from_secs(3);
    config.queue.rescue = Duration::from_millis(500);
}

/// A token for a viewer.
pub fn token(world: &World, id: &RecordingId) -> String {
    let keys = Keyring::open(&world.cx.config.auth).unwrap();
    keys.mint(id, Scope::Playback, world.cx.clock.now()).text
}

impl Serving {
    pub async fn start(world: &World) -> Serving {
        Serving::with(world.cx.clone()).await
    }

    /// On a context of its own.
    pub async fn with(cx: Context) -> Serving {
        let bound = Bound::open(cx).await.unwrap();
        let base = format!("http://{}", bound.address());
        let stop = CancellationToken::new();
        tokio::spawn(bound.run(stop.clone()));
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().no_proxy().redirect(redirect).timeout(PATIENCE).build().unwrap();
        Serving { base, stop, http }
    }

    /// With the token in the path's query.
    pub async fn get(&self, path: &str) -> Reply {
        self.ask(path, &[]).await
    }

    pub async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(reqwest::Method::GET, path, headers).await
    }

    pub async fn send(&self, method: reqwest::Method, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, bytes: response.bytes().await.expect("the answer is whole").to_vec() }
    }
}

/// Waits until every segment that was accepted is in the store and what can be listed now is.
pub async fn settled(world: &World, id: &RecordingId) {
    let sql = "SELECT (SELECT count(*) FROM spool.segment WHERE recording_id = $1 AND state = 'received') \
        + (SELECT count(*) FROM queue.job WHERE subject = $1 AND kind = 'upload' AND state > 1)";
    wait::until("the uploads are done", PATIENCE, async || {
        (world.number(sql, [id.as_str().into()]).await == 0).then_some(())
    })
    .await;
}

/// Waits until the check of an ended recording has looked and waits for something, or is done: time that passes while it
/// looks would not shorten its wait.
pub async fn checked(world: &World, id: &RecordingId) {
    let sql = "SELECT count(*) FROM spool.recording AS r WHERE id = $1 AND (frozen_version = plan_version OR EXISTS ( \
        SELECT FROM queue.job WHERE subject = $1 AND kind = 'manifest_check' AND state = 1))";
    wait::until("the check has looked", PATIENCE, async || {
        (world.number(sql, [id.as_str().into()]).await == 1).then_some(())
    })
    .await;
}
