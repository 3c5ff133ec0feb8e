//! Bad input: each with its documented code, and nothing lost or changed.

use crate::world::{Made, PATIENCE, World, bytes};
use domain::segment::{Name, Track};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use worker::auth::Scope;
use worker::staging::Mode;

crate::modes::in_both_modes! {
    tricks_in_id_owner_track_and_name_reach_nothing,
    bytes_that_are_no_segment_are_refused_with_their_defect,
    bodies_that_break_off_or_stall_leave_nothing,
}

/// Sends each request, compares status and code, and sees that nothing has changed.
async fn check(world: &World, cases: Vec<(&str, RequestBuilder, (u16, &str))>) {
    let before = world.traces().await;
    for (what, request, expected) in cases {
        let answer = world.send(request).await;
        assert_eq!(answer.problem(), expected, "{what}: {answer:?}");
        assert_eq!(world.traces().await, before, "{what} left traces");
    }
}

fn put(world: &World, made: &Made, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    world.request(Method::PUT, path).bearer_auth(&made.token).body(body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_missing_wrong_expired_or_foreign_open_nothing() {
    let world = World::new().await;
    let (made, other) = (world.begun().await, world.recording().await);
    let id = made.id.as_str();
    let path = made.path(Track::Video, "segment_002.m4s");
    let segment = bytes(Track::Video, Name::Media(2));
    let mut cases = Vec::new();
    let mut forged = made.token.clone();
    forged.replace_range(forged.len() - 5..forged.len() - 4, "!");
    for (what, token, expected) in [
        ("no token", None, (401, "unauthorized")),
        ("wrong token", Some("nonsense".to_owned()), (401, "unauthorized")),
        ("forged token", Some(forged), (401, "unauthorized")),
        ("expired token", Some(world.token(id, Scope::Upload, -1)), (401, "token-expired")),
        ("another recording's token", Some(other.token.clone()), (403, "forbidden")),
        ("playback token", Some(world.token(id, Scope::Playback, 60)), (403, "forbidden")),
        ("service token", Some(crate::world::SERVICE.to_owned()), (403, "forbidden")),
    ] {
        let with = |request: RequestBuilder| match &token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        cases.push((what, with(world.request(Method::PUT, &path).body(segment.clone())), expected));
        for (call, body) in [
            ("heartbeat", json!({"state": "paused"})),
            ("end", json!({"tracks": {"video": {"last_index": 1}}, "duration_ms": 1})),
        ] {
            let path = format!("/api/recordings/{id}/{call}");
            cases.push((what, with(world.request(Method::POST, &path).json(&body)), expected));
        }
        if what != "service token" {
            let complete = world.request(Method::POST, "/api/upload/recording-complete").json(&json!({"videoId": id}));
            cases.push((what, with(complete), expected));
        }
    }
    // What belongs to the web app is not for recorders and viewers.
    let service = |method: Method, path: &str| world.request(method, path);
    let routes = [
        (Method::POST, "/api/recordings".to_owned()),
        (Method::GET, "/api/recordings".to_owned()),
        (Method::POST, format!("/api/recordings/{id}/upload-token")),
        (Method::POST, format!("/api/recordings/{id}/playback-token")),
        (Method::POST, format!("/api/recordings/{id}/cancel")),
        (Method::POST, format!("/api/recordings/{id}/retry")),
        (Method::POST, format!("/api/recordings/{id}/remux")),
        (Method::POST, format!("/api/recordings/{id}/reopen")),
        (Method::POST, format!("/api/recordings/{id}/accept-gaps")),
        (Method::DELETE, format!("/api/recordings/{id}")),
    ];
    for (method, path) in &routes {
        cases.push(("no token", service(method.clone(), path), (401, "unauthorized")));
        cases.push(("wrong token", service(method.clone(), path).bearer_auth("nonsense"), (401, "unauthorized")));
        cases.push(("basic", service(method.clone(), path).basic_auth("a", Some("b")), (401, "unauthorized")));
        cases.push(("upload token", service(method.clone(), path).bearer_auth(&made.token), (403, "forbidden")));
    }
    for path in [format!("/api/recordings/{id}"), format!("/media/{id}/result.mp4")] {
        let get = || world.request(Method::GET, &path);
        cases.push(("no token", get(), (401, "unauthorized")));
        cases.push(("upload token", get().bearer_auth(&made.token), (403, "forbidden")));
        cases.push(("empty query token", get().query(&[("token", "")]), (401, "unauthorized")));
        cases.push((
            "service token in a query",
            get().query(&[("token", crate::world::SERVICE)]),
            (401, "unauthorized"),
        ));
        let expired = world.token(id, Scope::Playback, -1);
        cases.push(("expired", get().query(&[("token", &expired)]), (401, "token-expired")));
    }
    check(&world, cases).await;
    let refused = world.send(world.request(Method::GET, "/api/recordings")).await;
    assert_eq!(refused.headers["www-authenticate"], "Bearer realm=\"spool\"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_not_there_is_said_so() {
    let world = World::new().await;
    let ghost = Made { id: "ghost".to_owned(), token: world.token("ghost", Scope::Upload, 60) };
    let api = |method: Method, path: &str| world.request(method, path).bearer_auth(crate::world::SERVICE);
    let expected = (404, "recording-not-found");
    let mut cases = vec![
        (
            "segment",
            put(&world, &ghost, &ghost.path(Track::Video, "init.mp4"), bytes(Track::Video, Name::Init)),
            expected,
        ),
        (
            "heartbeat",
            world
                .request(Method::POST, "/api/recordings/ghost/heartbeat")
                .bearer_auth(&ghost.token)
                .json(&json!({"state": "recording"})),
            expected,
        ),
        (
            "end",
            world
                .request(Method::POST, "/api/recordings/ghost/end")
                .bearer_auth(&ghost.token)
                .json(&json!({"tracks": {"video": {"last_index": 1}}, "duration_ms": 1})),
            expected,
        ),
        ("complete", api(Method::POST, "/api/upload/recording-complete").json(&json!({"videoId": "ghost"})), expected),
        ("status", api(Method::GET, "/api/recordings/ghost"), expected),
        ("erase", api(Method::DELETE, "/api/recordings/ghost"), expected),
        ("result", api(Method::GET, "/media/ghost/result.mp4"), expected),
    ];
    for call in ["upload-token", "playback-token", "cancel", "retry", "remux", "reopen", "accept-gaps"] {
        cases.push((call, api(Method::POST, &format!("/api/recordings/ghost/{call}")), expected));
    }
    check(&world, cases).await;
}

async fn tricks_in_id_owner_track_and_name_reach_nothing(mode: Mode) {
    let world = World::in_mode(mode).await;
    let made = world.begun().await;
    let id = made.id.as_str();
    let bad = (400, "bad-request");
    let mut cases = Vec::new();
    let long = "x".repeat(65);
    for trick in ["..", "%2e%2e", "a%2Fb", "a%00b", "a.b", "%C3%BC", "a%20b", long.as_str()] {
        let path = format!("/api/recordings/{trick}/segments/video/init.mp4");
        // A client folds dots in a path itself, so these go out as they are, below.
        if trick != ".." && trick != "%2e%2e" {
            cases.push((trick, put(&world, &made, &path, bytes(Track::Video, Name::Init)), bad));
            let get =
                world.request(Method::GET, &format!("/api/recordings/{trick}")).bearer_auth(crate::world::SERVICE);
            cases.push((trick, get, bad));
        }
        let name = trick.replace("%2F", "/").replace("%00", "\0").replace("%2e", ".");
        for field in ["id", "owner_id"] {
            let mut body = json!({"id": "fine", "owner_id": "fine"});
            body[field] = json!(name);
            cases.push((
                field,
                world.request(Method::POST, "/api/recordings").bearer_auth(crate::world::SERVICE).json(&body),
                bad,
            ));
        }
        let complete = world.request(Method::POST, "/api/upload/recording-complete").bearer_auth(crate::world::SERVICE);
        cases.push(("videoId", complete.json(&json!({"videoId": name})), bad));
    }
    cases.push(("not UTF-8", put(&world, &made, "/api/recordings/%ff/segments/video/init.mp4", "x"), bad));
    for track in ["text", "Video", "VIDEO", "%00", ".incoming", "video%2Fx"] {
        cases.push((track, put(&world, &made, &format!("/api/recordings/{id}/segments/{track}/init.mp4"), "x"), bad));
    }
    for name in [
        "init.MP4",
        "init.mp4%00",
        "segment_1.m4s",
        "segment_0001.m4s",
        "segment_000.m4s",
        "segment_-01.m4s",
        "segment_001.m4s.tmp",
        "segment_100000.m4s",
        "segment_4294967297.m4s",
        "manifest.json",
        "..%2F..%2Fx",
        "%2e%2e%2fx",
        "segment_50001.m4s",
    ] {
        cases.push((name, put(&world, &made, &format!("/api/recordings/{id}/segments/video/{name}"), "x"), bad));
    }
    check(&world, cases).await;

    let before = world.traces().await;
    for path in [
        "/api/recordings/../segments/video/init.mp4".to_owned(),
        "/api/recordings/%2e%2e/segments/video/init.mp4".to_owned(),
        format!("/api/recordings/{id}/segments/../../{id}/init.mp4"),
        format!("/api/recordings/{id}/segments/video/../init.mp4"),
    ] {
        let answer = raw(&world, &format!("PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", made.token)).await;
        assert!(
            ["400", "403", "404"].iter().any(|status| answer.starts_with(&format!("HTTP/1.1 {status}"))),
            "{path}: {answer}"
        );
        assert_eq!(world.traces().await, before, "{path} left traces");
    }
}

async fn bytes_that_are_no_segment_are_refused_with_their_defect(mode: Mode) {
    let world = World::with(|config| {
        config.limits.segment_size = bytesize::ByteSize::kib(512);
        config.staging.mode = mode;
    })
    .await;
    let (made, empty) = (world.begun().await, world.recording().await);
    let segment = bytes(Track::Video, Name::Media(2));
    let path = made.path(Track::Video, "segment_002.m4s");
    let of = |body: Vec<u8>| put(&world, &made, &path, body);
    let malformed = (422, "segment-malformed");
    let mut twisted = segment.clone();
    let moof = twisted.windows(4).position(|window| window == b"trun").unwrap();
    twisted[moof + 8..moof + 12].copy_from_slice(&u32::MAX.to_be_bytes());
    // A good one, but not the one that the recording has: it was made at another time.
    let mut other_init = bytes(Track::Video, Name::Init);
    let mvhd = other_init.windows(4).position(|window| window == b"mvhd").unwrap();
    other_init[mvhd + 8..mvhd + 12].copy_from_slice(&7u32.to_be_bytes());
    let webm = [&[0x1a, 0x45, 0xdf, 0xa3][..], &[0; 100]].concat();
    let mut cases = vec![
        (
            "before its init",
            put(&world, &empty, &empty.path(Track::Video, "segment_001.m4s"), segment.clone()),
            (409, "init-missing"),
        ),
        ("empty", of(Vec::new()).header("content-length", 0), malformed),
        ("truncated", of(segment[..segment.len() - 1].to_vec()), malformed),
        ("half", of(segment[..segment.len() / 2].to_vec()), malformed),
        ("head only", of(segment[..7].to_vec()), malformed),
        ("more behind it", of([&segment[..], b"rest"].concat()), malformed),
        ("text", of(b"hello, I am not a segment".repeat(10)), malformed),
        ("zeros", of(vec![0; 4096]), malformed),
        ("webm", of(webm), malformed),
        ("more samples than bytes", of(twisted), malformed),
        ("an init as a segment", of(bytes(Track::Video, Name::Init)), malformed),
        (
            "a segment as an init",
            put(&world, &empty, &empty.path(Track::Video, "init.mp4"), segment.clone()),
            malformed,
        ),
        (
            "sound as video init",
            put(&world, &empty, &empty.path(Track::Video, "init.mp4"), bytes(Track::Audio, Name::Init)),
            malformed,
        ),
        ("oversized", of(vec![0; 512 * 1024 + 1]), (413, "too-large")),
        (
            "other bytes",
            put(&world, &made, &made.path(Track::Video, "segment_001.m4s"), segment.clone()),
            (409, "segment-conflict"),
        ),
        (
            "another init",
            put(&world, &made, &made.path(Track::Video, "init.mp4"), other_init),
            (409, "segment-conflict"),
        ),
        (
            "wrong digest",
            of(segment.clone()).header("content-digest", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
            (422, "digest-mismatch"),
        ),
        ("no digest", of(segment.clone()).header("content-digest", "sha-256=abc"), (400, "bad-request")),
    ];
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(segment.clone())]);
    cases.push((
        "without length",
        put(&world, &made, &path, reqwest::Body::wrap_stream(stream)),
        (411, "length-required"),
    ));
    check(&world, cases).await;
    let cut = world.send(of(segment[..segment.len() - 1].to_vec())).await;
    assert_eq!(
        (cut.body["box"].as_str(), cut.body["defect"].as_str()),
        (Some("mdat"), Some("truncated-box")),
        "{cut:?}"
    );
    assert!(cut.body["offset"].is_u64() && cut.body["object"].as_str().unwrap().ends_with("/video/segment_002.m4s"));
}

/// A segment of twelve seconds where ten are allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_that_last_too_long_are_refused() {
    let world = World::with(|config| config.limits.segment_duration = std::time::Duration::from_millis(1500)).await;
    let made = world.recording().await;
    world.inits(&made).await;
    let path = made.path(Track::Video, "segment_001.m4s");
    let request = put(&world, &made, &path, bytes(Track::Video, Name::Media(1)));
    check(&world, vec![("too long", request, (422, "segment-too-long"))]).await;
}

/// A body that breaks off or stalls is not acknowledged and leaves nothing.
async fn bodies_that_break_off_or_stall_leave_nothing(mode: Mode) {
    let world = World::with(|config| {
        config.http.body_timeout = std::time::Duration::from_millis(300);
        config.staging.mode = mode;
    })
    .await;
    let made = world.begun().await;
    let before = world.traces().await;
    let segment = bytes(Track::Video, Name::Media(2));
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        made.path(Track::Video, "segment_002.m4s"),
        made.token,
        segment.len()
    );
    let half = [head.as_bytes(), &segment[..segment.len() / 2]].concat();
    let address = world.base.trim_start_matches("http://").to_owned();

    let mut stalls = TcpStream::connect(&address).await.unwrap();
    stalls.write_all(&half).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stalls.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request-timeout"), "{answer}");
    // The answer does not wait until what was staged is removed.
    let forgotten = async || {
        (world.traces().await == before && world.cx.metrics.text().contains("spool_segments_incoming 0")).then_some(())
    };
    crate::wait::until("the stalled body is forgotten", PATIENCE, &forgotten).await;

    // A sender that asks for leave first is refused before it has sent a byte.
    let mut asks = TcpStream::connect(&address).await.unwrap();
    let head = head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n").replace("/video/", "/text/");
    asks.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, asks.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && !answer.contains("100"), "{answer}");

    let mut breaks = TcpStream::connect(&address).await.unwrap();
    breaks.write_all(&half).await.unwrap();
    drop(breaks);
    // The server notices in its own time.
    crate::wait::until("the broken body is forgotten", PATIENCE, forgotten).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_cannot_be_read_are_bad_requests() {
    let world = World::with(|config| config.limits.json_size = bytesize::ByteSize::kib(4)).await;
    let made = world.begun().await;
    let id = made.id.as_str();
    let bad = (400, "bad-request");
    let service = |method: Method, path: &str| world.request(method, path).bearer_auth(crate::world::SERVICE);
    let recorder =
        |call: &str| world.request(Method::POST, &format!("/api/recordings/{id}/{call}")).bearer_auth(&made.token);
    let mut cases = vec![
        ("empty complete", world.call_later("/api/upload/recording-complete", ""), bad),
        ("number as id", service(Method::POST, "/api/upload/recording-complete").json(&json!({"videoId": 5})), bad),
        ("array", service(Method::POST, "/api/recordings").body("[]"), bad),
        ("nothing", service(Method::POST, "/api/recordings").body("{}"), bad),
        ("unknown field", service(Method::POST, "/api/recordings").json(&json!({"owner_id": "o", "x": 1})), bad),
        (
            "unknown source",
            service(Method::POST, "/api/recordings").json(&json!({"owner_id": "o", "source": "tape"})),
            bad,
        ),
        (
            "unknown policy",
            service(Method::POST, "/api/recordings").json(&json!({"owner_id": "o", "policy": "hope"})),
            bad,
        ),
        (
            "a URL as endpoint",
            service(Method::POST, "/api/recordings").json(&json!({"owner_id": "o", "webhook": "http://x/"})),
            bad,
        ),
        ("unknown doing", recorder("heartbeat").json(&json!({"state": "dancing"})), bad),
        ("no tracks", recorder("end").json(&json!({"tracks": {}, "duration_ms": 1})), bad),
        ("unknown track", recorder("end").json(&json!({"tracks": {"text": {"last_index": 1}}, "duration_ms": 1})), bad),
        ("negative", recorder("end").json(&json!({"tracks": {"video": {"last_index": -1}}, "duration_ms": 1})), bad),
        ("too many", recorder("end").json(&json!({"tracks": {"video": {"last_index": 50001}}, "duration_ms": 1})), bad),
        ("unknown query", service(Method::GET, "/api/recordings?x=1"), bad),
        ("unknown state", service(Method::GET, "/api/recordings?state=asleep"), bad),
        ("wrong cursor", service(Method::GET, "/api/recordings?after=zz"), bad),
        (
            "large",
            service(Method::POST, "/api/recordings").body(format!("{{\"owner_id\": \"{}\"}}", "o".repeat(5000))),
            (413, "too-large"),
        ),
        ("presign", recorder("segments/presign").json(&json!({"objects": []})), (409, "direct-unavailable")),
        ("report", recorder("segments/report").json(&json!({"objects": []})), (409, "direct-unavailable")),
        ("nothing here", service(Method::GET, "/api/nothing"), (404, "not-found")),
        ("root", service(Method::GET, "/"), (404, "not-found")),
        ("wrong method", service(Method::PATCH, "/api/recordings"), (405, "method-not-allowed")),
        ("get of a segment", service(Method::GET, &made.path(Track::Video, "init.mp4")), (405, "method-not-allowed")),
    ];
    for text in ["{", "", "nonsense", "{\"videoId\":", "\u{0}", "{\"videoId\": \"a\"} trailing"] {
        cases.push((
            "malformed complete",
            service(Method::POST, "/api/upload/recording-complete").body(text.to_owned()),
            bad,
        ));
        cases.push(("malformed create", service(Method::POST, "/api/recordings").body(text.to_owned()), bad));
        cases.push(("malformed heartbeat", recorder("heartbeat").body(text.to_owned()), bad));
        cases.push(("malformed end", recorder("end").body(text.to_owned()), bad));
    }
    check(&world, cases).await;
    let wrong = world.send(service(Method::PATCH, "/api/recordings")).await;
    assert_eq!(wrong.headers["allow"], "POST,GET,HEAD");
}

/// Sends bytes as they are and reads the whole answer.
async fn raw(world: &World, request: &str) -> String {
    let mut stream = TcpStream::connect(world.base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

impl World {
    fn call_later(&self, path: &str, body: &str) -> RequestBuilder {
        self.request(Method::POST, path).bearer_auth(crate::world::SERVICE).body(body.to_owned())
    }
}
