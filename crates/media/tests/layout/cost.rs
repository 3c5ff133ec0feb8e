//! What a layout costs: bytes of index a sample, and memory of a long recording. Counted, not timed.

use crate::synthetic::init::{Codec, avc1, mp4a};
use bytes::Bytes;
use domain::mux::Fill;
use domain::segment::Track;
use media::index::{Builder, Sample};
use media::init::Init;
use media::layout::{Layout, SegmentInput, TrackInput};

/// Numbers that look random and are the same everywhere (Knuth's MMIX constants).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The `n`th sample of a segment.
type Draw = fn(&mut Numbers, u64) -> Sample;

/// H.264 with two B-frames at a constant rate of bits: sizes around a mean, a large one that begins the segment.
pub(crate) fn picture(numbers: &mut Numbers, n: u64) -> Sample {
    let size_bytes = if n == 0 { 90_000 } else { [30_000, 12_000, 9000][n as usize % 3] } + numbers.below(9000) as u32;
    let composition_offset = [256, 768, 0, 0][n as usize % 4];
    Sample { size_bytes, duration: 256, composition_offset, sync: n == 0 }
}

/// The same with a duration of its own for every picture, in microseconds.
fn varying(numbers: &mut Numbers, n: u64) -> Sample {
    let duration = 8000 + numbers.below(50_000) as u32;
    Sample { duration, composition_offset: [1, 3, 0, 0][n as usize % 4] * duration as i32, ..picture(numbers, n) }
}

pub(crate) fn aac(numbers: &mut Numbers, _: u64) -> Sample {
    Sample { size_bytes: 330 + numbers.below(60) as u32, duration: 1024, composition_offset: 0, sync: true }
}

fn opus(numbers: &mut Numbers, _: u64) -> Sample {
    Sample { size_bytes: 120 + numbers.below(80) as u32, duration: 960, composition_offset: 0, sync: true }
}

fn equal(_: &mut Numbers, _: u64) -> Sample {
    Sample { size_bytes: 4, duration: 1, composition_offset: 0, sync: true }
}

/// Segments that are made; a longer track has them again and again, each in memory of its own and moved to its place.
const MADE: u32 = 60;

/// A track of `segments` segments of `samples` samples each, one behind the other.
pub(crate) fn track(kind: Track, timescale: u32, segments: u32, samples: u64, draw: Draw) -> TrackInput {
    let entry = if kind == Track::Video { avc1() } else { mp4a(2, 48_000, &[0x11, 0x90]) };
    let init = Codec { track: kind, timescale, entry: &entry, media_time: None }.init();
    let (mut numbers, mut at) = (Numbers(u64::from(timescale)), 0);
    let mut made = Vec::new();
    for index in 1..=segments.min(MADE) {
        let mut builder = Builder::default();
        builder.begin_fragment(at).unwrap();
        builder.begin_run(800).unwrap();
        (0..samples).for_each(|n| builder.sample(draw(&mut numbers, n)).unwrap());
        let (packed, summary) = builder.finish().unwrap();
        at = summary.end;
        let (size_bytes, packed) = (summary.payload_bytes + 800, Bytes::from(packed));
        made.push(SegmentInput { index, size_bytes, sha256: None, packed, shift: 0, salvaged: false });
    }
    let segment = |n: u32| {
        let made = &made[(n % MADE) as usize];
        let (packed, shift) = (Bytes::copy_from_slice(&made.packed), i64::from(n / MADE) * at as i64);
        SegmentInput { index: n + 1, packed, shift, ..made.clone() }
    };
    TrackInput {
        init: Init::parse(kind, &init).unwrap(),
        segments: (0..segments).map(segment).collect(),
        fill: Fill::Hold,
    }
}

/// Pictures at 60 a second and AAC, in segments of two seconds.
pub(crate) fn long(minutes: u32) -> Vec<TrackInput> {
    let picture = track(Track::Video, 15_360, minutes * 30, 120, picture);
    vec![picture, track(Track::Audio, 48_000, minutes * 30, 94, aac)]
}

#[test]
fn index_of_every_kind_costs_less_than_ten_bytes_a_sample() {
    for (what, kind, timescale, samples, draw, most) in [
        ("pictures at a constant rate", Track::Video, 15_360, 60, picture as Draw, 4.5),
        ("pictures at a varying rate", Track::Video, 1_000_000, 50, varying as Draw, 9.3),
        ("AAC", Track::Audio, 48_000, 94, aac as Draw, 2.3),
        ("Opus", Track::Audio, 48_000, 100, opus as Draw, 2.3),
        ("uncompressed sound", Track::Audio, 48_000, 96_000, equal as Draw, 0.001),
    ] {
        let input = track(kind, timescale, 30, samples, draw);
        let bytes: usize = input.segments.iter().map(|segment| segment.packed.len()).sum();
        let each = bytes as f64 / (30 * samples) as f64;
        assert!(each < most, "{what}: {each:.3} bytes a sample");
    }
}

/// The most memory this process has had in use, in KiB (`proc_pid_status(5)`).
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

/// Every test is a process of its own, so the peak is this one's. What it had before the recording is the program itself.
#[test]
fn layout_of_eight_hours_fits_64_mib() {
    let before = peak_kib();
    let layout = Layout::new(long(8 * 60)).unwrap();
    let samples: u64 = layout.expected().tracks.iter().map(|track| track.samples).sum();
    assert!(samples > 3_000_000, "{samples}");
    let written: u64 = layout.header().map(|piece| piece.len() as u64).sum();
    assert_eq!(written, layout.header_bytes());
    let cost = peak_kib() - before;
    assert!(cost < 64 << 10, "{cost} KiB for {samples} samples and a header of {written} bytes");
}

/// For an instruction count: what it does is the layout and its header.
#[test]
fn layout_of_twenty_minutes_is_made_and_written() {
    let layout = Layout::new(long(20)).unwrap();
    assert_eq!(layout.header().map(|piece| piece.len() as u64).sum::<u64>(), layout.header_bytes());
}

/// Silence costs a chunk every half a second and nothing a frame.
#[test]
fn layout_of_hours_of_silence_costs_no_memory_a_frame() {
    let mut input = TrackInput { fill: Fill::Silence, ..track(Track::Audio, 48_000, 2, 94, aac) };
    input.segments[1].shift = 12 * 3600 * 48_000;
    let before = peak_kib();
    let layout = Layout::new(vec![input]).unwrap();
    let frames = 12 * 3600 * 48_000 / 1024;
    assert_eq!(layout.expected().tracks[0].samples, 188 + frames);
    assert_eq!(layout.chunks().len(), 8 + (frames as usize).div_ceil(24));
    let longest = layout.header().map(|piece| piece.len()).max().unwrap();
    assert!(longest < 192 << 10, "{longest}");
    let cost = peak_kib() - before;
    assert!(cost < 16 << 10, "{cost} KiB for {frames} frames");
}
