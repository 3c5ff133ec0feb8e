//! A result holds every packet of its segments once, in order and at its time: told by FFmpeg, not by ourselves.

#![allow(clippy::unwrap_used, reason = "a set that cannot be read ends the test")]

mod sets;

use domain::segment::Track;
use media::boxes::Boxes;
use media::files::FileRanges;
use media::folder::{Options, Report, Status};
use media::index::IndexReader;
use media::init::Init;
use media::mux::Hashing;
use media::readback::{self, Readback};
use media::walk::{self, Limits};
use sets::result::{
    assert_decodes, assert_faithful, assert_faststart, assert_same_packets, block_on, mux, mux_with, packets,
};
use sets::{AAC, H264, Lane, Set, run};
use std::ops::Range;
use std::path::Path;
use std::process::Command;

const OPUS: Lane<'_> = Lane { encode: &["-c:a", "libopus", "-b:a", "64k"], ..AAC };

fn read_back(out: &Path) -> Readback {
    block_on(async {
        let ranges = FileRanges::open(out).await.unwrap();
        readback::read(&ranges, ranges.size_bytes()).await.unwrap()
    })
}

fn starts_ms(report: &Report) -> Vec<u64> {
    report.tracks.iter().map(|track| track.start_ms).collect()
}

#[test]
fn result_of_h264_and_aac_is_faithful() {
    let set = Set::of(Some(H264), Some(AAC), "7");
    let (report, out) = assert_faithful(&set);
    assert_eq!(report.duration_ms, Some(7000));
    assert_eq!(starts_ms(&report), [0, 0]);
    assert_eq!(report.tracks.iter().map(|track| track.packets).collect::<Vec<_>>(), [210, 330]);
    let found = read_back(&out);
    assert_eq!((found.duration_ms, found.fps()), (7000, Some(30.0)));
    let video = found.codec(Track::Video).unwrap();
    assert_eq!((video.codec.as_str(), video.width, video.height), ("avc1.64000d", 320, 180));
    assert_eq!(found.codec(Track::Audio).unwrap().codec, "mp4a.40.2");
}

#[test]
fn result_of_one_track_is_faithful() {
    let (report, _) = assert_faithful(&Set::of(Some(H264), None, "3"));
    assert_eq!(report.tracks.len(), 1);
    let set = Set::of(None, Some(AAC), "3");
    let (report, out) = assert_faithful(&set);
    assert_eq!(report.tracks.len(), 1);
    assert_eq!(read_back(&out).fps(), None);
}

#[test]
fn result_of_other_codecs_is_faithful() {
    let x265 =
        &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=60", "-tag:v", "hvc1"];
    assert_faithful(&Set::of(Some(Lane { encode: x265, ..H264 }), Some(AAC), "4"));
    let av1 = &["-c:v", "libsvtav1", "-preset", "12", "-g", "60", "-pix_fmt", "yuv420p"];
    assert_faithful(&Set::of(Some(Lane { encode: av1, ..H264 }), Some(OPUS), "4"));
    let vp9 = &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "60", "-pix_fmt", "yuv420p"];
    let flac = Lane { encode: &["-c:a", "flac"], mux: &["-strict", "experimental"], ..AAC };
    assert_faithful(&Set::of(Some(Lane { encode: vp9, ..H264 }), Some(flac), "4"));
}

#[test]
fn result_keeps_the_offset_of_late_audio() {
    let late: Vec<_> = ["-itsoffset", "0.5"].iter().chain(AAC.input).copied().collect();
    let set = Set::of(Some(H264), Some(Lane { input: &late, ..AAC }), "5");
    let (report, out) = assert_faithful(&set);
    let first = packets(&out, "a")[0].pts;
    assert!((22_900..=24_000).contains(&first), "{first}");
    assert_eq!(starts_ms(&report), [0, (first as u64 * 10 / 48 + 5) / 10]);
}

#[test]
fn result_keeps_the_offset_of_late_video() {
    let late: Vec<_> = ["-itsoffset", "1.2"].iter().chain(H264.input).copied().collect();
    let encode = [H264.encode, &["-vsync", "passthrough"]].concat();
    let set = Set::of(Some(Lane { input: &late, encode: &encode, ..H264 }), Some(AAC), "5");
    let (report, _) = assert_faithful(&set);
    assert_eq!(starts_ms(&report), [1200, 0]);
}

#[test]
fn result_keeps_a_late_start_that_the_edit_list_tells() {
    let late: Vec<_> = ["-itsoffset", "0.7"].iter().chain(AAC.input).copied().collect();
    let set = Set::of(Some(H264), None, "5");
    set.add_fragments("audio", Lane { input: &late, ..AAC }, "5", "frag_every_frame", 50);
    let init = Init::parse(Track::Audio, &set.bytes("audio", 0)).unwrap();
    assert!(init.media_time < -30_000, "the init has an empty edit of 0.7 s less priming: {}", init.media_time);
    let (report, out) = mux(&set);
    assert_eq!(report.status, Status::Complete);
    let first = packets(&out, "a")[0].pts;
    assert!((700 * 48 - 1024 - 48..=700 * 48 + 48).contains(&first), "{first}");
    assert_decodes(&out);
}

