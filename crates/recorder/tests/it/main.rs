//! The recorder against a real HTTP server on this machine.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

mod command;
mod server;
mod upload;
