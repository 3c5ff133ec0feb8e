//! Odd files as ordinary segments, held to FFmpeg's own tools: every packet, every frame, every time.

use crate::made::run;
use domain::segment::{Name, Track};
use media::ff::Error;
use media::ff::segmenter::Event;
use media::ff::segmenter::recast::{Readable, Report, Rules, Source, recast};
use media::folder::{self, Options, Status};
use std::collections::BTreeMap;
use std::fs;
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
        fs::write(folder.join(name.to_string()), bytes).unwrap();
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
    let found = lines("ffmpeg", &[&words[..], &["-f", "framemd5", "-"]].concat());
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
        (source.pop(), result.pop());
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

fn codecs(report: &Report) -> BTreeMap<Track, (&str, Option<&'static str>)> {
    report.tracks.iter().map(|track| (track.track, (track.codec.as_str(), track.encoded_as))).collect()
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
        std::fs::copy(&result, "/tmp/odd/r.mp4").unwrap();
        std::fs::copy(&file, "/tmp/odd/s.bin").unwrap();
        eprintln!("{words}");
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
