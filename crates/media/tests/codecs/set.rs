//! Sets: one encode, written to a file and cut by several muxers at the same time.
//!
//! FFmpeg's `tee` muxer gives every packet of the encoder to each of its outputs, so that file and segments hold the
//! same packets, whatever the encoder is.

use crate::lane::Lane;
use domain::segment::Track;
use media::ff::segmenter::{Event, Options, segment_file};
use media::folder::{self, Report};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What to make.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recipe {
    pub(crate) video: Option<Lane>,
    pub(crate) audio: Option<Lane>,
    /// Options of all encoders, FFmpeg's own words.
    pub(crate) encode: &'static str,
    /// Options of the `dash` muxer, each with a colon in front.
    pub(crate) dash: &'static str,
    /// Options of the file's muxer, each with a colon in front.
    pub(crate) file: &'static str,
}

/// An encode: a file and the segments that were made of it. Gone when dropped.
pub(crate) struct Set {
    pub(crate) recipe: Recipe,
    dir: tempfile::TempDir,
}

/// Who cut the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// FFmpeg's `dash` muxer, one of it for each track.
    Dash,
    /// FFmpeg's `hls` muxer with fragmented MP4, one for both tracks.
    Hls,
    /// Our own segmenter.
    Ours,
}

/// Seconds of every set: two whole segments and a half.
const SECONDS: &str = "5";

impl Recipe {
    /// Picture and sound, everything else as always.
    pub(crate) fn of(video: Lane, audio: Lane) -> Recipe {
        Recipe { video: Some(video), audio: Some(audio), ..Recipe::default() }
    }

    pub(crate) fn tracks(&self) -> impl Iterator<Item = (Track, Lane)> {
        [(Track::Video, self.video), (Track::Audio, self.audio)]
            .into_iter()
            .filter_map(|(track, lane)| Some((track, lane?)))
    }

    /// Encodes, and cuts with FFmpeg's muxers.
    pub(crate) fn make(self) -> Set {
        let dir = tempfile::tempdir().unwrap();
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.current_dir(dir.path()).args(["-v", "error", "-nostdin", "-bitexact"]).env("SVT_LOG", "1");
        for (_, lane) in self.tracks() {
            ffmpeg.args(["-f", "lavfi", "-i", lane.input]);
        }
        let mut outputs = vec![format!("[f=mp4:strict=-2{}]source.mp4", self.file)];
        let mut variants = Vec::new();
        for (n, (track, lane)) in self.tracks().enumerate() {
            for cut in [Cut::Dash, Cut::Hls] {
                fs::create_dir_all(cut.folder(dir.path()).join(track.as_str())).unwrap();
            }
            ffmpeg.args(["-map", &n.to_string()]).args(lane.encode.split_whitespace());
            let letter = letter(track);
            outputs.push(format!(
                "[select={letter}:f=dash:strict=-2:dash_segment_type=mp4:seg_duration=2:init_seg_name=init.mp4:\
                 media_seg_name=segment_$Number%03d$.m4s{}]dash/{track}/manifest.mpd",
                self.dash
            ));
            variants.push(format!("{letter}\\:0,agroup\\:one,name\\:{track}"));
        }
        outputs.push(format!(
            "[f=hls:strict=-2:hls_segment_type=fmp4:hls_time=2:start_number=1:hls_playlist_type=vod:\
             var_stream_map='{}':hls_fmp4_init_filename=init.mp4:hls_segment_filename=hls/%v/segment_%03d.m4s]\
             hls/%v/out.m3u8",
            variants.join(" ")
        ));
        ffmpeg.args(["-t", SECONDS]).args(self.encode.split_whitespace());
        ffmpeg.args(["-flags", "+global_header", "-strict", "-2", "-f", "tee", &outputs.join("|")]);
        run(&mut ffmpeg);
        let set = Set { recipe: self, dir };
        for (n, (track, _)) in self.tracks().enumerate().filter(|_| variants.len() > 1) {
            let folder = Cut::Hls.folder(set.path()).join(track.as_str());
            fs::rename(folder.join(format!("init_{n}.mp4")), folder.join("init.mp4")).unwrap();
        }
        set
    }
}

