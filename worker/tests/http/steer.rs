//! Making recordings, tokens, lists, states, and what recorders and operators say.

use crate::world::{World, bytes};
use domain::segment::{Name, Track};
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_is_idempotent_for_its_owner() {
    let world = World::with(|config| config.http.public_url = "https://spool.example/".to_owned()).await;
    let body = json!({"id": "r1", "owner_id": "o", "source": "spool", "policy": "fail"});
    let first = world.call(Method::POST, "/api/recordings", body.clone()).await;
    assert_eq!((first.status, &first.body["state"], &first.body["id"]), (201, &json!("live"), &json!("r1")));
    let url = first.body["watch_url"].as_str().unwrap();
    assert!(url.starts_with("https://spool.example/watch/r1?token=v1.k1.r1.playback."), "{url}");
    assert!(first.body["playlist_url"].as_str().unwrap().starts_with("https://spool.example/hls/r1/index.m3u8?token="));
    assert!(first.body["upload_token_expires_at"].as_str().unwrap().ends_with('Z'));
    let again = world.call(Method::POST, "/api/recordings", body).await;
    assert_eq!(again.status, 200);
    let other = world.call(Method::POST, "/api/recordings", json!({"id": "r1", "owner_id": "p"})).await;
    assert_eq!(other.problem(), (409, "recording-exists"));
    world.execute("UPDATE spool.recording SET state = 'deleted'", []).await;
    let erased = world.call(Method::POST, "/api/recordings", json!({"id": "r1", "owner_id": "o"})).await;
    assert_eq!(erased.problem(), (410, "recording-deleted"));
    let rows = "SELECT concat_ws(' ', id, owner_id, source, policy) FROM spool.recording";
    assert_eq!(world.texts(rows, []).await, ["r1 o spool fail"]);
    assert_eq!(world.texts("SELECT state FROM spool.liveness", []).await, ["recording"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_ten_times_at_once_makes_one() {
    let world = World::new().await;
    let calls = (0..10).map(|_| world.call(Method::POST, "/api/recordings", json!({"id": "r1", "owner_id": "o"})));
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_made_are_believed() {
    let world = World::new().await;
    let made = world.recording().await;
    let path = |what: &str| format!("/api/recordings/{}/{what}", made.id);
    let upload = world.call(Method::POST, &path("upload-token"), json!({})).await;
    let token = upload.body["token"].as_str().unwrap();
    let request = world.request(Method::PUT, &made.path(Track::Video, "init.mp4")).bearer_auth(token);
    assert_eq!(world.send(request.body(bytes(Track::Video, Name::Init))).await.status, 201);
    let playback = world.call(Method::POST, &path("playback-token"), json!({})).await;
    let token = playback.body["token"].as_str().unwrap();
    let status = format!("/api/recordings/{}", made.id);
    let in_header = world.send(world.request(Method::GET, &status).bearer_auth(token)).await;
    let in_query = world.send(world.request(Method::GET, &status).query(&[("token", token)])).await;
    assert_eq!((in_header.status, in_query.status), (200, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_says_what_the_contract_promises() {
    let world = World::new().await;
    let made = world.begun().await;
    let path = format!("/api/recordings/{}", made.id);
    for index in [3, 4, 7] {
        let answer = world
            .put(&made, Track::Video, &format!("segment_{index:03}.m4s"), bytes(Track::Video, Name::Media(2)))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let declared = json!({"tracks": {"video": {"last_index": 9}, "audio": {"last_index": 1}}, "duration_ms": 18000});
    let end = world.request(Method::POST, &format!("{path}/end")).bearer_auth(&made.token).json(&declared);
    assert_eq!(world.send(end).await.status, 202);
    let mut status = world.get(&path).await.body;
    for track in ["video", "audio"] {
        assert!(status["tracks"][track]["lag_ms"].as_u64().is_some());
        status["tracks"][track]["lag_ms"] = json!(0);
    }
    assert!(status["created_at"].is_string());
    status["created_at"] = json!("");
    let expected = json!({
        "id": made.id, "owner_id": "o", "state": "live", "provisional": false, "tail_confirmed": false,
        "playback": "segments", "plan_version": 1, "declared": declared,
        "tracks": {
            "video": {"received": 4, "stored": 0, "missing": [[2, 2], [5, 6], [8, 9]], "last_index": 7, "lag_ms": 0},
            "audio": {"received": 1, "stored": 0, "missing": [], "last_index": 1, "lag_ms": 0},
        },
        "gaps": [], "result": null, "job": {"kind": "upload", "state": "available", "pct": null, "eta_s": null},
        "error": null, "recorder": "recording", "created_at": "", "poster": null, "preview": null,
    });
    assert_eq!(status, expected);

    let ready = "UPDATE spool.recording SET state = 'ready', result_key = 'k', result_version = 1, result_bytes = 5, \
        duration_ms = 18000, width = 320, height = 180, fps = 30, video_codec = 'avc1', error_code = 'x', error_message = 'y'";
    world.execute(ready, []).await;
    let status = world.get(&path).await.body;
    assert_eq!((&status["playback"], &status["error"]["code"]), (&json!("mp4"), &json!("x")));
    let result = json!({
        "url": format!("/media/{}/result.mp4", made.id), "bytes": 5, "sha256": null, "duration_ms": 18000, "width": 320,
        "height": 180, "fps": 30.0, "video_codec": "avc1", "audio_codec": null,
    });
    assert_eq!(status["result"], result);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_pages_by_key_and_narrows_down() {
    let world = World::new().await;
    for n in 0..5 {
        let body = json!({"id": format!("r{n}"), "owner_id": if n == 0 { "p" } else { "o" }});
        assert_eq!(world.call(Method::POST, "/api/recordings", body).await.status, 201);
    }
    // Equal times are told apart by id.
    world.execute("UPDATE spool.recording SET created_at = '2026-01-01'", []).await;
    let (mut seen, mut path) = (Vec::new(), "/api/recordings?limit=2".to_owned());
    loop {
        let page = world.get(&path).await.body;
        seen.extend(page["recordings"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/recordings?limit=2&after={next}");
    }
    assert_eq!(seen, ["r4", "r3", "r2", "r1", "r0"]);
    let of = |path: &'static str| async { world.get(path).await.body["recordings"].as_array().unwrap().len() };
    assert_eq!(of("/api/recordings?owner_id=p").await, 1);
    assert_eq!(of("/api/recordings?state=live&owner_id=o").await, 4);
    assert_eq!(of("/api/recordings?state=ready").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeat_is_heard_until_the_recording_has_ended() {
    let world = World::new().await;
    let made = world.recording().await;
    let beat = |state: &'static str| {
        let request = world.request(Method::POST, &format!("/api/recordings/{}/heartbeat", made.id));
        world.send(request.bearer_auth(&made.token).json(&json!({"state": state})))
    };
    world.execute("UPDATE spool.liveness SET heard_at = '2026-01-01', silent_minutes = 7", []).await;
    let answer = beat("paused").await;
    assert_eq!((answer.status, &answer.body), (204, &serde_json::Value::Null));
    let row =
        "SELECT concat_ws(' ', state, silent_minutes, heard_at > now() - interval '1 minute') FROM spool.liveness";
    assert_eq!(world.texts(row, []).await, ["paused 0 t"]);
    for (change, expected) in [
        ("state = 'finalizing', frozen_version = 1", (409, "recording-closed")),
        ("state = 'archived', result_key = 'k'", (409, "recording-archived")),
        ("state = 'cancelled'", (410, "recording-cancelled")),
        ("state = 'deleted'", (410, "recording-deleted")),
    ] {
        world.execute(&format!("UPDATE spool.recording SET {change}"), []).await;
        assert_eq!(beat("recording").await.problem(), expected);
    }
    assert_eq!(world.texts(row, []).await, ["paused 0 t"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_is_kept_and_wakes_whoever_waits_for_it() {
    let world = World::new().await;
    let made = world.begun().await;
    let end = |last_index: u32| {
        let body = json!({"tracks": {"video": {"last_index": last_index}}, "duration_ms": 2000});
        let request = world.request(Method::POST, &format!("/api/recordings/{}/end", made.id));
        world.send(request.bearer_auth(&made.token).json(&body))
    };
    let checks = "SELECT kind FROM queue.job WHERE kind = 'manifest_check'";
    assert_eq!(end(1).await.status, 202);
    assert_eq!(world.texts(checks, []).await.len(), 0, "a live recording is not checked");
    world.execute("UPDATE spool.recording SET state = 'finalizing'", []).await;
    assert_eq!(end(2).await.status, 202);
    assert_eq!(world.texts(checks, []).await.len(), 1);
    world.execute("UPDATE spool.recording SET frozen_version = 1", []).await;
    assert_eq!(end(2).await.status, 202, "the same words again");
    assert_eq!(end(3).await.problem(), (409, "recording-closed"));
    let declared = "SELECT declared -> 'tracks' -> 'video' ->> 'last_index' FROM spool.recording";
    assert_eq!(world.texts(declared, []).await, ["2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operator_verbs_are_queued_or_refused_by_state() {
    let world = World::new().await;
    let made = world.begun().await;
    let states = ["live", "finalizing", "ready", "failed", "archived", "cancelled", "deleted"];
    let mut table = String::new();
    for state in states {
        world.execute(&format!("UPDATE spool.recording SET state = '{state}', result_key = 'k'"), []).await;
        table += state;
        for name in ["cancel", "retry", "remux", "reopen", "accept-gaps"] {
            let answer = world.call(Method::POST, &format!("/api/recordings/{}/{name}", made.id), json!({})).await;
            if answer.status == 202 {
                assert!(answer.body["job_id"].is_string());
                table += &format!(" {name}");
            } else {
                assert_eq!(answer.problem(), (409, "wrong-state"));
                assert_eq!(answer.body["state"], state);
            }
        }
        table.push('\n');
    }
    expect_test::expect![[r#"
        live cancel
        finalizing cancel retry reopen accept-gaps
        ready remux reopen
        failed cancel retry reopen accept-gaps
        archived
        cancelled
        deleted
    "#]]
    .assert_eq(&table);
    let audit = world.texts("SELECT DISTINCT actor || ' ' || via || ' ' || action FROM queue.op_log", []).await;
    assert_eq!(audit, ["test http enqueue"]);
    let erase = world
        .send(world.request(Method::DELETE, &format!("/api/recordings/{}", made.id)).bearer_auth(crate::world::SERVICE))
        .await;
    assert_eq!(erase.problem(), (501, "not-implemented"));
}
