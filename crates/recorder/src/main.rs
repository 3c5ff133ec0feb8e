//! `spool-record`: records a file or the synthetic source and uploads it while it is made.

mod arguments;
mod progress;

use arguments::Arguments;
use clap::Parser as _;
use media::ff::segmenter::Stop;
use recorder::folder::Folder;
use recorder::{Error, Report};
use serde_json::json;
use std::io::Write as _;
use std::process::ExitCode;

/// A second Ctrl-C does not wait.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("error: start the runtime: {error}"));
            return ExitCode::from(1);
        }
    };
    let code = runtime.block_on(run(arguments));
    // A source that is stuck inside a C library must not keep the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn run(arguments: Arguments) -> u8 {
    let json = arguments.json;
    let recording = arguments.recording.clone();
    let progress = progress::Progress::new(json);
    let session = match arguments.into_session(progress.observer()) {
        Ok(session) => session,
        Err(error) => return finish(json, recording, &Report::default(), Err(error), None),
    };
    let kept = session.upload.as_ref().and_then(|upload| upload.keep_unsent.clone());
    stop_on_signal(session.options.stop.clone(), kept.clone());
    let (report, result) = session.run().await;
    progress.finish();
    finish(json, recording, &report, result, kept)
}

/// The first signal ends the recording cleanly; the second one ends the process.
fn stop_on_signal(stop: Stop, kept: Option<Folder>) {
    tokio::spawn(async move {
        interrupted().await;
        say("stopping: finishing the last segments and their uploads; once more to give up");
        stop.ask();
        interrupted().await;
        if let Some(folder) = kept {
            say(&format!("unsent segments are kept in {}", folder.root().display()));
        }
        std::process::exit(INTERRUPTED.into());
    });
}

async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Tells how it went and gives the exit code.
fn finish(
    json: bool,
    recording: Option<String>,
    report: &Report,
    result: Result<(), Error>,
    kept: Option<Folder>,
) -> u8 {
    let left = kept.as_ref().map_or(0, Folder::left);
    let kept = kept.filter(|_| left > 0);
    if let Err(error) = &result {
        say(&format!("error: {:#}", Chain(error)));
        match &kept {
            Some(folder) => {
                let folder = folder.root().display();
                say(&format!("{left} unsent segments are kept in {folder}; `spool-record {folder}` sends them later"));
            }
            None if unsent(report) > 0 && recording.is_some() => {
                say(&format!("{} segments were not sent; --keep-unsent DIR keeps them next time", unsent(report)));
            }
            None => {}
        }
    }
    if json {
        print_line(&line(recording, report, &result, kept.as_ref()));
    } else if result.is_ok() {
        say(&progress::summary(report));
    }
    result.map_or_else(|error| error.exit_code(), |()| 0)
}

fn unsent(report: &Report) -> u64 {
    report.tracks.values().map(|track| track.segments.saturating_sub(track.sent)).sum()
}

fn line(recording: Option<String>, report: &Report, result: &Result<(), Error>, kept: Option<&Folder>) -> String {
    let tracks: serde_json::Map<_, _> = report
        .tracks
        .iter()
        .map(|(track, made)| {
            let counts = json!({"segments": made.segments, "bytes": made.bytes, "sent": made.sent});
            (track.as_str().to_owned(), counts)
        })
        .collect();
    let error = result.as_ref().err().map(|error| json!({"code": error.code(), "message": Chain(error).to_string()}));
    json!({
        "recording": recording,
        "tracks": tracks,
        "bytes": report.tracks.values().map(|track| track.bytes).sum::<u64>(),
        "duration_ms": report.duration_ms,
        "retries": report.retries,
        "declared": report.declared,
        "completed": report.completed,
        "kept": kept.map(|folder| folder.root().display().to_string()),
        "error": error,
    })
    .to_string()
}

/// An error with its causes in one line.
struct Chain<'a>(&'a Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = std::error::Error::source(self.0);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// A line for the person. A closed terminal is no reason to stop a recording.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
