//! `preview`: pictures of what is served, after it is ready and never in its way.

use crate::support::s3::S3Server;
use crate::support::{PATIENCE, Set, wait};
use crate::world::{Worker, World, set};
use domain::id::{RecordingId, Sha256};
use domain::job::{Control, Kind, Preview, Queue, Verb};
use domain::recording::State;
use domain::segment::Track;
use media::ff::synth;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::time::Duration;
use worker::db::{events, pictures};
use worker::staging::Mode;
use worker::storage::{Call, Fault, Faults};

const POSTER: &str = "o/r/screenshot/screen-capture.jpg";
const PREVIEW: &str = "o/r/preview/animated-preview.gif";

async fn events_of(world: &World, id: &RecordingId) -> Vec<events::Event> {
    events::list(&world.db, id, 0, 100).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_a_ready_recording_are_made_on_any_store() {
    let server = S3Server::start().await;
    for world in [World::new().await, World::with(|config| config.storage = server.config()).await] {
        let worker = world.work();
        let id = world.record("r", set()).await;
        world.until_ended(&id, Kind::Preview, "completed").await;
        assert_eq!(world.recording(&id).await.state, State::Ready);

        let made = pictures::list(&world.db, &id).await.unwrap();
        let [poster, preview] = made.as_slice() else { panic!("{made:?}") };
        assert_eq!((poster.version, poster.width, poster.height), (1, 320, 180));
        for (made, key, magic) in [(poster, POSTER, &[0xff, 0xd8, 0xff][..]), (preview, PREVIEW, b"GIF89a")] {
            let bytes = world.cx.store.get(key).await.unwrap();
            assert!(bytes.starts_with(magic), "{key}");
            assert_eq!((made.size_bytes, made.sha256), (bytes.len() as u64, Sha256::of(&bytes)));
        }
        let told = events_of(&world, &id).await.pop().unwrap();
        assert_eq!(told.kind, "recording.preview_ready");
        assert_eq!((&told.body["plan_version"], &told.body["poster"]["width"]), (&json!(1), &json!(320)));
        assert_eq!(told.body["preview"]["bytes"], json!(preview.size_bytes));
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remux_makes_the_pictures_anew_and_older_jobs_end_obsolete() {
    let world = World::new().await;
    let worker = world.work();
    let id = world.record("r", set()).await;
    world.until_ended(&id, Kind::Preview, "completed").await;
    // Somebody has spoilt the poster meanwhile.
    std::fs::write(world.object(POSTER), "spoilt").unwrap();
    let verb = Control::Verb { recording: id.clone(), verb: Verb::Remux };
    queue::enqueue::enqueue(&world.db, &verb).await.unwrap();
    let made = wait::until("pictures of the second version", PATIENCE, || async {
        let made = pictures::list(&world.db, &id).await.unwrap();
        made.iter().all(|made| made.version == 2).then_some(made)
    })
    .await;
    assert_eq!(made.len(), 2);
    assert_eq!(Sha256::of(&std::fs::read(world.object(POSTER)).unwrap()), made[0].sha256);
    let told = events_of(&world, &id).await;
    assert_eq!(told.iter().filter(|event| event.kind == "recording.preview_ready").count(), 2);

    queue::enqueue::enqueue(&world.db, &Preview { recording: id.clone(), version: 1 }).await.unwrap();
    wait::until("the older one has ended", PATIENCE, || async {
        let ended = world.jobs(&id, Kind::Preview, "completed").await;
        ended.iter().any(|job| job.reason.as_deref() == Some("obsolete")).then_some(())
    })
    .await;
    assert_eq!(pictures::list(&world.db, &id).await.unwrap(), made);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_of_sound_alone_has_no_pictures() {
    let world = World::new().await;
    let worker = world.work();
    let config = synth::Config { width: 320, height: 180, ..synth::Config::default() };
    let mut sound = Set::of(&config, Duration::from_secs(4));
    sound.tracks.remove(&Track::Video);
    let id = world.record("r", &sound).await;
    let ended = world.until_ended(&id, Kind::Preview, "completed").await;
    assert_eq!(ended.reason.as_deref(), Some("no pictures: the recording has sound only"));
    assert_eq!(pictures::list(&world.db, &id).await.unwrap(), []);
    assert!(!world.object(POSTER).exists());
    assert!(events_of(&world, &id).await.iter().all(|event| event.kind != "recording.preview_ready"));
    worker.stop().await;
}

/// The pictures outlive the segments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup_leaves_the_pictures_alone() {
    let world = World::with(|config| config.cleanup.grace = Duration::ZERO).await;
    let id = {
        let worker = world.work_on(&[Queue::Ingest, Queue::Control, Queue::Mux]);
        let id = world.record("r", set()).await;
        world.until_ended(&id, Kind::Cleanup, "completed").await;
        worker.stop().await;
        id
    };
    // And they are made of an archived recording as of any other.
    let worker = world.work();
    world.until_ended(&id, Kind::Preview, "completed").await;
    assert_eq!(world.recording(&id).await.state, State::Archived);
    assert_eq!(world.keys().await, [PREVIEW, "o/r/result.json", "o/r/result.mp4", POSTER]);
    worker.stop().await;
}

/// Children of this process that run the hidden command.
fn children() -> Vec<Pid> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let children = threads.flat_map(|thread| {
        let listed = std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default();
        listed.split_whitespace().map(|pid| pid.parse::<i32>().unwrap()).collect::<Vec<_>>()
    });
    let spool = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(worker::child::COMMAND.as_bytes())
    };
    children.filter(spool).filter_map(Pid::from_raw).collect()
}

/// A ready recording, and a worker on its pictures, whose child waits for its first range a while.
async fn asking(world: &World, faults: &Faults) -> (RecordingId, Worker) {
    let id = {
        let worker = world.work_on(&[Queue::Ingest, Queue::Control, Queue::Mux]);
        let id = world.record("r", set()).await;
        world.until_state(&id, State::Ready).await;
        world.until_ended(&id, Kind::Mux, "completed").await;
        worker.stop().await;
        id
    };
    let before = faults.calls(Call::Read);
    faults.set(Call::Read, 0..1, Fault::Delay(Duration::from_secs(4)));
    let worker = world.work_on(&[Queue::Preview]);
    wait::until("the child has asked", PATIENCE, || async { (faults.calls(Call::Read) > before).then_some(()) }).await;
    (id, worker)
}

/// Nothing can catch this: the child is gone in the middle of its work, and the next attempt does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_is_killed_costs_one_attempt() {
    let (world, faults) = World::with_faults(Mode::Local).await;
    let (id, worker) = asking(&world, &faults).await;
    let [child] = children()[..] else { panic!("one child: {:?}", children()) };
    kill_process(child, Signal::KILL).unwrap();
    let ended = world.until_ended(&id, Kind::Preview, "completed").await;
    assert_eq!(ended.attempt, 2);
    let crashed = "SELECT count(*) FROM queue.attempt WHERE kind = 'preview' AND error_class = 'child-crash' AND error LIKE '%signal 9%'";
    assert_eq!(world.number(crashed, []).await, 1);
    assert_eq!(pictures::list(&world.db, &id).await.unwrap().len(), 2);
    worker.stop().await;
}

