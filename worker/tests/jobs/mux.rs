//! `mux`: publishes what was planned, once.

use crate::support::{PATIENCE, wait};
use crate::world::{Worker, World, by, set};
use domain::id::{RecordingId, Sha256};
use domain::job::{Kind, Queue};
use domain::key::Keys;
use domain::recording::State;
use domain::segment::{Name, Track};
use queue::operate::{self, Answer};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, TransactionTrait as _};
use std::cell::OnceCell;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use worker::db::recordings;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mux_publishes_a_verified_result_with_its_facts() {
    let world = World::new().await;
    let worker = world.work();
    let id = world.record("r", set()).await;
    let ready = world.until_state(&id, State::Ready).await;
    let served = ready.result.unwrap();
    assert_eq!((served.key.as_str(), served.width, served.height), ("o/r/result.mp4", Some(320), Some(180)));
    assert!(served.duration_ms.abs_diff(set().duration_ms) <= 40, "{} ms", served.duration_ms);
    assert!(ready.tail_confirmed && !ready.degraded);
    let bytes = std::fs::read(world.object(&served.key)).unwrap();
    assert_eq!(served.sha256, Some(domain::id::Sha256::of(&bytes)));

    // Every byte of the payload can be led back to its segment.
    let facts = std::fs::read(world.object("o/r/result.json")).unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&facts).unwrap();
    assert_eq!((&facts["status"], &facts["result"]), (&"complete".into(), &"result.mp4".into()));
    let segments = facts["segments"].as_array().unwrap();
    assert_eq!(segments.len(), set().segments());
    for segment in segments {
        let track = Track::parse(segment["track"].as_str().unwrap()).unwrap();
        let index = usize::try_from(segment["index"].as_u64().unwrap()).unwrap();
        let source = &set().tracks[&track].1[index - 1];
        for range in segment["ranges"].as_array().unwrap() {
            let (from, len) = (range[0].as_u64().unwrap() as usize, range[1].as_u64().unwrap() as usize);
            let payload = &bytes[from..from + len];
            assert!(source.windows(len).any(|window| window == payload), "{track} {index}: {from}+{len}");
        }
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_of_a_discarded_mux_brings_its_recording_from_failed_to_ready() {
    let world = World::new().await;
    let worker = world.work_on(&[domain::job::Queue::Ingest, domain::job::Queue::Control]);
    let id = world.record("r", set()).await;
    world.until_planned(&id).await;
    // A segment of the plan is overwritten in the store.
    let keys = Keys::new(&world.recording(&id).await.owner, &id);
    let victim = world.object(&keys.segment(Track::Video, Name::Init));
    let good = std::fs::read(&victim).unwrap();
    std::fs::write(&victim, b"not what was planned").unwrap();
    let muxing = world.work_on(&[domain::job::Queue::Mux]);
    let failed = world.until_state(&id, State::Failed).await;
    assert_eq!(failed.error.as_ref().unwrap().0, "source-changed", "{:?}", failed.error);
    let discarded = world.until_ended(&id, Kind::Mux, "discarded").await;
    assert!(failed.result.is_none());

    std::fs::write(&victim, good).unwrap();
    assert_eq!(operate::retry(&world.db, discarded.id, &by()).await.unwrap(), Answer::Done);
    let ready = world.until_state(&id, State::Ready).await;
    assert_eq!(ready.error, None);
    assert_eq!(ready.plan_version, 1);
    for worker in [worker, muxing] {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_mux_leaves_its_recording_failed_and_publishes_nothing() {
    let world = World::new().await;
    let worker = world.work_on(&[domain::job::Queue::Ingest, domain::job::Queue::Control]);
    let id = world.record("r", set()).await;
    let mux = wait::until("the mux waits", PATIENCE, || async {
        world.jobs(&id, Kind::Mux, "live").await.into_iter().next()
    })
    .await;
    assert_eq!(operate::cancel(&world.db, mux.id, &by()).await.unwrap(), Answer::Done);
    let failed = world.until_state(&id, State::Failed).await;
    assert_eq!(failed.error.unwrap().0, "job-cancelled");
    assert!(!world.object("o/r/result.mp4").exists());
    worker.stop().await;
}

/// The plan version has moved on while the job waited: it neither writes nor publishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mux_of_an_older_plan_is_obsolete() {
    let world = World::new().await;
    let worker = world.work_on(&[domain::job::Queue::Ingest, domain::job::Queue::Control]);
    let id = world.record("r", set()).await;
    world.until_planned(&id).await;
    let verb = domain::job::Control::Verb { recording: id.clone(), verb: domain::job::Verb::Reopen };
    queue::enqueue::enqueue(&world.db, &verb).await.unwrap();
    world.until_state(&id, State::Live).await;
    let muxing = world.work_on(&[domain::job::Queue::Mux]);
    let ended = world.until_ended(&id, Kind::Mux, "completed").await;
    assert_eq!(ended.reason.as_deref(), Some("obsolete"));
    assert!(!world.object("o/r/result.mp4").exists());
    for worker in [worker, muxing] {
        worker.stop().await;
    }
}

/// A recording whose result is made, verified and told in `result.json`, while somebody else's transaction, which is
/// given back, keeps it from being published; and the file of the result.
pub(crate) async fn held_before_publishing(
    world: &World,
    id: &RecordingId,
    muxing: &Muxing,
) -> (DatabaseTransaction, PathBuf) {
    let worker = world.work_on(&[Queue::Ingest, Queue::Control]);
    world.send(id, set()).await;
    world.until_planned(id).await;
    worker.stop().await;
    // Held before the plan can be read, so that the recording can be taken while the attempt is between its looks at it.
    let plans = world.db.begin().await.unwrap();
    plans.execute_unprepared("LOCK TABLE spool.plan IN ACCESS EXCLUSIVE MODE").await.unwrap();
    muxing.set(world.work_on(&[Queue::Mux])).unwrap_or_else(|_| panic!("one mux at a time"));
    world.until_blocked("FROM spool.plan").await;
    let held = world.db.begin().await.unwrap();
    recordings::lock(&held, id).await.unwrap().unwrap();
    plans.rollback().await.unwrap();
    world.until_blocked("FROM spool.recording WHERE id = $1 FOR UPDATE").await;
    let json = std::fs::read(world.object("o/r/result.json")).expect("it is published only after it was told");
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    (held, world.object(&format!("o/r/{}", json["result"].as_str().unwrap())))
}

pub(crate) type Muxing = OnceCell<Worker>;

/// What tells one writing of a file from another.
pub(crate) fn writing(path: &Path) -> (u64, SystemTime) {
    let meta = std::fs::metadata(path).unwrap();
    (meta.ino(), meta.modified().unwrap())
}

/// Longer than one wait for a lock: a web app's transaction delays a publication and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_mux_waits_for_its_recording_and_makes_nothing_again() {
    let world = World::new().await;
    let id = world.create("r").await;
    let muxing = Muxing::new();
    let (held, result) = held_before_publishing(&world, &id, &muxing).await;
    let written = writing(&result);
    let blocked = "SELECT coalesce(min(extract(epoch FROM xact_start) * 1000000)::int8, 0) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let first = world.number(blocked, []).await;
    wait::until("the lock is waited for a second time", PATIENCE, || async {
        let now = world.number(blocked, []).await;
        (now > 0 && now != first).then_some(())
    })
    .await;
    held.rollback().await.unwrap();
    let ready = world.until_state(&id, State::Ready).await;
    assert_eq!(ready.result.unwrap().sha256, Some(Sha256::of(&std::fs::read(&result).unwrap())));
    let mux = world.until_ended(&id, Kind::Mux, "completed").await;
    assert_eq!(mux.attempt, 1);
    assert_eq!(world.number("SELECT count(*) FROM queue.attempt WHERE kind = 'mux'", []).await, 1);
    assert_eq!(writing(&result), written, "made once");
    muxing.into_inner().unwrap().stop().await;
}

/// The attempt is gone between verification and publication; and once more the object has been exchanged meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_attempt_publishes_what_an_earlier_one_verified() {
    for exchanged in [false, true] {
        let world = World::with(|config| config.work.drain = Duration::from_millis(100)).await;
        let id = world.create("r").await;
        let muxing = Muxing::new();
        let (held, result) = held_before_publishing(&world, &id, &muxing).await;
        muxing.into_inner().unwrap().stop().await;
        held.rollback().await.unwrap();
        assert_eq!(world.recording(&id).await.state, State::Finalizing);
        let good = std::fs::read(&result).unwrap();
        if exchanged {
            let mut bad = good.clone();
            let moov = bad.windows(4).position(|name| name == b"stsz").unwrap();
            bad[moov + 12] ^= 1;
            std::fs::write(&result, bad).unwrap();
        }
        let written = writing(&result);
        let worker = world.work_on(&[Queue::Mux]);
        let ready = world.until_state(&id, State::Ready).await;
        assert_eq!(writing(&result) == written, !exchanged, "made again: {exchanged}");
        let served = ready.result.unwrap();
        assert_eq!((served.sha256, served.size_bytes), (Some(Sha256::of(&good)), good.len() as u64));
        assert!(std::fs::read(&result).unwrap() == good);
        worker.stop().await;
    }
}
