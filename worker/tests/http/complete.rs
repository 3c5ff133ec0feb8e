//! The completion call.

use crate::world::{World, bytes};
use domain::segment::{Name, Track};
use reqwest::Method;
use serde_json::json;

const PATH: &str = "/api/upload/recording-complete";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complete_ten_times_at_once_is_one_finalize_and_one_job() {
    let world = World::new().await;
    let made = world.begun().await;
    let calls = (0..10).map(|_| world.call(Method::POST, PATH, json!({"videoId": made.id})));
    let answers = futures_util::future::join_all(calls).await;
    let of = |word: &str| {
        let expected = json!({"success": true, "status": word});
        answers.iter().filter(|answer| answer.status == 200 && answer.body == expected).count()
    };
    assert_eq!((of("queued"), of("already-processing")), (1, 9), "{answers:?}");
    let checks = world.texts("SELECT unique_key FROM queue.job WHERE kind = 'manifest_check'", []).await;
    assert_eq!(checks, [format!("check:{}", made.id)]);
    assert_eq!(world.texts("SELECT type FROM spool.event", []).await, ["recording.finalizing"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complete_may_be_called_by_the_recorder() {
    let world = World::new().await;
    let made = world.begun().await;
    let request = world.request(Method::POST, PATH).bearer_auth(&made.token).json(&json!({"videoId": made.id}));
    assert_eq!(world.send(request).await.body["status"], "queued");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complete_with_nothing_changes_nothing() {
    let world = World::new().await;
    let made = world.recording().await;
    let before = world.traces().await;
    let answer = world.call(Method::POST, PATH, json!({"videoId": made.id})).await;
    assert_eq!(answer.problem(), (409, "nothing-to-finalize"));
    assert_eq!(world.traces().await, before);
    // An initialization section is nothing to see yet.
    world.put(&made, Track::Video, "init.mp4", bytes(Track::Video, Name::Init)).await;
    let answer = world.call(Method::POST, PATH, json!({"videoId": made.id})).await;
    assert_eq!(answer.problem(), (409, "nothing-to-finalize"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complete_answers_by_state() {
    let world = World::new().await;
    let made = world.begun().await;
    for (state, expected) in [
        ("state = 'ready', result_key = 'k'", (200, "already-complete")),
        ("state = 'archived', result_key = 'k'", (200, "already-complete")),
        ("state = 'ready', result_key = 'k', provisional = true", (200, "already-processing")),
        ("state = 'finalizing', provisional = false", (200, "already-processing")),
        ("state = 'failed'", (200, "queued")),
        ("state = 'cancelled'", (410, "recording-cancelled")),
        ("state = 'deleted'", (410, "recording-deleted")),
    ] {
        world.execute(&format!("UPDATE spool.recording SET {state}"), []).await;
        let answer = world.call(Method::POST, PATH, json!({"videoId": made.id})).await;
        let word = answer.body["status"].as_str().unwrap_or_else(|| answer.problem().1);
        assert_eq!((answer.status, word), expected, "{state}: {answer:?}");
    }
}
