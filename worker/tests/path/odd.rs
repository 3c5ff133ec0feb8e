//! `spool mux` of what the index cannot express: whole files, tracks of another container, codecs that MP4 has no place for.

use crate::mux::{dash, mux, spool};
use crate::support::{PATIENCE, Running, packets, wait};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const SOURCE: &str = "-f lavfi -i testsrc2=size=320x180:rate=30:duration=7 \
                      -f lavfi -i sine=frequency=440:sample_rate=48000:duration=7";
const H264: &str = "-c:v libx264 -preset veryfast -bf 2 -g 60 -pix_fmt yuv420p";
const VP8: &str = "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 500k -c:a libvorbis";

fn ffmpeg(folder: &Path, words: &str) {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y"]).args(words.split_whitespace());
    let output = ffmpeg.current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
}

fn left(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn file_becomes_one_verified_mp4_with_the_same_packets() {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(folder.path(), &format!("{SOURCE} {H264} -c:a flac in.mkv"));
    let (code, answer) = mux(folder.path(), &["in.mkv", "-o", "out.mp4"]);
    assert_eq!((code, &answer["status"], &answer["repairs"]), (0, &json!("complete"), &json!([])), "{answer}");
    let (source, out) = (folder.path().join("in.mkv"), folder.path().join("out.mp4"));
    for kind in ["v", "a"] {
        assert_eq!(packets::hashes(&source, kind), packets::hashes(&out, kind));
    }
    packets::assert_decodes(&out);
    assert_eq!(packets::top_boxes(&out), ["ftyp", "moov", "mdat"]);
    assert_eq!(left(folder.path()), ["in.mkv", "out.mp4"], "nothing else is left");
    let verified = spool(folder.path(), &["verify", "out.mp4", "--json"]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));

    let (code, answer) = mux(folder.path(), &["in.mkv", "-o", "none.mp4", "--engine", "index"]);
    assert_eq!((code, &answer["error"]["code"]), (1, &json!("not-iso-bmff")), "{answer}");
    assert_eq!(left(folder.path()), ["in.mkv", "out.mp4"]);
}

