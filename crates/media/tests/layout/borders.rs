//! Where fields end: offsets and sizes at 4 GiB, times beyond 32 bits. Told by mp4-atom, without a byte of payload.

use crate::synthetic::{Made, MadeFragment, MadeTrack};
use crate::{header, moov, read_back};
use bytes::Bytes;
use domain::segment::Track;
use media::index::{Builder, Sample};
use media::layout::{Layout, SegmentInput, TrackInput};

const MOST: u64 = u32::MAX as u64;

/// Segments of one sample each, a second apart, so that each is a chunk.
fn track(timescale: u32, duration: u32, sizes: &[u32]) -> TrackInput {
    let made = MadeTrack { kind: Track::Video, timescale, media_time: 0, segments: Vec::new() };
    let segment = |(n, &size_bytes): (usize, &u32)| {
        let mut builder = Builder::default();
        builder.begin_fragment(n as u64 * u64::from(duration)).unwrap();
        builder.begin_run(8).unwrap();
        builder.sample(Sample { size_bytes, duration, composition_offset: 0, sync: true }).unwrap();
        let (packed, size_bytes) = (Bytes::from(builder.finish().unwrap().0), u64::from(size_bytes) + 8);
        SegmentInput { index: n as u32 + 1, size_bytes, sha256: None, packed, shift: 0, salvaged: false }
    };
    TrackInput { segments: sizes.iter().enumerate().map(segment).collect(), ..made.pack().0 }
}

fn layout(sizes: &[u32]) -> Layout {
    Layout::new(vec![track(1000, 1000, sizes)]).unwrap()
}

/// Offsets of the chunks and whether they are 64 bits long, and the head of `mdat`.
fn told(layout: &Layout) -> (Vec<u64>, bool, Vec<u8>) {
    let header = header(layout);
    assert_eq!(read_back(layout), layout.expected());
    let stbl = moov(&header).trak.swap_remove(0).mdia.minf.stbl;
    let mdat = header.windows(4).rposition(|kind| kind == b"mdat").unwrap();
    let wide = stbl.co64.map(|co64| co64.entries);
    let narrow = stbl.stco.map(|stco| stco.entries.into_iter().map(u64::from).collect());
    (wide.clone().or(narrow).unwrap(), wide.is_some(), header[mdat - 4..].to_vec())
}

/// The last offset that 32 bits hold is the last one that is written so; a byte more makes all of them wide, and the
/// header longer by four bytes a chunk.
#[test]
fn offsets_are_wide_from_the_first_that_does_not_fit() {
    let head = layout(&[1, 1]).header_bytes();
    let fits = (MOST - head) as u32;
    let narrow = layout(&[fits, 1]);
    assert_eq!(told(&narrow), (vec![head, MOST], false, [&(fits + 9).to_be_bytes()[..], b"mdat"].concat()));
    assert_eq!(narrow.size_bytes(), MOST + 1, "4 GiB");
    let wide = layout(&[fits + 1, 1]);
    let (offsets, is_wide, mdat) = told(&wide);
    assert_eq!((offsets, is_wide), (vec![head + 8, MOST + 9], true));
    assert_eq!(mdat, [&(fits + 10).to_be_bytes()[..], b"mdat"].concat());
    // 4 GiB less one byte: where the file ends does not count, only where its last chunk begins.
    assert!(!told(&layout(&[fits - 1, 1])).1);
    assert!(!told(&layout(&[1, fits])).1);
    // The long head of the media data alone pushes the last offset over the edge.
    let long = layout(&[fits - 8, u32::MAX]);
    assert_eq!(told(&long).0, [head + 8, MOST]);
    assert!(!told(&long).1);
    let pushed = layout(&[fits - 7, u32::MAX]);
    assert_eq!(told(&pushed).0, [head + 16, MOST + 9]);
    assert!(told(&pushed).1);
}

#[test]
fn mdat_is_long_from_the_first_size_that_does_not_fit() {
    let fits = (MOST - 8) as u32;
    let (_, _, mdat) = told(&layout(&[1, fits - 1]));
    assert_eq!(mdat, [&u32::MAX.to_be_bytes()[..], b"mdat"].concat());
    let (_, wide, mdat) = told(&layout(&[1, fits]));
    assert_eq!(mdat, [&b"\0\0\0\x01mdat"[..], &(MOST + 9).to_be_bytes()].concat());
    assert!(!wide, "the last chunk begins at once");
    let (_, wide, mdat) = told(&layout(&[u32::MAX; 5]));
    assert_eq!(mdat, [&b"\0\0\0\x01mdat"[..], &(5 * MOST + 16).to_be_bytes()].concat());
    assert!(wide);
}

