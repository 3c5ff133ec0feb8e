//! Segments of our own segmenter: what it takes over packet by packet.

use crate::lane::{AAC, AAC_MONO, BASELINE, H264, STATIC, STATIC_REORDERED};
use crate::same::assert_faithful;
use crate::set::{Cut, Recipe};

#[test]
fn packets_taken_over_by_our_segmenter() {
    for (video, audio) in [(H264, AAC), (BASELINE, AAC_MONO)] {
        let set = Recipe::of(video, audio).make();
        set.cut_ourselves();
        assert_faithful(&set, Cut::Ours);
    }
    let set = Recipe { audio: Some(AAC_MONO), ..Recipe::default() }.make();
    set.cut_ourselves();
    assert_faithful(&set, Cut::Ours);
}

#[test]
fn frames_of_changing_length_keep_their_times_in_our_segments() {
    for video in [STATIC, STATIC_REORDERED] {
        let set = Recipe::of(video, AAC).make();
        set.cut_ourselves();
        assert_faithful(&set, Cut::Ours);
    }
}