#[test]
fn codec_without_a_place_is_a_failure_that_names_its_cure() {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(folder.path(), &format!("{SOURCE} {VP8} in.webm"));
    let (code, answer) = mux(folder.path(), &["in.webm", "-o", "out.mp4"]);
    assert_eq!((code, &answer["error"]["code"]), (1, &json!("codec-not-in-mp4")), "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(["video", "vp8", "mux.transcode", "--transcode"].iter().all(|word| message.contains(word)), "{message}");
    assert_eq!(left(folder.path()), ["in.webm"]);

    let (code, answer) = mux(folder.path(), &["in.webm", "-o", "out.mp4", "--transcode"]);
    assert_eq!((code, &answer["status"]), (0, &json!("complete")), "{answer}");
    let kinds: Vec<_> = answer["repairs"].as_array().unwrap().iter().map(|repair| &repair["kind"]).collect();
    assert_eq!(kinds, [&json!("transcode"), &json!("transcode")], "{answer}");
    let out = folder.path().join("out.mp4");
    packets::assert_decodes(&out);
    assert!((packets::duration_s(&out) - 7.0).abs() < 0.1, "{answer}");
}

/// Segments of the source are shorter and longer than those that an encoder makes by itself.
#[test]
fn what_is_encoded_again_keeps_the_indexes_of_its_segments() {
    let folder = tempfile::tempdir().unwrap();
    for (track, seconds, words) in [
        ("video", 1, "testsrc2=size=160x90:rate=30:duration=7 -c:v libvpx -deadline realtime -cpu-used 8 -g 15"),
        ("audio", 3, "sine=frequency=440:sample_rate=48000:duration=7 -c:a libvorbis"),
    ] {
        std::fs::create_dir_all(folder.path().join("in").join(track)).unwrap();
        let dash = format!(
            "-f lavfi -i {words} -f dash -dash_segment_type webm -seg_duration {seconds} -use_template 1 -use_timeline 0 \
             -init_seg_name init.mp4 -media_seg_name segment_$Number%03d$.m4s in/{track}/manifest.mpd"
        );
        ffmpeg(folder.path(), &dash);
    }
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4", "--transcode"]);
    assert_eq!((code, &answer["gaps"]), (0, &json!([])), "{answer}");
    let out = folder.path().join("out.mp4");
    packets::assert_decodes(&out);
    let made = ["v", "a"].map(|kind| packets::hashes(&out, kind).len());
    assert!(made[0] == 210 && (328..=331).contains(&made[1]), "{made:?} packets of 7 s at 30 and 46.9 a second");

    std::fs::remove_file(folder.path().join("in/video/segment_004.m4s")).unwrap();
    let (code, answer) = mux(folder.path(), &["in", "-o", "less.mp4", "--transcode"]);
    let gaps: Vec<_> = answer["gaps"].as_array().unwrap().iter().map(|gap| (&gap["track"], &gap["segments"])).collect();
    assert_eq!((code, gaps), (3, vec![(&json!("video"), &json!([4]))]), "{answer}");
}

#[test]
fn track_of_another_container_names_its_missing_and_damaged_segments() {
    let folder = tempfile::tempdir().unwrap();
    dash(folder.path(), "libopus", "webm");
    let audio = folder.path().join("in/audio");
    std::fs::remove_file(audio.join("segment_002.m4s")).unwrap();
    std::fs::write(audio.join("segment_004.m4s"), b"no longer a cluster").unwrap();
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4"]);
    assert_eq!((code, &answer["status"]), (3, &json!("degraded")), "{answer}");
    let gaps = answer["gaps"].as_array().unwrap();
    let missing: Vec<_> = gaps.iter().map(|gap| (gap["track"].clone(), gap["segments"].clone())).collect();
    assert_eq!(missing, [(json!("audio"), json!([2])), (json!("audio"), json!([4]))], "{answer}");
    let video = packets::hashes_of_segments(&folder.path().join("in"), "video");
    assert_eq!(video, packets::hashes(&folder.path().join("out.mp4"), "v"), "the picture is not touched");
    packets::assert_decodes(&folder.path().join("out.mp4"));
}

/// Track, cause and segments of every gap, and how long it is.
fn gaps(answer: &Value) -> Vec<(String, String, String, u64)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let ms = |gap: &Value| gap["to_ms"].as_u64().unwrap() - gap["from_ms"].as_u64().unwrap();
    let of = |gap: &Value| (text(&gap["track"]), text(&gap["cause"]), text(&gap["segments"]), ms(gap));
    answer["gaps"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn cut_swapped_and_copied_segments_of_another_container_end_as_all_others_do() {
    let folder = tempfile::tempdir().unwrap();
    dash(folder.path(), "libopus", "webm");
    let audio = folder.path().join("in/audio");
    let place = |index: u32| audio.join(format!("segment_{index:03}.m4s"));
    let (second, third) = (std::fs::read(place(2)).unwrap(), std::fs::read(place(3)).unwrap());
    let told = |second: &[u8], third: &[u8]| {
        std::fs::write(place(2), second).unwrap();
        std::fs::write(place(3), third).unwrap();
        let (_, answer) = mux(folder.path(), &["in", "-o", "out.mp4", "--verify", "none"]);
        let kinds =
            answer["repairs"].as_array().unwrap().iter().map(|repair| repair["kind"].as_str().unwrap().to_owned());
        (gaps(&answer), kinds.collect::<Vec<_>>(), answer)
    };
    let (lost, kinds, answer) = told(&third, &second);
    assert_eq!((lost.len(), &answer["status"]), (0, &json!("complete")), "{answer}");
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| kind == "sort"), "{answer}");
    let swapped = packets::hashes(&folder.path().join("out.mp4"), "a");

    let (lost, _, answer) = told(&second, &third);
    assert_eq!((lost.len(), &answer["status"]), (0, &json!("complete")), "{answer}");
    assert_eq!(packets::hashes(&folder.path().join("out.mp4"), "a"), swapped, "in order they are the same");

    let (lost, kinds, answer) = told(&second, &second);
    let [(track, cause, segments, ms)] = &lost[..] else { panic!("{answer}") };
    assert_eq!((&track[..], &cause[..], &segments[..]), ("audio", "duplicate", "[3]"), "{answer}");
    assert!((1_900..2_100).contains(ms) && kinds.iter().any(|kind| kind == "drop-duplicate"), "{answer}");

    // The one behind it is not swallowed.
    let (lost, _, answer) = told(&second[..second.len() / 2], &third);
    let [(track, cause, segments, ms)] = &lost[..] else { panic!("{answer}") };
    assert_eq!((&track[..], &cause[..], &segments[..]), ("audio", "truncated", "[2]"), "{answer}");
    assert!((800..1_200).contains(ms), "{answer}");
}