impl Cut {
    fn folder(self, set: &Path) -> PathBuf {
        set.join(match self {
            Cut::Dash => "dash",
            Cut::Hls => "hls",
            Cut::Ours => "ours",
        })
    }
}

impl Set {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The encode as one file, by FFmpeg's own muxer.
    pub(crate) fn source(&self) -> PathBuf {
        self.path().join("source.mp4")
    }

    /// The folder of the segments, in the layout of a recording.
    pub(crate) fn folder(&self, cut: Cut) -> PathBuf {
        cut.folder(self.path())
    }

    /// The initialization section of a track.
    pub(crate) fn init(&self, cut: Cut, track: Track) -> PathBuf {
        self.folder(cut).join(track.as_str()).join("init.mp4")
    }

    /// Initialization section and segments of a track one behind the other, as a file that FFmpeg reads.
    pub(crate) fn concat(&self, cut: Cut, track: Track) -> PathBuf {
        let folder = self.folder(cut).join(track.as_str());
        let mut bytes = fs::read(folder.join("init.mp4")).unwrap();
        for index in 1.. {
            match fs::read(folder.join(format!("segment_{index:03}.m4s"))) {
                Ok(segment) => bytes.extend(segment),
                Err(_) => break,
            }
        }
        let path = self.folder(cut).join(format!("{track}.mp4"));
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Has the picture shown turned: puts a matrix of `tkhd` (its first two rows and columns, in whole numbers) into the
    /// file and into every initialization section.
    pub(crate) fn turn(&self, [a, b, c, d]: [i32; 4]) {
        let files = [self.source(), self.init(Cut::Dash, Track::Video), self.init(Cut::Hls, Track::Video)];
        for path in files {
            let mut bytes = fs::read(&path).unwrap();
            // The first one is that of the picture; matrix, width and height are its last 44 bytes.
            let at = bytes.windows(4).position(|name| name == b"tkhd").unwrap() - 4;
            let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            let one = 1 << 16;
            let matrix = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30];
            let matrix: Vec<u8> = matrix.iter().flat_map(|entry: &i32| entry.to_be_bytes()).collect();
            bytes[at + size - 44..at + size - 8].copy_from_slice(&matrix);
            fs::write(path, bytes).unwrap();
        }
    }

    /// Cuts the file with our own segmenter.
    pub(crate) fn cut_ourselves(&self) {
        let folder = self.folder(Cut::Ours);
        let options = Options { target: Duration::from_secs(2), ..Options::default() };
        let written = segment_file(&self.source(), &options, |event| {
            let (track, name, bytes) = match event {
                Event::Init { track, bytes } => (track, "init.mp4".to_owned(), bytes),
                Event::Segment { track, index, bytes, .. } => (track, format!("segment_{index:03}.m4s"), bytes),
            };
            let folder = folder.join(track.as_str());
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name), bytes).unwrap();
            ControlFlow::Continue(())
        });
        written.unwrap();
    }

    /// Muxes the segments as `spool mux` does.
    pub(crate) fn mux(&self, cut: Cut) -> (Report, PathBuf) {
        let out = self.path().join(format!("{cut:?}.mp4"));
        let report = block_on(folder::mux(&self.folder(cut), &out, &folder::Options::default(), |_| {}));
        (report, out)
    }
}

/// FFmpeg's letter for streams of a kind.
pub(crate) fn letter(track: Track) -> char {
    match track {
        Track::Video => 'v',
        Track::Audio => 'a',
    }
}

/// Runs a command to a good end without a word on standard error, and gives what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    // SVT-AV1 introduces itself.
    let complaint = complaints.lines().find(|line| !line.starts_with("Svt[info]"));
    assert!(output.status.success() && complaint.is_none(), "{command:?}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}
