//! The run loop: takes what comes, lets the application decide, does what it wants, draws once.
//!
//! It waits for signals, keys, answers and time, in this order, and for nothing else: a database that hangs costs
//! freshness only. Must not: decide anything about what is shown.

use crate::app::{App, Dirty, Effect, Msg, Size, Start, update};
use crate::settings::Environment;
use crate::source::told::{Acted, Answer};
use crate::source::{Ask, Told};
use crate::term::screen::Screen;
use crate::term::signals::{self, Signal};
use crate::term::{Guard, clipboard, input, loss};
use crate::view;
use crate::view::theme::Theme;
use crossterm::event::EventStream;
use futures_util::{FutureExt as _, StreamExt as _};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Time between two frames: what happens within it is drawn together.
const FRAME: Duration = Duration::from_millis(16);
/// Time between two frames when only something that was read has changed: nobody waits for it, and a line may be slow.
const DATA_FRAME: Duration = Duration::from_millis(250);
/// How long the answers to changes are waited for that were given just before leaving: a connection that is dropped takes
/// back what it has not committed, and whoever pressed the keys believes it done.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// Most messages taken before a frame: a flood of them must not keep the screen from being drawn.
const BATCH_MAX: usize = 1_000;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The person has left.
    Left,
    /// A signal has ended it.
    Interrupted,
}

/// Everything outside that the loop needs.
#[derive(Debug)]
pub struct Outside {
    /// Takes what is asked.
    pub asks: mpsc::Sender<Ask>,
    /// Gives what is told.
    pub told: mpsc::Receiver<Told>,
    /// Gives signals.
    pub signals: mpsc::Receiver<Signal>,
    /// What the terminal can show.
    pub theme: Theme,
    /// Runs inside tmux.
    pub tmux: bool,
}

impl Outside {
    /// With a source that was started, in this environment.
    ///
    /// # Errors
    /// The system refuses signal handlers.
    pub fn new(
        source: (mpsc::Sender<Ask>, mpsc::Receiver<Told>),
        environment: &Environment,
        ascii: bool,
    ) -> io::Result<Outside> {
        let (asks, told) = source;
        let (theme, tmux) = (environment.theme(ascii), environment.in_tmux());
        Ok(Outside { asks, told, signals: signals::listen()?, theme, tmux })
    }
}

/// Takes the terminal over and runs until the person leaves.
///
/// # Errors
/// The terminal cannot be taken over. One that is lost later ends the program: see [`loss`].
pub async fn run(start: Start, outside: Outside) -> io::Result<Exit> {
    loss::watch()?;
    let guard = Guard::enter()?;
    let size = input::size();
    let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let screen = Screen::new(out, size.unwrap_or(Size { cols: 80, rows: 24 }))?;
    let (app, effects) = App::start(Start { size, ..start });
    let mut console = Console { app, screen, guard, outside, begin: Instant::now(), drawn: None, ended: None };
    console.carry_out(effects);
    console.until_left().await
}

struct Console {
    app: App,
    screen: Screen<File>,
    guard: Guard,
    outside: Outside,
    begin: Instant,
    /// When the last frame was drawn.
    drawn: Option<Instant>,
    ended: Option<Exit>,
}

impl Console {
    async fn until_left(mut self) -> io::Result<Exit> {
        let mut events = EventStream::new();
        loop {
            if let Some(exit) = self.ended {
                self.last_answers().await;
                return Ok(exit);
            }
            let alarm = tokio::time::Instant::from_std(self.alarm());
            tokio::select! {
                biased;
                Some(signal) = self.outside.signals.recv() => self.signal(signal),
                event = events.next() => self.event(event),
                Some(told) = self.outside.told.recv() => self.tell(Msg::Told(told)),
                () = tokio::time::sleep_until(alarm) => {}
            }
            self.drain(&mut events);
            self.tell_time();
            self.draw_if_due();
        }
    }

    /// Waits until nothing that was sent is unanswered.
    async fn last_answers(&mut self) {
        let end = tokio::time::Instant::now() + LAST_ANSWERS;
        while !self.app.acts.is_empty() {
            let Ok(Some(told)) = tokio::time::timeout_at(end, self.outside.told.recv()).await else { return };
            self.tell(Msg::Told(told));
        }
    }

