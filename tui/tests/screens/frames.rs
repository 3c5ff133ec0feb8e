//! Snapshots of every screen: each in the size and the states in which people meet it.

use crate::console::Console;
use crate::values;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tui::keys::Chord;
use tui::source::ask::Resource;
use tui::source::clean::Clean;
use tui::source::rows::{JobPage, RecordingPage};
use tui::source::told::{Body, Value};
use tui::view::theme::Theme;

const COLOUR: Theme = Theme { colour: true, unicode: true };
const NO_COLOUR: Theme = Theme { colour: false, unicode: true };
const ASCII: Theme = Theme { colour: true, unicode: false };

/// The path of each screen, its name in the snapshots, and what it shows.
const SCREENS: [(&str, &str, Resource); 6] = [
    ("recordings", "recordings", Resource::Recordings),
    ("recording", "recordings/9f3ac0de-77c1-4b1e-9c55-a3f09e12c1aa", Resource::Recording),
    ("jobs", "jobs", Resource::Jobs),
    ("job", "jobs/0195b9e4-7c00-7000-8000-000000000018", Resource::Job),
    ("workers", "workers", Resource::Workers),
    ("queues", "queues", Resource::Queues),
];

/// One frame: its name in the folder of snapshots, how the terminal is, and the console.
pub(crate) type Frame = (String, Theme, Console);

fn answered(path: &str) -> Console {
    Console::answered(path, 80, 24)
}

/// Every screen, connected and answered, in each size.
fn shown() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (name, path, _) in SCREENS {
        for (cols, rows) in [(80, 24), (120, 40), (200, 60)] {
            frames.push((format!("{name}-{cols}x{rows}"), COLOUR, Console::answered(path, cols, rows)));
        }
        frames.push((format!("{name}-no-colour"), NO_COLOUR, answered(path)));
        frames.push((format!("{name}-ascii"), ASCII, answered(path)));
        frames.push((format!("{name}-small"), COLOUR, Console::answered(path, 50, 14)));
    }
    frames
}

/// What else can be seen on a screen: other recordings, other tabs.
fn more() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (name, path) in [
        ("recording-live", "recordings/standup-0322"),
        ("recording-muxing", "recordings/demo-7-final"),
        ("recording-ready", "recordings/townhall-q1"),
    ] {
        frames.push((name.to_owned(), COLOUR, answered(path)));
    }
    for (name, path, tabs) in [
        ("recording-gaps", "recordings/townhall-q1", "tab"),
        ("recording-events", "recordings/townhall-q1", "tab tab"),
        ("recording-no-gaps", "recordings/standup-0322", "tab"),
        ("job-attempts", SCREENS[3].1, "tab"),
        ("job-attempts-scrolled", SCREENS[3].1, "tab j j j j"),
        ("job-payload", SCREENS[3].1, "tab tab"),
    ] {
        let mut console = answered(path);
        console.keys(tabs);
        frames.push((name.to_owned(), COLOUR, console));
    }
    let mut scrolled = answered("recordings");
    scrolled.keys("G");
    frames.push(("recordings-end".to_owned(), COLOUR, scrolled));
    frames
}

/// Nothing there, not there yet, no longer true, not to be had.
fn states() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (name, path, resource) in SCREENS {
        let mut add = |state: &str, console: Console| frames.push((format!("{name}-{state}"), COLOUR, console));
        add("connecting", Console::at(path, 80, 24));

        let mut loading = Console::at(path, 80, 24);
        loading.connect();
        add("loading", loading);

        let mut empty = Console::at(path, 80, 24);
        empty.connect();
        match nothing(resource) {
            Some(value) => empty.show(resource, value),
            None => empty.tell(resource, Body::Gone),
        }
        add("empty", empty);

        let mut error = Console::at(path, 80, 24);
        error.connect();
        error.tell(resource, Body::Failed(Clean::new("canceling statement due to statement timeout")));
        add("error", error);

        let mut stale = answered(path);
        stale.after(14);
        stale.tell(resource, Body::Failed(Clean::new("canceling statement due to statement timeout")));
        add("stale", stale);

        let mut lost = answered(path);
        lost.lose(17, 3);
        add("lost", lost);
    }
    let mut never = Console::at("recordings", 80, 24);
    never.lose(9, 4);
    frames.push(("recordings-never-connected".to_owned(), COLOUR, never));
    frames
}

