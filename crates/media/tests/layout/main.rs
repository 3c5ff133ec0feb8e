//! A layout against an independent model and an independent reader of boxes (mp4-atom).

#![allow(clippy::unwrap_used, reason = "a result that cannot be read ends the test")]

#[path = "../synthetic/mod.rs"]
mod synthetic;

mod borders;
mod cost;
mod fill;
mod moved;
mod pinned;
mod silence;

use bytes::Bytes;
use domain::mux::verify;
use domain::retry::Classify as _;
use domain::segment::Track;
use media::index::{Builder, Sample};
use media::layout::{Chunk, Error, Layout, SegmentInput, Source, TrackInput};
use media::mux::{self, Options};
use media::readback::{self, RangedReader};
use mp4_atom::{Decode as _, StszSamples};
use proptest::prelude::*;
use std::io;
use std::sync::Mutex;
use synthetic::{Made, MadeFragment, MadeTrack, Memory, Store, block_on, recording};

/// One sample as the result's tables tell it.
#[derive(Debug, PartialEq)]
struct Read {
    at: u64,
    offset: i64,
    duration: u32,
    sync: bool,
    bytes: Vec<u8>,
}

fn moov(result: &[u8]) -> mp4_atom::Moov {
    let mut rest = result;
    mp4_atom::Ftyp::decode(&mut rest).unwrap();
    mp4_atom::Moov::decode(&mut rest).unwrap()
}

/// Every sample of a track of the result, by its tables and by nothing else.
fn read_samples(trak: &mp4_atom::Trak, result: &[u8]) -> Vec<Read> {
    let stbl = &trak.mdia.minf.stbl;
    let StszSamples::Different { sizes } = &stbl.stsz.samples else { panic!("sizes are a table") };
    let mut durations =
        stbl.stts.entries.iter().flat_map(|entry| vec![entry.sample_delta; entry.sample_count as usize]);
    let mut offsets = stbl
        .ctts
        .iter()
        .flat_map(|ctts| &ctts.entries)
        .flat_map(|entry| vec![entry.sample_offset; entry.sample_count as usize]);
    let chunks: Vec<u64> = match (&stbl.stco, &stbl.co64) {
        (Some(stco), None) => stco.entries.iter().map(|&at| u64::from(at)).collect(),
        (None, Some(co64)) => co64.entries.clone(),
        other => panic!("{other:?}"),
    };
    let (mut samples, mut at, mut n, mut run) = (Vec::new(), 0, 0usize, 0);
    for (chunk, &start) in chunks.iter().enumerate() {
        if stbl.stsc.entries.get(run + 1).is_some_and(|next| next.first_chunk as usize == chunk + 1) {
            run += 1;
        }
        let mut place = start as usize;
        for _ in 0..stbl.stsc.entries[run].samples_per_chunk {
            let duration = durations.next().unwrap();
            let sync = stbl.stss.as_ref().is_none_or(|stss| stss.entries.contains(&(n as u32 + 1)));
            let bytes = result[place..place + sizes[n] as usize].to_vec();
            let offset = if stbl.ctts.is_some() { offsets.next().unwrap() } else { 0 };
            samples.push(Read { at, offset, duration, sync, bytes });
            (at, n, place) = (at + u64::from(duration), n + 1, place + sizes[n] as usize);
        }
    }
    assert_eq!((n, durations.next(), offsets.next()), (sizes.len(), None, None));
    samples
}

/// Presentation times in seconds of the result, by its edit list.
fn presented(trak: &mp4_atom::Trak, samples: &[Read]) -> Vec<f64> {
    let edits = &trak.edts.as_ref().unwrap().elst.as_ref().unwrap().entries;
    let (empty, real) = match edits.as_slice() {
        [real] => (0, real),
        [empty, real] if empty.media_time.is_none() => (empty.segment_duration, real),
        other => panic!("{other:?}"),
    };
    let media_time = real.media_time.unwrap() as f64;
    let timescale = f64::from(trak.mdia.mdhd.timescale);
    samples
        .iter()
        .map(|read| empty as f64 / 90_000.0 + (read.at as f64 + read.offset as f64 - media_time) / timescale)
        .collect()
}

fn muxed(tracks: &[MadeTrack]) -> (Layout, Vec<u8>) {
    let (layout, store) = Store::of(tracks);
    let mut sink = Memory::default();
    block_on(mux::write(&layout, &store, &mut sink, &Options::default(), |_| {})).unwrap();
    (layout, sink.bytes)
}

