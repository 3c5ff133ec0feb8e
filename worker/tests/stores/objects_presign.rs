//! What a URL that carries its own permission permits, and what it does not.

use crate::support::S3Server;
use crate::support::s3::BUCKET;
use bytes::Bytes;
use domain::id::Sha256;
use reqwest::{Client, Method, StatusCode};
use std::time::Duration;
use worker::storage::{Addressing, Config, Presigned, Service, Store};

const TTL: Duration = Duration::from_secs(300);
const BODY: &[u8] = b"the bytes of a segment";

async fn store() -> (S3Server, Store) {
    let server = S3Server::start().await;
    let store = Store::open(&server.config()).await.unwrap();
    (server, store)
}

/// Makes a presigned request, with its headers but those that `without` names.
async fn ask_without(presigned: &Presigned, body: &'static [u8], without: &str) -> (StatusCode, Bytes) {
    let mut request = Client::new().request(presigned.method.clone(), &presigned.url);
    for (name, value) in presigned.headers.iter().filter(|(name, _)| *name != without) {
        request = request.header(name, value);
    }
    if presigned.method == Method::PUT {
        request = request.body(body);
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.bytes().await.unwrap())
}

async fn ask(presigned: &Presigned, body: &'static [u8]) -> StatusCode {
    ask_without(presigned, body, "").await.0
}

async fn put_url(store: &Store, key: &str) -> Presigned {
    let size_bytes = BODY.len() as u64;
    store.presign_put(key, size_bytes, Some(Sha256::of(BODY)), TTL).await.unwrap().unwrap()
}

#[tokio::test]
async fn who_holds_the_url_writes_and_reads_one_object() {
    let (_server, store) = store().await;
    let put = put_url(&store, "o/r/segments/.incoming/video-001-x").await;
    let names: Vec<&str> = put.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        (put.method.as_str(), names.as_slice()),
        ("PUT", ["content-length", "x-amz-checksum-sha256"].as_slice())
    );
    assert_eq!(ask(&put, BODY).await, 200);
    assert_eq!(ask(&put, BODY).await, 200, "as often as they like");
    assert_eq!(store.get("o/r/segments/.incoming/video-001-x").await.unwrap(), BODY);
    store.copy("o/r/segments/.incoming/video-001-x", "o/r/segments/video/segment_001.m4s").await.unwrap();
    let get = store.presign_get("o/r/segments/video/segment_001.m4s", TTL).await.unwrap().unwrap();
    assert!(get.method == Method::GET && get.headers.is_empty(), "{get:?}");
    let answer = Client::new().get(&get.url).header("range", "bytes=4-8").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (206, &"video/mp4".parse().unwrap()));
    let date = answer.headers()["date"].to_str().unwrap().to_owned();
    let life = get.expires_at.signed_duration_since(chrono::DateTime::parse_from_rfc2822(&date).unwrap());
    assert!((270..=300).contains(&life.num_seconds()), "{life}");
    assert_eq!(answer.bytes().await.unwrap(), BODY[4..9]);
    // Without a digest the length alone is held.
    let put = store.presign_put("o/r/file", 3, None, TTL).await.unwrap().unwrap();
    assert_eq!((put.headers.len(), ask(&put, b"abc").await), (1, StatusCode::OK));
    let absent = store.presign_get("o/none", TTL).await.unwrap().unwrap();
    assert_eq!(ask(&absent, b"").await, 404);
}

#[tokio::test]
async fn other_bytes_are_refused_and_leave_nothing() {
    let (_server, store) = store().await;
    let put = put_url(&store, "k").await;
    // Another length with its true header, as every ordinary client sends it.
    let longer: &[u8] = b"the bytes of a segment and more";
    for body in [longer, b"short", b""] {
        assert_eq!(ask_without(&put, body, "content-length").await.0, 403, "{body:?}");
    }
    // The same length.
    assert_eq!(ask(&put, b"the bytes of another s").await, 400);
    assert_eq!(ask_without(&put, BODY, "x-amz-checksum-sha256").await.0, 403);
    assert_eq!(store.stat("k").await.unwrap(), None);
    assert_eq!(ask(&put, BODY).await, 200);
}

