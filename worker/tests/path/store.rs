//! The same path where segments wait in an object store: two servers without a volume, a worker beside them, a real S3
//! server, a real recorder.

use crate::support::api::Recording;
use crate::support::{Api, PATIENCE, S3Server, Set, Site, assert_pictures, invariants, packets, wait};
use domain::id::RecordingId;
use media::ff::segmenter::{Options, Pace};
use media::ff::synth;
use recorder::client::Endpoint;
use recorder::{Report, Session, Source, upload};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// A site whose segments wait in the store.
async fn on_s3() -> (S3Server, Site) {
    let (server, mut site) = (S3Server::start().await, Site::new().await);
    for (variable, value) in server.env() {
        site.set(variable, &value);
    }
    site.set("SPOOL__STAGING__MODE", "store");
    (server, site)
}

/// Records, keeps what was sent in `sent`, and asks for the result.
async fn record(api: &Api, recording: &Recording, sent: &std::path::Path, direct: bool, options: Options) -> Report {
    let endpoint = Endpoint {
        base: api.base.parse().unwrap(),
        recording: RecordingId::parse(&recording.id).unwrap(),
        token: recording.upload_token.clone().into(),
    };
    let session = Session {
        source: Source::Test(synth::Config { width: 320, height: 180, ..synth::Config::default() }),
        options,
        out: Some(sent.to_owned()),
        upload: Some(upload::Settings { direct, ..upload::Settings::new(endpoint) }),
        complete: true,
        observer: Arc::new(|_| {}),
    };
    let (report, result) = session.run().await;
    result.unwrap();
    report
}

/// Nothing is left incoming.
async fn incoming_is_empty(server: &S3Server, recording: &Recording) {
    let incoming = server.objects().join(format!("owner-1/{}/segments/.incoming", recording.id));
    wait::until("nothing is left incoming", PATIENCE, async || {
        let left = std::fs::read_dir(&incoming).map_or(0, |entries| entries.count());
        (left == 0).then_some(())
    })
    .await;
}

/// The result holds what was sent, and every rule holds.
async fn result_is_whole(server: &S3Server, site: &Site, recording: &Recording, sent: &std::path::Path) {
    let prefix = server.objects().join(format!("owner-1/{}", recording.id));
    packets::assert_same_packets(&prefix.join("result.mp4"), sent);
    packets::assert_decodes(&prefix.join("result.mp4"));
    assert!(!site.staging().exists(), "no process made a folder");
    invariants::hold(site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_take_in_without_a_volume() {
    let (server, site) = on_s3().await;
    let (_first, api) = site.serve().await;
    let (_second, other) = site.serve().await;
    let set = Set::synthetic(Duration::from_secs(7));
    let sent = site.folder().join("sent");
    set.write_to(&sent);
    let recording = api.create("owner-1").await;
    // Nobody works yet: what is acknowledged is in the store, and no server brings it on.
    for (n, (track, name, bytes)) in set.objects().into_iter().enumerate() {
        let answer = [&api, &other][n % 2].put(&recording, track, name, bytes).await;
        assert_eq!((answer.status, &answer.body["state"]), (201, &json!("received")), "{track}/{name}: {answer:?}");
        // The answer was lost, and the recorder asks the other one.
        let again = [&other, &api][n % 2].put(&recording, track, name, bytes).await;
        assert_eq!((again.status, &again.body["state"]), (200, &json!("received")), "{track}/{name}: {again:?}");
    }
    assert_eq!(site.count("SELECT count(*) FROM queue.attempt", []).await, 0);
    server.forget_counts();
    let _work = site.work();
    api.end(&recording, &set).await;
    api.complete(&recording).await;
    api.until_state(&recording, "ready").await;
    let objects = u64::try_from(set.objects().len()).unwrap();
    // And one of the worker's own, when it tried the store at its start.
    assert_eq!(server.count("CopyObject"), objects + 1, "the store copies by itself: {:?}", server.counts());
    incoming_is_empty(&server, &recording).await;
    assert_pictures(&other, &recording).await;
    result_is_whole(&server, &site, &recording, &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorder_sends_past_the_servers() {
    let (server, site) = on_s3().await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let recording = api.create("owner-1").await;
    let sent = site.folder().join("sent");
    let options = Options { pace: Pace::Fast, limit: Some(Duration::from_secs(8)), ..Options::default() };
    let report = record(&api, &recording, &sent, true, options).await;
    assert!(report.declared && report.retries == 0, "{report:?}");
    let ready = api.until_state(&recording, "ready").await;
    assert_eq!((&ready["tail_confirmed"], &ready["gaps"]), (&json!(true), &json!([])));
    // Both processes tried the store at their start.
    assert_eq!(server.count("CopyObject"), 2, "what nobody has hashed is read, not copied");
    incoming_is_empty(&server, &recording).await;
    result_is_whole(&server, &site, &recording, &sent).await;
}

/// The store goes away while it is recorded and comes back: the recorder is told so, waits, and nothing is missing.
#[tokio::test(flavor = "multi_thread")]
async fn store_away_while_recording_leaves_no_gap() {
    let (mut server, site) = on_s3().await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let recording = api.create("owner-1").await;
    let sent = site.folder().join("sent");
    let (recording, api) = (&recording, &api);
    // It goes on until it has been told: one that is only so long may have sent everything before somebody sees that
    // anything is stored.
    let options = Options { pace: Pace::Realtime, target: Duration::from_secs(1), ..Options::default() };
    let enough = options.stop.clone();
    let outage = async {
        wait::until("something is stored", PATIENCE, async || {
            (site.count("SELECT count(*) FROM spool.segment WHERE state = 'stored'", []).await > 0).then_some(())
        })
        .await;
        server.stop().await;
        wait::until("the recorder has been told", PATIENCE, async || {
            let metrics = reqwest::get(format!("{}/metrics", api.base)).await.ok()?.text().await.ok()?;
            let told = "spool_segments_total{outcome=\"refused\"}";
            metrics.lines().any(|line| line.starts_with(told) && !line.ends_with(" 0")).then_some(())
        })
        .await;
        server.start_again().await;
        enough.ask();
    };
    let (report, ()) = tokio::join!(record(api, recording, &sent, false, options), outage);
    assert!(report.declared && report.retries > 0, "{report:?}");
    let ready = api.until_state(recording, "ready").await;
    assert_eq!((&ready["tail_confirmed"], &ready["gaps"]), (&json!(true), &json!([])));
    assert!(site.attempts("upload").await.iter().all(|outcome| outcome != "discarded"));
    // The store may have gone between a commit and the removal of what had been staged. That is left to `sweep`, which
    // takes nothing that is younger than some minutes.
    result_is_whole(&server, &site, recording, &sent).await;
}
