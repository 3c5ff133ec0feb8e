//! The palette: what fits to what was typed, and what is taken from it.

use super::{acting, going, on_screen, typing};
use crate::app::overlay::{Choice, Order, Overlay, Palette};
use crate::app::{App, Effect, Place, Tone};
use crate::keys::{Action, Chord};
use crate::source::clean::Clean;
use queue::operate::Command;
use std::time::Duration;

/// Most choices shown.
const CHOICES_MAX: usize = 12;
/// Longest time that may be asked for: what needs longer is done by the command line.
const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Opens it with everything that can be done here.
pub(super) fn open(app: &mut App) {
    let mut palette = Palette::default();
    look(app, &mut palette);
    app.overlay = Some(Overlay::Palette(palette));
}

/// An action while it is open.
pub(super) fn perform(app: &mut App, mut palette: Palette, action: Action) -> Vec<Effect> {
    let last = palette.choices.len().saturating_sub(1);
    match action {
        Action::Close => return Vec::new(),
        Action::Submit => match palette.choices.get(palette.selected).map(|choice| choice.order.clone()) {
            Some(order) => return carry_out(app, order),
            None => palette.wrong = Some(Clean::new(wrong(&palette.line.text))),
        },
        Action::Up => palette.selected = palette.selected.saturating_sub(1),
        Action::Down => palette.selected = (palette.selected + 1).min(last),
        other => {
            typing::edit(&mut palette.line, other);
            look(app, &mut palette);
        }
    }
    app.overlay = Some(Overlay::Palette(palette));
    Vec::new()
}

/// Finds what fits to the line: what it says word for word first, then what has its letters in this order.
pub(super) fn look(app: &App, palette: &mut Palette) {
    let text = palette.line.text.trim().to_owned();
    let mut choices: Vec<(u32, Choice)> = Vec::new();
    if let Some(order) = spelled_out(&text) {
        choices.push((0, choice(app, text.clone(), order)));
    }
    for action in Action::ALL.iter().filter(|action| action.in_palette() && app.applies(**action)) {
        if let Some(score) = score(&text, action.name(), action.text()) {
            choices.push((score, choice(app, action.name().to_owned(), Order::Do(*action))));
        }
    }
    // The order of the list decides between equals.
    choices.sort_by_key(|(score, _)| *score);
    palette.choices = choices.into_iter().map(|(_, choice)| choice).take(CHOICES_MAX).collect();
    palette.selected = 0;
    palette.wrong = None;
}

fn choice(app: &App, name: String, order: Order) -> Choice {
    let (text, keys) = match &order {
        Order::Do(action) => {
            let chords = app.keys.chords(app.screen_layer(), *action);
            (action.text().to_owned(), chords.iter().map(Chord::to_string).collect::<Vec<_>>().join(" "))
        }
        Order::Arm(time) => (format!("allow changes for {}", spoken(*time)), String::new()),
        Order::Snooze(time) => (format!("put the job off for {}", spoken(*time)), String::new()),
        Order::Go(place) => (format!("go to {place}"), String::new()),
    };
    Choice { name: Clean::new(name), text: Clean::new(text), keys, order }
}

/// What a line says by itself: a command with a time, or a path.
fn spelled_out(text: &str) -> Option<Order> {
    match text.split_once(' ') {
        Some(("arm", time)) => parse_time(time).map(Order::Arm),
        Some(("snooze", time)) => parse_time(time).map(Order::Snooze),
        _ if text == "q" => Some(Order::Do(Action::Quit)),
        // A single word is an action's name, if it is one; `jobs` does the same either way.
        _ if text.contains(['/', '?']) => Place::parse(text).ok().map(Order::Go),
        _ => None,
    }
}

/// How well a name fits, less is better; none when it does not.
fn score(typed: &str, name: &str, text: &str) -> Option<u32> {
    let (typed, text) = (typed.to_lowercase(), text.to_lowercase());
    if typed.is_empty() {
        return Some(9);
    }
    let letters = |name: &str| {
        let mut rest = name.chars();
        typed.chars().all(|letter| rest.any(|other| other == letter))
    };
    match name {
        _ if name == typed => Some(1),
        _ if name.starts_with(&typed) => Some(2),
        _ if name.contains(&typed) => Some(3),
        _ if letters(name) => Some(4),
        _ if text.contains(&typed) => Some(5),
        _ => None,
    }
}

/// Why a line can not be taken.
fn wrong(text: &str) -> String {
    let text = text.trim();
    match text.split_once(' ') {
        Some((verb @ ("arm" | "snooze"), time)) => format!("{time} is no time; {verb} takes 90s, 10m, 2h, at most 7d"),
        _ if text.contains(['/', '?']) => Place::parse(text).err().map_or_else(String::new, |why| why.to_string()),
        _ if Action::parse(text).is_some_and(Action::in_palette) => {
            format!("{text} means nothing for what is selected")
        }
        _ => format!("there is nothing here called {text}"),
    }
}

fn carry_out(app: &mut App, order: Order) -> Vec<Effect> {
    match order {
        Order::Do(Action::Quit) => vec![Effect::Quit],
        Order::Do(Action::Suspend) => vec![Effect::Suspend],
        Order::Do(action) => on_screen(app, action),
        Order::Arm(time) => acting::arm(app, Some(time)),
        Order::Snooze(time) => match app.command(Action::Snooze) {
            Some(Command::Snooze(job, _)) => acting::give(app, Command::Snooze(job, time)),
            _ => {
                app.say(Tone::Note, "nothing here to snooze");
                Vec::new()
            }
        },
        Order::Go(place) => {
            going::go(app, &place);
            Vec::new()
        }
    }
}

/// `90s`, `10m`, `2h`, `1d`.
fn parse_time(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    let time = Duration::from_secs(number.checked_mul(unit)?);
    (!time.is_zero() && time <= TIME_MAX).then_some(time)
}

/// In the largest unit that has no rest.
fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let fits = units.iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{seconds}s"), |(unit, word)| format!("{}{word}", seconds / unit))
}
