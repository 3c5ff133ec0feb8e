//! The same channels, answered from values that a test gives.

use super::{ASKS_MAX, Ask, TOLD_MAX, Told};
use tokio::sync::mpsc;

/// The far ends of the channels.
#[derive(Debug)]
pub struct Fake {
    /// What the application has asked.
    pub asks: mpsc::Receiver<Ask>,
    /// What it is told.
    pub told: mpsc::Sender<Told>,
}

/// A source without a database: the application's ends of the channels, and the test's.
pub fn start() -> (mpsc::Sender<Ask>, mpsc::Receiver<Told>, Fake) {
    let (ask, asks) = mpsc::channel(ASKS_MAX);
    let (told, tell) = mpsc::channel(TOLD_MAX);
    (ask, tell, Fake { asks, told })
}
