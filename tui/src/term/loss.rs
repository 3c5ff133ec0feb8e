//! The terminal is gone: the window was closed, the line went dead. Nobody is there to see or to answer, so the program
//! leaves at once, without a word and without tidying up.
//!
//! It is told in three ways, because none of them is sure: by SIGHUP, by the end of the keys, and by a thread that waits for
//! the hang-up on the device itself. Some terminals send no signal, a shell may have told us to ignore it, and the reader
//! of the keys spins for ever on a device that has hung up instead of saying so.

use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What the shell sees: 128 and the number of SIGHUP, whichever way it was told.
const GONE: i32 = 129;
/// How long the answer to a change that was sent is waited for. It is one statement, so the server carries it out as a
/// whole with its audit or not at all; waiting only keeps the connection open until then.
const ANSWER: Duration = Duration::from_millis(500);

static LOST: AtomicBool = AtomicBool::new(false);
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// The terminal is gone; nothing may be written to it any more.
pub fn is_lost() -> bool {
    LOST.load(Ordering::SeqCst)
}

/// So many changes were sent and are not answered yet.
pub fn waiting_for(changes: usize) {
    WAITING.store(changes, Ordering::SeqCst);
}

/// Leaves. No destructor runs: what they would write has no reader, and what they would wait for may never come.
pub fn leave() -> ! {
    LOST.store(true, Ordering::SeqCst);
    let begin = Instant::now();
    while WAITING.load(Ordering::SeqCst) > 0 && begin.elapsed() < ANSWER {
        thread::sleep(Duration::from_millis(10));
    }
    tracing::info!("the terminal is gone");
    signal_hook::low_level::exit(GONE)
}

/// Watches the device from a thread of its own, for as long as the program runs.
///
/// # Errors
/// There is no terminal to watch, or no thread to be had.
pub fn watch() -> io::Result<()> {
    let tty = File::open("/dev/tty")?;
    thread::Builder::new().name("hang-up".to_owned()).spawn(move || wait(&tty))?;
    Ok(())
}

fn wait(tty: &File) {
    loop {
        // Nothing is asked for, so that only a hang-up or an error wakes it: keys are for others.
        let mut watched = [PollFd::new(tty, PollFlags::empty())];
        match poll(&mut watched, None) {
            Ok(_) if !watched[0].revents().is_empty() => leave(),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                tracing::warn!(%error, "the terminal cannot be watched");
                return;
            }
        }
    }
}
