//! Damaged folders: nothing is lost without being named, and what cannot be put right is a failure with a code.

#![allow(clippy::unwrap_used, reason = "a set that cannot be read ends the test")]

mod sets;

use domain::mux::{Gap, GapCause};
use domain::recording::Policy;
use domain::segment::Track;
use media::folder::{self, Options, Report, Status};
use sets::result::{assert_decodes, block_on, mux, mux_with, packets};
use sets::{AAC, H264, Set};
use std::fs;
use std::path::Path;

fn set() -> Set {
    Set::of(Some(H264), Some(AAC), "12")
}

/// Hashes of the packets of some segments of a track, read as a track of their own.
fn hashes(set: &Set, track: &str, keep: impl Fn(u32) -> bool) -> Vec<String> {
    let mut bytes = set.bytes(track, 0);
    set.indexes(track).into_iter().filter(|&n| keep(n)).for_each(|n| bytes.extend(set.bytes(track, n)));
    let path = set.path().join("kept.mp4");
    fs::write(&path, bytes).unwrap();
    packets(&path, &track[..1]).into_iter().map(|packet| packet.hash).collect()
}

fn result_hashes(out: &Path, track: &str) -> Vec<String> {
    packets(out, &track[..1]).into_iter().map(|packet| packet.hash).collect()
}

fn only_gap(report: &Report) -> &Gap {
    assert_eq!((report.status, report.gaps.len()), (Status::Degraded, 1), "{report:?}");
    &report.gaps[0]
}

fn code(report: &Report) -> &str {
    assert_eq!(report.status, Status::Failed, "{report:?}");
    let error = report.error.as_ref().unwrap();
    assert!(error.message.len() > 20, "{error:?}");
    &error.code
}

/// Takes segments away, muxes, and sees that the result is the rest.
fn assert_rest(lose: &[(&str, u32)], expected: &Gap) -> Report {
    let set = set();
    let rest: Vec<_> = ["video", "audio"]
        .into_iter()
        .map(|track| (track, hashes(&set, track, |n| !lose.contains(&(track, n)))))
        .collect();
    lose.iter().for_each(|&(track, n)| fs::remove_file(set.segment(track, n)).unwrap());
    let (report, out) = mux(&set);
    assert_eq!(only_gap(&report), expected);
    for (track, hashes) in rest {
        assert_eq!(result_hashes(&out, track), hashes, "{track}");
    }
    assert_decodes(&out);
    report
}

#[test]
fn missing_segment_in_the_middle_is_a_gap_and_moves_nothing() {
    let gap = Gap { track: Track::Video, from_ms: 4000, to_ms: 6000, segments: vec![3], cause: GapCause::Missing };
    let report = assert_rest(&[("video", 3)], &gap);
    assert_eq!(report.duration_ms, Some(12_000));
    assert_eq!(report.tracks.iter().map(|track| track.duration_ms).collect::<Vec<_>>(), [12_000, 12_000]);
}

#[test]
fn missing_first_segment_is_a_gap_and_shifts_nothing() {
    let gap = Gap { track: Track::Video, from_ms: 0, to_ms: 2000, segments: vec![1], cause: GapCause::Missing };
    let report = assert_rest(&[("video", 1)], &gap);
    assert_eq!(report.tracks.iter().map(|track| track.start_ms).collect::<Vec<_>>(), [2000, 0]);
    assert_eq!(report.duration_ms, Some(12_000));
}

#[test]
fn missing_last_segment_is_a_gap_and_the_longer_track_is_kept() {
    let gap = Gap { track: Track::Video, from_ms: 10_000, to_ms: 12_000, segments: vec![], cause: GapCause::Missing };
    let report = assert_rest(&[("video", 6)], &gap);
    assert_eq!(report.duration_ms, Some(12_000));
}

#[test]
fn missing_last_segment_is_named_when_the_manifest_declares_it() {
    let set = set();
    let entries =
        |last: u32| (1..=last).map(|n| format!(r#"{{"index":{n},"duration":2.0}}"#)).collect::<Vec<_>>().join(",");
    let manifest = format!(
        r#"{{"version":2,"video_init_uploaded":true,"audio_init_uploaded":true,"video_segments":[{}],"audio_segments":[{}],"is_complete":true}}"#,
        entries(6),
        entries(set.indexes("audio").len() as u32)
    );
    fs::write(set.path().join("manifest.json"), manifest).unwrap();
    assert_eq!(mux(&set).0.status, Status::Complete);
    fs::remove_file(set.segment("video", 6)).unwrap();
    assert_eq!(only_gap(&mux(&set).0).segments, [6]);
}

#[test]
fn segment_without_a_whole_sample_is_dropped_and_named() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 2] = [
        ("garbage in moof", |bytes| {
            let trun = bytes.windows(4).position(|word| word == b"trun").unwrap();
            bytes[trun + 24..trun + 40].fill(0xa5);
        }),
        ("not a segment", |bytes| *bytes = b"<html>502 Bad Gateway</html>".to_vec()),
    ];
    let set = set();
    let whole = set.bytes("video", 4);
    let rest = hashes(&set, "video", |n| n != 4);
    let audio = hashes(&set, "audio", |_| true);
    for (what, damage) in damages {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(set.segment("video", 4), bytes).unwrap();
        let (report, out) = mux(&set);
        let gap = Gap { track: Track::Video, from_ms: 6000, to_ms: 8000, segments: vec![4], cause: GapCause::Damaged };
        assert_eq!(only_gap(&report), &gap, "{what}");
        assert_eq!(result_hashes(&out, "video"), rest, "{what}");
        assert_eq!(result_hashes(&out, "audio"), audio, "{what}");
        assert_decodes(&out);
    }
    fs::write(set.segment("video", 4), b"").unwrap();
    assert_eq!(only_gap(&mux(&set).0).cause, GapCause::Missing);
}

