//! Whether a result has everything that its segments had, at the time at which they had it.

use crate::set::Set;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Packets at the head that are looked for: a muxer that drops packets there drops one or two.
const HEAD: usize = 200;

/// So many sizes in a row tell one place of a track from another.
const KEY: usize = 8;

/// A track by its packets.
#[derive(Debug, Clone, Default)]
struct Packets {
    count: u64,
    /// Presentation time and size of the first ones.
    head: Vec<(f64, u64)>,
}

/// What a set has, as its own segments say.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    video: Packets,
    audio: Packets,
}

/// What a result lacks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fidelity {
    pub(crate) lost_video: i64,
    pub(crate) lost_audio: i64,
    /// How much later sound is than it was, against the picture, in milliseconds; `None` when no packet of a track was
    /// found again.
    pub(crate) shift_ms: Option<f64>,
}

impl Fidelity {
    /// Nothing is lost, and sound and picture are where they were, within a thousandth of a second.
    pub(crate) fn holds(&self) -> bool {
        self.lost_video == 0 && self.lost_audio == 0 && self.shift_ms.is_some_and(|shift| shift.abs() < 1.0)
    }
}

impl Truth {
    /// Of the two tracks of a set that were joined into files.
    pub(crate) fn of(video: &Path, audio: &Path) -> Result<Truth> {
        Ok(Truth { video: packets(video, "v:0")?, audio: packets(audio, "a:0")? })
    }

    /// Packets of both tracks.
    pub(crate) fn samples(&self) -> u64 {
        self.video.count + self.audio.count
    }

    /// Holds a result against it.
    pub(crate) fn holds(&self, result: &Path) -> Result<Fidelity> {
        let (video, audio) = (packets(result, "v:0")?, packets(result, "a:0")?);
        let lost = |had: &Packets, has: &Packets| had.count as i64 - has.count as i64;
        let late = |had: &Packets, has: &Packets| Some(has.head.first()?.0 - had.head.get(place(had, has)?)?.0);
        let shift_ms = late(&self.audio, &audio).zip(late(&self.video, &video)).map(|(a, v)| (a - v) * 1000.0);
        Ok(Fidelity { lost_video: lost(&self.video, &video), lost_audio: lost(&self.audio, &audio), shift_ms })
    }
}

/// Which packet of the source is the first one of the result.
fn place(had: &Packets, has: &Packets) -> Option<usize> {
    let key: Vec<u64> = has.head.iter().take(KEY).map(|(_, size)| *size).collect();
    had.head.windows(KEY).position(|window| window.iter().map(|(_, size)| *size).eq(key.iter().copied()))
}

fn packets(file: &Path, stream: &str) -> Result<Packets> {
    let count = ffprobe(file, stream, &["-count_packets", "-show_entries", "stream=nb_read_packets"])?;
    let head = ffprobe(file, stream, &["-read_intervals", "%+#200", "-show_entries", "packet=pts_time,size"])?;
    let count = count.trim().trim_end_matches(',').parse().unwrap_or(0);
    let pair = |line: &str| {
        let (pts, size) = line.split_once(',')?;
        Some((pts.parse().ok()?, size.trim_end_matches(',').parse().ok()?))
    };
    Ok(Packets { count, head: head.lines().filter_map(pair).take(HEAD).collect() })
}

fn ffprobe(file: &Path, stream: &str, what: &[&str]) -> Result<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream, "-of", "csv=p=0"])
        .args(what)
        .arg(file)
        .output()
        .context("run ffprobe")?;
    ensure!(output.status.success(), "ffprobe cannot read {}", file.display());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Joins the tracks of a set into `folder`, unless they are there.
pub(crate) fn joined(set: &Set, folder: &Path) -> Result<[std::path::PathBuf; 2]> {
    fs::create_dir_all(folder)?;
    let paths = ["video", "audio"].map(|track| folder.join(format!("{track}.mp4")));
    for (track, path) in ["video", "audio"].into_iter().zip(&paths) {
        set.joined(track, path)?;
    }
    Ok(paths)
}
