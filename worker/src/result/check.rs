//! Whether a stored result is what was planned: read back from the store, header and tables, and decoded in places.

use super::Source;
use crate::child::{self, ObjectError};
use crate::context::Context;
use crate::storage;
use domain::mux::{Mismatch, ResultFacts, verify};
use domain::retry::{Classify, Fault};
use media::readback::{self, Readback};
use std::time::Duration;
use thiserror::Error;

/// Places of the result that are decoded besides its beginning and its end.
const SAMPLES: u32 = 20;

/// Longest decode of them: a few pictures each.
const DECODE_BOUND: Duration = Duration::from_secs(120);

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
    /// Pictures of it cannot be decoded.
    #[error("decode samples of result")]
    Decode(#[source] child::Error),
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
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Unsound::Missing { .. } => "result-missing",
            Unsound::Storage(source) => source.class(),
            Unsound::Readback(source) => source.class(),
            Unsound::Mismatch(_) => "verify-failed",
            Unsound::Decode(source) => source.class(),
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
}

/// Reads the result back and holds it to the plan.
///
/// # Errors
/// See [`Unsound`].
pub async fn check(cx: &Context, source: &Source, key: &str, expected: &ResultFacts) -> Result<Checked, Unsound> {
    let meta = cx.store.stat(key).await.map_err(Unsound::Storage)?;
    let meta = meta.ok_or_else(|| Unsound::Missing { key: key.to_owned() })?;
    let readback = readback::read(source, meta.size_bytes).await.map_err(Unsound::Readback)?;
    let wrong = verify(expected, &readback.facts);
    if !wrong.is_empty() {
        return Err(Unsound::Mismatch(wrong));
    }
    decode(source, key, meta.size_bytes).await?;
    Ok(Checked { readback, etag: meta.etag })
}

/// Decodes samples in a child process, which is given ranges of the object whatever store it lies in. A store that fails
/// meanwhile is the store's fault and not the result's.
async fn decode(source: &Source, key: &str, size_bytes: u64) -> Result<(), Unsound> {
    let program = child::program().map_err(Unsound::Decode)?;
    let decoded = program.decode_object(source, size_bytes, SAMPLES, DECODE_BOUND).await;
    let decoded = decoded.map_err(|error| match error {
        ObjectError::Child(source) => Unsound::Decode(source),
        ObjectError::Read(source) => Unsound::Readback(source),
    })?;
    tracing::debug!(storage.key = key, frames = decoded.frames, "samples of result decoded");
    Ok(())
}
