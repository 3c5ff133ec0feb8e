//! How far something is, for whoever sits in front of a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time between two looks that a person can tell apart.
const EVERY: Duration = Duration::from_millis(200);

/// One line of standard error that is written over and gone at the end; nothing where nobody sees it.
pub(super) struct Line {
    terminal: bool,
    written: Mutex<Option<Instant>>,
}

impl Line {
    pub(super) fn new() -> Line {
        Line { terminal: io::stderr().is_terminal(), written: Mutex::new(None) }
    }

    /// Shows how much of `total` is `done`.
    pub(super) fn show(&self, what: &str, done: u64, total: u64) {
        let Ok(mut written) = self.written.lock() else { return };
        if !self.terminal || written.is_some_and(|written| written.elapsed() < EVERY) {
            return;
        }
        *written = Some(Instant::now());
        let percent = (u128::from(done.min(total)) * 100).checked_div(u128::from(total)).unwrap_or(100);
        let mut err = io::stderr().lock();
        // A terminal that is gone has nobody to tell.
        let _ = write!(err, "\r\x1b[K{what}: {percent} %").and_then(|()| err.flush());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.written.lock().is_ok_and(|written| written.is_some()) {
            let mut err = io::stderr().lock();
            let _ = write!(err, "\r\x1b[K").and_then(|()| err.flush());
        }
    }
}
