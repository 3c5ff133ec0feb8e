//! The player's page, its files, and the events it listens to.

use crate::world::{Made, PATIENCE, World};
use reqwest::{Method, Response};
use serde_json::json;
use worker::auth::Scope;

async fn page(world: &World, id: &str, token: &str) -> Response {
    world.request(Method::GET, &format!("/watch/{id}")).query(&[("token", token)]).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_is_the_same_for_everybody_and_its_status_is_not() {
    let world = World::with(|config| config.http.embed_origins = vec!["https://app.example.com".to_owned()]).await;
    let made = world.recording().await;
    let other = world.recording().await;
    let mut pages = Vec::new();
    for (token, status) in [
        (world.token(&made.id, Scope::Playback, 60), 200),
        (world.token(&made.id, Scope::Playback, -60), 401),
        (world.token(&other.id, Scope::Playback, 60), 403),
        (String::new(), 401),
    ] {
        let response = page(&world, &made.id, &token).await;
        assert_eq!(response.status().as_u16(), status);
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(policy.ends_with("frame-ancestors https://app.example.com"), "{policy}");
        let expected = [("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff")];
        assert!(expected.iter().all(|(name, value)| response.headers()[*name] == *value), "{response:?}");
        pages.push(response.text().await.unwrap());
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "nothing of a recording or a token is in the page");

    // Every file that the page names is there, for ever, under an address that another version does not have.
    let names: Vec<_> = pages[0].split('"').filter(|word| word.starts_with("assets/")).collect();
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        let response = world.request(Method::GET, &format!("/watch/{name}")).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-content-type-options"]),
            (200, &"nosniff".parse().unwrap())
        );
        assert!(response.headers()["cache-control"].to_str().unwrap().contains("immutable"), "{response:?}");
        let (folder, file) = name.rsplit_once('/').unwrap();
        assert_eq!(world.get(&format!("/watch/{folder}0/{file}")).await.problem(), (404, "not-found"));
    }
}

/// A listener and everything it has heard.
struct Ears {
    response: Response,
    heard: String,
}

impl Ears {
    async fn open(world: &World, made: &Made, last: Option<u64>) -> Ears {
        let token = world.token(&made.id, Scope::Playback, 60);
        let path = format!("/api/recordings/{}/events", made.id);
        let request = world.request(Method::GET, &path).query(&[("token", &token)]);
        let request = last.into_iter().fold(request, |request, last| request.header("Last-Event-ID", last));
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{}", response.text().await.unwrap());
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Ears { response, heard: String::new() }
    }

    /// Listens until `words` have been said.
    async fn until(&mut self, words: &str) {
        while !self.heard.contains(words) {
            match self.response.chunk().await {
                Ok(Some(said)) => self.heard += std::str::from_utf8(&said).unwrap(),
                other => panic!("{words:?} was not said, but {other:?}: {}", self.heard),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_told_as_they_happen_and_again_to_whoever_was_away() {
    let world = World::with(|config| config.limits.listeners_per_recording = 2).await;
    let made = world.begun().await;
    let mut ears = Ears::open(&world, &made, None).await;
    ears.until("event: status\n").await;
    ears.until("\"recorder\":\"recording\"").await;
    let beat = world.request(Method::POST, &format!("/api/recordings/{}/heartbeat", made.id)).bearer_auth(&made.token);
    assert_eq!(world.send(beat.json(&json!({ "state": "paused" }))).await.status, 204);
    ears.until("\"recorder\":\"paused\"").await;
    // Whoever has heard of something is not shown an older state when he asks: not by what others were shown a moment ago,
    // nor by what a room with other listeners has seen.
    let viewer = world.token(&made.id, Scope::Playback, 60);
    let path = format!("/api/recordings/{}", made.id);
    for (n, doing) in ["recording", "paused", "recording", "paused"].into_iter().enumerate() {
        let ask = async || world.send(world.request(Method::GET, &path).query(&[("token", &viewer)])).await.body;
        ask().await;
        let told = format!("\"recorder\":\"{doing}\"");
        ears.heard.clear();
        let beat = world.request(Method::POST, &format!("{path}/heartbeat")).bearer_auth(&made.token);
        assert_eq!(world.send(beat.json(&json!({ "state": doing }))).await.status, 204);
        ears.until(&told).await;
        assert_eq!(ask().await["recorder"], doing, "round {n}");
    }

    let body = json!({ "videoId": made.id });
    assert_eq!(world.call(Method::POST, "/api/upload/recording-complete", body).await.status, 200);
    ears.until("event: recording.finalizing\n").await;
    ears.until("\"state\":\"finalizing\"").await;

    let mut late = Ears::open(&world, &made, Some(0)).await;
    late.until("id: 1\n").await;
    late.until("event: recording.finalizing\n").await;
    let path = format!("/api/recordings/{}/events", made.id);
    assert_eq!(world.get(&path).await.problem(), (429, "too-many-requests"));
    let foreign = world.token(&world.recording().await.id, Scope::Playback, 60);
    let refused = world.send(world.request(Method::GET, &path).query(&[("token", &foreign)])).await;
    assert_eq!(refused.problem(), (403, "forbidden"));

    // A process that stops lets its listeners go, so that they find another one.
    world.stop();
    let ended = async { while let Ok(Some(_)) = ears.response.chunk().await {} };
    assert!(tokio::time::timeout(PATIENCE, ended).await.is_ok(), "the stream goes on");
}
