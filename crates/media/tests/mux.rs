//! A result holds every packet of its segments once, in order and at its time: told by FFmpeg, not by ourselves.

#![allow(clippy::unwrap_used, reason = "a set that cannot be read ends the test")]

mod sets;

use bytes::Bytes;
use domain::id::Sha256;
use domain::mux::Fill;
use domain::segment::Track;
use media::boxes::{BoxRef, Boxes};
use media::ff::oracle;
use media::files::{AsideFile, FileRanges, FolderSegments};
use media::folder::{Options, Report, Status};
use media::index::IndexReader;
use media::init::Init;
use media::layout::{Layout, SegmentInput, TrackInput};
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
    assert_eq!(hashed.sha256, Some(Sha256::of(&bytes).to_string()));
    let (plain, out) = mux_with(&set, &Options { hashing: Hashing::Off, ..Options::default() });
    assert_eq!(plain.sha256, None);
    assert_eq!(bytes, std::fs::read(&out).unwrap());
    assert_same_packets(&set, &out, [0, 0]);
}

/// What describes the samples goes through byte for byte.
#[test]
fn result_keeps_the_sample_description() {
    let colour = ["-vf", "setsar=4/3", "-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"];
    let encode = [H264.encode, &colour, &["-b:v", "300k"]].concat();
    let set = Set::of(Some(Lane { encode: &encode, ..H264 }), Some(AAC), "2");
    let (_, out) = assert_faithful(&set);
    let result = std::fs::read(&out).unwrap();
    let tracks = Boxes::of(&result).map(Result::unwrap).find(|found| found.kind.0 == *b"moov").unwrap();
    let traks: Vec<_> = tracks.children().map(Result::unwrap).filter(|child| child.kind.0 == *b"trak").collect();
    for (trak, track) in traks.iter().zip(["video", "audio"]) {
        let init = set.bytes(track, 0);
        let moov = Boxes::of(&init).map(Result::unwrap).find(|found| found.kind.0 == *b"moov").unwrap();
        let stsd = |trak: &BoxRef<'_>| {
            let stbl = trak.require(b"mdia").unwrap().require(b"minf").unwrap().require(b"stbl").unwrap();
            stbl.require(b"stsd").unwrap().whole.to_vec()
        };
        let described = stsd(&moov.require(b"trak").unwrap());
        assert_eq!(stsd(trak), described);
        let kinds: &[&[u8]] = if track == "video" { &[b"avcC", b"colr", b"pasp"] } else { &[b"esds"] };
        assert!(kinds.iter().all(|kind| described.windows(4).any(|word| word == *kind)), "{described:?}");
    }
}

/// What an encoder of Opus puts in front is skipped by the edit list where the segments have one, and where they have
/// none the result has no other times than they.
#[test]
fn result_keeps_the_pre_skip_of_opus() {
    let set = Set::of(None, Some(OPUS), "3");
    let (_, out) = assert_faithful(&set);
    assert_eq!(Init::parse(Track::Audio, &set.bytes("audio", 0)).unwrap().media_time, 312);
    assert_eq!(packets(&out, "a")[0].pts, -312);
    let mut init = set.bytes("audio", 0);
    let edts = init.windows(4).position(|kind| kind == b"edts").unwrap();
    init[edts..edts + 4].copy_from_slice(b"free");
    std::fs::write(set.segment("audio", 0), &init).unwrap();
    let (_, out) = assert_faithful(&set);
    assert_eq!(packets(&out, "a")[0].pts, 0);
}

/// Units of milliseconds and of a tenth of a microsecond, as other recorders write them.
#[test]
fn result_of_other_timescales_is_faithful() {
    for timescale in ["1000", "10000000"] {
        let set = Set::empty();
        let coarse = Lane { mux: &["-video_track_timescale", timescale], ..H264 };
        set.add_fragments("video", coarse, "4", "frag_every_frame", 30);
        set.add("audio", AAC, "4");
        assert_eq!(Init::parse(Track::Video, &set.bytes("video", 0)).unwrap().timescale.to_string(), timescale);
        let (report, _) = assert_faithful(&set);
        assert!(report.duration_ms.unwrap().abs_diff(4000) <= 34, "{timescale}: {report:?}");
    }
}