#[test]
fn track_without_a_readable_segment_is_a_gap_over_everything() {
    let set = set();
    let (video, audio) = (hashes(&set, "video", |_| true), hashes(&set, "audio", |_| true));
    let write = |track: &str, bytes: &[u8]| {
        set.indexes(track).iter().for_each(|&n| fs::write(set.segment(track, n), bytes).unwrap());
    };
    let gap = |track, segments, cause| Gap { track, from_ms: 0, to_ms: 12_000, segments, cause };
    write("audio", b"");
    let (report, out) = mux(&set);
    assert_eq!(only_gap(&report), &gap(Track::Audio, vec![1, 2, 3, 4, 5, 6], GapCause::Missing));
    assert_eq!((result_hashes(&out, "video"), report.tracks.len()), (video.clone(), 1));
    write("audio", b"garbage garbage");
    let (report, out) = mux(&set);
    assert_eq!(only_gap(&report), &gap(Track::Audio, vec![1, 2, 3, 4, 5, 6], GapCause::Damaged));
    assert_eq!(result_hashes(&out, "video"), video);
    assert_decodes(&out);
    // Its initialization section alone; then a manifest says that there was never more.
    set.indexes("audio").iter().for_each(|&n| fs::remove_file(set.segment("audio", n)).unwrap());
    let (report, _) = mux(&set);
    assert_eq!(only_gap(&report), &gap(Track::Audio, vec![], GapCause::Missing));
    let manifest = r#"{"version":2,"video_init_uploaded":true,"audio_init_uploaded":true,
        "video_segments":[1,2,3,4,5,6],"audio_segments":[],"is_complete":true}"#;
    fs::write(set.path().join("manifest.json"), manifest).unwrap();
    assert_eq!(mux(&set).0.status, Status::Complete);

    let set = self::set();
    let write = |track: &str, bytes: &[u8]| {
        set.indexes(track).iter().for_each(|&n| fs::write(set.segment(track, n), bytes).unwrap());
    };
    write("video", b"");
    let (report, out) = mux(&set);
    assert_eq!(only_gap(&report), &gap(Track::Video, vec![1, 2, 3, 4, 5, 6], GapCause::Missing));
    assert_eq!(result_hashes(&out, "audio"), audio);
}

#[test]
fn gaps_fail_when_the_policy_or_the_share_says_so() {
    let set = set();
    fs::remove_file(set.segment("video", 3)).unwrap();
    let fail = Options { policy: Policy::Fail, ..Options::default() };
    assert_eq!(code(&mux_with(&set, &fail).0), "gaps-under-policy-fail");
    let limited = |ratio| Options { max_gap_ratio: Some(ratio), ..Options::default() };
    assert_eq!(code(&mux_with(&set, &limited(0.1)).0), "too-many-gaps");
    assert_eq!(mux_with(&set, &limited(0.2)).0.status, Status::Degraded);
}

#[test]
fn pause_of_both_tracks_is_no_gap_and_a_jump_of_one_is() {
    let set = set();
    shift(&set, "video", 4.., 10 * 15_360);
    shift(&set, "audio", 4.., 10 * 48_000);
    let (report, out) = mux(&set);
    assert_eq!((report.status, report.duration_ms), (Status::Complete, Some(22_000)));
    assert_decodes(&out);
    let set = self::set();
    for n in 4..*set.indexes("audio").last().unwrap() {
        fs::rename(set.segment("audio", n + 1), set.segment("audio", n)).unwrap();
    }
    let (report, out) = mux(&set);
    let gap = only_gap(&report);
    assert_eq!((gap.track, gap.segments.len(), gap.cause), (Track::Audio, 0, GapCause::Jump));
    assert!((1900..2100).contains(&gap.duration_ms()), "{gap:?}");
    assert_eq!(report.duration_ms, Some(12_000));
    assert_decodes(&out);
}

