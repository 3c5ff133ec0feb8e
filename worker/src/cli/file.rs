//! One MP4 file on this disk.

use super::exit::Failure;
use anyhow::Context as _;
use media::files::FileRanges;
use media::readback::{self, Readback};
use std::io;
use std::path::Path;

/// Makes sure that there is a file: one that is not there is the caller's mistake.
pub(crate) fn require(path: &Path) -> anyhow::Result<()> {
    match path.metadata() {
        Ok(about) if about.is_file() => Ok(()),
        Ok(_) => Err(Failure::usage(format!("{} is not a file", path.display())).into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::missing(format!("no file {}", path.display())).into())
        }
        Err(error) => Err(error).with_context(|| format!("look at {}", path.display())),
    }
}

/// Length of a file and what its header says.
pub(crate) async fn read_back(path: &Path) -> anyhow::Result<(u64, Readback)> {
    require(path)?;
    let ranges = FileRanges::open(path).await.with_context(|| format!("open {}", path.display()))?;
    let readback = readback::read(&ranges, ranges.size_bytes()).await.with_context(|| path.display().to_string())?;
    Ok((ranges.size_bytes(), readback))
}
