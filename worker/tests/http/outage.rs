//! Parts that are away: at start, and in the middle.

use crate::s3::S3Server;
use crate::wait;
use crate::world::{PATIENCE, World, bytes};
use domain::retry::{Classify as _, Fault};
use domain::segment::{Name, Track};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use worker::config::{Config, Secret};
use worker::context::{self, Context};
use worker::serve::{self, Bound};
use worker::staging::Mode;

/// The database goes away while the body is coming in: the bytes stay where they are, the recorder is told to come back,
/// and does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_away_during_a_segment_loses_nothing() {
    let world = World::with(|config| config.database.acquire_timeout = Duration::from_secs(1)).await;
    let made = world.begun().await;
    let segment = bytes(Track::Video, Name::Media(2));
    let (first, rest) = segment.split_at(segment.len() / 2);
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|item| (item, receiver))
    });
    let request = world.request(Method::PUT, &made.path(Track::Video, "segment_002.m4s")).bearer_auth(&made.token);
    let request = request.header("content-length", segment.len()).body(reqwest::Body::wrap_stream(stream));
    let feeding = async {
        sender.send(Ok(first.to_vec())).await.unwrap();
        wait::until("the body is coming in", PATIENCE, || async {
            world.cx.metrics.text().contains("spool_segments_incoming 1").then_some(())
        })
        .await;
        // Staging begins behind the last look at the database.
        let incoming = world.staging().join("incoming");
        wait::until("the body is being staged", PATIENCE, || async {
            std::fs::read_dir(&incoming).unwrap().next().map(drop)
        })
        .await;
        world.wire.cut();
        sender.send(Ok(rest.to_vec())).await.unwrap();
        drop(sender);
    };
    let (answer, ()) = tokio::join!(world.send(request), feeding);
    assert_eq!(answer.problem(), (503, "database-unavailable"));
    assert!(answer.headers.contains_key("retry-after"));
    let after = world.staged(&made, "video-002");
    assert_eq!(after.len(), 1, "staged bytes are never deleted because of a database error");
    assert_eq!(world.texts("SELECT index::text FROM spool.segment WHERE index = 2", []).await.len(), 0);

    assert_eq!(world.send(world.request(Method::GET, "/healthz")).await.status, 200);
    assert_eq!(world.send(world.request(Method::GET, "/readyz")).await.problem().0, 503);
    let complete = world.call(Method::POST, "/api/upload/recording-complete", json!({"videoId": made.id})).await;
    assert_eq!(complete.problem(), (503, "database-unavailable"));

    world.wire.mend();
    let answer = wait::until("the segment is acknowledged", PATIENCE, || async {
        let answer = world.put(&made, Track::Video, "segment_002.m4s", segment.clone()).await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    // What the first request left has no row and is not needed: the next look takes it away.
    assert_eq!(world.staged(&made, "video-002").len(), 2);
    worker::rescan::scan(&world.cx, Duration::ZERO).await.unwrap();
    let [left] = &world.staged(&made, "video-002")[..] else { panic!("one of them stays") };
    assert_ne!(left, &after[0]);
}

/// Where segments wait in the store, one that is away takes none in: the recorder is told before anything is acknowledged,
/// keeps its bytes, and comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_away_is_told_before_anything_is_acknowledged() {
    let mut server = S3Server::start().await;
    let store = server.config();
    let world = World::with(|config| (config.storage, config.staging.mode) = (store, Mode::Store)).await;
    let made = world.begun().await;
    let before = world.traces().await;
    let segment = bytes(Track::Video, Name::Media(2));
    server.stop().await;
    let away = world.put(&made, Track::Video, "segment_002.m4s", segment.clone()).await;
    assert_eq!(away.problem(), (503, "storage-unavailable"));
    assert_eq!(away.headers["retry-after"], "2");
    server.start_again().await;
    assert_eq!(world.traces().await, before);
    let answer = world.put(&made, Track::Video, "segment_002.m4s", segment).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// The store is away: what does not need it goes on, and what does says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_away_stops_no_segment() {
    let world = World::new().await;
    let made = world.begun().await;
    std::fs::remove_dir_all(world.objects()).unwrap();
    std::fs::write(world.objects(), b"in the way").unwrap();
    let answer = world.put(&made, Track::Video, "segment_002.m4s", bytes(Track::Video, Name::Media(2))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    world
        .execute("UPDATE spool.segment SET state = 'stored', stored_at = now(), staging_uri = NULL WHERE index = 1", [])
        .await;
    let again = world.put(&made, Track::Video, "segment_001.m4s", bytes(Track::Video, Name::Media(1))).await;
    assert_eq!(again.problem(), (503, "storage-unavailable"), "nobody can be sure of these bytes");
}

/// Another server, or one that was started again, has not seen a track begin: it needs the track's initialization section,
/// which has long been in the store, and the store is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_away_stops_no_segment_of_a_track_that_a_server_has_not_seen_begin() {
    let mut server = S3Server::start().await;
    let store = server.config();
    let world = World::with(|config| config.storage = store).await;
    let made = world.begun().await;
    world.ingest();
    wait::until("everything is stored", PATIENCE, || async {
        let waiting = world.texts("SELECT index::text FROM spool.segment WHERE state <> 'stored'", []).await;
        waiting.is_empty().then_some(())
    })
    .await;
    let again = world.twin().await;
    server.stop().await;
    for track in Track::ALL {
        let segment = bytes(track, Name::Media(2));
        let answer = world.put_at(&again, &made, track, "segment_002.m4s", segment).await;
        assert_eq!((answer.status, &answer.body["state"]), (201, &json!("received")), "{answer:?}");
    }
    // What did not come through a server, or came before rows kept it, is read where it lies.
    world.execute("UPDATE spool.segment SET body = NULL", []).await;
    let third = world.twin().await;
    let answer =
        world.put_at(&third, &made, Track::Video, "segment_003.m4s", bytes(Track::Video, Name::Media(2))).await;
    assert_eq!(answer.problem(), (503, "storage-unavailable"));
    server.start_again().await;
    let segment = bytes(Track::Video, Name::Media(2));
    let answer = world.put_at(&third, &made, Track::Video, "segment_003.m4s", segment).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

fn settings(world: &World) -> Config {
    Config::clone(&world.cx.config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_starts_without_its_parts() {
    let world = World::new().await;
    let refusal = |change: fn(&mut Config)| {
        let mut config = settings(&world);
        config.database.connect_timeout = Duration::from_secs(1);
        config.database.acquire_timeout = Duration::from_secs(1);
        change(&mut config);
        async { Context::open(config).await.err().expect("it must not start") }
    };
    let before = world.traces().await;
    let error = refusal(|config| config.database.url = Secret::default()).await;
    assert!(error.is_configuration() && error.to_string().contains("DATABASE_URL"), "{error}");
    let error = refusal(|config| config.database.url = Secret::new("postgres://u:p@127.0.0.1:9/none")).await;
    assert!(matches!(&error, context::Error::Database(source) if source.fault() == Fault::Transient), "{error:?}");
    assert!(!error.is_configuration() && !format!("{error:?}").contains("u:p"));
    let error = refusal(|config| config.storage.root = "/dev/null/objects".to_owned()).await;
    assert!(matches!(error, context::Error::Storage(_)) && !error.is_configuration(), "{error:?}");
    let error = refusal(|config| config.staging.dir = "/dev/null/staging".into()).await;
    assert!(matches!(error, context::Error::Staging(_)), "{error:?}");
    assert_eq!(world.traces().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_opened_without_a_secret() {
    let world = World::new().await;
    for (change, setting) in [
        ((|config| config.auth.service_tokens = Secret::default()) as fn(&mut Config), "auth.service_tokens"),
        (|config| config.auth.signing_keys = Secret::default(), "auth.signing_keys"),
        (|config| config.auth.signing_keys = Secret::new("k1:short"), "auth.signing_keys"),
    ] {
        let mut config = settings(&world);
        change(&mut config);
        let cx = Context { config: config.into(), ..world.cx.clone() };
        let error = Bound::open(cx).await.err().expect("it must not start");
        assert!(matches!(error, serve::Error::Auth(_)) && error.to_string().contains(setting), "{error}");
    }
}

/// Acknowledged bytes wait in the folder that took them in: another folder must not take in beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_staging_folder_is_refused_while_the_first_is_in_use() {
    let world = World::new().await;
    let made = world.begun().await;
    let folder = tempfile::tempdir().unwrap();
    let open = || async {
        let mut config = settings(&world);
        config.staging.dir = folder.path().join("other");
        let cx = Context::open(config).await.unwrap();
        Bound::open(cx).await.err().map(|error| error.to_string())
    };
    assert!(open().await.unwrap().contains("set staging.dir"));
    // Silent for long, but its bytes still wait.
    world.stop();
    let silent = "UPDATE spool.setting SET updated_at = now() - interval '1 hour' WHERE key = 'staging.local'";
    world.execute(silent, []).await;
    assert!(open().await.is_some());
    // Nothing waits any more.
    world
        .execute(
            "UPDATE spool.segment SET state = 'stored', stored_at = now(), staging_uri = NULL WHERE recording_id = $1",
            [made.id.into()],
        )
        .await;
    world.execute(silent, []).await;
    assert_eq!(open().await, None);
    // The first one hears of it at its next look, and takes in nothing that nobody would bring into the store.
    let owner = domain::id::OwnerId::parse("o").unwrap();
    let (recording, staging) = (domain::id::RecordingId::parse("r").unwrap(), &world.cx.staging);
    let receive = || staging.receive(&owner, &recording, Track::Video, Name::Init, 1);
    receive().await.unwrap();
    assert!(!staging.register(&world.db).await.unwrap());
    assert!(matches!(receive().await.unwrap_err(), worker::staging::Error::Foreign { .. }));
}
