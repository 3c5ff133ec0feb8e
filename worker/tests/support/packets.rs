//! What FFmpeg's own tools say of a file: packets with the hash of their bytes, boxes, and whether it decodes.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Hash of every packet of one kind of stream (`v` or `a`) in the order of the file. Side data is printed among the hashes,
/// whatever fields are asked for.
pub fn hashes(file: &Path, stream: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream, "-show_packets", "-show_data_hash", "sha256"])
        .args(["-show_entries", "packet=data_hash", "-of", "default=nokey=1:noprint_wrappers=1"])
        .arg(file)
        .output()
        .expect("ffprobe is installed");
    assert!(output.status.success(), "ffprobe {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("SHA256:"))
        .map(str::to_owned)
        .collect()
}

/// Hash of every packet of one track of a folder of segments, by concatenating initialization section and segments in the
/// order of their numbers. Empty when the folder has no such track.
pub fn hashes_of_segments(folder: &Path, track: &str) -> Vec<String> {
    let folder = folder.join(track);
    let Ok(names) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut segments: Vec<(u32, PathBuf)> = names
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name()?.to_str()?;
            let index = name.strip_prefix("segment_")?.strip_suffix(".m4s")?.parse().ok()?;
            Some((index, path))
        })
        .collect();
    segments.sort();
    let mut bytes = std::fs::read(folder.join("init.mp4")).unwrap();
    for (_, path) in segments {
        bytes.extend(std::fs::read(path).unwrap());
    }
    let joined = tempfile::NamedTempFile::with_suffix(".mp4").unwrap();
    std::fs::write(joined.path(), bytes).unwrap();
    hashes(joined.path(), &track[..1])
}

/// The result holds every packet of the folder's segments once and in order.
#[track_caller]
pub fn assert_same_packets(result: &Path, folder: &Path) {
    let mut some = false;
    for track in ["video", "audio"] {
        let (sent, kept) = (hashes_of_segments(folder, track), hashes(result, &track[..1]));
        assert_eq!(sent.len(), kept.len(), "number of {track} packets");
        let first = sent.iter().zip(&kept).position(|(sent, kept)| sent != kept);
        assert_eq!(first, None, "first {track} packet that differs");
        some |= !sent.is_empty();
    }
    assert!(some, "{} holds no packets", folder.display());
}

/// Names of the boxes at the top of a file, in order.
pub fn top_boxes(file: &Path) -> Vec<String> {
    let bytes = std::fs::read(file).unwrap();
    let (mut at, mut names) = (0_usize, Vec::new());
    while at + 8 <= bytes.len() {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        names.push(String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned());
        at += match size {
            0 => bytes.len() - at,
            1 => usize::try_from(u64::from_be_bytes(bytes[at + 8..at + 16].try_into().unwrap())).unwrap(),
            size => size as usize,
        };
    }
    assert_eq!(at, bytes.len(), "the last box ends with the file");
    names
}

/// FFmpeg decodes the whole file without one complaint.
#[track_caller]
pub fn assert_decodes(file: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(file)
        .args(["-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "ffmpeg {}: {complaint}", file.display());
}

/// Length of the whole file in seconds, as its header says.
pub fn duration_s(file: &Path) -> f64 {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration", "-of", "default=nokey=1:noprint_wrappers=1"])
        .arg(file)
        .output()
        .expect("ffprobe is installed");
    String::from_utf8(output.stdout).unwrap().trim().parse().expect("a file has a duration")
}