#[test]
fn result_begins_at_zero_when_both_tracks_begin_later() {
    let offset: &[&str] = &["-output_ts_offset", "100"];
    let set = Set::of(Some(Lane { mux: offset, ..H264 }), Some(Lane { mux: offset, ..AAC }), "5");
    let (report, out) = mux_with(&set, &Options::default());
    // Priming now lies behind 0 on the common axis, so it is presented and begins the result.
    assert_eq!(starts_ms(&report)[1], 0);
    let (video, audio) = (packets(&set.concat("video"), "v")[0].pts, packets(&set.concat("audio"), "a")[0].pts);
    let (moved_video, moved_audio) = (packets(&out, "v")[0].pts, packets(&out, "a")[0].pts);
    assert_eq!(moved_audio, 0);
    // The offset between the tracks is kept to half a unit of the coarser axis.
    let offset = |video: i64, audio: i64| video as f64 / 15_360.0 - audio as f64 / 48_000.0;
    let error = offset(video, audio) - offset(moved_video, moved_audio);
    assert!(error.abs() < 0.5 / 15_360.0, "{error}");
    assert_decodes(&out);
    assert_faststart(&out);
}

#[test]
fn result_of_negative_composition_offsets_is_faithful() {
    let set = Set::empty();
    set.add_fragments("video", H264, "5", "negative_cts_offsets", 1);
    // FFmpeg writes this file without an edit list, so its picture begins one frame after 0.
    let first = packets(&set.concat("video"), "v")[0].pts;
    let (report, out) = mux(&set);
    assert_eq!(report.status, Status::Complete);
    assert_same_packets(&set, &out, [first, 0]);
    assert_decodes(&out);
    let init = Init::parse(Track::Video, &set.bytes("video", 0)).unwrap();
    let media = walk::media(&init, &set.bytes("video", 1), Limits::DEFAULT).unwrap();
    let index = IndexReader::open(&media.index).unwrap();
    let mut samples = index.fragments().flat_map(|fragment| fragment.samples());
    assert!(samples.any(|sample| sample.composition_offset < 0));
}

#[test]
fn result_of_several_fragments_a_segment_is_faithful() {
    let set = Set::empty();
    set.add_fragments("video", H264, "6", "frag_every_frame", 7);
    set.add_fragments("audio", AAC, "6", "frag_every_frame", 40);
    assert!(set.indexes("video").len() > 20);
    assert_faithful(&set);
}

#[test]
fn result_of_variable_frame_rate_is_faithful() {
    let vfr = [H264.encode, &["-vf", "select='not(mod(n,7))+lt(mod(n,40),9)'", "-vsync", "vfr"]].concat();
    let set = Set::of(Some(Lane { encode: &vfr, ..H264 }), Some(AAC), "8");
    let (_, out) = assert_faithful(&set);
    let packets = packets(&out, "v");
    let steps: std::collections::BTreeSet<_> = packets.windows(2).map(|pair| pair[1].dts - pair[0].dts).collect();
    assert!(steps.len() > 2, "{steps:?}");
}

#[test]
fn result_keeps_the_rotation_of_the_picture() {
    let set = Set::of(Some(H264), None, "2");
    let mut init = set.bytes("video", 0);
    let place = matrix(&init);
    for (n, word) in [0i32, 0x1_0000, 0, -0x1_0000, 0, 0, 180 << 16, 0, 0x4000_0000].into_iter().enumerate() {
        init[place.start + n * 4..][..4].copy_from_slice(&word.to_be_bytes());
    }
    std::fs::write(set.segment("video", 0), &init).unwrap();
    let (_, out) = assert_faithful(&set);
    let result = std::fs::read(&out).unwrap();
    assert_eq!(result[matrix(&result)], init[place]);
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-show_entries", "stream_side_data=rotation", "-of", "csv=p=0"]).arg(&out);
    assert_eq!(run(&mut ffprobe).trim(), "-90");
}

/// Where the matrix of the first track lies.
fn matrix(bytes: &[u8]) -> Range<usize> {
    let moov = Boxes::of(bytes).map(Result::unwrap).find(|found| found.kind.0 == *b"moov").unwrap();
    let tkhd = moov.require(b"trak").unwrap().require(b"tkhd").unwrap();
    let end = tkhd.at as usize + tkhd.whole.len() - 8;
    end - 36..end
}

#[test]
fn result_of_a_thousand_segments_is_in_order_of_their_numbers() {
    let short = Lane { mux: &["-seg_duration", "0.02"], ..AAC };
    let set = Set::of(None, Some(short), "24");
    assert!(set.indexes("audio").len() > 1000);
    assert_faithful(&set);
}

#[test]
fn result_is_the_same_with_and_without_a_hash() {
    let set = Set::of(Some(H264), Some(AAC), "3");
    let (hashed, out) = mux_with(&set, &Options::default());
    let bytes = std::fs::read(&out).unwrap();
    assert_eq!(hashed.sha256, Some(domain::id::Sha256::of(&bytes).to_string()));
    let (plain, out) = mux_with(&set, &Options { hashing: Hashing::Off, ..Options::default() });
    assert_eq!(plain.sha256, None);
    assert_eq!(bytes, std::fs::read(&out).unwrap());
    assert_same_packets(&set, &out, [0, 0]);
}