    /// Takes what else is there already, so that one frame shows all of it.
    fn drain(&mut self, events: &mut EventStream) {
        for _ in 0..BATCH_MAX {
            if self.ended.is_some() {
                return;
            } else if let Ok(signal) = self.outside.signals.try_recv() {
                self.signal(signal);
            } else if let Some(event) = events.next().now_or_never() {
                self.event(event);
            } else if let Ok(told) = self.outside.told.try_recv() {
                self.tell(Msg::Told(told));
            } else {
                return;
            }
        }
    }

    fn event(&mut self, event: Option<io::Result<crossterm::event::Event>>) {
        match event {
            Some(Ok(event)) => {
                if let Some(msg) = input::message(event) {
                    self.tell(msg);
                }
            }
            // No more keys: nobody is there any more.
            Some(Err(_)) | None => loss::leave(),
        }
    }

    fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Terminate => self.ended = Some(Exit::Interrupted),
            Signal::Stop if signals::can_stop() => self.stop(signals::stop),
            // Nobody could make it go on.
            Signal::Stop => {}
            Signal::Continue => self.resume(),
        }
    }

    /// Gives the terminal back and stops; goes on when somebody says so.
    fn stop(&mut self, stop: fn()) {
        self.guard.leave();
        stop();
        self.resume();
    }

    /// The terminal is as somebody else left it.
    fn resume(&mut self) {
        if self.guard.again().is_err() {
            loss::leave();
        }
        self.redraw();
    }

    fn redraw(&mut self) {
        if let Some(size) = input::size() {
            self.tell(Msg::Resize(size));
        }
        if self.screen.forget().is_err() {
            loss::leave();
        }
        self.app.dirty = Dirty::Now;
    }

    fn tell_time(&mut self) {
        let effects = update(&mut self.app, Msg::Time(self.begin.elapsed()));
        self.carry_out(effects);
    }

    fn tell(&mut self, msg: Msg) {
        self.tell_time();
        let effects = update(&mut self.app, msg);
        self.carry_out(effects);
        loss::waiting_for(self.app.acts.len());
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(ask) => self.ask(ask),
                Effect::Copy(text) => self.copy(text),
                Effect::Redraw => self.redraw(),
                Effect::Suspend if signals::can_stop() => self.stop(signals::stop_all),
                Effect::Suspend => {}
                Effect::Quit => self.ended = Some(Exit::Left),
            }
        }
    }

    fn ask(&mut self, ask: Ask) {
        let Err(error) = self.outside.asks.try_send(ask) else { return };
        tracing::error!(%error, "the source takes no more");
        // A read comes again; whoever wanted a change must know.
        if let Ask::Act(act) = error.into_inner() {
            let answer = Answer::Refused("the console is too busy; try again".into());
            self.tell(Msg::Told(Told::Acted(Acted { id: act.id, answer })));
        }
    }

    fn copy(&mut self, text: String) {
        if self.outside.tmux {
            return clipboard::through_tmux(text);
        }
        let written = clipboard::sequence(&text).and_then(|bytes| self.screen.write(&bytes));
        if written.is_err() {
            loss::leave();
        }
    }

    /// When something must be done even if nothing comes.
    fn alarm(&self) -> Instant {
        // Far enough to be no tick, near enough for a clock that counts days.
        const IDLE: Duration = Duration::from_secs(24 * 3600);
        let wake = self.app.wake().map(|at| self.begin + at);
        let alarm = [self.frame_due(), wake].into_iter().flatten().min();
        alarm.unwrap_or_else(|| Instant::now() + IDLE)
    }

    /// When what has changed is to be drawn.
    fn frame_due(&self) -> Option<Instant> {
        let wait = match self.app.dirty {
            Dirty::No => return None,
            Dirty::Data => DATA_FRAME,
            Dirty::Now => FRAME,
        };
        Some(self.drawn.map_or(self.begin, |drawn| drawn + wait))
    }

    fn draw_if_due(&mut self) {
        let now = Instant::now();
        if self.ended.is_some() || loss::is_lost() || self.frame_due().is_none_or(|due| due > now) {
            return;
        }
        let (app, theme) = (&self.app, self.outside.theme);
        // The terminal may have another size than it last said, and a frame of the old one would be a heap of lines.
        let size = input::size().unwrap_or(app.size);
        match self.screen.draw(size, |frame| view::draw(app, theme, frame)) {
            Ok(bytes) => tracing::trace!(bytes, "drawn"),
            Err(_) => loss::leave(),
        }
        self.app.dirty = Dirty::No;
        self.drawn = Some(now);
    }
}
