//! One suite that every kind of store must pass.

use bytes::Bytes;
use domain::retry::{Classify as _, Fault};
use std::io::Cursor;
use worker::storage::{Config, Error, Service, Store};

/// Bytes that show where they come from.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 % 251) as u8).collect()
}

async fn memory() -> Store {
    Store::open(&Config { service: Service::Memory, ..Config::default() }).await.unwrap()
}

async fn folder() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("objects").to_string_lossy().into_owned();
    let store = Store::open(&Config { root, ..Config::default() }).await.unwrap();
    (folder, store)
}

macro_rules! suite {
    ($($test:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test] async fn $test() { super::$test(&super::memory().await).await; })*
        }
        mod in_a_folder {
            $(#[tokio::test] async fn $test() { let (_kept, store) = super::folder().await; super::$test(&store).await; })*
        }
    };
}

suite!(
    check_leaves_nothing,
    put_is_read_back_whole_and_in_ranges,
    put_replaces,
    put_from_streams_any_length,
    put_from_refuses_another_length,
    writer_appears_only_when_closed,
    what_is_not_there_is_said_so,
    list_gives_every_object_once_in_pages,
    delete_is_repeatable,
    many_writers_of_one_key_leave_one_whole_object,
);

async fn keys(store: &Store, prefix: &str) -> Vec<String> {
    let mut keys: Vec<_> = store.list(prefix).await.unwrap().all().await.unwrap().into_iter().map(|l| l.key).collect();
    keys.sort();
    keys
}

async fn check_leaves_nothing(store: &Store) {
    store.check().await.unwrap();
    assert!(keys(store, "").await.is_empty());
}

async fn put_is_read_back_whole_and_in_ranges(store: &Store) {
    let content = bytes(100_000);
    let meta = store.put("o/r/a.bin", content.clone().into()).await.unwrap();
    assert_eq!(meta.size_bytes, 100_000);
    assert_eq!(store.stat("o/r/a.bin").await.unwrap().unwrap().size_bytes, 100_000);
    assert_eq!(store.get("o/r/a.bin").await.unwrap(), content);
    for range in [0..1, 0..100_000, 99_999..100_000, 5..5, 1_000..50_000] {
        let (from, to) = (range.start as usize, range.end as usize);
        assert_eq!(store.get_range("o/r/a.bin", range).await.unwrap(), content[from..to]);
    }
    let short = store.get_range("o/r/a.bin", 99_999..100_001).await.unwrap_err();
    assert!(matches!(short, Error::Short { .. } | Error::Unavailable { .. }), "{short:?}");
    use futures_util::TryStreamExt as _;
    let stream = store.stream("o/r/a.bin", 10..90_000).await.unwrap();
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(pieces.concat(), content[10..90_000]);
    store.put("o/r/empty", Bytes::new()).await.unwrap();
    assert_eq!(store.get("o/r/empty").await.unwrap(), Bytes::new());
}

async fn put_replaces(store: &Store) {
    store.put("k", Bytes::from_static(b"longer than the next")).await.unwrap();
    store.put("k", Bytes::from_static(b"next")).await.unwrap();
    assert_eq!(store.get("k").await.unwrap(), "next");
}

async fn put_from_streams_any_length(store: &Store) {
    // Around the border between one request and several parts.
    for length in [0, 1, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, 20 << 20] {
        let content = bytes(length);
        let meta = store.put_from("k", Cursor::new(content.clone()), length as u64).await.unwrap();
        assert_eq!(meta.size_bytes, length as u64);
        assert!(store.get("k").await.unwrap() == content, "{length}");
    }
}

async fn put_from_refuses_another_length(store: &Store) {
    for (length, told) in [(10, 11), (10, 9), (20 << 20, (20 << 20) + 1), (20 << 20, (20 << 20) - 1)] {
        let error = store.put_from("k", Cursor::new(bytes(length)), told).await.unwrap_err();
        assert!(matches!(error, Error::Short { .. }), "{error:?}");
        assert_eq!(error.fault(), Fault::Permanent);
        assert_eq!(store.stat("k").await.unwrap(), None, "{length} {told}");
    }
}

