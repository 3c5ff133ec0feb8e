//! Nothing goes wrong: one recording, ten signals, two workers, a restart.

use crate::support::{PATIENCE, Set, Site, assert_pictures, invariants, packets, wait};
use domain::segment::{Name, Track};
use postgres::{Cluster, Profile, Shutdown};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn recording_becomes_a_verified_result_and_its_segments_go() {
    let mut site = Site::new().await;
    site.set("SPOOL__CLEANUP__GRACE", "2s");
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let set = Set::synthetic(Duration::from_secs(5));
    let sent = site.folder().join("sent");
    set.write_to(&sent);

    let recording = api.create("owner-1").await;
    assert_eq!(api.status(&recording).await["state"], "live");
    api.put_set(&recording, &set).await;
    assert_eq!(api.end(&recording, &set).await.status, 202);
    assert_eq!(api.complete(&recording).await, "queued");
    let ready =
        api.until(&recording, "ready", |status| status["state"] == "ready" || status["state"] == "archived").await;

    let result = site.objects().join(format!("owner-1/{}/result.mp4", recording.id));
    assert_eq!(ready["result"]["bytes"], json!(std::fs::metadata(&result).unwrap().len()));
    assert_eq!(ready["result"]["duration_ms"].as_u64().unwrap().abs_diff(set.duration_ms), 0, "{ready}");
    assert_eq!((&ready["tail_confirmed"], &ready["gaps"]), (&json!(true), &json!([])));
    let boxes = packets::top_boxes(&result);
    let place = |name: &str| boxes.iter().position(|known| known == name);
    assert!(place("moov") < place("mdat") && place("moov").is_some(), "{boxes:?}");
    packets::assert_same_packets(&result, &sent);
    packets::assert_decodes(&result);

    api.until_state(&recording, "archived").await;
    let prefix = format!("owner-1/{}/", recording.id);
    let left = wait::until("the segments are gone", PATIENCE, async || {
        Some(site.keys()).filter(|keys| !keys.iter().any(|key| key.contains("/segments/")))
    });
    left.await;
    assert_pictures(&api, &recording).await;
    let left = ["preview/animated-preview.gif", "result.json", "result.mp4", "screenshot/screen-capture.jpg"];
    assert_eq!(site.keys(), left.map(|name| format!("{prefix}{name}")));
    assert_eq!(api.complete(&recording).await, "already-complete");
    assert_eq!(site.count("SELECT count(*) FROM spool.segment WHERE state = 'received'", []).await, 0);
    invariants::hold(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completing_ten_times_at_once_makes_one_mux() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let set = Set::synthetic(Duration::from_secs(3));
    let recording = api.create("owner-1").await;
    api.put_set(&recording, &set).await;
    api.end(&recording, &set).await;

    let calls = (0..10).map(|_| api.complete(&recording));
    let mut words = futures_util::future::join_all(calls).await;
    words.sort();
    assert_eq!(words.iter().filter(|word| *word == "queued").count(), 1, "{words:?}");
    assert!(words.iter().all(|word| ["queued", "already-processing", "already-complete"].contains(&word.as_str())));
    api.until_state(&recording, "ready").await;
    assert_eq!(site.attempts("mux").await, ["completed"]);
    assert_eq!(site.count("SELECT count(*) FROM spool.plan", []).await, 1);
    invariants::hold(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_recordings_and_do_nothing_twice() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let _workers = [site.work(), site.work()];
    wait::until("both workers are there", PATIENCE, async || {
        (site.count("SELECT count(*) FROM queue.worker", []).await >= 2).then_some(())
    })
    .await;
    let set = Set::synthetic(Duration::from_secs(3));
    let whole = |n: usize| {
        let (api, set) = (&api, &set);
        async move {
            let recording = api.create(&format!("owner-{n}")).await;
            api.put_set(&recording, set).await;
            api.end(&recording, set).await;
            api.complete(&recording).await;
            api.until_state(&recording, "ready").await
        }
    };
    let ready = futures_util::future::join_all((0..6).map(whole)).await;
    assert!(ready.iter().all(|status| status["plan_version"] == 1), "{ready:?}");
    assert_eq!(site.attempts("mux").await, ["completed"; 6]);
    assert_eq!(
        site.count("SELECT count(DISTINCT result_sha256) FROM spool.recording", []).await,
        1,
        "one set, one result"
    );
    invariants::hold(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_restarted_with_work_queued_goes_on() {
    let mut cluster = Cluster::temporary(Profile::Durable).await.unwrap();
    let site = Site::at(&cluster.url("postgres")).await;
    let (mut serve, api) = site.serve().await;
    let mut work = site.work();
    let set = Set::synthetic(Duration::from_secs(9));
    let recording = api.create("owner-1").await;
    api.put_set(&recording, &set).await;
    api.end(&recording, &set).await;
    assert_eq!(api.complete(&recording).await, "queued");
    // Everything that was answered until here is promised, whatever had begun of it.
    serve.kill();
    work.kill();
    cluster.stop(Shutdown::Immediate).await.unwrap();
    cluster.start_again().await.unwrap();

    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let ready = api.until_state(&recording, "ready").await;
    assert_eq!((&ready["result"]["duration_ms"], &ready["gaps"]), (&json!(set.duration_ms), &json!([])));
    let sent = site.folder().join("sent");
    set.write_to(&sent);
    packets::assert_same_packets(&site.objects().join(format!("owner-1/{}/result.mp4", recording.id)), &sent);
    invariants::hold(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_may_come_in_any_order_and_more_than_once() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let set = Set::synthetic(Duration::from_secs(7));
    let recording = api.create("owner-1").await;
    let (inits, media): (Vec<_>, Vec<_>) = set.objects().into_iter().partition(|(_, name, _)| *name == Name::Init);
    for (track, name, bytes) in inits.into_iter().chain(media.into_iter().rev()) {
        assert_eq!(api.put(&recording, track, name, bytes).await.status, 201, "{track}/{name}");
        assert_eq!(api.put(&recording, track, name, bytes).await.status, 200, "{track}/{name} again");
    }
    api.end(&recording, &set).await;
    api.complete(&recording).await;
    let ready = api.until_state(&recording, "ready").await;
    assert_eq!(ready["result"]["duration_ms"], json!(set.duration_ms));
    assert_eq!(ready["tracks"]["video"]["stored"], json!(set.last_index(Track::Video)));
    invariants::hold(&site).await;
}
