//! Requests that come before the first segment.

use crate::cost::counting;
use crate::serving::{Serving, settings, token};
use crate::support::{PATIENCE, wait};
use crate::world::{World, set};
use domain::id::RecordingId;
use domain::job::Queue;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker::playlist::{Kind, Playlists};

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(20);

async fn world(hold_max: u32) -> World {
    World::with(|config| {
        settings(config);
        config.limits.playlist_hold = LONG;
        config.limits.playlist_hold_max = hold_max;
    })
    .await
}

fn paths(world: &World, id: &RecordingId) -> [String; 3] {
    ["index", "video", "audio"].map(|name| format!("/hls/{id}/{name}.m3u8?token={}", token(world, id)))
}

/// The segments go through another process: of what happens there this one is told by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_request_is_held_until_the_first_segment_is_listed() {
    let world = world(50).await;
    let id = world.create("r").await;
    let serving = Serving::start(&world).await;
    let mut early = JoinSet::new();
    for path in paths(&world, &id) {
        for base in [serving.base.clone(), serving.base.clone()] {
            let path = format!("{base}{path}");
            early.spawn(async move { reqwest::Client::builder().no_proxy().build().unwrap().get(path).send().await });
        }
    }
    // Initialization sections alone show nothing.
    world.accept_set(&id, set(), |_, index| index == 0).await;
    let worker = world.work_on(&[Queue::Ingest]);
    wait::until("the initialization sections are stored", PATIENCE, async || {
        (world.number("SELECT count(*) FROM spool.segment WHERE state = 'stored'", []).await == 2).then_some(())
    })
    .await;
    assert!(early.try_join_next().is_none(), "something was shown before there was anything");
    world.accept_set(&id, set(), |_, index| index == 1).await;
    let begun = Instant::now();
    while let Some(reply) = early.join_next().await {
        let reply = reply.unwrap().unwrap();
        assert_eq!(reply.status(), 200);
        let text = reply.text().await.unwrap();
        assert!(text.contains("segment_001.m4s") || text.contains("#EXT-X-STREAM-INF"), "{text}");
    }
    assert!(begun.elapsed() < LONG / 2, "the setting's time let them go, not the segment");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_too_many_is_not_held_and_a_stopping_process_lets_all_go() {
    let world = world(2).await;
    let id = world.create("r").await;
    let serving = Serving::start(&world).await;
    let [_, video, _] = paths(&world, &id);
    let mut held = JoinSet::new();
    for _ in 0..3 {
        let path = format!("{}{video}", serving.base);
        held.spawn(
            async move { reqwest::Client::builder().no_proxy().build().unwrap().get(path).send().await.unwrap() },
        );
    }
    let begun = Instant::now();
    let refused = held.join_next().await.unwrap().unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["cache-control"].to_str().unwrap()), (404, "no-store"));
    assert_eq!(refused.json::<serde_json::Value>().await.unwrap()["code"], "playlist-not-ready");
    assert!(held.try_join_next().is_none());
    serving.stop.cancel();
    while let Some(reply) = held.join_next().await {
        let reply = reply.unwrap();
        assert_eq!(reply.status(), 503);
        assert_eq!(reply.json::<serde_json::Value>().await.unwrap()["code"], "stopping");
    }
    assert!(begun.elapsed() < LONG / 2, "the setting's time let them go, not the end of the process");
}

/// However many wait for however many recordings: one statement a look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_costs_one_statement_a_look_for_everybody() {
    let world = world(50).await;
    let (cx, counted) = counting(&world);
    let stop = CancellationToken::new();
    let playlists = Playlists::new(cx.db, &world.cx.config, stop.clone());
    let mut waiting = JoinSet::new();
    for n in 0..4 {
        let id = world.create(&format!("r{n}")).await;
        let head = playlists.head(&id).await.unwrap().unwrap();
        for _ in 0..30 {
            let (playlists, head) = (playlists.clone(), head.clone());
            waiting.spawn(async move { playlists.wait(head, Kind::Multivariant, |_| false).await });
        }
    }
    wait::until("all of them wait", PATIENCE, async || (playlists.held() == 120).then_some(())).await;
    counted.take();
    let begun = Instant::now();
    let looking = tokio::spawn({
        let playlists = playlists.clone();
        async move { playlists.run().await }
    });
    let mut looks = Vec::new();
    wait::until("three looks", PATIENCE, async || {
        looks.extend(counted.take());
        (looks.len() >= 3).then_some(())
    })
    .await;
    let bound = begun.elapsed().as_millis() / 200 + 2;
    assert!(looks.len() as u128 <= bound, "{} statements in {:?}", looks.len(), begun.elapsed());
    stop.cancel();
    while let Some(waited) = waiting.join_next().await {
        assert_eq!(waited.unwrap(), None, "a stopping process lets them go");
    }
    assert_eq!(playlists.held(), 0);
    looking.await.unwrap();
}
