//! `spool demo` at a terminal: it opens the console on its running recording, and takes everything along when it goes.

use crate::demo::build_beside;
use crate::support::PATIENCE;
use crate::terminal::Terminal;
use std::path::Path;
use std::time::Instant;

/// A demo at a terminal of the smallest usual size.
fn demo(folder: &Path, seconds: &str) -> Terminal {
    build_beside();
    let data = folder.join("data");
    let spool = Path::new(env!("CARGO_BIN_EXE_spool"));
    let arguments = ["demo", "--seconds", seconds, "--data", data.to_str().unwrap()];
    let mut terminal = Terminal::start(spool, &arguments, &[], 80, 24);
    terminal.shows("ARMED");
    terminal
}

/// How many video segments the console shows: `… 4 of 4`.
fn segments(screen: &str) -> Option<u32> {
    let line = screen.lines().find(|line| line.trim_start().starts_with("video"))?;
    let (count, _) = line.rsplit_once(" of ")?;
    count.split_whitespace().last()?.parse().ok()
}

/// Waits until the console's screen is so. A console rests a hundred times as long as a look has taken, on a busy machine
/// for longer than a test waits; whoever leaves its window and comes back has it look at once.
#[track_caller]
fn until(terminal: &mut Terminal, what: &str, so: impl Fn(&str) -> bool) {
    const FOCUS: &str = "\x1b[O\x1b[I";
    let begun = Instant::now();
    while !so(&terminal.text()) {
        assert!(begun.elapsed() < PATIENCE, "never came: {what}; the screen:\n{}", terminal.text());
        std::thread::sleep(std::time::Duration::from_millis(500));
        terminal.type_in(FOCUS);
    }
}

/// Processes that were started with anything below the folder in their environment or arguments.
fn left_behind(folder: &Path) -> Vec<String> {
    let needle = folder.to_str().unwrap().as_bytes();
    let mut left = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let (environ, cmdline) = (read("environ"), read("cmdline"));
        if [&environ, &cmdline].iter().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle)) {
            left.push(String::from_utf8_lossy(&cmdline).replace('\0', " "));
        }
    }
    left
}

/// Waits until nothing of the demo with this data folder is left; the guards end a moment after it when it is killed.
fn assert_gone(folder: &Path) {
    let begun = Instant::now();
    loop {
        let left = left_behind(folder);
        if left.is_empty() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "left behind: {left:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(!folder.join("pg/cluster/postmaster.pid").exists(), "its Postgres is stopped");
}

#[test]
fn demo_opens_the_console_on_its_recording_and_serves_on_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = demo(folder.path(), "15");
    // The demo says nothing on the console's screen, whatever it has to tell meanwhile.
    until(&mut terminal, "archived", |screen| screen.contains("archived"));
    assert!(!terminal.text().lines().any(|line| line.starts_with("00:")), "{}", terminal.text());

    terminal.type_in("\x03");
    terminal.shows("Serving on. Ctrl-C ends the demo.");
    terminal.shows("the segments are deleted, the result stays");
    assert!(terminal.child.try_wait().unwrap().is_none(), "leaving the console is not leaving the demo");
    let log = std::fs::read_to_string(folder.path().join("data/logs/demo.log")).unwrap();
    assert!(log.contains("/watch/") && log.contains("finalizing"), "{log}");

    terminal.type_in("\x03");
    assert_eq!(terminal.ends_within(PATIENCE), 0, "{}", terminal.text());
    assert_gone(&folder.path().join("data"));
}

/// Ctrl-Z stops the console and the demo that waits for it, the shell is there, and `fg` brings both back; the recorder
/// goes on meanwhile.
#[test]
fn shell_stops_the_demo_with_its_console_and_brings_both_back() {
    build_beside();
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(Path::new("/bin/bash"), &["--norc", "--noprofile", "-i"], &[], 80, 24);
    terminal.type_in("PS1='ok> '\r");
    terminal.shows("ok>");
    let data = folder.path().join("data");
    terminal.type_in(&format!("{} demo --seconds 600 --data {}\r", env!("CARGO_BIN_EXE_spool"), data.display()));
    terminal.shows("ARMED");
    until(&mut terminal, "a segment", |screen| segments(screen).is_some_and(|count| count > 0));
    let before = segments(&terminal.text()).unwrap_or_default();
    until(&mut terminal, "live", |screen| screen.contains("live"));
    terminal.type_in("\x1a");
    terminal.shows("Stopped");
    terminal.type_in("echo still=$((6*7))\r");
    terminal.shows("still=42");
    terminal.type_in("fg\r");
    until(&mut terminal, "more segments", |screen| segments(screen).is_some_and(|count| count > before));
    terminal.type_in("\x03");
    terminal.shows("the console again");
    terminal.type_in("\x03");
    terminal.until("the shell", |screen| screen.trim_end().ends_with("ok>"));
    assert_gone(&data);
}

#[test]
fn demo_that_loses_its_terminal_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = demo(folder.path(), "600");
    until(&mut terminal, "a segment", |screen| segments(screen).is_some_and(|count| count > 0));
    assert!(!left_behind(folder.path()).is_empty(), "this is how its processes are found");
    let mut child = terminal.close();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "it goes on without a terminal");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_gone(&folder.path().join("data"));
}
