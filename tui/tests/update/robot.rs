//! Drives the application as the run loop does, answers like a source, and holds it to what must always be true.

use queue::operate::Confirm as Level;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::collections::BTreeMap;
use std::time::Duration;
use tui::app::overlay::Overlay;
use tui::app::{App, Effect, Msg, Place, Size, Start, update};
use tui::keys::{Action, Chord, Key};
use tui::source::ask::{Act, Read, Resource};
use tui::source::told::{Acted, Answer, Arm, Body, Link, Reply, Value};
use tui::source::{Ask, Told};
use tui::view;
use tui::view::theme::Theme;
use uuid::Uuid;

pub(crate) struct Robot {
    pub(crate) app: App,
    /// What the source was last asked about each resource.
    pub(crate) watched: BTreeMap<Resource, Read>,
    /// Every change that was sent.
    pub(crate) acts: Vec<Act>,
    /// Everything else that was wanted.
    pub(crate) effects: Vec<Effect>,
}

impl Robot {
    pub(crate) fn start(path: &str) -> Robot {
        Robot::start_with(Start { place: Place::parse(path).unwrap(), ..Start::default() })
    }

    pub(crate) fn start_with(start: Start) -> Robot {
        let (app, effects) = App::start(start);
        let mut robot = Robot { app, watched: BTreeMap::new(), acts: Vec::new(), effects: Vec::new() };
        robot.take(effects);
        robot
    }

    /// Connected and armed until disarmed.
    pub(crate) fn armed(path: &str) -> Robot {
        let mut robot = Robot::start(path);
        robot.up();
        robot.tell(Msg::Told(Told::Arm(Arm::Armed { left: None })));
        robot
    }

    pub(crate) fn up(&mut self) {
        self.tell(Msg::Told(Told::Link(Link::Up { place: "db".into(), role: "spool_view".into() })));
    }

    pub(crate) fn lose(&mut self) {
        let why = "connection refused".into();
        self.tell(Msg::Told(Told::Link(Link::Lost { since: Duration::from_secs(3), tries: 2, why })));
    }

    pub(crate) fn key(&mut self, key: &str) {
        self.tell(Msg::Key(Chord::parse(key).unwrap_or_else(|| panic!("{key} is no key"))));
    }

    pub(crate) fn keys(&mut self, keys: &[&str]) {
        keys.iter().for_each(|key| self.key(key));
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        text.chars().for_each(|letter| self.tell(Msg::Key(Chord::of(Key::Char(letter)))));
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.tell(Msg::Time(self.app.now + time));
    }

    /// Answers the question that was asked last about the value's resource.
    pub(crate) fn reply(&mut self, value: Value) {
        let resource = resource(&value);
        let Some(read) = self.watched.get(&resource) else { panic!("nobody asked about {resource:?}") };
        let generation = read.generation;
        self.answer(generation, resource, Body::Fresh(value));
    }

    pub(crate) fn answer(&mut self, generation: u64, resource: Resource, body: Body) {
        let took = Duration::from_millis(2);
        self.tell(Msg::Told(Told::Reply(Reply {
            generation,
            resource,
            body,
            took,
            db_now: Some(super::rows::clock()),
        })));
    }

    pub(crate) fn acted(&mut self, id: Uuid, answer: Answer) {
        self.tell(Msg::Told(Told::Acted(Acted { id, answer })));
    }

    /// Gives it a message and checks everything that must hold whatever happens.
    pub(crate) fn tell(&mut self, msg: Msg) {
        let before = self.app.clone();
        let sent = self.acts.len();
        let effects = update(&mut self.app, msg.clone());
        self.take(effects);
        for act in &self.acts[sent..] {
            check_act(&before, &msg, act);
        }
        check_selection(&self.app);
        self.draw();
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(Ask::Watch(read)) => drop(self.watched.insert(read.what.resource(), read)),
                Effect::Ask(Ask::Leave(resource)) => {
                    assert!(self.watched.remove(&resource).is_some(), "{resource:?} is left and was not watched");
                }
                Effect::Ask(Ask::Act(act)) => self.acts.push(act),
                other => self.effects.push(other),
            }
        }
    }

    fn draw(&self) {
        let Size { cols, rows } = self.app.size;
        let mut terminal = Terminal::new(TestBackend::new(cols, rows)).unwrap();
        terminal.draw(|frame| view::draw(&self.app, Theme::default(), frame)).unwrap();
    }
}

fn resource(value: &Value) -> Resource {
    match value {
        Value::Recordings(_) => Resource::Recordings,
        Value::Recording(_) => Resource::Recording,
        Value::Jobs(_) => Resource::Jobs,
        Value::Job(_) => Resource::Job,
        Value::Workers(_) => Resource::Workers,
        Value::Queues(_) => Resource::Queues,
        Value::Numbers(_) => Resource::Numbers,
        Value::Count(_) => Resource::Count,
    }
}

/// A change is made only by a person's key, while armed and connected, never while a filter is typed, and after its
/// question when it needs one.
fn check_act(before: &App, msg: &Msg, act: &Act) {
    let Msg::Key(chord) = msg else { panic!("{act:?} was done by {msg:?}") };
    assert!(before.armed_for().is_some(), "{act:?} while not armed");
    assert!(before.is_up(), "{act:?} without a connection");
    let action = before.keys.action(before.layer(), *chord);
    match &before.overlay {
        None => assert!(action.is_some_and(Action::changes), "{act:?} by {chord}"),
        Some(Overlay::Confirm(confirm)) => {
            assert_eq!((action, &confirm.command), (Some(Action::Yes), &act.command));
        }
        Some(Overlay::Palette(_)) => assert_eq!(action, Some(Action::Submit), "{act:?} while typing"),
        Some(other) => panic!("{act:?} while {other:?} has the keys"),
    }
    if act.command.verb().confirm() == Level::YesNo {
        assert!(matches!(before.overlay, Some(Overlay::Confirm(_))), "{act:?} without its question");
    }
}

fn check_selection(app: &App) {
    assert_eq!(app.jobs.selected, app.jobs.current().map(|row| row.id));
    assert_eq!(app.recordings.selected, app.recordings.current().map(|row| row.id.clone()));
    assert_eq!(app.workers.selected, app.workers.current().map(|row| row.id));
    for height in [1, 2, 7, 50] {
        let window = app.jobs.window(height);
        assert!(app.jobs.rows.is_empty() || window.contains(&app.jobs.cursor), "{window:?} of {}", app.jobs.cursor);
    }
}
