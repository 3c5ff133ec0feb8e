//! `spool mux` through libavformat, in a child process with limits: the oracle, and the way for what the built-in engine
//! cannot express. It knows nothing of timelines, so of a gap it can only say which segments are missing.

use crate::cli::exit::sentence;
use ::worker::child::{Muxed, MuxedTrack, Program};
use domain::id::Sha256;
use domain::mux::{Gap, GapCause};
use domain::recording::Policy;
use domain::retry::Classify as _;
use domain::segment::{Name, Track, to_ms};
use media::files::FileRanges;
use media::folder::{Failure, Options, Report, Status, TrackReport};
use media::mux::Hashing;
use media::readback::{self, Readback};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest work of the child: a day of recording on a slow disk.
const MUX_MAX: Duration = Duration::from_secs(3600);

/// Makes `out` of the segments in `folder`; whatever happens is in the report.
pub(super) async fn mux(folder: &Path, out: &Path, options: &Options) -> Report {
    try_mux(folder, out, options).await.unwrap_or_else(Report::failed)
}

fn failure(code: &str, message: impl ToString) -> Failure {
    Failure { code: code.to_owned(), message: message.to_string() }
}

/// A file that was begun and is removed unless it is finished.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // It is not there when it was never begun, or has its final name.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn try_mux(folder: &Path, out: &Path, options: &Options) -> Result<Report, Failure> {
    let io = |what: &'static str| move |error: io::Error| failure("io", format!("{what}: {error}"));
    let found = scan(folder).map_err(io("read folder"))?;
    if found.is_empty() {
        return Err(failure("empty", "the folder holds no segments"));
    }
    let gaps: Vec<Gap> = found.iter().filter_map(|(track, segments)| gap(*track, segments)).collect();
    refuse_gaps(&found, &gaps, options)?;
    let Some(name) = out.file_name() else { return Err(failure("io", "the output has no name")) };
    let aside = Aside(out.with_file_name(format!(".{}.part", name.display())));
    let pieces = found.iter().map(|(track, segments)| (*track, paths(folder, *track, segments))).collect();
    let program = Program::this().map_err(|error| failure(error.class(), error))?;
    let muxed = program.mux(pieces, aside.0.clone(), MUX_MAX).await;
    let muxed = muxed.map_err(|error| failure(error.class(), error))?;
    let ranges = FileRanges::open(&aside.0).await.map_err(io("open result"))?;
    let readback = readback::read(&ranges, ranges.size_bytes()).await;
    let readback = readback.map_err(|error| failure("verification", sentence(&error.into())))?;
    let sha256 = match options.hashing {
        Hashing::Off => None,
        Hashing::Sha256 => {
            let path = aside.0.clone();
            let hash = tokio::task::spawn_blocking(move || super::super::file::hash(&path)).await;
            Some(hash.map_err(io::Error::other).and_then(|hash| hash).map_err(io("hash result"))?)
        }
    };
    std::fs::rename(&aside.0, out).map_err(io("publish result"))?;
    Ok(report(out, &muxed, &readback, gaps, sha256))
}

fn report(out: &Path, muxed: &Muxed, readback: &Readback, gaps: Vec<Gap>, sha256: Option<Sha256>) -> Report {
    let ms = |units: i64, timescale| to_ms(u64::try_from(units).unwrap_or(0), timescale);
    let track = |track: &MuxedTrack| TrackReport {
        kind: track.track,
        codec: readback.codec(track.track).map(|facts| facts.codec.clone()).unwrap_or_default(),
        packets: track.packets,
        duration_ms: ms(track.end - track.start, track.timescale),
        start_ms: ms(track.start, track.timescale),
    };
    Report {
        status: if gaps.is_empty() { Status::Complete } else { Status::Degraded },
        result: Some(out.to_owned()),
        bytes: Some(muxed.bytes),
        sha256: sha256.map(|digest| digest.to_string()),
        duration_ms: Some(readback.duration_ms),
        tracks: muxed.tracks.iter().map(track).collect(),
        gaps,
        repairs: Vec::new(),
        error: None,
    }
}

/// Indexes of the media segments of each track that has an initialization section and one segment at least.
fn scan(folder: &Path) -> io::Result<BTreeMap<Track, Vec<u32>>> {
    let mut found = BTreeMap::new();
    for track in Track::ALL {
        let entries = match std::fs::read_dir(folder.join(track.as_str())) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().to_str().and_then(|name| Name::parse(name).ok()));
        }
        let mut segments: Vec<u32> = names.iter().map(|name| name.index()).filter(|index| *index > 0).collect();
        segments.sort_unstable();
        if names.contains(&Name::Init) && !segments.is_empty() {
            found.insert(track, segments);
        }
    }
    Ok(found)
}

fn paths(folder: &Path, track: Track, segments: &[u32]) -> Vec<PathBuf> {
    let folder = folder.join(track.as_str());
    let names = std::iter::once(Name::Init).chain(segments.iter().map(|index| Name::Media(*index)));
    names.map(|name| folder.join(name.to_string())).collect()
}

/// The holes below the last segment, without a place in time.
fn gap(track: Track, segments: &[u32]) -> Option<Gap> {
    let last = *segments.last()?;
    let missing: Vec<u32> = (1..=last).filter(|index| segments.binary_search(index).is_err()).collect();
    let gap = Gap { track, from_ms: 0, to_ms: 0, segments: missing, cause: GapCause::Missing };
    (!gap.segments.is_empty()).then_some(gap)
}

fn refuse_gaps(found: &BTreeMap<Track, Vec<u32>>, gaps: &[Gap], options: &Options) -> Result<(), Failure> {
    for gap in gaps {
        let missing = gap.segments.len();
        if options.policy == Policy::Fail {
            return Err(failure("gaps", format!("{missing} segments of the {} track are missing", gap.track)));
        }
        let all = missing + found.get(&gap.track).map_or(0, Vec::len);
        let ratio = missing as f64 / all as f64;
        if options.max_gap_ratio.is_some_and(|max| ratio > max) {
            return Err(failure(
                "too-many-gaps",
                format!("{missing} of {all} segments of the {} track are missing", gap.track),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
        folder
    }

    #[test]
    fn scan_takes_segments_in_order_of_their_numbers_and_nothing_else() {
        let folder = folder(&[
            "video/init.mp4",
            "video/segment_1000.m4s",
            "video/segment_002.m4s",
            "video/segment_2.m4s",
            "video/segment_003.m4s.tmp",
            "audio/segment_001.m4s",
        ]);
        let found = scan(folder.path()).unwrap();
        assert_eq!(found, BTreeMap::from([(Track::Video, vec![2, 1000])]));
        assert_eq!(gap(Track::Video, &[1, 3]).unwrap().segments, [2]);
        assert_eq!(gap(Track::Video, &[1, 2]), None);
    }

    #[test]
    fn gaps_are_refused_by_policy_and_by_share() {
        let found = BTreeMap::from([(Track::Video, vec![1, 4])]);
        let gaps = [gap(Track::Video, &found[&Track::Video]).unwrap()];
        let code = |options: Options| refuse_gaps(&found, &gaps, &options).map_err(|failure| failure.code);
        assert_eq!(code(Options { policy: Policy::Fail, ..Options::default() }), Err("gaps".to_owned()));
        assert_eq!(code(Options { max_gap_ratio: Some(0.4), ..Options::default() }), Err("too-many-gaps".to_owned()));
        assert_eq!(code(Options { max_gap_ratio: Some(0.5), ..Options::default() }), Ok(()));
        assert_eq!(code(Options::default()), Ok(()));
    }
}
