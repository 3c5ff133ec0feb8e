//! One suite that every kind of store must pass.

use crate::support::S3Server;
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

async fn bucket() -> (S3Server, Store) {
    let server = S3Server::start().await;
    let store = Store::open(&server.config()).await.unwrap();
    (server, store)
}

/// A bucket that others use too.
async fn prefix() -> (S3Server, Store) {
    let server = S3Server::start().await;
    let others = Store::open(&server.config()).await.unwrap();
    others.put("o/r/of_others", Bytes::from_static(b"x")).await.unwrap();
    others.put("below/itself.not", Bytes::from_static(b"x")).await.unwrap();
    others.put("below/thisnot", Bytes::from_static(b"x")).await.unwrap();
    let store = Store::open(&Config { root: "/below/this/".to_owned(), ..server.config() }).await.unwrap();
    (server, store)
}

macro_rules! suite {
    ($($test:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test] async fn $test() { super::$test(&super::memory().await).await; })*
        }
        mod in_a_folder {
            $(#[tokio::test] async fn $test() { let (_kept, store) = super::folder().await; super::$test(&store).await; })*
        }
        mod in_a_bucket {
            $(#[tokio::test] async fn $test() { let (_kept, store) = super::bucket().await; super::$test(&store).await; })*
        }
        mod below_a_prefix {
            $(#[tokio::test] async fn $test() { let (_kept, store) = super::prefix().await; super::$test(&store).await; })*
        }
    };
}

suite!(
    check_leaves_nothing,
    put_is_read_back_whole_and_in_ranges,
    put_replaces,
    read_under_way_is_of_one_object,
    put_from_streams_any_length,
    put_from_refuses_another_length,
    writer_appears_only_when_closed,
    range_that_ends_after_the_object_is_short,
    copy_is_whole_and_leaves_what_was_copied,
    many_copies_of_one_key_leave_one_whole_object,
    tag_stays_as_long_as_the_bytes_do,
    what_is_not_there_is_said_so,
    list_gives_every_object_once_in_pages,
    list_after_a_key_leaves_out_nothing_behind_it,
    delete_is_repeatable,
    delete_takes_more_than_one_request_holds,
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
    use futures_util::TryStreamExt as _;
    let stream = store.stream("o/r/a.bin", 10..90_000).await.unwrap();
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(pieces.concat(), content[10..90_000]);
    store.put("o/r/empty", Bytes::new()).await.unwrap();
    assert_eq!(store.get("o/r/empty").await.unwrap(), Bytes::new());
}

async fn range_that_ends_after_the_object_is_short(store: &Store) {
    store.put("k", bytes(100_000).into()).await.unwrap();
    for range in [99_999..100_001, 100_000..100_001, 200_000..200_010] {
        let short = store.get_range("k", range.clone()).await.unwrap_err();
        assert!(matches!(short, Error::Short { .. }), "{range:?}: {short:?}");
        assert_eq!(short.fault(), Fault::Permanent);
    }
}

async fn copy_is_whole_and_leaves_what_was_copied(store: &Store) {
    for (length, to) in [(0, "o/r/empty"), (100_000, "o/r/segments/.incoming/copy"), (9 << 20, "o/r/large")] {
        let content = bytes(length);
        store.put("o/r/from", content.clone().into()).await.unwrap();
        store.put(to, Bytes::from_static(b"what was there before")).await.unwrap();
        let meta = store.copy("o/r/from", to).await.unwrap();
        assert_eq!(meta.size_bytes, length as u64);
        assert_eq!(store.stat(to).await.unwrap().unwrap(), meta);
        assert!(store.get(to).await.unwrap() == content, "{length}");
        assert!(store.get("o/r/from").await.unwrap() == content, "{length}");
    }
    let absent = store.copy("o/r/none", "o/r/to").await.unwrap_err();
    assert_eq!((absent.to_string().as_str(), absent.fault()), ("copy o/r/none: object not found", Fault::Permanent));
    assert_eq!(store.stat("o/r/to").await.unwrap(), None);
}

/// Two attempts of one job may copy the same at once; who reads meanwhile must not see half of it.
async fn many_copies_of_one_key_leave_one_whole_object(store: &Store) {
    let content = bytes(3 << 20);
    store.put("from", content.clone().into()).await.unwrap();
    store.copy("from", "to").await.unwrap();
    let copies = (0..8).map(async |_| store.copy("from", "to").await.map(drop));
    let reads = (0..8).map(async |_| assert!(store.get("to").await.unwrap() == content));
    let (copies, _) =
        futures_util::join!(futures_util::future::join_all(copies), futures_util::future::join_all(reads));
    copies.into_iter().for_each(Result::unwrap);
}

async fn tag_stays_as_long_as_the_bytes_do(store: &Store) {
    let put = store.put("k", Bytes::from_static(b"first")).await.unwrap();
    let first = store.stat("k").await.unwrap().unwrap();
    assert_eq!((&put, &first), (&first, &store.stat("k").await.unwrap().unwrap()));
    let listed = store.list("").await.unwrap().all().await.unwrap().remove(0);
    assert!(listed.etag.is_none() || listed.etag == first.etag, "{listed:?}");
    let etag = first.etag.as_deref();
    assert_eq!(store.get_range_of("k", 1..3, etag).await.unwrap().bytes, "ir");
    store.put("k", Bytes::from_static(b"other")).await.unwrap();
    let other = store.stat("k").await.unwrap().unwrap();
    let read = store.get_range_of("k", 1..3, etag).await;
    match etag {
        Some(_) => {
            assert_ne!(other.etag, first.etag);
            assert!(matches!(read, Err(Error::Changed { .. })), "{read:?}");
        }
        None => assert_eq!(read.unwrap().bytes, "th", "a store without tags cannot tell"),
    }
}

async fn put_replaces(store: &Store) {
    store.put("k", Bytes::from_static(b"longer than the next")).await.unwrap();
    store.put("k", Bytes::from_static(b"next")).await.unwrap();
    assert_eq!(store.get("k").await.unwrap(), "next");
}

async fn read_under_way_is_of_one_object(store: &Store) {
    use futures_util::TryStreamExt as _;
    store.put("k", Bytes::from(vec![1; 6 << 20])).await.unwrap();
    let mut stream = Box::pin(store.stream("k", 0..6 << 20).await.unwrap());
    let mut read = stream.try_next().await.unwrap().unwrap().to_vec();
    store.put("k", Bytes::from(vec![2; 6 << 20])).await.unwrap();
    while let Some(piece) = stream.try_next().await.unwrap() {
        read.extend_from_slice(&piece);
    }
    assert!(read.len() == 6 << 20 && read.iter().all(|byte| *byte == 1));
    assert!(store.get("k").await.unwrap().iter().all(|byte| *byte == 2));
}

async fn put_from_streams_any_length(store: &Store) {
    // Around the border between one request and several parts.
    for length in [0, 1, 8 << 20, (8 << 20) + 1, 17 << 20] {
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

async fn list_after_a_key_leaves_out_nothing_behind_it(store: &Store) {
    let key = |n: u32| format!("o/r/segments/video/segment_{n:03}.m4s");
    for n in 1..=9 {
        store.put(&key(n), Bytes::from_static(b"x")).await.unwrap();
    }
    store.put("o/r/segments/w", Bytes::from_static(b"x")).await.unwrap();
    let listing = store.list_after("o/r/segments/video/", &key(6)).await.unwrap();
    let mut listed: Vec<String> = listing.all().await.unwrap().into_iter().map(|listed| listed.key).collect();
    listed.sort();
    assert!(listed.ends_with(&[key(7), key(8), key(9)]), "{listed:?}");
    assert!(listed.iter().all(|key| key.starts_with("o/r/segments/video/")), "{listed:?}");
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

async fn delete_takes_more_than_one_request_holds(store: &Store) {
    let all: Vec<String> = (0..2_001).map(|n| format!("o/r/{n}")).collect();
    let there = ["o/r/0", "o/r/999", "o/r/1000", "o/r/2000"];
    for key in there {
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    store.put("o/r2/kept", Bytes::from_static(b"x")).await.unwrap();
    store.delete(&all).await.unwrap();
    assert_eq!(keys(store, "").await, ["o/r2/kept"]);
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
    let aside = std::fs::read_dir(folder.path().join("objects/.aside")).unwrap();
    let aside: Vec<_> = aside.map(|entry| entry.unwrap().file_name()).filter(|name| name != "lock").collect();
    assert!(aside.is_empty(), "{aside:?}");
    let error = store.put("../outside", Bytes::from_static(b"x")).await;
    assert_eq!(error.unwrap_err().fault(), Fault::Permanent);
    assert!(!folder.path().join("outside").exists());
}

/// Names of everything below the root of a folder but what is written aside.
fn folders(root: &std::path::Path) -> Vec<String> {
    let names = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".aside").collect()
}

#[tokio::test]
async fn folder_keeps_no_folder_without_objects() {
    let (folder, store) = folder().await;
    let root = folder.path().join("objects");
    store.check().await.unwrap();
    assert!(folders(&root).is_empty(), "{:?}", folders(&root));
    let keys = ["o/r/segments/video/init.mp4", "o/r/segments/audio/init.mp4", "o/r/result.mp4"].map(str::to_owned);
    for key in &keys {
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    store.delete(&keys[..2]).await.unwrap();
    assert_eq!(folders(&root.join("o/r")), ["result.mp4"]);
    store.delete(&keys).await.unwrap();
    assert!(folders(&root).is_empty(), "{:?}", folders(&root));
    // What was begun before its folder went away still gets its name.
    store.put("o/r/a", Bytes::from_static(b"x")).await.unwrap();
    let mut writer = store.writer("o/r/b", 5 << 20).await.unwrap();
    writer.write(bytes(6 << 20).into()).await.unwrap();
    store.delete(&["o/r/a".to_owned()]).await.unwrap();
    assert!(folders(&root).is_empty(), "{:?}", folders(&root));
    writer.close().await.unwrap();
    assert_eq!(store.stat("o/r/b").await.unwrap().unwrap().size_bytes, 6 << 20);
}

/// Two stores on one folder stand for two processes: locks are of the open file, not of the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_folder_is_taken_away_from_under_a_writer() {
    let (folder, store) = folder().await;
    let root = folder.path().join("objects").to_string_lossy().into_owned();
    let other = Store::open(&Config { root, ..Config::default() }).await.unwrap();
    let writes = |store: Store, name: &'static str| async move {
        for n in 0..100 {
            let key = format!("o/r/{name}/{n}");
            store.put(&key, Bytes::from_static(b"x")).await.unwrap();
            store.delete(&[key]).await.unwrap();
        }
    };
    let run = [("a", &store), ("a", &other), ("b", &store), ("b", &other)];
    let all = run.map(|(name, store)| tokio::spawn(writes(store.clone(), name)));
    for one in all {
        one.await.unwrap();
    }
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

/// A volume that is not mounted leaves an empty folder, or none.
#[tokio::test]
async fn folder_that_is_not_there_is_not_made_again() {
    let (folder, store) = folder().await;
    let (root, elsewhere) = (folder.path().join("objects"), folder.path().join("elsewhere"));
    store.put("o/r/a", Bytes::from_static(b"x")).await.unwrap();
    std::fs::rename(&root, &elsewhere).unwrap();
    for mounted in [false, true] {
        let small = store.put("o/r/b", Bytes::from_static(b"x")).await.unwrap_err();
        let large = store.writer("o/r/c", 5 << 20).await.err().unwrap();
        let (seen, whole) = (store.stat("o/r/a").await.unwrap_err(), store.get("o/r/a").await.unwrap_err());
        let part = store.get_range("o/r/a", 0..1).await.unwrap_err();
        let listed = store.list("o/r/").await.unwrap().all().await.unwrap_err();
        for error in [small, large, seen, whole, part, listed] {
            assert_eq!((error.fault(), error.class()), (Fault::Transient, "storage"), "{error:?}");
        }
        if mounted {
            assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "nothing is written beside the store");
        } else {
            assert!(!root.exists());
            std::fs::create_dir(&root).unwrap();
        }
    }
    std::fs::remove_dir(&root).unwrap();
    std::fs::rename(&elsewhere, &root).unwrap();
    store.put("o/r/b", Bytes::from_static(b"x")).await.unwrap();
    assert!(store.stat("o/r/a").await.unwrap().is_some());
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
