//! What viewers are promised: to see a recording while it goes on, past what is missing in it, and on into the result.

use crate::feed::{self, Recorder};
use crate::support::{Set, Site};
use crate::viewer::{TOGETHER_S, Viewer};
use domain::segment::Track;
use std::time::Duration;

/// Length of a segment in seconds.
const SEGMENT_S: f64 = 2.0;

#[tokio::test(flavor = "multi_thread")]
async fn recording_is_seen_while_it_goes_on() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let recording = api.create("owner-1").await;
    let token = feed::playback_token(&api, &recording).await;
    let recorder = Recorder::start(&api, &recording);
    // Somebody who comes when there is something already, and wants to be where the recording is.
    feed::until_listed(&api, &recording, &token, 3).await;
    let viewer = Viewer::open(&feed::watch_url(&api, &recording, "start=live&autoplay=1").await).await;

    let first = viewer.until_frame(1).await;
    assert_eq!((first.chip.as_str(), first.paused), ("Recording", false), "{first:?}");
    let later = viewer.until_frame(first.counter.unwrap() + 150).await;
    let listed = feed::listed_s(&api, &recording, &token).await;
    let latency = listed - viewer.look().await.time;
    assert!((-0.1..=3.0 * SEGMENT_S).contains(&latency), "{latency:.1} s behind the newest segment");
    // It never stopped and never jumped: what was shown took as long as it lasts.
    let (shown, passed) = (later.time - first.time, later.at - first.at);
    assert!((shown - passed).abs() < 1.0, "{shown:.2} s were shown in {passed:.2} s");
    assert_eq!(later.live, "Live");

    let requests = viewer.browser.requests().await;
    for track in Track::ALL {
        let init = format!("/segments/{track}/init.mp4");
        let fetched = requests.iter().filter(|url| url.contains(&init)).count();
        assert_eq!(fetched, 1, "an initialization section is fetched once: {requests:#?}");
    }
    viewer.assert_quiet(&requests, &[&api.base]).await;
    recorder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hole_and_pause_are_passed() {
    let mut site = Site::new().await;
    site.set("SPOOL__LIVE__GAP_AFTER", "1s");
    site.set("SPOOL__LIVE__MISSING_DEADLINE", "1s");
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let mut set = Set::of(&feed::small(), Duration::from_secs(16));
    feed::pause(&mut set, 6, Duration::from_secs(10));
    let recording = api.create("owner-1").await;
    // The third segment never comes; the recorder was paused behind the fifth.
    feed::send(&api, &recording, &set, 5, &[3]).await;
    let viewer = Viewer::open(&feed::watch_url(&api, &recording, "autoplay=1").await).await;

    // The first two segments hold 120 frames, then 60 are missing, then it goes on.
    viewer.until_frame(30).await;
    viewer.until_frame(180).await;
    feed::send(&api, &recording, &set, 8, &[1, 2, 3, 4, 5]).await;
    // Frames 300 and up were recorded after the pause; playlists leave the pause out, so the position does not jump.
    let after = viewer.until_frame(330).await;
    assert!(!after.notice && !after.paused, "{after:?}");
    let requests = viewer.browser.requests().await;
    assert!(!requests.iter().any(|url| url.contains("segment_003")), "a gap is not asked for: {requests:#?}");
    viewer.assert_quiet(&requests, &[&api.base]).await;

    // In the result the pause lasts, and the viewer is taken to the same picture.
    let before = viewer.until_frame(360).await;
    feed::end(&api, &recording, &set).await;
    let moved = viewer.until("the result plays", |look| look.result && look.counter.is_some()).await;
    let passed = moved.at - before.at;
    let apart = moved.recorded().unwrap() - before.recorded().unwrap() - passed;
    assert!((-1.0..0.3).contains(&apart), "{apart:.2} s away from where it was: {before:?}, {moved:?}");
    assert!((moved.time - moved.recorded().unwrap() - 10.0).abs() < TOGETHER_S, "{moved:?}");
    assert!(moved.detail.contains("missing"), "{moved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn result_goes_on_where_the_segments_were() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let recording = api.create("owner-1").await;
    let recorder = Recorder::hurry(&api, &recording, 40);
    let viewer = Viewer::open(&feed::watch_url(&api, &recording, "autoplay=1").await).await;
    viewer.until_frame(60).await;
    viewer
        .browser
        .run("document.getElementById('rate').value = '0.75'; document.getElementById('rate').onchange();")
        .await;
    viewer.browser.run("const v = document.getElementById('volume'); v.value = 0.5; v.oninput();").await;
    recorder.done().await;
    // Nobody makes the result yet, so this is still seen.
    let finishing = viewer.until("it is being finished", |look| look.chip == "Finishing").await;
    assert!(!finishing.result && finishing.headline.contains("is being finished"), "{finishing:?}");
    let before = viewer.until("the picture is there", |look| look.counter.is_some()).await;
    assert!((before.recorded().unwrap() - before.time).abs() < TOGETHER_S, "{before:?}");

    let _work = site.work();
    let moved = viewer.until("the result plays", |look| look.result && look.counter.is_some()).await;
    assert!((moved.recorded().unwrap() - moved.time).abs() < TOGETHER_S, "{moved:?}");
    let expected = before.time + (moved.at - before.at) * 0.75;
    assert!((moved.time - expected).abs() < 0.5, "at {:.2} s instead of {expected:.2} s", moved.time);
    assert_eq!((moved.paused, moved.rate, moved.volume), (false, 0.75, 0.5), "{moved:?}");
    assert_eq!((moved.headline.as_str(), moved.chip.as_str()), ("The recording is ready.", ""), "{moved:?}");
    let on = viewer.until_frame(moved.counter.unwrap() + 15).await;
    assert!(on.result && !on.paused, "{on:?}");
    let requests = viewer.browser.requests().await;
    viewer.assert_quiet(&requests, &[&api.base]).await;
}
