//! Runs a program that must not outlive the one that asked for it.
//!
//! The demo starts its processes through this command and holds the other end of its standard input. Whatever becomes
//! of the demo, a kill that nothing can catch included, that end closes, and the program is told to stop.
//! A parent-death signal would do the same on Linux only, and hangs on the thread that forked, not on the process.

use super::exit::{Exit, Failure};
use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::Read as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long the program may take to stop before it is killed.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration)]
    grace: Duration,
    /// Program and arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Runs the program until it ends or standard input closes, and ends with its code.
pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let (program, arguments) = args.command.split_first().expect("clap demands one word at least");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    let status = tokio::select! {
        status = child.wait() => status?,
        _ = input_closed() => stop(&mut child, args.grace).await?,
        stopped = super::interrupted() => {
            stopped?;
            stop(&mut child, args.grace).await?
        }
    };
    match status.code() {
        Some(code) => Ok(Exit::from_code(code)),
        None => Err(Failure::failed(format!("{} ended by {status}", program.display())).into()),
    }
}

/// Resolves when the other end of standard input is closed. The read blocks, so it has a thread of its own that the end
/// of this process does not wait for.
async fn input_closed() {
    let (closed, wait) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _held = closed;
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().lock().read(&mut ignored), Ok(1..)) {}
    });
    let _ = wait.await;
}

async fn stop(child: &mut Child, grace: Duration) -> anyhow::Result<ExitStatus> {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, Signal::TERM);
    }
    if let Ok(status) = tokio::time::timeout(grace, child.wait()).await {
        return Ok(status?);
    }
    child.kill().await?;
    Ok(child.wait().await?)
}
