//! What the system tells the program.

use super::{loss, restore};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use std::io;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;

/// One thing told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Leave.
    Terminate,
    /// Stop, like any program of a shell.
    Stop,
    /// Go on.
    Continue,
}

/// What the shell sees when a signal ended the program.
const INTERRUPTED: i32 = 130;
/// How long leaving may take. A terminal that takes no bytes would hold the program for ever.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than ever wait: each is taken at once.
const WAITING_MAX: usize = 16;

/// Listens from a thread of its own. A hang-up is not passed on: see [`loss`].
///
/// # Errors
/// The system refuses the handlers or the thread.
pub fn listen() -> io::Result<mpsc::Receiver<Signal>> {
    let mut signals = Signals::new([SIGHUP, SIGTERM, SIGINT, SIGTSTP, SIGCONT])?;
    let (tell, told) = mpsc::channel(WAITING_MAX);
    let listener = move || {
        for signal in signals.forever() {
            let signal = match signal {
                SIGHUP => loss::leave(),
                SIGTSTP => Signal::Stop,
                SIGCONT => Signal::Continue,
                _ => {
                    leave_anyway();
                    Signal::Terminate
                }
            };
            // One that finds no room is the same as those that wait.
            let _ = tell.try_send(signal);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listener)?;
    Ok(told)
}

/// Leaves by itself when nobody does it in time.
fn leave_anyway() {
    let _ = thread::Builder::new().name("patience".to_owned()).spawn(|| {
        thread::sleep(PATIENCE);
        restore();
        signal_hook::low_level::exit(INTERRUPTED);
    });
}

/// Stops the program here until it is told to go on.
pub fn stop() {
    // The signal that cannot be caught: our own handler would only be told again.
    let _ = signal_hook::low_level::emulate_default_handler(SIGTSTP);
}

/// Stops everything that a person's Ctrl-Z would stop, this program too, until it is told to go on: whoever waits for it
/// in the same foreground must stop with it, or the shell does not come back.
///
/// The story of why it is not SIGTSTP: the others stop at once, the shell takes the terminal and `fg` comes, all before
/// this program has heard the signal; then it stops behind the SIGCONT, and nobody brings it back. SIGSTOP stops all of
/// them together, with the terminal already given back.
pub fn stop_all() {
    let _ = rustix::process::kill_process_group(rustix::process::getpgrp(), rustix::process::Signal::STOP);
}

/// Somebody is there who can make a stopped program go on: a shell that has put it into a group of its own, and not the
/// session's first process, whose group nobody watches.
pub fn can_stop() -> bool {
    rustix::process::getsid(None).is_ok_and(|session| session != rustix::process::getpgrp())
}