/// The earliest presentation of any track, not before 0, in seconds.
fn zero(tracks: &[MadeTrack]) -> f64 {
    let first = |track: &MadeTrack| {
        let composed =
            track.samples().into_iter().map(|(at, made)| at as i64 + i64::from(made.sample.composition_offset));
        (composed.min().unwrap() - track.media_time).max(0) as f64 / f64::from(track.timescale)
    };
    tracks.iter().map(first).fold(f64::INFINITY, f64::min)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn result_holds_every_sample_at_its_time(tracks in recording()) {
        let (layout, result) = muxed(&tracks);
        prop_assert_eq!(layout.size_bytes(), result.len() as u64);
        let moov = moov(&result);
        let zero = zero(&tracks);
        for (track, trak) in tracks.iter().zip(&moov.trak) {
            let (made, read) = (track.samples(), read_samples(trak, &result));
            prop_assert_eq!(made.len(), read.len());
            let times = presented(trak, &read);
            for (n, ((at, made), read)) in made.iter().zip(&read).enumerate() {
                prop_assert_eq!(&made.bytes, &read.bytes);
                prop_assert_eq!(made.sample.sync, read.sync);
                // Every sample is decoded where its fragment says: gaps and overlaps change the one before.
                prop_assert_eq!(at - track.samples()[0].0, read.at);
                let composed = *at as f64 + f64::from(made.sample.composition_offset) - track.media_time as f64;
                let expected = composed / f64::from(track.timescale) - zero;
                prop_assert!((times[n] - expected).abs() < 0.6 / 90_000.0, "sample {n}: {} instead of {expected}", times[n]);
            }
            let duration: u64 = read.iter().map(|read| u64::from(read.duration)).sum();
            prop_assert_eq!(trak.mdia.mdhd.duration, duration);
            // It is presented until the sample that is shown last ends, of which nothing is rounded away.
            let composed = |at: u64, made: &Made| at as i128 + i128::from(made.sample.composition_offset) - i128::from(track.media_time);
            let first = made.iter().map(|&(at, made)| composed(at, made)).min().unwrap().max(0);
            let &(at, last) = made.iter().max_by_key(|&&(at, made)| composed(at, made)).unwrap();
            let length = (composed(at, last) + i128::from(last.sample.duration) - first).max(0);
            let timescale = i128::from(track.timescale);
            let edit = trak.edts.as_ref().unwrap().elst.as_ref().unwrap().entries.last().unwrap();
            prop_assert_eq!(i128::from(edit.segment_duration), (length * 90_000 + timescale - 1) / timescale);
        }
    }

    #[test]
    fn result_reads_back_as_planned(tracks in recording()) {
        let (layout, result) = muxed(&tracks);
        let found = block_on(readback::read(&Virtual::of(Bytes::from(result.clone()), result.len() as u64), result.len() as u64)).unwrap();
        prop_assert_eq!(verify(&layout.expected(), &found.facts), vec![]);
        prop_assert_eq!(layout.expected(), found.facts);
    }

    #[test]
    fn chunks_are_short_and_in_order(tracks in recording()) {
        let (layout, _) = Store::of(&tracks);
        let starts: Vec<_> = tracks.iter().map(MadeTrack::samples).collect();
        let mut next = vec![0; tracks.len()];
        let mut before = 0.0;
        for chunk in layout.chunks() {
            let timescale = f64::from(tracks[chunk.track].timescale);
            let samples = &starts[chunk.track][next[chunk.track]..][..chunk.samples as usize];
            let (first, last) = (samples[0].0 as f64 / timescale, samples[samples.len() - 1].0 as f64 / timescale);
            // A step of whole units is at most half a second, and one unit where a unit is longer than that.
            prop_assert!(samples.len() == 1 || last - first < 0.5f64.max(1.0 / timescale), "{first} to {last}");
            prop_assert!(first >= before || tracks.len() == 1 || first < before && next[chunk.track] > 0);
            prop_assert_eq!(chunk.len, samples.iter().map(|(_, made)| made.bytes.len() as u64).sum::<u64>());
            next[chunk.track] += chunk.samples as usize;
            before = first;
        }
    }
}

/// A result of which only the header exists; the rest is zeros.
struct Virtual {
    header: Bytes,
    size_bytes: u64,
    /// Length of each read.
    reads: Mutex<Vec<u64>>,
}

impl Virtual {
    fn of(header: Bytes, size_bytes: u64) -> Virtual {
        Virtual { header, size_bytes, reads: Mutex::default() }
    }
}

impl RangedReader for Virtual {
    type Error = io::Error;

    async fn read(&self, at: u64, len: u64) -> Result<Bytes, io::Error> {
        assert!(at + len <= self.size_bytes);
        self.reads.lock().unwrap().push(len);
        let mut bytes = vec![0; len as usize];
        let have = self.header.len().saturating_sub(at as usize).min(bytes.len());
        bytes[..have].copy_from_slice(&self.header[at as usize..][..have]);
        Ok(Bytes::from(bytes))
    }
}

