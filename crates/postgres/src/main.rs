//! `with-postgres COMMAND…`: runs a command beside a temporary server, whose address is in `SPOOL_TEST_POSTGRES`, and ends
//! with the command's exit code.

use anyhow::Context;
use postgres::{Cluster, Profile, testing};
use rustix::process::{Pid, Signal, kill_process};
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().context("usage: with-postgres COMMAND [ARGUMENT...]")?;
    // Asked for first, so that a signal during the start does not end this process with its server running.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let cluster = tokio::select! {
        started = Cluster::temporary(Profile::Throwaway) => started?,
        _ = interrupt.recv() => return Ok(ended_by(Signal::INT)),
        _ = terminate.recv() => return Ok(ended_by(Signal::TERM)),
    };
    let mut child = Command::new(&program)
        .args(words)
        .env(testing::VARIABLE, cluster.url("postgres"))
        .spawn()
        .with_context(|| format!("run {}", program.display()))?;

    let status = loop {
        tokio::select! {
            status = child.wait() => break status.with_context(|| format!("wait for {}", program.display()))?,
            // A terminal has sent it to the command as well; twice would read as "at once".
            _ = interrupt.recv() => if !std::io::stdin().is_terminal() { forward(&child, Signal::INT) },
            _ = terminate.recv() => forward(&child, Signal::TERM),
            _ = hangup.recv() => forward(&child, Signal::HUP),
        }
    };
    drop(cluster);
    Ok(exit_code(status))
}

fn forward(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended meanwhile; the wait sees that.
        let _ = kill_process(pid, signal);
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn ended_by(signal: Signal) -> ExitCode {
    u8::try_from(128 + signal.as_raw()).map_or(ExitCode::FAILURE, ExitCode::from)
}
