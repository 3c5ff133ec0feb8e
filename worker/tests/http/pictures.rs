//! Poster and animated preview over HTTP.

use crate::world::{Made, World};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use worker::auth::Scope;

/// Not a picture, but bytes that show which of them came.
fn picture(seed: u8) -> Vec<u8> {
    (0..40_000_u32).map(|n| (n * 31 % 251) as u8 ^ seed).collect()
}

/// Writes a picture as the job does: the object, then its row.
async fn write(world: &World, made: &Made, kind: &str, version: i64, bytes: &[u8]) {
    let key = match kind {
        "poster" => format!("o/{}/screenshot/screen-capture.jpg", made.id),
        _ => format!("o/{}/preview/animated-preview.gif", made.id),
    };
    world.cx.store.put(&key, bytes.to_vec().into()).await.unwrap();
    let sql = "INSERT INTO spool.picture (recording_id, kind, version, size_bytes, sha256, width, height) \
        VALUES ($1, $2, $3::int8::int4, $4, $5, 640, 360) \
        ON CONFLICT (recording_id, kind) DO UPDATE SET version = excluded.version, size_bytes = excluded.size_bytes, sha256 = excluded.sha256";
    let digest = domain::id::Sha256::of(bytes).0.to_vec();
    let values = [made.id.clone().into(), kind.into(), version.into(), (bytes.len() as i64).into(), digest.into()];
    world.execute(sql, values).await;
}

async fn send(request: RequestBuilder) -> (u16, http::HeaderMap, Vec<u8>) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.bytes().await.unwrap().to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_are_served_whole_in_ranges_and_by_tag() {
    let world = World::new().await;
    let made = world.recording().await;
    let token = world.token(&made.id, Scope::Playback, 60);
    for (kind, name, media_type) in [("poster", "poster.jpg", "image/jpeg"), ("preview", "preview.gif", "image/gif")] {
        let (first, second) = (picture(0), picture(9)[..39_000].to_vec());
        write(&world, &made, kind, 1, &first).await;
        let path = format!("/media/{}/{name}", made.id);
        let get = |method: Method| world.request(method, &path).query(&[("token", &token)]);

        let (status, headers, body) = send(get(Method::GET)).await;
        assert_eq!((status, &headers["content-type"]), (200, &media_type.parse().unwrap()));
        assert_eq!(headers["cache-control"], "private, no-cache");
        assert!(body == first);
        let etag = headers["etag"].to_str().unwrap().to_owned();
        let (status, headers, body) = send(get(Method::HEAD)).await;
        assert_eq!((status, headers["content-length"].to_str().unwrap(), body.len()), (200, "40000", 0));
        let (status, headers, body) = send(get(Method::GET).header("range", "bytes=10-19")).await;
        assert_eq!((status, headers["content-range"].to_str().unwrap()), (206, "bytes 10-19/40000"));
        assert!(body == first[10..20]);
        assert_eq!(send(get(Method::GET).header("range", "bytes=40000-")).await.0, 416);
        assert_eq!(send(get(Method::GET).header("if-none-match", &etag)).await.0, 304);

        // A remux has written over it.
        write(&world, &made, kind, 2, &second).await;
        let (status, headers, body) = send(get(Method::GET).header("if-none-match", &etag)).await;
        assert_eq!((status, body == second), (200, true));
        assert_ne!(headers["etag"], etag);
        let other = get(Method::GET).header("range", "bytes=0-9").header("if-range", &etag);
        assert_eq!(send(other).await.0, 200, "a range of another picture is not glued to what the client has");
    }
    let status = world.get(&format!("/api/recordings/{}", made.id)).await.body;
    let url = format!("/media/{}/poster.jpg", made.id);
    assert_eq!(status["poster"], json!({ "url": url, "bytes": 39_000, "width": 640, "height": 360 }));
}

/// The object is written before its row: between the two its length and its tag are its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn picture_that_is_just_written_over_is_served_with_its_own_length() {
    let world = World::new().await;
    let made = world.recording().await;
    write(&world, &made, "poster", 1, &picture(0)).await;
    let get =
        || world.request(Method::GET, &format!("/media/{}/poster.jpg", made.id)).bearer_auth(crate::world::SERVICE);
    let (_, before, _) = send(get()).await;
    let longer = [picture(3), vec![7; 5000]].concat();
    world.cx.store.put(&format!("o/{}/screenshot/screen-capture.jpg", made.id), longer.clone().into()).await.unwrap();
    let (status, headers, body) = send(get()).await;
    assert_eq!((status, body == longer), (200, true));
    assert_ne!(headers["etag"], before["etag"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_are_there_only_when_they_are_made_and_for_whom_the_result_is() {
    let world = World::new().await;
    let (made, other) = (world.recording().await, world.recording().await);
    let status = world.get(&format!("/api/recordings/{}", made.id)).await.body;
    assert_eq!((&status["poster"], &status["preview"]), (&Value::Null, &Value::Null));
    for name in ["poster.jpg", "preview.gif"] {
        let path = format!("/media/{}/{name}", made.id);
        assert_eq!(world.get(&path).await.problem(), (404, "picture-not-found"));
        assert_eq!(world.send(world.request(Method::GET, &path)).await.problem(), (401, "unauthorized"));
        let foreign = world.token(&other.id, Scope::Playback, 60);
        assert_eq!(world.send(world.request(Method::GET, &path).query(&[("token", foreign)])).await.problem().0, 403);
        assert_eq!(world.send(world.request(Method::GET, &path).bearer_auth(&made.token)).await.problem().0, 403);
        assert_eq!(world.get("/media/nobody/poster.jpg").await.problem(), (404, "recording-not-found"));
        assert_eq!(world.call(Method::POST, &path, json!({})).await.problem(), (405, "method-not-allowed"));
    }
    write(&world, &made, "poster", 1, &picture(0)).await;
    let path = format!("/media/{}/poster.jpg", made.id);
    // Its row is there and its object is not: somebody has cleaned up behind our back.
    world.cx.store.delete(&[format!("o/{}/screenshot/screen-capture.jpg", made.id)]).await.unwrap();
    assert_eq!(world.get(&path).await.problem(), (404, "picture-not-found"));
    world.execute("UPDATE spool.recording SET state = 'deleted'", []).await;
    assert_eq!(world.get(&path).await.problem(), (410, "recording-deleted"));
}
