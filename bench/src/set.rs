//! Sets of segments to mux: made once by FFmpeg, kept, and told apart by their recipe.

use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a set is made: a master is encoded and looped by copying, once for each track.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    /// Length of the master: a multiple of 16 pictures and 25 packets of sound, so that loops meet without a seam.
    pub(crate) master_s: u32,
    /// Length of the set.
    pub(crate) length_s: u32,
    /// What is filmed, as FFmpeg's filters.
    pub(crate) picture: &'static str,
    /// Bits per second of the picture.
    pub(crate) video: &'static str,
    /// Bits by which the picture may be ahead of its rate.
    pub(crate) buffer: &'static str,
    /// Bits per second of the sound.
    pub(crate) audio: &'static str,
}

/// Something moves everywhere, and noise takes the encoder's bits.
const BUSY: &str = "testsrc2=s=1920x1080:r=30,noise=alls=12:allf=t,format=yuv420p";

/// A shared screen on which little happens.
const STILL: &str = "testsrc=s=1920x1080:r=30,format=yuv420p";

/// 30 minutes of 1080p, more than 1 GB.
pub(crate) const HALF_HOUR: Recipe =
    Recipe { name: "rec30", master_s: 64, length_s: 1800, picture: BUSY, video: "5M", buffer: "10M", audio: "128k" };

/// 10 minutes of the same.
pub(crate) const TEN_MINUTES: Recipe = Recipe { name: "rec10", length_s: 600, ..HALF_HOUR };

/// 8 hours of 1080p, more than 2 million samples.
pub(crate) const EIGHT_HOURS: Recipe =
    Recipe { name: "rec8h", master_s: 64, length_s: 28_800, picture: STILL, video: "250k", buffer: "1M", audio: "64k" };

impl Recipe {
    /// The same in small, to try the harness.
    pub(crate) fn quick(self) -> Recipe {
        let (name, length_s) = match self.name {
            "rec8h" => ("quick8h", 600),
            "rec10" => ("quick10", 30),
            _ => ("quick30", 60),
        };
        Recipe { name, master_s: 16, length_s, ..self }
    }

    fn words(&self) -> String {
        format!("{self:?} v1\n")
    }
}

/// A set on disk.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    pub(crate) recipe: Recipe,
    /// Has `video/init.mp4`, `video/segment_001.m4s` and so on.
    pub(crate) folder: PathBuf,
    /// Segments of each track.
    pub(crate) video: u32,
    pub(crate) audio: u32,
    /// Everything that is in it.
    pub(crate) bytes: u64,
}

impl Set {
    /// Finds the set below `folder`, or makes it.
    pub(crate) fn at(folder: &Path, recipe: Recipe) -> Result<Set> {
        let (set, told) = (folder.join(recipe.name), folder.join(format!("{}.txt", recipe.name)));
        if fs::read_to_string(&told).is_ok_and(|told| told == recipe.words()) {
            return Set::found(set, recipe);
        }
        eprintln!("making {}: {} s", recipe.name, recipe.length_s);
        let _ = fs::remove_dir_all(&set);
        let master = master(folder, &recipe)?;
        for (track, map) in [("video", "0:v"), ("audio", "0:a")] {
            let folder = set.join(track);
            fs::create_dir_all(&folder)?;
            loop_into(&master, map, recipe.length_s, &folder)?;
        }
        fs::write(told, recipe.words())?;
        Set::found(set, recipe)
    }

    fn found(folder: PathBuf, recipe: Recipe) -> Result<Set> {
        let (mut counts, mut bytes) = ([0, 0], 0);
        for (track, count) in ["video", "audio"].into_iter().zip(&mut counts) {
            for entry in fs::read_dir(folder.join(track))? {
                let entry = entry?;
                bytes += entry.metadata()?.len();
                *count += u32::from(entry.file_name().to_string_lossy().ends_with(".m4s"));
            }
        }
        ensure!(counts.iter().all(|&count| count > 0), "the set {} is empty", recipe.name);
        Ok(Set { recipe, folder, video: counts[0], audio: counts[1], bytes })
    }

    /// Tracks and how many segments each has.
    pub(crate) fn tracks(&self) -> [(&'static str, u32); 2] {
        [("video", self.video), ("audio", self.audio)]
    }

    /// Every object of a track in order, relative to the set's folder.
    pub(crate) fn names(&self, track: &str) -> Vec<String> {
        let count = self.tracks().into_iter().find(|(name, _)| *name == track).map_or(0, |(_, count)| count);
        let segments = (1..=count).map(|n| format!("{track}/segment_{n:03}.m4s"));
        std::iter::once(format!("{track}/init.mp4")).chain(segments).collect()
    }

    /// A track as one file, the way the usual finalizer makes it.
    pub(crate) fn joined(&self, track: &str, to: &Path) -> Result<()> {
        let mut file = fs::File::create(to)?;
        for name in self.names(track) {
            std::io::copy(&mut fs::File::open(self.folder.join(name))?, &mut file)?;
        }
        Ok(())
    }
}

/// Encodes what is looped; sets of one recipe but of different lengths share it.
fn master(folder: &Path, recipe: &Recipe) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let name = format!("master-{}-{}.mp4", recipe.video, recipe.master_s);
    let (master, aside) = (folder.join(&name), folder.join(format!("aside-{name}")));
    if master.exists() {
        return Ok(master);
    }
    let rate = ["-b:v", recipe.video, "-maxrate", recipe.video, "-bufsize", recipe.buffer];
    let ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", recipe.picture])
        .args(["-f", "lavfi", "-i", "sine=f=440:r=48000,tremolo=f=3", "-t", &recipe.master_s.to_string()])
        .args(["-c:v", "libx264", "-profile:v", "high", "-preset", "veryfast", "-bf", "2"])
        .args(["-g", "60", "-keyint_min", "60", "-sc_threshold", "0"])
        .args(rate)
        .args(["-c:a", "aac", "-b:a", recipe.audio])
        .arg(&aside)
        .status()?;
    ensure!(ffmpeg.success(), "FFmpeg cannot encode {name}");
    fs::rename(aside, &master)?;
    Ok(master)
}

/// One muxer for each track, as browsers and recorders do it.
fn loop_into(master: &Path, map: &str, length_s: u32, folder: &Path) -> Result<()> {
    let dash = ["-f", "dash", "-seg_duration", "2", "-use_template", "1", "-use_timeline", "0"];
    let names = ["-init_seg_name", "init.mp4", "-media_seg_name", "segment_$Number%03d$.m4s"];
    let manifest = folder.join("manifest.mpd");
    let ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-stream_loop", "-1", "-i"])
        .arg(master)
        .args(["-map", map, "-t", &length_s.to_string(), "-c", "copy"])
        .args(dash)
        .args(names)
        .arg(&manifest)
        .status()?;
    ensure!(ffmpeg.success(), "FFmpeg cannot segment {}", master.display());
    fs::remove_file(manifest).context("remove FFmpeg's own manifest")
}
