//! `spool verify`: whether an MP4 file is a sound result. `spool recording verify` asks the same of one in the store.

mod look;
mod progress;
pub(crate) mod recording;
mod told;

use super::exit::Exit;
use super::file;
use super::output::Output;
use anyhow::Context as _;
use look::{Depth, Looked, look};
use media::files::FileRanges;
use serde::Serialize;
use std::path::PathBuf;
use told::Told;

/// Which file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file.
    file: PathBuf,
    /// Leave the decoding of sampled key frames out.
    #[arg(long, conflicts_with = "full")]
    no_decode: bool,
    /// Decode every frame: as long as it takes, with its progress on a terminal.
    #[arg(long)]
    full: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    file: PathBuf,
    #[serde(flatten)]
    looked: Looked,
    compared_with: Option<PathBuf>,
}

/// Checks it.
pub(crate) async fn run(args: Args, out: Output) -> anyhow::Result<Exit> {
    let Args { file, no_decode, full } = args;
    file::require(&file)?;
    let depth = match (no_decode, full) {
        (true, _) => Depth::Structure,
        (false, false) => Depth::Samples,
        (false, true) => Depth::Full,
    };
    let beside = file.with_extension("json");
    let compared_with = beside.is_file().then_some(beside);
    let told = match &compared_with {
        Some(path) => Some(Told::read(path).with_context(|| format!("read {}", path.display()))?),
        None => None,
    };
    let ranges = FileRanges::open(&file).await.with_context(|| format!("open {}", file.display()))?;
    let looked = look(&ranges, ranges.size_bytes(), depth, told.as_ref()).await?;
    tell(&Answer { file, looked, compared_with }, out)
}

fn tell(answer: &Answer, out: Output) -> anyhow::Result<Exit> {
    out.answer(answer, |answer| answer.looked.text(&answer.file.display().to_string()))?;
    Ok(answer.looked.exit())
}
