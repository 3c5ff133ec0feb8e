//! Everything else that happens to viewers; `make browser` runs it.

mod codecs;

use crate::driver::{ESCAPE, HOME, RIGHT, TAB};
use crate::feed::{self, Recorder};
use crate::outside::Balancer;
use crate::support::s3::S3Server;
use crate::support::{Api, PATIENCE, Set, Site, assert_pictures, wait};
use crate::viewer::{TOGETHER_S, Viewer};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

fn set(seconds: u64) -> Set {
    Set::of(&feed::small(), Duration::from_secs(seconds))
}

#[tokio::test(flavor = "multi_thread")]
async fn viewer_who_comes_before_the_first_segment_sees_it_come() {
    let mut site = Site::new().await;
    site.set("SPOOL__LIMITS__PLAYLIST_HOLD", "1s");
    let (_serve, api) = site.serve().await;
    let recording = api.create("owner-1").await;
    let viewer = Viewer::open(&feed::watch_url(&api, &recording, "autoplay=1").await).await;
    let waiting = viewer.until("it waits", |look| look.notice).await;
    assert_eq!(waiting.headline, "The recording has not started yet.");
    // A request is held for a second only, so that the player also meets a playlist that is not there.
    wait::until("a playlist was refused", PATIENCE, async || {
        let console = viewer.browser.console().await;
        console.iter().any(|line| line.contains("index.m3u8") && line.contains("404")).then_some(())
    })
    .await;
    feed::send(&api, &recording, &set(6), 3, &[]).await;
    let seen = viewer.until_frame(30).await;
    assert!(!seen.notice && !seen.paused, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewer_who_is_refused_comes_again_more_and_more_rarely() {
    let mut site = Site::new().await;
    // As if there were no place left among those who are held.
    site.set("SPOOL__LIMITS__PLAYLIST_HOLD", "0s");
    let (_serve, api) = site.serve().await;
    let recording = api.create("owner-1").await;
    let viewer = Viewer::open(&feed::watch_url(&api, &recording, "").await).await;
    let first = viewer.until("it waits", |look| look.notice).await;
    viewer.until("some time has passed", |look| look.at - first.at > 6.0).await;
    let requests = viewer.browser.requests().await;
    let asked = requests.iter().filter(|url| url.contains("index.m3u8")).count();
    // At once, and after half a second, one, two and four.
    assert!((2..=6).contains(&asked), "asked {asked} times: {requests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewer_begins_at_the_start_unless_asked_for_the_live_edge() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let recording = api.create("owner-1").await;
    let token = feed::playback_token(&api, &recording).await;
    let set = set(30);
    feed::send(&api, &recording, &set, 14, &[]).await;
    feed::until_listed(&api, &recording, &token, 14).await;
    let viewer = Viewer::open(&feed::watch_url(&api, &recording, "").await).await;
    let start = viewer.until_frame(0).await;
    assert!(start.paused && start.time < 0.1 && start.live == "Go live", "{start:?}");
    viewer.browser.click("#live").await;
    let live = viewer.until_frame(20 * 30).await;
    assert!(!live.paused, "{live:?}");
    viewer.browser.press(HOME).await;
    let back = viewer.until("the start is shown", |look| look.recorded().is_some_and(|at| at < 2.0)).await;
    assert_eq!(back.live, "Go live");

    let late = Viewer::open(&feed::watch_url(&api, &recording, "start=live").await).await;
    let first = late.until("a picture is shown", |look| look.counter.is_some()).await;
    assert!(first.recorded().unwrap() > 20.0, "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewer_survives_a_server_that_starts_again() {
    let site = Site::new().await;
    let (mut serve, api) = site.serve().await;
    let recording = api.create("owner-1").await;
    let set = set(40);
    feed::send(&api, &recording, &set, 4, &[]).await;
    let viewer = Viewer::open(&feed::watch_url(&api, &recording, "autoplay=1").await).await;
    viewer.until_frame(150).await;
    serve.kill();
    let away = viewer.until("it says that nobody is there", |look| look.chip == "No connection").await;
    assert!(away.detail.contains("Trying again"), "{away:?}");
    viewer.until("the player has given up", |look| look.counter.is_none()).await;
    let listen = api.base.trim_start_matches("http://").to_owned();
    let _serve = site.start(&["serve", "--set", &format!("http.listen={listen}")]);
    wait::until("the server is back", PATIENCE, async || {
        api.try_send(api.request(Method::GET, "/readyz")).await.filter(|answer| answer.status == 200).map(drop)
    })
    .await;
    feed::send(&api, &recording, &set, 12, &[1, 2, 3, 4]).await;
    let back = viewer.until("the picture is back", |look| look.counter.is_some()).await;
    assert!(back.recorded().unwrap() > 4.5, "it goes on from where it was: {back:?}");
    let on = viewer.until_frame(300).await;
    assert!(!on.paused && on.chip == "Recording", "{on:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_in_turn_look_like_one() {
    let site = Site::new().await;
    let ((_first, one), (_second, other)) = (site.serve().await, site.serve().await);
    let _work = site.work();
    let balancer = Balancer::start(vec![one.base.clone(), other.base.clone()]).await;
    let api = Api::new(balancer.base.clone(), one.token.clone());
    let recording = api.create("owner-1").await;
    let recorder = Recorder::start(&api, &recording);
    // With less than that there is nothing to have in advance, and a viewer waits at the end of what there is.
    let token = feed::playback_token(&api, &recording).await;
    feed::until_listed(&api, &recording, &token, 4).await;
    let viewer = Viewer::open(&feed::watch_url(&api, &recording, "autoplay=1").await).await;
    let first = viewer.until_frame(30).await;
    let later = viewer.until_frame(210).await;
    assert!((later.time - first.time - (later.at - first.at)).abs() < 1.0, "it stalled: {first:?}, {later:?}");
    recorder.finish().await;
    let moved = viewer.until("the result plays", |look| look.result && look.counter.is_some()).await;
    assert!((moved.recorded().unwrap() - moved.time).abs() < TOGETHER_S, "{moved:?}");
    assert!(balancer.served().iter().all(|served| *served > 10), "{:?}", balancer.served());
    let requests = viewer.browser.requests().await;
    let inits = requests.iter().filter(|url| url.contains("/segments/video/init.mp4")).count();
    assert_eq!(inits, 1, "{requests:#?}");
    viewer.assert_quiet(&requests, &[&api.base]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poster_stands_where_the_picture_will_be() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let recording = api.create("owner-1").await;
    Recorder::hurry(&api, &recording, 6).done().await;
    assert_pictures(&api, &recording).await;
    let viewer = Viewer::open(&feed::watch_url(&api, &recording, "").await).await;
    let poster = "return document.getElementById('video').poster";
    let poster = wait::until("there is a poster", PATIENCE, async || {
        let poster = viewer.browser.run(poster).await.as_str().map(str::to_owned);
        poster.filter(|url| !url.is_empty())
    });
    assert!(poster.await.contains(&format!("/media/{}/poster.jpg?token=", recording.id)));
    viewer.until("the result is there", |look| look.result && look.counter.is_some()).await;
    viewer.browser.press(" ").await;
    viewer.until_frame(60).await;
    // It is asked for once, however often the page hears how the recording stands.
    let requests = viewer.browser.requests().await;
    let fetched = requests.iter().filter(|url| url.contains("/poster.jpg")).count();
    assert_eq!(fetched, 1, "{requests:#?}");
    viewer.assert_quiet(&requests, &[&api.base]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keyboard_reaches_and_names_everything() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let recording = api.create("owner-1").await;
    let set = set(20);
    api.put_set(&recording, &set).await;
    feed::end(&api, &recording, &set).await;
    api.until_state(&recording, "ready").await;
    let viewer = Viewer::open(&feed::watch_url(&api, &recording, "").await).await;
    viewer.until_frame(0).await;

    let mut walked = Vec::new();
    for _ in 0..7 {
        viewer.browser.press(TAB).await;
        walked.push(viewer.browser.focused().await);
        let ring = viewer.browser.run("return getComputedStyle(document.activeElement).outlineStyle").await;
        assert_eq!(ring, "solid", "the focus is seen: {walked:?}");
    }
    let named: Vec<_> = walked.iter().map(|(role, name)| format!("{role} {name}")).collect();
    let bar = ["button Play", "button Mute", "slider Volume", "combobox Speed", "button Full screen"];
    assert_eq!(named, [&["button Play", "slider Position"], &bar[..]].concat(), "in the order in which they stand");

    viewer.browser.run("document.activeElement.blur()").await;
    viewer.browser.press(" ").await;
    viewer.until("it plays", |look| !look.paused && look.time > 0.2).await;
    viewer.browser.press("k").await;
    let paused = viewer.until("it pauses", |look| look.paused).await;
    for (key, seconds) in [(RIGHT, 5.0), ("l", 10.0), ("j", -10.0)] {
        let before = viewer.look().await.time;
        viewer.browser.press(key).await;
        viewer.until(key, |look| (look.time - before - seconds).abs() < 0.05).await;
    }
    assert!(paused.time < 5.0);
    viewer.browser.press("5").await;
    viewer.until("the middle", |look| (look.time - look.end / 2.0).abs() < 0.05).await;
    viewer.browser.press("m").await;
    let muted = "return document.getElementById('mute').ariaLabel";
    assert_eq!(viewer.browser.run(muted).await, "Unmute");
    viewer.browser.press("?").await;
    let open = "return document.getElementById('help').open";
    assert_eq!(viewer.browser.run(open).await, true);
    viewer.browser.press(ESCAPE).await;
    assert_eq!(viewer.browser.run(open).await, false);
    // What changes is read out, and nothing that only moves is.
    let live = "return [...document.querySelectorAll('[aria-live]')].map((e) => e.id + ' ' + e.ariaLive).join()";
    assert_eq!(viewer.browser.run(live).await, "status polite");
}

#[tokio::test(flavor = "multi_thread")]
async fn recording_that_ended_badly_says_why() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let cancelled = api.create("owner-1").await;
    let answer = api.call(Method::POST, &format!("/api/recordings/{}/cancel", cancelled.id), json!({})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let viewer = Viewer::open(&feed::watch_url(&api, &cancelled, "").await).await;
    let seen = viewer.until("it says so", |look| look.headline.contains("cancelled")).await;
    assert!(seen.notice, "{seen:?}");

    let failed = api.create("owner-1").await;
    let sql = "UPDATE spool.recording SET state = 'failed', error_code = 'empty', error_message = $2 WHERE id = $1";
    let why = "no segment can be decoded";
    assert_eq!(site.execute(sql, [failed.id.as_str().into(), why.into()]).await, 1);
    viewer.browser.open(&feed::watch_url(&api, &failed, "").await).await;
    let seen = viewer.until("it says why", |look| look.detail.contains("No segment can be decoded.")).await;
    assert!(seen.notice && seen.headline == "The recording could not be finished.", "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn link_that_is_not_believed_says_so() {
    let mut site = Site::new().await;
    site.set("SPOOL__AUTH__PLAYBACK_TOKEN_TTL", "1s");
    let (_serve, api) = site.serve().await;
    let recording = api.create("owner-1").await;
    let url = feed::watch_url(&api, &recording, "").await;
    let path = url.trim_start_matches(&api.base);
    wait::until("the token has expired", PATIENCE, async || {
        (api.send(api.request(Method::GET, path)).await.status == 401).then_some(())
    })
    .await;
    let viewer = Viewer::open(&url).await;
    let seen = viewer.until("it says so", |look| look.notice).await;
    assert_eq!(seen.headline, "This link has expired.");
    viewer.browser.open(&format!("{}/watch/{}", api.base, recording.id)).await;
    viewer.until("it says so", |look| look.headline == "This link is not complete or not valid.").await;
    let foreign = api.create("owner-1").await;
    viewer.browser.open(&url.replace(&recording.id, &foreign.id)).await;
    viewer.until("it says so", |look| look.notice && look.headline.starts_with("This link")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_around_the_player_hears_and_steers_it() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let recording = api.create("owner-1").await;
    feed::send(&api, &recording, &set(20), 10, &[]).await;
    // The same server under another name is another origin.
    let page = api.base.replace("127.0.0.1", "localhost");
    let viewer = Viewer::open(&format!("{page}/healthz")).await;
    let listen = "window.heard = []; addEventListener('message', ({ data }) => window.heard.push(data));";
    viewer.browser.run(listen).await;
    let url = feed::watch_url(&api, &recording, "").await;
    let frame =
        format!("<iframe title='Recording' allow='autoplay; fullscreen' width=640 height=360 src='{url}'></iframe>");
    viewer.browser.run(&format!("document.body.innerHTML = \"{frame}\"; return new Promise((loaded) => {{ document.querySelector('iframe').onload = () => loaded(); }})")).await;
    viewer.browser.enter_frame().await;
    viewer.until_frame(0).await;
    viewer.browser.leave_frame().await;
    for message in ["{ type: 'seek', position: 6 }", "{ type: 'play' }"] {
        let script = format!("frames[0].postMessage({{ target: 'spool', ...{message} }}, '*')");
        viewer.browser.run(&script).await;
    }
    viewer.browser.enter_frame().await;
    let seen = viewer.until_frame(200).await;
    assert!(!seen.paused && seen.time > 6.0, "{seen:?}");
    viewer.browser.leave_frame().await;
    let heard = wait::until("its position is heard", PATIENCE, async || {
        let heard = viewer.browser.run("return window.heard").await;
        let position = |message: &serde_json::Value| message["position"].as_f64().is_some_and(|at| at > 6.0);
        heard.as_array()?.iter().any(position).then_some(heard)
    })
    .await;
    let playing = heard.as_array().unwrap().iter().any(|message| message["playing"] == true);
    assert!(playing && !heard.to_string().contains("token"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_come_from_the_object_store_or_through_the_server() {
    let s3 = S3Server::start().await;
    let mut site = Site::new().await;
    for (key, value) in s3.env() {
        site.set(key, &value);
    }
    // The test's server allows no script of another origin; a bucket must.
    let public = Balancer::open_to_scripts(s3.endpoint()).await;
    site.set("SPOOL__STORAGE__PUBLIC_ENDPOINT", &public.base);
    let (_serve, api) = site.serve().await;
    let recording = api.create("owner-1").await;
    let recorder = Recorder::start(&api, &recording);
    let viewer = Viewer::open(&feed::watch_url(&api, &recording, "autoplay=1").await).await;
    viewer.until_frame(90).await;
    let requests = viewer.browser.requests().await;
    assert!(requests.iter().any(|url| url.starts_with(&public.base)), "{requests:#?}");
    viewer.assert_quiet(&requests, &[&api.base, &public.base]).await;

    site.set("SPOOL__HTTP__SEGMENTS", "proxy");
    let (_other, through) = site.serve().await;
    // What the page before still asked for is its own.
    viewer.browser.open("about:blank").await;
    viewer.browser.requests().await;
    viewer.browser.open(&feed::watch_url(&through, &recording, "autoplay=1").await).await;
    viewer.until_frame(90).await;
    let requests = viewer.browser.requests().await;
    viewer.assert_quiet(&requests, &[&through.base]).await;
    recorder.finish().await;
}
