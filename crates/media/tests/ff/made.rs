//! A recording made for a test: its pieces in memory, and a folder where they lie as files.

use crate::strict;
use domain::segment::{Name, Span, Track};
use media::ff::oracle::{self, TrackInput};
use media::ff::segmenter::{Event, Options, Summary, segment_file, segment_synthetic};
use media::ff::{Error, look, probe, synth};
use media::init::Init;
use media::sampling::{Findings, Next, Place, Search, Seen, Unsound};
use media::walk::{self, Limits};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One track as it came out.
#[derive(Default)]
pub(crate) struct Pieces {
    pub(crate) init: Vec<u8>,
    pub(crate) segments: Vec<(Vec<u8>, Span)>,
}

pub(crate) struct Made {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) tracks: BTreeMap<Track, Pieces>,
    pub(crate) summary: Summary,
}

pub(crate) fn seconds(n: u64) -> Options {
    Options { limit: Some(Duration::from_secs(n)), ..Options::default() }
}

pub(crate) fn synthetic(config: &str, options: &Options) -> Made {
    let config: synth::Config = config.parse().unwrap();
    made(|sink| segment_synthetic(&config, options, sink)).unwrap()
}

pub(crate) fn from_file(path: &Path, options: &Options) -> Made {
    made(|sink| segment_file(path, options, sink)).unwrap()
}

/// Collects what a segmenter hands out, checks the order of its events and every strict rule, and writes the files.
pub(crate) fn made(
    segment: impl FnOnce(&mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Summary, Error>,
) -> Result<Made, Error> {
    let mut tracks: BTreeMap<Track, Pieces> = BTreeMap::new();
    let summary = segment(&mut |event| {
        match event {
            Event::Init { track, bytes } => {
                let before = tracks.insert(track, Pieces { init: bytes, segments: Vec::new() });
                assert!(before.is_none(), "one initialization section per track");
            }
            Event::Segment { track, index, bytes, span } => {
                let pieces = tracks.get_mut(&track).expect("the initialization section comes first");
                pieces.segments.push((bytes, span));
                assert_eq!(index as usize, pieces.segments.len(), "indexes count from 1");
            }
        }
        ControlFlow::Continue(())
    })?;
    let dir = tempfile::tempdir().unwrap();
    for (track, pieces) in &tracks {
        std::fs::create_dir(dir.path().join(track.as_str())).unwrap();
        let all = std::iter::once(&pieces.init).chain(pieces.segments.iter().map(|(bytes, _)| bytes));
        for (index, bytes) in all.enumerate() {
            std::fs::write(piece(dir.path(), *track, index as u32), bytes).unwrap();
        }
        let concatenated: Vec<u8> = concatenated(pieces);
        std::fs::write(dir.path().join(format!("{track}.mp4")), concatenated).unwrap();
        strict::check(*track, pieces);
        check_as_the_server_does(*track, pieces);
    }
    for track in &summary.tracks {
        assert_eq!(track.last_index as usize, tracks[&track.track].segments.len());
    }
    Ok(Made { dir, tracks, summary })
}

/// What the server's own walk says of every piece is what the segmenter said of it.
fn check_as_the_server_does(track: Track, pieces: &Pieces) {
    let init = Init::parse(track, &pieces.init).unwrap();
    for (bytes, span) in &pieces.segments {
        let accepted = walk::media(&init, bytes, Limits::DEFAULT).unwrap();
        assert_eq!((accepted.span, accepted.summary.starts_with_sync), (*span, true));
    }
}

pub(crate) fn concatenated(pieces: &Pieces) -> Vec<u8> {
    let segments = pieces.segments.iter().flat_map(|(bytes, _)| bytes);
    pieces.init.iter().chain(segments).copied().collect()
}

fn piece(dir: &Path, track: Track, index: u32) -> PathBuf {
    dir.join(track.as_str()).join(Name::of_index(index).to_string())
}

impl Made {
    /// Initialization section and segments of one track, one behind the other, as a file.
    pub(crate) fn track_file(&self, track: Track) -> PathBuf {
        self.dir.path().join(format!("{track}.mp4"))
    }

    pub(crate) fn inputs(&self) -> Vec<TrackInput> {
        let pieces = |track: Track| (0..=self.tracks[&track].segments.len() as u32).map(move |index| (track, index));
        let paths = |track| pieces(track).map(|(track, index)| piece(self.dir.path(), track, index)).collect();
        self.tracks.keys().map(|&track| TrackInput::files(track, paths(track))).collect()
    }

    /// Muxes through libavformat.
    pub(crate) fn mux(&self) -> (PathBuf, oracle::Report) {
        let path = self.dir.path().join("oracle.mp4");
        let report = oracle::mux(self.inputs(), &path).unwrap();
        (path, report)
    }

    /// Exact length of a track's segments, as a fraction of a second: numerator and denominator.
    pub(crate) fn length(&self, track: Track) -> (u64, u32) {
        let spans: Vec<Span> = self.tracks[&track].segments.iter().map(|(_, span)| *span).collect();
        (spans.iter().map(|span| span.duration).sum(), spans[0].timescale)
    }
}

/// The same packets, once and in order; tells the first difference and no more.
pub(crate) fn assert_same_packets(made: &Path, made_stream: &str, source: &Path, source_stream: &str) {
    let (made, source) = (probe_hashes(made, made_stream), probe_hashes(source, source_stream));
    assert_eq!(made.iter().zip(&source).position(|(made, source)| made != source), None, "first packet that differs");
    assert_eq!(made.len(), source.len());
    assert!(!made.is_empty());
}

/// Runs ffmpeg or ffprobe and gives its standard output; anything on standard error is a failure.
/// Samples of a file are decoded by `look`, as those of a result are.
pub(crate) fn searched(
    path: &Path,
    mut look: impl FnMut(&[Place]) -> Result<Vec<Seen>, Error>,
) -> Result<Findings, Unsound> {
    let probe = probe::probe(path).unwrap();
    let length = |track: &probe::TrackProbe| {
        let duration = u64::try_from(track.duration).unwrap();
        (track.track, duration * 1_000_000 / u64::from(track.timescale))
    };
    let mut search = Search::of_lengths(&probe.tracks.iter().map(length).collect::<Vec<_>>());
    loop {
        match search.ask() {
            Next::Look(places) => search.tell(&look(&places).unwrap()),
            Next::Done(found) => return found,
        }
    }
}

/// The same of a file on this disk.
pub(crate) fn sampled(path: &Path) -> Result<Findings, Unsound> {
    searched(path, |places| look::look(path, places))
}

pub(crate) fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(["-v", "error"]).args(words).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{program} {words:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Data hash of every packet as ffprobe tells it.
pub(crate) fn probe_hashes(path: &Path, stream: &str) -> Vec<String> {
    let path = path.to_str().unwrap();
    let entries = ["-show_data_hash", "md5", "-show_entries", "packet=data_hash", "-of", "csv=p=0"];
    let told = run("ffprobe", &[&["-select_streams", stream][..], &entries, &[path]].concat());
    // Side data adds lines and commas of its own.
    told.lines().filter_map(|line| line.find("MD5:").map(|at| line[at..at + 36].to_owned())).collect()
}
