//! What became of a folder, as one JSON object.

#![forbid(unsafe_code)]

use crate::layout::Layout;
use crate::mux::MuxReport;
use domain::corrupt::together;
use domain::mux::{Gap, Repair};
use domain::retry::Classify;
use domain::segment::Track;
use serde::Serialize;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every sample is there.
    Complete,
    /// There is a result; what it lacks is named.
    Degraded,
    /// There is no result.
    Failed,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// A constant word for programs.
    pub code: String,
    /// A sentence for a person.
    pub message: String,
}

impl Failure {
    pub(super) fn new(code: &str, error: &dyn Error) -> Failure {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Failure { code: code.to_owned(), message }
    }

    pub(super) fn of<E: Error + Classify>(error: &E) -> Failure {
        Failure::new(error.class(), error)
    }

    pub(super) fn io(what: &str, error: &io::Error) -> Failure {
        Failure { code: "io".to_owned(), message: format!("{what}: {error}") }
    }

    /// The same failure, said of something.
    pub(super) fn about(mut self, what: &str) -> Failure {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

/// One track of the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrackReport {
    /// Which track.
    pub kind: Track,
    /// RFC 6381 codec string.
    pub codec: String,
    /// Number of samples.
    pub packets: u64,
    /// How long it is presented.
    pub duration_ms: u64,
    /// When it begins, from the start of the result.
    pub start_ms: u64,
}

/// What became of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How it went.
    pub status: Status,
    /// Where the result is.
    pub result: Option<PathBuf>,
    /// Length of the result.
    pub bytes: Option<u64>,
    /// SHA-256 of the result in hexadecimal digits, if it was asked for.
    pub sha256: Option<String>,
    /// How long the result is presented.
    pub duration_ms: Option<u64>,
    /// Its tracks, video first.
    pub tracks: Vec<TrackReport>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// What was put right.
    pub repairs: Vec<Repair>,
    /// Why there is no result.
    pub error: Option<Failure>,
}

impl Report {
    /// No result, and why.
    pub fn failed(failure: Failure) -> Report {
        Report {
            status: Status::Failed,
            result: None,
            bytes: None,
            sha256: None,
            duration_ms: None,
            tracks: Vec::new(),
            gaps: Vec::new(),
            repairs: Vec::new(),
            error: Some(failure),
        }
    }

    /// A result that is about to be written.
    pub(super) fn planned(layout: &Layout, gaps: Vec<Gap>, repairs: Vec<Repair>) -> Report {
        let expected = layout.expected();
        let tracks = expected.tracks.iter().zip(layout.times()).enumerate().map(|(n, (facts, times))| TrackReport {
            kind: facts.track,
            codec: layout.init(n).facts.codec.clone(),
            packets: facts.samples,
            duration_ms: times.duration_ms(),
            start_ms: times.start_ms(),
        });
        Report {
            status: if gaps.is_empty() { Status::Complete } else { Status::Degraded },
            result: None,
            bytes: None,
            sha256: None,
            duration_ms: layout.times().map(|times| times.start_ms() + times.duration_ms()).max(),
            tracks: tracks.collect(),
            gaps,
            repairs,
            error: None,
        }
    }

    pub(super) fn written(&mut self, out: &Path, written: &MuxReport) {
        self.result = Some(out.to_owned());
        self.bytes = Some(written.size_bytes);
        self.sha256 = written.sha256.map(|digest| digest.to_string());
    }

    /// Adds what was found in the result after it was planned.
    pub(super) fn found(mut self, gaps: &[Gap]) -> Report {
        self.gaps = together(&self.gaps, gaps);
        if !self.gaps.is_empty() {
            self.status = Status::Degraded;
        }
        self
    }

    /// What was planned, and why there is nothing of it.
    pub(super) fn fail(self, failure: Failure) -> Report {
        let (result, bytes, sha256) = (None, None, None);
        Report { status: Status::Failed, error: Some(failure), result, bytes, sha256, ..self }
    }
}
