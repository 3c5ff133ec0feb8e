//! What a person sees: a pure drawing of what the application knows.
//!
//! Owns every glyph, word and colour on the screen. Must not: do IO, read a clock, change the application. Any size is
//! drawn, however small: what does not fit is left out, first what is least missed.

pub mod pen;
pub mod strip;
pub mod table;
pub mod text;
pub mod theme;
pub mod words;

mod bottom;
mod confirm;
mod counts;
mod footer;
mod gauge;
mod header;
mod help;
mod job;
mod jobs;
mod notice;
mod palette;
mod queues;
mod recording;
mod recordings;
mod tabs;
mod timeline;
mod workers;

use crate::app::load::Load;
use crate::app::overlay::Overlay;
use crate::app::{App, Screen};
use chrono::{DateTime, Utc};
use pen::Pen;
use ratatui::Frame;
use ratatui::layout::Position;
use theme::{Glyph, Theme, Tone};

/// Lower terminals give up the line of counts and share the last line.
const SPARE_LINES: u16 = 16;
/// Lower ones show the header and a list, and nothing else.
const BARE_LINES: u16 = 8;
/// From so many columns on, a third pane shows what happened when.
const TIMELINE_COLS: u16 = 200;
/// Columns of that pane.
const TIMELINE_WIDTH: u16 = 46;

/// Draws the whole screen.
pub fn draw(app: &App, theme: Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    let cursor = screen(app, &mut Pen::new(frame.buffer_mut(), area, theme));
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

/// Draws it; where the cursor belongs, when something is typed.
fn screen(app: &App, pen: &mut Pen<'_>) -> Option<Position> {
    let height = pen.height();
    let top = if height < 3 { 0 } else { 1 + u16::from(height >= SPARE_LINES) };
    let under = match height {
        SPARE_LINES.. => 2,
        BARE_LINES.. => 1,
        _ => 0,
    };
    if height >= 3 {
        header::draw(app, &mut pen.rows(0, 1));
    }
    if top == 2 {
        counts::draw(app, &mut pen.rows(1, 1));
        if app.lost_for().is_some() {
            pen.rows(1, 1).fade();
        }
    }
    let mut inner = pen.rows(top, height.saturating_sub(top + under));
    match &app.overlay {
        Some(Overlay::Help { scroll }) => help::draw(app, *scroll, &mut inner),
        Some(Overlay::Filter(_) | Overlay::Palette(_) | Overlay::Confirm(_)) | None => {
            body(app, &mut inner);
            if app.lost_for().is_some() {
                inner.fade();
            }
        }
    }
    if under == 2 {
        footer::draw(app, &mut pen.rows(height - 2, 1));
    }
    if under > 0 {
        bottom::draw(app, under == 1, &mut pen.rows(height - 1, 1));
    }
    match &app.overlay {
        Some(Overlay::Filter(typing)) => bottom::input(typing, &mut pen.rows(height.saturating_sub(2), 2)),
        Some(Overlay::Palette(choices)) => palette::draw(choices, &mut pen.rows(0, height)),
        Some(Overlay::Confirm(question)) => {
            confirm::draw(app, question, pen);
            None
        }
        Some(Overlay::Help { .. }) | None => None,
    }
}

fn body(app: &App, pen: &mut Pen<'_>) {
    let now = now(app);
    if notice::instead(app, pen) {
        return;
    }
    match app.screen {
        Screen::Recordings => beside(app, pen, recordings::list, recordings::detail),
        Screen::Jobs => beside(app, pen, jobs::list, jobs::detail),
        Screen::Queues => queues::list(app, pen),
        Screen::Workers => workers::list(app, pen),
        Screen::Recording(_) => {
            let Some(view) = &app.recording.view else { return };
            let left = with_timeline(pen, |pen| timeline::recording(view, now, pen));
            recording::draw(&app.recording, view, now, &mut pen.part(0, 0, left, u16::MAX));
        }
        Screen::Job(_) => {
            let Some(view) = &app.job.view else { return };
            let left = with_timeline(pen, |pen| timeline::job(view, now, pen));
            job::draw(&app.job, view, now, &mut pen.part(0, 0, left, u16::MAX));
        }
    }
}

type Part = fn(&App, &mut Pen<'_>);

/// A list, and from some width on what is selected beside it.
fn beside(app: &App, pen: &mut Pen<'_>, list: Part, detail: fn(&App, DateTime<Utc>, &mut Pen<'_>, Option<u16>)) {
    if !app.beside() {
        return list(app, pen);
    }
    let (width, height) = (pen.width(), pen.height());
    let timeline = (width >= TIMELINE_COLS).then_some(TIMELINE_WIDTH);
    let left = (width - timeline.unwrap_or(0)) * 11 / 20;
    list(app, &mut pen.part(0, 0, left, height));
    wall(pen, left);
    let beside = if app.screen == Screen::Jobs { &app.job.load } else { &app.recording.load };
    detail(app, read_at(app, beside), &mut pen.part(left + 2, 0, width - left - 2, height), timeline);
}

/// Draws the third pane where there is room for one; how many columns are left for the others.
fn with_timeline(pen: &mut Pen<'_>, draw: impl FnOnce(&mut Pen<'_>)) -> u16 {
    let (width, height) = (pen.width(), pen.height());
    if width < TIMELINE_COLS {
        return width;
    }
    let left = width - TIMELINE_WIDTH;
    wall(pen, left);
    draw(&mut pen.part(left + 2, 0, TIMELINE_WIDTH - 2, height));
    left
}

fn wall(pen: &mut Pen<'_>, x: u16) {
    for y in 0..pen.height() {
        pen.repeat(x, y, 1, Glyph::Wall, Tone::Faint);
    }
}

/// The clock that ages are counted to. Before the database has said its own there is nothing that has an age.
fn now(app: &App) -> DateTime<Utc> {
    read_at(app, app.load())
}

/// The same for what is not the screen itself.
fn read_at(app: &App, load: &Load) -> DateTime<Utc> {
    app.as_of(load).or_else(|| app.db_now()).unwrap_or_default()
}
