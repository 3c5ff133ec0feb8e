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
    /// Tell in plain text, also at a terminal, instead of opening the console.
    #[arg(long)]
    no_console: bool,
    /// How many seconds to record [default: 60 for the console, else 30].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Copy what the recorder sent into this folder: video/init.mp4, video/segment_001.m4s, …
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Where everything the demo makes is kept.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
}

/// Long enough to look around in the console while the recording is live.
const SECONDS_CONSOLE: u64 = 60;

/// Long enough to see it live, short enough to wait for.
const SECONDS_TEXT: u64 = 30;

/// Runs the demo.
pub(crate) async fn run(args: Args, set: &[(String, String)]) -> anyhow::Result<Exit> {
    let Args { headless, no_console, seconds, keep, data } = args;
    let console = !headless && !no_console && demo::has_terminal();
    let duration = Duration::from_secs(seconds.unwrap_or(if console { SECONDS_CONSOLE } else { SECONDS_TEXT }));
    demo::run(Options { headless, console, duration, keep, data, set: set.to_vec() }).await
}
