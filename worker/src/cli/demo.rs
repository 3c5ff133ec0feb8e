//! `spool demo`: what can be asked of it.

use super::exit::Exit;
use crate::demo::{self, Options};
use std::path::PathBuf;
use std::time::Duration;

/// How long to record.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// End in one line of JSON on standard output instead of serving on.
    #[arg(long)]
    headless: bool,
    /// How many seconds to record.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Copy what the recorder sent into this folder: video/init.mp4, video/segment_001.m4s, …
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Where everything the demo makes is kept.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
}

/// Runs the demo.
pub(crate) async fn run(args: Args, set: &[(String, String)]) -> anyhow::Result<Exit> {
    let Args { headless, seconds, keep, data } = args;
    demo::run(Options { headless, duration: Duration::from_secs(seconds), keep, data, set: set.to_vec() }).await
}
