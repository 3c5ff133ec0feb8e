//! A result holds every packet of its segments once, in order and at its time: told by FFmpeg, not by ourselves.

mod sets;

use media::folder::{self, Options, Report, Status};
use media::mux::Progress;
use media::readback;
use sets::{AAC, H264, Lane, Set, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One packet as ffprobe tells it. Times are in units of the stream's time base.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Packet {
    pts: i64,
    dts: i64,
    /// ffprobe does not tell it of a packet that begins before 0.
    duration: Option<i64>,
    key: bool,
    hash: String,
}

fn packets(path: &Path, stream: &str) -> Vec<Packet> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-select_streams", stream, "-show_data_hash", "md5", "-of", "json"]);
    ffprobe.args(["-show_entries", "packet=pts,dts,duration,flags,data_hash"]).arg(path);
    let told: serde_json::Value = serde_json::from_str(&run(&mut ffprobe)).unwrap();
    let packet = |packet: &serde_json::Value| Packet {
        pts: packet["pts"].as_i64().unwrap(),
        dts: packet["dts"].as_i64().unwrap(),
        duration: packet["duration"].as_i64(),
        key: packet["flags"].as_str().unwrap().starts_with('K'),
        hash: packet["data_hash"].as_str().unwrap().to_owned(),
    };
    told["packets"].as_array().unwrap().iter().map(packet).collect()
}

fn mux_with(set: &Set, options: &Options) -> (Report, PathBuf) {
    let out = set.path().join("result.mp4");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut last = Progress { done_bytes: 0, total_bytes: 0 };
    let report = runtime.block_on(folder::mux(set.path(), &out, options, |progress| {
        assert!(progress.done_bytes > last.done_bytes && progress.done_bytes <= progress.total_bytes);
        last = progress;
    }));
    assert!(!out.with_file_name("result.mp4.part").exists());
    assert_eq!(out.exists(), report.status != Status::Failed, "{report:?}");
    (report, out)
}

fn mux(set: &Set) -> (Report, PathBuf) {
    mux_with(set, &Options::default())
}

/// The result decodes without a complaint.
fn assert_decodes(out: &Path) {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "warning", "-nostdin", "-xerror", "-i"]).arg(out).args(["-f", "null", "-"]);
    let output = ffmpeg.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", out.display());
    assert!(output.status.success());
}

/// Both tracks of the set are in the result: the same packets at the same times, less `shift` in units of each track.
fn assert_same_packets(set: &Set, out: &Path, shift: impl Fn(&str) -> i64) {
    for (track, stream) in [("video", "v"), ("audio", "a")] {
        if !set.path().join(track).exists() {
            continue;
        }
        let source = packets(&set.concat(track), stream);
        let mut result = packets(out, stream);
        assert!(source.len() > 10);
        result
            .iter_mut()
            .for_each(|packet| (packet.pts, packet.dts) = (packet.pts + shift(track), packet.dts + shift(track)));
        assert_eq!(source.len(), result.len(), "{track}");
        let last = source.len() - 1;
        for (n, (source, result)) in source.iter().zip(&mut result).enumerate() {
            // FFmpeg makes the last duration up when it reads fragments: the encoder's frame, not what the moof says.
            if source.duration.is_none() || result.duration.is_none() || n == last {
                result.duration = source.duration;
            }
            assert_eq!(source, result, "{track} packet {n}");
        }
    }
}

/// The result of a set in which nothing is wrong, all checks made.
fn assert_faithful(set: &Set) -> (Report, PathBuf) {
    let (report, out) = mux(set);
    assert_eq!((report.status, &report.error), (Status::Complete, &None));
    assert_eq!(report.bytes, Some(out.metadata().unwrap().len()));
    assert_same_packets(set, &out, |_| 0);
    assert_decodes(&out);
    (report, out)
}

#[test]
fn result_of_h264_and_aac_is_faithful() {
    let (report, out) = assert_faithful(&Set::of(Some(H264), Some(AAC), "7"));
    assert_eq!(report.duration_ms, Some(7000));
    let bytes = std::fs::read(&out).unwrap();
    let kinds: Vec<_> = media::boxes::Boxes::of(&bytes).map(|found| found.unwrap().kind.to_string()).collect();
    assert_eq!(kinds, ["ftyp", "moov", "mdat"]);
}

#[allow(unused)]
fn unused(_: Lane<'_>) -> Option<readback::Readback> {
    None
}
