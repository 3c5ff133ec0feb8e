//! The commands of `spool`: what can be asked, and who carries it out.
//!
//! A command decodes what was asked, calls the library and prints the answer. It decides nothing: what may follow what
//! is decided by `domain` and by the audited functions of the engine.

pub(crate) mod exit;
pub(crate) mod output;

mod actor;
mod config;
mod connect;
mod demo;
mod doctor;
mod file;
mod guard;
mod job;
mod migrate;
mod mux;
mod probe;
mod queue;
mod recording;
mod run;
mod steer;
mod token;
mod verify;
mod webhook;
mod worker;

use ::worker::child::{self, Program};
use clap::{Parser, Subcommand};
use exit::Exit;
use output::Output;
use std::future::Future;

/// Takes screen recordings in, segment by segment, and makes one verified result.mp4 of each.
#[derive(Debug, Parser)]
#[command(name = "spool", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Answer in JSON on standard output.
    #[arg(long, global = true, help_heading = "For every command")]
    json: bool,
    /// Override one setting, for example --set cleanup.grace=1h; may be given several times.
    #[arg(long, global = true, help_heading = "For every command")]
    #[arg(value_name = "SECTION.KEY=VALUE", value_parser = config::parse_set)]
    set: Vec<(String, String)>,
}

const EXIT_CODES: &str = "\
Settings: defaults < config.toml (or the file SPOOL_CONFIG names) < SPOOL__SECTION__KEY < --set.
Exit codes: 0 ok, 1 failed, 2 usage, 3 degraded, 4 not found, 5 refused by state or policy,
            6 database or storage unreachable, 7 configuration or secret, 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring everything up from nothing and record a live synthetic source.
    #[command(after_help = "Examples:\n  spool demo\n  spool demo --headless --seconds 20 --keep sent")]
    Demo(demo::Args),
    /// Answer the API; with staging on a local volume, also bring its segments into the store.
    Serve,
    /// Work the queues.
    #[command(after_help = "Examples:\n  spool work\n  spool work --queue ingest,control --queue webhook")]
    Work(run::WorkArgs),
    /// Bring the database schema up to date. Safe to run at any time, from any number of places at once.
    Migrate,
    /// Look at recordings.
    #[command(subcommand)]
    Recording(recording::Command),
    /// Look at jobs, and steer them.
    #[command(subcommand)]
    Job(job::Command),
    /// Look at queues, pause and limit them.
    #[command(subcommand)]
    Queue(queue::Command),
    /// Look at working processes, and drain them.
    #[command(subcommand)]
    Worker(worker::Command),
    /// Look at webhooks, try them, and let events go out again.
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// Make tokens.
    #[command(subcommand)]
    Token(token::Command),
    /// Make one MP4 of a folder of segments. Needs no database and no configuration.
    #[command(after_help = mux::EXAMPLES)]
    Mux(mux::Args),
    /// Tell what is in an MP4 file. Needs no database and no configuration.
    #[command(after_help = "Example:\n  spool probe result.mp4 --json")]
    Probe(probe::Args),
    /// Check that an MP4 file is sound: boxes, sample tables, sampled key frames or all frames. Needs no database.
    #[command(
        after_help = "A result.json beside the file is compared with it.\nExamples:\n  spool verify result.mp4\n  spool verify result.mp4 --full"
    )]
    Verify(verify::Args),
    /// Check everything Spool needs here, and name a cure for what is missing.
    Doctor(doctor::Args),
    /// Show the settings as they take effect, secrets masked.
    Config,
    /// Run a program that ends when standard input closes.
    #[command(hide = true)]
    Guard(guard::Args),
    /// The part that runs inside FFmpeg libraries, in a process with limits.
    #[command(hide = true)]
    Child,
}

/// Carries out the command line of this process.
pub(crate) fn main() -> Exit {
    media::ff::memory::bound();
    let cli = Cli::parse();
    let out = if cli.json { Output::Json } else { Output::Text };
    // This program has the hidden command; where it cannot be found, whatever needs it says so.
    if let Ok(program) = Program::this() {
        child::introduce(program);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(Err(error.into()), out),
    };
    let exit = exit::report(runtime.block_on(run(cli.command, &cli.set, out)), out);
    // A blocking thread that hangs, in a library or on a device, must not hold the answer back.
    runtime.shutdown_background();
    exit
}

async fn run(command: Command, set: &[(String, String)], out: Output) -> anyhow::Result<Exit> {
    let settings = || config::settings(set);
    match command {
        Command::Demo(args) => demo::run(args, set).await,
        Command::Serve => Box::pin(run::serve(settings()?)).await,
        Command::Work(args) => Box::pin(run::work(args, settings()?)).await,
        Command::Migrate => until_interrupted(migrate::run(&settings()?, out)).await,
        Command::Recording(command) => until_interrupted(recording::run(command, &settings()?, out)).await,
        Command::Job(command) => until_interrupted(job::run(command, &settings()?, out)).await,
        Command::Queue(command) => until_interrupted(queue::run(command, &settings()?, out)).await,
        Command::Worker(command) => until_interrupted(worker::run(command, &settings()?, out)).await,
        Command::Webhook(command) => until_interrupted(webhook::run(command, &settings()?, out)).await,
        Command::Token(command) => until_interrupted(token::run(command, &settings()?, out)).await,
        Command::Mux(args) => until_interrupted(mux::run(args, out)).await,
        Command::Probe(args) => until_interrupted(probe::run(args, out)).await,
        Command::Verify(args) => until_interrupted(verify::run(args, out)).await,
        Command::Doctor(args) => Box::pin(until_interrupted(doctor::run(args, set, out))).await,
        Command::Config => config::run(&settings()?, out),
        Command::Guard(args) => guard::run(args).await,
        Command::Child => run::child(),
    }
}

/// Ends `work` with its own code, or with 130 when the person has had enough.
async fn until_interrupted(work: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    tokio::select! {
        exit = work => exit,
        signal = interrupted() => signal.map(|()| Exit::Interrupted),
    }
}

/// Waits for Ctrl-C or a termination signal.
pub(crate) async fn interrupted() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Whatever a person can type has a word of explanation.
    #[test]
    fn every_command_and_option_is_explained() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} is not explained");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path}: {} is not explained", argument.get_id());
            }
            command.get_subcommands().for_each(|inner| check(inner, &path));
        }
        check(&Cli::command(), "");
    }
}