#[tokio::test]
async fn what_is_not_signed_so_is_refused() {
    let (server, store) = store().await;
    store.put("k", Bytes::from_static(b"secret")).await.unwrap();
    store.put("other", Bytes::from_static(b"more secret")).await.unwrap();
    let get = store.presign_get("k", TTL).await.unwrap().unwrap();
    let last = if get.url.ends_with('0') { "1" } else { "0" };
    let with_url = |url: String| Presigned { url, ..get.clone() };
    for (what, tampered) in [
        ("another key", with_url(get.url.replace("/k?", "/other?"))),
        ("another expiry", with_url(get.url.replace("Expires=300", "Expires=900"))),
        ("another type", with_url(format!("{}&response-content-type=text%2Fhtml", get.url))),
        ("another signature", with_url(format!("{}{last}", &get.url[..get.url.len() - 1]))),
        ("another method", Presigned { method: Method::PUT, ..get.clone() }),
        ("deleting", Presigned { method: Method::DELETE, ..get.clone() }),
        ("nobody", with_url(get.url.split('?').next().unwrap().to_owned())),
        ("nobody lists", with_url(format!("{}/{BUCKET}?list-type=2", server.endpoint()))),
    ] {
        assert_ne!(tampered, get, "{what}");
        assert_eq!(ask(&tampered, BODY).await, 403, "{what}");
    }
    assert_eq!(store.get("k").await.unwrap(), "secret");
    let put = put_url(&store, "new").await;
    assert_eq!(ask(&Presigned { method: Method::GET, ..put.clone() }, b"").await, 403);
    assert_eq!(ask(&Presigned { url: put.url.replace("/new?", "/k?"), ..put }, BODY).await, 403);
    assert_eq!(store.stat("new").await.unwrap(), None);
}

#[tokio::test]
async fn expired_is_refused() {
    let (_server, store) = store().await;
    store.put("k", Bytes::from_static(b"secret")).await.unwrap();
    let get = store.presign_get("k", Duration::from_secs(1)).await.unwrap().unwrap();
    let refused = async || (ask(&get, b"").await == 403).then_some(());
    crate::support::wait::until("the URL has expired", Duration::from_secs(10), refused).await;
}

#[tokio::test]
async fn clients_are_sent_to_their_own_address() {
    let server = S3Server::start().await;
    let port = server.address().port();
    let public_endpoint = format!("http://localhost:{port}");
    let config = Config { public_endpoint, root: "below/this".to_owned(), ..server.config() };
    let store = Store::open(&config).await.unwrap();
    let put = put_url(&store, "k").await;
    assert!(put.url.starts_with(&format!("http://localhost:{port}/{BUCKET}/below/this/k?")), "{}", put.url);
    assert_eq!(ask(&put, BODY).await, 200);
    assert_eq!(store.get("k").await.unwrap(), BODY);
    // The host is signed.
    let elsewhere = Presigned { url: put.url.replace("localhost", "127.0.0.1"), ..put };
    assert_eq!(ask(&elsewhere, BODY).await, 403);
}

#[tokio::test]
async fn bucket_stands_in_the_name_of_the_host_where_that_is_set() {
    let server = S3Server::start().await;
    let public_endpoint = format!("http://localhost:{}", server.address().port());
    let config = Config { public_endpoint, addressing: Addressing::Virtual, ..server.config() };
    let store = Store::open(&config).await.unwrap();
    let put = put_url(&store, "o/r/k").await;
    let host = format!("{BUCKET}.localhost");
    assert!(put.url.starts_with(&format!("http://{host}:{}/o/r/k?", server.address().port())), "{}", put.url);
    let client = Client::builder().resolve(&host, server.address()).build().unwrap();
    let mut request = client.put(&put.url).body(BODY);
    for (name, value) in &put.headers {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert_eq!(std::fs::read(server.objects().join("o/r/k")).unwrap(), BODY);
}

#[tokio::test]
async fn folder_and_memory_cannot_presign() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_string_lossy().into_owned();
    for config in [Config { root, ..Config::default() }, Config { service: Service::Memory, ..Config::default() }] {
        let store = Store::open(&config).await.unwrap();
        assert!(!store.can_presign());
        assert_eq!(store.presign_get("k", TTL).await.unwrap(), None);
        assert_eq!(store.presign_put("k", 1, None, TTL).await.unwrap(), None);
    }
}
