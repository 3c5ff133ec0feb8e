//! The clipboard of whoever looks at the terminal, wherever that is: a machine's own would be the wrong one over ssh.

use crossterm::clipboard::CopyToClipboard;
use crossterm::queue;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::thread;

/// The bytes that ask the terminal to take a text (OSC 52). Whether it does cannot be known.
///
/// # Errors
/// None that can be.
pub fn sequence(text: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    queue!(bytes, CopyToClipboard::to_clipboard_from(text))?;
    Ok(bytes)
}

/// Hands a text to tmux, which passes it on: what a program inside sends by itself most tmux swallow. A tmux that hangs
/// keeps only this thread.
pub fn through_tmux(text: String) {
    let hand_over = move || -> io::Result<()> {
        let mut tmux = Command::new("tmux");
        tmux.args(["load-buffer", "-w", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = tmux.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(text.as_bytes())?;
        }
        child.wait().map(drop)
    };
    let thread = thread::Builder::new().name("clipboard".to_owned());
    let _ = thread.spawn(move || {
        if let Err(error) = hand_over() {
            tracing::warn!(%error, "tmux took no text");
        }
    });
}
