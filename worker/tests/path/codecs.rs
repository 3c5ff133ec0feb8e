//! Encoders that change in mid-recording and say so only in the stream.

use crate::lane::{HEV1, Lane};
use crate::recipe::{Cut, Recipe, Set};
use domain::segment::Track;
use serde_json::Value;
use std::process::Command;

/// Parameter sets in the key frames let a decoder go on without a word when the picture changes its size; the result's
/// one sample description would be a lie from there on.
#[test]
fn parameter_sets_in_the_stream_that_change_name_the_segment() {
    let wide = Lane { input: "testsrc2=size=320x180:rate=30", format: (320, 180), ..HEV1 };
    let [small, wide] = [HEV1, wide].map(|lane| Recipe { video: Some(lane), ..Recipe::default() }.make());
    let segment = |set: &Set| set.init(Cut::Dash, Track::Video).with_file_name("segment_003.m4s");
    std::fs::copy(segment(&wide), segment(&small)).unwrap();
    let out = small.path().join("out.mp4");
    let mut spool = Command::new(env!("CARGO_BIN_EXE_spool"));
    let told = spool.arg("mux").arg(small.folder(Cut::Dash)).arg("-o").arg(&out).arg("--json").output().unwrap();
    let answer: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(
        (told.status.code(), &answer["error"]["code"]),
        (Some(1), &"unsupported-config-change".into()),
        "{answer}"
    );
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("from video segment 3 on (4.000 s) the picture is 320x180"), "{message}");
    assert!(!out.exists());
}
