//! What only a server can do to a store: be away, hang, refuse, and hold more than one answer lists.

use crate::support::S3Server;
use bytes::Bytes;
use domain::retry::{Classify as _, Fault};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use worker::config::Secret;
use worker::storage::{Config, Error, Store};

/// Every operation once, as what it said.
async fn every_operation(store: &Store) -> Vec<Result<(), Error>> {
    let keys = ["k".to_owned(), "l".to_owned()];
    let list = async || store.list("o/").await?.all().await.map(drop);
    let write = async || {
        let mut writer = store.writer("parts", 5 << 20).await?;
        writer.write(Bytes::from(vec![0; 11 << 20])).await?;
        writer.close().await.map(drop)
    };
    vec![
        store.put("k", Bytes::from_static(b"x")).await.map(drop),
        store.get("k").await.map(drop),
        store.get_range("k", 0..1).await.map(drop),
        list().await,
        store.copy("k", "l").await.map(drop),
        store.delete(&keys).await,
        write().await,
    ]
}

#[tokio::test]
async fn listing_goes_on_after_what_one_answer_holds() {
    let server = S3Server::start().await;
    let store = Store::open(&server.config()).await.unwrap();
    // A file is an object; a thousand requests to write them would prove nothing more.
    let folder = server.objects().join("o/r/segments/video");
    std::fs::create_dir_all(&folder).unwrap();
    let mut expected: Vec<String> = (0..1_205).map(|n| format!("o/r/segments/video/segment_{n:05}.m4s")).collect();
    for key in &expected {
        std::fs::write(server.objects().join(key), b"x").unwrap();
    }
    expected.sort();
    for beside in ["o/r/segments/videos", "o/r/segments/video.json", "o/r/result.mp4", "p/r/segments/video/x"] {
        store.put(beside, Bytes::from_static(b"x")).await.unwrap();
    }
    server.forget_counts();
    let mut listed = Vec::new();
    let mut listing = store.list("o/r/segments/video/").await.unwrap();
    loop {
        let page = listing.page(500).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 500);
        listed.extend(page.into_iter().map(|listed| listed.key));
    }
    listed.sort();
    assert_eq!(listed, expected);
    assert_eq!(server.count("ListObjectsV2"), 2);
}

#[tokio::test]
async fn large_object_goes_in_equal_parts_and_leaves_no_upload() {
    let server = S3Server::start().await;
    let store = Store::open(&server.config()).await.unwrap();
    let mut writer = store.writer("o/r/result.mp4", 5 << 20).await.unwrap();
    for _ in 0..12 {
        writer.write(Bytes::from(vec![7; 1 << 20])).await.unwrap();
    }
    assert_eq!(writer.close().await.unwrap().size_bytes, 12 << 20);
    // 5 + 5 + 2 MiB: the server refuses a part below 5 MiB that is not the last.
    let counts = server.counts();
    assert_eq!((counts["CreateMultipartUpload"], counts["UploadPart"], counts["CompleteMultipartUpload"]), (1, 3, 1));
    for ends_by in ["dropping", "aborting"] {
        let mut writer = store.writer("o/r/other.mp4", 5 << 20).await.unwrap();
        for _ in 0..11 {
            writer.write(Bytes::from(vec![7; 1 << 20])).await.unwrap();
        }
        assert!(!server.unfinished_uploads().is_empty());
        if ends_by == "aborting" {
            writer.abort().await;
            assert_eq!(server.unfinished_uploads(), [""; 0]);
        } else {
            drop(writer);
        }
        let none_left = async || server.unfinished_uploads().is_empty().then_some(());
        crate::support::wait::until(ends_by, Duration::from_secs(20), none_left).await;
        assert_eq!(store.stat("o/r/other.mp4").await.unwrap(), None);
    }
}

