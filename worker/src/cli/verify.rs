//! `spool verify`: whether an MP4 file is a sound result.

use super::exit::{Exit, Failure, sentence};
use super::file;
use super::output::Output;
use ::worker::child::{self, Program};
use anyhow::Context as _;
use media::readback::Readback;
use serde::Serialize;
use serde_json::Value;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Key frames that are decoded between the first and the last.
const SAMPLES: u32 = 20;

/// Longest decoding of them; an ordinary one takes a quarter of a second.
const DECODE_MAX: Duration = Duration::from_secs(120);

/// Largest `result.json` that is read.
const FACTS_BYTES_MAX: u64 = 64 << 20;

/// Which file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file.
    file: PathBuf,
    /// Leave the decoding of sampled key frames out.
    #[arg(long)]
    no_decode: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    file: PathBuf,
    sound: bool,
    bytes: u64,
    duration_ms: u64,
    decoded_frames: Option<u64>,
    compared_with: Option<PathBuf>,
    defects: Vec<String>,
}

/// Checks it.
pub(crate) async fn run(args: Args, out: Output) -> anyhow::Result<Exit> {
    let (bytes, readback) = match file::read_back(&args.file).await {
        Ok(read) => read,
        Err(error) if error.is::<Failure>() => return Err(error),
        Err(error) => return damaged(args.file, sentence(&error), out),
    };
    let mut defects = defects(&readback);
    let mut decoded_frames = None;
    if !args.no_decode {
        match Program::this()?.decode_samples(args.file.clone(), SAMPLES, DECODE_MAX).await {
            Ok(decoded) => decoded_frames = Some(decoded.frames),
            Err(error @ (child::Error::Refused { .. } | child::Error::Died { .. } | child::Error::TimedOut { .. })) => {
                defects.push(format!("decode sampled key frames: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let facts = args.file.with_extension("json");
    let compared_with = facts.is_file().then_some(facts);
    if let Some(facts) = &compared_with {
        let (file, facts) = (args.file.clone(), facts.clone());
        defects.extend(tokio::task::spawn_blocking(move || compare(&file, bytes, &facts)).await??);
    }
    let duration_ms = readback.duration_ms;
    let sound = defects.is_empty();
    tell(Answer { file: args.file, sound, bytes, duration_ms, decoded_frames, compared_with, defects }, out)
}

fn damaged(file: PathBuf, defect: String, out: Output) -> anyhow::Result<Exit> {
    let bytes = std::fs::metadata(&file).map_or(0, |about| about.len());
    let defects = vec![defect];
    tell(Answer { file, sound: false, bytes, duration_ms: 0, decoded_frames: None, compared_with: None, defects }, out)
}

fn tell(answer: Answer, out: Output) -> anyhow::Result<Exit> {
    out.answer(&answer, |answer| {
        let mut lines =
            vec![format!("{}: {}", answer.file.display(), if answer.sound { "sound" } else { "not sound" })];
        lines.extend(answer.defects.iter().map(|defect| format!("  {defect}")));
        lines.join("\n")
    })?;
    Ok(if answer.sound { Exit::Ok } else { Exit::Failed })
}

/// What a result must be besides readable.
fn defects(readback: &Readback) -> Vec<String> {
    let mut defects = Vec::new();
    if !readback.facts.faststart {
        defects.push("it is not faststart: mdat comes before moov".to_owned());
    }
    if readback.facts.tracks.is_empty() {
        defects.push("it has neither a picture nor sound".to_owned());
    }
    for track in readback.facts.tracks.iter().filter(|track| track.samples == 0) {
        defects.push(format!("its {} track has no samples", track.track));
    }
    defects
}

/// Compares length and digest with what was written beside the result.
fn compare(path: &Path, bytes: u64, facts: &Path) -> anyhow::Result<Vec<String>> {
    let name = || format!("read {}", facts.display());
    let text = io::read_to_string(io::Read::take(File::open(facts).with_context(name)?, FACTS_BYTES_MAX))
        .with_context(name)?;
    let told: Value = serde_json::from_str(&text).with_context(name)?;
    let mut defects = Vec::new();
    if let Some(expected) = told["bytes"].as_u64().filter(|expected| *expected != bytes) {
        defects.push(format!("it has {bytes} bytes instead of {expected}"));
    }
    if let Some(expected) = told["sha256"].as_str() {
        let found = file::hash(path).with_context(|| format!("hash {}", path.display()))?.to_string();
        if found != expected {
            defects.push(format!("its SHA-256 is {found} instead of {expected}"));
        }
    }
    Ok(defects)
}
