//! A store whose n-th call goes wrong: what is tried again, what is not, and what is left.

use crate::support::S3Server;
use bytes::Bytes;
use domain::retry::{Classify as _, Fault as Class};
use std::time::{Duration, Instant};
use worker::storage::{Call, Config, Error, Fault, Faults, Service, Store};

async fn bucket() -> (S3Server, Store, Faults) {
    let (server, faults) = (S3Server::start().await, Faults::new());
    let store = Store::open_with(&server.config(), &faults).await.unwrap();
    (server, store, faults)
}

/// Makes one call of a kind; there is an object "k".
async fn make(store: &Store, call: Call) -> Result<(), Error> {
    match call {
        Call::Read => store.get("k").await.map(drop),
        Call::Write | Call::Finish | Call::Abort => store.put("k", Bytes::from_static(b"first")).await.map(drop),
        Call::Copy => store.copy("k", "l").await.map(drop),
        Call::Stat => store.stat("k").await.map(drop),
        Call::List => store.list("").await?.all().await.map(drop),
        Call::Delete => store.delete(&["m".to_owned()]).await,
    }
}

const EVERY: [Call; 7] = [Call::Read, Call::Write, Call::Finish, Call::Copy, Call::Stat, Call::List, Call::Delete];

#[tokio::test]
async fn what_fails_once_is_tried_again_inside_the_request() {
    let (_server, store, faults) = bucket().await;
    store.put("k", Bytes::from_static(b"first")).await.unwrap();
    for call in EVERY {
        let before = faults.calls(call);
        faults.set(call, 0..2, Fault::Fail);
        make(&store, call).await.unwrap_or_else(|error| panic!("{call:?}: {error:?}"));
        assert_eq!(faults.calls(call) - before, 3, "{call:?}");
        faults.clear();
    }
    assert_eq!(store.get("k").await.unwrap(), "first");
}

#[tokio::test]
async fn what_always_fails_is_given_up_after_so_many_tries() {
    let (_server, store, faults) = bucket().await;
    store.put("k", Bytes::from_static(b"first")).await.unwrap();
    for call in EVERY {
        let before = faults.calls(call);
        faults.set(call, 0..u64::MAX, Fault::Fail);
        let begun = Instant::now();
        let error = make(&store, call).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }) && error.fault() == Class::Transient, "{call:?} {error:?}");
        assert_eq!(faults.calls(call) - before, u64::from(Config::default().tries_max), "{call:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{call:?}");
        faults.clear();
    }
}

#[tokio::test]
async fn what_is_refused_is_not_tried_again() {
    let (_server, store, faults) = bucket().await;
    store.put("k", Bytes::from_static(b"first")).await.unwrap();
    for call in EVERY {
        let before = faults.calls(call);
        faults.set(call, 0..u64::MAX, Fault::Refuse);
        let error = make(&store, call).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }) && error.fault() == Class::Permanent, "{call:?} {error:?}");
        assert_eq!(faults.calls(call) - before, 1, "{call:?}");
        faults.clear();
    }
}

#[tokio::test]
async fn answer_that_is_lost_leaves_a_whole_object() {
    let (_server, store, faults) = bucket().await;
    faults.set(Call::Finish, 0..1, Fault::Forget);
    let error = store.put("l", Bytes::from_static(b"second")).await.unwrap_err();
    assert_eq!(error.fault(), Class::Transient, "nobody knows whether it is there");
    assert_eq!(store.get("l").await.unwrap(), "second");
    // What can be done again is done again.
    for call in [Call::Copy, Call::Delete] {
        let before = faults.calls(call);
        faults.set(call, 0..1, Fault::Forget);
        store.copy("l", "m").await.unwrap();
        store.delete(&["m".to_owned()]).await.unwrap();
        assert_eq!((faults.calls(call) - before, store.stat("m").await.unwrap()), (2, None), "{call:?}");
    }
}

