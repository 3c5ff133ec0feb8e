//! The routes as their contract says them.

use crate::serving::{SERVICE, Serving, settings, settled, token};
use crate::support::S3Server;
use crate::world::{World, set};
use domain::id::RecordingId;
use domain::job::Queue;
use domain::segment::{Name, Track};
use reqwest::Method;

/// A recording of two segments a track, stored and listed; served from a folder.
async fn begun() -> (World, RecordingId, Serving) {
    let world = World::with(settings).await;
    let id = send(&world).await;
    let serving = Serving::start(&world).await;
    (world, id, serving)
}

async fn send(world: &World) -> RecordingId {
    let worker = world.work_on(&[Queue::Ingest]);
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, index| index <= 2).await;
    settled(world, &id).await;
    worker.stop().await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn playlist_has_a_strong_tag_and_is_compressed_where_that_is_read() {
    let (world, id, serving) = begun().await;
    let path = format!("/hls/{id}/video.m3u8?token={}", token(&world, &id));
    let plain = serving.get(&path).await;
    assert_eq!(plain.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!((plain.header("cache-control"), plain.header("vary")), ("no-cache", "Accept-Encoding"));
    let gzip = serving.ask(&path, &[("Accept-Encoding", "gzip, br")]).await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&gzip.bytes[..]), &mut text).unwrap();
    assert_eq!(text, plain.text());
    // Other bytes have another strong tag; either is believed.
    assert_ne!(plain.header("etag"), gzip.header("etag"));
    for tag in [plain.header("etag"), gzip.header("etag"), "\"other\", *"] {
        for encoding in ["gzip", "identity"] {
            let known = serving.ask(&path, &[("If-None-Match", tag), ("Accept-Encoding", encoding)]).await;
            assert_eq!((known.status, known.bytes.len()), (304, 0), "{tag}");
            assert!(known.header("etag").starts_with('"') && known.header("cache-control") == "no-cache");
        }
    }
    // Under the same address a header makes links without a token: other bytes.
    let bearer = format!("Bearer {SERVICE}");
    let service = serving.ask(&path, &[("Authorization", &bearer)]).await;
    assert!(service.header("etag") != plain.header("etag") && service.bytes != plain.bytes);
    let known = [("Authorization", bearer.as_str()), ("If-None-Match", plain.header("etag"))];
    assert_eq!(serving.ask(&path, &known).await.status, 200);
    let head = serving.send(Method::HEAD, &path, &[]).await;
    assert_eq!((head.status, head.bytes.len(), head.header("etag")), (200, 0, plain.header("etag")));
    assert_eq!(head.header("content-length"), plain.bytes.len().to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_is_repeated_on_every_uri_only_when_it_was_believed() {
    let (world, id, serving) = begun().await;
    let token = token(&world, &id);
    let uris = |text: &str| {
        let map = text.split("URI=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        let plain = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
        map.chain(plain).collect::<Vec<_>>()
    };
    for name in ["index.m3u8", "video.m3u8", "audio.m3u8"] {
        let with = serving.get(&format!("/hls/{id}/{name}?token={token}")).await.text();
        assert!(
            uris(&with).len() > 1 && uris(&with).iter().all(|uri| uri.ends_with(&format!("?token={token}"))),
            "{with}"
        );
        // The header was believed; what stands in the query was not even looked at.
        let bearer = format!("Bearer {SERVICE}");
        let forged = format!("/hls/{id}/{name}?token=%22%0A%23EXT-X-ENDLIST");
        let without = serving.ask(&forged, &[("Authorization", &bearer)]).await;
        assert_eq!(without.status, 200);
        assert!(uris(&without.text()).iter().all(|uri| !uri.contains("token")), "{}", without.text());
    }
    assert_eq!(serving.get(&format!("/hls/{id}/index.m3u8")).await.problem(), (401, "unauthorized".into()));
    let forged = format!("/hls/{id}/index.m3u8?token={token}x");
    assert_eq!(serving.get(&forged).await.problem(), (401, "unauthorized".into()));
    assert_eq!(serving.get(&format!("/hls/other/index.m3u8?token={token}")).await.problem(), (403, "forbidden".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_of_the_replaced_system_are_served_the_same() {
    let (world, id, serving) = begun().await;
    let token = token(&world, &id);
    let ask = |kind: &str, more: &str| format!("/api/playlist?videoId={id}&videoType={kind}{more}&token={token}");
    for (kind, name) in [("segments-master", "index"), ("segments-video", "video"), ("segments-audio", "audio")] {
        let reply = serving.get(&ask(kind, "&thumbnail=1")).await;
        assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"), "{kind}");
        assert_eq!((reply.header("content-type"), reply.header("etag")), ("application/vnd.apple.mpegurl", ""));
        let stable = serving.get(&format!("/hls/{id}/{name}.m3u8?token={token}")).await.text();
        assert_eq!(reply.text().replace(&format!("../hls/{id}/"), ""), stable, "{kind}");
        let incomplete = serving.get(&ask(kind, "&requireComplete=1")).await;
        assert_eq!(incomplete.problem(), (404, "playlist-not-ready".into()));
        assert_eq!(incomplete.header("cache-control"), "no-store");
    }
    assert_eq!(serving.get(&ask("mp4", "")).await.problem(), (400, "bad-request".into()));
    assert_eq!(serving.get(&format!("/api/playlist?videoId={id}&token={token}")).await.status, 400);
    let bearer = format!("Bearer {SERVICE}");
    let unknown = "/api/playlist?videoId=nobody&videoType=segments-video";
    assert_eq!(
        serving.ask(unknown, &[("Authorization", &bearer)]).await.problem(),
        (404, "recording-not-found".into())
    );
    world.execute("UPDATE spool.recording SET listing_ended_at = now()", []).await;
    let complete = serving.get(&ask("segments-video", "&requireComplete=1")).await;
    assert!(complete.status == 200 && complete.text().ends_with("#EXT-X-ENDLIST\n"), "{}", complete.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segment_comes_through_this_process_from_a_folder() {
    let (world, id, serving) = begun().await;
    let token = token(&world, &id);
    let path = |track: &str, name: &str| format!("/hls/{id}/segments/{track}/{name}?token={token}");
    let sent = &set().tracks[&Track::Video].1[0];
    let whole = serving.get(&path("video", "segment_001.m4s")).await;
    assert_eq!((whole.status, &whole.bytes), (200, sent));
    assert_eq!(
        (whole.header("cache-control"), whole.header("content-type")),
        ("private, max-age=31536000, immutable", "video/mp4")
    );
    let tag = whole.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() > 16);
    let known = serving.ask(&path("video", "segment_001.m4s"), &[("If-None-Match", &tag)]).await;
    assert_eq!((known.status, known.bytes.len()), (304, 0));
    let part = serving.ask(&path("video", "segment_001.m4s"), &[("Range", "bytes=2-5"), ("If-Range", &tag)]).await;
    assert_eq!((part.status, part.bytes.as_slice()), (206, &sent[2..6]));
    assert_eq!(part.header("content-range"), format!("bytes 2-5/{}", sent.len()));
    assert_eq!(serving.ask(&path("video", "init.mp4"), &[("Range", "bytes=9999999-")]).await.status, 416);
    let head = serving.send(Method::HEAD, &path("audio", "init.mp4"), &[]).await;
    assert_eq!(head.header("content-length"), set().tracks[&Track::Audio].0.len().to_string());

    // Accepted and not yet in the store, never sent, and no name at all: nobody keeps any of these answers.
    world.accept(&id, Track::Video, Name::Media(3), &set().tracks[&Track::Video].1[2]).await.unwrap();
    for (track, name) in
        [("video", "segment_003.m4s"), ("audio", "segment_099.m4s"), ("video", "..%2Finit.mp4"), ("text", "init.mp4")]
    {
        let reply = serving.get(&path(track, name)).await;
        assert_eq!(reply.problem(), (404, "segment-not-found".into()), "{track}/{name}");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    // The row knows it and the folder does not: that is said in the head of the answer, not by breaking it off.
    std::fs::remove_file(world.object(&format!("o/{id}/segments/video/segment_002.m4s"))).unwrap();
    assert_eq!(serving.get(&path("video", "segment_002.m4s")).await.problem(), (404, "segment-not-found".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segment_is_redirected_to_a_store_that_clients_reach() {
    let server = S3Server::start().await;
    let world = World::with(|config| {
        settings(config);
        config.storage = server.config();
    })
    .await;
    let id = send(&world).await;
    let serving = Serving::start(&world).await;
    let reply = serving.get(&format!("/hls/{id}/segments/audio/segment_002.m4s?token={}", token(&world, &id))).await;
    assert_eq!((reply.status, reply.bytes.len()), (302, 0));
    assert_eq!(reply.header("cache-control"), "private, max-age=900", "half of 30 minutes");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let fetched = client.get(reply.header("location")).send().await.unwrap();
    assert_eq!(fetched.status(), 200);
    assert_eq!(fetched.bytes().await.unwrap(), set().tracks[&Track::Audio].1[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn created_recording_names_a_playlist_that_is_there() {
    let world = World::with(settings).await;
    let serving = Serving::start(&world).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let created = client.post(format!("{}/api/recordings", serving.base)).bearer_auth(SERVICE);
    let created = created.json(&serde_json::json!({ "owner_id": "o" })).send().await.unwrap();
    let created: serde_json::Value = created.json().await.unwrap();
    let playlist = serving.get(created["playlist_url"].as_str().unwrap()).await;
    assert_eq!(playlist.problem(), (404, "playlist-not-ready".into()));
    assert_eq!(playlist.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_without_segments_says_why() {
    let (world, id, serving) = begun().await;
    let token = token(&world, &id);
    for (state, code) in
        [("archived", "recording-archived"), ("cancelled", "recording-cancelled"), ("deleted", "recording-deleted")]
    {
        let sql = "UPDATE spool.recording SET state = $1, result_key = 'k'";
        world.execute(sql, [state.into()]).await;
        for name in ["index.m3u8", "video.m3u8", "segments/video/init.mp4"] {
            let reply = serving.get(&format!("/hls/{id}/{name}?token={token}")).await;
            assert_eq!(reply.problem(), (410, code.into()), "{name}");
        }
        let compatible = format!("/api/playlist?videoId={id}&videoType=segments-video&requireComplete=1&token={token}");
        assert_eq!(serving.get(&compatible).await.problem(), (410, code.into()));
    }
}
