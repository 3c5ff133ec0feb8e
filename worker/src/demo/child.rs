//! One process of the demo: started under `spool guard`, logged to a file, stopped in order.

use anyhow::Context as _;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// How long a process may take to stop. A drain with nothing running takes milliseconds.
const GRACE: Duration = Duration::from_secs(10);

/// Lines of a log that are shown when its process failed.
const TAIL_LINES: usize = 12;

/// A running process. Dropping it stops the process too, as the guard then loses its standard input.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    guard: Child,
    /// The guard stops the process as soon as this is closed.
    held: Option<ChildStdin>,
    log: PathBuf,
}

/// What to start.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// For messages and the log.
    pub(super) name: &'static str,
    /// The program.
    pub(super) program: &'a Path,
    /// Its arguments.
    pub(super) arguments: Vec<OsString>,
    /// Variables on top of our own.
    pub(super) env: &'a HashMap<String, String>,
    /// Standard output and standard error go here; an older log is replaced.
    pub(super) log: PathBuf,
}

impl Process {
    /// Starts a process in a group of its own, so that a Ctrl-C at the terminal reaches the demo alone and everything
    /// is stopped in order.
    pub(super) fn start(start: Start<'_>) -> anyhow::Result<Process> {
        let name = start.name;
        let log = File::create(&start.log).with_context(|| format!("write {}", start.log.display()))?;
        let own = super::stage::own_program()?;
        let mut guard = Command::new(own)
            .arg("guard")
            .arg(format!("--grace={}s", GRACE.as_secs()))
            .arg("--")
            .arg(start.program)
            .args(start.arguments)
            .envs(start.env)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let held = guard.stdin.take();
        Ok(Process { name, guard, held, log: start.log })
    }

    /// The name it was started under.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Where it writes to.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until it ends by itself. Cancel safe.
    pub(super) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        self.guard.wait().await.with_context(|| format!("wait for {}", self.name))
    }

    /// Stops it and waits until it is gone.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.held.take());
        // The guard kills what does not stop, so that this ends.
        self.ended().await.map(drop)
    }

    /// The end of its log, for a person who wants to know why.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}
