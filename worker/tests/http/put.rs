//! Sending segments: what is acknowledged stays, and is acknowledged once.

use crate::world::{World, bytes};
use domain::id::Sha256;
use domain::segment::{Name, Track};
use reqwest::Method;
use serde_json::json;
use worker::staging::{Mode, Uri};

crate::modes::in_both_modes! {
    put_acknowledges_after_row_bytes_and_job,
    put_of_the_same_bytes_is_welcome_and_changes_nothing,
    put_at_once_under_one_name_has_one_winner,
    put_of_the_same_bytes_makes_sure_of_them,
    put_reads_the_initialization_section_where_it_is,
    put_after_the_end_knows_what_it_has,
    put_gives_way_to_a_held_recording,
}

async fn put_acknowledges_after_row_bytes_and_job(mode: Mode) {
    let world = World::in_mode(mode).await;
    let made = world.recording().await;
    let init = bytes(Track::Video, Name::Init);
    let answer = world.put(&made, Track::Video, "init.mp4", init.clone()).await;
    assert_eq!(answer.status, 201);
    let expected = json!({
        "track": "video", "index": 0, "size_bytes": init.len(), "sha256": Sha256::of(&init), "duration_ms": null,
        "state": "received",
    });
    assert_eq!(answer.body, expected);

    let segment = bytes(Track::Video, Name::Media(1));
    let digest = base64_of(&segment);
    let request = world.request(Method::PUT, &made.path(Track::Video, "segment_001.m4s")).bearer_auth(&made.token);
    let request = request.header("content-digest", format!("sha-256=:{digest}:")).body(segment.clone());
    let answer = world.send(request).await;
    assert_eq!((answer.status, &answer.body["duration_ms"]), (201, &json!(2000)), "{answer:?}");

    for (stem, bytes) in [("video-init", &init), ("video-001", &segment)] {
        let [staged] = &world.staged(&made, stem)[..] else { panic!("{stem} is staged once") };
        assert_eq!(&std::fs::read(staged).unwrap(), bytes, "{stem}");
    }
    let columns = "SELECT concat_ws(' ', state, size_bytes, timescale, tfdt, duration, sample_count, starts_with_sync, \
        sample_index IS NOT NULL) FROM spool.segment WHERE index = 1";
    let row = world.texts(columns, []).await;
    assert_eq!(row, [format!("received {} 90000 0 180000 60 t t", segment.len())]);
    let uri = world.texts("SELECT staging_uri FROM spool.segment WHERE index = 1", []).await;
    let uri: Uri = uri[0].parse().unwrap();
    assert_eq!((uri.recording.as_str(), uri.track, uri.name), (made.id.as_str(), Track::Video, Name::Media(1)));
    assert!(world.cx.staging.contains(&uri).await.unwrap(), "{uri}");
    let codec = world.texts("SELECT codec ->> 'codec' FROM spool.segment WHERE index = 0", []).await;
    assert!(codec[0].starts_with("avc1."), "{codec:?}");
    let jobs = "SELECT concat_ws(' ', kind, queue, state, unique_key, subject, owner_id) FROM queue.job";
    assert_eq!(world.texts(jobs, []).await, [format!("upload ingest 2 upload:{id} {id} o", id = made.id)]);
}

async fn put_of_the_same_bytes_is_welcome_and_changes_nothing(mode: Mode) {
    let world = World::in_mode(mode).await;
    let made = world.begun().await;
    let before = world.traces().await;
    for _ in 0..3 {
        let answer = world.put(&made, Track::Audio, "segment_001.m4s", bytes(Track::Audio, Name::Media(1))).await;
        assert_eq!((answer.status, &answer.body["state"]), (200, &json!("received")));
    }
    assert_eq!(world.traces().await, before);
}

