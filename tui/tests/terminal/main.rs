//! The console in a real terminal, over a real database.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/rows.rs"]
#[allow(dead_code, reason = "each test program uses a part of them")]
mod rows;
#[path = "../support/terminal.rs"]
mod terminal;

mod frames;
mod leaving;
mod refusing;
mod stopping;
mod watching;
mod world;
