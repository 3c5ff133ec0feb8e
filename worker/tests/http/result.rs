//! The published result over HTTP.

use crate::world::{Made, World};
use reqwest::{Method, RequestBuilder};
use worker::auth::Scope;

/// Not a film, but bytes that show which of them came.
fn film() -> Vec<u8> {
    (0..3_000_000_u32).map(|n| (n * 31 % 251) as u8).collect()
}

async fn published(world: &World) -> (Made, Vec<u8>) {
    let (made, film) = (world.recording().await, film());
    let key = format!("o/{}/result.mp4", made.id);
    world.cx.store.put(&key, film.clone().into()).await.unwrap();
    let sql = "UPDATE spool.recording SET state = 'ready', result_key = $1, result_version = 1, result_bytes = $2, \
        result_sha256 = $3, duration_ms = 1000";
    let digest = domain::id::Sha256::of(&film).0.to_vec();
    world.execute(sql, [key.into(), (film.len() as i64).into(), digest.into()]).await;
    (made, film)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_is_served_whole_in_ranges_and_by_tag() {
    let world = World::new().await;
    let (made, film) = published(&world).await;
    let token = world.token(&made.id, Scope::Playback, 60);
    let path = format!("/media/{}/result.mp4", made.id);
    let get = |method: Method| world.request(method, &path).query(&[("token", &token)]);
    let send = async |request: RequestBuilder| {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.headers().clone(), response.bytes().await.unwrap())
    };

    let (status, headers, body) = send(get(Method::GET)).await;
    assert_eq!(
        (status, &headers["content-type"], &headers["accept-ranges"]),
        (200, &"video/mp4".parse().unwrap(), &"bytes".parse().unwrap())
    );
    assert!(body == film);
    let etag = headers["etag"].to_str().unwrap().to_owned();
    assert!(etag.starts_with("\"v1-"), "{etag}");

    let (status, headers, body) = send(get(Method::HEAD)).await;
    assert_eq!((status, headers["content-length"].to_str().unwrap(), body.len()), (200, "3000000", 0));

    for (range, from, to) in [
        ("bytes=0-99", 0, 100),
        ("bytes=1000000-2500000", 1_000_000, 2_500_001),
        ("bytes=-10", 2_999_990, 3_000_000),
        ("bytes=2999999-", 2_999_999, 3_000_000),
    ] {
        let (status, headers, body) = send(get(Method::GET).header("range", range)).await;
        assert_eq!(
            (status, headers["content-range"].to_str().unwrap().to_owned()),
            (206, format!("bytes {from}-{}/3000000", to - 1))
        );
        assert!(body == film[from..to], "{range}");
    }
    let (status, headers, _) = send(get(Method::GET).header("range", "bytes=3000000-")).await;
    assert_eq!((status, headers["content-range"].to_str().unwrap()), (416, "bytes */3000000"));

    assert_eq!(send(get(Method::GET).header("if-none-match", &etag)).await.0, 304);
    assert_eq!(send(get(Method::GET).header("if-none-match", "\"other\"")).await.0, 200);
    let same = get(Method::GET).header("range", "bytes=0-9").header("if-range", &etag);
    assert_eq!(send(same).await.0, 206);
    let other = get(Method::GET).header("range", "bytes=0-9").header("if-range", "\"other\"");
    assert_eq!(send(other).await.0, 200, "a range of another version is not glued to what the player has");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_is_there_only_when_it_is_published() {
    let world = World::new().await;
    let made = world.recording().await;
    let path = format!("/media/{}/result.mp4", made.id);
    assert_eq!(world.get(&path).await.problem(), (404, "result-not-found"));
    let (published, _) = published(&world).await;
    world.execute("UPDATE spool.recording SET state = 'deleted'", []).await;
    let path = format!("/media/{}/result.mp4", published.id);
    assert_eq!(world.get(&path).await.problem(), (410, "recording-deleted"));
}
