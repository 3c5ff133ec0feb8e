//! `spool mux`: a folder of segments to one MP4, without database, store or settings.

mod decode;
mod libavformat;

use super::exit::{Exit, Failure};
use super::output::{self, Output};
use domain::recording::Policy;
use media::folder::{self, Options, Report, Status};
use media::mux::Hashing;
use std::path::PathBuf;

/// For `--help`.
pub(crate) const EXAMPLES: &str = "\
DIR holds video/init.mp4, video/segment_001.m4s, … and the same for audio; either track may be absent, other files are
ignored. What is missing is reported as a gap; the result keeps the timeline.
Examples:
  spool mux recording -o result.mp4
  spool mux recording -o result.mp4 --gap-policy fail --json
Exit codes: 0 complete, 3 degraded (gaps), 1 failed and no file left, 2 usage, 130 interrupted.";

/// What to mux, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of segments.
    dir: PathBuf,
    /// The file to write; appears whole or not at all.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// What becomes of gaps: a degraded result, or a failure.
    #[arg(long, value_enum, default_value = "degrade")]
    gap_policy: GapPolicy,
    /// Fail when more than this share of a track is missing, 0.0 to 1.0.
    #[arg(long, value_name = "R", value_parser = ratio)]
    max_gap_ratio: Option<f64>,
    /// The manifest, when it is not DIR/manifest.json.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Who writes the result: the built-in index-first one, libavformat, or libavformat only where the first one cannot.
    #[arg(long, value_enum, default_value = "auto")]
    engine: Engine,
    /// Make no SHA-256 of the result.
    #[arg(long)]
    no_hash: bool,
    /// How closely the result is looked at before it appears: none is structure and counts only, sample decodes some too.
    #[arg(long, value_enum, default_value = "sample")]
    verify: decode::Depth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum GapPolicy {
    Degrade,
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    Auto,
    Index,
    Libavformat,
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text.parse().map_err(|_| "it must be a number".to_owned())?;
    if (0.0..=1.0).contains(&ratio) { Ok(ratio) } else { Err("it must be from 0.0 to 1.0".to_owned()) }
}

/// Makes the file.
pub(crate) async fn run(args: Args, out: Output) -> anyhow::Result<Exit> {
    if !args.dir.is_dir() {
        return Err(Failure::usage(format!("{} is not a folder", args.dir.display())).into());
    }
    let report = mux(&args).await;
    // The exit code tells how it went even when nobody reads the answer.
    if let Err(error) = out.answer(&report, text)
        && !output::is_broken_pipe(&error)
    {
        return Err(error);
    }
    if let Some(error) = &report.error {
        output::complain(&format!("error: {}: {}", error.code, error.message));
    }
    Ok(match report.status {
        Status::Complete => Exit::Ok,
        Status::Degraded => Exit::Degraded,
        Status::Failed => Exit::Failed,
    })
}

async fn mux(args: &Args) -> Report {
    let policy = match args.gap_policy {
        GapPolicy::Degrade => Policy::Degrade,
        GapPolicy::Fail => Policy::Fail,
    };
    let hashing = if args.no_hash { Hashing::Off } else { Hashing::Sha256 };
    let (max_gap_ratio, manifest) = (args.max_gap_ratio, args.manifest.clone());
    let options = Options { policy, max_gap_ratio, manifest, hashing, ..Options::default() };
    if args.engine == Engine::Libavformat {
        return libavformat::mux(&args.dir, &args.output, &options).await;
    }
    let report = match folder::make(&args.dir, &args.output, &options, |_| {}).await {
        Ok(made) => decode::publish(made, args.verify).await,
        Err(report) => report,
    };
    match &report.error {
        Some(error) if args.engine == Engine::Auto && is_inexpressible(&error.code) => {
            output::complain(&format!("the built-in engine cannot: {}; trying libavformat", error.message));
            libavformat::mux(&args.dir, &args.output, &options).await
        }
        _ => report,
    }
}

/// The bytes are not damaged but of a kind that the built-in engine has no words for. Everything else stays refused:
/// libavformat reads over most damage without a word.
fn is_inexpressible(code: &str) -> bool {
    matches!(code, "not-iso-bmff" | "unsupported-codec")
}

fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    let word = match report.status {
        Status::Complete => "complete",
        Status::Degraded => "degraded",
        Status::Failed => "failed",
    };
    match (&report.result, report.bytes, report.duration_ms) {
        (Some(result), Some(bytes), Some(duration_ms)) => {
            lines.push(format!("{word}: {}, {duration_ms} ms, {}", result.display(), output::bytes(bytes)));
        }
        _ => lines.push(word.to_owned()),
    }
    for track in &report.tracks {
        let start = if track.start_ms > 0 { format!(", begins at {} ms", track.start_ms) } else { String::new() };
        lines.push(format!(
            "  {} {}, {} packets, {} ms{start}",
            track.kind, track.codec, track.packets, track.duration_ms
        ));
    }
    for gap in &report.gaps {
        let segments: Vec<_> = gap.segments.iter().map(u32::to_string).collect();
        let of = if segments.is_empty() { String::new() } else { format!(", segments {}", segments.join(" ")) };
        lines.push(format!("  gap in {} from {} to {} ms: {}{of}", gap.track, gap.from_ms, gap.to_ms, gap.cause));
    }
    for repair in &report.repairs {
        lines.push(format!("  put right in {} segment {}: {}", repair.track, repair.segment, repair.what));
    }
    lines.extend(report.sha256.as_ref().map(|digest| format!("  sha256 {digest}")));
    lines.join("\n")
}