async fn writer_appears_only_when_closed(store: &Store) {
    let content = bytes(13 << 20);
    let write = async |store: &Store| {
        let mut writer = store.writer("o/r/result.mp4", 5 << 20).await.unwrap();
        for piece in content.chunks(1 << 20) {
            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        writer
    };
    drop(write(store).await);
    assert_eq!(store.stat("o/r/result.mp4").await.unwrap(), None);
    write(store).await.abort().await;
    assert_eq!(store.stat("o/r/result.mp4").await.unwrap(), None);
    let meta = write(store).await.close().await.unwrap();
    assert_eq!(meta.size_bytes, content.len() as u64);
    assert!(store.get("o/r/result.mp4").await.unwrap() == content);
    // What is there stays as it is until the next one is closed.
    drop(write(store).await);
    assert!(store.get("o/r/result.mp4").await.unwrap() == content);
    assert_eq!(keys(store, "").await, ["o/r/result.mp4"]);
}

async fn what_is_not_there_is_said_so(store: &Store) {
    assert_eq!(store.stat("o/none").await.unwrap(), None);
    store.put("o/some/thing", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(store.stat("o/some").await.unwrap(), None, "a folder is no object");
    for error in [store.get("o/none").await.unwrap_err(), store.get_range("o/none", 0..1).await.unwrap_err()] {
        assert!(error.is_not_found(), "{error:?}");
        assert_eq!((error.to_string().as_str(), error.fault()), ("get o/none: object not found", Fault::Permanent));
    }
}

async fn list_gives_every_object_once_in_pages(store: &Store) {
    let mut expected = Vec::new();
    for n in 0..25 {
        let key = format!("o/r/segments/video/segment_{n:03}.m4s");
        store.put(&key, bytes(n).into()).await.unwrap();
        expected.push(key);
    }
    for other in ["o/r2/x", "o/r/result.mp4", "p/r/segments/video/x"] {
        store.put(other, Bytes::from_static(b"x")).await.unwrap();
    }
    assert_eq!(keys(store, "o/r/segments/").await, expected);
    assert!(keys(store, "o/none/").await.is_empty());
    assert_eq!(keys(store, "").await.len(), 28);
    let mut listing = store.list("o/r/segments/").await.unwrap();
    let (mut sizes, mut seen) = (Vec::new(), Vec::new());
    loop {
        let page = listing.page(10).await.unwrap();
        if page.is_empty() {
            break;
        }
        sizes.push(page.len());
        seen.extend(page);
    }
    assert_eq!(sizes, [10, 10, 5]);
    for listed in seen {
        let n: u64 = listed.key[listed.key.len() - 7..listed.key.len() - 4].parse().unwrap();
        assert_eq!(listed.size_bytes, n);
    }
}

async fn delete_is_repeatable(store: &Store) {
    let all: Vec<String> = (0..30).map(|n| format!("o/r/{n}")).collect();
    for key in &all {
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    store.delete(&all[..20]).await.unwrap();
    store.delete(&all).await.unwrap();
    store.delete(&all).await.unwrap();
    store.delete(&[]).await.unwrap();
    assert!(keys(store, "").await.is_empty());
}

async fn many_writers_of_one_key_leave_one_whole_object(store: &Store) {
    let puts = (0..16_u8).map(|n| store.put("k", Bytes::from(vec![n; 1 << 20])));
    for put in futures_util::future::join_all(puts).await {
        put.unwrap();
    }
    let object = store.get("k").await.unwrap();
    assert!(object.len() == 1 << 20 && object.iter().all(|byte| *byte == object[0]));
}

#[tokio::test]
async fn folder_keeps_nothing_beside_its_objects() {
    let (folder, store) = folder().await;
    store.put("o/r/a", Bytes::from_static(b"x")).await.unwrap();
    let mut writer = store.writer("o/r/b", 5 << 20).await.unwrap();
    writer.write(bytes(6 << 20).into()).await.unwrap();
    writer.abort().await;
    let aside = std::fs::read_dir(folder.path().join("objects/.aside")).unwrap().count();
    assert_eq!(aside, 0);
    let error = store.put("../outside", Bytes::from_static(b"x")).await;
    assert!(error.is_err() || !folder.path().join("outside").exists());
    assert!(!folder.path().join("outside").exists());
}

#[tokio::test]
async fn folder_that_is_in_the_way_is_a_store_that_is_away() {
    let (folder, store) = folder().await;
    let root = folder.path().join("objects");
    std::fs::remove_dir_all(&root).unwrap();
    std::fs::write(&root, b"in the way").unwrap();
    let error = store.put("o/r/a", Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!((error.fault(), error.class()), (Fault::Transient, "storage"), "{error:?}");
    assert!(store.check().await.is_err());
}

/// The bound of one piece is not that of a large object: its last step makes all of it durable at once.
#[tokio::test]
async fn large_object_is_given_time_to_become_durable() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_string_lossy().into_owned();
    let config = Config { root, io_timeout: std::time::Duration::from_millis(1), ..Config::default() };
    let store = Store::open(&config).await.unwrap();
    let mut writer = store.writer("o/r/result.mp4", 8 << 20).await.unwrap();
    for _ in 0..4 {
        writer.write(Bytes::from(bytes(8 << 20))).await.unwrap();
    }
    assert_eq!(writer.close().await.unwrap().size_bytes, 32 << 20);
}