#[test]
fn sound_alone_of_another_container_tells_empty_beheaded_and_cut_segments_once() {
    let folder = tempfile::tempdir().unwrap();
    dash(folder.path(), "libopus", "webm");
    std::fs::remove_dir_all(folder.path().join("in/video")).unwrap();
    let place = |index: u32| folder.path().join(format!("in/audio/segment_{index:03}.m4s"));
    let told = |index: u32, change: &dyn Fn(&[u8]) -> Vec<u8>| {
        let bytes = std::fs::read(place(index)).unwrap();
        std::fs::write(place(index), change(&bytes)).unwrap();
        let (_, answer) = mux(folder.path(), &["in", "-o", "out.mp4", "--verify", "none"]);
        std::fs::write(place(index), bytes).unwrap();
        gaps(&answer)
    };
    let lost = told(2, &|_| Vec::new());
    let [(_, cause, segments, ms)] = &lost[..] else { panic!("{lost:?}") };
    assert_eq!((&cause[..], &segments[..]), ("missing", "[2]"), "{lost:?}");
    assert!((1_900..2_100).contains(ms), "{lost:?}");
    let lost = told(1, &|bytes| bytes[4_000..].to_vec());
    let [(_, cause, segments, _)] = &lost[..] else { panic!("{lost:?}") };
    assert_eq!((&cause[..], &segments[..]), ("damaged", "[1]"), "{lost:?}");
    // The fourth one, of a second, is the last.
    std::fs::remove_file(place(4)).unwrap();
    let lost = told(3, &|bytes| bytes[..bytes.len() / 2].to_vec());
    let [(_, cause, segments, ms)] = &lost[..] else { panic!("{lost:?}") };
    assert_eq!((&cause[..], &segments[..]), ("truncated", "[3]"), "{lost:?}");
    assert!((800..1_200).contains(ms), "{lost:?}");
}

#[test]
fn clusters_that_are_gone_are_gaps_of_both_tracks_and_no_pause() {
    let folder = tempfile::tempdir().unwrap();
    let words = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30 -c:a libopus -cluster_time_limit 1000";
    ffmpeg(folder.path(), &format!("{SOURCE} {words} in.webm"));
    let mut bytes = std::fs::read(folder.path().join("in.webm")).unwrap();
    let clusters: Vec<usize> =
        (0..bytes.len() - 4).filter(|at| bytes[*at..*at + 4] == [0x1f, 0x43, 0xb6, 0x75]).collect();
    bytes[clusters[2]..clusters[4]].fill(0);
    std::fs::write(folder.path().join("in.webm"), bytes).unwrap();
    let (code, answer) = mux(folder.path(), &["in.webm", "-o", "out.mp4"]);
    assert_eq!((code, &answer["status"]), (3, &json!("degraded")), "{answer}");
    let lost = gaps(&answer);
    assert_eq!(
        lost.iter().map(|gap| (&gap.0[..], &gap.1[..])).collect::<Vec<_>>(),
        [("video", "damaged"), ("audio", "damaged")]
    );
    assert!(lost.iter().all(|gap| (1_900..2_100).contains(&gap.3)), "{answer}");
    assert!((packets::duration_s(&folder.path().join("out.mp4")) - 7.0).abs() < 0.1, "{answer}");
}