#[test]
fn small_overlap_shrinks_the_sample_before_it() {
    let set = set();
    shift(&set, "video", 4.., -70);
    let (report, out) = mux(&set);
    assert_eq!(report.status, Status::Complete);
    let packets = packets(&out, "v");
    assert_eq!(packets.len(), 360);
    assert_eq!(packets[180].dts - packets[179].dts, 512 - 70);
    assert_decodes(&out);
}

#[test]
fn time_stamps_of_one_track_that_go_back_are_a_failure() {
    let set = set();
    shift(&set, "video", 4.., -6 * 15_360);
    assert_eq!(code(&mux(&set).0), "tfdt-back");
}

#[test]
fn init_of_another_kind_is_a_failure() {
    let set = set();
    fs::copy(set.segment("audio", 0), set.segment("video", 0)).unwrap();
    let (report, _) = mux(&set);
    assert_eq!(code(&report), "wrong-init");
    let set = self::set();
    fs::copy(set.segment("video", 0), set.segment("audio", 0)).unwrap();
    assert_eq!(code(&mux(&set).0), "wrong-init");
}

#[test]
fn folder_that_cannot_be_read_as_segments_is_a_failure() {
    let set = set();
    fs::remove_file(set.segment("video", 0)).unwrap();
    assert_eq!(code(&mux(&set).0), "missing-init");
    fs::write(set.segment("video", 0), b"\x1a\x45\xdf\xa3 webm").unwrap();
    assert_eq!(code(&mux(&set).0), "not-iso-bmff");
    let set = self::set();
    set.indexes("video").iter().for_each(|&n| fs::write(set.segment("video", n), b"garbage garbage").unwrap());
    assert_eq!(code(&mux(&set).0), "empty");
    set.indexes("audio").iter().for_each(|&n| fs::write(set.segment("audio", n), b"").unwrap());
    set.indexes("video").iter().for_each(|&n| fs::write(set.segment("video", n), b"").unwrap());
    assert_eq!(code(&mux(&set).0), "empty");
    assert_eq!(code(&mux(&Set::empty()).0), "nothing-uploaded");
    let set = Set::empty();
    fs::remove_dir(set.path()).unwrap();
    assert_eq!(code(&mux(&set).0), "io");
}

#[test]
fn mux_that_is_given_up_leaves_nothing() {
    let set = Set::of(Some(H264), Some(AAC), "4");
    let out = set.path().join("result.mp4");
    fs::write(&out, b"of an earlier day").unwrap();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let mut sender = Some(sender);
    let options = Options::default();
    let progress = |_| {
        assert!(out.with_file_name("result.mp4.part").exists());
        sender.take().map(|sender| sender.send(()));
    };
    // The first batch is written, the result is not published yet.
    let given_up = block_on(async {
        tokio::select! {
            biased;
            _ = receiver => true,
            _ = folder::mux(set.path(), &out, &options, progress) => false,
        }
    });
    assert!(given_up);
    assert!(!out.with_file_name("result.mp4.part").exists());
    assert_eq!(fs::read(&out).unwrap(), b"of an earlier day");
}

#[test]
fn other_files_are_ignored() {
    let set = Set::of(Some(H264), Some(AAC), "4");
    let (clean, _) = mux(&set);
    for name in ["segment_1.m4s", "segment_001.m4s.tmp", "segment_9999999.m4s", "notes.txt", "INIT.MP4"] {
        fs::write(set.path().join("video").join(name), b"noise").unwrap();
    }
    fs::create_dir(set.path().join("video/segment_007.m4s")).unwrap();
    fs::write(set.path().join("manifest.json"), b"{ half a mani").unwrap();
    let (report, _) = mux(&set);
    assert_eq!(report, clean);
}

#[test]
fn report_has_the_words_of_the_command() {
    let set = Set::of(Some(H264), None, "2");
    let (report, out) = mux(&set);
    let told = serde_json::to_value(&report).unwrap();
    let expected = serde_json::json!({
        "status": "complete",
        "result": out,
        "bytes": out.metadata().unwrap().len(),
        "sha256": report.sha256,
        "duration_ms": 2000,
        "tracks": [{"kind": "video", "codec": "avc1.64000d", "packets": 60, "duration_ms": 2000, "start_ms": 0}],
        "gaps": [],
        "repairs": [],
        "error": null,
    });
    assert_eq!(told, expected);
}

/// Moves the decode time of segments by `units` of their track.
fn shift(set: &Set, track: &str, segments: std::ops::RangeFrom<u32>, units: i64) {
    for n in set.indexes(track).into_iter().filter(|n| segments.contains(n)) {
        let mut bytes = set.bytes(track, n);
        let body = bytes.windows(4).position(|word| word == b"tfdt").unwrap() + 4;
        assert_eq!(bytes[body], 1);
        let time = bytes[body + 4..body + 12].first_chunk_mut::<8>().unwrap();
        *time = u64::from_be_bytes(*time).checked_add_signed(units).unwrap().to_be_bytes();
        fs::write(set.segment(track, n), bytes).unwrap();
    }
}
