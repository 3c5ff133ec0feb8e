//! A person at work.

use crate::world::{Worker, World};
use std::time::Duration;

/// The reason for all of this: something has failed, a person sees it, looks why, and has it done again.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_is_found_opened_retried_and_seen_complete() {
    let world = World::new().await;
    let worker = Worker::start(&world);
    let mut console = world.console(&["recordings", "--arm"]);
    console.shows("recordings");
    world.recording("rec-one").await;
    // Without any key.
    console.shows("rec-one");

    world.put("rec-one").await;
    console.type_in("2");
    console.shows_line(&["discarded", "noop", "rec-one"]);
    worker.mend();
    world.put("rec-two").await;
    console.shows_line(&["completed", "noop", "rec-two"]);

    console.type_in("/state:discarded rec:rec-one\r");
    console.hides("rec-two");
    console.shows_line(&["discarded", "noop", "rec-one"]);
    console.type_in("\r");
    console.shows("no-such-bucket");
    console.shows("bucket is gone");
    console.type_in("R");
    console.shows("completed");
    console.type_in("q");
    // It is not discarded any more.
    console.shows("Nothing matches");
    let audited = "DO $$ BEGIN ASSERT (SELECT count(*) FROM queue.op_log WHERE action = 'retry' AND actor = 'kim@desk') = 1; END $$";
    world.run(audited).await;
    console.type_in("\u{3}");
    assert_eq!(console.ends_within(Duration::from_secs(5)), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_fits_whatever_size_it_gets_while_rows_come() {
    let world = World::new().await;
    let mut console = world.console(&["jobs"]);
    console.shows("jobs");
    for (n, (cols, rows)) in [(200, 60), (60, 16), (80, 24), (40, 10), (120, 40), (80, 24)].into_iter().enumerate() {
        let subject = format!("rec-{n}");
        world.put(&subject).await;
        console.resize(cols, rows);
        // The last line is written at the new size, and what came meanwhile is there.
        console.shows("noop");
        console.until_quiet(Duration::from_millis(400));
        let text = console.text();
        assert!(text.lines().count() <= usize::from(rows), "{cols}×{rows}:\n{text}");
        // A line drawn for a wider terminal would have gone on on the next one.
        let wrapped = console.ask(|screen| (0..rows).any(|row| screen.row_wrapped(row)));
        assert!(!wrapped, "{cols}×{rows} wraps:\n{text}");
    }
    console.shows("rec-0");
    console.shows("rec-5");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_only_looks_until_it_is_armed() {
    let world = World::new().await;
    let mut console = world.console(&["queues"]);
    console.shows("ingest");
    console.type_in("P");
    console.shows("read only");
    console.type_in(":arm 5m\r");
    console.until("a countdown", |screen| screen.contains("4:5") || screen.contains("5:00"));
    console.type_in("P");
    console.shows("Pause queue");
    console.type_in("y");
    console.shows("paused");
    console.type_in(":disarm\r");
    console.type_in("P");
    console.shows("read only");
}

/// A megabyte from a clipboard is no keys, and costs no more than the line it is cut to.
#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_megabyte_presses_no_keys() {
    let world = World::new().await;
    let mut console = world.console(&["jobs", "--arm"]);
    console.shows("jobs");
    console.type_in(&format!("\u{1b}[200~{}\u{1b}[201~", "qXyR\r".repeat(200_000)));
    console.type_in("4");
    console.shows("workers");
    console.type_in("qq");
    assert_eq!(console.ends_within(Duration::from_secs(20)), 0);
}

/// Nothing happens, so nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_console_writes_nothing() {
    let world = World::new().await;
    // A row has an age, which is looked at every second and stays the same.
    world.put("rec-later").await;
    world.run("UPDATE queue.job SET state = 1, ready_seq = NULL, run_at = now() + interval '10 days 12 hours'").await;
    let mut console = world.console(&["jobs"]);
    console.shows("rec-later");
    console.until_quiet(Duration::from_secs(2));
    let before = console.bytes().len();
    // It goes on reading every second all the while.
    std::thread::sleep(Duration::from_secs(4));
    let written = String::from_utf8_lossy(&console.bytes()[before..]).into_owned();
    assert_eq!(written, "", "the screen:\n{}", console.text());
    world.put("rec-one").await;
    console.shows("rec-one");
}
