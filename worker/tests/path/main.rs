//! The whole path, from a recorder's PUT to a verified result whose segments are gone, with real processes on a real
//! database; and what becomes of it when processes are killed and servers go away.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

#[path = "../support/mod.rs"]
mod support;

mod bucket;
mod commands;
mod crash;
mod demo;
mod mux;
mod rules;
mod store;
mod walk;
mod whole;
