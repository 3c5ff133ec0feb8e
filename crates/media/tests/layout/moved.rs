//! Segments that the plan moves, in an order that is not that of their indexes.

use crate::synthetic::{Made, MadeFragment, MadeTrack, Memory, Store, block_on, recording};
use domain::retry::Classify as _;
use domain::segment::Track;
use media::index::Sample;
use media::layout::{Error, Layout, SegmentInput};
use media::mux::{self, Options};
use proptest::prelude::*;

fn written(layout: &Layout, store: &Store) -> Vec<u8> {
    let mut sink = Memory::default();
    block_on(mux::write(layout, store, &mut sink, &Options::default(), |_| {})).unwrap();
    sink.bytes
}

/// The same recording, as a recorder tells it whose clock began anew at any segment, and who numbered them as he liked.
fn told_otherwise(tracks: &[MadeTrack], shifts: &[i64], rotate: usize) -> (Layout, Store) {
    let (mut inputs, mut store) = (Vec::new(), Store::default());
    for track in tracks {
        let mut other = track.clone();
        let count = other.segments.len();
        let first = |n: usize| track.segments[n][0].tfdt as i64;
        // No clock goes below 0, nor back inside a segment.
        let shift = |n: usize| shifts[n % shifts.len()].min(first(n));
        for (n, segment) in other.segments.iter_mut().enumerate() {
            segment.iter_mut().for_each(|fragment| fragment.tfdt = (fragment.tfdt as i64 - shift(n)) as u64);
        }
        let (mut input, objects) = other.pack();
        for (n, (segment, object)) in input.segments.iter_mut().zip(objects).enumerate() {
            (segment.shift, segment.index) = (shift(n), ((n + rotate) % count) as u32 + 1);
            store.objects.insert((track.kind, segment.index), object);
        }
        inputs.push(input);
    }
    (Layout::new(inputs).unwrap(), store)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn moved_segment_is_as_one_that_was_recorded_there(
        tracks in recording(), shifts in prop::collection::vec(-1_000_000..1_000_000i64, 1..8), rotate in 0..8usize,
    ) {
        let (layout, store) = Store::of(&tracks);
        let (moved, moved_store) = told_otherwise(&tracks, &shifts, rotate);
        prop_assert_eq!(layout.expected(), moved.expected());
        for (plain, moved) in layout.times().zip(moved.times()) {
            prop_assert_eq!((plain.start, plain.duration, plain.media_time), (moved.start, moved.duration, moved.media_time));
            let places = |jumps: &[media::layout::Jump]| jumps.iter().map(|jump| (jump.from_ms, jump.to_ms)).collect::<Vec<_>>();
            prop_assert_eq!(places(&plain.jumps), places(&moved.jumps));
        }
        prop_assert!(written(&layout, &store) == written(&moved, &moved_store));
    }
}

fn segments(tfdts: &[u64]) -> Vec<SegmentInput> {
    let sample = Sample { size_bytes: 1, duration: 100, composition_offset: 0, sync: true };
    let fragment = |&tfdt| vec![MadeFragment { tfdt, samples: vec![Made { sample, bytes: vec![0] }] }];
    let segments = tfdts.iter().map(fragment).collect();
    MadeTrack { kind: Track::Audio, timescale: 1000, media_time: 0, segments }.pack().0.segments
}

#[test]
fn segment_is_moved_only_where_times_can_be_counted() {
    let last = (1 << 60) - 100;
    for (tfdt, shift, fits) in [
        (50, -50, true),
        (50, -51, false),
        (0, i64::MIN, false),
        (0, last, true),
        (0, last + 1, false),
        (5, last - 5, true),
        (5, i64::MAX, false),
        (last as u64, -last, true),
    ] {
        let mut input = MadeTrack { kind: Track::Audio, timescale: 1000, media_time: 0, segments: vec![] }.pack().0;
        input.segments = segments(&[tfdt]);
        input.segments[0].shift = shift;
        let error = Layout::new(vec![input]).err();
        let out_of_range = Error::ShiftOutOfRange { track: Track::Audio, segment: 1 };
        assert_eq!(out_of_range.class(), "out-of-range");
        assert_eq!(error, (!fits).then_some(out_of_range), "{tfdt} moved by {shift}");
    }
}

/// The order is the plan's: what it puts first must come first, moved or not.
#[test]
fn segments_follow_one_another_in_the_order_of_the_plan() {
    let input = |order: [usize; 3], shifts: [i64; 3]| {
        let mut input = MadeTrack { kind: Track::Audio, timescale: 1000, media_time: 0, segments: vec![] }.pack().0;
        let made = segments(&[1000, 1100, 1200]);
        input.segments = order.map(|n| made[n].clone()).into();
        input.segments.iter_mut().zip(shifts).for_each(|(segment, shift)| segment.shift = shift);
        Layout::new(vec![input])
    };
    assert_eq!(input([0, 1, 2], [0; 3]).unwrap().expected().tracks[0].duration, 300);
    let back = Error::TfdtBack { track: Track::Audio, segment: 2, overlap_ms: 200 };
    assert_eq!(input([0, 2, 1], [0; 3]).unwrap_err(), back);
    let moved = input([0, 2, 1], [0, -100, 100]).unwrap();
    assert_eq!(moved.expected().tracks[0].duration, 300);
    // A pause that is cut, and one that is kept.
    let cut = input([0, 1, 2], [0, 0, 7000]).unwrap();
    assert_eq!((cut.expected().tracks[0].duration, cut.times().next().unwrap().jumps[0].to_ms), (7300, 7200));
}
