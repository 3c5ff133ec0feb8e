//! Uploads against a real HTTP server that fails: everything arrives once and whole, or the person is told.

use crate::server::{Failure, Server, TOKEN, cutting_proxy};
use bytes::Bytes;
use domain::id::RecordingId;
use domain::segment::{Name, Track};
use media::ff::segmenter::{Options, Pace};
use recorder::client::Endpoint;
use recorder::folder::Folder;
use recorder::upload::{Declaration, Settings, Upload};
use recorder::{Error, Notice, Observer, Session, Source};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn settings(base: &str) -> Settings {
    Settings::new(Endpoint {
        base: base.parse().unwrap(),
        recording: RecordingId::parse("rec").unwrap(),
        token: TOKEN.to_owned().into(),
    })
}

fn silent() -> Observer {
    Arc::new(|_| {})
}

/// What a recording of `count` segments per track consists of: every object has bytes of its own.
fn objects(count: u32) -> Vec<(Track, Name, Vec<u8>)> {
    let names = (0..=count).map(Name::of_index);
    names
        .flat_map(|name| Track::ALL.map(|track| (track, name)))
        .map(|(track, name)| (track, name, format!("{track}/{name};").repeat(2000).into_bytes()))
        .collect()
}

fn as_stored(objects: &[(Track, Name, Vec<u8>)]) -> BTreeMap<String, Vec<u8>> {
    objects.iter().map(|(track, name, bytes)| (format!("{track}/{name}"), bytes.clone())).collect()
}

