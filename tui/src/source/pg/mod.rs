//! Postgres: two connections at most, one that reads and, while armed, one that acts.
//!
//! `router` decides what is read when and never waits for the database; `reader` and `actor` wait for it, each with
//! a connection of its own and a bound on every call.

mod actor;
mod error;
mod jobs;
mod json;
mod link;
mod numbers;
mod reader;
mod recording;
mod recordings;
mod router;
mod slots;
mod strips;
mod tracks;

use super::{ASKS_MAX, Ask, TOLD_MAX, Told};
use tokio::sync::mpsc;

/// The schema that this console knows. Reading goes on while a newer schema still fits; changing does not.
pub const SCHEMA: i32 = 7;

/// What the source needs to know.
#[derive(Clone)]
pub struct Settings {
    /// Where the database is; never shown.
    pub url: String,
    /// Who sits at the terminal, for the audit and for the name of the connections: `user@host`.
    pub actor: String,
}

/// Starts the source in tasks of the present runtime. It ends when both ends that are returned here are dropped.
///
/// Until the first answer it tells [`super::told::Link::Connecting`]; a database that is away, or hangs, is told as
/// [`super::told::Link::Lost`] and tried again for ever.
pub fn start(settings: Settings) -> (mpsc::Sender<Ask>, mpsc::Receiver<Told>) {
    let (ask, asks) = mpsc::channel(ASKS_MAX);
    let (told, tell) = mpsc::channel(TOLD_MAX);
    tokio::spawn(router::run(settings, asks, told));
    (ask, tell)
}