/// Segments of which only the index exists.
fn virtual_track(kind: Track, timescale: u32, segments: u32, samples: u32, sample: Sample) -> TrackInput {
    let made = MadeTrack {
        kind,
        timescale,
        media_time: 0,
        segments: vec![vec![MadeFragment { tfdt: 0, samples: vec![Made { sample, bytes: Vec::new() }] }]],
    };
    let (mut input, _) = made.pack();
    let segment = |n: u32| {
        let mut builder = Builder::default();
        builder.begin_fragment(u64::from(n) * u64::from(samples) * u64::from(sample.duration)).unwrap();
        builder.begin_run(800).unwrap();
        (0..samples).for_each(|_| builder.sample(sample).unwrap());
        let (packed, summary) = builder.finish().unwrap();
        let (size_bytes, packed) = (summary.payload_bytes + 800, Bytes::from(packed));
        SegmentInput { index: n + 1, size_bytes, sha256: None, packed, shift: 0, salvaged: false }
    };
    input.segments = (0..segments).map(segment).collect();
    input
}

fn header(layout: &Layout) -> Bytes {
    let header: Vec<u8> = layout.header().flatten().collect();
    assert_eq!(header.len() as u64, layout.header_bytes());
    Bytes::from(header)
}

#[test]
fn layout_widens_offsets_and_mdat_only_when_it_must() {
    // Two samples a segment, a second each, so every sample is a chunk.
    let sample = |size_bytes| Sample { size_bytes, duration: 1, composition_offset: 0, sync: true };
    for (segments, size_bytes, wide, head) in [
        (2, (1u32 << 30) - 100, false, &b"mdat"[..]),
        // The payload does not fit 32 bits, but its last chunk begins where they still reach.
        (2, 1 << 30, false, b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\x10"),
        (3, 1 << 30, true, b"\0\0\0\x01mdat\0\0\0\x01\x80\0\0\x10"),
        (4, u32::MAX, true, b"\0\0\0\x01mdat\0\0\0\x08\0\0\0\x08"),
    ] {
        let layout = Layout::new(vec![virtual_track(Track::Video, 2, segments, 2, sample(size_bytes))]).unwrap();
        let header = header(&layout);
        let moov = moov(&header);
        let stbl = &moov.trak[0].mdia.minf.stbl;
        assert_eq!(stbl.co64.is_some(), wide, "{segments} segments of 2 samples of {size_bytes} bytes");
        assert_eq!(stbl.stco.is_some(), !wide);
        assert!(header.ends_with(head), "{segments} {size_bytes}: {:?}", &header[header.len() - 16..]);
        let size_bytes = layout.size_bytes();
        let found = block_on(readback::read(&Virtual::of(header, size_bytes), size_bytes)).unwrap();
        assert_eq!(found.facts, layout.expected());
    }
}

/// Hours of which only the indexes exist.
fn long(hours: u32) -> Layout {
    let video = Sample { size_bytes: 20_000, duration: 512, composition_offset: 1024, sync: true };
    let audio = Sample { size_bytes: 340, duration: 1024, composition_offset: 0, sync: true };
    Layout::new(vec![
        virtual_track(Track::Video, 15_360, hours * 1800, 60, video),
        virtual_track(Track::Audio, 48_000, hours * 1800, 94, audio),
    ])
    .unwrap()
}

#[test]
fn header_of_a_long_recording_is_made_in_pieces() {
    let layout = long(1);
    let expected = layout.expected();
    assert_eq!(expected.tracks[0].samples, 108_000);
    let pieces: Vec<usize> = layout.header().map(|piece| piece.len()).collect();
    assert!(pieces.iter().all(|&len| len < 128 << 10), "{:?}", pieces.iter().max());
    assert!(pieces[..pieces.len() - 1].iter().all(|&len| len >= 64 << 10));
    assert_eq!(pieces.iter().sum::<usize>() as u64, layout.header_bytes());
    assert_eq!(verify(&expected, &read_back(&layout)), []);
}

#[test]
fn header_of_a_long_recording_is_read_back_in_pieces_and_once() {
    let layout = long(5);
    let stored = Virtual::of(header(&layout), layout.size_bytes());
    let found = block_on(readback::read(&stored, layout.size_bytes())).unwrap();
    assert_eq!(verify(&layout.expected(), &found.facts), []);
    let reads = stored.reads.into_inner().unwrap();
    assert!(layout.header_bytes() > 5 << 20);
    assert!(reads.iter().all(|&len| len <= 1 << 20), "{reads:?}");
    // Each byte once, but for the heads of boxes: some kilobytes with each.
    assert!(reads.iter().sum::<u64>() < layout.header_bytes() + (1 << 20), "{reads:?}");
}

fn read_back(layout: &Layout) -> domain::mux::ResultFacts {
    let (header, size_bytes) = (header(layout), layout.size_bytes());
    block_on(readback::read(&Virtual::of(header, size_bytes), size_bytes)).unwrap().facts
}

#[test]
fn layout_refuses_what_it_cannot_express() {
    let sample = Sample { size_bytes: 1, duration: 100, composition_offset: 0, sync: true };
    let track = |tfdts: &[u64]| {
        let mut input = virtual_track(Track::Audio, 1000, tfdts.len() as u32, 1, sample);
        for (segment, &tfdt) in input.segments.iter_mut().zip(tfdts) {
            let mut builder = Builder::default();
            builder.begin_fragment(tfdt).unwrap();
            builder.begin_run(800).unwrap();
            builder.sample(sample).unwrap();
            segment.packed = Bytes::from(builder.finish().unwrap().0);
        }
        input
    };
    let error = |tracks| Layout::new(tracks).unwrap_err();
    assert_eq!(error(vec![]), Error::NoTrack);
    let back = Error::TfdtBack { track: Track::Audio, segment: 2, overlap_ms: 100 };
    assert_eq!(error(vec![track(&[1000, 1000])]), back);
    assert_eq!(back.class(), "tfdt-back");
    assert!(Layout::new(vec![track(&[1000, 1001])]).is_ok());
    let long = Error::GapTooLong { track: Track::Audio, segment: 2 };
    assert_eq!(error(vec![track(&[0, 1 << 32])]), Error::GapTooLong { track: Track::Audio, segment: 2 });
    assert_eq!(long.class(), "gap-too-long");
    assert!(Layout::new(vec![track(&[0, u64::from(u32::MAX)])]).is_ok());
    let mut short = track(&[0]);
    short.segments[0].size_bytes = 800;
    assert_eq!(error(vec![short]), Error::OutsideSegment { track: Track::Audio, segment: 1 });
    let mut torn = track(&[0]);
    torn.segments[0].packed = Bytes::from_static(b"\x01\x02");
    assert_eq!(error(vec![torn]).class(), "index-damaged");
    let mut empty = track(&[0]);
    empty.segments.clear();
    assert_eq!(error(vec![empty]), Error::Empty { track: Track::Audio });
}

/// The last moment a segment may say lies beyond what the result's own clock can count to.
#[test]
fn layout_refuses_times_beyond_its_own_clock() {
    let sample = Sample { size_bytes: 1, duration: u32::MAX, composition_offset: 0, sync: true };
    let track = |kind, tfdt| {
        let mut input = virtual_track(kind, 5625, 1, 1, sample);
        let mut builder = Builder::default();
        builder.begin_fragment(tfdt).unwrap();
        builder.begin_run(800).unwrap();
        builder.sample(sample).unwrap();
        input.segments[0].packed = Bytes::from(builder.finish().unwrap().0);
        input
    };
    let last = (1 << 60) - u64::from(u32::MAX);
    let late = Layout::new(vec![track(Track::Video, 0), track(Track::Audio, last)]);
    assert_eq!(late.unwrap_err(), Error::OutOfRange { track: Track::Audio });
    assert!(Layout::new(vec![track(Track::Audio, last)]).is_ok(), "what counts is the distance");
}

/// Samples without bytes are accepted wherever their fragment says they lie; a result must not stop at them.
#[test]
fn layout_does_not_ask_where_samples_without_bytes_lie() {
    let sample = |size_bytes| Sample { size_bytes, duration: 100, composition_offset: 0, sync: true };
    let mut input = virtual_track(Track::Audio, 1000, 1, 1, sample(1));
    let mut builder = Builder::default();
    builder.begin_fragment(0).unwrap();
    for (offset, size_bytes) in [(1 << 50, 0), (800, 1), (1 << 40, 0)] {
        builder.begin_run(offset).unwrap();
        builder.sample(sample(size_bytes)).unwrap();
    }
    let (packed, summary) = builder.finish().unwrap();
    input.segments[0].packed = Bytes::from(packed);
    let layout = Layout::new(vec![input]).unwrap();
    assert_eq!((layout.expected().tracks[0].samples, summary.payload_bytes), (3, 1));
    let inside = |chunk: &Chunk| matches!(chunk.source, Source::Segment { offset, .. } if offset + chunk.len <= 801);
    assert!(layout.chunks().iter().all(inside), "{:?}", layout.chunks());
    assert_eq!(verify(&layout.expected(), &read_back(&layout)), []);
}
