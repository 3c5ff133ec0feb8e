//! What a person sees: a pure drawing of what the application knows.
//!
//! Owns every glyph, word and colour on the screen. Must not: do IO, read a clock, change the application.

pub mod pen;
pub mod strip;
pub mod table;
pub mod text;
pub mod theme;
