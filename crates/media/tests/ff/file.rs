//! Files as a source: copied where that is allowed, encoded again where it is not, always on one clock.

use crate::made::{self, Made, assert_same_packets, run, seconds};
use domain::segment::Track;
use media::ff::segmenter::Options;
use media::ff::{decode, digest};
use std::path::{Path, PathBuf};

/// A synthetic recording as one MP4, the material of these tests.
fn material(config: &str, length: u64) -> (Made, PathBuf) {
    let made = made::synthetic(config, &seconds(length));
    let (path, _) = made.mux();
    (made, path)
}

fn convert(from: &Path, to: &str, words: &[&str]) -> PathBuf {
    let to = from.with_file_name(to);
    let (input, output) = (from.to_str().unwrap(), to.to_str().unwrap());
    run("ffmpeg", &[&["-i", input][..], words, &[output]].concat());
    to
}

fn counters(path: &Path) -> Vec<Option<u32>> {
    decode::frames(path).unwrap().map(|frame| frame.unwrap().counter).collect()
}

#[test]
fn mp4_is_copied_packet_by_packet() {
    let (_material, path) = material("320x180@30", 6);
    let made = made::from_file(&path, &Options::default());
    for (track, stream) in [(Track::Video, "v:0"), (Track::Audio, "a:0")] {
        assert_same_packets(&made.track_file(track), "0", &path, stream);
        assert_eq!(made.tracks[&track].segments.len(), 3);
    }
    // FFmpeg's mux of the material let the last, short packet of sound last as long as the others.
    assert!(made.summary.duration_ms().abs_diff(6000) <= 16, "{}", made.summary.duration_ms());
    assert_eq!(made.length(Track::Video), (540_000, 90_000));
}

#[test]
fn matroska_and_transport_stream_are_copied_too() {
    let (_material, path) = material("320x180@30", 6);
    let source = digest::packet_digest(&path, Track::Video).unwrap().unwrap();
    for name in ["copy.mkv", "copy.ts"] {
        let file = convert(&path, name, &["-c", "copy"]);
        let made = made::from_file(&file, &Options::default());
        let copied = digest::packet_digest(&made.track_file(Track::Video), Track::Video).unwrap().unwrap();
        assert_eq!(copied.packets.len(), source.packets.len(), "{name}");
        assert_eq!(counters(&made.track_file(Track::Video)), (0..180).map(Some).collect::<Vec<_>>(), "{name}");
        assert_eq!(made.tracks[&Track::Video].segments.len(), 3, "{name}");
        // Matroska rounds to a millisecond and has no decode times, a transport stream begins before its priming: the
        // last frame may be off by a frame.
        let duration = made.summary.duration_ms();
        assert!(duration.abs_diff(6000) <= 60, "{name}: {duration}");
        let (result, _) = made.mux();
        decode::check_all(&result).unwrap();
        run("ffmpeg", &["-xerror", "-i", result.to_str().unwrap(), "-f", "null", "-"]);
    }
}

#[test]
fn other_codecs_and_rare_key_frames_are_encoded_again() {
    let (_material, path) = material("320x180@30", 12);
    let h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "900", "-sc_threshold", "0", "-c:a", "copy"];
    let mpeg4 = ["-c:v", "mpeg4", "-q:v", "3", "-g", "300", "-c:a", "mp2", "-ar", "44100"];
    for (name, words) in [("rare.mp4", &h264[..]), ("old.avi", &mpeg4[..])] {
        let file = convert(&path, name, words);
        let made = made::from_file(&file, &Options::default());
        assert_eq!(counters(&made.track_file(Track::Video)), (0..360).map(Some).collect::<Vec<_>>(), "{name}");
        assert_eq!(made.tracks[&Track::Video].segments.len(), 6, "{name}");
        for (_, span) in &made.tracks[&Track::Video].segments {
            assert_eq!(span.duration_ms(), 2000, "{name}");
        }
        let duration = made.summary.duration_ms();
        assert!(duration.abs_diff(12_000) <= 60, "{name}: {duration}");
        let (result, _) = made.mux();
        decode::check_all(&result).unwrap();
    }
}

