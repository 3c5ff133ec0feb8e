//! A file as FFmpeg tells it: its packets by libavformat, its frames by the command, every complaint an error.

use crate::set::{letter, run};
use domain::segment::Track;
use media::boxes::{BoxRef, Boxes};
use media::ff::digest::{PacketDigest, packet_digest};
use std::path::Path;
use std::process::Command;

/// One decoded frame: a picture, or a stretch of sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// When it is presented, in units of its track's timescale.
    pub(crate) pts: i64,
    /// MD5 of what is shown or heard.
    pub(crate) hash: String,
}

/// One track of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) track: Track,
    /// Units per second of all times.
    pub(crate) timescale: u32,
    pub(crate) packets: Vec<PacketDigest>,
    pub(crate) frames: Vec<Frame>,
}

impl Told {
    /// Demuxes and decodes one track of a file.
    pub(crate) fn of(path: &Path, track: Track) -> Told {
        let packets = packet_digest(path, track).unwrap().unwrap();
        let (timescale, frames) = frames(path, track);
        assert_eq!(timescale, packets.timescale, "{}", path.display());
        Told { track, timescale, packets: packets.packets, frames }
    }

    /// First unit after the last packet that is presented.
    pub(crate) fn end(&self) -> i64 {
        self.packets.iter().max_by_key(|packet| packet.pts).map_or(0, |packet| packet.pts + packet.duration)
    }

    /// Where the packets begin; below 0 with priming, which is skipped where a file says so.
    pub(crate) fn first(&self) -> i64 {
        self.packets.iter().map(|packet| packet.pts).min().unwrap_or(0)
    }
}

fn frames(path: &Path, track: Track) -> (u32, Vec<Frame>) {
    let mut ffmpeg = Command::new("ffmpeg");
    // Times as they stand in the file: not moved to 0, not rounded to the frame rate, no frame repeated or left out.
    ffmpeg.args(["-v", "warning", "-nostdin", "-xerror", "-copyts", "-i"]).arg(path);
    ffmpeg.args(["-map", &format!("0:{}", letter(track)), "-fps_mode", "passthrough", "-enc_time_base", "-1"]);
    let told = run(ffmpeg.args(["-f", "framemd5", "-"]));
    let base = told.lines().find_map(|line| line.strip_prefix("#tb 0: 1/")).expect("a time base of one over something");
    let frame = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        Frame { pts: fields[2].parse().unwrap(), hash: fields[5].to_owned() }
    };
    let frames = told.lines().filter(|line| !line.starts_with('#')).map(frame).collect();
    (base.parse().unwrap(), frames)
}

/// How long a track is presented by its edit list, in units of the movie's timescale, and that timescale.
pub(crate) fn edit(path: &Path, track: Track) -> (u64, u32) {
    let bytes = std::fs::read(path).unwrap();
    let moov = Boxes::of(&bytes).map(Result::unwrap).find(|found| found.kind.0 == *b"moov").unwrap();
    let word = |found: &BoxRef<'_>, at: usize| u32::from_be_bytes(found.body[at..at + 4].try_into().unwrap());
    let long = |found: &BoxRef<'_>, at: usize| u64::from_be_bytes(found.body[at..at + 8].try_into().unwrap());
    let mvhd = moov.require(b"mvhd").unwrap();
    let of_track = |found: &BoxRef<'_>| {
        let hdlr = found.require(b"mdia").unwrap().require(b"hdlr").unwrap();
        found.kind.0 == *b"trak" && hdlr.body[8..12] == track.handler()
    };
    let traks = moov.children().map(Result::unwrap).filter(|found| found.kind.0 == *b"trak");
    let trak = traks.into_iter().find(of_track).unwrap();
    let elst = trak.require(b"edts").unwrap().require(b"elst").unwrap();
    // Version 1 everywhere; empty edits have a media time of -1.
    assert_eq!((mvhd.body[0], elst.body[0]), (1, 1));
    let edits = (0..word(&elst, 4) as usize).map(|n| 8 + 20 * n);
    let duration = edits.filter(|&at| long(&elst, at + 8) != u64::MAX).map(|at| long(&elst, at)).sum();
    (duration, word(&mvhd, 20))
}
