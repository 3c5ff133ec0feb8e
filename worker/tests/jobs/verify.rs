//! What must hold of a result before it is published: it can be decoded, on every store; and a store that is away says
//! nothing about it.

use crate::support::s3::S3Server;
use crate::support::{PATIENCE, Set, wait};
use crate::world::{World, set};
use domain::id::RecordingId;
use domain::job::{Kind, Queue};
use domain::mux::{Gap, GapCause};
use domain::recording::{Policy, State};
use domain::segment::{Name, Track};
use media::ff::synth;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use worker::child::{self, Program};
use worker::storage::{Call, Fault, Faults, Store};

/// Sends the set with its second picture segment damaged where only a decoder sees it: everything else is as it is told.
async fn accept_damaged(world: &World, id: &RecordingId) {
    for (track, name, bytes) in set().objects() {
        let mut bytes = bytes.to_vec();
        if (track, name) == (Track::Video, Name::Media(2)) {
            ruin(&mut bytes);
        }
        world.accept(id, track, name, &bytes).await.unwrap();
    }
}

fn ruin(segment: &mut [u8]) {
    let mdat = segment.windows(4).position(|name| name == b"mdat").unwrap() + 4;
    segment[mdat..mdat + 2000].fill(0xff);
}

/// The gaps as they are told everywhere: in the row, in the event of its publication, in `result.json`.
async fn told_gaps(world: &World, id: &RecordingId, result_json: &str) -> Vec<Gap> {
    let row = world.recording(id).await;
    let events = worker::db::events::list(&world.db, id, 0, 100).await.unwrap();
    let ready = &events.iter().rfind(|event| event.kind == "recording.ready").unwrap().body;
    let json = world.cx.store.get(result_json).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let gaps = serde_json::to_value(&row.gaps).unwrap();
    assert_eq!((&ready["gaps"], &ready["degraded"]), (&gaps, &row.degraded.into()));
    assert_eq!((&json["gaps"], json["status"] == "degraded"), (&gaps, row.degraded));
    row.gaps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segment_that_cannot_be_decoded_is_a_gap_of_the_result_on_any_store() {
    let server = S3Server::start().await;
    let in_a_folder = World::new().await;
    let on_s3 = World::with(|config| config.storage = server.config()).await;
    for world in [in_a_folder, on_s3] {
        let worker = world.work();
        let (bad, strict) = (world.create("bad").await, world.create_with("strict", Policy::Fail).await);
        let good = world.create("good").await;
        accept_damaged(&world, &bad).await;
        accept_damaged(&world, &strict).await;
        world.accept_set(&good, set(), |_, _| true).await;
        for id in [&bad, &strict, &good] {
            world.declare(id, set()).await;
            world.complete(id).await;
        }
        assert!(world.until_state(&bad, State::Ready).await.degraded);
        let gaps = told_gaps(&world, &bad, "o/bad/result.json").await;
        let [gap] = gaps.as_slice() else { panic!("{gaps:?}") };
        assert_eq!((gap.track, gap.cause, gap.segments.as_slice()), (Track::Video, GapCause::Corrupt, &[2][..]));
        assert_eq!((gap.from_ms, gap.to_ms), (2000, 4000));
        let (code, why) = world.until_state(&strict, State::Failed).await.error.unwrap();
        assert_eq!(code, "corrupt-media", "{why}");
        assert!(why.contains("video segment 2 cannot be decoded (2.000 s to 4.000 s)"), "{why}");
        let served = world.until_state(&good, State::Ready).await.result.unwrap();
        assert_eq!(served.etag, world.cx.store.stat(&served.key).await.unwrap().unwrap().etag);
        assert_eq!(told_gaps(&world, &good, "o/good/result.json").await, []);
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_another_size_fail_for_good_and_name_the_segment() {
    let world = World::new().await;
    let id = world.create("r").await;
    let worker = world.work();
    let length = Duration::from_secs(10);
    let config = synth::Config { width: 320, height: 180, ..synth::Config::default() };
    let set = Set::of(&config, length);
    let other = Set::of(&synth::Config { width: 640, height: 360, ..config }, length);
    for (track, name, bytes) in set.objects() {
        let bytes = match (track, name) {
            (Track::Video, Name::Media(n)) if n >= 3 => &other.tracks[&track].1[n as usize - 1],
            _ => bytes,
        };
        world.accept(&id, track, name, bytes).await.unwrap();
    }
    world.declare(&id, &set).await;
    world.complete(&id).await;
    let (code, why) = world.until_state(&id, State::Failed).await.error.unwrap();
    assert_eq!(code, "unsupported-config-change", "{why}");
    assert!(why.contains("from video segment 3 on (4.000 s)"), "{why}");
    assert_eq!(world.until_ended(&id, Kind::Mux, "discarded").await.attempt, 1, "nobody tries again");
    worker.stop().await;
}

/// A program whose decoder dies whenever it is to look at the second segment.
fn killed_by_segment_2() -> (tempfile::TempDir, Program) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    let spool = env!("CARGO_BIN_EXE_spool");
    let script = format!(
        "#!/bin/sh\nread -r request\ncase \"$request\" in *look*'\"track\":\"video\",\"at_us\":2'*) kill -SEGV $$;; esac\n\
         {{ printf '%s\\n' \"$request\"; exec cat; }} | exec {spool} child\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (folder, Program::at(path))
}

/// Once it may be the machine; then it is the place, and the recording does not wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn place_that_kills_its_decoder_is_damaged_from_the_second_attempt_on() {
    let (_folder, program) = killed_by_segment_2();
    child::introduce(program);
    let world = World::new().await;
    let worker = world.work();
    let id = world.record("r", set()).await;
    let ready = world.until_state(&id, State::Ready).await;
    let causes: Vec<_> = ready.gaps.iter().map(|gap| (gap.track, gap.cause, gap.segments.clone())).collect();
    assert_eq!(causes, [(Track::Video, GapCause::Corrupt, vec![2])]);
    let died = "SELECT count(*) FROM queue.attempt WHERE kind = 'mux' AND outcome = 1 AND error_class = 'child-crash'";
    assert_eq!(world.number(died, []).await, 1);
    assert_eq!(world.until_ended(&id, Kind::Mux, "completed").await.attempt, 2);
    worker.stop().await;
}

/// The store goes away while the child is given its ranges: the attempt is tried again, and nobody calls the result
/// damaged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_fails_during_the_check_is_a_transient_fault() {
    let mut world = World::new().await;
    let faults = Faults::new();
    world.cx.store = Store::open_with(&world.cx.config.storage, &faults).await.unwrap();
    let mut reads = 0;
    for id in ["counted", "met"] {
        let id = world.create(id).await;
        let others = world.work_on(&[Queue::Ingest, Queue::Control]);
        world.send(&id, set()).await;
        world.until_planned(&id).await;
        others.stop().await;
        let before = faults.calls(Call::Read);
        if reads > 0 {
            // The last read of the attempt is one that the child asks for; a folder is not asked twice.
            faults.set(Call::Read, reads - 1..reads, Fault::Fail);
        }
        let muxing = world.work_on(&[Queue::Mux]);
        world.until_state(&id, State::Ready).await;
        world.until_ended(&id, Kind::Mux, "completed").await;
        muxing.stop().await;
        reads = faults.calls(Call::Read) - before;
    }
    let attempts = "SELECT count(*) FROM queue.attempt WHERE kind = 'mux' AND outcome = 1 AND error_class = 'storage' \
        AND error LIKE '%of the result at byte%'";
    assert_eq!(world.number(attempts, []).await, 1);
    assert_eq!(world.number("SELECT count(*) FROM queue.attempt WHERE kind = 'mux'", []).await, 3);
}
