//! How current something is.

use crate::source::clean::Clean;
use std::time::Duration;

/// How current something is that the source reads.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Load {
    /// What the last answer was.
    pub state: State,
    /// When it was last answered well, in time since the start; none before.
    pub at: Option<Duration>,
    /// How long the database took for the last answer.
    pub took: Duration,
}

/// What the last answer was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// None yet.
    #[default]
    Waiting,
    /// What is shown.
    Fresh,
    /// None for this reason; what is shown is what was there before.
    Failed(Clean),
    /// There is no such thing.
    Gone,
}
