//! A folder of segments to a verified result, without database, store or settings.
//!
//! `DIR` holds `video/init.mp4`, `video/segment_NNN.m4s` and the same for `audio`; either track may be absent and
//! other files are ignored. Only heads are read to know the samples; then every segment is read once.
//! What is missing or damaged is reported, never papered over: what cannot be put right is a failure with a code.

#![forbid(unsafe_code)]

mod report;
mod scan;
mod verdict;

pub use report::{Failure, Report, Status, TrackReport};

use crate::files::{AsideFile, FileRanges, FolderSegments};
use crate::layout::Layout;
use crate::mux::{self, Hashing, MuxReport, Progress};
use crate::readback;
use domain::mux::verify;
use domain::recording::Policy;
use std::path::{Path, PathBuf};
use verdict::Verdict;

/// What to do with a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What becomes of holes.
    pub policy: Policy,
    /// Largest share of a track that may be missing, 0.0 to 1.0; `None` = any.
    pub max_gap_ratio: Option<f64>,
    /// The manifest; `None` = `DIR/manifest.json` if it is there and readable.
    pub manifest: Option<PathBuf>,
    /// Whether the result is hashed.
    pub hashing: Hashing,
}

impl Default for Options {
    fn default() -> Options {
        Options { policy: Policy::Degrade, max_gap_ratio: None, manifest: None, hashing: Hashing::Sha256 }
    }
}

/// Makes `out` of the segments in `folder`. Whatever happens is in the report; on failure nothing is left of `out`,
/// and a file that was there before stays. Dropping the future leaves nothing either.
pub async fn mux(folder: &Path, out: &Path, options: &Options, progress: impl FnMut(Progress) + Send) -> Report {
    match try_mux(folder, out, options, progress).await {
        Ok(report) => report,
        Err(failure) => Report::failed(failure),
    }
}

async fn try_mux(
    folder: &Path,
    out: &Path,
    options: &Options,
    progress: impl FnMut(Progress) + Send,
) -> Result<Report, Failure> {
    let (scanned, manifest) = (folder.to_owned(), options.manifest.clone());
    let found = tokio::task::spawn_blocking(move || scan::scan(&scanned, manifest.as_deref()));
    let found = found.await.map_err(|error| Failure::new("internal", &error))??;
    let Verdict { tracks, gaps } = verdict::judge(found, options)?;
    let layout = Layout::new(tracks).map_err(|error| Failure::of(&error))?;
    let mut report = Report::planned(&layout, gaps);
    match write(&layout, folder, out, options, progress).await {
        Ok(written) => report.written(out, &written),
        Err(failure) => report.fail(failure),
    }
    Ok(report)
}

/// Writes the result aside, reads it back, and lets it appear only when it is what was planned.
async fn write(
    layout: &Layout,
    folder: &Path,
    out: &Path,
    options: &Options,
    progress: impl FnMut(Progress) + Send,
) -> Result<MuxReport, Failure> {
    let segments = FolderSegments::new(folder);
    let mut file = AsideFile::create(out).await.map_err(|error| Failure::io("create result", &error))?;
    let how = mux::Options { hashing: options.hashing, ..mux::Options::default() };
    let written = mux::write(layout, &segments, &mut file, &how, progress).await;
    let written = written.map_err(|error| match &error {
        mux::Error::SourceChanged { .. } => Failure::new("source-changed", &error),
        mux::Error::Read { .. } | mux::Error::Write { .. } => Failure::new("io", &error),
    })?;
    let ranges = FileRanges::open(file.aside()).await.map_err(|error| Failure::io("open result", &error))?;
    let found = readback::read(&ranges, ranges.size_bytes()).await;
    let found = found.map_err(|error| Failure::new("verification", &error))?;
    if let Some(mismatch) = verify(&layout.expected(), &found.facts).first() {
        return Err(Failure::new("verification", mismatch));
    }
    file.publish().await.map_err(|error| Failure::io("publish result", &error))?;
    Ok(written)
}
