//! `cleanup`: deletes what was kept only for the result, and nothing before its time.

use crate::support::{PATIENCE, wait};
use crate::world::{World, by, set};
use domain::id::RecordingId;
use domain::job::{Cleanup, Control, Kind, Queue, Verb};
use domain::recording::State;
use domain::segment::{Name, Track};
use std::time::Duration;
use worker::accept::Refusal;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup_leaves_the_result_and_its_facts_alone() {
    let world = World::with(|config| config.cleanup.grace = Duration::ZERO).await;
    // Of an attempt that was never published.
    world.cx.store.put("o/r/result.v1-3.mp4", "left".into()).await.unwrap();
    let worker = world.work_on(&[Queue::Ingest, Queue::Control, Queue::Mux]);
    let id = world.record("r", set()).await;
    world.until_state(&id, State::Archived).await;
    world.until_ended(&id, Kind::Cleanup, "completed").await;
    wait::until("no upload is left", PATIENCE, || async {
        world.jobs(&id, Kind::Upload, "live").await.is_empty().then_some(())
    })
    .await;
    assert_eq!(world.keys().await, ["o/r/result.json", "o/r/result.mp4"]);
    let late = world.accept(&id, Track::Video, Name::Media(99), &set().tracks[&Track::Video].1[0]).await;
    assert!(matches!(late, Err(Refusal::Closed(domain::recording::Closed::Archived))), "{late:?}");
    let indexes = "SELECT count(*) FROM spool.segment WHERE sample_index IS NOT NULL";
    assert_eq!(world.number(indexes, []).await, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup_waits_for_its_grace_period() {
    let world = World::new().await;
    let worker = world.work();
    let id = world.record("r", set()).await;
    world.until_state(&id, State::Ready).await;
    let waiting = world.jobs(&id, Kind::Cleanup, "scheduled").await;
    assert_eq!(waiting.len(), 1);
    let left = waiting[0].run_at - world.recording(&id).await.now;
    assert!(left > chrono::TimeDelta::hours(23) && left <= chrono::TimeDelta::hours(24), "{left}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup_of_a_recording_that_went_on_is_obsolete() {
    let world = World::new().await;
    let worker = world.work();
    let id = world.record("r", set()).await;
    world.until_state(&id, State::Ready).await;
    let reopen = Control::Verb { recording: id.clone(), verb: Verb::Reopen };
    queue::enqueue::enqueue(&world.db, &reopen).await.unwrap();
    world.until_state(&id, State::Live).await;
    let waiting = world.jobs(&id, Kind::Cleanup, "scheduled").await;
    queue::operate::run_now(&world.db, waiting[0].id, &by()).await.unwrap();
    let ended = world.until_ended(&id, Kind::Cleanup, "completed").await;
    assert_eq!(ended.reason.as_deref(), Some("obsolete"));
    assert_eq!(world.recording(&id).await.state, State::Live);
    assert!(world.object("o/r/segments/video/segment_001.m4s").exists());
    worker.stop().await;
}

/// R-7: without a result in the store nothing is deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup_deletes_nothing_when_the_result_is_gone() {
    let world = World::new().await;
    let worker = world.work();
    let id = world.record("r", set()).await;
    world.until_state(&id, State::Ready).await;
    std::fs::remove_file(world.object("o/r/result.mp4")).unwrap();
    world.execute("DELETE FROM queue.job WHERE kind = 'cleanup'", []).await;
    queue::enqueue::enqueue(&world.db, &Cleanup { recording: id.clone(), version: 1 }).await.unwrap();
    let ended = world.until_ended(&id, Kind::Cleanup, "discarded").await;
    assert_eq!(ended.reason.as_deref(), Some("result-missing"));
    assert_eq!(world.recording(&id).await.state, State::Ready);
    assert!(world.object("o/r/segments/video/segment_001.m4s").exists());
    worker.stop().await;
}
