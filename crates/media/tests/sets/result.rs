//! A result as FFmpeg tells it.

use super::{Set, run};
use media::folder::{self, Options, Report, Status};
use media::mux::Progress;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One packet as ffprobe tells it. Times are in units of the stream's time base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    /// ffprobe does not tell it of a packet that begins before 0.
    pub(crate) duration: Option<i64>,
    pub(crate) key: bool,
    pub(crate) hash: String,
}

/// The packets of the first stream of a kind, `v` or `a`.
pub(crate) fn packets(path: &Path, stream: &str) -> Vec<Packet> {
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

/// Muxes a set as the command does.
pub(crate) fn mux_with(set: &Set, options: &Options) -> (Report, PathBuf) {
    let out = set.path().join("result.mp4");
    let mut last = Progress { done_bytes: 0, total_bytes: 0 };
    let report = block_on(folder::mux(set.path(), &out, options, |progress| {
        assert!(progress.done_bytes > last.done_bytes && progress.done_bytes <= progress.total_bytes);
        last = progress;
    }));
    assert!(!out.with_file_name("result.mp4.part").exists());
    assert_eq!(out.exists(), report.status != Status::Failed, "{report:?}");
    assert_eq!(report.error.is_some(), report.status == Status::Failed, "{report:?}");
    (report, out)
}

/// Muxes a set with default options.
pub(crate) fn mux(set: &Set) -> (Report, PathBuf) {
    mux_with(set, &Options::default())
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// The result decodes without a complaint.
pub(crate) fn assert_decodes(out: &Path) {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "warning", "-nostdin", "-xerror", "-i"]).arg(out).args(["-f", "null", "-"]);
    let output = ffmpeg.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", out.display());
    assert!(output.status.success());
}

/// `moov` comes before the only `mdat`.
pub(crate) fn assert_faststart(out: &Path) {
    let bytes = std::fs::read(out).unwrap();
    let kinds: Vec<_> = media::boxes::Boxes::of(&bytes).map(|found| found.unwrap().kind.to_string()).collect();
    assert_eq!(kinds, ["ftyp", "moov", "mdat"]);
}

/// Every packet of the segments is in the result, once and in order, earlier than in its track by `shift` units of it:
/// video, audio.
pub(crate) fn assert_same_packets(set: &Set, out: &Path, shift: [i64; 2]) {
    for ((track, stream), shift) in [("video", "v"), ("audio", "a")].into_iter().zip(shift) {
        if set.indexes(track).is_empty() {
            continue;
        }
        let (source, mut result) = (packets(&set.concat(track), stream), packets(out, stream));
        assert_eq!(source.len(), result.len(), "{track}");
        let last = source.len() - 1;
        for (n, (source, result)) in source.iter().zip(&mut result).enumerate() {
            (result.pts, result.dts) = (result.pts + shift, result.dts + shift);
            // FFmpeg makes the last duration up when it reads fragments: the encoder's frame, not what the moof says.
            if source.duration.is_none() || result.duration.is_none() || n == last {
                result.duration = source.duration;
            }
            assert_eq!(source, result, "{track} packet {n}");
        }
    }
}

/// The result of a set in which nothing is wrong, all checks made.
pub(crate) fn assert_faithful(set: &Set) -> (Report, PathBuf) {
    let (report, out) = mux(set);
    assert_eq!((report.status, &report.error), (Status::Complete, &None));
    assert_eq!(report.bytes, Some(out.metadata().unwrap().len()));
    assert_same_packets(set, &out, [0, 0]);
    assert_faststart(&out);
    assert_decodes(&out);
    (report, out)
}