#[tokio::test]
async fn slow_call_is_tried_again_and_bounded() {
    let (server, faults) = (S3Server::start().await, Faults::new());
    let config = Config { timeout: Duration::from_millis(300), ..server.config() };
    let store = Store::open_with(&config, &faults).await.unwrap();
    faults.set(Call::Stat, 0..1, Fault::Delay(Duration::from_secs(60)));
    let begun = Instant::now();
    assert_eq!(store.stat("k").await.unwrap(), None);
    assert!(begun.elapsed() < Duration::from_secs(5) && faults.calls(Call::Stat) == 2);
    // What is only slow is waited for.
    faults.set(Call::Stat, 0..1, Fault::Delay(Duration::from_millis(50)));
    assert_eq!(store.stat("k").await.unwrap(), None);
    assert_eq!(faults.calls(Call::Stat), 3);
}

/// Whoever asked for bytes gets all of them or an error, however the read ended.
#[tokio::test]
async fn read_that_comes_short_is_an_error() {
    use futures_util::TryStreamExt as _;
    let server = S3Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_string_lossy().into_owned();
    let memory = Config { service: Service::Memory, ..Config::default() };
    for config in [server.config(), Config { root, ..Config::default() }, memory] {
        let faults = Faults::new();
        let store = Store::open_with(&config, &faults).await.unwrap();
        store.put("k", Bytes::from(vec![7; 100_000])).await.unwrap();
        faults.set(Call::Read, 0..u64::MAX, Fault::Truncate(60_000));
        assert!(store.get_range("k", 0..100_000).await.is_err(), "{:?}", config.service);
        let read: Result<Vec<Bytes>, Error> = store.stream("k", 0..100_000).await.unwrap().try_collect().await;
        assert!(read.is_err(), "{:?}", config.service);
        let copied = store.copy("k", "l").await;
        // A server copies by itself.
        assert_eq!(copied.is_ok(), config.service == Service::S3, "{copied:?}");
        if config.service != Service::S3 {
            assert_eq!(store.stat("l").await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn upload_that_fails_in_the_middle_leaves_nothing() {
    let server = S3Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_string_lossy().into_owned();
    for config in [server.config(), Config { root, ..Config::default() }] {
        for call in [Call::Write, Call::Finish] {
            let faults = Faults::new();
            let store = Store::open_with(&config, &faults).await.unwrap();
            // The third piece of four, or the end of them all.
            let first = if call == Call::Write { 2 } else { 0 };
            faults.set(call, first..u64::MAX, Fault::Fail);
            let body = std::io::Cursor::new(vec![7; 30 << 20]);
            let error = store.put_from("o/r/result.mp4", body, 30 << 20).await.unwrap_err();
            assert_eq!(error.fault(), Class::Transient, "{error:?}");
            faults.clear();
            let gone = async || (faults.calls(Call::Abort) > 0 && server.unfinished_uploads().is_empty()).then_some(());
            crate::support::wait::until("parts are taken back", Duration::from_secs(20), gone).await;
            assert_eq!(store.stat("o/r/result.mp4").await.unwrap(), None);
            let aside = folder.path().join(".aside");
            let none_aside = async || {
                let names = std::fs::read_dir(&aside).unwrap().map(|entry| entry.unwrap().file_name());
                (names.filter(|name| name != "lock").count() == 0).then_some(())
            };
            if aside.exists() {
                crate::support::wait::until("nothing lies aside", Duration::from_secs(20), none_aside).await;
            }
        }
    }
}

#[tokio::test]
async fn calls_and_bytes_are_counted() {
    let faults = Faults::new();
    let config = Config { service: Service::Memory, ..Config::default() };
    let store = Store::open_with(&config, &faults).await.unwrap();
    store.put("k", Bytes::from(vec![7; 100_000])).await.unwrap();
    store.get_range("k", 10..20).await.unwrap();
    store.get("k").await.unwrap();
    store.delete(&["k".to_owned(), "l".to_owned()]).await.unwrap();
    assert_eq!((faults.calls(Call::Finish), faults.size_bytes(Call::Write)), (1, 100_000));
    assert_eq!((faults.calls(Call::Read), faults.size_bytes(Call::Read)), (2, 100_010));
    assert_eq!((faults.calls(Call::Delete), faults.calls(Call::List)), (2, 0));
}
