//! What follows from what happens: one file for each group of actions.

mod acting;
mod going;
mod looking;
mod moving;
mod palette;
mod told;
mod typing;

use super::overlay::{Confirm, Overlay};
use super::{App, Dirty, Effect, Msg, Place, Size, watch};
use crate::keys::{Action, Chord};
use crate::source::Ask;
use std::time::Duration;

/// Changes the application by one message, and says what it wants done.
pub fn update(app: &mut App, msg: Msg) -> Vec<Effect> {
    let mut effects = match msg {
        Msg::Time(now) => time(app, now),
        Msg::Key(chord) => key(app, chord),
        Msg::Paste(text) => typing::paste(app, &text),
        Msg::Resize(size) => resize(app, size),
        Msg::Focus(focused) => focus(app, focused),
        Msg::Told(told) => told::take(app, told),
    };
    effects.extend(watch::settle(app));
    effects
}

/// What is wanted first.
pub(super) fn first(app: &mut App, place: &Place, arm: bool) -> Vec<Effect> {
    going::start(app, place);
    if arm { acting::arm(app, None) } else { Vec::new() }
}

fn time(app: &mut App, now: Duration) -> Vec<Effect> {
    let before = app.now;
    app.now = now.max(before);
    if app.toast.as_ref().is_some_and(|toast| toast.until <= app.now) {
        app.toast = None;
        app.touch(Dirty::Now);
    }
    // Ages are shown in seconds; a drawing that comes out the same writes nothing.
    if app.now.as_secs() != before.as_secs() && app.wake().is_some() {
        app.touch(Dirty::Data);
    }
    Vec::new()
}

fn resize(app: &mut App, size: Size) -> Vec<Effect> {
    app.size = size;
    moving::settle(app);
    app.touch(Dirty::Now);
    Vec::new()
}

fn focus(app: &mut App, focused: bool) -> Vec<Effect> {
    if app.focused == focused {
        return Vec::new();
    }
    app.focused = focused;
    app.touch(Dirty::Now);
    vec![Effect::Ask(Ask::Focus(focused))]
}

fn key(app: &mut App, chord: Chord) -> Vec<Effect> {
    let Some(action) = app.keys.action(app.layer(), chord) else {
        return chord.typed().map_or_else(Vec::new, |letter| typing::letter(app, letter));
    };
    app.touch(Dirty::Now);
    perform(app, action)
}

/// Does what an action means where we are.
fn perform(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        _ => {}
    }
    match app.overlay.take() {
        Some(Overlay::Filter(typing)) => typing::perform(app, typing, action),
        Some(Overlay::Palette(palette)) => palette::perform(app, palette, action),
        Some(Overlay::Confirm(confirm)) => answer(app, confirm, action),
        Some(Overlay::Help { scroll }) => help(app, scroll, action),
        None => on_screen(app, action),
    }
}

/// What an action means with nothing over the screen.
fn on_screen(app: &mut App, action: Action) -> Vec<Effect> {
    if action.changes() {
        return acting::change(app, action);
    }
    match action {
        Action::Up | Action::Down | Action::PageUp | Action::PageDown | Action::HalfUp | Action::HalfDown => {
            moving::step(app, action)
        }
        Action::Top | Action::Bottom => moving::step(app, action),
        Action::NextTab | Action::PreviousTab => moving::tab(app, action == Action::NextTab),
        Action::Open | Action::Back | Action::Recording => return going::step(app, action),
        Action::Recordings | Action::Jobs | Action::Queues | Action::Workers => going::screen(app, action),
        Action::Filter => typing::open(app),
        Action::Palette => palette::open(app),
        Action::Help => app.overlay = Some(Overlay::Help { scroll: 0 }),
        Action::Sort => looking::sort(app),
        Action::Freeze => looking::freeze(app),
        Action::Pace => return looking::pace(app),
        Action::CopyCommand | Action::CopyId => return looking::copy(app, action),
        Action::Arm => return acting::arm(app, Some(acting::ARM)),
        Action::Disarm => return acting::disarm(app),
        _ => {}
    }
    Vec::new()
}

/// A question has the keyboard: only yes does it.
fn answer(app: &mut App, confirm: Box<Confirm>, action: Action) -> Vec<Effect> {
    match action {
        Action::Yes => acting::send(app, confirm.command),
        Action::No => Vec::new(),
        _ => {
            app.overlay = Some(Overlay::Confirm(confirm));
            Vec::new()
        }
    }
}

fn help(app: &mut App, scroll: usize, action: Action) -> Vec<Effect> {
    let page = app.list_height();
    let last = app.help().len().saturating_sub(1);
    let scroll = match action {
        Action::Up => scroll.saturating_sub(1),
        Action::Down => scroll + 1,
        Action::PageUp => scroll.saturating_sub(page),
        Action::PageDown => scroll + page,
        Action::Close => return Vec::new(),
        _ => scroll,
    };
    app.overlay = Some(Overlay::Help { scroll: scroll.min(last) });
    Vec::new()
}
