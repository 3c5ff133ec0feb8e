//! Whether a stored result is what was planned: read back from the store, header and tables, and decoded in places.

use super::Source;
use crate::child::{self, Program};
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

/// Name of the program whose hidden command decodes; a test's own program has none.
const PROGRAM: &str = "spool";

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

/// Reads the result back and holds it to the plan.
///
/// # Errors
/// See [`Unsound`].
pub async fn check(cx: &Context, source: &Source, key: &str, expected: &ResultFacts) -> Result<Readback, Unsound> {
    let meta = cx.store.stat(key).await.map_err(Unsound::Storage)?;
    let meta = meta.ok_or_else(|| Unsound::Missing { key: key.to_owned() })?;
    let readback = readback::read(source, meta.size_bytes).await.map_err(Unsound::Readback)?;
    let wrong = verify(expected, &readback.facts);
    if !wrong.is_empty() {
        return Err(Unsound::Mismatch(wrong));
    }
    decode(cx, key).await?;
    Ok(readback)
}

/// Decodes samples in a child process, where the store is a folder that the child can read.
async fn decode(cx: &Context, key: &str) -> Result<(), Unsound> {
    let Some(file) = cx.store.local_path(key) else { return Ok(()) };
    if !std::env::current_exe().is_ok_and(|path| path.file_stem().is_some_and(|stem| stem == PROGRAM)) {
        return Ok(());
    }
    let program = Program::this().map_err(Unsound::Decode)?;
    let decoded = program.decode_samples(file, SAMPLES, DECODE_BOUND).await.map_err(Unsound::Decode)?;
    tracing::debug!(storage.key = key, frames = decoded.frames, "samples of result decoded");
    Ok(())
}