/// Requests are what a bucket is paid by.
#[tokio::test]
async fn each_operation_is_one_request() {
    use futures_util::TryStreamExt as _;
    let server = S3Server::start().await;
    let store = Store::open(&server.config()).await.unwrap();
    store.put("k", Bytes::from(vec![7; 5 << 20])).await.unwrap();
    store.get("k").await.unwrap();
    store.get_range("k", 1..4 << 20).await.unwrap();
    let pieces: Vec<Bytes> = store.stream("k", 0..5 << 20).await.unwrap().try_collect().await.unwrap();
    assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), 5 << 20);
    store.stat("k").await.unwrap();
    store.list("o/").await.unwrap().all().await.unwrap();
    store.delete(&["k", "l", "m"].map(str::to_owned)).await.unwrap();
    store.presign_get("k", Duration::from_secs(60)).await.unwrap();
    let counts: Vec<_> = server.counts().into_iter().collect();
    let expected = [("DeleteObjects", 1), ("GetObject", 3), ("HeadObject", 1), ("ListObjectsV2", 1), ("PutObject", 1)];
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn copy_of_a_large_object_stays_on_the_server() {
    let server = S3Server::start().await;
    let store = Store::open(&server.config()).await.unwrap();
    // A file with a hole: 65 MiB to the store, nothing on the disk.
    let file = std::fs::File::create(server.objects().join("from")).unwrap();
    file.set_len(65 << 20).unwrap();
    assert_eq!(store.copy("from", "to").await.unwrap().size_bytes, 65 << 20);
    assert_eq!(store.stat("to").await.unwrap().unwrap().size_bytes, 65 << 20);
    assert_eq!((server.count("UploadPartCopy"), server.count("GetObject"), server.count("UploadPart")), (2, 0, 0));
    assert_eq!(server.unfinished_uploads(), [""; 0]);
    server.forget_counts();
    store.put("small", Bytes::from_static(b"x")).await.unwrap();
    store.copy("small", "to").await.unwrap();
    let counts: Vec<_> = server.counts().into_iter().collect();
    assert_eq!(counts, [("CopyObject", 1), ("HeadObject", 1), ("PutObject", 1)]);
}

#[tokio::test]
async fn server_that_is_away_is_transient_and_comes_back() {
    let mut server = S3Server::start().await;
    let store = Store::open(&server.config()).await.unwrap();
    server.stop().await;
    for outcome in every_operation(&store).await {
        let begun = Instant::now();
        let error = outcome.unwrap_err();
        assert_eq!((error.fault(), error.class()), (Fault::Transient, "storage"), "{error:?}");
        assert!(matches!(&error, Error::Unavailable { key, .. } if !key.is_empty()), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    let error = store.put("o/r/k", Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(error.to_string(), "put o/r/k: store unavailable");
    assert!(store.stat("k").await.is_err(), "away is not absent");
    server.start_again().await;
    every_operation(&store).await.into_iter().for_each(Result::unwrap);
}

/// It takes connections and says nothing: what a network does that was cut in the middle.
#[tokio::test]
async fn server_that_hangs_is_given_up_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let taken = Arc::new(AtomicU32::new(0));
    let count = taken.clone();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            open.push(socket);
        }
    });
    let server = S3Server::start().await;
    let (timeout, io_timeout) = (Duration::from_millis(200), Duration::from_secs(2));
    let store = Store::open(&Config { endpoint, timeout, io_timeout, ..server.config() }).await.unwrap();
    let begun = Instant::now();
    let error = store.stat("k").await.unwrap_err();
    assert_eq!(error.fault(), Fault::Transient, "{error:?}");
    assert_eq!(taken.load(Ordering::Relaxed), 3, "tries");
    let begun_io = Instant::now();
    let error = store.get("k").await.unwrap_err();
    assert_eq!(error.fault(), Fault::Transient, "{error:?}");
    // All tries together have the time of one.
    assert!(begun_io.elapsed() < Duration::from_secs(4), "{:?}", begun_io.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn refused_keys_are_permanent() {
    let server = S3Server::start().await;
    let wrong_secret = Config { secret_access_key: Secret::new("another"), ..server.config() };
    let wrong_id = Config { access_key_id: Secret::new("AKIDOFNOBODY"), ..server.config() };
    for config in [wrong_secret, wrong_id] {
        let store = Store::open(&config).await.unwrap();
        for outcome in every_operation(&store).await {
            let error = outcome.unwrap_err();
            assert!(matches!(&error, Error::Refused { .. }) && error.fault() == Fault::Permanent, "{error:?}");
        }
        let error = store.check().await.unwrap_err();
        assert!(error.cure().contains("SPOOL__STORAGE__ACCESS_KEY_ID"), "{error}");
        assert!(!format!("{error:?}").contains("another"), "{error:?}");
    }
    assert!(server.counts().is_empty(), "{:?}", server.counts());
}

#[tokio::test]
async fn unknown_bucket_is_permanent_and_names_the_setting() {
    let server = S3Server::start().await;
    let store = Store::open(&Config { bucket: "another-bucket".to_owned(), ..server.config() }).await.unwrap();
    let error = store.check().await.unwrap_err();
    assert!(matches!(&error, Error::NoBucket { .. }) && error.fault() == Fault::Permanent, "{error:?}");
    assert!(error.to_string().contains("storage.bucket") && error.cure().contains("storage.bucket"), "{error}");
}
