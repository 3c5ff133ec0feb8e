//! Ctrl-Z and `fg`.

use crate::terminal::Terminal;
use crate::world::{World, console};
use rustix::process::Signal;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_stops_it_and_brings_it_back() {
    let world = World::new().await;
    let mut terminal = Terminal::start(Path::new("/bin/bash"), &["--norc", "--noprofile", "-i"], &world.env(), 80, 24);
    terminal.type_in("PS1='ok> '\r");
    terminal.shows("ok>");
    terminal.type_in(&format!("{} jobs\r", console()));
    terminal.until("the console", |screen| screen.contains("jobs") && !screen.contains("ok>"));
    for _ in 0..2 {
        terminal.type_in("\u{1a}");
        terminal.shows("Stopped");
        // Bracketed paste is the shell's own by now.
        assert!(!terminal.ask(|screen| screen.alternate_screen() || screen.hide_cursor()));
        // The shell is there and has its own line settings back.
        terminal.type_in("echo still=$((6*7))\r");
        terminal.shows("still=42");
        world.put("rec-meanwhile").await;
        terminal.resize(100, 30);
        terminal.type_in("fg\r");
        terminal.shows("rec-meanwhile");
        assert!(terminal.ask(|screen| screen.alternate_screen() && screen.bracketed_paste()));
        assert!(!terminal.text().contains("ok>"), "{}", terminal.text());
    }
    terminal.type_in("q");
    terminal.shows("ok>");
    terminal.type_in("echo code=$?\r");
    terminal.shows("code=0");
}

/// Stopped in a way that nothing can be done before, with its modes thrown over by somebody else meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn it_draws_everything_again_when_it_goes_on() {
    let world = World::new().await;
    let mut terminal = world.console(&["jobs"]);
    terminal.shows("jobs");
    world.put("rec-one").await;
    terminal.shows("rec-one");
    terminal.signal(Signal::STOP);
    let written = terminal.bytes().len();
    terminal.signal(Signal::CONT);
    terminal.until("everything drawn again", |_| true);
    let again = |terminal: &Terminal| String::from_utf8_lossy(&terminal.bytes()[written..]).contains("rec-one");
    let begin = std::time::Instant::now();
    while !again(&terminal) {
        assert!(begin.elapsed() < std::time::Duration::from_secs(20), "{}", terminal.text());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// It is the first process of its session: nobody could make it go on.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_shell_it_does_not_stop() {
    let world = World::new().await;
    let mut terminal = world.console(&["jobs"]);
    terminal.shows("jobs");
    terminal.type_in("\u{1a}");
    terminal.type_in("4");
    terminal.shows("workers");
}