async fn upload(settings: Settings, objects: &[(Track, Name, Vec<u8>)]) -> (u64, Result<Option<String>, Error>) {
    let mut upload = Upload::start(settings, silent()).unwrap();
    for (track, name, bytes) in objects {
        if upload.add(*track, *name, Bytes::from(bytes.clone())).await.is_err() {
            break;
        }
    }
    let last = objects.iter().map(|(_, name, _)| name.index()).max().unwrap();
    let last_index = Track::ALL.map(|track| (track, last)).into();
    let (uploaded, result) = upload.finish(Some(Declaration { last_index, duration_ms: 4711, complete: true })).await;
    (uploaded.retries, result)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_once_and_whole_when_the_server_fails_now_and_then() {
    let server = Server::start().await;
    let failures = [
        (0, Failure::Unready),
        (1, Failure::AnswerLost),
        (4, Failure::TooMany),
        (7, Failure::AnswerLost),
        (8, Failure::Damaged),
        (9, Failure::Unready),
    ];
    server.seen(|seen| seen.failures = failures.into());
    // The first connection dies in its first body, another one in its middle, one before the first byte.
    let proxy = cutting_proxy(server.address, &[(0, 20_000), (2, 70_000), (3, 1)]).await;
    let objects = objects(12);
    let (retries, result) = upload(settings(&format!("http://{proxy}/p")), &objects).await;
    assert_eq!(result.unwrap().as_deref(), Some("queued"));
    assert!(retries >= 7, "{retries} retries for 6 failures and 3 cuts, of which one may hit a heartbeat");
    server.seen(|seen| {
        assert!(seen.stored == as_stored(&objects), "every object is there, with its own bytes");
        assert!(seen.failures.is_empty(), "every failure was met");
        let stored = seen.stored.len();
        let declared =
            json!({"tracks": {"video": {"last_index": 12}, "audio": {"last_index": 12}}, "duration_ms": 4711});
        assert_eq!(seen.ends, [(declared, stored)], "declared once, after everything had arrived");
        assert_eq!(seen.completes, 1);
        for track in ["video", "audio"] {
            let order: Vec<_> = seen.order.iter().filter(|path| path.starts_with(track)).collect();
            assert_eq!(order[0], &format!("{track}/init.mp4"), "the initialization section is first");
            for (place, path) in order.iter().enumerate() {
                let index = Name::parse(path.split_once('/').unwrap().1).unwrap().index() as usize;
                assert!(index.abs_diff(place) <= 2, "{path} arrived at place {place}: more than three at once");
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_of_the_synthetic_source_arrives_byte_for_byte() {
    let server = Server::start().await;
    server.seen(|seen| seen.failures = [(2, Failure::Unready), (3, Failure::AnswerLost)].into());
    let out = tempfile::tempdir().unwrap();
    let mut upload = settings(&server.base());
    // Far less than one segment: each one passes alone, and the source waits.
    upload.memory_max_bytes = 1;
    let notices = Arc::new(Mutex::new(Vec::new()));
    let session = Session {
        source: "test:320x180@30".parse::<Source>().unwrap(),
        options: Options { limit: Some(Duration::from_secs(5)), ..Options::default() },
        out: Some(out.path().to_owned()),
        upload: Some(upload),
        complete: false,
        observer: {
            let notices = Arc::clone(&notices);
            Arc::new(move |notice| notices.lock().unwrap().push(notice))
        },
    };
    let (report, result) = session.run().await;
    result.unwrap();
    assert_eq!((report.duration_ms, report.retries, report.declared, report.completed), (5000, 2, true, None));
    for track in Track::ALL {
        assert_eq!((report.tracks[&track].segments, report.tracks[&track].sent), (3, 3));
    }
    let mut written = BTreeMap::new();
    for track in ["video", "audio"] {
        for entry in std::fs::read_dir(out.path().join(track)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            written.insert(format!("{track}/{name}"), std::fs::read(&path).unwrap());
        }
    }
    assert_eq!(written.len(), 8);
    server.seen(|seen| {
        assert!(seen.stored == written, "what was sent is what was written");
        assert!(seen.heartbeats >= 1);
        let declared = json!({"tracks": {"video": {"last_index": 3}, "audio": {"last_index": 3}}, "duration_ms": 5000});
        assert_eq!(seen.ends, [(declared, 8)]);
    });
    let notices = notices.lock().unwrap();
    let sent = notices.iter().filter(|notice| matches!(notice, Notice::Sent { .. })).count();
    assert_eq!((sent, notices.contains(&Notice::SourceEnded)), (8, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_an_answer_and_unsent_segments_are_kept() {
    let server = Server::start().await;
    let document = json!({"code": "recording-closed", "hint": "keep your files"});
    server.seen(|seen| {
        seen.refuse = Some(("video/segment_002.m4s".to_owned(), axum::http::StatusCode::CONFLICT, document))
    });
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&server.base());
    settings.keep_unsent = Some(Folder::create(&dir.path().join("kept")).unwrap());
    let objects = objects(9);
    let (retries, result) = upload(settings, &objects).await;
    let error = result.unwrap_err();
    assert_eq!((error.code(), error.exit_code(), retries), ("recording-closed", 5, 0));
    assert_eq!(
        error.to_string(),
        "put video/segment_002.m4s: the server refused it with recording-closed (409); keep your files"
    );
    server.seen(|seen| {
        assert_eq!(seen.attempts.iter().filter(|path| *path == "video/segment_002.m4s").count(), 1);
        assert!(seen.ends.is_empty() && seen.completes == 0, "a recording that is not whole is not declared");
        for (track, name, bytes) in &objects {
            let kept = std::fs::read(dir.path().join("kept").join(track.as_str()).join(name.to_string()));
            let stored = seen.stored.get(&format!("{track}/{name}"));
            // Both is right where the answer was still on its way when the upload ended. Objects after the refusal
            // were perhaps never taken.
            if stored.is_none() && kept.is_err() {
                assert!(name.index() > 2, "{track}/{name} is neither stored nor kept");
            }
            assert!(kept.is_err() || kept.unwrap() == *bytes);
        }
        assert!(dir.path().join("kept/video/segment_002.m4s").exists());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_apart() {
    let server = Server::start().await;
    let mut settings = settings(&server.base());
    settings.endpoint.token = "v1.other".to_owned().into();
    let (_, result) = upload(settings, &objects(1)).await;
    let error = result.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("unauthorized", 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_ends_patience_and_loses_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::create(&dir.path().join("kept")).unwrap();
    let mut settings = settings(&format!("http://{address}"));
    settings.patience = Duration::from_millis(600);
    settings.keep_unsent = Some(folder.clone());
    let objects = objects(3);
    let (retries, result) = upload(settings, &objects).await;
    let error = result.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("unreachable", 6));
    assert!(retries >= 1);
    for (track, name, bytes) in objects {
        assert_eq!(std::fs::read(folder.path(track, name)).unwrap(), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_segments_are_sent_later_and_then_declared() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let server = Server::start().await;
    let document = json!({"code": "recording-closed"});
    server.seen(|seen| {
        seen.refuse = Some(("audio/segment_002.m4s".to_owned(), axum::http::StatusCode::CONFLICT, document))
    });
    let session = |source: Source, keep: Option<Folder>| {
        let mut upload = settings(&server.base());
        upload.keep_unsent = keep;
        let options = Options { limit: Some(Duration::from_secs(7)), ..Options::default() };
        Session { source, options, out: None, upload: Some(upload), complete: false, observer: silent() }
    };
    let folder = Folder::create(&kept).unwrap();
    let (report, result) = session("test:320x180@30".parse().unwrap(), Some(folder.clone())).run().await;
    assert_eq!(result.unwrap_err().code(), "recording-closed");
    assert!(!report.declared && folder.left() > 0);
    let first_duration_ms = report.duration_ms;
    assert!(kept.join("audio/segment_002.m4s").exists() && kept.join("audio/init.mp4").exists());
    let made: BTreeMap<Track, u64> = report.tracks.iter().map(|(track, made)| (*track, made.segments)).collect();

    // Of one track everything had arrived: its last index is known from the declaration that was kept.
    std::fs::remove_dir_all(kept.join("video")).unwrap();
    server.seen(|seen| {
        (0..=9).for_each(|index| drop(seen.stored.insert(format!("video/{}", Name::of_index(index)), vec![])))
    });
    // Whoever closed the recording has opened it again.
    server.seen(|seen| seen.refuse = None);
    let (report, result) = session(kept.to_str().unwrap().parse().unwrap(), None).run().await;
    result.unwrap();
    assert!(report.declared);
    server.seen(|seen| {
        let (declared, _) = &seen.ends[0];
        for (track, segments) in made {
            assert_eq!(declared["tracks"][track.as_str()], json!({"last_index": segments}), "{declared}");
            for index in 0..=segments as u32 {
                assert!(seen.stored.contains_key(&format!("{track}/{}", Name::of_index(index))), "{track} {index}");
            }
        }
        assert_eq!(declared["duration_ms"], json!(first_duration_ms));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_longer_than_patience_is_survived_while_the_source_goes_on() {
    for keeps in [true, false] {
        let server = Server::start().await;
        // The initialization sections alone meet all of them: each track sends nothing else before its own has arrived.
        server.seen(|seen| seen.failures = (0..8).map(|call| (call, Failure::Unready)).collect());
        let dir = tempfile::tempdir().unwrap();
        let mut upload = settings(&server.base());
        upload.patience = Duration::from_millis(300);
        upload.keep_unsent = keeps.then(|| Folder::create(&dir.path().join("kept")).unwrap());
        // Room for one segment: a source that waits for it gives up no sooner.
        (upload.memory_max_bytes, upload.disk_max_bytes) = (1, 1);
        let options = Options { pace: Pace::Realtime, limit: Some(Duration::from_secs(5)), ..Options::default() };
        let source = "test:320x180@30".parse::<Source>().unwrap();
        let session = Session { source, options, out: None, upload: Some(upload), complete: false, observer: silent() };
        let (report, result) = session.run().await;
        result.unwrap();
        assert!((report.declared, report.retries) == (true, 8), "{report:?}");
        assert_eq!(Folder::create(&dir.path().join("kept")).unwrap().left(), 0);
        assert!(server.seen(|seen| seen.stored.len()) == 8);
    }
}

/// The source waits for room that a server which is away never makes; whoever asks it to stop is not kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_waits_for_room_can_be_stopped() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut upload = settings(&format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    (upload.memory_max_bytes, upload.patience) = (1, Duration::from_millis(500));
    let options = Options { pace: Pace::Realtime, ..Options::default() };
    let (stop, retries) = (options.stop.clone(), Arc::new(Mutex::new(0)));
    let observer: Observer = {
        let retries = Arc::clone(&retries);
        Arc::new(move |notice| {
            if let Notice::Retry { .. } = notice {
                *retries.lock().unwrap() += 1;
                // By then patience alone would be over.
                if *retries.lock().unwrap() == 4 {
                    stop.ask();
                }
            }
        })
    };
    let source = "test:320x180@30".parse::<Source>().unwrap();
    let session = Session { source, options, out: None, upload: Some(upload), complete: false, observer };
    let (_, result) = session.run().await;
    assert_eq!(result.unwrap_err().code(), "unreachable");
    assert!(*retries.lock().unwrap() >= 4);
}

fn past(base: &str) -> Settings {
    Settings { direct: true, ..settings(base) }
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_go_past_the_server_where_it_signs_urls() {
    let server = Server::start().await;
    server.seen(|seen| (seen.signs, seen.stale) = (true, vec![0, 9]));
    let objects = objects(12);
    let (_, result) = upload(past(&server.base()), &objects).await;
    assert_eq!(result.unwrap().as_deref(), Some("queued"));
    server.seen(|seen| {
        assert!(seen.stored == as_stored(&objects), "every object is there, with its own bytes");
        assert_eq!(
            (seen.attempts.len(), seen.past),
            (0, objects.len() + 2),
            "none through it; stale URLs were renewed"
        );
        assert_eq!(seen.presigns.iter().sum::<usize>(), objects.len() + 2);
        assert!(seen.presigns.len() < objects.len(), "several at once: {:?}", seen.presigns);
        assert_eq!(seen.ends.len(), 1);
        for track in ["video", "audio"] {
            let first = seen.order.iter().find(|path| path.starts_with(track));
            assert_eq!(first, Some(&format!("{track}/init.mp4")));
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_go_through_the_server_where_the_way_past_it_fails() {
    // It signs nothing: asked once, for both tracks that begin at the same moment and then for each.
    let server = Server::start().await;
    let objects = objects(4);
    let (retries, result) = upload(past(&server.base()), &objects).await;
    result.unwrap();
    server.seen(|seen| {
        assert!(seen.stored == as_stored(&objects));
        assert_eq!((seen.attempts.len(), retries, seen.past), (objects.len(), 0, 0));
        assert!(seen.presigns.len() <= 3, "{:?}", seen.presigns);
    });
    // What arrived in the store is not what was sent, and a URL that is refused twice is not asked for again.
    let server = Server::start().await;
    server.seen(|seen| (seen.signs, seen.stale) = (true, vec![0, 1, 2, 3]));
    server.seen(|seen| seen.lost = vec!["audio/segment_002.m4s".to_owned()]);
    let (_, result) = upload(past(&server.base()), &objects).await;
    result.unwrap();
    server.seen(|seen| {
        assert!(seen.stored == as_stored(&objects));
        let mut through = seen.attempts.clone();
        through.sort();
        assert!(through.contains(&"audio/segment_002.m4s".to_owned()), "{through:?}");
        assert!((2..=3).contains(&through.len()), "{through:?}");
    });
}
