//! The last step of `spool mux`: samples of the result are decoded in a child process before it appears.

use ::worker::child::{ObjectError, Program};
use ::worker::result::decode::{self, Deaths};
use domain::mux::Gap;
use domain::retry::Classify as _;
use media::files::FileRanges;
use media::folder::{Failure, Made, Report};
use media::sampling::{Findings, Search};
use std::path::Path;

/// How closely a result is looked at before it appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Depth {
    /// Its structure and its counts only.
    None,
    /// Two dozen pictures and some sound are decoded too.
    Sample,
}

/// Lets the result appear when it can be shown; `known` is what it lacks beside what is found here.
pub(super) async fn publish(made: Made, depth: Depth, known: Vec<Gap>) -> Report {
    let found = match depth {
        Depth::None => Ok(Findings::default()),
        Depth::Sample => search(made.aside(), Search::of_layout(made.layout())).await,
    };
    match found {
        Ok(mut findings) => {
            findings.gaps.extend(known);
            made.publish(&findings).await
        }
        Err(failure) => made.refuse(failure),
    }
}

/// Carries a search out on a file.
///
/// # Errors
/// Nothing can be decoded, the pictures change their form, or no child could look.
pub(super) async fn search(path: &Path, search: Search) -> Result<Findings, Failure> {
    let failure = |code: &str, message: String| Failure { code: code.to_owned(), message };
    let program = Program::this().map_err(|error| failure(error.class(), error.to_string()))?;
    let ranges = FileRanges::open(path).await.map_err(|error| failure("io", format!("open result: {error}")))?;
    // Nobody tries again for a command: what kills a decoder is damage.
    let found = decode::search(&program, &ranges, ranges.size_bytes(), search, Deaths::Blamed).await;
    found.map_err(|error| match error {
        decode::Error::Object(ObjectError::Read(error)) => failure("io", crate::cli::exit::sentence(&error.into())),
        decode::Error::Object(ObjectError::Child(error)) => failure(error.class(), error.to_string()),
        decode::Error::Unsound(unsound) => failure(decode::class(&unsound), unsound.to_string()),
    })
}
