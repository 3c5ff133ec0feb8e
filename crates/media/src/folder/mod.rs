//! A folder of segments to a verified result, without database, store or settings.
//!
//! `DIR` holds `video/init.mp4`, `video/segment_NNN.m4s` and the same for `audio`; either track may be absent and
//! other files are ignored. Only heads are read to know the samples; then every segment is read once.
//! What is missing or damaged is reported, never papered over: what cannot be put right is a failure with a code.

#![forbid(unsafe_code)]

mod report;
mod scan;
mod twins;
mod verdict;

pub use report::{Failure, Report, Status, TrackReport};

use crate::files::{AsideFile, FileRanges, FolderSegments, Stamps};
use crate::layout::Layout;
use crate::mux::{self, Hashing, MuxReport, Progress};
use crate::readback;
use crate::sampling::Findings;
use domain::completeness::Pauses;
use domain::corrupt::{self, Extent, Rules};
use domain::mux::Gap;
use domain::recording::Policy;
use std::path::{Path, PathBuf};
use verdict::Verdict;

/// Segments are read ahead of the writer by so much: a few seconds of picture. A disk has less latency to hide than a store.
const READ_AHEAD_BYTES: u64 = 4 << 20;

/// What to do with a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What becomes of holes.
    pub policy: Policy,
    /// Largest share of a track that may be missing, 0.0 to 1.0; `None` = any.
    pub max_gap_ratio: Option<f64>,
    /// What becomes of pauses.
    pub pauses: Pauses,
    /// The manifest; `None` = `DIR/manifest.json` if it is there and readable.
    pub manifest: Option<PathBuf>,
    /// Whether the result is hashed.
    pub hashing: Hashing,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            policy: Policy::Degrade,
            max_gap_ratio: None,
            pauses: Pauses::Auto,
            manifest: None,
            hashing: Hashing::Sha256,
        }
    }
}

/// Makes `out` of the segments in `folder` without decoding anything of it. Whatever happens is in the report; on failure
/// nothing is left of `out`, and a file that was there before stays. Dropping the future leaves nothing either.
pub async fn mux(folder: &Path, out: &Path, options: &Options, progress: impl FnMut(Progress) + Send) -> Report {
    match make(folder, out, options, progress).await {
        Ok(made) => made.publish(&Findings::default()).await,
        Err(report) => report,
    }
}

/// A result that is what was planned and has not appeared yet. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Made {
    layout: Layout,
    file: AsideFile,
    out: PathBuf,
    report: Report,
    rules: Rules,
}

/// Makes a result of the segments in `folder`, to appear at `out`: written aside and read back. The error is the report of a
/// failure, and nothing is left.
///
/// # Errors
/// There is nothing to make, or the result is not what was planned.
pub async fn make(
    folder: &Path,
    out: &Path,
    options: &Options,
    progress: impl FnMut(Progress) + Send,
) -> Result<Made, Report> {
    let layout = lay_out(folder, options).await;
    let (layout, stamps, mut report) = layout.map_err(Report::failed)?;
    let segments = FolderSegments::new(folder).stamped(stamps);
    match write(&layout, segments, out, options, progress).await {
        Ok((file, written)) => {
            report.written(out, &written);
            let max_gap_ratio = options.max_gap_ratio.unwrap_or(1.0);
            let rules = Rules { policy: options.policy, max_gap_ratio, accept_gaps: false };
            Ok(Made { layout, file, out: out.to_owned(), report, rules })
        }
        Err(failure) => Err(report.fail(failure)),
    }
}

impl Made {
    /// Where its bytes are.
    pub fn aside(&self) -> &Path {
        self.file.aside()
    }

    /// How it was laid out.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The gaps of its plan: whoever knows better why one of them is there may say so.
    pub fn gaps_mut(&mut self) -> &mut Vec<Gap> {
        &mut self.report.gaps
    }

    /// Lets it appear, with what was found when it was decoded, unless that is more than may be missing.
    pub async fn publish(self, findings: &Findings) -> Report {
        let Made { layout, file, out, report, rules } = self;
        if let Err(error) = corrupt::weigh(rules, &report.gaps, &findings.gaps, extent(&layout, &report)) {
            return report.fail(Failure::new("corrupt-media", &error));
        }
        match file.publish().await {
            Ok(()) => report.found(&findings.gaps),
            Err(error) => report.fail(Failure::io(&format!("publish {}", out.display()), &error)),
        }
    }

    /// Gives it up.
    pub fn refuse(self, failure: Failure) -> Report {
        self.report.fail(failure)
    }
}

fn extent(layout: &Layout, report: &Report) -> Extent {
    let mut segments = [0; 2];
    for (track, places) in layout.places() {
        segments[track as usize] = places.len();
    }
    Extent { duration_ms: report.duration_ms.unwrap_or(0), segments }
}

async fn lay_out(folder: &Path, options: &Options) -> Result<(Layout, Stamps, Report), Failure> {
    let (scanned, judged) = (folder.to_owned(), options.clone());
    let verdict = tokio::task::spawn_blocking(move || {
        let mut found = scan::scan(&scanned, judged.manifest.as_deref())?;
        let stamps = std::mem::take(&mut found.stamps);
        verdict::judge(&scanned, found, &judged).map(|verdict| (stamps, verdict))
    });
    let (stamps, Verdict { tracks, gaps, repairs }) =
        verdict.await.map_err(|error| Failure::new("internal", &error))??;
    let layout = Layout::new(tracks).map_err(|error| Failure::of(&error))?;
    let report = Report::planned(&layout, gaps, repairs);
    Ok((layout, stamps, report))
}

/// Writes the result aside and reads it back.
async fn write(
    layout: &Layout,
    segments: FolderSegments,
    out: &Path,
    options: &Options,
    progress: impl FnMut(Progress) + Send,
) -> Result<(AsideFile, MuxReport), Failure> {
    let mut file = AsideFile::create(out).await.map_err(|error| Failure::io("create result", &error))?;
    let how = mux::Options { hashing: options.hashing, read_ahead_bytes: READ_AHEAD_BYTES, ..mux::Options::default() };
    let written = mux::write(layout, &segments, &mut file, &how, progress).await;
    let written = written.map_err(|error| match &error {
        mux::Error::SourceChanged { .. } => Failure::new("source-changed", &error),
        mux::Error::Read { .. } | mux::Error::Write { .. } => Failure::new("io", &error),
    })?;
    // The header of a long result is read back into as much memory as the buffers of both had.
    drop(segments);
    file.flush().await.map_err(|error| Failure::io("write result", &error))?;
    let ranges = FileRanges::open(file.aside()).await.map_err(|error| Failure::io("open result", &error))?;
    let found = readback::read(&ranges, ranges.size_bytes()).await;
    let found = found.map_err(|error| Failure::new("verification", &error))?;
    if let Some(mismatch) = found.mismatches(layout).first() {
        return Err(Failure::new("verification", mismatch));
    }
    Ok((file, written))
}
