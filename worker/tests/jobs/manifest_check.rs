//! `manifest_check`: freezes what is whole, waits for what may come, fails with a reason.

use crate::support::{PATIENCE, wait};
use crate::world::{World, by, set};
use domain::job::{Kind, Queue};
use domain::mux::GapCause;
use domain::recording::{Policy, State};
use domain::segment::{Name, Track};
use queue::operate::{self, Answer};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement, TransactionTrait as _};
use std::time::Duration;
use worker::db::{recordings, segments};

/// A segment is committed after the rows were read and before the plan is frozen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze_looks_again_when_a_segment_came_in_meanwhile() {
    let world = World::new().await;
    let id = world.create("r").await;
    let ingest = world.work_on(&[Queue::Ingest]);
    world.accept_set(&id, set(), |_, index| index < 3).await;
    wait::until("everything is stored", PATIENCE, || async {
        segments::received(&world.db, &id, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    ingest.stop().await;
    // Nothing more is declared than is there, so the first look finds it whole.
    let declared = r#"{"tracks": {"video": {"last_index": 2}, "audio": {"last_index": 2}}, "duration_ms": 4000}"#;
    world.execute("UPDATE spool.recording SET declared = $1::jsonb", [declared.into()]).await;
    world.complete(&id).await;

    // The look at the rows has to wait for this; the insert of the late segment stands behind it.
    let blocking = world.db.begin().await.unwrap();
    let lock = "LOCK TABLE spool.segment IN ACCESS EXCLUSIVE MODE";
    blocking.execute_raw(Statement::from_string(DbBackend::Postgres, lock)).await.unwrap();
    let control = world.work_on(&[Queue::Control]);
    world.until_blocked("FROM spool.segment").await;
    let accepting = world.db.begin().await.unwrap();
    recordings::lock_share(&accepting, &id).await.unwrap();
    let copy = "INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256, staging_uri, sample_index, timescale, \
          tfdt, duration, sample_count, starts_with_sync) \
        SELECT recording_id, track, 3, size_bytes, sha256, 'local:r/none', sample_index, timescale, tfdt + 2 * duration, \
          duration, sample_count, starts_with_sync FROM spool.segment WHERE recording_id = 'r' AND track = 'video' AND index = 2";
    let inserting = async {
        accepting.execute_raw(Statement::from_string(DbBackend::Postgres, copy)).await.unwrap();
    };
    let releasing = async {
        world.until_blocked("INSERT INTO spool.segment").await;
        blocking.commit().await.unwrap();
    };
    tokio::join!(inserting, releasing);
    world.until_blocked("FOR UPDATE").await;
    accepting.commit().await.unwrap();

    wait::until("the check has looked again", PATIENCE, || async {
        let jobs = world.jobs(&id, Kind::ManifestCheck, "live").await;
        jobs.iter().any(|job| job.snoozes >= 2).then_some(())
    })
    .await;
    let now = world.recording(&id).await;
    assert_eq!((now.state, now.frozen_version), (State::Finalizing, 0), "it waits for the segment it did not know");
    control.stop().await;
}

/// Accepts and a freeze at once, many times: whatever was acknowledged is in the plan.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze_and_accept_race_and_nothing_acknowledged_is_left_out() {
    let world = World::with(|config| config.live.declaration_wait = Duration::ZERO).await;
    let worker = world.work_on(&[Queue::Ingest, Queue::Control]);
    let last = set().tracks[&Track::Video].1.len();
    for round in 0..15 {
        let id = world.create(&format!("r{round}")).await;
        world.accept_set(&id, set(), |track, index| track == Track::Video && index < 3).await;
        world.complete(&id).await;
        let late = world.accept(&id, Track::Video, Name::Media(3), &set().tracks[&Track::Video].1[2]);
        // The pause moves the accept over the whole length of the check.
        let accepted = async {
            tokio::time::sleep(Duration::from_millis(round * 3)).await;
            late.await
        };
        let accepted = accepted.await;
        let frozen = world.until_planned(&id).await;
        let planned: Vec<u32> = frozen.tracks[0].segments.iter().map(|segment| segment.index).collect();
        match accepted {
            Ok(_) => assert_eq!(planned.len(), last, "round {round}: acknowledged and left out"),
            Err(refusal) => assert_eq!(planned, [1, 2], "round {round}: {refusal}"),
        }
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_fails_with_a_reason_and_accept_gaps_brings_it_to_an_end() {
    let world = World::with(|config| config.live.missing_deadline = Duration::ZERO).await;
    let id = world.create_with("r", Policy::Fail).await;
    let worker = world.work();
    world.accept_set(&id, set(), |track, index| track == Track::Audio || index != 2).await;
    world.declare(&id, set()).await;
    world.complete(&id).await;
    let failed = world.until_state(&id, State::Failed).await;
    let (code, message) = failed.error.unwrap();
    assert_eq!(code, "gaps-under-policy-fail");
    assert!(message.contains("video segment 2 never came (2.000 s to 4.000 s)"), "{message}");
    let ended = world.until_ended(&id, Kind::ManifestCheck, "discarded").await;
    assert_eq!(ended.reason.as_deref(), Some("gaps-under-policy-fail"));
    world.until_ended(&id, Kind::Control, "completed").await;

    let verb = domain::job::Control::Verb { recording: id.clone(), verb: domain::job::Verb::AcceptGaps };
    queue::enqueue::enqueue(&world.db, &verb).await.unwrap();
    let ready = world.until_state(&id, State::Ready).await;
    assert_eq!(ready.gaps.iter().map(|gap| gap.cause).collect::<Vec<_>>(), [GapCause::Missing]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_fails_a_recording_of_which_nothing_came() {
    let world = World::with(|config| config.live.declaration_wait = Duration::ZERO).await;
    let id = world.create("r").await;
    world.execute("UPDATE spool.recording SET source = 'bucket'", []).await;
    world.complete(&id).await;
    let worker = world.work();
    let failed = world.until_state(&id, State::Failed).await;
    assert_eq!(failed.error.unwrap().0, "nothing-uploaded");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signal_after_a_provisional_end_makes_it_final_and_cleans_up() {
    let world = World::with(|config| {
        config.cleanup.grace = Duration::ZERO;
        config.live.declaration_wait = Duration::ZERO;
    })
    .await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    let worker = world.work();
    wait::until("everything is stored", PATIENCE, || async {
        segments::received(&world.db, &id, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    crate::sweep::fall_silent(&world, &id).await;
    let ready = world.until_state(&id, State::Ready).await;
    assert!(ready.provisional && !ready.tail_confirmed);
    assert!(world.jobs(&id, Kind::Cleanup, "live").await.is_empty(), "a provisional end is not cleaned up");
    assert_eq!(world.complete(&id).await, recordings::Completion::AlreadyProcessing);
    let archived = world.until_state(&id, State::Archived).await;
    assert!(!archived.provisional);
    worker.stop().await;
}

/// The upload was given up while the recording was live, and no further segment came to put in another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_puts_in_an_upload_when_what_it_waits_for_has_none() {
    let world = World::new().await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    world.declare(&id, set()).await;
    let upload = world.jobs(&id, Kind::Upload, "live").await[0].id;
    assert_eq!(operate::discard(&world.db, upload, &by()).await.unwrap(), Answer::Done);
    let control = world.work_on(&[Queue::Control]);
    let followed = world.until_ended(&id, Kind::Control, "completed").await;
    assert_eq!(followed.reason.as_deref(), Some("obsolete"), "a live recording does not fail");
    control.stop().await;
    world.complete(&id).await;
    let worker = world.work();
    world.until_state(&id, State::Ready).await;
    worker.stop().await;
}
