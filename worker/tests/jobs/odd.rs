//! `mux` through libavformat: another way to the same packets, under a key of its own attempt.

use crate::mux::{Muxing, held_before_publishing, writing};
use crate::support::{PATIENCE, packets, wait};
use crate::world::{World, set};
use domain::id::Sha256;
use domain::job::{Kind, Queue};
use domain::recording::State;
use std::time::Duration;
use worker::config::Engine;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libavformat_makes_a_verified_result_under_a_key_of_its_attempt() {
    let world = World::with(|config| config.mux.engine = Engine::Libavformat).await;
    let worker = world.work();
    let id = world.record("r", set()).await;
    let ready = world.until_state(&id, State::Ready).await;
    let served = ready.result.unwrap();
    assert!(served.key.starts_with("o/r/result.v1-") && served.key.ends_with(".mp4"), "{}", served.key);
    assert!(served.duration_ms.abs_diff(set().duration_ms) <= 40, "{} ms", served.duration_ms);
    assert!(!ready.degraded && ready.error.is_none());

    let (result, recorded) = (world.object(&served.key), tempfile::tempdir().unwrap());
    set().write_to(recorded.path());
    packets::assert_same_packets(&result, recorded.path());
    packets::assert_decodes(&result);
    assert_eq!(packets::top_boxes(&result), ["ftyp", "moov", "mdat"]);
    let facts: serde_json::Value =
        serde_json::from_slice(&std::fs::read(world.object("o/r/result.json")).unwrap()).unwrap();
    assert_eq!((&facts["engine"], &facts["status"]), (&"libavformat".into(), &"complete".into()), "{facts}");
    assert_eq!(served.key.rsplit('/').next(), facts["result"].as_str());
    assert_eq!(facts["segments"].as_array().unwrap().len(), set().segments());
    worker.stop().await;
}

/// The attempt is gone between verification and publication, and its result is published by the next one; or, when it has
/// been exchanged meanwhile, is made anew under another key and taken away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_attempt_publishes_what_an_earlier_one_verified_and_leaves_nothing_of_it() {
    for exchanged in [false, true] {
        let world = World::with(|config| {
            config.mux.engine = Engine::Libavformat;
            config.work.drain = Duration::from_millis(100);
        })
        .await;
        let id = world.create("r").await;
        let muxing = Muxing::new();
        let (held, result) = held_before_publishing(&world, &id, &muxing).await;
        muxing.into_inner().unwrap().stop().await;
        held.rollback().await.unwrap();
        let good = std::fs::read(&result).unwrap();
        if exchanged {
            std::fs::write(&result, b"something else").unwrap();
        }
        let written = writing(&result);
        let worker = world.work_on(&[Queue::Mux]);
        let served = world.until_state(&id, State::Ready).await.result.unwrap();
        let path = world.object(&served.key);
        assert_eq!(path != result, exchanged, "made again");
        assert!(exchanged || writing(&result) == written);
        assert_eq!(served.sha256, Some(Sha256::of(&std::fs::read(&path).unwrap())));
        packets::assert_decodes(&path);
        assert_eq!(served.size_bytes, good.len() as u64);
        wait::until("nothing else is left", PATIENCE, async || {
            let results: Vec<_> = world.keys().await.into_iter().filter(|key| key.contains("/result.v")).collect();
            (results == [served.key.as_str()]).then_some(())
        })
        .await;
        worker.stop().await;
    }
}

/// What libavformat is given was hashed when it was accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_segment_of_other_bytes_is_not_given_to_libavformat() {
    let world = World::with(|config| config.mux.engine = Engine::Libavformat).await;
    let others = world.work_on(&[Queue::Ingest, Queue::Control]);
    let id = world.record("r", set()).await;
    world.until_planned(&id).await;
    let victim = world.object("o/r/segments/video/segment_002.m4s");
    let mut bytes = std::fs::read(&victim).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&victim, bytes).unwrap();
    let muxing = world.work_on(&[Queue::Mux]);
    let (code, why) = world.until_state(&id, State::Failed).await.error.unwrap();
    assert!(code == "source-changed" && why.contains("video segment_002.m4s has changed"), "{code}: {why}");
    assert_eq!(world.until_ended(&id, Kind::Mux, "discarded").await.attempt, 2);
    for worker in [others, muxing] {
        worker.stop().await;
    }
}
