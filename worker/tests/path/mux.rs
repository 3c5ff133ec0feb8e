//! `spool mux` and its neighbours `probe` and `verify`: folders to one file, without database and settings.

use crate::support::{Set, packets};
use domain::segment::{Name, Track};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// The binary with none of our variables and nothing to find settings in.
pub(crate) fn spool(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spool"));
    command.args(arguments).current_dir(folder).env_clear().output().unwrap()
}

/// Runs `spool mux`, which must answer in one JSON object, and gives exit code and answer.
pub(crate) fn mux(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = spool(folder, &[&["mux", "--json"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "one line: {text:?} {}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().expect("it ended by itself"), serde_json::from_str(&text).unwrap())
}

/// A folder with `in/video/…` and `in/audio/…`.
fn recorded(seconds: u64) -> (tempfile::TempDir, Set) {
    let folder = tempfile::tempdir().unwrap();
    let set = Set::synthetic(Duration::from_secs(seconds));
    set.write_to(&folder.path().join("in"));
    (folder, set)
}

fn segment(folder: &Path, track: Track, index: u32) -> PathBuf {
    folder.join("in").join(track.as_str()).join(Name::Media(index).to_string())
}

/// What FFmpeg's own dash muxer writes, as the replaced recorder did: one muxer for each track. The sound is encoded by
/// `codec` into segments of the type `kind`.
pub(crate) fn dash(folder: &Path, codec: &str, kind: &str) {
    let run = |words: &str| {
        let output = Command::new("ffmpeg").args(words.split_whitespace()).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&format!(
        "-v error -f lavfi -i testsrc2=size=320x180:rate=30:duration=7 \
         -f lavfi -i sine=frequency=440:sample_rate=48000:duration=7 \
         -c:v libx264 -bf 2 -g 60 -pix_fmt yuv420p -c:a {codec} made.mp4"
    ));
    for (track, kind) in [("video", "mp4"), ("audio", kind)] {
        std::fs::create_dir_all(folder.join("in").join(track)).unwrap();
        run(&format!(
            "-v error -i made.mp4 -map 0:{}:0 -c copy -f dash -dash_segment_type {kind} -seg_duration 2 -use_template 1 \
             -use_timeline 0 -init_seg_name init.mp4 -media_seg_name segment_$Number%03d$.m4s in/{track}/manifest.mpd",
            &track[..1]
        ));
    }
}

#[test]
fn folder_of_the_dash_muxer_gives_every_packet_once() {
    let folder = tempfile::tempdir().unwrap();
    dash(folder.path(), "aac", "mp4");
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4"]);
    assert_eq!((code, &answer["status"]), (0, &json!("complete")), "{answer}");
    let out = folder.path().join("out.mp4");
    packets::assert_same_packets(&out, &folder.path().join("in"));
    packets::assert_decodes(&out);
    assert_eq!(answer["bytes"], json!(std::fs::metadata(&out).unwrap().len()));
    assert!((packets::duration_s(&out) - 7.0).abs() < 0.05, "{answer}");
    let kinds: Vec<_> = answer["tracks"].as_array().unwrap().iter().map(|track| track["kind"].clone()).collect();
    assert_eq!(kinds, ["video", "audio"]);
    let names: Vec<_> = answer.as_object().unwrap().keys().cloned().collect();
    let expected = ["status", "result", "bytes", "sha256", "duration_ms", "tracks", "gaps", "repairs", "error"];
    assert!(expected.iter().all(|name| names.iter().any(|known| known == name)), "{names:?}");

    let verified = spool(folder.path(), &["verify", "out.mp4", "--json"]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    let probed = spool(folder.path(), &["probe", "out.mp4", "--json"]);
    let probed: Value = serde_json::from_slice(&probed.stdout).unwrap();
    assert_eq!((&probed["faststart"], &probed["tracks"][0]["width"]), (&json!(true), &json!(320)), "{probed}");
}

#[test]
fn same_folder_gives_the_same_bytes_and_no_hash_when_none_is_wanted() {
    let (folder, _) = recorded(5);
    let (_, first) = mux(folder.path(), &["in", "-o", "a.mp4"]);
    let (code, second) = mux(folder.path(), &["in", "-o", "b.mp4", "--no-hash", "--engine", "index"]);
    assert_eq!((code, &second["sha256"]), (0, &Value::Null));
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert!(read("a.mp4") == read("b.mp4"), "two runs, two files");
    assert_eq!(first["sha256"], json!(domain::id::Sha256::of(&read("a.mp4")).to_string()));
}

#[test]
fn gap_degrades_or_fails_by_policy_and_share() {
    let (folder, _) = recorded(9);
    std::fs::remove_file(segment(folder.path(), Track::Video, 2)).unwrap();
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4"]);
    assert_eq!((code, &answer["status"]), (3, &json!("degraded")), "{answer}");
    let gap = &answer["gaps"][0];
    assert_eq!((&gap["track"], &gap["segments"], &gap["cause"]), (&json!("video"), &json!([2]), &json!("missing")));
    assert!(gap["to_ms"].as_u64() > gap["from_ms"].as_u64(), "{gap}");
    packets::assert_same_packets(&folder.path().join("out.mp4"), &folder.path().join("in"));

    for arguments in [&["--gap-policy", "fail"], &["--max-gap-ratio", "0.05"]] {
        let (code, answer) = mux(folder.path(), &[&["in", "-o", "none.mp4"], &arguments[..]].concat());
        assert_eq!((code, &answer["status"]), (1, &json!("failed")), "{arguments:?} {answer}");
        assert!(answer["error"]["code"].is_string() && answer["error"]["message"].is_string(), "{answer}");
        assert!(!folder.path().join("none.mp4").exists(), "no file is left on failure");
    }
}

#[test]
fn what_the_built_in_engine_has_no_words_for_is_left_to_libavformat() {
    let folder = tempfile::tempdir().unwrap();
    dash(folder.path(), "libopus", "webm");
    let (code, answer) = mux(folder.path(), &["in", "-o", "none.mp4", "--engine", "index"]);
    assert_eq!((code, &answer["error"]["code"]), (1, &json!("not-iso-bmff")), "{answer}");
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4"]);
    assert_eq!((code, &answer["tracks"][1]["codec"]), (0, &json!("opus")), "{answer}");
    let out = folder.path().join("out.mp4");
    packets::assert_same_packets(&out, &folder.path().join("in"));
    packets::assert_decodes(&out);
}

#[test]
fn one_track_may_be_absent() {
    let (folder, _) = recorded(5);
    std::fs::remove_dir_all(folder.path().join("in/audio")).unwrap();
    std::fs::write(folder.path().join("in/notes.txt"), "ignored").unwrap();
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4"]);
    assert_eq!((code, answer["tracks"].as_array().unwrap().len()), (0, 1), "{answer}");
    packets::assert_decodes(&folder.path().join("out.mp4"));
}

#[test]
fn what_cannot_be_muxed_fails_with_a_code_and_leaves_no_file() {
    type Damage = (&'static str, fn(&Path));
    let damage: [Damage; 4] = [
        ("an empty folder", |folder| {
            std::fs::remove_dir_all(folder.join("in")).unwrap();
            std::fs::create_dir(folder.join("in")).unwrap();
        }),
        ("nothing decodable", |folder| {
            for track in Track::ALL {
                for index in 1..=3 {
                    std::fs::write(segment(folder, track, index), b"garbage, and long enough for a header").unwrap();
                }
            }
        }),
        ("an init of another kind", |folder| {
            std::fs::copy(folder.join("in/audio/init.mp4"), folder.join("in/video/init.mp4")).unwrap();
        }),
        ("no init", |folder| std::fs::remove_file(folder.join("in/video/init.mp4")).unwrap()),
    ];
    for (what, break_it) in damage {
        let (folder, _) = recorded(5);
        break_it(folder.path());
        std::fs::write(folder.path().join("out.mp4"), "an older result").unwrap();
        let (code, answer) = mux(folder.path(), &["in", "-o", "new.mp4"]);
        assert_eq!((code, &answer["status"]), (1, &json!("failed")), "{what}: {answer}");
        assert!(answer["error"]["code"].is_string(), "{what}: {answer}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "in" || name == "out.mp4"), "{what} left {left:?}");
    }
}

#[test]
fn libavformat_engine_gives_the_same_packets() {
    let (folder, _) = recorded(5);
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4", "--engine", "libavformat"]);
    assert_eq!((code, &answer["status"]), (0, &json!("complete")), "{answer}");
    let out = folder.path().join("out.mp4");
    packets::assert_same_packets(&out, &folder.path().join("in"));
    packets::assert_decodes(&out);
    std::fs::write(folder.path().join("in/video/init.mp4"), b"garbage").unwrap();
    let (code, answer) = mux(folder.path(), &["in", "-o", "none.mp4", "--engine", "libavformat"]);
    assert_eq!((code, &answer["error"]["code"]), (1, &json!("libavformat")), "{answer}");
    assert!(!folder.path().join("none.mp4").exists());
}

#[test]
fn wrong_words_end_in_two() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        vec!["mux"],
        vec!["mux", "in"],
        vec!["mux", "nowhere", "-o", "out.mp4"],
        vec!["mux", ".", "-o", "out.mp4", "--max-gap-ratio", "2"],
        vec!["mux", ".", "-o", "out.mp4", "--gap-policy", "hide"],
        vec!["mux", ".", "-o", "out.mp4", "--engine", "magic"],
        vec!["probe"],
        vec!["nonsense"],
    ] {
        let output = spool(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn verify_names_what_is_wrong() {
    let (folder, _) = recorded(5);
    let (_, answer) = mux(folder.path(), &["in", "-o", "result.mp4"]);
    let facts = json!({ "bytes": answer["bytes"], "sha256": answer["sha256"] });
    std::fs::write(folder.path().join("result.json"), facts.to_string()).unwrap();
    let verify = |code: i32| {
        let output = spool(folder.path(), &["verify", "result.mp4", "--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{answer}");
        answer
    };
    let good = verify(0);
    assert_eq!((&good["sound"], &good["compared_with"]), (&json!(true), &json!("result.json")));
    assert!(good["decoded_frames"].as_u64() > Some(0), "{good}");

    let path = folder.path().join("result.mp4");
    let bytes = std::fs::read(&path).unwrap();
    let mut flipped = bytes.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 0xff;
    std::fs::write(&path, flipped).unwrap();
    assert!(verify(1)["defects"].to_string().contains("SHA-256"));
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(verify(1)["sound"], json!(false));
    std::fs::write(&path, b"not a film").unwrap();
    assert_eq!(verify(1)["sound"], json!(false));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(spool(folder.path(), &["verify", "result.mp4"]).status.code(), Some(4));
}

/// Fills the payload of a segment with what no encoder writes, from `skip` bytes behind its beginning on.
fn ruin(path: &Path, skip: usize, len: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let mdat = bytes.windows(4).position(|name| name == b"mdat").unwrap() + 4;
    bytes[mdat + skip..mdat + skip + len].fill(0xff);
    std::fs::write(path, bytes).unwrap();
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn payload_that_cannot_be_decoded_is_a_gap_of_its_segment() {
    let (folder, _) = recorded(20);
    ruin(&segment(folder.path(), Track::Video, 5), 0, 2000);
    ruin(&segment(folder.path(), Track::Audio, 3), 0, 2000);
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4"]);
    assert_eq!((code, &answer["status"]), (3, &json!("degraded")), "{answer}");
    let told = |gap: &Value| (gap["track"].clone(), gap["segments"].clone(), gap["cause"].clone());
    let gaps: Vec<_> = answer["gaps"].as_array().unwrap().iter().map(told).collect();
    let corrupt = |track: &str, n: u32| (json!(track), json!([n]), json!("corrupt"));
    assert_eq!(gaps, [corrupt("video", 5), corrupt("audio", 3)], "{answer}");
    assert_eq!((&answer["gaps"][0]["from_ms"], &answer["gaps"][0]["to_ms"]), (&json!(8000), &json!(10_000)));
    // Nothing is left out of the file for it.
    packets::assert_same_packets(&folder.path().join("out.mp4"), &folder.path().join("in"));

    for (arguments, expected) in [
        (&["--gap-policy", "fail"], (1, json!("corrupt-media"))),
        (&["--max-gap-ratio", "0.05"], (1, json!("corrupt-media"))),
        (&["--verify", "none"], (0, Value::Null)),
    ] {
        let (code, answer) = mux(folder.path(), &[&["in", "-o", "other.mp4"], &arguments[..]].concat());
        assert_eq!((code, answer["error"]["code"].clone()), expected, "{arguments:?} {answer}");
        assert_eq!(folder.path().join("other.mp4").exists(), code == 0, "{arguments:?}");
    }
    let verified = spool(folder.path(), &["verify", "out.mp4", "--full", "--json"]);
    assert_eq!(verified.status.code(), Some(1), "{}", json(&verified));
}

#[test]
fn folder_of_which_nothing_can_be_decoded_is_a_failure() {
    let (folder, set) = recorded(6);
    for index in 1..=u32::try_from(set.last_index(Track::Video)).unwrap() {
        ruin(&segment(folder.path(), Track::Video, index), 0, 2000);
    }
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4"]);
    assert_eq!((code, &answer["error"]["code"]), (1, &json!("nothing-decodable")), "{answer}");
    assert!(!folder.path().join("out.mp4").exists());
}

/// The recorder changed its settings and went on under the first initialization section.
#[test]
fn picture_of_another_size_names_the_segment_that_begins_it() {
    let (folder, _) = recorded(16);
    let config = media::ff::synth::Config { width: 640, height: 360, ..media::ff::synth::Config::default() };
    let other = Set::of(&config, Duration::from_secs(16));
    for index in 4..=8 {
        let bytes = &other.tracks[&Track::Video].1[index as usize - 1];
        std::fs::write(segment(folder.path(), Track::Video, index), bytes).unwrap();
    }
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4"]);
    assert_eq!((code, &answer["error"]["code"]), (1, &json!("unsupported-config-change")), "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("from video segment 4 on (6.000 s)"), "{message}");
}

#[test]
fn decoding_everything_finds_what_samples_miss() {
    let folder = tempfile::tempdir().unwrap();
    let config = media::ff::synth::Config { width: 320, height: 180, fps: 5, ..media::ff::synth::Config::default() };
    Set::of(&config, Duration::from_secs(48)).write_to(&folder.path().join("in"));
    // Behind the first picture of the one segment of twenty-four that is not sampled.
    let path = segment(folder.path(), Track::Video, 12);
    let len = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
    ruin(&path, len / 4 * 3, len / 8);
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4"]);
    assert_eq!(code, 0, "{answer}");
    assert_eq!(spool(folder.path(), &["verify", "out.mp4"]).status.code(), Some(0));
    let full = spool(folder.path(), &["verify", "out.mp4", "--full", "--json"]);
    let found = json(&full);
    assert_eq!((full.status.code(), &found["sound"], &found["decoded"]), (Some(1), &json!(false), &json!("full")));
    assert!(found["defects"][0].as_str().unwrap().contains("damaged at packet"), "{found}");
}