/// libavformat, which is given the same segments, makes a file of the same packets at the same times.
#[test]
fn result_has_the_times_that_libavformat_gives() {
    let late: Vec<_> = ["-itsoffset", "0.5"].iter().chain(AAC.input).copied().collect();
    for (set, late) in
        [(Set::of(Some(H264), Some(AAC), "4"), 0), (Set::of(Some(H264), Some(Lane { input: &late, ..AAC }), "4"), 1)]
    {
        let (_, ours) = mux(&set);
        let theirs = set.path().join("libavformat.mp4");
        let input = |track: Track| {
            let indexes = std::iter::once(0).chain(set.indexes(track.as_str()));
            let paths = indexes.map(|index| set.segment(track.as_str(), index)).collect();
            oracle::TrackInput::files(track, paths)
        };
        oracle::mux(Track::ALL.map(input).into(), &theirs).unwrap();
        for stream in ["v", "a"] {
            let (ours, theirs) = (packets(&ours, stream), packets(&theirs, stream));
            assert_eq!(ours.len(), theirs.len());
            let last = ours.len() - 1;
            for (n, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                assert_eq!((&ours.hash, ours.key), (&theirs.hash, theirs.key), "{stream} {n}");
                // An empty edit is rounded to the movie's units.
                let near = |a: i64, b: i64| a.abs_diff(b) <= late;
                assert!(near(ours.pts, theirs.pts) && near(ours.dts, theirs.dts), "{stream} {n}: {ours:?} {theirs:?}");
                assert!(n == last || ours.duration == theirs.duration, "{stream} {n}: {ours:?} {theirs:?}");
            }
        }
    }
}

/// A hole in sound that is filled: what was recorded sounds as before, and between there is silence.
#[test]
fn silence_in_a_hole_decodes_to_silence_and_nothing_else_changes() {
    // Sound whose frames do not depend on a generator of noise.
    let encode = [AAC.encode, &["-aac_pns", "0"]].concat();
    for (lane, frame, skip) in [(Lane { encode: &encode, ..AAC }, 1024, 2048), (OPUS, 960, 48_000)] {
        let set = Set::of(None, Some(lane), "8");
        let (report, whole) = mux(&set);
        let gone = std::fs::read(set.segment("audio", 2)).unwrap();
        std::fs::remove_file(set.segment("audio", 2)).unwrap();
        let init = Init::parse(Track::Audio, &set.bytes("audio", 0)).unwrap();
        let lost = walk::media(&init, &gone, Limits::DEFAULT).unwrap().summary;
        let (layout, out) = (filled(&set, &init), set.path().join("filled.mp4"));
        block_on(async {
            let mut file = AsideFile::create(&out).await.unwrap();
            let segments = FolderSegments::new(set.path());
            media::mux::write(&layout, &segments, &mut file, &Default::default(), |_| {}).await.unwrap();
            file.publish().await.unwrap();
        });
        assert_eq!(read_back(&out).mismatches(&layout), []);
        assert_decodes(&out);
        assert_eq!(packets(&out, "a").len() as u64, report.tracks[0].packets);
        let times = layout.times().next().unwrap();
        assert_eq!(times.silences.iter().map(|silence| silence.frames).collect::<Vec<_>>(), [lost.samples]);
        let (whole, filled) = (decoded(&whole), decoded(&out));
        assert_eq!(whole.len(), filled.len());
        let presented = |at: u64| 2 * (at as i64 - init.media_time) as usize;
        let (from, to) = (presented(lost.start), presented(lost.end));
        assert!(whole[..from] == filled[..from]);
        // Frames overlap, and what was heard before fades out.
        assert!(filled[from + 4 * frame..to].iter().all(|sample| sample.abs() <= 1));
        assert!(whole[from + 4 * frame..to].iter().any(|sample| sample.abs() > 1000));
        let same = |n: &usize| whole[to + 2 * n].abs_diff(filled[to + 2 * n]) <= 8;
        assert!((skip..whole.len() / 2 - to / 2).all(|n| same(&n)), "sound behind the silence");
    }
}

/// The only track of a set, laid out with its holes filled.
fn filled(set: &Set, init: &Init) -> Layout {
    let indexes = (1..20).filter(|&index| set.segment("audio", index).exists());
    let segment = |index| {
        let bytes = set.bytes("audio", index);
        let packed = Bytes::from(walk::media(init, &bytes, Limits::DEFAULT).unwrap().index);
        let (size_bytes, sha256) = (bytes.len() as u64, Some(Sha256::of(&bytes)));
        SegmentInput { index, size_bytes, sha256, packed, shift: 0, salvaged: false }
    };
    let segments = indexes.map(segment).collect();
    Layout::new(vec![TrackInput { init: init.clone(), segments, fill: Fill::Silence }]).unwrap()
}

/// The decoded sound, both channels sample by sample.
fn decoded(result: &Path) -> Vec<i16> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-i"]).arg(result).args(["-f", "s16le", "-ac", "2", "-"]);
    let output = ffmpeg.output().unwrap();
    assert!(output.status.success());
    output.stdout.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}
