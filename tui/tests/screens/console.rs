//! A console without terminal and database: keys and answers go in, frames come out.

use crate::dump;
use crate::values;
use chrono::TimeDelta;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::collections::BTreeMap;
use std::time::Duration;
use tui::app::{App, Effect, Msg, Place, Size, update};
use tui::keys::Chord;
use tui::source::ask::Resource;
use tui::source::told::{Arm, Body, Link, Reply, Told, Value};
use tui::source::{Ask, clean::Clean};
use tui::view;
use tui::view::theme::Theme;

/// One console.
#[derive(Clone)]
pub(crate) struct Console {
    pub(crate) app: App,
    /// The generation of the newest question about each resource.
    asked: BTreeMap<Resource, u64>,
}

impl Console {
    /// As it starts at a path.
    pub(crate) fn at(path: &str, cols: u16, rows: u16) -> Console {
        let start = tui::app::Start {
            place: Place::parse(path).unwrap(),
            size: Some(Size { cols, rows }),
            ..tui::app::Start::default()
        };
        let (app, effects) = App::start(start);
        let mut console = Console { app, asked: BTreeMap::new() };
        console.follow(effects);
        console
    }

    /// Connected, everything it asked for answered.
    pub(crate) fn answered(path: &str, cols: u16, rows: u16) -> Console {
        let mut console = Console::at(path, cols, rows);
        console.connect();
        console.answer_all();
        console
    }

    pub(crate) fn connect(&mut self) {
        self.send(Msg::Told(Told::Link(Link::Up {
            place: Clean::new("prod-eu/spool"),
            role: Clean::new("spool_view"),
        })));
    }

    /// Answers every question with the values of the bad night.
    pub(crate) fn answer_all(&mut self) {
        // The answer to a list asks for what is beside it.
        for _ in 0..3 {
            for (resource, generation) in self.asked.clone() {
                if let Some(value) = values::of(resource, &self.app) {
                    self.reply(resource, generation, Body::Fresh(value));
                }
            }
        }
    }

    /// Answers the newest question about something.
    pub(crate) fn tell(&mut self, resource: Resource, body: Body) {
        let generation = self.asked.get(&resource).copied().unwrap_or_default();
        self.reply(resource, generation, body);
    }

    /// Shows other values of what is on the screen.
    pub(crate) fn show(&mut self, resource: Resource, value: Value) {
        self.tell(resource, Body::Fresh(value));
    }

    fn reply(&mut self, resource: Resource, generation: u64, body: Body) {
        let db_now = match body {
            Body::Failed(_) => None,
            Body::Fresh(_) | Body::Unchanged | Body::Gone => {
                Some(values::now() + TimeDelta::from_std(self.app.now).unwrap())
            }
        };
        self.send(Msg::Told(Told::Reply(Reply { generation, resource, body, took: Duration::from_millis(4), db_now })));
    }

    /// Time passes.
    pub(crate) fn after(&mut self, seconds: u64) {
        let now = self.app.now + Duration::from_secs(seconds);
        self.send(Msg::Time(now));
    }

    /// The connection is lost for so long.
    pub(crate) fn lose(&mut self, seconds: u64, tries: u32) {
        self.after(seconds);
        self.send(Msg::Told(Told::Link(Link::Lost {
            since: Duration::from_secs(seconds),
            tries,
            why: Clean::new("connection refused (os error 111)"),
        })));
    }

    pub(crate) fn arm(&mut self, seconds: Option<u64>) {
        self.send(Msg::Told(Told::Arm(Arm::Armed { left: seconds.map(Duration::from_secs) })));
    }

    /// Presses keys: `j j enter`.
    pub(crate) fn keys(&mut self, keys: &str) {
        for key in keys.split_whitespace() {
            self.send(Msg::Key(Chord::parse(key).unwrap()));
        }
    }

    /// Types a text.
    pub(crate) fn text(&mut self, text: &str) {
        self.send(Msg::Paste(text.to_owned()));
    }

    pub(crate) fn send(&mut self, msg: Msg) {
        let effects = update(&mut self.app, msg);
        self.follow(effects);
    }

    fn follow(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(Ask::Watch(read) | Ask::Once(read)) => {
                    self.asked.insert(read.what.resource(), read.generation);
                }
                Effect::Ask(Ask::Leave(resource)) => _ = self.asked.remove(&resource),
                _ => {}
            }
        }
    }

    /// The frame.
    pub(crate) fn frame(&self, theme: Theme) -> String {
        let Size { cols, rows } = self.app.size;
        let mut terminal = Terminal::new(TestBackend::new(cols, rows)).unwrap();
        let mut shown = None;
        terminal
            .draw(|frame| {
                view::draw(&self.app, theme, frame);
            })
            .unwrap();
        if terminal.backend().cursor_visible() {
            shown = Some(terminal.backend().cursor_position());
        }
        dump::frame(terminal.backend().buffer(), shown)
    }

    /// Its text, line by line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Size { cols, rows } = self.app.size;
        let mut terminal = Terminal::new(TestBackend::new(cols, rows)).unwrap();
        terminal.draw(|frame| view::draw(&self.app, Theme::default(), frame)).unwrap();
        dump::lines(terminal.backend().buffer())
    }
}
