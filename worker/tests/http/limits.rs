//! Limits, health, and stopping.

use crate::world::{PATIENCE, World, bytes};
use domain::segment::{Name, Track};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staging_that_is_full_says_so_and_keeps_nothing() {
    let world = World::with(|config| config.staging.size_max = bytesize::ByteSize::kib(20)).await;
    let made = world.recording().await;
    world.inits(&made).await;
    let before = world.traces().await;
    let answer = world.put(&made, Track::Video, "segment_001.m4s", bytes(Track::Video, Name::Media(1))).await;
    assert_eq!(answer.problem(), (507, "staging-full"));
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(world.traces().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volume_that_is_nearly_full_takes_nothing_more() {
    let world = World::with(|config| config.staging.free_min = bytesize::ByteSize::eib(1)).await;
    let made = world.recording().await;
    let answer = world.put(&made, Track::Video, "init.mp4", bytes(Track::Video, Name::Init)).await;
    assert_eq!(answer.problem(), (507, "staging-full"));
}

/// Two bodies hang; the third of that recording is told to come back, another recording is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_recording_cannot_take_every_place() {
    let world = World::with(|config| config.limits.puts_per_recording = 2).await;
    let (made, other) = (world.begun().await, world.recording().await);
    let segment = bytes(Track::Video, Name::Media(2));
    let mut hanging = Vec::new();
    for index in [2, 3] {
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
            made.path(Track::Video, &format!("segment_{index:03}.m4s")),
            made.token,
            segment.len()
        );
        let mut stream = TcpStream::connect(world.base.trim_start_matches("http://")).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        hanging.push(stream);
    }
    crate::wait::until("both bodies are coming in", PATIENCE, || async {
        world.cx.metrics.text().contains("spool_segments_incoming 2").then_some(())
    })
    .await;
    let third = world.put(&made, Track::Video, "segment_004.m4s", segment.clone()).await;
    assert_eq!(third.problem(), (429, "too-many-requests"));
    assert_eq!(third.headers["retry-after"], "1");
    assert_eq!(world.put(&other, Track::Video, "init.mp4", bytes(Track::Video, Name::Init)).await.status, 201);
    for stream in &mut hanging {
        stream.write_all(&segment).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 201");
    }
    assert_eq!(world.put(&made, Track::Video, "segment_004.m4s", segment).await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_answers_without_a_token_and_counts() {
    let world = World::new().await;
    world.begun().await;
    let health = world.send(world.request(Method::GET, "/healthz")).await;
    assert_eq!((health.status, &health.body["status"]), (200, &json!("ok")));
    assert!(health.headers.contains_key("x-request-id"));
    assert_eq!(world.send(world.request(Method::GET, "/readyz")).await.status, 200);
    let text = world.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(text.contains("spool_segments_total{outcome=\"new\"} 4"), "{text}");
    let route = "spool_http_requests_total{route=\"/api/recordings/{id}/segments/{track}/{name}\",status=\"201\"} 4";
    assert!(text.contains(route), "{text}");
}

/// A body that is on its way when the process stops still gets its answer; nobody else gets in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_lets_open_requests_end() {
    let world = World::with(|config| config.http.drain = PATIENCE).await;
    let made = world.begun().await;
    let segment = bytes(Track::Video, Name::Media(2));
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        made.path(Track::Video, "segment_002.m4s"),
        made.token,
        segment.len()
    );
    let mut open = TcpStream::connect(world.base.trim_start_matches("http://")).await.unwrap();
    open.write_all(head.as_bytes()).await.unwrap();
    crate::wait::until("the body is coming in", PATIENCE, || async {
        world.cx.metrics.text().contains("spool_segments_incoming 1").then_some(())
    })
    .await;
    world.stop();
    crate::wait::until("nobody is let in", PATIENCE, || async {
        TcpStream::connect(world.base.trim_start_matches("http://")).await.is_err().then_some(())
    })
    .await;
    open.write_all(&segment).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, open.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}
