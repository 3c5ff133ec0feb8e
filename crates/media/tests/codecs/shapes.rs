//! What else differs between recorders: tracks, rates, timescales, fragments, the way up.

use crate::lane::{
    AAC, AAC_HIGH, AAC_MONO, AV1, FLAC, H264, HVC1, Lane, OPEN_GOP, OPUS, STATIC, STATIC_REORDERED, VP9,
};
use crate::same::{assert_faithful, assert_faithful_but_moved, assert_faithful_to_segments};
use crate::set::{Cut, Recipe};
use crate::told::Told;
use domain::segment::Track;
use media::init::Init;

#[test]
fn one_track_alone() {
    for video in [H264, AV1] {
        let set = Recipe { video: Some(video), ..Recipe::default() }.make();
        assert_faithful(&set, Cut::Dash);
        assert_faithful_but_moved(&set);
    }
    for audio in [AAC_MONO, OPUS, FLAC] {
        let set = Recipe { audio: Some(audio), ..Recipe::default() }.make();
        assert_faithful(&set, Cut::Dash);
        assert_faithful_but_moved(&set);
    }
}

#[test]
fn screen_that_stands_still() {
    let set = Recipe::of(STATIC, AAC).make();
    let report = assert_faithful(&set, Cut::Dash);
    assert_faithful_but_moved(&set);
    let video = Told::of(&set.source(), Track::Video);
    let longest = video.packets.iter().map(|packet| packet.duration).max().unwrap();
    assert!(longest > i64::from(video.timescale), "frames stand for more than a second");
    assert!(report.tracks[0].duration_ms.abs_diff(5000) < 100, "{report:?}");
}

#[test]
fn frames_of_changing_length_that_are_reordered() {
    let set = Recipe::of(STATIC_REORDERED, OPUS).make();
    assert_faithful_to_segments(&set, Cut::Dash);
    assert_faithful_to_segments(&set, Cut::Hls);
}

#[test]
fn pictures_that_refer_behind_the_next_key_frame() {
    let set = Recipe::of(OPEN_GOP, AAC).make();
    assert_faithful_to_segments(&set, Cut::Dash);
    assert_faithful_to_segments(&set, Cut::Hls);
}

#[test]
fn many_fragments_in_a_segment() {
    let by_time = Recipe { dash: ":frag_type=duration:frag_duration=0.4", ..Recipe::of(H264, AAC) }.make();
    assert_faithful(&by_time, Cut::Dash);
    let by_frame = Recipe { dash: ":frag_type=every_frame", ..Recipe::of(VP9, FLAC) }.make();
    assert_faithful(&by_frame, Cut::Dash);
}

#[test]
fn odd_rates_and_timescales() {
    let television = Lane { input: "testsrc2=size=160x90:rate=30000/1001", ..H264 };
    let prime = Recipe {
        dash: ":format_options=video_track_timescale=10007",
        file: ":video_track_timescale=10007",
        ..Recipe::of(television, AAC_HIGH)
    };
    assert_faithful(&prime.make(), Cut::Dash);
    let film = Lane { input: "testsrc2=size=160x90:rate=24000/1001", ..HVC1 };
    let set = Recipe::of(film, AAC_MONO).make();
    assert_faithful(&set, Cut::Dash);
    assert_faithful_but_moved(&set);
    let coarse = Lane { input: "testsrc2=size=160x90:rate=25", ..VP9 };
    let coarse = Recipe {
        dash: ":format_options=video_track_timescale=25",
        file: ":video_track_timescale=25",
        ..Recipe::of(coarse, OPUS)
    };
    assert_faithful(&coarse.make(), Cut::Dash);
}

#[test]
fn picture_that_is_shown_turned() {
    let set = Recipe::of(H264, AAC).make();
    let upright = Told::of(&set.source(), Track::Video);
    for (matrix, degrees) in [([0, 1, -1, 0], 90), ([-1, 0, 0, -1], 180), ([0, -1, 1, 0], 270)] {
        set.turn(matrix);
        let turned = Told::of(&set.source(), Track::Video);
        assert_ne!(upright.frames[0].hash, turned.frames[0].hash, "FFmpeg turns what it decodes");
        set.cut_ourselves();
        for cut in [Cut::Dash, Cut::Ours] {
            assert_faithful(&set, cut);
            let init = Init::parse(Track::Video, &std::fs::read(set.init(cut, Track::Video)).unwrap()).unwrap();
            let size = if degrees == 180 { (160, 90) } else { (90, 160) };
            assert_eq!(
                (init.facts.rotation, init.facts.width, init.facts.height),
                (degrees, size.0, size.1),
                "{cut:?}"
            );
        }
    }
    assert_faithful_but_moved(&set);
}
