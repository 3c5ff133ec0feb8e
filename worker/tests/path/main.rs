//! The whole path, from a recorder's PUT to a verified result whose segments are gone, with real processes on a real
//! database; and what becomes of it when processes are killed and servers go away.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../../../tui/tests/support/terminal.rs"]
#[allow(dead_code, reason = "the console's own tests use more of it")]
mod terminal;

#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../../../crates/media/tests/codecs/lane.rs"]
mod lane;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../../../crates/media/tests/codecs/set.rs"]
mod recipe;

mod bucket;
mod codecs;
mod commands;
mod console;
mod crash;
mod demo;
mod determinism;
mod hostile;
mod mux;
mod odd;
mod rules;
mod store;
mod verify;
mod walk;
mod whole;
