//! Segments that go past this server into a bucket of a real S3 server: URLs, reports, and what becomes of the objects.

use crate::s3::S3Server;
use crate::wait;
use crate::world::{Answer, Made, PATIENCE, World, bytes, set};
use domain::id::Sha256;
use domain::segment::{Name, Track};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use worker::config::Config;
use worker::staging::Mode;

async fn on_s3(mode: Mode) -> (S3Server, World) {
    let server = S3Server::start().await;
    let store = server.config();
    let change = |config: &mut Config| (config.storage, config.staging.mode) = (store, mode);
    let world = World::with(change).await;
    (server, world)
}

fn object(track: Track, name: Name) -> Value {
    object_of(&format!("{track}/{name}"), &bytes(track, name))
}

fn object_of(path: &str, bytes: &[u8]) -> Value {
    json!({ "path": path, "size_bytes": bytes.len(), "sha256": Sha256::of(bytes) })
}

async fn call(world: &World, made: &Made, call: &str, objects: &[Value]) -> Answer {
    let path = format!("/api/recordings/{}/segments/{call}", made.id);
    world.send(world.request(Method::POST, &path).bearer_auth(&made.token).json(&json!({ "objects": objects }))).await
}

/// Sends bytes to a URL as its answer says.
async fn put_to(url: &Value, bytes: Vec<u8>) -> StatusCode {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let method: Method = url["method"].as_str().unwrap().parse().unwrap();
    let mut request = http.request(method, url["url"].as_str().unwrap());
    for (name, value) in url["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    request.body(bytes).send().await.unwrap().status()
}

async fn states(world: &World, made: &Made, objects: &[Value]) -> Vec<String> {
    let answer = call(world, made, "report", objects).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let states = answer.body["objects"].as_array().unwrap().iter();
    states.map(|object| object["state"].as_str().unwrap().to_owned()).collect()
}

crate::modes::in_both_modes! {
    objects_go_past_the_server_and_are_read_before_they_count,
    object_that_is_not_what_was_reported_is_refused_and_may_come_again,
}

async fn objects_go_past_the_server_and_are_read_before_they_count(mode: Mode) {
    let (_server, world) = on_s3(mode).await;
    let made = world.recording().await;
    let objects: Vec<Value> = set().objects().iter().map(|(track, name, _)| object(*track, *name)).collect();
    let presigned = call(&world, &made, "presign", &objects).await;
    assert_eq!(presigned.status, 200, "{presigned:?}");
    let urls = presigned.body["urls"].as_array().unwrap();
    for ((track, name, bytes), url) in set().objects().iter().zip(urls) {
        assert_eq!(url["path"], format!("{track}/{name}"));
        assert!(!url["url"].as_str().unwrap().contains(&world.base), "past this server");
        assert_eq!(put_to(url, bytes.to_vec()).await, StatusCode::OK);
    }
    assert_eq!(
        world.texts("SELECT track FROM spool.segment", []).await.len(),
        0,
        "nothing is inserted before the report"
    );
    assert!(states(&world, &made, &objects).await.iter().all(|state| state == "received"));
    let unread = "SELECT count(*)::text FROM spool.segment WHERE state = 'received' AND timescale IS NULL";
    assert_eq!(world.texts(unread, []).await, [objects.len().to_string()]);
    // Asked again, it is remembered once.
    assert!(states(&world, &made, &objects).await.iter().all(|state| state == "received"));
    assert_eq!(world.texts("SELECT kind FROM queue.job", []).await, ["upload"]);

    world.ingest();
    wait::until("everything is stored", PATIENCE, || async {
        states(&world, &made, &objects).await.iter().all(|state| state == "stored").then_some(())
    })
    .await;
    for (track, name, bytes) in set().objects() {
        let key = format!("o/{}/segments/{track}/{name}", made.id);
        assert_eq!(world.cx.store.get(&key).await.unwrap(), bytes, "{key}");
    }
    let facts = "SELECT concat_ws(' ', timescale, tfdt, duration, sample_count, starts_with_sync, sample_index IS NOT NULL) \
        FROM spool.segment WHERE track = 'video' AND index = 1";
    assert_eq!(world.texts(facts, []).await, ["90000 0 180000 60 t t"]);
    assert!(
        world.texts("SELECT codec ->> 'codec' FROM spool.segment WHERE index = 0 AND track = 'video'", []).await[0]
            .starts_with("avc1.")
    );
    wait::until("viewers see all of it", PATIENCE, || async {
        let listed = world.texts("SELECT kind FROM spool.listing", []).await;
        (listed.len() == set().segments() && listed.iter().all(|kind| kind == "media")).then_some(())
    })
    .await;
    wait::until("nothing is left incoming", PATIENCE, || async {
        world.keys().await.iter().all(|key| !key.contains("/.incoming/")).then_some(())
    })
    .await;
}

/// A report is believed only as far as that it was made.
async fn object_that_is_not_what_was_reported_is_refused_and_may_come_again(mode: Mode) {
    let (_server, world) = on_s3(mode).await;
    let made = world.recording().await;
    world.inits(&made).await;
    let right = bytes(Track::Video, Name::Media(1));
    let garbage = vec![7; 4096];
    // The first of them is damaged on its way, in its length and digest as announced; the second is no segment at all.
    let objects = [object(Track::Video, Name::Media(1)), object_of("video/segment_002.m4s", &garbage)];
    let presigned = call(&world, &made, "presign", &objects).await;
    assert_eq!(presigned.status, 200, "{presigned:?}");
    for url in presigned.body["urls"].as_array().unwrap() {
        // The server of this test would find the damage by itself; not every server does.
        let path = url["url"].as_str().unwrap().split('?').next().unwrap();
        let key = &path[path.find("/o/").unwrap() + 1..];
        let bytes = if key.contains("video-001") { vec![0; right.len()] } else { garbage.clone() };
        world.cx.store.put(key, bytes.into()).await.unwrap();
    }
    assert_eq!(states(&world, &made, &objects).await, ["received", "received"]);
    world.ingest();
    wait::until("both are refused", PATIENCE, || async {
        (states(&world, &made, &objects).await == ["lost", "lost"]).then_some(())
    })
    .await;
    let events = world
        .texts("SELECT concat_ws(' ', type, body ->> 'track', body ->> 'index') FROM spool.event WHERE type = 'segment.refused' ORDER BY 1", [])
        .await;
    assert_eq!(events, ["segment.refused video 1", "segment.refused video 2"]);
    let causes = world.texts("SELECT lost_cause FROM spool.segment WHERE state = 'lost' ORDER BY index", []).await;
    assert_eq!(causes[0], "other-bytes", "{causes:?}");
    assert!(!world.keys().await.iter().any(|key| key.contains("segments/video/segment")), "nothing under a final key");

    let again = world.put(&made, Track::Video, "segment_001.m4s", right.clone()).await;
    assert_eq!(again.status, 200, "{again:?}");
    wait::until("the right bytes are stored", PATIENCE, || async {
        (states(&world, &made, &objects[..1]).await == ["stored"]).then_some(())
    })
    .await;
    let facts = "SELECT sample_count::text FROM spool.segment WHERE track = 'video' AND index = 1";
    assert_eq!(world.texts(facts, []).await, ["60"]);
    let again = world.put(&made, Track::Video, "segment_002.m4s", garbage).await;
    assert_eq!(again.problem(), (422, "segment-malformed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_not_as_they_must_be_change_nothing() {
    let (_server, world) = on_s3(Mode::Store).await;
    let (made, empty, ended) = (world.begun().await, world.recording().await, world.begun().await);
    world
        .execute(
            "UPDATE spool.recording SET state = 'finalizing', frozen_version = 1 WHERE id = $1",
            [ended.id.clone().into()],
        )
        .await;
    let segment = object(Track::Video, Name::Media(2));
    let with = |path: &str| {
        let mut object = segment.clone();
        object["path"] = json!(path);
        object
    };
    let bad = (400, "bad-request");
    let many: Vec<Value> = (1..=51).map(|index| with(&format!("video/segment_{index:03}.m4s"))).collect();
    let mut cases = vec![
        ("none", &made, vec![], bad),
        ("too many", &made, many, bad),
        ("twice", &made, vec![segment.clone(), segment.clone()], bad),
        (
            "large",
            &made,
            vec![json!({"path": "video/segment_002.m4s", "size_bytes": 1_u64 << 40, "sha256": segment["sha256"]})],
            (413, "too-large"),
        ),
        ("index", &made, vec![with("video/segment_50001.m4s")], bad),
        ("digest", &made, vec![json!({"path": "video/segment_002.m4s", "size_bytes": 1, "sha256": "abc"})], bad),
        (
            "negative",
            &made,
            vec![json!({"path": "video/segment_002.m4s", "size_bytes": -1, "sha256": segment["sha256"]})],
            bad,
        ),
        (
            "unknown field",
            &made,
            vec![json!({"path": "video/init.mp4", "size_bytes": 1, "sha256": segment["sha256"], "key": "x"})],
            bad,
        ),
        ("before its init", &empty, vec![segment.clone()], (409, "init-missing")),
        ("after the end", &ended, vec![segment.clone()], (409, "recording-closed")),
    ];
    for path in [
        "video",
        "video/",
        "/video/init.mp4",
        "video/../init.mp4",
        "text/init.mp4",
        "video/segment_2.m4s",
        "../video/init.mp4",
        "video/init.mp4/x",
        "",
    ] {
        cases.push((path, &made, vec![with(path)], bad));
    }
    let before = world.traces().await;
    for (what, made, objects, expected) in &cases {
        for way in ["presign", "report"] {
            let answer = call(&world, made, way, objects).await;
            assert_eq!(answer.problem(), *expected, "{way}: {what}: {answer:?}");
            assert_eq!(world.traces().await, before, "{way}: {what} left traces");
        }
    }
    for (what, objects, expected) in [
        ("not there", vec![segment.clone()], (422, "digest-mismatch")),
        (
            "other bytes",
            vec![object_of("video/segment_001.m4s", &bytes(Track::Video, Name::Media(2)))],
            (422, "digest-mismatch"),
        ),
    ] {
        let answer = call(&world, &made, "report", &objects).await;
        assert_eq!(answer.problem(), expected, "{what}: {answer:?}");
        assert_eq!(world.traces().await, before, "{what} left traces");
    }
    for token in [None, Some("nonsense".to_owned()), Some(empty.token.clone())] {
        for way in ["presign", "report"] {
            let path = format!("/api/recordings/{}/segments/{way}", made.id);
            let mut request = world.request(Method::POST, &path).json(&json!({ "objects": [segment] }));
            if let Some(token) = &token {
                request = request.bearer_auth(token);
            }
            let answer = world.send(request).await;
            assert!([401, 403].contains(&answer.status), "{way} {token:?}: {answer:?}");
        }
    }
    assert_eq!(world.traces().await, before);

    // What conflicts is refused with all that came beside it.
    let others = object_of("video/segment_001.m4s", &bytes(Track::Video, Name::Media(2)));
    let both = [others, segment];
    let presigned = call(&world, &made, "presign", &both).await;
    for url in presigned.body["urls"].as_array().unwrap() {
        assert_eq!(put_to(url, bytes(Track::Video, Name::Media(2))).await, StatusCode::OK);
    }
    let rows = world.texts("SELECT to_jsonb(s)::text FROM spool.segment s ORDER BY 1", []).await;
    let answer = call(&world, &made, "report", &both).await;
    assert_eq!(answer.problem(), (409, "segment-conflict"), "{answer:?}");
    assert!(answer.body["object"].as_str().unwrap().ends_with("video/segment_001.m4s"), "{answer:?}");
    assert_eq!(world.texts("SELECT to_jsonb(s)::text FROM spool.segment s ORDER BY 1", []).await, rows);
}
