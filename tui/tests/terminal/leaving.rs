//! Every way to leave: by a key, by a signal, by a panic, and because the terminal has gone.

use crate::terminal::Terminal;
use crate::world::{World, console};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::time::{Duration, Instant};

/// What must be undone at the end: alternate screen, cursor, bracketed paste, focus events.
const UNDONE: [&str; 4] = ["\u{1b}[?1049l", "\u{1b}[?25h", "\u{1b}[?2004l", "\u{1b}[?1004l"];

/// Time for a terminal's loss to be noticed and acted on.
const GONE: Duration = Duration::from_secs(1);

fn is_restored(terminal: &Terminal, before: &str) {
    let bytes = String::from_utf8_lossy(&terminal.bytes()).into_owned();
    for undone in UNDONE {
        let set = undone.replace('l', "h");
        let last = bytes.rfind(undone).unwrap_or_else(|| panic!("{undone:?} is not written"));
        assert!(undone == UNDONE[1] || bytes.rfind(&set).is_none_or(|at| at < last), "{set:?} after {undone:?}");
    }
    assert!(!terminal.ask(|screen| screen.alternate_screen() || screen.hide_cursor() || screen.bracketed_paste()));
    assert_eq!(terminal.modes(), before);
}

/// A shell that starts the program and says how it ended, so that the device outlives the program.
fn in_shell(script: &str, env: &[(&str, &str)]) -> Terminal {
    Terminal::start(Path::new("/bin/sh"), &["-c", script, console(), "jobs"], env, 80, 24)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_a_signal_leave_the_terminal_as_it_was() {
    let world = World::new().await;
    for (keys, signal, code) in
        [("q", None, 0), ("\u{3}", None, 0), ("", Some(Signal::TERM), 130), ("", Some(Signal::INT), 130)]
    {
        // The shell waits for a line before and after, so that the modes can be looked at.
        let mut terminal = in_shell("echo ready; read _; \"$0\" \"$@\"; echo code=$?; read _", &world.env());
        terminal.shows("ready");
        let before = terminal.modes();
        terminal.type_in("\r");
        terminal.until("the console", |screen| screen.contains("jobs") && !screen.contains("ready"));
        assert_ne!(terminal.modes(), before);
        match signal {
            None => terminal.type_in(keys),
            Some(signal) => signal_child(&terminal, signal),
        }
        terminal.shows(&format!("code={code}"));
        is_restored(&terminal, &before);
    }
}

/// The console is the shell's only child.
fn signal_child(terminal: &Terminal, signal: Signal) {
    let shell = terminal.child.process_id().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    let child = children.trim().parse().ok().and_then(Pid::from_raw).unwrap_or_else(|| panic!("children {children:?}"));
    kill_process(child, signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_ends_it_at_once_with_its_code() {
    let world = World::new().await;
    let mut terminal = world.console(&["jobs"]);
    terminal.shows("jobs");
    let written = terminal.bytes().len();
    terminal.signal(Signal::HUP);
    assert_eq!(terminal.ends_within(GONE), 129);
    assert_eq!(terminal.bytes().len(), written, "nothing is written to a terminal that has gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_window_ends_it_at_once_with_its_code() {
    let world = World::new().await;
    let mut terminal = world.console(&["jobs"]);
    terminal.shows("jobs");
    let mut child = terminal.close();
    assert_eq!(ends_within(&mut child, GONE), 129);
}

/// Some terminals send no signal, and a shell may be there that lets none through. Then only the device itself says that
/// it has hung up, and the reader of the keys would spin on it for ever (crossterm #793).
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_window_without_a_signal_ends_it_too() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("code");
    // The system tells only the first process of the session, which does not listen and goes on.
    let script = format!(
        "trap '' HUP; \"$0\" \"$@\"; echo $? > {0}.new; times >> {0}.new; mv {0}.new {0}; exec sleep 60",
        said.display()
    );
    let mut terminal = in_shell(&script, &world.env());
    terminal.shows("jobs");
    let mut shell = terminal.close();
    let begin = Instant::now();
    while !said.exists() && begin.elapsed() < GONE {
        std::thread::sleep(Duration::from_millis(5));
    }
    let text = std::fs::read_to_string(&said).expect("it has ended");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("129"), "{text}");
    // `times` gives the children's seconds in its second line: a reader that spins takes all of the time there is.
    let used: f64 = lines.nth(1).unwrap().split(['m', 's', ' ']).filter_map(|part| part.parse::<f64>().ok()).sum();
    assert!(used < 1.0, "{used} s of processor time: {text}");
    shell.kill().unwrap();
    shell.wait().unwrap();
}

fn ends_within(child: &mut Box<dyn portable_pty::Child + Send + Sync>, bound: Duration) -> u32 {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.signal(), None);
            return status.exit_code();
        }
        assert!(begin.elapsed() < bound, "it has not ended within {bound:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Set where [`panics_when_told`] is to be the program in the terminal.
const TOLD: &str = "SPOOL_TEST_PANIC";

/// Not a test by itself: what runs in the terminal of the next one. A console has no way to make it panic.
#[test]
fn panics_when_told() {
    if std::env::var_os(TOLD).is_none() {
        return;
    }
    tui::term::end_on_panic();
    let guard = tui::term::Guard::enter().unwrap();
    // As a task of the source would, from another thread than the one that draws.
    let died = std::thread::spawn(|| {
        let rows: Vec<u32> = Vec::new();
        rows[7]
    });
    died.join().unwrap();
    drop(guard);
}

#[test]
fn a_panic_restores_the_terminal_before_it_says_anything() {
    let own = std::env::current_exe().unwrap();
    let args = [
        "-c",
        "echo ready; read _; \"$0\" leaving::panics_when_told --exact --nocapture; echo code=$?; read _",
        own.to_str().unwrap(),
    ];
    let mut terminal = Terminal::start(Path::new("/bin/sh"), &args, &[(TOLD, "1")], 80, 24);
    terminal.shows("ready");
    let before = terminal.modes();
    terminal.type_in("\r");
    terminal.shows("code=101");
    terminal.shows("index out of bounds");
    is_restored(&terminal, &before);
    let bytes = String::from_utf8_lossy(&terminal.bytes()).into_owned();
    assert!(bytes.find(UNDONE[0]) < bytes.find("index out of bounds"), "it speaks into the alternate screen");
}

/// The story: `R` and at once `q`. The change was on its way when the program ended, its connection went with it before
/// the commit, and whoever had pressed the keys believed the job to run.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_last_is_done_before_it_leaves() {
    let (world, mut terminal) = held("rec-last").await;
    let hold = world.hold().await;
    terminal.type_in("R");
    world.waits_for_a_lock().await;
    terminal.type_in("q");
    hold.rollback().await.unwrap();
    assert_eq!(terminal.ends_within(Duration::from_secs(20)), 0);
    world.run(RETRIED).await;
}

/// The same when the window is closed over it.
#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_waits_for_the_answer_to_what_was_sent() {
    let (world, mut terminal) = held("rec-last").await;
    let hold = world.hold().await;
    terminal.type_in("R");
    world.waits_for_a_lock().await;
    terminal.signal(Signal::HUP);
    hold.rollback().await.unwrap();
    assert_eq!(terminal.ends_within(GONE), 129);
    world.run(RETRIED).await;
}

const RETRIED: &str = "DO $$ BEGIN ASSERT (SELECT count(*) FROM queue.op_log WHERE action = 'retry') = 1; END $$";

/// An armed console with one job that waits to be tried again.
async fn held(recording: &str) -> (World, Terminal) {
    let world = World::new().await;
    world.put(recording).await;
    world.run("UPDATE queue.job SET state = 4, ready_seq = NULL, run_at = now() + interval '1 hour'").await;
    let mut terminal = world.console(&["jobs", "--arm"]);
    terminal.shows(recording);
    terminal.shows("R retry");
    (world, terminal)
}
