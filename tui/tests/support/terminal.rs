//! A terminal: a pseudo-terminal with a program in it and somebody who looks at it.
//!
//! Waits are for what is on the screen, bounded, and say in their failure what was there instead.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longest wait for something on the screen. Two cores may have other tests to run.
const WAIT: Duration = Duration::from_secs(30);

/// Longest wait for it after the program has ended.
const LAST: Duration = Duration::from_secs(2);

pub(crate) struct Terminal {
    pub(crate) child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    seen: Arc<Mutex<Seen>>,
    looking: Option<JoinHandle<()>>,
    blind: Arc<AtomicBool>,
}

struct Seen {
    screen: vt100::Parser,
    /// Everything that was ever written to it.
    bytes: Vec<u8>,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { cols, rows, pixel_width: 0, pixel_height: 0 }
}

fn lines(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

impl Terminal {
    /// Starts a program in a terminal of this size. It gets these variables and no others.
    pub(crate) fn start(program: &Path, args: &[&str], env: &[(&str, &str)], cols: u16, rows: u16) -> Terminal {
        let pair = native_pty_system().openpty(size(cols, rows)).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env_clear();
        for (key, value) in
            [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin")].iter().chain(env)
        {
            command.env(key, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let seen = Seen { screen: vt100::Parser::new(lines(rows), lines(cols), 0), bytes: Vec::new() };
        let seen = Arc::new(Mutex::new(seen));
        let blind = Arc::new(AtomicBool::new(false));
        let looking = look(pair.master.try_clone_reader().unwrap(), Arc::clone(&seen), Arc::clone(&blind));
        let keys = pair.master.take_writer().unwrap();
        Terminal { child, master: pair.master, keys, seen, looking: Some(looking), blind }
    }

    /// Types.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// What is on the screen.
    pub(crate) fn text(&self) -> String {
        self.seen.lock().unwrap().screen.screen().contents()
    }

    /// Asks something of the screen.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&vt100::Screen) -> T) -> T {
        question(self.seen.lock().unwrap().screen.screen())
    }

    /// Everything that was ever written to it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().bytes.clone()
    }

    /// Waits until this is on the screen.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) {
        self.until(text, |screen| screen.contains(text));
    }

    /// Waits until these are together on one line.
    #[track_caller]
    pub(crate) fn shows_line(&mut self, words: &[&str]) {
        let together = |screen: &str| screen.lines().any(|line| words.iter().all(|word| line.contains(word)));
        self.until(&words.join(" … "), together);
    }

    /// Waits until this is not on the screen.
    #[track_caller]
    pub(crate) fn hides(&mut self, text: &str) {
        self.until(&format!("no {text}"), |screen| !screen.contains(text));
    }

    /// Waits until the screen is so.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, so: impl Fn(&str) -> bool) {
        let begin = Instant::now();
        while !so(&self.text()) {
            let ended = self.child.try_wait().unwrap();
            // The last that a program has written is read a moment after its end.
            let bound = if ended.is_some() { LAST } else { WAIT };
            if begin.elapsed() > bound {
                panic!("never came: {what}; the program: {ended:?}; the screen:\n{}", self.text());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing was written for so long.
    #[track_caller]
    pub(crate) fn until_quiet(&self, quiet: Duration) {
        let begin = Instant::now();
        let (mut count, mut since) = (self.bytes().len(), Instant::now());
        while since.elapsed() < quiet {
            assert!(begin.elapsed() < WAIT, "it is never quiet; the screen:\n{}", self.text());
            thread::sleep(Duration::from_millis(10));
            let now = self.bytes().len();
            if now != count {
                (count, since) = (now, Instant::now());
            }
        }
    }

    /// Changes its size.
    pub(crate) fn resize(&mut self, cols: u16, rows: u16) {
        self.seen.lock().unwrap().screen.screen_mut().set_size(lines(rows), lines(cols));
        self.master.resize(size(cols, rows)).unwrap();
    }

    /// The line settings of the device.
    pub(crate) fn modes(&self) -> String {
        format!("{:?}", self.master.get_termios().unwrap())
    }

    /// Waits for the program's end; its code.
    #[track_caller]
    pub(crate) fn ends_within(&mut self, bound: Duration) -> u32 {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(begin.elapsed() < bound, "it has not ended within {bound:?}; the screen:\n{}", self.text());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal to the program.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.child.process_id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Closes the window: nobody has the other end of the device any more. The program goes on, if it does.
    pub(crate) fn close(mut self) -> Box<dyn Child + Send + Sync> {
        self.blind.store(true, Ordering::SeqCst);
        // Whoever looks waits for a byte; another size makes the program write one.
        let now = self.master.get_size().unwrap();
        self.master.resize(size(now.cols - 1, now.rows)).unwrap();
        self.looking.take().unwrap().join().unwrap();
        self.child
    }
}

/// Looks at the screen until it is told not to, or the program has ended.
fn look(mut reader: Box<dyn Read + Send>, seen: Arc<Mutex<Seen>>, blind: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut bytes = [0; 64 * 1024];
        // On this system the end of the other side is an error.
        while let Ok(count @ 1..) = reader.read(&mut bytes) {
            if blind.load(Ordering::SeqCst) {
                return;
            }
            let mut seen = seen.lock().unwrap();
            seen.screen.process(&bytes[..count]);
            seen.bytes.extend_from_slice(&bytes[..count]);
        }
    })
}