#[test]
fn sound_that_begins_later_keeps_its_distance() {
    let (_material, path) = material("320x180@30", 4);
    let input = path.to_str().unwrap();
    let late = path.with_file_name("late.mkv");
    let words = ["-i", input, "-itsoffset", "0.5", "-i", input, "-map", "0:v", "-map", "1:a", "-c", "copy", "-t", "4"];
    run("ffmpeg", &[&words[..], &[late.to_str().unwrap()]].concat());
    let encoded = convert(&late, "late-again.mkv", &["-c:v", "copy", "-c:a", "pcm_s16le", "-copyts"]);
    for file in [late, encoded] {
        let made = made::from_file(&file, &Options::default());
        let summary = made.summary.tracks.iter().find(|track| track.track == Track::Audio).unwrap();
        let start_ms = summary.start * 1000 / i64::from(summary.timescale);
        assert!((475..=525).contains(&start_ms), "{}: sound starts at {start_ms} ms", file.display());
        // The distance is in the decode times, where players that read no edit list find it.
        let first = made.tracks[&Track::Audio].segments[0].1;
        assert!((455..=525).contains(&first.start_ms()), "{}: {first:?}", file.display());
        let (result, report) = made.mux();
        let audio = report.tracks.iter().find(|track| track.track == Track::Audio).unwrap();
        let start_ms = audio.start * 1000 / i64::from(audio.timescale);
        assert!((455..=525).contains(&start_ms), "{}: {start_ms} ms in the result", file.display());
        decode::check_all(&result).unwrap();
    }
}

#[test]
fn everything_that_begins_late_is_moved_to_the_start_together() {
    let (_material, path) = material("320x180@30", 4);
    let file = convert(&path, "later.ts", &["-c", "copy", "-output_ts_offset", "100"]);
    let made = made::from_file(&file, &Options::default());
    let starts: Vec<_> = made.summary.tracks.iter().map(|t| t.start * 1000 / i64::from(t.timescale)).collect();
    assert!(starts.iter().all(|start| *start <= 25) && starts.contains(&0), "{starts:?}");
}

#[test]
fn limit_cuts_a_file_where_it_was_told() {
    let (_material, path) = material("320x180@30", 6);
    let made = made::from_file(&path, &seconds(3));
    let frames = counters(&made.track_file(Track::Video)).len();
    assert_eq!(frames, 90);
    assert!(made.summary.duration_ms().abs_diff(3000) <= 70, "{}", made.summary.duration_ms());
}

#[test]
fn picture_alone_and_sound_alone_are_recordings() {
    let (_material, path) = material("320x180@30", 4);
    let video = convert(&path, "picture.mp4", &["-an", "-c", "copy"]);
    assert_eq!(made::from_file(&video, &Options::default()).tracks.keys().collect::<Vec<_>>(), [&Track::Video]);
    let audio = convert(&path, "sound.m4a", &["-vn", "-c", "copy"]);
    let made = made::from_file(&audio, &Options::default());
    assert_eq!(made.tracks.keys().collect::<Vec<_>>(), [&Track::Audio]);
    assert!(made::sampled(&audio).unwrap().frames > 10);
}

#[test]
fn holes_in_sound_and_still_pictures_are_filled() {
    let (_material, path) = material("320x180@30", 3);
    let input = path.to_str().unwrap();
    let holes = path.with_file_name("holes.mkv");
    // Sound without its middle; a picture of which only the first and the last frame are left, 12 s apart.
    let select = "aselect='not(between(t,1,2))'";
    let still = "select='eq(n,0)+eq(n,89)',setpts='if(eq(N,0),0,12/TB)'";
    let words = ["-i", input, "-af", select, "-vf", still, "-vsync", "vfr", "-c:v", "libx264", "-c:a", "aac"];
    run("ffmpeg", &[&words[..], &[holes.to_str().unwrap()]].concat());
    let made = made::from_file(&holes, &Options::default());
    let video = &made.tracks[&Track::Video].segments;
    assert_eq!(video.len(), 7);
    assert!(video.iter().all(|(_, span)| span.duration_ms() <= 2100));
    let shown = counters(&made.track_file(Track::Video));
    assert_eq!((shown.len(), shown[0], *shown.last().unwrap()), (13, Some(0), Some(89)));
    let audio = digest::packet_digest(&made.track_file(Track::Audio), Track::Audio).unwrap().unwrap();
    assert!(audio.packets.windows(2).all(|pair| pair[1].dts - pair[0].dts <= 1024), "no packet is stretched");
    let end = audio.packets.last().unwrap().pts * 1000 / i64::from(audio.timescale);
    assert!((2900..3100).contains(&end), "sound ends at {end} ms");
}
