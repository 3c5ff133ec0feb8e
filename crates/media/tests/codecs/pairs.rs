//! Every codec of a picture with every codec of sound.

use crate::lane::{AAC, AAC_MONO, AV1, BASELINE, FLAC, H264, HEV1, HVC1, Lane, OPUS, VP9};
use crate::same::{assert_faithful, assert_faithful_but_moved};
use crate::set::{Cut, Recipe};

fn assert_pair(video: Lane, audio: Lane) {
    let set = Recipe::of(video, audio).make();
    let report = assert_faithful(&set, Cut::Dash);
    assert_eq!(report.duration_ms, Some(5000));
    assert_eq!(report.tracks.iter().map(|track| track.start_ms).collect::<Vec<_>>(), [0, 0]);
    assert_faithful_but_moved(&set);
}

macro_rules! pairs {
    ($($name:ident: $video:ident, $audio:ident;)*) => {
        $(#[test]
        fn $name() {
            assert_pair($video, $audio);
        })*
    };
}

pairs! {
    h264_and_aac: H264, AAC;
    h264_and_aac_of_one_channel: H264, AAC_MONO;
    h264_and_opus: H264, OPUS;
    h264_and_flac: H264, FLAC;
    baseline_and_aac: BASELINE, AAC;
    baseline_and_opus: BASELINE, OPUS;
    hvc1_and_aac: HVC1, AAC;
    hvc1_and_opus: HVC1, OPUS;
    hev1_and_aac_of_one_channel: HEV1, AAC_MONO;
    hev1_and_flac: HEV1, FLAC;
    av1_and_aac: AV1, AAC;
    av1_and_opus: AV1, OPUS;
    av1_and_flac: AV1, FLAC;
    vp9_and_aac: VP9, AAC;
    vp9_and_opus: VP9, OPUS;
    vp9_and_flac: VP9, FLAC;
}
