//! What has an age and what follows from it, when the console itself has not looked for a while.

use crate::console::Console;
use tui::source::ask::Resource;
use tui::source::clean::Clean;
use tui::source::told::Body;

/// What is between the header and the footer.
fn body(console: &Console) -> String {
    let mut lines = console.lines().split_off(1);
    lines.truncate(36);
    lines.join("\n")
}

/// The story: an operator looks at the workers, goes to the jobs, and comes back after two minutes. Until the database has
/// answered, every worker was called lost, because nobody had looked.
#[test]
fn a_worker_is_not_lost_because_nobody_looked() {
    let mut console = Console::answered("workers", 120, 40);
    let before = body(&console);
    console.keys("2");
    console.after(120);
    console.tell(Resource::Jobs, Body::Unchanged);
    console.keys("4");
    assert_eq!(body(&console), before);
    let header = console.lines().swap_remove(0);
    assert!(header.contains("stale 2m"), "{header}");
}

/// A database that hangs, and is then called lost, lets nothing grow younger or older.
#[test]
fn ages_stand_still_while_nothing_is_read() {
    for path in ["workers", "recordings", "jobs", "recordings/9f3ac0de-77c1-4b1e-9c55-a3f09e12c1aa"] {
        let mut console = Console::answered(path, 120, 40);
        let line = |console: &Console| body(console).lines().skip(1).take(30).collect::<Vec<_>>().join("\n");
        let before = line(&console);
        console.after(40);
        assert_eq!(line(&console), before, "{path}: not answered");
        let resource = match path {
            "workers" => Resource::Workers,
            "recordings" => Resource::Recordings,
            "jobs" => Resource::Jobs,
            _ => Resource::Recording,
        };
        console.tell(resource, Body::Failed(Clean::new("the database does not answer")));
        console.lose(2, 1);
        console.after(30);
        assert_eq!(line(&console), before, "{path}: lost");
    }
}
