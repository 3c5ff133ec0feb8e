//! The terminal: taking it over, giving it back as it was, and noticing that it is gone.
//!
//! Owns every mode that is set and every byte that is written. Must not: know what is drawn.

pub mod clipboard;
pub mod input;
pub mod loss;
pub mod screen;
pub mod signals;

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange};
use crossterm::queue;
use crossterm::terminal::{EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// The terminal is ours at the moment.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Holds the terminal; gives it back when dropped.
#[derive(Debug)]
#[must_use = "the terminal is given back when this is dropped"]
pub struct Guard(());

impl Guard {
    /// Takes the terminal over: raw mode, alternate screen, bracketed paste, focus events, no cursor.
    ///
    /// # Errors
    /// The terminal does not take it; it is as it was.
    pub fn enter() -> io::Result<Guard> {
        enter()?;
        Ok(Guard(()))
    }

    /// Gives the terminal back for a while. See [`Guard::again`].
    pub fn leave(&self) {
        restore();
    }

    /// Takes it over again, whatever others have done to it meanwhile.
    ///
    /// # Errors
    /// The terminal does not take it.
    pub fn again(&self) -> io::Result<()> {
        // Who thinks it is in raw mode does nothing when asked for it, and a shell may have taken the mode away.
        disable_raw_mode()?;
        enter()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    ENTERED.store(true, Ordering::SeqCst);
    let mut bytes = Vec::new();
    queue!(bytes, EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange, Hide)?;
    let written = write(&bytes);
    if written.is_err() {
        restore();
    }
    written
}

/// Gives the terminal back as it was; does nothing when it is not ours or gone. Never fails and never panics, because the
/// panic hook calls it: what the terminal does not take cannot be helped.
pub fn restore() {
    if !ENTERED.swap(false, Ordering::SeqCst) || loss::is_lost() {
        return;
    }
    let mut bytes = Vec::new();
    // A frame may have been cut off in its middle.
    let _ = queue!(bytes, EndSynchronizedUpdate, DisableFocusChange, DisableBracketedPaste, Show, LeaveAlternateScreen);
    let _ = write(&bytes);
    let _ = disable_raw_mode();
}

/// Writes past every buffer of the process.
fn write(mut bytes: &[u8]) -> io::Result<()> {
    let out = io::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(out.as_fd(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes a panic of any thread give the terminal back before it says anything, and end the program: a console whose
/// source has died would go on showing what is no longer true.
pub fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        tracing::error!(panic = %panic, "panicked");
        // Without a terminal there is nobody to tell, and telling would panic again.
        if !loss::is_lost() {
            report(panic);
        }
        signal_hook::low_level::exit(PANICKED);
    }));
}

/// What the shell sees after a panic, as of any program in this language.
const PANICKED: i32 = 101;
