//! Whether a stored result is what was planned: read back from the store, header and tables, and decoded in places.

use super::Source;
use super::decode::{self, Deaths, search};
use crate::child::{self, ObjectError};
use crate::context::Context;
use crate::storage;
use domain::mux::{Mismatch, ResultFacts, TrackFacts, verify};
use domain::retry::{Classify, Fault};
use media::layout::Layout;
use media::readback::{self, Readback};
use media::sampling::{Findings, Search};
use thiserror::Error;

/// Why a stored result must not be published.
#[derive(Debug, Error)]
pub enum Unsound {
    /// It is not in the store.
    #[error("the result {key} is not in the store")]
    Missing {
        /// Its key.
        key: String,
    },
    /// The store cannot be asked.
    #[error("look at result")]
    Storage(#[source] storage::Error),
    /// It cannot be read back.
    #[error("read result back")]
    Readback(#[source] readback::Error<storage::Error>),
    /// It is something else than planned.
    #[error("the result is not what was planned: {}", list(.0))]
    Mismatch(Vec<Mismatch>),
    /// No child could decode samples of it.
    #[error("decode samples of result")]
    Decode(#[source] child::Error),
    /// It is what was planned and cannot be shown.
    #[error("the result is what was planned, but {0}")]
    Undecodable(media::sampling::Unsound),
}

fn list(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Classify for Unsound {
    fn fault(&self) -> Fault {
        match self {
            Unsound::Missing { .. } => Fault::NotYet,
            Unsound::Storage(source) => source.fault(),
            Unsound::Readback(source) => source.fault(),
            Unsound::Mismatch(_) => Fault::Permanent,
            Unsound::Decode(source) => source.fault(),
            Unsound::Undecodable(_) => Fault::Permanent,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Unsound::Missing { .. } => "result-missing",
            Unsound::Storage(source) => source.class(),
            Unsound::Readback(source) => source.class(),
            Unsound::Mismatch(_) => "verify-failed",
            Unsound::Decode(source) => source.class(),
            Unsound::Undecodable(source) => decode::class(source),
        }
    }
}

impl Unsound {
    /// It is the result that is wrong, or not there: another one may be right.
    pub fn is_of_the_result(&self) -> bool {
        matches!(self, Unsound::Missing { .. }) || self.fault() == Fault::Permanent
    }
}

/// A result that was found to be what was planned.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What it says of itself.
    pub readback: Readback,
    /// Entity tag of the object, where the store has one.
    pub etag: Option<String>,
    /// What was found when samples of it were decoded.
    pub findings: Findings,
}

/// What a result is held to.
#[derive(Debug)]
pub struct Expected<'a> {
    /// What was planned, or what the engine says that it wrote.
    pub facts: &'a ResultFacts,
    /// Where its segments lie in it, when it was laid out.
    pub layout: Option<&'a Layout>,
    /// What it means that a decoder dies.
    pub deaths: Deaths,
}

/// Reads the result back, holds it to the plan, and decodes samples of it in a child process, which is given ranges of the
/// object whatever store it lies in. A store that fails meanwhile is the store's fault and not the result's.
///
/// # Errors
/// See [`Unsound`]. Single segments that cannot be decoded are no error but findings.
pub async fn check(cx: &Context, source: &Source, key: &str, expected: &Expected<'_>) -> Result<Checked, Unsound> {
    let meta = cx.store.stat(key).await.map_err(Unsound::Storage)?;
    let meta = meta.ok_or_else(|| Unsound::Missing { key: key.to_owned() })?;
    let readback = readback::read(source, meta.size_bytes).await.map_err(Unsound::Readback)?;
    let wrong = match expected.layout {
        Some(layout) => readback.mismatches(layout),
        None => verify(expected.facts, &readback.facts),
    };
    if !wrong.is_empty() {
        return Err(Unsound::Mismatch(wrong));
    }
    let program = child::program().map_err(Unsound::Decode)?;
    let wanted = expected.layout.map_or_else(|| search_of(&readback), Search::of_layout);
    let found = search(program, source, meta.size_bytes, wanted, expected.deaths).await;
    let findings = found.map_err(|error| match error {
        decode::Error::Unsound(unsound) => Unsound::Undecodable(unsound),
        decode::Error::Object(ObjectError::Child(source)) => Unsound::Decode(source),
        decode::Error::Object(ObjectError::Read(source)) => Unsound::Readback(source),
    })?;
    let Findings { places, frames, .. } = findings;
    tracing::debug!(storage.key = key, places, frames, "samples of result decoded");
    Ok(Checked { readback, etag: meta.etag, findings })
}

/// The search in a result of which nothing is known but what it says of itself.
pub fn search_of(readback: &Readback) -> Search {
    let length = |facts: &TrackFacts| {
        let micros = u128::from(facts.duration) * 1_000_000 / u128::from(facts.timescale.max(1));
        (facts.track, u64::try_from(micros).unwrap_or(u64::MAX))
    };
    Search::of_lengths(&readback.facts.tracks.iter().map(length).collect::<Vec<_>>())
}
