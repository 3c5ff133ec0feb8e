//! The console in the foreground: started on the running recording, with the terminal handed over to it.
//!
//! It stays in the demo's own process group, because that is the group the terminal belongs to: what a person types there
//! reaches the console, Ctrl-Z stops both and `fg` goes on with both, and no process has to give the terminal back.
//! Everything else of the demo is in groups of its own (see [`super::child`]), so the recorder goes on meanwhile.
//! While it is open nobody else may write to the terminal.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long the console may take to leave the terminal as it found it: it waits half a second for an action under way.
const GRACE: Duration = Duration::from_secs(3);

/// Leaves what a console that was killed cannot leave any more: a synchronized update, the alternate screen, bracketed
/// paste, focus and mouse reports, a hidden cursor, a colour.
const RESET: &str = "\x1b[?2026l\x1b[?1049l\x1b[?2004l\x1b[?1004l\x1b[?1000l\x1b[?1006l\x1b[?25h\x1b[0m\r\n";

/// Whether a person is there who could see and steer a console.
pub(crate) fn has_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// A console that is open.
#[derive(Debug)]
pub(super) struct Console {
    child: Child,
    /// How the terminal was set before.
    modes: Option<Termios>,
}

impl Console {
    /// Opens it on one recording, ready to act: the demo is the person's own.
    pub(super) fn open(program: &Path, recording: &str, env: &HashMap<String, String>) -> anyhow::Result<Console> {
        let modes = tcgetattr(std::io::stdin()).ok();
        let mut command = Command::new(program);
        command.arg(format!("recordings/{recording}")).arg("--arm").envs(env).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("open the console {}", program.display()))?;
        Ok(Console { child, modes })
    }

    /// Nobody has left it yet, as far as was looked.
    pub(super) fn is_open(&self) -> bool {
        self.child.id().is_some()
    }

    /// Resolves when it has been left, with how it ended. Cancel safe.
    pub(super) async fn left(&mut self) -> anyhow::Result<ExitStatus> {
        let status = self.child.wait().await.context("wait for the console")?;
        if status.signal().is_some() {
            self.tidy_up();
        }
        Ok(status)
    }

    /// Asks it to leave, and waits until it has. A console that was left already is left in peace.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return Ok(()) };
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, Signal::TERM);
        if let Ok(left) = tokio::time::timeout(GRACE, self.left()).await {
            return left.map(drop);
        }
        self.child.kill().await.context("end the console")?;
        self.tidy_up();
        Ok(())
    }

    /// Sets the terminal as it was. Best effort: it may be gone.
    fn tidy_up(&self) {
        let mut out = std::io::stdout();
        let _ = out.write_all(RESET.as_bytes()).and_then(|()| out.flush());
        if let Some(modes) = &self.modes {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, modes);
        }
    }
}
