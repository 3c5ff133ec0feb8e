//! The player in a real browser: headless Chromium, driven over WebDriver, against real processes.
//!
//! `make test` runs the three of `watching` and the one of `codecs`; `make browser` runs `more` too (`.config/nextest.toml` says so). Both need
//! Chromium and its driver and say so where they are missing.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]
#![allow(clippy::print_stderr, reason = "what the browser said belongs to the report of a test that failed")]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../../../crates/media/tests/codecs/lane.rs"]
mod lane;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../../../crates/media/tests/codecs/set.rs"]
mod recipe;

mod codecs;
mod driver;
mod feed;
mod more;
mod outside;
mod viewer;
mod watching;
