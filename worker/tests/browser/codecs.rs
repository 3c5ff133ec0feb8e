//! Results of every codec in a browser: recorded through the server, finalized, then played and searched by the browser
//! itself, which asks for ranges.

use crate::driver::Browser;
use crate::feed;
use crate::lane::{AAC, H264};
use crate::recipe::{Cut, Recipe, Set as Made};
use crate::support::{Api, Set, Site};
use domain::segment::Track;
use serde_json::{Value, json};

/// Plays the file from its beginning to its end, then goes to its middle, and says what was seen. Four times as fast as it
/// was recorded: every frame is decoded all the same.
const PLAY: &str = r"
const video = document.querySelector('video');
const once = (name) => new Promise((done, fail) => {
  video.addEventListener(name, done, { once: true });
  video.addEventListener('error', () => fail(new Error(video.error?.message ?? 'it cannot be played')), { once: true });
});
return (async () => {
  video.muted = true;
  if (video.readyState < 2) await once('loadeddata');
  const ended = once('ended');
  video.playbackRate = 4;
  await video.play();
  await ended;
  const seen = {
    duration: video.duration, end: video.currentTime, width: video.videoWidth, height: video.videoHeight,
    frames: video.getVideoPlaybackQuality().totalVideoFrames, corrupted: video.getVideoPlaybackQuality().corruptedVideoFrames,
    heard: video.webkitAudioDecodedByteCount, ready: video.readyState, ranges: video.seekable.length,
  };
  const shown = video.videoWidth > 0 ? new Promise((done) => video.requestVideoFrameCallback((_, frame) => done(frame.mediaTime))) : null;
  const sought = once('seeked');
  video.currentTime = video.duration / 2;
  await sought;
  return { ...seen, middle: video.currentTime, picture: shown && await shown, after: video.readyState };
})();";

/// Whether the browser has the decoders of these codecs.
async fn can_play(browser: &Browser, codecs: &str) -> bool {
    let kind = json!(format!("video/mp4; codecs=\"{codecs}\""));
    browser.run(&format!("return document.createElement('video').canPlayType({kind})")).await != ""
}

/// Segments of a set as the recorder would send them.
fn pieces(made: &Made, cut: Cut) -> Set {
    let mut set = Set { duration_ms: 5000, ..Set::default() };
    for (track, _) in made.recipe.tracks() {
        let folder = made.folder(cut).join(track.as_str());
        let segments = (1..).map_while(|n| std::fs::read(folder.join(format!("segment_{n:03}.m4s"))).ok());
        set.tracks.insert(track, (std::fs::read(folder.join("init.mp4")).unwrap(), segments.collect()));
    }
    set
}

/// Records the segments, waits for the result, plays it, and holds what was seen to what was recorded. False when the
/// browser does not have the codec.
pub(crate) async fn plays(api: &Api, browser: &Browser, made: &Made, cut: Cut) -> bool {
    let codecs: Vec<&str> = made.recipe.tracks().map(|(_, lane)| lane.codec).collect();
    if !can_play(browser, &codecs.join(", ")).await {
        return false;
    }
    let what = format!("{codecs:?} cut by {cut:?}");
    let recording = api.create("owner-1").await;
    let set = pieces(made, cut);
    feed::send(api, &recording, &set, u32::MAX, &[]).await;
    feed::end(api, &recording, &set).await;
    let status = api.until_state(&recording, "ready").await;
    assert_eq!(status["gaps"], json!([]), "{what}: {status}");
    let token = feed::playback_token(api, &recording).await;
    browser.open(&format!("{}/media/{}/result.mp4?token={token}", api.base, recording.id)).await;
    let seen = browser.run(PLAY).await;
    let number = |name: &str| seen[name].as_f64().unwrap_or(f64::NAN);
    let duration_s = status["result"]["duration_ms"].as_f64().unwrap() / 1000.0;
    assert!((number("duration") - duration_s).abs() < 0.02, "{what}: {duration_s} s, {seen}");
    assert!((number("end") - number("duration")).abs() < 0.1, "{what} is played to its end: {seen}");
    assert!((number("middle") - number("duration") / 2.0).abs() < 0.01, "{what} goes to its middle: {seen}");
    assert!(number("after") >= 2.0 && number("ranges") == 1.0, "{what}: {seen}");
    for (track, _) in made.recipe.tracks() {
        match track {
            Track::Video => assert_seen(&what, &seen, &status),
            Track::Audio => assert!(number("heard") > 1000.0, "{what} is heard: {seen}"),
        }
    }
    true
}

fn assert_seen(what: &str, seen: &Value, status: &Value) {
    let number = |name: &str| seen[name].as_f64().unwrap_or(f64::NAN);
    assert!(number("frames") > 50.0 && number("corrupted") == 0.0, "{what}: {seen}");
    // The picture at the middle, or the one before it; a screen that stands still has one from long ago.
    assert!((0.0..=2.0).contains(&(number("middle") - number("picture"))), "{what}: {seen}");
    let size = |value: &Value| (value["width"].as_u64(), value["height"].as_u64());
    assert_eq!(size(seen), size(&status["result"]), "{what}: as large as the facts say");
}

#[tokio::test(flavor = "multi_thread")]
async fn turned_picture_is_shown_upright_and_found_again() {
    let made = Recipe::of(H264, AAC).make();
    made.turn([0, 1, -1, 0]);
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let browser = Browser::start().await;
    assert!(plays(&api, &browser, &made, Cut::Dash).await, "Chromium has H.264 and AAC");
    let size = browser.run("const v = document.querySelector('video'); return [v.videoWidth, v.videoHeight]").await;
    assert_eq!(size, json!([90, 160]));
}
