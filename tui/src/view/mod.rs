//! What a person sees: a pure drawing of what the application knows.
//!
//! Owns every glyph, word and colour on the screen. Must not: do IO, read a clock, change the application.

pub mod pen;
pub mod strip;
pub mod table;
pub mod text;
pub mod theme;
pub mod words;

use crate::app::App;
use ratatui::Frame;
use theme::Theme;

/// Draws the whole screen.
pub fn draw(app: &App, theme: Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut pen = pen::Pen::new(frame.buffer_mut(), area, theme);
    pen.line(0, 0, &[pen::ink(theme::Tone::Strong, app.screen.word())]);
}