/// Twenty at once under one name to two servers, half of them with other bytes: one is new, its like are welcome, the rest conflict.
async fn put_at_once_under_one_name_has_one_winner(mode: Mode) {
    let world = World::with(|config| {
        config.limits.puts_per_recording = 64;
        config.staging.mode = mode;
    })
    .await;
    let made = world.recording().await;
    world.inits(&made).await;
    let [one, two] = [1, 2].map(|index| bytes(Track::Video, Name::Media(index)));
    let bases = [world.base.clone(), world.twin().await];
    let puts = (0..20).map(|n| {
        let body = if n % 2 == 0 { one.clone() } else { two.clone() };
        let base = &bases[n / 2 % 2];
        world.put_at(base, &made, Track::Video, "segment_001.m4s", body)
    });
    let answers = futures_util::future::join_all(puts).await;
    let of = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((of(201), of(200), of(409)), (1, 9, 10), "{answers:?}");
    let rows = world.texts("SELECT encode(sha256, 'hex') FROM spool.segment WHERE index = 1", []).await;
    let [staged] = &world.staged(&made, "video-001")[..] else { panic!("only the winner's bytes stay") };
    assert_eq!(Sha256::of(&std::fs::read(staged).unwrap()).to_string(), rows[0]);
    assert_eq!(world.texts("SELECT kind FROM queue.job", []).await, ["upload"]);
}

/// The sender may forget the bytes after the answer: so they are made sure of, wherever their row says they are.
async fn put_of_the_same_bytes_makes_sure_of_them(mode: Mode) {
    let world = World::in_mode(mode).await;
    let made = world.begun().await;
    let segment = bytes(Track::Video, Name::Media(1));
    let again = || world.put(&made, Track::Video, "segment_001.m4s", segment.clone());
    let this = "WHERE track = 'video' AND index = 1";
    let state = format!("SELECT state FROM spool.segment {this}");
    let remove = || {
        for path in world.staged(&made, "video-001") {
            std::fs::remove_file(path).unwrap();
        }
    };
    // Its bytes are staged once, and they are those that its row waits for.
    let is_received = async || {
        assert_eq!(world.texts(&state, []).await, ["received"]);
        let uri = world.texts(&format!("SELECT staging_uri FROM spool.segment {this}"), []).await;
        assert!(world.cx.staging.contains(&uri[0].parse().unwrap()).await.unwrap(), "{uri:?}");
        assert_eq!(world.staged(&made, "video-001").len(), 1);
    };

    // Gone from staging before the store had them.
    remove();
    assert_eq!(again().await.status, 200);
    is_received().await;

    // Declared lost.
    remove();
    let lost = "UPDATE spool.segment SET state = 'lost', lost_cause = 'gone', staging_uri = NULL";
    world.execute(&format!("{lost} {this}"), []).await;
    assert_eq!(again().await.status, 200);
    is_received().await;

    // Stored, and the object is there: nothing is staged for it.
    let key = format!("o/{}/segments/video/segment_001.m4s", made.id);
    world.cx.store.put(&key, segment.clone().into()).await.unwrap();
    let stored = "UPDATE spool.segment SET state = 'stored', stored_at = now(), staging_uri = NULL";
    world.execute(&format!("{stored} {this}"), []).await;
    remove();
    let answer = again().await;
    assert_eq!((answer.status, &answer.body["state"]), (200, &json!("stored")));
    assert!(world.staged(&made, "video-001").is_empty());

    // Stored, and the object is gone.
    world.cx.store.delete(&[key]).await.unwrap();
    let answer = again().await;
    assert_eq!((answer.status, &answer.body["state"]), (200, &json!("received")));
    is_received().await;
}

