//! The parser of initialization sections: what it accepts has sane facts and serves a result that can be read back.
//!
//! Input: options, whose lowest bit is the track, and the section.

use super::memory::Memory;
use super::walk::track;
use bytes::Bytes;
use domain::mux::Fill;
use media::index::{Builder, Sample};
use media::init::{INIT_BYTES_MAX, Init};
use media::layout::{Layout, SegmentInput, TrackInput};
use media::walk::{Accepted, Limits, Walker};

/// Holds the parser to its promises.
pub fn check(bytes: &[u8]) {
    let Some((&options, section)) = bytes.split_first() else { return };
    let track = track(options);
    let parsed = Init::parse(track, section);
    let mut walker = Walker::init(track, Limits::DEFAULT);
    let walked = section.chunks(7).try_for_each(|piece| walker.push(piece)).and_then(|()| walker.finish());
    let init = match (parsed, walked) {
        (Ok(parsed), Ok(Accepted::Init(walked))) => {
            assert_eq!(parsed, *walked);
            parsed
        }
        (Err(parsed), Err(walked)) => {
            assert_eq!(parsed, walked, "pieces change the verdict");
            return;
        }
        (parsed, walked) => panic!("{parsed:?} is not {walked:?}"),
    };
    assert!(section.len() as u64 <= INIT_BYTES_MAX);
    assert_eq!(init.track, track);
    assert!(init.timescale > 0 && init.track_id > 0);
    assert!(init.media_time.unsigned_abs() <= 1 << 60);
    let codec = &init.facts.codec;
    assert!(!codec.is_empty() && !codec.contains(['"', ',', '\n', '\r']), "{codec:?} stands in a list inside quotes");
    serve(init);
}

/// One sample of ten bytes behind the section makes a result.
fn serve(init: Init) {
    let mut builder = Builder::default();
    builder.begin_fragment(0).expect("0 is in range");
    builder.begin_run(100).expect("100 is in range");
    let sample = Sample { size_bytes: 10, duration: init.timescale, composition_offset: 0, sync: true };
    builder.sample(sample).expect("one sample is not too many");
    let (packed, _) = builder.finish().expect("there is a sample");
    let segment = SegmentInput {
        index: 1,
        size_bytes: 110,
        sha256: None,
        packed: Bytes::from(packed),
        shift: 0,
        salvaged: false,
    };
    let (track, codec) = (init.track, init.facts.clone());
    let Ok(layout) = Layout::new(vec![TrackInput { init, segments: vec![segment], fill: Fill::Hold }]) else { return };
    let header = layout.header().fold(Vec::new(), |mut all, piece| {
        all.extend(piece);
        all
    });
    assert_eq!(header.len() as u64, layout.header_bytes());
    let read =
        Memory::new(header, layout.size_bytes()).read_back().expect("a result of an accepted section reads back");
    assert_eq!(read.facts, layout.expected());
    assert_eq!(read.codec(track), Some(&codec));
}
