//! `mux` through libavformat: another way to the same packets, under a key of its own attempt.

use crate::support::packets;
use crate::world::{World, set};
use domain::recording::State;
use worker::config::Engine;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libavformat_makes_a_verified_result_under_a_key_of_its_attempt() {
    let world = World::with(|config| config.mux.engine = Engine::Libavformat).await;
    let id = world.create("r").await;
    let worker = world.work();
    world.accept_set(&id, set(), |_, _| true).await;
    world.declare(&id, set()).await;
    world.complete(&id).await;
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