/// Two days at ten million units a second: neither the movie's nor the track's duration fits 32 bits.
#[test]
fn times_beyond_32_bits_are_written_whole() {
    let long = Layout::new(vec![track(10_000_000, 3_000_000_000, &[1; 576])]).unwrap();
    let moov = moov(&header(&long));
    let (trak, seconds) = (&moov.trak[0], 576 * 300u64);
    assert_eq!(moov.mvhd.timescale, 90_000);
    assert_eq!((moov.mvhd.duration, trak.tkhd.duration), (seconds * 90_000, seconds * 90_000));
    assert_eq!(trak.mdia.mdhd.duration, seconds * 10_000_000);
    let edits = &trak.edts.as_ref().unwrap().elst.as_ref().unwrap().entries;
    assert_eq!((edits.len(), edits[0].segment_duration), (1, seconds * 90_000));
    // A start as late as that, and media that begins there.
    let mut late = track(10_000_000, 1000, &[1]);
    late.segments[0].shift = 1 << 50;
    let early = track(10_000_000, 1000, &[1]);
    let both = Layout::new(vec![early, late.clone()]).unwrap();
    let edits = crate::moov(&header(&both)).trak.swap_remove(1).edts.unwrap().elst.unwrap().entries;
    assert_eq!((edits[0].segment_duration, edits[0].media_time), (((1u64 << 50) * 9 + 500) / 1000, None));
    assert_eq!(edits[1].media_time, Some(0));
    // Priming that is longer than 32 bits can say: the first edit begins in the middle of the media.
    late.init.media_time = (1 << 50) + 500;
    let primed = Layout::new(vec![late]).unwrap();
    let edits = crate::moov(&header(&primed)).trak.swap_remove(0).edts.unwrap().elst.unwrap().entries;
    assert_eq!((edits[0].media_time, edits[0].segment_duration), (Some(500), 5));
}

/// What the edit list says when time stamps begin before, at and behind what it skips.
#[test]
fn edit_list_begins_where_the_media_is_first_presented() {
    let sample = |offset| Sample { size_bytes: 1, duration: 1000, composition_offset: offset, sync: true };
    let made = |tfdt, media_time, offsets: &[i32]| {
        let samples = offsets.iter().map(|&offset| Made { sample: sample(offset), bytes: vec![0] });
        let segments = vec![vec![MadeFragment { tfdt, samples: samples.collect() }]];
        MadeTrack { kind: Track::Video, timescale: 1000, media_time, segments }.pack().0
    };
    let edit = |input| {
        let layout = Layout::new(vec![input]).unwrap();
        let times = layout.times().next().unwrap();
        (times.media_time, times.composition_bias, times.duration / 90)
    };
    // tfdt, media_time, offsets; then media_time, bias and milliseconds of the result.
    for (tfdt, media_time, offsets, expected) in [
        (0, 0, [0, 0, 0], (0, 0, 3000)),
        (0, 1000, [0, 0, 0], (1000, 0, 2000)),
        (0, 1500, [0, 0, 0], (1500, 0, 1500)),
        // Decoding began below the priming, and behind it.
        (400, 1000, [0, 0, 0], (600, 0, 2400)),
        (1000, 1000, [0, 0, 0], (0, 0, 3000)),
        (5000, 1000, [0, 0, 0], (0, 0, 3000)),
        // Reordered pictures whose delay the edit list takes away, and whose it does not.
        (0, 1000, [1000, 2000, 0], (1000, 0, 3000)),
        (0, 0, [1000, 2000, 0], (1000, 0, 3000)),
        // Offsets below 0, as version 1 of `trun` has them.
        (0, 0, [0, 1000, -1000], (0, 0, 3000)),
        (5000, 0, [-1000, 0, -1000], (0, 1000, 3000)),
        (5000, 0, [0, 1000, -1000], (0, 0, 3000)),
    ] {
        assert_eq!(edit(made(tfdt, media_time, &offsets)), expected, "{tfdt} {media_time} {offsets:?}");
    }
}