fn nothing(resource: Resource) -> Option<Value> {
    match resource {
        Resource::Recordings => Some(Value::Recordings(RecordingPage { rows: vec![], next: None, window: None })),
        Resource::Jobs => Some(Value::Jobs(JobPage { rows: vec![], next: None, window: None })),
        Resource::Workers => Some(Value::Workers(vec![])),
        Resource::Queues => Some(Value::Queues(vec![])),
        Resource::Recording | Resource::Job | Resource::Numbers | Resource::Count => None,
    }
}

/// What lies over a screen, and what its edges say.
fn over() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (name, path, _) in SCREENS {
        let mut help = answered(path);
        help.keys("?");
        frames.push((format!("{name}-help"), COLOUR, help));
        let mut armed = answered(path);
        armed.arm(Some(581));
        frames.push((format!("{name}-armed"), COLOUR, armed));
        let mut palette = answered(path);
        palette.keys(":");
        frames.push((format!("{name}-palette"), COLOUR, palette));
    }
    for (cols, rows) in [(120, 40), (200, 60)] {
        let mut help = Console::answered("jobs", cols, rows);
        help.keys("?");
        frames.push((format!("help-{cols}x{rows}"), COLOUR, help));
    }
    let mut lost = answered("jobs");
    lost.lose(17, 3);
    lost.keys("?");
    frames.push(("help-lost".to_owned(), COLOUR, lost));
    for (name, path, keys) in [
        ("jobs-confirm", "jobs", "X"),
        ("job-retry", SCREENS[3].1, "R"),
        ("recording-confirm", SCREENS[1].1, "X"),
        ("queues-confirm", "queues", "P"),
        ("workers-confirm", "workers", "T"),
    ] {
        let mut console = answered(path);
        console.arm(None);
        console.keys(keys);
        frames.push((name.to_owned(), COLOUR, console));
    }
    let mut typing = answered("jobs");
    typing.keys("/");
    frames.push(("jobs-filter".to_owned(), COLOUR, typing.clone()));
    typing.text("state:retryable queue:mu");
    frames.push(("jobs-filter-typing".to_owned(), COLOUR, typing.clone()));
    typing.text("x colour:red");
    typing.keys("enter");
    frames.push(("jobs-filter-wrong".to_owned(), COLOUR, typing));

    let mut nothing = answered("jobs?state:discarded&queue:preview");
    nothing.show(Resource::Jobs, Value::Jobs(JobPage { rows: vec![], next: None, window: Some(100_000) }));
    frames.push(("jobs-no-match".to_owned(), COLOUR, nothing));

    let mut frozen = answered("recordings");
    frozen.keys("j j space");
    frozen.after(6);
    let mut rows = values::recordings();
    rows.insert(0, values::row("newest", "acme", domain::recording::State::Live, 2));
    frozen.show(Resource::Recordings, Value::Recordings(RecordingPage { rows, next: None, window: None }));
    frames.push(("recordings-frozen".to_owned(), COLOUR, frozen));

    let mut refused = answered("jobs");
    refused.keys("X");
    frames.push(("jobs-read-only".to_owned(), COLOUR, refused));
    frames
}