#[test]
fn track_without_initialization_section_may_be_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(
        folder.path(),
        "-f lavfi -i testsrc2=size=320x180:rate=30:duration=5 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 in.webm",
    );
    std::fs::create_dir_all(folder.path().join("in/video")).unwrap();
    let (stream, video) = (std::fs::read(folder.path().join("in.webm")).unwrap(), folder.path().join("in/video"));
    // As a browser's recorder hands it out: pieces of one file, cut anywhere.
    for (index, piece) in (1..).zip(stream.chunks(stream.len() / 3 + 1)) {
        std::fs::write(video.join(format!("segment_{index:03}.m4s")), piece).unwrap();
    }
    let (code, answer) = mux(folder.path(), &["in", "-o", "out.mp4"]);
    assert_eq!((code, &answer["status"]), (0, &json!("complete")), "{answer}");
    let (source, out) = (folder.path().join("in.webm"), folder.path().join("out.mp4"));
    assert_eq!(packets::hashes(&source, "v"), packets::hashes(&out, "v"));
}

#[test]
fn hostile_file_ends_in_a_code_soon() {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(folder.path(), &format!("{SOURCE} {H264} -c:a aac in.mkv"));
    let whole = std::fs::read(folder.path().join("in.mkv")).unwrap();
    std::fs::write(folder.path().join("cut.mkv"), &whole[..whole.len() / 2]).unwrap();
    let mut stream: Vec<u8> = (0..1u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    (0..stream.len()).step_by(188).for_each(|at| stream[at] = 0x47);
    std::fs::write(folder.path().join("noise.ts"), stream).unwrap();
    let head = b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff";
    std::fs::write(folder.path().join("bomb.webm"), [&head[..], b"\x16\x54\xae\x6b\x01\x04\0\0\0\0\0\0"].concat())
        .unwrap();
    let begun = Instant::now();
    for name in ["noise.ts", "bomb.webm"] {
        let (code, answer) = mux(folder.path(), &[name, "-o", "out.mp4"]);
        assert_eq!((code, &answer["error"]["code"]), (1, &json!("libavformat")), "{name}: {answer}");
    }
    // Half of a file is half of a recording, and says so.
    let (code, answer) = mux(folder.path(), &["cut.mkv", "-o", "out.mp4"]);
    assert_eq!((code, &answer["gaps"][0]["cause"]), (3, &json!("truncated")), "{answer}");
    let (code, answer) = mux(folder.path(), &["cut.mkv", "-o", "none.mp4", "--gap-policy", "fail"]);
    assert_eq!((code, &answer["status"]), (1, &json!("failed")), "{answer}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(left(folder.path()), ["bomb.webm", "cut.mkv", "in.mkv", "noise.ts", "out.mp4"]);
}

/// Processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let parent = |stat: &str| stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok();
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes
        .filter(|of| std::fs::read_to_string(format!("/proc/{of}/stat")).is_ok_and(|stat| parent(&stat) == Some(pid)))
        .collect()
}

#[tokio::test]
async fn interrupted_work_takes_its_child_and_its_scratch_along() {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(folder.path(), "-f lavfi -i testsrc2=size=640x360:rate=30:duration=20 -c:v mjpeg -q:v 5 in.mkv");
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_spool"));
    command.args(["mux", "in.mkv", "-o", "out.mp4", "--transcode"]).current_dir(folder.path());
    let mut running = Running::start(command, log.path());
    let child = wait::until("a piece was made", PATIENCE, async || {
        assert!(running.is_alive(), "{}", running.log());
        let scratch = left(folder.path()).into_iter().find(|name| name.starts_with(".spool-scratch-"))?;
        folder
            .path()
            .join(scratch)
            .join("video/init.mp4")
            .exists()
            .then(|| children(running.pid().as_raw_nonzero().get().unsigned_abs()))?
            .first()
            .copied()
    })
    .await;
    running.signal(Signal::INT);
    assert_eq!(running.wait(PATIENCE).code(), Some(130), "{}", running.log());
    let gone = || !std::fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    wait::until("the child is gone", PATIENCE, async || gone().then_some(())).await;
    assert_eq!(left(folder.path()), ["in.mkv"]);
}

#[test]
fn text_for_a_person_says_what_was_encoded_again() {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(folder.path(), &format!("{SOURCE} -t 1 {H264} -c:a pcm_s16le in.mov"));
    let output = spool(folder.path(), &["mux", "in.mov", "-o", "out.mp4", "--transcode"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("pcm_s16le was encoded again as AAC") && !text.contains("H.264"), "{text}");
}
