//! Silent frames of a codec, as FFmpeg decodes them.

use crate::synthetic::init::{Codec, mp4a, opus, sound};
use crate::synthetic::{Memory, Store, block_on};
use bytes::Bytes;
use domain::id::Sha256;
use domain::mux::Fill;
use domain::segment::Track;
use media::index::{Builder, Sample};
use media::init::Init;
use media::layout::{Layout, SegmentInput, TrackInput};
use media::mux::{self, Options};
use media::silence;
use std::process::Command;

/// The rates of AAC by their index (ISO/IEC 14496-3 1.6.3.4), from 8000 on.
const RATES: [u32; 12] = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000];

fn config(index: usize, channels: u8) -> [u8; 2] {
    (2u16 << 11 | (index as u16) << 7 | u16::from(channels) << 3).to_be_bytes()
}

fn init(timescale: u32, entry: &[u8]) -> Init {
    Init::parse(Track::Audio, &Codec { track: Track::Audio, timescale, entry, media_time: None }.init()).unwrap()
}

/// A segment of `count` equal samples, and its object.
fn segment(index: u32, tfdt: u64, frame: &[u8], duration: u32, count: usize) -> (SegmentInput, Bytes) {
    let mut builder = Builder::default();
    builder.begin_fragment(tfdt).unwrap();
    builder.begin_run(4).unwrap();
    let sample = Sample { size_bytes: frame.len() as u32, duration, composition_offset: 0, sync: true };
    (0..count).for_each(|_| builder.sample(sample).unwrap());
    let object = Bytes::from([b"styp", &frame.repeat(count)[..]].concat());
    let (size_bytes, packed) = (object.len() as u64, Bytes::from(builder.finish().unwrap().0));
    (SegmentInput { index, size_bytes, sha256: Some(Sha256::of(&object)), packed, shift: 0, salvaged: false }, object)
}

fn muxed(tracks: Vec<TrackInput>, objects: Vec<(Track, Bytes)>) -> (Layout, Vec<u8>) {
    let layout = Layout::new(tracks).unwrap();
    let mut store = Store::default();
    for (track, object) in objects {
        let index = store.objects.keys().filter(|(kind, _)| *kind == track).count() as u32 + 1;
        store.objects.insert((track, index), object);
    }
    let mut sink = Memory::default();
    block_on(mux::write(&layout, &store, &mut sink, &Options::default(), |_| {})).unwrap();
    (layout, sink.bytes)
}

/// Ten silent frames and nothing else, for each of the tracks: they decode to as many samples of silence. One FFmpeg
/// decodes them all.
fn check(tracks: Vec<(Init, usize, usize)>) {
    let folder = tempfile::tempdir().unwrap();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.current_dir(folder.path()).args(["-v", "warning", "-nostdin", "-xerror"]);
    let mut lengths = Vec::new();
    for (n, (init, channels, samples)) in tracks.into_iter().enumerate() {
        let frame = silence::frame(&init).unwrap();
        let (segment, object) = segment(1, 0, &frame.bytes, frame.duration, 10);
        let track = TrackInput { init, segments: vec![segment], fill: Fill::Hold };
        let (_, result) = muxed(vec![track], vec![(Track::Audio, object)]);
        std::fs::write(folder.path().join(format!("{n}.mp4")), result).unwrap();
        ffmpeg.args(["-i", &format!("{n}.mp4")]);
        lengths.push(10 * samples * channels * 2);
    }
    for n in 0..lengths.len() {
        ffmpeg.args(["-map", &n.to_string(), "-f", "s16le", &format!("{n}.pcm")]);
    }
    let output = ffmpeg.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    for (n, length) in lengths.into_iter().enumerate() {
        let decoded = std::fs::read(folder.path().join(format!("{n}.pcm"))).unwrap();
        assert_eq!(decoded.len(), length, "track {n}");
        assert!(decoded.iter().all(|&byte| byte == 0), "track {n}");
    }
}

#[test]
fn silent_frame_of_aac_decodes_to_silence_at_every_rate() {
    let aac = |(index, &rate): (usize, &u32)| {
        [1, 2].map(|channels: u8| {
            let entry = mp4a(channels.into(), rate, &config(index, channels));
            (init(rate, &entry), usize::from(channels), 1024)
        })
    };
    check(RATES.iter().enumerate().flat_map(aac).collect());
}

#[test]
fn silent_frame_of_opus_decodes_to_silence() {
    check([1, 2].map(|channels| (init(48_000, &opus(channels, 0)), usize::from(channels), 960)).into());
}

#[test]
fn silent_frame_is_of_plain_mono_and_stereo_alone() {
    let of = |timescale, entry: &[u8]| silence::frame(&init(timescale, entry)).map(|frame| frame.duration);
    let aac = |config: &[u8]| of(48_000, &mp4a(2, 48_000, config));
    assert_eq!(aac(&config(3, 2)), Some(1024));
    // FFmpeg says behind it that there is no spectral band replication.
    assert_eq!(aac(&[0x11, 0x90, 0x56, 0xe5, 0x00]), Some(1024));
    assert_eq!(aac(&[0x11, 0x90, 0x56, 0xe5, 0x80]), None, "band replication signalled behind");
    assert_eq!(aac(&[0x2b, 0x11, 0x88, 0x00]), None, "HE-AAC");
    assert_eq!(aac(&config(3, 6)), None, "5.1");
    assert_eq!(aac(&config(3, 0)), None, "channels told by a program config element");
    assert_eq!(aac(&[0x11, 0x94]), None, "frames of 960 samples");
    assert_eq!(aac(&[0x11]), None, "cut off");
    assert_eq!(aac(&[0x17, 0x80, 0x5d, 0xc0, 0x10]), Some(1024), "a rate of its own: 48000");
    assert_eq!(of(1000, &mp4a(2, 48_000, &config(3, 2))), None, "21.33 ms");
    assert_eq!(of(1000, &opus(2, 312)), Some(20));
    assert_eq!(of(48_000, &opus(6, 312)), None);
    let flac = [&[0; 4][..], &[0x80, 0, 0, 34], &[0; 10], &[0x0b, 0xb8, 0x02, 0xf0], &[0; 20]].concat();
    let dfla = crate::synthetic::init::atom(b"dfLa", &[&flac]);
    assert_eq!(of(48_000, &sound(b"fLaC", 2, 48_000, &dfla)), None);
    let mp3 = mp4a(2, 48_000, &config(3, 2));
    let object = mp3.windows(2).position(|pair| pair == [0x40, 0x15]).unwrap();
    let mp3 = [&mp3[..object], &[0x6b], &mp3[object + 1..]].concat();
    assert_eq!(of(48_000, &mp3), None, "MP3 in MP4");
}