/// What other people wrote into names and errors.
fn foreign() -> Vec<Frame> {
    let owners = [
        "株式会社録画サービス",
        "צוות הקלטות",
        "équipe-vidéo",
        "👩‍👩‍👧‍👦 family",
        "e\u{301}\u{302}quipe",
        "\u{1b}[2J\u{1b}[31mroot",
    ];
    let errors = [
        "ストアが拒否しました（503 SlowDown）しばらくしてから再試行します",
        "החנות סירבה: 503",
        "\u{1b}]52;c;cm0gLXJmIC8=\u{7}\u{1b}[8mhidden",
        "line one\r\nline two\tand a tab",
        "gpj.\u{202e}fdp.exe",
        "💥💥💥 zalgo: h\u{335}\u{31b}e\u{336}\u{30d}",
    ];
    let mut recordings = values::recordings();
    let mut jobs = values::jobs();
    for (at, (owner, error)) in owners.iter().zip(errors).enumerate() {
        recordings[at].owner = Clean::new(owner);
        recordings[at].job =
            recordings[1].job.clone().map(|job| tui::source::rows::JobBrief { error: Some(Clean::new(error)), ..job });
        jobs[at].subject = Some(Clean::new(owner));
        jobs[at].error = Some(Clean::new(error));
    }
    let mut frames = Vec::new();
    for (name, theme) in [("", COLOUR), ("-ascii", ASCII)] {
        let mut console = answered("recordings");
        let page = RecordingPage { rows: recordings.clone(), next: None, window: None };
        console.show(Resource::Recordings, Value::Recordings(page));
        frames.push((format!("foreign-recordings{name}"), theme, console));
        let mut console = answered("jobs");
        console.show(Resource::Jobs, Value::Jobs(JobPage { rows: jobs.clone(), next: None, window: None }));
        frames.push((format!("foreign-jobs{name}"), theme, console));
    }
    let mut job = values::job();
    job.row.error = Some(Clean::new(errors.join(" ")));
    job.payload = errors.iter().map(Clean::new).collect();
    job.payload.push(Clean::new("漢".repeat(200)));
    let mut console = answered(SCREENS[3].1);
    console.show(Resource::Job, Value::Job(Box::new(job)));
    frames.push(("foreign-job".to_owned(), COLOUR, console.clone()));
    console.keys("tab tab");
    frames.push(("foreign-payload".to_owned(), COLOUR, console));

    let mut typing = answered("jobs");
    typing.keys("/");
    typing.text("owner:株式会社 err:\"\u{202e}x\"");
    typing.send(tui::app::Msg::Key(Chord::parse("left").unwrap()));
    frames.push(("foreign-filter".to_owned(), COLOUR, typing));
    frames
}

/// All of them.
pub(crate) fn all() -> Vec<Frame> {
    [shown(), more(), states(), over(), foreign()].into_iter().flatten().collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/screens/snapshots")
}

fn check(frames: Vec<Frame>) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(folder());
    settings.bind(|| {
        let mut differ = Vec::new();
        for (name, theme, console) in frames {
            let frame = console.frame(theme);
            // Every frame that differs is named, not only the first.
            let checked = std::panic::catch_unwind(|| insta::assert_snapshot!(name.as_str(), frame));
            differ.extend(checked.is_err().then_some(name));
        }
        assert!(differ.is_empty(), "frames differ from their snapshots: {differ:?}; see `cargo insta review`");
    });
}

#[test]
fn screens_with_values() {
    check(shown());
}

#[test]
fn screens_in_detail() {
    check(more());
}

#[test]
fn screens_without_what_they_show() {
    check(states());
}

#[test]
fn what_lies_over_a_screen() {
    check(over());
}

#[test]
fn what_other_people_wrote() {
    check(foreign());
}

/// No frame has an escape, whatever was written, and none is shown twice under one name.
#[test]
fn snapshots_and_frames_are_the_same_set() {
    let names: Vec<String> = all().into_iter().map(|(name, ..)| name).collect();
    let referenced: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(referenced.len(), names.len(), "two frames have one name");
    let kept: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".snap")?.to_owned()))
        .collect();
    let unreferenced: Vec<_> = kept.difference(&referenced).collect();
    assert!(unreferenced.is_empty(), "no frame is called so any more, remove the files: {unreferenced:?}");
}

#[test]
fn no_frame_has_a_control_character() {
    for (name, theme, console) in foreign() {
        let frame = console.frame(theme);
        let found = frame.chars().find(|c| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c));
        assert_eq!(found, None, "{name}");
    }
}