/// A newer result has its pictures while an older attempt's child still looks at the result before: they lie under the same
/// keys, and stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_that_was_overtaken_leaves_the_newer_pictures_alone() {
    let (world, faults) = World::with_faults(Mode::Local).await;
    let (id, worker) = asking(&world, &faults).await;
    world.execute("UPDATE spool.recording SET plan_version = 2, result_version = 2", []).await;
    for key in [POSTER, PREVIEW] {
        world.cx.store.put(key, "newer".into()).await.unwrap();
    }
    let ended = world.until_ended(&id, Kind::Preview, "completed").await;
    assert_eq!(ended.reason.as_deref(), Some("obsolete"));
    for key in [POSTER, PREVIEW] {
        assert_eq!(world.cx.store.get(key).await.unwrap(), "newer");
    }
    worker.stop().await;
}

/// Time is a limit too: whatever takes too long three times is given up, and its recording stays what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_that_kills_three_children_is_given_up() {
    let world = World::with(|config| config.preview.time_limit = Duration::from_millis(1)).await;
    let worker = world.work();
    let id = world.record("r", set()).await;
    let ended = world.until_ended(&id, Kind::Preview, "discarded").await;
    assert_eq!((ended.reason.as_deref(), ended.attempt), (Some("poison"), 3));
    let classes = "SELECT count(*) FROM queue.attempt WHERE kind = 'preview' AND error_class = 'child-timeout'";
    assert_eq!(world.number(classes, []).await, 2);
    let recording = world.recording(&id).await;
    assert_eq!((recording.state, recording.error), (State::Ready, None));
    assert_eq!(pictures::list(&world.db, &id).await.unwrap(), []);
    assert_eq!(children(), []);
    worker.stop().await;
}