/// The row says where the initialization section is: in staging, or in the store once it is brought there.
async fn put_reads_the_initialization_section_where_it_is(mode: Mode) {
    let world = World::in_mode(mode).await;
    let made = world.recording().await;
    world.inits(&made).await;
    let key = format!("o/{}/segments/video/init.mp4", made.id);
    world.cx.store.put(&key, bytes(Track::Video, Name::Init).into()).await.unwrap();
    world
        .execute(
            "UPDATE spool.segment SET state = 'stored', stored_at = now(), staging_uri = NULL WHERE track = 'video'",
            [],
        )
        .await;
    world.execute("UPDATE spool.segment SET body = NULL", []).await;
    // Another process has not seen it come in, and the row does not tell.
    let (inits, id) = (worker::accept::Inits::default(), domain::id::RecordingId::parse(&made.id).unwrap());
    let recording = worker::db::recordings::get(&world.cx.db, &id).await.unwrap().unwrap();
    for track in Track::ALL {
        assert_eq!(inits.get(&world.cx, &recording, track).await.unwrap().track, track);
    }
}

/// What was acknowledged before the end is welcome again after it: the recorder may not have heard the answer.
async fn put_after_the_end_knows_what_it_has(mode: Mode) {
    let world = World::in_mode(mode).await;
    let made = world.begun().await;
    world.execute("UPDATE spool.recording SET state = 'finalizing', frozen_version = 1", []).await;
    let before = world.traces().await;
    let known = world.put(&made, Track::Video, "segment_001.m4s", bytes(Track::Video, Name::Media(1))).await;
    assert_eq!(known.status, 200);
    let other = world.put(&made, Track::Video, "segment_001.m4s", bytes(Track::Video, Name::Media(2))).await;
    assert_eq!(other.problem(), (409, "recording-closed"));
    let new = world.put(&made, Track::Video, "segment_002.m4s", bytes(Track::Video, Name::Media(2))).await;
    assert_eq!(new.problem(), (409, "recording-closed"));
    assert_eq!(world.traces().await, before);
    world.execute("UPDATE spool.recording SET state = 'finalizing', provisional = true", []).await;
    let late = world.put(&made, Track::Video, "segment_002.m4s", bytes(Track::Video, Name::Media(2))).await;
    assert_eq!(late.status, 201, "a silent end may go on");
}

/// A web app completes inside a transaction that it leaves open: no segment waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn put_does_not_wait_for_a_completion_that_is_not_committed() {
    use sea_orm::TransactionTrait as _;
    let world = World::new().await;
    let made = world.begun().await;
    let tx = world.db.begin().await.unwrap();
    worker::db::recordings::complete(&tx, &domain::id::RecordingId::parse(&made.id).unwrap()).await.unwrap();
    let begun = std::time::Instant::now();
    let answer = world.put(&made, Track::Video, "segment_002.m4s", bytes(Track::Video, Name::Media(2))).await;
    assert_eq!(answer.status, 201);
    // Had it waited, it would have been refused after the bound on locks.
    assert!(begun.elapsed() < worker::db::LOCK_TIMEOUT, "{:?}", begun.elapsed());
    tx.commit().await.unwrap();
    assert_eq!(world.get(&format!("/api/recordings/{}", made.id)).await.body["state"], "finalizing");
}

/// Whoever shuts the door holds the row; a segment waits for a bounded time and loses nothing.
async fn put_gives_way_to_a_held_recording(mode: Mode) {
    use sea_orm::TransactionTrait as _;
    let world = World::in_mode(mode).await;
    let made = world.begun().await;
    let tx = world.db.begin().await.unwrap();
    worker::db::recordings::lock(&tx, &domain::id::RecordingId::parse(&made.id).unwrap()).await.unwrap();
    let answer = world.put(&made, Track::Video, "segment_002.m4s", bytes(Track::Video, Name::Media(2))).await;
    assert_eq!(answer.problem(), (503, "database-unavailable"));
    assert_eq!(answer.headers["retry-after"], "2");
    assert_eq!(world.staged(&made, "video-002").len(), 1, "staged bytes stay");
    tx.rollback().await.unwrap();
    let answer = world.put(&made, Track::Video, "segment_002.m4s", bytes(Track::Video, Name::Media(2))).await;
    assert_eq!(answer.status, 201);
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(Sha256::of(bytes).0)
}
