//! What is saved of damaged segments of FFmpeg's muxers: every whole sample before a cut, nothing that is not whole.

#![allow(clippy::unwrap_used, reason = "a set that cannot be read ends the test")]

mod sets;

use domain::segment::Track;
use media::boxes::{Boxes, FourCc};
use media::defect::Defect;
use media::index::{IndexReader, Sample};
use media::init::Init;
use media::salvage::{self, RESYNC_BYTES_MAX, Salvager};
use media::walk::{self, Limits, Media};
use proptest::prelude::*;
use sets::{AAC, H264, Set};
use std::sync::LazyLock;

/// Initialization section and one segment.
struct Lane {
    init: Init,
    segment: Vec<u8>,
}

/// One fragment of picture, one of sound, and several fragments of each.
static LANES: LazyLock<[Lane; 4]> = LazyLock::new(|| {
    let dash = Set::of(Some(H264), Some(AAC), "4");
    let several = Set::empty();
    several.add_fragments("video", H264, "4", "frag_every_frame", 7);
    several.add_fragments("audio", AAC, "4", "frag_every_frame", 5);
    let lane = |set: &Set, track: Track| Lane {
        init: Init::parse(track, &set.bytes(track.as_str(), 0)).unwrap(),
        segment: set.bytes(track.as_str(), 1),
    };
    let lanes = [&dash, &several].map(|set| Track::ALL.map(|track| lane(set, track)));
    let [[video, audio], [videos, audios]] = lanes;
    [video, audio, videos, audios]
});

/// A sample and the byte it begins at.
type Placed = (u64, u64, Sample);

/// Samples with decode time and place.
fn placed(media: &Media) -> Vec<Placed> {
    let mut placed = Vec::new();
    for fragment in IndexReader::open(&media.index).unwrap().fragments() {
        let (mut samples, mut time) = (fragment.samples(), fragment.tfdt);
        for range in fragment.ranges() {
            let mut at = range.offset;
            for sample in samples.by_ref().take(range.samples as usize) {
                placed.push((at, time, sample));
                at += u64::from(sample.size_bytes);
                time += u64::from(sample.duration);
            }
        }
    }
    placed
}

fn whole(lane: &Lane) -> Media {
    walk::media(&lane.init, &lane.segment, Limits::NONE).unwrap()
}

fn salvage(init: &Init, object: &[u8]) -> Option<Media> {
    let defect = walk::media(init, object, Limits::NONE).unwrap_err();
    salvage::media(init, object, &defect)
}

fn samples(media: Option<&Media>) -> Vec<Placed> {
    media.map(placed).unwrap_or_default()
}

/// The boxes of `kind` in a segment: where they begin and end.
fn boxes(segment: &[u8], kind: &[u8; 4]) -> Vec<(usize, usize)> {
    let found = Boxes::of(segment).map(Result::unwrap).filter(|found| found.kind == FourCc(*kind));
    found.map(|found| (found.at as usize, found.at as usize + found.whole.len())).collect()
}

#[test]
fn every_cut_keeps_exactly_the_samples_before_it() {
    for lane in LANES.iter() {
        let all = placed(&whole(lane));
        let mut ends: Vec<usize> =
            all.iter().map(|(at, _, sample)| *at as usize + sample.size_bytes as usize).collect();
        ends.extend(boxes(&lane.segment, b"moof").into_iter().flat_map(|(from, to)| [from, (from + to) / 2, to]));
        let near = ends.iter().flat_map(|&end| [end.saturating_sub(1), end, end + 1, end + 9]);
        for cut in near.filter(|&cut| cut < lane.segment.len()) {
            let object = &lane.segment[..cut];
            let Err(defect) = walk::media(&lane.init, object, Limits::NONE) else { continue };
            let saved = salvage::media(&lane.init, object, &defect);
            let expected = all.iter().filter(|(at, _, sample)| at + u64::from(sample.size_bytes) <= cut as u64);
            assert_eq!(samples(saved.as_ref()), expected.copied().collect::<Vec<_>>(), "cut at {cut}");
            if let Some(saved) = saved {
                assert_eq!(IndexReader::open(&saved.index).unwrap().summary(), saved.summary);
                assert_eq!((saved.span.start, saved.span.end()), (saved.summary.start, saved.summary.end));
                assert_eq!(saved.size_bytes, cut as u64);
            }
        }
    }
}

#[test]
fn damaged_head_is_passed_over() {
    for lane in &LANES[..2] {
        let (moof, _) = boxes(&lane.segment, b"moof")[0];
        assert!(moof > 20, "boxes before the fragment");
        for noise in [0x00, 0xa5, b'a'] {
            let mut object = lane.segment.clone();
            object[..moof].fill(noise);
            assert_eq!(salvage(&lane.init, &object), Some(whole(lane)), "{noise:#x}");
        }
    }
}

#[test]
fn damaged_fragment_gives_nothing_and_those_before_it_stay() {
    for lane in LANES.iter() {
        let all = placed(&whole(lane));
        let fragments = boxes(&lane.segment, b"moof");
        for &(from, to) in &fragments {
            let mut object = lane.segment.clone();
            object[from + 8..to].fill(0x5a);
            let before = all.iter().filter(|(at, ..)| *at < from as u64).copied().collect::<Vec<_>>();
            let saved = salvage(&lane.init, &object);
            if !before.is_empty() {
                assert_eq!(samples(saved.as_ref()), before);
                continue;
            }
            // Without the first one, picture cannot begin before the next sync sample.
            let behind = all.iter().skip_while(|(at, ..)| *at < to as u64);
            let behind = behind.skip_while(|(at, _, sample)| {
                *at < fragments.get(1).map_or(u64::MAX, |next| next.0 as u64) || !sample.sync
            });
            assert_eq!(samples(saved.as_ref()), behind.copied().collect::<Vec<_>>());
        }
    }
}

