//! The binary `spool-tui`: reads the command line and runs the console.

use clap::Parser;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use tui::app::{Place, Start};
use tui::keys::Keymap;
use tui::run::{self, Exit, Outside};
use tui::settings::Environment;
use tui::{source, term};

/// Watch recordings, jobs, queues and workers in a terminal, and repair them.
#[derive(Debug, Parser)]
#[command(name = "spool-tui", version, max_term_width = 100, after_help = AFTER)]
struct Cli {
    /// What to show first: recordings, recordings/ID, jobs, jobs?state:retryable&queue:mux, jobs/ID, queues, workers.
    #[arg(default_value = "recordings", value_parser = Place::parse)]
    path: Place,
    /// Allow changes from the start. Without it the console only looks, until `:arm`.
    #[arg(long)]
    arm: bool,
    /// Draw with ASCII characters only.
    #[arg(long)]
    ascii: bool,
    /// Write a log into this file; RUST_LOG says how much.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Do not draw: answer with the command that tells the same, as JSON.
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
Environment: DATABASE_URL or DATABASE_URL_FILE where the database is, SPOOL_ACTOR who acts, NO_COLOR no colours.
Without a terminal, or with TERM=dumb, it names the command of `spool` that tells the same, and ends with 2.
Exit codes: 0 left, 1 failed, 2 usage or no terminal, 7 configuration, 129 the terminal is gone, 130 interrupted.";

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const CONFIGURATION: u8 = 7;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::of_process();
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if cli.json || !terminal || environment.is_dumb() {
        return instead(&cli);
    }
    match console(cli, &environment) {
        Ok(Exit::Left) => ExitCode::SUCCESS,
        Ok(Exit::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            let settings = error.is::<tui::settings::Error>() || error.is::<tui::keys::Error>();
            say(&format!("spool-tui: {error:#}\n"));
            ExitCode::from(if settings { CONFIGURATION } else { FAILED })
        }
    }
}

/// Names the command that tells the same: alone on standard output, so that it can be run from there.
fn instead(cli: &Cli) -> ExitCode {
    let command = cli.path.command();
    let line = if cli.json { serde_json::json!({ "command": command + " --json" }).to_string() } else { command };
    say("spool-tui: this needs a terminal; without one the same is told by\n");
    let _ = writeln!(std::io::stdout(), "{line}");
    ExitCode::from(USAGE)
}

fn say(text: &str) {
    // Whoever closed it does not want to know.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn console(cli: Cli, environment: &Environment) -> anyhow::Result<Exit> {
    start_log(&cli)?;
    let settings = environment.source()?;
    let (path, own) = environment.own_keys()?;
    let keys = Keymap::load(&own).map_err(|error| anyhow::Error::new(error).context(path.display().to_string()))?;
    term::end_on_panic();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let exit = runtime.block_on(async {
        let outside = Outside::new(source::start(settings), environment, cli.ascii)?;
        let start = Start { place: cli.path, arm: cli.arm, keys, size: None, seed: seed() };
        run::run(start, outside).await
    });
    // A connection that hangs must not hold the shell back.
    runtime.shutdown_background();
    Ok(exit?)
}

/// A number that no other run has.
fn seed() -> u64 {
    // A hasher of the standard library has keys of its own in every process.
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// To a file only: a line of it on the terminal would be in the middle of the screen.
fn start_log(cli: &Cli) -> anyhow::Result<()> {
    let Some(path) = &cli.log else { return Ok(()) };
    let file = std::fs::File::options().create(true).append(true).open(path);
    let file = file.map_err(|error| anyhow::Error::new(error).context(format!("open log {}", path.display())))?;
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env()?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(file).init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
