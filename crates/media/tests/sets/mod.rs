//! Sets of segments made by FFmpeg's own muxers, in the layout of a recording.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a set that cannot be made ends the test")]

pub(crate) mod result;

use media::boxes::Boxes;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with `video/` and `audio/`, gone when dropped.
pub(crate) struct Set {
    folder: tempfile::TempDir,
}

/// How one track is encoded and segmented. Every entry is FFmpeg's own option.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'a> {
    /// Source and options before the encoder, without `-i` of other lanes.
    pub(crate) input: &'a [&'a str],
    /// Encoder and its options.
    pub(crate) encode: &'a [&'a str],
    /// Options of the dash muxer beyond those of every lane.
    pub(crate) mux: &'a [&'a str],
}

/// 30 frames a second with B-frames, a sync sample every two seconds.
pub(crate) const H264: Lane<'_> = Lane {
    input: &["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30"],
    encode: &[
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-g",
        "60",
        "-sc_threshold",
        "0",
        "-bf",
        "2",
        "-pix_fmt",
        "yuv420p",
    ],
    mux: &[],
};

/// AAC at 48 kHz.
pub(crate) const AAC: Lane<'_> = Lane {
    input: &["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"],
    encode: &["-c:a", "aac", "-b:a", "96k", "-ac", "2"],
    mux: &[],
};

impl Set {
    /// A folder without tracks.
    pub(crate) fn empty() -> Set {
        Set { folder: tempfile::tempdir().unwrap() }
    }

    /// Both tracks of `seconds` each.
    pub(crate) fn of(video: Option<Lane<'_>>, audio: Option<Lane<'_>>, seconds: &str) -> Set {
        let set = Set::empty();
        if let Some(lane) = video {
            set.add("video", lane, seconds);
        }
        if let Some(lane) = audio {
            set.add("audio", lane, seconds);
        }
        set
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Encodes one lane into `track/`.
    pub(crate) fn add(&self, track: &str, lane: Lane<'_>, seconds: &str) {
        let folder = self.path().join(track);
        fs::create_dir_all(&folder).unwrap();
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.current_dir(&folder).args(["-v", "error", "-nostdin", "-bitexact"]).args(lane.input);
        ffmpeg.args(["-t", seconds]).args(lane.encode).args(["-f", "dash", "-dash_segment_type", "mp4"]);
        ffmpeg.args(["-seg_duration", "2", "-use_template", "1", "-use_timeline", "1"]);
        ffmpeg.args(["-init_seg_name", "init.mp4", "-media_seg_name", "segment_$Number%03d$.m4s"]);
        ffmpeg.args(lane.mux).arg("manifest.mpd");
        run(&mut ffmpeg);
    }

    /// Encodes one lane into one fragmented file and cuts it: `fragments` a segment.
    pub(crate) fn add_fragments(&self, track: &str, lane: Lane<'_>, seconds: &str, movflags: &str, fragments: usize) {
        let folder = self.path().join(track);
        fs::create_dir_all(&folder).unwrap();
        let whole = self.path().join(format!("{track}-whole.mp4"));
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin", "-bitexact"]).args(lane.input).args(["-t", seconds]);
        ffmpeg.args(lane.encode).arg("-movflags");
        ffmpeg.arg(format!("empty_moov+default_base_moof+frag_keyframe+delay_moov+skip_trailer+{movflags}"));
        run(ffmpeg.args(lane.mux).arg(&whole));
        let bytes = fs::read(&whole).unwrap();
        let (mut init, mut segments, mut in_segment) = (Vec::new(), Vec::<Vec<u8>>::new(), fragments);
        for found in Boxes::of(&bytes).map(Result::unwrap) {
            match &found.kind.0 {
                b"ftyp" | b"moov" => init.extend(found.whole),
                b"moof" if in_segment == fragments => {
                    segments.push(found.whole.to_vec());
                    in_segment = 1;
                }
                b"moof" => {
                    segments.last_mut().unwrap().extend(found.whole);
                    in_segment += 1;
                }
                b"mdat" => segments.last_mut().unwrap().extend(found.whole),
                _ => {}
            }
        }
        fs::write(self.segment(track, 0), init).unwrap();
        for (n, segment) in segments.iter().enumerate() {
            fs::write(self.segment(track, n as u32 + 1), segment).unwrap();
        }
    }

    /// Path of the segment `index` of `track`; 0 is the initialization section.
    pub(crate) fn segment(&self, track: &str, index: u32) -> PathBuf {
        let name = if index == 0 { "init.mp4".to_owned() } else { format!("segment_{index:03}.m4s") };
        self.path().join(track).join(name)
    }

    /// Bytes of the segment `index` of `track`.
    pub(crate) fn bytes(&self, track: &str, index: u32) -> Vec<u8> {
        fs::read(self.segment(track, index)).unwrap()
    }

    /// Indexes of the media segments that are there, ascending.
    pub(crate) fn indexes(&self, track: &str) -> Vec<u32> {
        (1..).take_while(|&index| self.segment(track, index).exists()).collect()
    }

    /// The initialization section and all segments of a track, one after the other, as a file that FFmpeg reads.
    pub(crate) fn concat(&self, track: &str) -> PathBuf {
        let mut bytes = self.bytes(track, 0);
        for index in self.indexes(track) {
            bytes.extend(self.bytes(track, index));
        }
        let path = self.path().join(format!("{track}.mp4"));
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Runs a command to a good end and gives what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}
