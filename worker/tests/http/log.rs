//! What the log says of requests, and what it must never say.

use crate::wait;
use crate::world::{PATIENCE, SERVICE, World, bytes};
use domain::segment::{Name, Track};
use reqwest::Method;
use serde_json::json;
use std::io;
use std::sync::{Arc, Mutex};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use worker::auth::Scope;
use worker::telemetry::may_be_logged;

/// Everything that is logged in this process.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// At the finest level, with every kind of token in every place, in answers of every kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_names_the_request_and_no_token() {
    let lines = Lines::default();
    let subscriber =
        tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).with_max_level(tracing::Level::TRACE);
    subscriber.finish().with(filter_fn(may_be_logged)).init();
    let world = World::new().await;
    let made = world.begun().await;
    let playback = world.token(&made.id, Scope::Playback, 60);
    let expired = world.token(&made.id, Scope::Playback, -60);
    let status = format!("/api/recordings/{}", made.id);
    for token in [&playback, &expired, &made.token] {
        world.send(world.request(Method::GET, &status).query(&[("token", token)])).await;
        world.send(world.request(Method::GET, &status).bearer_auth(token)).await;
        let path = format!("/media/{}/result.mp4?token={token}", made.id);
        world.send(world.request(Method::GET, &path)).await;
        world.send(world.request(Method::GET, &format!("{status}?token={token}&x=%ff"))).await;
    }
    world.call(Method::POST, &format!("{status}/upload-token"), json!({})).await;
    world.call(Method::POST, "/api/recordings", json!({ "owner_id": made.token })).await;
    world.wire.cut();
    let answer = world.put(&made, Track::Video, "segment_002.m4s", bytes(Track::Video, Name::Media(2))).await;
    assert_eq!(answer.status, 503);
    world.wire.mend();
    wait::until("the refusal is logged", PATIENCE, || async {
        lines.text().contains("database-unavailable").then_some(())
    })
    .await;
    let text = lines.text();
    // The client of this test lives in the same process and may log what it sends; mio calls its own numbers tokens.
    let ours: String = text
        .lines()
        .filter(|line| !["reqwest", "hyper_util::client", "token=Token("].iter().any(|theirs| line.contains(theirs)))
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        ours.contains("request answered") && ours.contains(&format!("http.path=\"/media/{}/result.mp4\"", made.id))
    );
    for secret in [made.token.as_str(), &playback, &expired, SERVICE, "signing-key-of-a-test", "token=", "postgres://"]
    {
        let leaks: Vec<_> = ours.lines().filter(|line| line.contains(secret)).collect();
        assert!(leaks.is_empty(), "{secret}: {leaks:#?}");
    }
    let signature = made.token.rsplit('.').next().unwrap();
    assert!(!ours.contains(signature));
}
