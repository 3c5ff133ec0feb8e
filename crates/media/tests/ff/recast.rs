//! Odd files as ordinary segments, held to FFmpeg's own tools: every packet, every frame, every time.

use crate::made::run;
use domain::mux::GapCause;
use domain::segment::{Name, Track};
use media::ff::Error;
use media::ff::segmenter::Event;
use media::ff::segmenter::recast::{Loss, Readable, Report, Rules, Source, TrackReport, recast};
use media::folder::{self, Options, Status};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = "-f lavfi -i testsrc2=size=320x180:rate=30:duration=7 \
                      -f lavfi -i sine=frequency=440:sample_rate=48000:duration=7";
const H264: &str = "-c:v libx264 -preset veryfast -bf 2 -g 60 -pix_fmt yuv420p";
const VP9: &str = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 300k";

struct Odd {
    folder: tempfile::TempDir,
}

impl Odd {
    /// A file made by FFmpeg in a folder of its own; `words` end in its name.
    fn made(words: &str) -> (Odd, PathBuf) {
        let odd = Odd { folder: tempfile::tempdir().unwrap() };
        let file = odd.also(words);
        (odd, file)
    }

    fn also(&self, words: &str) -> PathBuf {
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut ffmpeg = Command::new("ffmpeg");
        let output = ffmpeg.args(["-v", "error", "-y"]).args(&words).current_dir(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        self.folder.path().join(words.last().unwrap())
    }

    /// Recasts `file` and makes a result of it as the command does.
    fn result(&self, file: &Path, rules: Rules) -> (Report, PathBuf) {
        let set = self.folder.path().join("set");
        let report = recast_into(&[whole(file)], rules, &set).unwrap();
        let out = self.folder.path().join("result.mp4");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let made = runtime.block_on(folder::mux(&set, &out, &Options::default(), |_| {}));
        assert_eq!((made.status, &made.error), (Status::Complete, &None), "{made:?}");
        for track in &report.tracks {
            let written = made.tracks.iter().find(|made| made.kind == track.track).unwrap();
            assert_eq!(written.packets, track.packets, "{track:?}");
        }
        run("ffmpeg", &["-v", "warning", "-xerror", "-i", out.to_str().unwrap(), "-f", "null", "-"]);
        (report, out)
    }
}

fn opening(file: &Path) -> Box<dyn Fn() -> Box<dyn Readable>> {
    let file = file.to_owned();
    Box::new(move || Box::new(fs::File::open(&file).unwrap()))
}

fn whole(file: &Path) -> Source {
    let tracks = Track::ALL.to_vec();
    Source { name: "the file".to_owned(), open: opening(file), tracks, pieces: Vec::new() }
}

/// Recasts into a folder laid out like a recording.
fn recast_into(sources: &[Source], rules: Rules, folder: &Path) -> Result<Report, Error> {
    recast(sources, rules, &mut |event| {
        let (track, name, bytes) = match event {
            Event::Init { track, bytes } => (track, Name::Init, bytes),
            Event::Segment { track, index, bytes, .. } => (track, Name::Media(index), bytes),
        };
        let folder = folder.join(track.as_str());
        fs::create_dir_all(&folder).unwrap();
        let mut file = fs::OpenOptions::new().append(true).create(true).open(folder.join(name.to_string())).unwrap();
        file.write_all(&bytes).unwrap();
        ControlFlow::Continue(())
    })
}

fn lines(program: &str, words: &[&str]) -> Vec<String> {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Hashes of the packets of the first stream of a kind.
fn packets(file: &Path, kind: &str) -> Vec<String> {
    let words = ["-v", "error", "-select_streams", kind, "-show_packets", "-show_data_hash", "md5"];
    let more = ["-show_entries", "packet=data_hash", "-of", "default=nk=1:nw=1", file.to_str().unwrap()];
    let found = lines("ffprobe", &[&words[..], &more].concat());
    found.into_iter().filter(|line| line.starts_with("MD5:")).collect()
}

/// Decoded frames of the first stream of a kind: when, in microseconds on the file's clock, and hash.
fn frames(file: &Path, kind: &str) -> Vec<(i64, String)> {
    let map = format!("0:{kind}:0");
    let words = ["-v", "error", "-copyts", "-i", file.to_str().unwrap(), "-map", &map, "-vsync", "passthrough"];
    // Else times of pictures are rounded to the frame rate.
    let exact = ["-enc_time_base:v", "1:90000", "-f", "framemd5", "-"];
    let found = lines("ffmpeg", &[&words[..], &exact].concat());
    let tb = found.iter().find_map(|line| line.strip_prefix("#tb 0: 1/")).unwrap().parse::<i64>().unwrap();
    let frame = |line: &String| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        (fields[2].parse::<i64>().unwrap() * 1_000_000 / tb, fields[5].to_owned())
    };
    found.iter().filter(|line| !line.starts_with('#')).map(frame).collect()
}

/// How much earlier every frame of a kind is shown in the result, in microseconds; the frames are the same, and none is
/// off by more than `rounding_us`.
#[track_caller]
fn shift(source: &Path, result: &Path, kind: &str, rounding_us: i64) -> i64 {
    let (mut source, mut result) = (frames(source, kind), frames(result, kind));
    if kind == "a" {
        // Padding behind the end is cut from the last packet's time in an MP4, and FFmpeg decodes it all the same.
        source.pop();
        result.pop();
    }
    let hashes = |frames: &[(i64, String)]| frames.iter().map(|frame| frame.1.clone()).collect::<Vec<_>>();
    assert_eq!(hashes(&source).len(), hashes(&result).len(), "frames of {kind}");
    assert!(hashes(&source) == hashes(&result), "frames of {kind} differ");
    let shifts: Vec<i64> = source.iter().zip(&result).map(|(from, to)| from.0 - to.0).collect();
    let (least, most) = (*shifts.iter().min().unwrap(), *shifts.iter().max().unwrap());
    assert!(most - least <= 2 * rounding_us, "{kind} is moved by {least} to {most} us");
    (least + most) / 2
}

/// Same packets, same frames, and picture and sound as far apart as they were.
#[track_caller]
fn assert_faithful(source: &Path, result: &Path, kinds: &[&str], rounding_us: i64) {
    let shifts: Vec<i64> = kinds.iter().map(|kind| shift(source, result, kind, rounding_us)).collect();
    let apart = shifts.iter().max().unwrap() - shifts.iter().min().unwrap();
    assert!(apart <= rounding_us, "moved by {shifts:?}");
}

fn codecs(report: &Report) -> BTreeMap<Track, (&str, Option<&str>)> {
    report.tracks.iter().map(|track| (track.track, (track.codec.as_str(), track.encoded_as.as_deref()))).collect()
}

#[test]
fn files_of_other_containers_keep_every_packet_and_every_time() {
    let cases = [
        (format!("{SOURCE} {VP9} -c:a libopus in.webm"), 1_000),
        (format!("{SOURCE} {H264} -c:a aac in.mkv"), 1_000),
        (format!("{SOURCE} {H264} -c:a flac in.mkv"), 1_000),
        (format!("{SOURCE} {H264} -c:a aac in.mp4"), 100),
        (format!("{SOURCE} {H264} -c:a aac -movflags frag_keyframe+empty_moov in.mp4"), 100),
        (format!("{SOURCE} {H264} -c:a mp3 in.mov"), 100),
    ];
    for (words, rounding_us) in cases {
        let (odd, file) = Odd::made(&words);
        let (report, result) = odd.result(&file, Rules::default());
        assert!(report.tracks.iter().all(|track| track.encoded_as.is_none() && track.left_out == 0), "{report:?}");
        for kind in ["v", "a"] {
            assert!(packets(&file, kind) == packets(&result, kind), "{words}: packets of {kind} differ");
        }
        assert_faithful(&file, &result, &["v", "a"], rounding_us);
    }
}

#[test]
fn transport_stream_goes_over_its_turn_and_keeps_its_start() {
    // The clock of 33 bits turns over after 95443.7 s: before the first picture, in the middle, not at all.
    for offset in ["95440", "95438.9", "10"] {
        let (odd, file) = Odd::made(&format!("{SOURCE} {H264} -c:a aac -output_ts_offset {offset} in.ts"));
        let (report, result) = odd.result(&file, Rules::default());
        assert_eq!(codecs(&report)[&Track::Audio], ("aac", None));
        assert_faithful(&file, &result, &["v", "a"], 100);
    }
}

#[test]
fn what_mp4_has_no_place_for_is_refused_or_encoded_again() {
    let cases = [
        (format!("{SOURCE} -c:v libvpx -deadline realtime -cpu-used 8 -b:v 500k -c:a libvorbis in.webm"), "vp8", true),
        (format!("{SOURCE} {H264} -c:a pcm_s16le in.mov"), "pcm_s16le", false),
        (format!("{SOURCE} {H264} -c:a pcm_s16le in.mkv"), "pcm_s16le", false),
    ];
    for (words, refused, picture_too) in cases {
        let (odd, file) = Odd::made(&words);
        let none = odd.folder.path().join("none");
        let error = recast_into(&[whole(&file)], Rules::default(), &none).unwrap_err();
        assert!(matches!(&error, Error::NotInMp4 { codec, .. } if codec == refused), "{words}: {error}");
        assert!(!none.exists(), "it is refused before anything is made");

        let (report, result) = odd.result(&file, Rules { transcode: true });
        let made = codecs(&report);
        assert_eq!(made[&Track::Audio].1, Some("AAC"), "{words}");
        assert_eq!(made[&Track::Video].1, picture_too.then_some("H.264"), "{words}");
        let (before, after) = (frames(&file, "v"), frames(&result, "v"));
        assert_eq!(before.len(), after.len(), "{words}");
        if !picture_too {
            assert!(packets(&file, "v") == packets(&result, "v"), "{words}: the picture is copied");
        }
        let length = |frames: &[(i64, String)]| frames[frames.len() - 1].0 - frames[0].0;
        assert!((length(&before) - length(&after)).abs() <= 2_000, "{words}");
    }
}

#[test]
fn track_whose_segments_are_webm_keeps_their_indexes_and_its_clock() {
    let odd = Odd { folder: tempfile::tempdir().unwrap() };
    // The sound begins half a second later than the picture would.
    odd.also(
        "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=7 -output_ts_offset 0.5 -c:a libopus -f dash \
              -dash_segment_type webm -seg_duration 2 -use_template 1 -use_timeline 0 -init_seg_name init.mp4 \
              -media_seg_name segment_$Number%03d$.m4s manifest.mpd",
    );
    let (mut joined, mut pieces) = (fs::read(odd.folder.path().join("init.mp4")).unwrap(), Vec::new());
    // The third one is lost.
    for index in [1, 2, 4] {
        pieces.push((index, joined.len() as u64));
        joined.extend(fs::read(odd.folder.path().join(format!("segment_{index:03}.m4s"))).unwrap());
    }
    let file = odd.folder.path().join("joined.webm");
    fs::write(&file, joined).unwrap();
    let source = Source { tracks: vec![Track::Audio], pieces, ..whole(&file) };
    let set = odd.folder.path().join("set");
    let report = recast_into(&[source], Rules::default(), &set).unwrap();
    assert_eq!(codecs(&report)[&Track::Audio], ("opus", None));
    let mut names: Vec<_> = fs::read_dir(set.join("audio"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["init.mp4", "segment_001.m4s", "segment_002.m4s", "segment_004.m4s"]);
    let init = media::init::Init::parse(Track::Audio, &fs::read(set.join("audio/init.mp4")).unwrap()).unwrap();
    let first = fs::read(set.join("audio/segment_001.m4s")).unwrap();
    let media = media::walk::media(&init, &first, media::walk::Limits::NONE).unwrap();
    let presented_us = (media.span.start as i64 - init.media_time) * 1_000_000 / i64::from(init.timescale);
    let words = ["-v", "error", "-show_entries", "packet=pts", "-read_intervals", "%+#1", "-of", "default=nk=1:nw=1"];
    let told_ms: i64 = lines("ffprobe", &[&words[..], &[file.to_str().unwrap()]].concat())[0].parse().unwrap();
    assert!((presented_us - told_ms * 1_000).abs() <= 1_000, "{presented_us} us, {told_ms} ms");
    assert!(presented_us > 480_000, "{presented_us} us");
}

#[test]
fn sound_with_a_hole_tells_it_and_a_cut_file_its_end() {
    let (odd, _) = Odd::made(&format!("{SOURCE} {H264} -c:a aac in.mkv"));
    let file = odd.also("-i in.mkv -map 0:a -c copy -bsf:a noise=drop='between(pts\\,2000\\,3000)' holed.mkv");
    if packets(&file, "a").len() < packets(&odd.folder.path().join("in.mkv"), "a").len() {
        let set = odd.folder.path().join("holed");
        recast_into(&[whole(&file)], Rules::default(), &set).unwrap();
        let init = media::init::Init::parse(Track::Audio, &fs::read(set.join("audio/init.mp4")).unwrap()).unwrap();
        let spans: Vec<_> = (1..=20)
            .map_while(|index| fs::read(set.join(format!("audio/segment_{index:03}.m4s"))).ok())
            .map(|bytes| media::walk::media(&init, &bytes, media::walk::Limits::NONE).unwrap().span)
            .collect();
        let holes = spans.windows(2).filter(|pair| pair[1].start > pair[0].start + pair[0].duration).count();
        assert_eq!(holes, 1, "{spans:?}");
    }
    let whole_file = odd.folder.path().join("in.mkv");
    let bytes = fs::read(&whole_file).unwrap();
    let cut = odd.folder.path().join("cut.mkv");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let report = recast_into(&[whole(&cut)], Rules::default(), &odd.folder.path().join("cut")).unwrap();
    for track in &report.tracks {
        let [loss] = &track.losses[..] else { panic!("{report:?}") };
        assert_eq!((loss.cause, loss.segment), (GapCause::Truncated, None));
        assert!((1_000..6_000).contains(&loss.from_ms) && (6_990..7_050).contains(&loss.to_ms), "{report:?}");
    }
    let report = recast_into(&[whole(&whole_file)], Rules::default(), &odd.folder.path().join("all")).unwrap();
    assert!(report.tracks.iter().all(|track| track.losses.is_empty()), "{report:?}");
}

/// Track, segment, cause, and when, in milliseconds.
fn losses(report: &Report) -> Vec<(Track, GapCause, u64, u64)> {
    let of = |track: &TrackReport| {
        let loss = |loss: &Loss| (track.track, loss.cause, loss.from_ms, loss.to_ms);
        track.losses.iter().map(loss).collect::<Vec<_>>()
    };
    report.tracks.iter().flat_map(of).collect()
}

/// A screen on which nothing moves for three seconds, in clusters of a second.
const STILL: &str = "-f lavfi -i testsrc2=size=320x180:rate=30:duration=8 \
                     -f lavfi -i sine=frequency=440:sample_rate=48000:duration=8 \
                     -vf select='lt(t\\,4)+gt(t\\,7)' -vsync vfr -cluster_time_limit 1000";

#[test]
fn lost_clusters_are_told_with_pictures_as_with_sound_and_a_still_screen_is_not() {
    let (odd, file) = Odd::made(&format!("{STILL} {VP9} -g 30 -c:a libopus in.webm"));
    let live = odd.also("-i in.webm -c copy -live 1 -cluster_time_limit 1000 live.webm");
    let set = odd.folder.path().join("set");
    let of = |bytes: &[u8]| {
        let file = odd.folder.path().join("damaged.webm");
        fs::write(&file, bytes).unwrap();
        let _ = fs::remove_dir_all(&set);
        losses(&recast_into(&[whole(&file)], Rules::default(), &set).unwrap())
    };
    for file in [&file, &live] {
        let bytes = fs::read(file).unwrap();
        assert_eq!(of(&bytes), [], "{file:?}");
        let clusters: Vec<usize> =
            (0..bytes.len() - 4).filter(|at| bytes[*at..*at + 4] == [0x1f, 0x43, 0xb6, 0x75]).collect();
        let mut zeros = bytes.clone();
        zeros[clusters[1]..clusters[3]].fill(0);
        let told = of(&zeros);
        let [(Track::Video, GapCause::Damaged, from, to), (Track::Audio, GapCause::Damaged, from_a, to_a)] = told[..]
        else {
            panic!("{file:?} {told:?}")
        };
        let long = if file == &live { 900..1_700 } else { 1_900..2_100 };
        assert!(long.contains(&(to - from)) && long.contains(&(to_a - from_a)), "{file:?} {told:?}");
        // Pictures go on with the next key frame, of which there is one a second.
        assert!(from.abs_diff(from_a) < 60 && (to_a..to_a + 1_000).contains(&to), "{told:?}");
        // Cut in the middle of a block of a cluster.
        let told = of(&bytes[..(clusters[2] + clusters[3]) / 2]);
        assert!(told.len() == 2 && told.iter().all(|loss| loss.1 == GapCause::Truncated), "{file:?} {told:?}");
    }
}

/// As a recorder of screens writes them: nothing moves for a second, then everything does.
#[test]
fn pictures_lost_behind_one_that_stood_are_told() {
    let still = "-f lavfi -i testsrc2=size=320x180:rate=30:duration=6 -vf select='lte(t\\,3)+gte(t\\,4)' -vsync vfr";
    let (odd, file) = Odd::made(&format!("{still} {VP9} -g 10 -cluster_time_limit 300 in.webm"));
    let words = ["-v", "error", "-show_entries", "packet=pts,pos", "-of", "csv=p=0", file.to_str().unwrap()];
    let packets: Vec<(u64, usize)> = lines("ffprobe", &words)
        .iter()
        .map(|line| line.trim_end_matches(',').split_once(',').unwrap())
        .map(|(pts, pos)| (pts.parse().unwrap(), pos.parse().unwrap()))
        .collect();
    let mut bytes = fs::read(&file).unwrap();
    let (_, content) = packets.iter().find(|(pts, _)| *pts > 4_050).unwrap();
    let at = bytes[..*content].iter().rposition(|byte| *byte == 0xa3).unwrap();
    assert!(content - at < 9, "the block begins before its content");
    bytes[at..at + 64].fill(0);
    let damaged = odd.folder.path().join("damaged.webm");
    fs::write(&damaged, bytes).unwrap();
    let report = recast_into(&[whole(&damaged)], Rules::default(), &odd.folder.path().join("set")).unwrap();
    let lost = packets.len() as u64 - report.tracks[0].packets;
    let told = losses(&report);
    let [(Track::Video, GapCause::Damaged, from, to)] = told[..] else { panic!("{lost} lost: {told:?}") };
    assert!((4_000..4_100).contains(&from) && lost > 3, "{lost} lost: {told:?}");
    assert!((to - from).abs_diff(lost * 1_000 / 30) < 50, "{lost} lost: {told:?}");
}

#[test]
fn transport_stream_tells_packets_that_are_missing_in_it() {
    let (odd, file) = Odd::made(&format!("{SOURCE} {H264} -c:a aac in.ts"));
    let bytes = fs::read(&file).unwrap();
    let packets = bytes.len() / 188;
    let of = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        losses(&recast_into(&[whole(&file)], Rules::default(), &odd.folder.path().join("set")).unwrap())
    };
    assert_eq!(of(&bytes), []);
    fs::remove_dir_all(odd.folder.path().join("set")).unwrap();
    // One count in sixteen happens to go on.
    let holed = [&bytes[..packets / 3 * 188], &bytes[(packets / 2 + 3) * 188..]].concat();
    let told = of(&holed);
    for track in [Track::Video, Track::Audio] {
        let long: Vec<_> = told.iter().filter(|loss| loss.0 == track && loss.3 - loss.2 > 500).collect();
        assert!(long.len() == 1 && long[0].1 == GapCause::Damaged, "{track} {told:?}");
    }
    fs::remove_dir_all(odd.folder.path().join("set")).unwrap();
    let told = of(&bytes[..packets / 2 * 188 + 100]);
    assert!(told.iter().all(|loss| loss.1 == GapCause::Truncated) && told.len() == 2, "{told:?}");
}

#[test]
fn name_of_the_sample_entry_and_the_rotation_are_kept() {
    let (odd, _) =
        Odd::made(&format!("{SOURCE} -t 1 -c:v libx265 -x265-params log-level=none -tag:v hvc1 -c:a aac in.mp4"));
    let file = odd.also("-i in.mp4 -c copy -tag:v hvc1 -metadata:s:v rotate=90 turned.mov");
    let (_, result) = odd.result(&file, Rules::default());
    let told = |file: &Path, entries: &str| {
        let words = ["-v", "error", "-select_streams", "v", "-show_entries", entries, "-of", "default=nk=1:nw=1"];
        lines("ffprobe", &[&words[..], &[file.to_str().unwrap()]].concat()).join(" ")
    };
    assert_eq!(told(&result, "stream=codec_tag_string"), "hvc1");
    assert_eq!(told(&result, "stream_side_data=rotation"), told(&file, "stream_side_data=rotation"));
    assert_ne!(told(&result, "stream_side_data=rotation").trim(), "");
}

#[test]
fn noise_and_claims_without_bytes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let noise: Vec<u8> = (0..1u32 << 18).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut stream = noise.clone();
    (0..stream.len()).step_by(188).for_each(|at| stream[at] = 0x47);
    // An EBML head, a segment without end, and tracks that claim a petabyte.
    let head = b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff";
    let bomb = [&head[..], b"\x16\x54\xae\x6b\x01\x04\0\0\0\0\0\0", &noise[..1000]].concat();
    for (name, bytes) in [("noise.mkv", noise), ("noise.ts", stream), ("bomb.webm", bomb), ("empty.mp4", Vec::new())] {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        assert!(
            recast_into(&[whole(&file)], Rules { transcode: true }, &folder.path().join("none")).is_err(),
            "{name}"
        );
    }
    assert!(!folder.path().join("none").exists());
}
