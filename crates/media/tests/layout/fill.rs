//! Gaps in sound that are filled with silence, held against the same recording with silence recorded.

use crate::synthetic::{Made, MadeFragment, MadeTrack, Memory, Store, block_on, track};
use domain::mux::Fill;
use domain::segment::Track;
use media::index::Sample;
use media::layout::{Error, Layout, SILENCE_SECONDS_MAX, Source, TrackInput};
use media::mux::{self, Options};
use media::silence;
use proptest::prelude::*;

fn written(layout: &Layout, store: &Store) -> Vec<u8> {
    let mut sink = Memory::default();
    block_on(mux::write(layout, store, &mut sink, &Options::default(), |_| {})).unwrap();
    assert_eq!(sink.bytes.len() as u64, layout.size_bytes());
    sink.bytes
}

/// The layout with gaps in sound filled.
fn filled(tracks: &[MadeTrack]) -> (Layout, Store) {
    let (_, store) = Store::of(tracks);
    let inputs = tracks.iter().map(|track| TrackInput { fill: Fill::Silence, ..track.pack().0 });
    (Layout::new(inputs.collect()).unwrap(), store)
}

/// The recording in which silence was recorded wherever at least one frame of it fits: every fragment a segment of its
/// own, for that is where chunks end. Also how many frames there are in each gap.
fn with_silence(made: &MadeTrack) -> (MadeTrack, Vec<u32>) {
    let Some(frame) = silence::frame(&made.pack().0.init) else { return (made.clone(), Vec::new()) };
    let (mut segments, mut frames): (Vec<Vec<MadeFragment>>, _) = (Vec::new(), Vec::new());
    for fragment in made.segments.iter().flatten() {
        if let Some(before) = segments.last() {
            let end =
                before[0].tfdt + before[0].samples.iter().map(|made| u64::from(made.sample.duration)).sum::<u64>();
            let gap = fragment.tfdt.saturating_sub(end);
            let count = gap / u64::from(frame.duration);
            let composition_offset = before[0].samples.last().unwrap().sample.composition_offset;
            let silent = |n| {
                let rest = if n + 1 == count { gap % u64::from(frame.duration) } else { 0 };
                let (size_bytes, duration) = (frame.bytes.len() as u32, frame.duration + rest as u32);
                let sample = Sample { size_bytes, duration, composition_offset, sync: true };
                Made { sample, bytes: frame.bytes.to_vec() }
            };
            if count > 0 {
                frames.push(count as u32);
                segments.push(vec![MadeFragment { tfdt: end, samples: (0..count).map(silent).collect() }]);
            }
        }
        segments.push(vec![fragment.clone()]);
    }
    (MadeTrack { segments, ..made.clone() }, frames)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn filled_result_is_that_of_silence_recorded(
        picture in prop::option::of(track(Track::Video)), sound in track(Track::Audio),
        timescale in prop_oneof![2 => Just(48_000u32), 1 => Just(96_000), 1 => Just(3000), 1 => Just(1000)],
    ) {
        let sound = MadeTrack { timescale, ..sound };
        let (recorded, frames) = with_silence(&sound);
        let made: Vec<_> = picture.iter().cloned().chain([sound]).collect();
        let recorded: Vec<_> = picture.iter().cloned().chain([recorded]).collect();
        let ((layout, store), (expected, expected_store)) = (filled(&made), Store::of(&recorded));
        prop_assert_eq!(layout.expected(), expected.expected());
        prop_assert!(written(&layout, &store) == written(&expected, &expected_store));
        // It is told: how many frames, and over which of the jumps.
        let times = layout.times().last().unwrap();
        prop_assert_eq!(times.silences.iter().map(|silence| silence.frames).collect::<Vec<_>>(), frames);
        for silence in &times.silences {
            let jumps = |jump: &&media::layout::Jump| jump.segment == silence.segment && jump.to_ms == silence.to_ms;
            prop_assert!(times.jumps.iter().any(|jump| jumps(&jump) && jump.from_ms == silence.from_ms));
        }
    }
}

fn sound(timescale: u32, tfdts: &[u64]) -> MadeTrack {
    let sample = Sample { size_bytes: 3, duration: 1024, composition_offset: 0, sync: true };
    let fragment = |&tfdt| vec![MadeFragment { tfdt, samples: vec![Made { sample, bytes: vec![7; 3] }] }];
    MadeTrack { kind: Track::Audio, timescale, media_time: 0, segments: tfdts.iter().map(fragment).collect() }
}

/// Sample durations of the result, as runs.
fn durations(layout: &Layout, store: &Store) -> Vec<(u32, u32)> {
    let moov = crate::moov(&written(layout, store));
    let entries = &moov.trak[0].mdia.minf.stbl.stts.entries;
    entries.iter().map(|entry| (entry.sample_count, entry.sample_delta)).collect()
}

#[test]
fn silence_fills_from_one_frame_on_and_the_rest_is_held_by_the_last() {
    for (gap, expected) in [
        (0, vec![(2, 1024)]),
        (1, vec![(1, 1025), (1, 1024)]),
        (1023, vec![(1, 2047), (1, 1024)]),
        (1024, vec![(3, 1024)]),
        (1025, vec![(1, 1024), (1, 1025), (1, 1024)]),
        (2047, vec![(1, 1024), (1, 2047), (1, 1024)]),
        (10_000, vec![(9, 1024), (1, 1024 + 784), (1, 1024)]),
    ] {
        let (layout, store) = filled(&[sound(48_000, &[0, 1024 + gap])]);
        assert_eq!(durations(&layout, &store), expected, "{gap}");
        let samples: u32 = expected.iter().map(|(count, _)| count).sum();
        assert_eq!(layout.expected().tracks[0].samples, u64::from(samples));
    }
}

/// Silence has an end: what a stranger's time stamps ask for beyond a day of it is held, as far as one sample can be.
#[test]
fn silence_of_a_track_is_bounded() {
    let day = SILENCE_SECONDS_MAX * 48_000;
    let (layout, _) = filled(&[sound(48_000, &[0, 1024 + day])]);
    assert_eq!(layout.times().next().unwrap().silences[0].frames, (day / 1024) as u32);
    assert!(layout.chunks().iter().all(|chunk| chunk.samples <= 24));
    let (layout, store) = filled(&[sound(48_000, &[0, 1025 + day])]);
    assert_eq!(layout.times().next().unwrap().silences, []);
    assert_eq!(durations(&layout, &store), [(1, day as u32 + 1025), (1, 1024)]);
    // The bound is one of all gaps together.
    let half = day / 2 + 2048;
    let (layout, _) = filled(&[sound(48_000, &[0, half, 2 * half])]);
    assert_eq!(layout.times().next().unwrap().silences.len(), 1);
    let far = sound(48_000, &[0, 1 << 40]);
    let input = TrackInput { fill: Fill::Silence, ..far.pack().0 };
    assert_eq!(Layout::new(vec![input]).unwrap_err(), Error::GapTooLong { track: Track::Audio, segment: 2 });
}

#[test]
fn picture_is_held_whatever_fills_it() {
    let picture = MadeTrack { kind: Track::Video, ..sound(48_000, &[0, 100_000]) };
    let (layout, store) = filled(std::slice::from_ref(&picture));
    let (held, held_store) = Store::of(&[picture]);
    assert_eq!(written(&layout, &store), written(&held, &held_store));
    assert!(layout.chunks().iter().all(|chunk| chunk.source != Source::Silence));
}
