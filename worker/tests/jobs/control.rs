//! `control`: what an operator asks, and what follows the end of a dead job.

use crate::support::{PATIENCE, wait};
use crate::world::{World, by, set};
use domain::job::{Control, Ended, FollowUp, Kind, Queue, Verb};
use domain::recording::State;
use queue::operate::{self, Answer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verb_that_the_state_does_not_allow_is_refused_with_a_reason() {
    let world = World::new().await;
    let id = world.create("r").await;
    let worker = world.work_on(&[Queue::Control]);
    queue::enqueue::enqueue(&world.db, &Control::Verb { recording: id.clone(), verb: Verb::Remux }).await.unwrap();
    let ended = world.until_ended(&id, Kind::Control, "completed").await;
    let reason = ended.reason.unwrap();
    assert!(reason.starts_with("refused: ") && reason.contains("live"), "{reason}");
    assert_eq!(world.recording(&id).await.state, State::Live);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_ends_the_recording_and_its_jobs() {
    let world = World::new().await;
    let id = world.create("r").await;
    let ingest = world.work_on(&[Queue::Ingest]);
    world.accept_set(&id, set(), |_, _| true).await;
    wait::until("everything is stored", PATIENCE, || async {
        worker::db::segments::received(&world.db, &id, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    ingest.stop().await;
    world.complete(&id).await;
    let verb = Control::Verb { recording: id.clone(), verb: Verb::Cancel };
    queue::enqueue::enqueue(&world.db, &verb).await.unwrap();
    let control = world.work_on(&[Queue::Control]);
    world.until_state(&id, State::Cancelled).await;
    wait::until("no job is left", PATIENCE, || async {
        (world.number("SELECT count(*) FROM queue.job WHERE subject = 'r'", []).await == 0).then_some(())
    })
    .await;
    assert_eq!(world.recording(&id).await.state, State::Cancelled, "its jobs' follow-ups changed nothing");
    control.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remux_makes_the_next_version_and_keeps_serving_the_first() {
    let world = World::new().await;
    let worker = world.work();
    let id = world.record("r", set()).await;
    let first = world.until_state(&id, State::Ready).await.result.unwrap();
    let verb = Control::Verb { recording: id.clone(), verb: Verb::Remux };
    queue::enqueue::enqueue(&world.db, &verb).await.unwrap();
    let second = wait::until("the second result is served", PATIENCE, || async {
        let now = world.recording(&id).await;
        now.result.filter(|served| served.version == 2 && now.state == State::Ready)
    })
    .await;
    assert_eq!(second.sha256, first.sha256, "the same segments give the same bytes");
    assert_eq!(second.key, "o/r/result.v2.mp4");
    assert!(world.object(&first.key).exists());
    for (facts, result, version) in [("o/r/result.json", "result.mp4", 1), ("o/r/result.v2.json", "result.v2.mp4", 2)] {
        let text = std::fs::read(world.object(facts)).unwrap();
        let text: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!((&text["result"], &text["plan_version"]), (&result.into(), &version.into()), "{facts}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follow_up_does_nothing_while_a_live_job_holds_the_key() {
    let world = World::new().await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    world.complete(&id).await;
    let check = &world.jobs(&id, Kind::ManifestCheck, "live").await[0];
    let ended = Ended {
        job_id: check.id,
        kind: "manifest_check".to_owned(),
        unique_key: Some("check:r".to_owned()),
        outcome: "discarded".to_owned(),
        error_class: Some("storage".to_owned()),
        error: Some("away".to_owned()),
    };
    let follow_up = Control::FollowUp(FollowUp { subject: id.clone(), ended });
    // Only the follow-up is run: the check that holds the key stays where it is.
    world.execute("UPDATE queue.job SET run_at = now() + interval '1 hour', state = 1, ready_seq = NULL", []).await;
    queue::enqueue::enqueue(&world.db, &follow_up).await.unwrap();
    let worker = world.work_on(&[Queue::Control]);
    world.until_ended(&id, Kind::Control, "completed").await;
    assert_eq!(world.recording(&id).await.state, State::Finalizing);
    worker.stop().await;

    world.execute("DELETE FROM queue.job", []).await;
    queue::enqueue::enqueue(&world.db, &follow_up).await.unwrap();
    let worker = world.work_on(&[Queue::Control]);
    let failed = world.until_state(&id, State::Failed).await;
    assert_eq!(failed.error, Some(("storage".to_owned(), "the manifest_check job was discarded: away".to_owned())));
    worker.stop().await;
}

/// The upload is given up while the check waits for the store. The check must not take the failure for an operator's
/// retry when it wakes: the recording would be finalizing again, and wait for ever for a job that is dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_whose_upload_was_given_up_stays_failed_until_it_is_checked_again() {
    let world = World::new().await;
    let id = world.record("r", set()).await;
    let control = world.work_on(&[Queue::Control]);
    wait::until("the check waits for the store", PATIENCE, || async {
        let checks = world.jobs(&id, Kind::ManifestCheck, "live").await;
        checks.iter().any(|check| check.snoozes > 0).then_some(())
    })
    .await;
    let upload = world.jobs(&id, Kind::Upload, "live").await[0].id;
    assert_eq!(operate::discard(&world.db, upload, &by()).await.unwrap(), Answer::Done);
    let failed = world.until_state(&id, State::Failed).await;
    assert_eq!(failed.error.unwrap().1, "the upload job was discarded: discarded");
    world.execute("UPDATE queue.job SET run_at = now() WHERE kind = 'manifest_check'", []).await;
    world.until_ended(&id, Kind::ManifestCheck, "cancelled").await;
    wait::until("no job is left", PATIENCE, || async {
        (world.number("SELECT count(*) FROM queue.job WHERE subject = 'r'", []).await == 0).then_some(())
    })
    .await;
    assert_eq!(world.recording(&id).await.state, State::Failed);
    control.stop().await;

    let verb = Control::Verb { recording: id.clone(), verb: Verb::Recheck };
    queue::enqueue::enqueue(&world.db, &verb).await.unwrap();
    let worker = world.work();
    world.until_state(&id, State::Ready).await;
    worker.stop().await;
}
