//! Every codec that the browser has, from every muxer.

use crate::codecs::plays;
use crate::driver::Browser;
use crate::lane::{
    AAC, AAC_HIGH, AAC_MONO, AV1, BASELINE, FLAC, H264, HEV1, HVC1, Lane, OPEN_GOP, OPUS, STATIC, STATIC_REORDERED, VP9,
};
use crate::recipe::{Cut, Recipe};
use crate::support::Site;

/// Those that every Chromium of a distribution has; HEVC is decoded by hardware alone.
const MUST: [(Lane, Lane); 9] = [
    (H264, AAC),
    (H264, OPUS),
    (BASELINE, AAC_MONO),
    (AV1, AAC),
    (AV1, OPUS),
    (VP9, OPUS),
    (VP9, FLAC),
    (STATIC, AAC),
    (STATIC_REORDERED, AAC_HIGH),
];

const MAY: [(Lane, Lane); 3] = [(HVC1, AAC), (HEV1, FLAC), (OPEN_GOP, OPUS)];

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_is_played_and_found_again() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let browser = Browser::start().await;
    for (n, (video, audio)) in MUST.into_iter().chain(MAY).enumerate() {
        let made = Recipe::of(video, audio).make();
        for cut in [Cut::Dash, Cut::Hls] {
            let played = plays(&api, &browser, &made, cut).await;
            assert!(played || n >= MUST.len(), "the browser lacks {} or {}", video.codec, audio.codec);
        }
    }
    for audio in [AAC_MONO, OPUS, FLAC] {
        let made = Recipe { audio: Some(audio), ..Recipe::default() }.make();
        assert!(plays(&api, &browser, &made, Cut::Dash).await, "{}", audio.codec);
    }
    let made = Recipe { video: Some(VP9), ..Recipe::default() }.make();
    assert!(plays(&api, &browser, &made, Cut::Dash).await);
}
