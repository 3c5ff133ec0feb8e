//! Where nothing can be drawn, and where nothing is configured.

use crate::terminal::Terminal;
use crate::world::console;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn without_a_terminal_it_names_the_command() {
    for (args, line) in [
        (&["recordings/rec-1"][..], "spool recording show rec-1\n"),
        (&["jobs?state:retryable&queue:mux"], "spool job ls --state retryable --queue mux\n"),
        (&["workers", "--json"], "{\"command\":\"spool worker ls --json\"}\n"),
    ] {
        let output = Command::new(console()).args(args).stdin(Stdio::null()).output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(2), line));
        assert!(String::from_utf8_lossy(&output.stderr).contains("needs a terminal"));
    }
}

#[test]
fn on_a_dumb_terminal_it_names_the_command() {
    let mut terminal = Terminal::start(Path::new(console()), &["queues"], &[("TERM", "dumb")], 80, 24);
    assert_eq!(terminal.ends_within(Duration::from_secs(5)), 2);
    terminal.shows("spool queue ls");
    let bytes = String::from_utf8_lossy(&terminal.bytes()).into_owned();
    assert!(!bytes.contains('\u{1b}'), "{bytes:?}");
}

#[test]
fn what_is_not_configured_is_said_before_anything_is_drawn() {
    for (args, env, code, says) in [
        (&["jobs"][..], &[][..], 7, "set DATABASE_URL"),
        (&["jobs"], &[("DATABASE_URL_FILE", "/nowhere/url")][..], 7, "read /nowhere/url"),
        (&["nowhere"], &[][..], 2, "there is no place nowhere"),
    ] {
        let mut terminal = Terminal::start(Path::new(console()), args, env, 80, 24);
        assert_eq!(terminal.ends_within(Duration::from_secs(5)), code);
        terminal.shows(says);
        assert!(!terminal.bytes().windows(5).any(|bytes| bytes == b"?1049"), "it drew");
    }
}