#[test]
fn what_was_never_a_segment_gives_nothing() {
    let [video, audio, ..] = &*LANES;
    assert_eq!(salvage(&video.init, b""), None);
    assert_eq!(salvage(&video.init, &[b' '; 70_000]), None);
    assert_eq!(salvage(&video.init, b"\x1a\x45\xdf\xa3 Matroska"), None);
    let mut other = audio.init.clone();
    other.track_id = 9;
    assert_eq!(salvage(&other, &audio.segment), None);
    let long = Limits { duration_max_ms: 1, ..Limits::NONE };
    let defect = walk::media(&video.init, &video.segment, long).unwrap_err();
    assert_eq!(salvage::media(&video.init, &video.segment, &defect), None, "nothing of it is damaged");
}

/// Counts what a salvage asks for.
fn cost(init: &Init, object: &[u8]) -> (Option<Media>, usize, u64) {
    let defect = Defect::BadBox { kind: FourCc(*b"styp"), at: 0, what: "noise" };
    let mut salvager = Salvager::of(init, object.len() as u64, &defect);
    let (mut reads, mut read_bytes) = (0, 0);
    while let Some(wanted) = salvager.wants() {
        assert!(wanted.start < wanted.end && wanted.end <= object.len() as u64, "{wanted:?}");
        reads += 1;
        read_bytes += wanted.end - wanted.start;
        salvager.push(&object[wanted.start as usize..wanted.end as usize]);
    }
    (salvager.finish(), reads, read_bytes)
}

#[test]
fn heads_alone_are_read() {
    let mut object = LANES[0].segment.clone();
    object.truncate(object.len() - 1);
    let (saved, reads, read_bytes) = cost(&LANES[0].init, &object);
    assert_eq!(saved, salvage(&LANES[0].init, &object));
    assert!(reads == 1 && read_bytes <= 16 << 10, "{reads} reads, {read_bytes} bytes");
}

#[test]
fn hostile_object_costs_a_bounded_number_of_steps() {
    let init = &LANES[0].init;
    // Fragment heads one behind the other, each of which claims all that is allowed and holds nothing.
    let mut claims = Vec::new();
    while claims.len() < 24 << 20 {
        claims.extend(b"\0\x0f\0\0moof\0\0\0\x10mfhd\0\0\0\0\0\0\0\x01");
    }
    let (saved, reads, read_bytes) = cost(init, &claims);
    assert_eq!(saved, None);
    assert!(reads <= 200 && read_bytes <= 32 * RESYNC_BYTES_MAX, "{reads} reads, {read_bytes} bytes");

    // The type alone, over and over.
    let (saved, reads, read_bytes) = cost(init, &b"moof".repeat(1 << 20));
    assert_eq!(saved, None);
    assert!(reads <= 200 && read_bytes <= 32 * RESYNC_BYTES_MAX, "{reads} reads, {read_bytes} bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn cut_keeps_what_ends_before_it(n in 0..4usize, at in any::<prop::sample::Index>()) {
        let lane = &LANES[n];
        let cut = at.index(lane.segment.len());
        let object = &lane.segment[..cut];
        if let Err(defect) = walk::media(&lane.init, object, Limits::NONE) {
            let saved = salvage::media(&lane.init, object, &defect);
            let expected: Vec<_> = placed(&whole(lane)).into_iter().filter(|(at, _, sample)| at + u64::from(sample.size_bytes) <= cut as u64).collect();
            prop_assert_eq!(samples(saved.as_ref()), expected);
        }
    }

    /// One wrong byte anywhere: whatever is saved lies where the samples lay, with their lengths.
    #[test]
    fn wrong_byte_moves_no_sample(n in 0..4usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<Option<prop::sample::Index>>()) {
        let lane = &LANES[n];
        let heads = boxes(&lane.segment, b"mdat").into_iter().map(|(from, _)| from + 8).max().unwrap();
        let mut object = lane.segment.clone();
        object[at.index(heads)] = byte;
        object.truncate(cut.map_or(object.len(), |cut| cut.index(lane.segment.len())));
        if let Err(defect) = walk::media(&lane.init, &object, Limits::NONE) {
            let all: Vec<_> = placed(&whole(lane)).into_iter().map(|(at, _, sample)| (at, sample.size_bytes)).collect();
            for (at, _, sample) in samples(salvage::media(&lane.init, &object, &defect).as_ref()) {
                prop_assert!(all.contains(&(at, sample.size_bytes)), "{at}, {} bytes", sample.size_bytes);
                prop_assert!(at + u64::from(sample.size_bytes) <= object.len() as u64);
            }
        }
    }

    /// Whatever is done to the boxes, samples lie inside the object and share no byte.
    #[test]
    fn noise_never_panics_and_saves_no_byte_twice(n in 0..4usize, hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), cut in any::<prop::sample::Index>()) {
        let lane = &LANES[n];
        let mut object = lane.segment.clone();
        for (at, byte) in &hits {
            let at = at.index(object.len().min(4096));
            object[at] = *byte;
        }
        object.truncate(cut.index(object.len() + 1));
        if let Err(defect) = walk::media(&lane.init, &object, Limits::NONE) {
            let saved = salvage::media(&lane.init, &object, &defect);
            prop_assert_eq!(&saved, &salvage::media(&lane.init, &object, &defect));
            let mut places: Vec<_> = samples(saved.as_ref()).into_iter().map(|(at, _, sample)| (at, at + u64::from(sample.size_bytes))).filter(|(from, to)| from < to).collect();
            places.sort_unstable();
            prop_assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0));
            prop_assert!(places.last().is_none_or(|last| last.1 <= object.len() as u64));
        }
    }
}
