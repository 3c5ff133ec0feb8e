//! What an initialization section may say of its codec, and what a result cannot take over: real sections, changed where
//! a writer of that kind differs.

use crate::lane::{AAC, AV1, FLAC, H264, HEV1, Lane, OPUS, VP9};
use crate::set::{Cut, Recipe};
use domain::retry::Classify as _;
use domain::segment::Track;
use media::boxes::Boxes;
use media::defect::Defect;
use media::init::Init;

/// A real initialization section of a lane.
fn init(track: Track, lane: Lane) -> Vec<u8> {
    let recipe = match track {
        Track::Video => Recipe { video: Some(lane), ..Recipe::default() },
        Track::Audio => Recipe { audio: Some(lane), ..Recipe::default() },
    };
    std::fs::read(recipe.make().init(Cut::Dash, track)).unwrap()
}

fn place(bytes: &[u8], name: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == name).unwrap()
}

/// The same with another name in the place of a box's.
fn renamed(bytes: &[u8], from: &[u8; 4], to: &[u8; 4]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = place(&bytes, from);
    bytes[at..at + 4].copy_from_slice(to);
    bytes
}

fn refused(track: Track, bytes: &[u8]) -> Defect {
    match Init::parse(track, bytes) {
        Err(defect) => defect,
        Ok(init) => panic!("taken for {:?}", init.facts),
    }
}

#[test]
fn parameter_sets_in_the_stream_are_told_by_the_name() {
    let video = init(Track::Video, H264);
    let in_band = Init::parse(Track::Video, &renamed(&video, b"avc1", b"avc3")).unwrap();
    assert_eq!(in_band.facts.codec, H264.codec.replace("avc1", "avc3"));
    let live = Init::parse(Track::Video, &init(Track::Video, HEV1)).unwrap();
    assert_eq!(live.facts.codec, HEV1.codec);
}

#[test]
fn what_a_result_cannot_take_over_is_named() {
    let (video, audio) = (init(Track::Video, H264), init(Track::Audio, AAC));
    for (track, bytes, from, to) in [(Track::Video, &video, b"avc1", b"encv"), (Track::Audio, &audio, b"mp4a", b"enca")]
    {
        let defect = refused(track, &renamed(bytes, from, to));
        assert_eq!((defect.class(), defect.place().is_some()), ("unsupported-codec", true), "{defect}");
        assert!(defect.to_string().contains(std::str::from_utf8(to).unwrap()), "{defect}");
    }
    // Two descriptions: the same one twice, all lengths around it made to fit.
    let moov = Boxes::of(&video).map(Result::unwrap).find(|found| found.kind.0 == *b"moov").unwrap();
    let [trak, mdia, minf, stbl] = [b"trak", b"mdia", b"minf", b"stbl"].map(|name| place(&video, name) - 4);
    let stsd = place(&video, b"stsd") - 4;
    let size = |at: usize| u32::from_be_bytes(video[at..at + 4].try_into().unwrap());
    let entry = video[stsd + 16..stsd + size(stsd) as usize].to_vec();
    let mut twice = video.clone();
    twice[stsd + 15] = 2;
    for at in [moov.at as usize, trak, mdia, minf, stbl, stsd] {
        twice[at..at + 4].copy_from_slice(&(size(at) + entry.len() as u32).to_be_bytes());
    }
    let end = stsd + size(stsd) as usize;
    twice.splice(end..end, entry);
    let defect = refused(Track::Video, &twice);
    assert_eq!(defect, Defect::Descriptions { at: stsd as u64, found: 2 });
    assert_eq!(defect.class(), "sample-description");
}

#[test]
fn description_without_its_configuration_is_refused() {
    let lanes = [
        (Track::Video, H264, b"avcC"),
        (Track::Video, HEV1, b"hvcC"),
        (Track::Video, AV1, b"av1C"),
        (Track::Video, VP9, b"vpcC"),
        (Track::Audio, AAC, b"esds"),
        (Track::Audio, OPUS, b"dOps"),
        (Track::Audio, FLAC, b"dfLa"),
    ];
    for (track, lane, name) in lanes {
        let whole = init(track, lane);
        lane.assert_facts(&Init::parse(track, &whole).unwrap().facts);
        let defect = refused(track, &renamed(&whole, name, b"free"));
        assert!(matches!(defect, Defect::MissingBox { kind, .. } if kind.0 == *name), "{defect}");
        // Every field of the configuration is read inside its box, wherever that ends.
        let at = place(&whole, name) - 4;
        for length in 8..u32::from_be_bytes(whole[at..at + 4].try_into().unwrap()).min(60) {
            let mut short = whole.clone();
            short[at..at + 4].copy_from_slice(&length.to_be_bytes());
            // Whatever is read or not, it ends in an answer.
            let _ = Init::parse(track, &short);
        }
        let mut empty = whole;
        empty[at..at + 4].copy_from_slice(&8u32.to_be_bytes());
        let defect = refused(track, &empty);
        assert!(matches!(defect, Defect::TruncatedBox { .. } | Defect::BadBox { .. }), "{defect}");
    }
}
