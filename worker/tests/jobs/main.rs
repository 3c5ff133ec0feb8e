//! The jobs, each for itself and against each other, in this process: a real database, a store and a staging folder on
//! the file system, real segments, the real engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(
    unreachable_pub,
    unused_imports,
    reason = "what tests share is public in a binary, and each uses a part of it"
)]

#[path = "../support/mod.rs"]
mod support;

mod bucket;
mod child;
mod cleanup;
mod control;
mod database;
mod manifest_check;
mod mux;
mod odd;
mod preview;
mod rescan;
mod sweep;
mod upload;
mod verify;
mod world;
